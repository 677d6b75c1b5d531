/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP responses: the first bytes choose how it was asked and where the rest is
 * split.  What comes out of the pieces must be what comes out of the whole, and a
 * body is never longer than what was fed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct seen {
	struct buf text; /* the head, the body, and how it ended */
};

static enum answer_step go_on(struct answer *a, struct slice *in, struct seen *s)
{
	struct slice data;

	for (;;) {
		enum answer_step step = answer_next(a, in, &data);

		if (step == ANSWER_HEAD) {
			if (a->status < 200 || a->status > 599 || strlen(a->type) >= ANSWER_TYPE_MAX)
				abort();
			buf_fmt(&s->text, "%d %s %d\n", a->status, a->type, a->bounded);
		} else if (step == ANSWER_DATA) {
			if (!data.n || data.p + data.n > in->p)
				abort();
			buf_add(&s->text, data.p, data.n);
		} else {
			return step;
		}
	}
}

static void run(struct slice text, struct slice cuts, bool head_asked, struct seen *s)
{
	struct answer a = { .head_asked = head_asked };
	enum answer_step step = ANSWER_MORE;
	size_t left = text.n;

	for (size_t i = 0; left && step == ANSWER_MORE; i++) {
		size_t piece = cuts.n ? cuts.p[i % cuts.n] : left;
		uint8_t *own;
		struct slice in;

		if (piece > left)
			piece = left;
		own = malloc(piece ? piece : 1); /* its own block: reading past it is found out */
		memcpy(own, text.p + text.n - left, piece);
		in = slice_of(own, piece);
		step = go_on(&a, &in, s);
		if (step == ANSWER_MORE && in.n)
			abort();
		left -= piece - in.n;
		free(own);
	}
	if (step == ANSWER_END && !a.bounded)
		abort();
	/* where a bad line ended depends on the pieces */
	buf_fmt(&s->text, "%d %d %zu", step, a.keep, step == ANSWER_END ? left : 0);
	answer_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct seen whole = { 0 }, parts = { 0 };
	struct slice cuts, text;

	if (n < 5)
		return 0;
	cuts = slice_of(data + 1, 4);
	text = slice_of(data + 5, n - 5);
	run(text, slice_of(NULL, 0), data[0] & 1, &whole);
	if (cuts.p[0] | cuts.p[1] | cuts.p[2] | cuts.p[3]) {
		run(text, cuts, data[0] & 1, &parts);
		if (!slice_eq(buf_slice(&whole.text), buf_slice(&parts.text)))
			abort();
	}
	buf_free(&whole.text);
	buf_free(&parts.text);
	return 0;
}
