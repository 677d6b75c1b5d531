/* SPDX-License-Identifier: Apache-2.0
 *
 * What a server's refusal means.  Nothing of its words goes further: they may quote
 * the prompt.
 */
#include "node/openai_error.h"

#include "node/json.h"

enum err openai_status_error(int status)
{
	switch (status) {
	case 400:
	case 413:
	case 422:
	case 501: /* a kind of request that its model does not do */
		return ERR_BODY;
	case 429:
		return ERR_RATE;
	case 503:
		return ERR_UNAVAILABLE;
	default:
		return ERR_ENGINE;
	}
}

enum err openai_result_error(enum upstream_result result)
{
	switch (result) {
	case UPSTREAM_CONNECT:
	case UPSTREAM_REFUSED:
		return ERR_UNAVAILABLE;
	case UPSTREAM_TIMEOUT:
		return ERR_TIMEOUT;
	default:
		return ERR_NODE;
	}
}

/* Servers put the status that came too late for the head into `code`; OpenAI has a word there. */
static enum err meaning(const json_t *error)
{
	const json_t *code = json_object_get(error, "code");
	struct slice type = json_text(json_object_get(error, "type"));

	if (json_is_integer(code)) {
		json_int_t v = json_integer_value(code);

		return v >= 400 && v <= 599 ? openai_status_error((int)v) : ERR_ENGINE;
	}
	return slice_is(type, "invalid_request_error") || slice_is(type, "BadRequestError") ? ERR_BODY
											    : ERR_ENGINE;
}

enum err openai_error_in(const json_t *object)
{
	const json_t *e = json_object_get(object, "error");

	if (e && !json_is_null(e))
		return meaning(e);
	return slice_is(json_text(json_object_get(object, "object")), "error") ? meaning(object) : ERR_OK;
}

enum err openai_error_event(struct slice data)
{
	json_t *o;
	enum err e;

	if (json_object_of(data, &o) != ERR_OK)
		return ERR_ENGINE;
	e = openai_error_in(o);
	if (e == ERR_OK)
		e = meaning(o);
	json_decref(o);
	return e;
}
