/* SPDX-License-Identifier: Apache-2.0
 *
 * PROTOCOL section 3, "Inside the seal": what official clients validate.
 */
#include "node/choice.h"

#include <string.h>

#include "node/json.h"

/* Text is UTF-8: it came out of a JSON parser, cut at ASCII characters. */
static json_t *text_json(struct slice text)
{
	return json_stringn_nocheck(text.n ? (const char *)text.p : "", text.n);
}

static json_t *choice(const char *name, json_t *value, const char *finish)
{
	json_t *c = json_object();

	json_put(c, "index", json_integer(0));
	json_put(c, name, value);
	json_put(c, "logprobs", json_null());
	json_put(c, "finish_reason", finish ? json_string(finish) : json_null());
	return c;
}

json_t *choice_piece(enum endpoint ep, struct slice text, bool first)
{
	json_t *delta;

	if (ep != EP_CHAT)
		return choice("text", text_json(text), NULL);
	delta = json_object();
	if (first)
		json_put(delta, "role", json_string("assistant"));
	json_put(delta, "content", text_json(text));
	return choice("delta", delta, NULL);
}

json_t *choice_last(enum endpoint ep, const char *finish, const json_t *engine)
{
	json_t *last = ep == EP_CHAT ? choice("delta", json_object(), finish)
				     : choice("text", json_string(""), finish),
	       *v;
	const char *name;

	json_object_foreach((json_t *)engine, name, v)
	{
		if (!json_object_get(last, name) && strcmp(name, "text") != 0 && strcmp(name, "delta") != 0)
			json_object_set(last, name, v);
	}
	return last;
}

json_t *choice_whole(enum endpoint ep, struct slice text, const char *finish)
{
	json_t *message;

	if (ep != EP_CHAT)
		return choice("text", text_json(text), finish);
	message = json_object();
	json_put(message, "role", json_string("assistant"));
	json_put(message, "content", text_json(text));
	return choice("message", message, finish);
}
