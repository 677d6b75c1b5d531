/* SPDX-License-Identifier: Apache-2.0
 *
 * Text answers: finds the text in an OpenAI-shaped object and prints it.
 */
#include "client/cli/text.h"

#include <inttypes.h>

#include "client/cli/cli.h"
#include "client/json.h"

enum { TEXT, DELTA, MESSAGE, MEMBERS };

/* content of a delta or message: absent and null are no text */
static bool content_of(const struct jval *v, struct buf *out)
{
	static const char *const names[] = { "content" };
	struct jval content;

	if (v->type != J_OBJECT || jscan_object(v->raw, names, 1, &content, NULL))
		return false;
	if (content.type == J_STRING)
		jval_text(&content, out);
	return content.type == J_STRING || json_none(&content);
}

bool text_of(struct slice object, struct buf *out)
{
	static const char *const outer[] = { "choices" }, *const inner[] = { "text", "delta", "message" };
	struct jval choices, choice, v[MEMBERS];
	size_t pos = 0;

	if (jscan_object(object, outer, 1, &choices, NULL) || choices.type != J_ARRAY)
		return false;
	if (!jarray_next(choices.raw, &pos, &choice)) /* the chunk of stream_options.include_usage */
		return true;
	if (choice.type != J_OBJECT || jscan_object(choice.raw, inner, MEMBERS, v, NULL))
		return false;
	if (v[TEXT].type == J_STRING) {
		jval_text(&v[TEXT], out);
		return true;
	}
	return content_of(&v[v[DELTA].type == J_OBJECT ? DELTA : MESSAGE], out);
}

struct shown {
	bool newline; /* the text so far ends with one */
};

static bool show(struct ask *a, struct slice json, bool last, void *arg)
{
	struct shown *s = arg;
	struct buf text = { .secret = true };
	bool ok = text_of(json, &text);

	if (!ok)
		a->complaint = "the node's answer is not shaped like a completion (see --json)";
	if (ok && text.n) {
		ok = ask_print(buf_slice(&text));
		s->newline = text.p[text.n - 1] == '\n';
	}
	if (ok && last && !s->newline)
		ok = ask_print(SLICE_STR("\n"));
	if (!ok && !a->complaint)
		a->complaint = "cannot write to standard output";
	buf_free(&text);
	return ok;
}

int text_run(struct ask *a, enum sealway_kind kind, const char *operand, uint64_t max_tokens,
	     void (*put)(struct buf *json, struct slice text, const void *arg), const void *arg)
{
	struct buf json = { .secret = true };
	struct shown s = { 0 };
	int status = EXIT_USAGE;

	if (ask_text(a, operand)) {
		put(&json, buf_slice(&a->text), arg);
		if (max_tokens)
			buf_fmt(&json, ",\"max_tokens\":%" PRIu64, max_tokens);
		buf_str(&json, "}");
		status = ask_run(a, kind, buf_slice(&json), ask_units(a, max_tokens), show, &s);
	}
	buf_free(&json);
	ask_fini(a);
	return status;
}
