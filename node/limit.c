/* SPDX-License-Identifier: Apache-2.0
 *
 * Nothing beyond the reservation is ever paid, so an answer is kept within it
 * before it begins.  One answer holds one choice: n or best_of over 1, or more
 * prompts than one, would multiply the completion behind the reservation's back,
 * and are refused.
 */
#include "node/limit.h"

#include <string.h>

#define SIDE_MAX 16384 /* pixels; n x width x height stays far below 2^53 */
#define IMAGES_MAX 10

enum err limit_agree(json_t *plain, const struct agreement *a, bool *include_usage)
{
	const json_t *model = json_object_get(plain, "model");
	const json_t *options = json_object_get(plain, "stream_options");
	bool stream;

	*include_usage = false;
	if (!json_is_string(model) || !slice_eq(json_text(model), a->model))
		return ERR_BODY;
	if (json_member_bool(plain, "stream", &stream) != ERR_OK || stream != a->stream)
		return ERR_BODY;
	if (stream && !endpoint_streams(a->endpoint))
		return ERR_BODY;
	if (stream && options && !json_is_null(options)) {
		if (!json_is_object(options) ||
		    json_member_bool(options, "include_usage", include_usage) != ERR_OK)
			return ERR_BODY;
	}
	json_object_del(plain, BLIND_MEMBER);
	return ERR_OK;
}

static enum err one_choice(const json_t *plain, const char *name)
{
	bool present;
	uint64_t n;

	if (json_member_u64(plain, name, 1, &present, &n) != ERR_OK || (present && n != 1))
		return ERR_BODY;
	return ERR_OK;
}

/* A text, or the numbers of its tokens, or a list of one such. */
static enum err one_prompt(const json_t *plain)
{
	const json_t *prompt = json_object_get(plain, "prompt"), *item;
	size_t i;

	if (!json_is_array(prompt) || json_array_size(prompt) == 1)
		return ERR_OK;
	json_array_foreach(prompt, i, item)
	{
		if (!json_is_integer(item))
			return ERR_BODY;
	}
	return ERR_OK;
}

/* The limit that the caller named, under either name; *newer: under the newer one, too. */
static enum err asked_tokens(const json_t *plain, bool *newer, uint64_t *tokens, bool *present)
{
	uint64_t old = UINT64_MAX, new = UINT64_MAX;
	bool has_old;

	if (json_member_u64(plain, "max_tokens", ID_MAX, &has_old, &old) != ERR_OK ||
	    json_member_u64(plain, "max_completion_tokens", ID_MAX, newer, &new) != ERR_OK)
		return ERR_BODY;
	*present = has_old || *newer;
	*tokens = old < new ? old : new;
	return ERR_OK;
}

/* The older name always: a server that does not know the newer one would take the
 * request for one without a limit. */
static void put_limit(json_t *plain, bool newer, uint64_t tokens)
{
	json_object_del(plain, "max_completion_tokens");
	json_put(plain, "max_tokens", json_integer((json_int_t)tokens));
	if (newer)
		json_put(plain, "max_completion_tokens", json_integer((json_int_t)tokens));
}

static enum err limit_text(json_t *plain, enum endpoint ep, struct engine *engine, uint64_t cap,
			   struct bounds *b)
{
	uint64_t room, want;
	bool newer;

	if (one_choice(plain, "n") != ERR_OK || one_choice(plain, "best_of") != ERR_OK ||
	    (ep == EP_COMPLETIONS && one_prompt(plain) != ERR_OK) ||
	    asked_tokens(plain, &newer, &want, &b->limited) != ERR_OK)
		return ERR_BODY;
	if (!b->limited)
		want = engine_default_tokens(engine, ep);
	room = cap - (b->prompt.high < cap ? b->prompt.high : b->prompt.low);
	if (room > USAGE_MAX)
		room = USAGE_MAX;
	if (room == 0 && !engine_takes_zero(engine))
		return ERR_BODY;
	b->limited = b->limited || want > room;
	b->max_tokens = want < room ? want : room;
	put_limit(plain, newer, b->max_tokens);
	return ERR_OK;
}

static bool side(struct slice s, uint64_t *out)
{
	return slice_u64(s, SIDE_MAX, out) == ERR_OK && *out > 0;
}

static enum err image_size(const json_t *plain, struct bounds *b)
{
	const json_t *v = json_object_get(plain, "size");
	struct slice s = json_text(v);
	const uint8_t *x;

	b->width = b->height = 1024;
	if (!v || json_is_null(v) || slice_is(s, "auto"))
		return ERR_OK;
	x = s.n ? memchr(s.p, 'x', s.n) : NULL;
	if (!x || !side(slice_of(s.p, (size_t)(x - s.p)), &b->width) ||
	    !side(slice_of(x + 1, (size_t)(s.p + s.n - x - 1)), &b->height))
		return ERR_BODY;
	return ERR_OK;
}

static enum err limit_images(const json_t *plain, uint64_t units, struct bounds *b)
{
	bool present;

	b->n = 1;
	if (json_member_u64(plain, "n", IMAGES_MAX, &present, &b->n) != ERR_OK || b->n == 0 ||
	    image_size(plain, b) != ERR_OK)
		return ERR_BODY;
	b->pixels = b->n * b->width * b->height;
	return b->pixels <= units && b->pixels <= USAGE_MAX ? ERR_OK : ERR_BODY;
}

enum err limit_apply(json_t *plain, enum endpoint ep, struct engine *engine, uint64_t units,
		     uint64_t max_units, struct bounds *out)
{
	struct bounds b = { .units = units };
	uint64_t cap = units < max_units ? units : max_units;
	enum err e = engine_measure(engine, ep, plain, &b.prompt);

	if (e != ERR_OK)
		return e;
	if (ep == EP_IMAGES)
		e = limit_images(plain, units, &b);
	else if (b.prompt.low > cap || b.prompt.low > USAGE_MAX)
		e = ERR_BODY;
	else if (ep != EP_EMBEDDINGS)
		e = limit_text(plain, ep, engine, cap, &b);
	if (e == ERR_OK)
		*out = b;
	return e;
}
