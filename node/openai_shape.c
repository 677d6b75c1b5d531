/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests as an OpenAI-compatible server gets them (openai_fix.h): what was checked,
 * and no second word for it.
 */
#include "node/json.h"
#include "node/openai_fix.h"

/* A name with anything but small letters, digits and signs. */
static bool is_odd(const char *name)
{
	for (; *name; name++) {
		if ((*name >= 'A' && *name <= 'Z') || *name <= ' ' || *name > '~')
			return true;
	}
	return false;
}

static void drop_odd(json_t *object)
{
	const char *name;
	json_t *v;
	void *next;

	json_object_foreach_safe(object, next, name, v)
	{
		if (is_odd(name))
			json_object_del(object, name);
	}
}

/* Servers in Go take MAX_TOKENS for max_tokens, and the last one counts: what was
 * checked is what they read only if no other name of a member is left that they
 * could take for one.  The API has none with capitals. */
static void drop_other_cases(json_t *body)
{
	json_t *message, *part;
	size_t i, k;

	drop_odd(body);
	json_array_foreach(json_object_get(body, "messages"), i, message)
	{
		drop_odd(message);
		json_array_foreach(json_object_get(message, "content"), k, part)
		{
			drop_odd(part);
		}
	}
}

/* A template of the caller's makes a prompt of any length of a few bytes, and may turn for ever. */
static void drop_template(json_t *body)
{
	json_object_del(body, "chat_template");
	json_object_del(json_object_get(body, "chat_template_kwargs"), "chat_template");
}

void openai_shape(enum endpoint ep, json_t *body, bool stream)
{
	json_t *options;

	drop_other_cases(body);
	drop_template(body);
	if (ep == EP_EMBEDDINGS)
		json_put(body, "encoding_format", json_string("float"));
	if (ep == EP_IMAGES)
		json_put(body, "response_format", json_string("b64_json"));
	json_object_del(body, "stream_options");
	json_object_del(body, "stream");
	json_object_del(body, "n_predict"); /* llama.cpp's own: above max_tokens there */
	json_object_del(body, "n_cmpl");    /* its own n */
	if (!stream)
		return;
	options = json_object();
	json_put(options, "include_usage", json_true());
	json_put(body, "stream", json_true());
	json_put(body, "stream_options", options);
}
