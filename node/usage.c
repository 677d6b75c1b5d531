/* SPDX-License-Identifier: Apache-2.0
 *
 * The published schema requires every member of `usage`, and official clients
 * validate against it, so all are always written.
 */
#include "node/usage.h"

#include "node/json.h"

static void put(json_t *o, const char *name, uint64_t v)
{
	json_put(o, name, json_integer((json_int_t)v));
}

json_t *usage_json(const struct usage *u)
{
	json_t *o = json_object(), *c = json_object(), *p = json_object();

	put(o, "prompt_tokens", u->prompt);
	put(o, "completion_tokens", u->completion);
	put(o, "total_tokens", u->prompt + u->completion);
	put(c, "accepted_prediction_tokens", u->accepted);
	put(c, "audio_tokens", u->audio_out);
	put(c, "reasoning_tokens", u->reasoning);
	put(c, "rejected_prediction_tokens", u->rejected);
	put(p, "audio_tokens", u->audio_in);
	put(p, "cached_tokens", u->cached);
	json_put(o, "completion_tokens_details", c);
	json_put(o, "prompt_tokens_details", p);
	return o;
}

static bool read_one(const json_t *o, const char *name, uint64_t *out)
{
	bool present;

	return json_member_u64(o, name, USAGE_MAX, &present, out) == ERR_OK && present;
}

void usage_read(const json_t *v, struct usage_said *said)
{
	const json_t *c = json_object_get(v, "completion_tokens_details");
	const json_t *p = json_object_get(v, "prompt_tokens_details");

	said->prompt |= read_one(v, "prompt_tokens", &said->n.prompt);
	said->completion |= read_one(v, "completion_tokens", &said->n.completion);
	read_one(c, "accepted_prediction_tokens", &said->n.accepted);
	read_one(c, "audio_tokens", &said->n.audio_out);
	read_one(c, "reasoning_tokens", &said->n.reasoning);
	read_one(c, "rejected_prediction_tokens", &said->n.rejected);
	read_one(p, "audio_tokens", &said->n.audio_in);
	read_one(p, "cached_tokens", &said->n.cached);
}

static void clamp(uint64_t *v, uint64_t max)
{
	if (*v > max)
		*v = max;
}

void usage_clamp(struct usage *u)
{
	clamp(&u->prompt, USAGE_MAX);
	clamp(&u->completion, USAGE_MAX - u->prompt); /* the total is bounded, too */
	clamp(&u->accepted, USAGE_MAX);
	clamp(&u->audio_out, USAGE_MAX);
	clamp(&u->reasoning, USAGE_MAX);
	clamp(&u->rejected, USAGE_MAX);
	clamp(&u->audio_in, USAGE_MAX);
	clamp(&u->cached, USAGE_MAX);
}
