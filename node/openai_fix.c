/* SPDX-License-Identifier: Apache-2.0
 *
 * vLLM, llama.cpp, Ollama and their like differ from each other in small things:
 * a first chunk with nothing but a role, usage null or left out, the finish
 * beside the last text or after it, embeddings in base64, images without url.
 * What clients see is the same for all (PROTOCOL section 3, "Inside the seal").
 */
#include "node/openai_fix.h"

#include <string.h>

#include "common/b64.h"
#include "node/json.h"
#include "node/openai_error.h"
#include "node/prompt.h"
#include "node/usage.h"
#include "node/vector.h"

#define IMAGE_BYTES_MAX (48u << 20)

/* A finish_reason in static storage; unknown ones count as a plain stop. */
static const char *finish_of(const json_t *choice)
{
	static const char *const known[] = { "stop", "length", "tool_calls", "content_filter",
					     "function_call" };
	struct slice s = json_text(json_object_get(choice, "finish_reason"));

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (slice_is(s, known[i]))
			return known[i];
	}
	return s.p ? "stop" : NULL;
}

/* The server's word for an answer that it did not finish. */
static bool broke_off(const json_t *choice)
{
	struct slice s = json_text(json_object_get(choice, "finish_reason"));

	return slice_is(s, "error") || slice_is(s, "abort");
}

static bool is_empty(const json_t *v)
{
	return !v || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0) ||
	       (json_is_array(v) && json_array_size(v) == 0) ||
	       (json_is_object(v) && json_object_size(v) == 0);
}

/* Whether a choice holds anything for the caller besides a role. */
static bool holds_something(enum endpoint ep, json_t *choice)
{
	json_t *delta = json_object_get(choice, "delta"), *v;
	const char *name;

	if (!is_empty(json_object_get(choice, "logprobs"))) /* of half a character: its text comes later */
		return true;
	if (ep == EP_COMPLETIONS)
		return !is_empty(json_object_get(choice, "text"));
	json_object_foreach(delta, name, v)
	{
		if (strcmp(name, "role") != 0 && !is_empty(v))
			return true;
	}
	return false;
}

static bool is_shaped(enum endpoint ep, const json_t *choice)
{
	const json_t *text = json_object_get(choice, "text"), *delta = json_object_get(choice, "delta");

	if (!json_is_object(choice))
		return false;
	if (ep == EP_COMPLETIONS)
		return !text || json_is_null(text) || json_is_string(text);
	return !delta || json_is_null(delta) || json_is_object(delta);
}

static enum err read_choice(enum endpoint ep, json_t *choice, struct openai_event *out)
{
	if (!is_shaped(ep, choice) || broke_off(choice))
		return ERR_NODE;
	out->finish = finish_of(choice);
	out->last = out->finish ? choice : NULL;
	if (!holds_something(ep, choice))
		return ERR_OK;
	json_put(choice, "index", json_integer(0));
	json_put(choice, "finish_reason", json_null());
	if (ep != EP_CHAT)
		json_object_del(choice, "delta"); /* of servers that write out what they have no use for */
	else if (!json_is_object(json_object_get(choice, "delta")))
		json_put(choice, "delta", json_object());
	out->choice = choice;
	return ERR_OK;
}

enum err openai_event_read(enum endpoint ep, json_t *event, struct openai_event *out)
{
	json_t *choices = json_object_get(event, "choices");
	struct openai_event ev = { .choice = NULL };
	enum err e = openai_error_in(event);

	if (e != ERR_OK)
		return e;
	ev.usage = json_object_get(event, "usage");
	if (choices && !json_is_null(choices) && !json_is_array(choices))
		return ERR_NODE;
	if (json_array_size(choices) > 0)
		e = read_choice(ep, json_array_get(choices, 0), &ev);
	if (e == ERR_OK)
		*out = ev;
	return e;
}

static enum err fix_choice(enum endpoint ep, json_t *choice)
{
	json_t *message = json_object_get(choice, "message");
	const char *finish = finish_of(choice);

	if (!json_is_object(choice) || broke_off(choice))
		return ERR_NODE;
	json_put(choice, "index", json_integer(0));
	json_put(choice, "finish_reason", json_string(finish ? finish : "stop"));
	if (ep == EP_COMPLETIONS)
		return json_is_string(json_object_get(choice, "text")) ? ERR_OK : ERR_NODE;
	if (!json_is_object(message))
		return ERR_NODE;
	json_put(message, "role", json_string("assistant"));
	if (!json_object_get(message, "content"))
		json_put(message, "content", json_null());
	return ERR_OK;
}

