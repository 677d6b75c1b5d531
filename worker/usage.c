/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and writing usage (usage.h).  Numbers are read and written again, so
 * that nothing of a node's own making passes.
 */
#include "worker/usage.h"

#include <string.h>

static enum err take_number(const struct jval *v, uint64_t *out)
{
	*out = 0;
	if (v->type == J_NONE || v->type == J_NULL)
		return ERR_OK;
	return jval_u64(v, USAGE_MAX, out) ? ERR_NODE : ERR_OK;
}

/* n numbers of an object that may be absent or null, into out[0..n). */
static enum err take_numbers(const struct jval *v, const char *const *keys, size_t n, uint64_t *out)
{
	struct jval val[4] = { 0 };

	if (v->type == J_OBJECT) {
		if (jscan_object(v->raw, keys, n, val, NULL))
			return ERR_NODE;
	} else if (v->type != J_NONE && v->type != J_NULL) {
		return ERR_NODE;
	}
	for (size_t i = 0; i < n; i++) {
		if (take_number(&val[i], &out[i]))
			return ERR_NODE;
	}
	return ERR_OK;
}

static enum err take_total(const struct jval *v, uint64_t *usage)
{
	if (v->type != J_NONE && v->type != J_NULL)
		return take_number(v, &usage[USAGE_TOTAL]);
	usage[USAGE_TOTAL] = usage[USAGE_PROMPT] + usage[USAGE_COMPLETION];
	return usage[USAGE_TOTAL] > USAGE_MAX ? ERR_NODE : ERR_OK;
}

enum err usage_take(const struct jval *v, uint64_t usage[USAGE_MEMBERS], bool *has)
{
	static const char *const top[] = { "prompt_tokens", "completion_tokens", "total_tokens",
					   "completion_tokens_details", "prompt_tokens_details" };
	static const char *const completion[] = { "accepted_prediction_tokens", "audio_tokens",
						  "reasoning_tokens", "rejected_prediction_tokens" };
	static const char *const prompt[] = { "audio_tokens", "cached_tokens" };
	struct jval val[5];

	*has = false;
	memset(usage, 0, USAGE_MEMBERS * sizeof(*usage));
	if (v->type == J_NONE || v->type == J_NULL)
		return ERR_OK;
	if (v->type != J_OBJECT || jscan_object(v->raw, top, 5, val, NULL))
		return ERR_NODE;
	if (take_number(&val[0], &usage[USAGE_PROMPT]) || take_number(&val[1], &usage[USAGE_COMPLETION]))
		return ERR_NODE;
	if (take_total(&val[2], usage))
		return ERR_NODE;
	if (take_numbers(&val[3], completion, 4, &usage[USAGE_C_ACCEPTED]))
		return ERR_NODE;
	if (take_numbers(&val[4], prompt, 2, &usage[USAGE_P_AUDIO]))
		return ERR_NODE;
	*has = true;
	return ERR_OK;
}

void usage_build(const uint64_t u[USAGE_MEMBERS], struct buf *out)
{
	unsigned v[USAGE_MEMBERS];

	for (int i = 0; i < USAGE_MEMBERS; i++)
		v[i] = (unsigned)u[i];
	buf_fmt(out, ",\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u,",
		v[USAGE_PROMPT], v[USAGE_COMPLETION], v[USAGE_TOTAL]);
	buf_fmt(out, "\"completion_tokens_details\":{\"accepted_prediction_tokens\":%u,\"audio_tokens\":%u,",
		v[USAGE_C_ACCEPTED], v[USAGE_C_AUDIO]);
	buf_fmt(out, "\"reasoning_tokens\":%u,\"rejected_prediction_tokens\":%u},", v[USAGE_C_REASONING],
		v[USAGE_C_REJECTED]);
	buf_fmt(out, "\"prompt_tokens_details\":{\"audio_tokens\":%u,\"cached_tokens\":%u}}",
		v[USAGE_P_AUDIO], v[USAGE_P_CACHED]);
}
