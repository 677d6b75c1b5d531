/* SPDX-License-Identifier: Apache-2.0
 *
 * Event streams: the first bytes choose where the rest is split.  What comes out
 * of the pieces must be what comes out of the whole; and the events, written out
 * again, must read as the same events.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/sse.h"

#define MAX_EVENT 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct seen {
	struct buf text; /* the events as a stream of the plainest form */
	size_t events;
};

static enum err on_event(void *arg, struct slice type, struct slice data)
{
	struct seen *s = arg;
	const uint8_t *lf;

	if (data.n > MAX_EVENT || type.n > MAX_EVENT)
		abort();
	s->events++;
	buf_str(&s->text, "event:");
	buf_add(&s->text, " ", 1);
	buf_add(&s->text, type.p, type.n);
	do {
		lf = memchr(data.p ? (const char *)data.p : "", '\n', data.n);
		size_t line = lf ? (size_t)(lf - data.p) : data.n;

		buf_str(&s->text, "\ndata: ");
		buf_add(&s->text, data.p, line);
		if (lf)
			data = slice_of(lf + 1, data.n - line - 1);
	} while (lf);
	buf_str(&s->text, "\n\n");
	return ERR_OK;
}

/* Feeds all in pieces of the sizes that cuts names (not all zero), over and over. */
static enum err run(struct slice text, struct slice cuts, size_t max, struct seen *seen)
{
	struct sse *s = sse_new(max, on_event, seen);
	enum err e = ERR_OK;

	for (size_t at = 0, i = 0; at < text.n && !e; i++) {
		size_t piece = cuts.n ? cuts.p[i % cuts.n] : text.n;
		uint8_t *own;

		if (piece > text.n - at)
			piece = text.n - at;
		own = malloc(piece ? piece : 1); /* its own block: reading past it is found out */
		memcpy(own, text.p + at, piece);
		e = sse_feed(s, slice_of(own, piece));
		free(own);
		at += piece;
	}
	if (!e)
		e = sse_end(s);
	sse_free(s);
	return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct seen whole = { 0 }, parts = { 0 }, again = { 0 };
	struct slice cuts, text;
	bool usable = false;

	if (n < 4)
		return 0;
	cuts = slice_of(data, 4);
	text = slice_of(data + 4, n - 4);
	for (int i = 0; i < 4; i++)
		usable |= cuts.p[i] != 0;
	enum err e = run(text, slice_of(NULL, 0), MAX_EVENT, &whole);

	if (usable && (run(text, cuts, MAX_EVENT, &parts) != e ||
		       !slice_eq(buf_slice(&whole.text), buf_slice(&parts.text))))
		abort();
	if (run(buf_slice(&whole.text), slice_of(NULL, 0), 2 * MAX_EVENT, &again) != ERR_OK)
		abort();
	if (again.events != whole.events || !slice_eq(buf_slice(&again.text), buf_slice(&whole.text)))
		abort();
	buf_free(&whole.text);
	buf_free(&parts.text);
	buf_free(&again.text);
	return 0;
}
