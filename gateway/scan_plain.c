/* SPDX-License-Identifier: Apache-2.0
 *
 * The members of an OpenAI request that concern us, as a table of checks; all
 * others are the node's business.  Cost per MiB of body: scan 0.3 ms, compact form
 * about 1 ms (10 ms if it is nothing but escapes), hash 1 ms; max_body caps it.
 */
#include "gateway/scan_plain.h"

#include <string.h>

#include "common/jcompact.h"
#include "common/jscan.h"
#include "gateway/estimate.h"

#define SIDE_MAX 16384 /* pixels */
#define IMAGES_MAX 10
#define CHOICES_MAX 128

#define MEMBERS(X) /* member, name; in the order of the checks */                                            \
	X(M_MODEL, "model")                                                                                  \
	X(M_PROMPT, "prompt")                                                                                \
	X(M_MESSAGES, "messages")                                                                            \
	X(M_INPUT, "input")                                                                                  \
	X(M_STREAM, "stream")                                                                                \
	X(M_OPTIONS, "stream_options")                                                                       \
	X(M_MAX_TOKENS, "max_tokens")                                                                        \
	X(M_MAX_COMPLETION, "max_completion_tokens")                                                         \
	X(M_N, "n")                                                                                          \
	X(M_BEST_OF, "best_of")                                                                              \
	X(M_SIZE, "size")                                                                                    \
	X(M_TOOLS, "tools")                                                                                  \
	X(M_FUNCTIONS, "functions")                                                                          \
	X(M_DOCUMENTS, "documents")                                                                          \
	X(M_SUFFIX, "suffix")                                                                                \
	X(M_TEMPLATE, "chat_template_kwargs")                                                                \
	X(M_FORMAT, "response_format")

enum member {
#define X(id, name) id,
	MEMBERS(X)
#undef X
		M_COUNT
};

static const char *const names[M_COUNT] = {
#define X(id, name) name,
	MEMBERS(X)
#undef X
};

/* One check under way; a check gives what is wrong, or NULL. */
struct work {
	struct slice body;
	enum endpoint ep;
	struct jval v[M_COUNT];
	struct scan_plain out;
	uint64_t n, best_of, tokens, completion, width, height;
};

static bool given(const struct jval *v)
{
	return v->type != J_NONE && v->type != J_NULL;
}

static const char *missing_or(const struct jval *v, const char *what)
{
	return v->type == J_NONE ? "a required member is missing" : what;
}

/* A text, or a list that is not empty. */
static const char *check_input(const struct jval *v, bool list_only, bool text_only)
{
	struct jval item;
	size_t pos = 0;

	if (v->type == J_STRING && !list_only)
		return NULL;
	if (v->type == J_ARRAY && !text_only)
		return jarray_next(v->raw, &pos, &item) ? NULL : "must not be empty";
	if (text_only)
		return missing_or(v, "must be a string");
	return missing_or(v, list_only ? "must be an array" : "must be a string or an array");
}

static const char *check_optional(const struct jval *v, uint64_t min, uint64_t max, uint64_t *out,
				  const char *what)
{
	if (!given(v))
		return NULL;
	return v->type == J_NUMBER && jval_u64(v, max, out) == ERR_OK && *out >= min ? NULL : what;
}

static const char *check_tokens(const struct jval *v, uint64_t *out)
{
	return check_optional(v, 0, ID_MAX, out, "must be an integer from 0 to 9007199254740991 or null");
}

static const char *check_n(const struct work *w, const struct jval *v, uint64_t *out)
{
	if (w->ep == EP_PLAIN_EMBEDDINGS)
		return NULL;
	if (w->ep == EP_PLAIN_IMAGES)
		return check_optional(v, 1, IMAGES_MAX, out, "must be an integer from 1 to 10 or null");
	return check_optional(v, 1, CHOICES_MAX, out, "must be an integer from 1 to 128 or null");
}

static bool side(struct slice s, uint64_t *out)
{
	return slice_u64(s, SIDE_MAX, out) == ERR_OK && *out > 0;
}

static const char *check_size(struct work *w, const struct jval *v)
{
	struct slice s = v->raw;
	const uint8_t *x;

	if (w->ep != EP_PLAIN_IMAGES || !given(v) || (v->type == J_STRING && slice_is(s, "auto")))
		return NULL;
	x = v->type == J_STRING && !v->escaped && s.n ? memchr(s.p, 'x', s.n) : NULL;
	if (!x || !side(slice_of(s.p, (size_t)(x - s.p)), &w->width) ||
	    !side(slice_of(x + 1, (size_t)(s.p + s.n - x - 1)), &w->height))
		return "must be \"auto\" or WIDTHxHEIGHT in pixels, at most 16384 each";
	return NULL;
}

/* --- stream_options --- */

static void edit(struct work *w, const uint8_t *from, size_t drop, const char *text)
{
	w->out.from = (size_t)(from - w->body.p);
	w->out.to = w->out.from + drop;
	w->out.text = text;
}

/* Behind the brace of an object: a first member, and a comma unless it is alone. */
static const char *first_member(struct slice object)
{
	const uint8_t *p = object.p + 1;

	while (strchr(" \n\r\t", *p))
		p++;
	return *p == '}' ? "\"include_usage\":true" : "\"include_usage\":true,";
}

static const char *edit_options(struct work *w, const struct jval *v)
{
	static const char *const inner[] = { "include_usage" };
	struct jval use;

	if (jscan_object(v->raw, inner, 1, &use, NULL) != ERR_OK)
		return "must not have include_usage twice";
	if (given(&use) && use.type != J_TRUE && use.type != J_FALSE)
		return "include_usage must be a boolean or null";
	w->out.show_usage = use.type == J_TRUE;
	if (use.type == J_NONE)
		edit(w, v->raw.p + 1, 0, first_member(v->raw));
	else
		edit(w, use.raw.p, use.raw.n, "true");
	return NULL;
}