/* One choice was asked for; a server that sends more is not believed. */
static enum err fix_choices(enum endpoint ep, json_t *object)
{
	json_t *choices = json_object_get(object, "choices");

	if (!json_is_array(choices) || json_array_size(choices) != 1)
		return ERR_NODE;
	return fix_choice(ep, json_array_get(choices, 0));
}

static bool all_numbers(const json_t *a)
{
	const json_t *v;
	size_t i;

	json_array_foreach(a, i, v)
	{
		if (!json_is_number(v))
			return false;
	}
	return json_array_size(a) > 0;
}

static enum err fix_embedding(json_t *item, size_t index)
{
	json_t *v = json_object_get(item, "embedding");

	if (json_is_string(v)) {
		v = vector_decode(json_text(v));
		if (!v)
			return ERR_NODE;
		json_put(item, "embedding", v);
	}
	if (!json_is_object(item) || !all_numbers(v))
		return ERR_NODE;
	json_put(item, "object", json_string("embedding"));
	if (!json_is_integer(json_object_get(item, "index")))
		json_put(item, "index", json_integer((json_int_t)index));
	return ERR_OK;
}

static const char *image_type(struct slice b64)
{
	static const struct {
		const char *begin, *type;
	} types[] = { { "iVBOR", "png" }, { "/9j/", "jpeg" }, { "UklGR", "webp" }, { "R0lGOD", "gif" } };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		size_t n = strlen(types[i].begin);

		if (b64.n >= n && memcmp(b64.p, types[i].begin, n) == 0)
			return types[i].type;
	}
	return "png";
}

static bool starts_with(struct slice s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

/* A URL on the engine's host is of no use to the caller, so only data: passes. */
static enum err fix_image(json_t *item, bool keep_b64)
{
	struct slice b64 = json_text(json_object_get(item, "b64_json"));
	struct buf url = { .secret = true };
	size_t bytes;

	if (!json_is_object(item))
		return ERR_NODE;
	if (!b64.p) {
		struct slice s = json_text(json_object_get(item, "url"));
		const uint8_t *comma = s.n ? memchr(s.p, ',', s.n) : NULL;

		if (!starts_with(s, "data:") || !comma)
			return ERR_NODE;
		if (keep_b64)
			json_put(item, "b64_json",
				 json_stringn((const char *)comma + 1, (size_t)(s.p + s.n - comma - 1)));
		return ERR_OK;
	}
	if (b64_check(b64, &bytes) != ERR_OK || bytes > IMAGE_BYTES_MAX)
		return ERR_NODE;
	buf_fmt(&url, "data:image/%s;base64,", image_type(b64));
	buf_add(&url, b64.p, b64.n);
	json_put(item, "url", json_stringn((const char *)url.p, url.n));
	if (!keep_b64)
		json_object_del(item, "b64_json");
	buf_free(&url);
	return ERR_OK;
}

static enum err fix_data(enum endpoint ep, json_t *object, uint64_t images, bool keep_b64)
{
	json_t *data = json_object_get(object, "data"), *item;
	size_t i, n = json_array_size(data);
	enum err e = n > 0 && (ep != EP_IMAGES || n <= images) ? ERR_OK : ERR_NODE;

	json_array_foreach(data, i, item)
	{
		if (e == ERR_OK)
			e = ep == EP_IMAGES ? fix_image(item, keep_b64) : fix_embedding(item, i);
	}
	return e;
}

enum err openai_whole(enum endpoint ep, json_t *object, uint64_t images, bool keep_b64)
{
	enum err e = openai_error_in(object);

	if (e != ERR_OK)
		return e;
	return endpoint_streams(ep) ? fix_choices(ep, object) : fix_data(ep, object, images, keep_b64);
}

uint64_t openai_bytes(enum endpoint ep, const json_t *choice)
{
	const json_t *v = json_object_get(choice, "text");
	json_t *delta = json_object_get(choice, "delta"), *calls = json_object_get(delta, "tool_calls");
	uint64_t n = calls ? json_dumpb(calls, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) : 0;
	const char *name;

	if (ep == EP_COMPLETIONS)
		return json_string_length(v);
	json_object_foreach(delta, name, v)
	{
		n += json_string_length(v);
	}
	return n;
}

uint64_t openai_words(const json_t *object)
{
	const json_t *choice = json_array_get(json_object_get(object, "choices"), 0);
	const json_t *message = json_object_get(choice, "message");

	return words_count(json_text(json_object_get(choice, "text"))) +
	       words_count(json_text(json_object_get(message, "content")));
}