/* The node is asked for usage whether the client wants it or not: it is billed by. */
static const char *check_options(struct work *w, const struct jval *v)
{
	const uint8_t *last = w->body.p + w->body.n;

	if (given(v) && v->type != J_OBJECT)
		return "must be an object or null";
	if (!w->out.base.stream)
		return NULL;
	if (v->type == J_OBJECT)
		return edit_options(w, v);
	if (v->type == J_NULL) {
		edit(w, v->raw.p, v->raw.n, "{\"include_usage\":true}");
		return NULL;
	}
	do
		last--;
	while (*last != '}'); /* only white space stands behind it */
	edit(w, last, 0, ",\"stream_options\":{\"include_usage\":true}");
	return NULL;
}

static const char *check(struct work *w, enum member m, struct buf *tmp)
{
	const struct jval *v = &w->v[m];

	switch (m) {
	case M_MODEL:
		return scan_model(v, tmp, &w->out.base);
	case M_PROMPT:
		return w->ep == EP_PLAIN_COMPLETIONS || w->ep == EP_PLAIN_IMAGES
			       ? check_input(v, false, w->ep == EP_PLAIN_IMAGES)
			       : NULL;
	case M_MESSAGES:
		return w->ep == EP_PLAIN_CHAT ? check_input(v, true, false) : NULL;
	case M_INPUT:
		return w->ep == EP_PLAIN_EMBEDDINGS ? check_input(v, false, false) : NULL;
	case M_STREAM:
		return scan_stream(v, endpoint_streams(w->ep), &w->out.base.stream);
	case M_OPTIONS:
		return check_options(w, v);
	case M_MAX_TOKENS:
		return check_tokens(v, &w->tokens);
	case M_MAX_COMPLETION:
		return check_tokens(v, &w->completion);
	case M_N:
		return check_n(w, v, &w->n);
	case M_BEST_OF:
		return check_n(w, v, &w->best_of);
	case M_SIZE:
		return check_size(w, v);
	default:
		return NULL;
	}
}

/* --- units --- */

static const char *size_text(struct work *w, uint64_t choices)
{
	const struct jval *v = w->v;
	uint64_t most = w->tokens > w->completion ? w->tokens : w->completion;

	w->out.has_max_units = given(&v[M_MAX_TOKENS]) || given(&v[M_MAX_COMPLETION]);
	choices *= w->n > w->best_of ? w->n : w->best_of; /* at most 2^24 inputs x 128 */
	if (most > ID_MAX / choices)
		return "asks for more than any request may have";
	w->out.max_units = w->out.has_max_units ? most * choices : 0;
	return NULL;
}

/* What engines put into the prompt besides prompt or messages; the node counts the same (node/prompt.c). */
static uint64_t estimate_beside(const struct jval *v)
{
	return estimate_value(&v[M_TOOLS]) + estimate_value(&v[M_FUNCTIONS]) +
	       estimate_value(&v[M_DOCUMENTS]) + estimate_value(&v[M_SUFFIX]) +
	       estimate_value(&v[M_TEMPLATE]) + estimate_value(&v[M_FORMAT]);
}

static const char *size_up(struct work *w, enum member *m)
{
	const struct jval *v = w->v;
	uint64_t inputs = 1;

	*m = M_MAX_TOKENS;
	switch (w->ep) {
	case EP_PLAIN_IMAGES:
		w->out.input_units = w->n * w->width * w->height;
		return NULL;
	case EP_PLAIN_EMBEDDINGS:
		w->out.input_units = estimate_input(&v[M_INPUT], &inputs);
		return NULL;
	case EP_PLAIN_CHAT:
		w->out.input_units = estimate_messages(&v[M_MESSAGES]) + estimate_beside(v);
		break;
	default:
		w->out.input_units = estimate_input(&v[M_PROMPT], &inputs) + estimate_beside(v);
		break;
	}
	return size_text(w, inputs);
}

static enum err fail(struct scan_fault *fault, int member, const char *what)
{
	fault->param = member >= 0 && member < M_COUNT ? names[member] : NULL;
	fault->what = what;
	return ERR_BODY;
}

enum err scan_plain(struct slice body, enum endpoint ep, struct scan_plain *out, struct scan_fault *fault)
{
	struct work w = { .body = body, .ep = ep, .n = 1, .best_of = 1, .width = 1024, .height = 1024 };
	struct jscan_fault jf = { .member = -1 };
	struct buf tmp = { .secret = true };
	const char *wrong = NULL;
	enum member m = M_MODEL;

	*fault = (struct scan_fault){ NULL, NULL };
	if (jscan_object(body, names, M_COUNT, w.v, &jf) != ERR_OK)
		return fail(fault, jf.member, jf.what);
	edit(&w, body.p, 0, "");
	for (m = M_MODEL; m < M_COUNT && !wrong; m++)
		wrong = check(&w, m, &tmp);
	buf_free(&tmp);
	if (wrong)
		return fail(fault, (int)m - 1, wrong);
	wrong = size_up(&w, &m);
	if (wrong)
		return fail(fault, (int)m, wrong);
	*out = w.out;
	return ERR_OK;
}

void scan_plain_body(struct slice body, const struct scan_plain *s, struct buf *out)
{
	jcompact(slice_of(body.p, s->from), out);
	buf_str(out, s->text);
	jcompact(slice_of(body.p + s->to, body.n - s->to), out);
}
