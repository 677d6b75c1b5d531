/* SPDX-License-Identifier: Apache-2.0
 *
 * Validation and rebuilding of a node's objects (PROTOCOL sections 3 and 4).
 * No byte of a node's own making reaches a client: base64 is checked and copied,
 * numbers are read and written again, the rest is left out.  Signatures are
 * compared by the key they claim, which is cheap and catches a foreign key;
 * whether they verify matters for the receipt (receipts.c), and for chunks if
 * asked for.
 */
#include "worker/relay.h"

#include <string.h>

#include "common/b64.h"
#include "common/jscan.h"
#include "common/sign.h"

#define NONCE_BYTES 12
#define TAG_BYTES 16

enum member { M_CIPHERTEXT, M_NONCE, M_HASH, M_SIGNATURE, M_USAGE, M_RECEIPT, M_RECEIPT_SIGNATURE, MEMBERS };

static const char *const names[MEMBERS] = {
	"ciphertext", "nonce", "response_hash", "signature", "usage", "receipt", "receipt_signature",
};

/* --- usage --- */

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

static enum err take_usage(const struct jval *v, struct relay_object *o)
{
	static const char *const top[] = { "prompt_tokens", "completion_tokens", "total_tokens",
					   "completion_tokens_details", "prompt_tokens_details" };
	static const char *const completion[] = { "accepted_prediction_tokens", "audio_tokens",
						  "reasoning_tokens", "rejected_prediction_tokens" };
	static const char *const prompt[] = { "audio_tokens", "cached_tokens" };
	struct jval val[5];

	if (v->type == J_NONE || v->type == J_NULL)
		return ERR_OK;
	if (v->type != J_OBJECT || jscan_object(v->raw, top, 5, val, NULL))
		return ERR_NODE;
	if (take_number(&val[0], &o->usage[USAGE_PROMPT]) ||
	    take_number(&val[1], &o->usage[USAGE_COMPLETION]))
		return ERR_NODE;
	if (take_total(&val[2], o->usage))
		return ERR_NODE;
	if (take_numbers(&val[3], completion, 4, &o->usage[USAGE_C_ACCEPTED]))
		return ERR_NODE;
	if (take_numbers(&val[4], prompt, 2, &o->usage[USAGE_P_AUDIO]))
		return ERR_NODE;
	o->has_usage = true;
	return ERR_OK;
}

static void build_usage(const uint64_t *u, struct buf *out)
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

/* --- the strings --- */

/* A string without escapes, where it lies or in scratch (which has the room). */
static enum err take_string(const struct jval *v, struct buf *scratch, struct slice *out)
{
	size_t at = scratch->n;

	if (v->type == J_NONE || v->type == J_NULL)
		return ERR_OK;
	if (v->type != J_STRING)
		return ERR_NODE;
	*out = v->raw;
	if (v->escaped) {
		jval_text(v, scratch);
		*out = slice_of(scratch->p + at, scratch->n - at);
	}
	return out->n ? ERR_OK : ERR_NODE;
}

static enum err take_strings(const struct jval *val, struct buf *scratch, struct relay_object *o)
{
	struct slice *const to[MEMBERS] = {
		[M_CIPHERTEXT] = &o->ciphertext, [M_NONCE] = &o->nonce,
		[M_HASH] = &o->response_hash,    [M_SIGNATURE] = &o->signature,
		[M_RECEIPT] = &o->receipt,       [M_RECEIPT_SIGNATURE] = &o->receipt_signature,
	};

	for (int i = 0; i < MEMBERS; i++) {
		if (to[i] && take_string(&val[i], scratch, to[i]))
			return ERR_NODE;
	}
	return ERR_OK;
}

static enum err check_sealed(const struct relay_object *o)
{
	uint8_t nonce[NONCE_BYTES];
	size_t n;

	if (b64_check(o->ciphertext, &n) || n < TAG_BYTES)
		return ERR_NODE;
	return b64_decode_exact(o->nonce, nonce, sizeof(nonce)) ? ERR_NODE : ERR_OK;
}

static enum err check_key(struct slice signature, const uint8_t *sign_key)
{
	uint8_t key[KEY_BYTES];

	if (sign_claimed_key(signature, key) || memcmp(key, sign_key, sizeof(key)) != 0)
		return ERR_NODE;
	return ERR_OK;
}

static enum err check_signature(struct relay_object *o, const struct relay_rules *rules)
{
	if (rules->ours && (o->response_hash.n == 0 || o->signature.n == 0))
		return ERR_NODE;
	if (o->response_hash.n && b64_decode_exact(o->response_hash, o->hash, sizeof(o->hash)))
		return ERR_NODE;
	if (o->signature.n == 0)
		return ERR_OK;
	if (check_key(o->signature, rules->sign_key))
		return ERR_NODE;
	if (rules->verify && (o->response_hash.n == 0 || sign_verify(o->signature, o->hash, rules->sign_key)))
		return ERR_NODE;
	return ERR_OK;
}

static enum err check_receipt(struct relay_object *o, const struct relay_rules *rules)
{
	if ((o->receipt.n == 0) != (o->receipt_signature.n == 0))
		return ERR_NODE;
	if (o->receipt.n == 0)
		return ERR_OK;
	if (b64_decode_exact(o->receipt, o->receipt_raw, sizeof(o->receipt_raw)))
		return ERR_NODE;
	return check_key(o->receipt_signature, rules->sign_key);
}

enum err relay_parse(struct slice json, const struct relay_rules *rules, struct buf *scratch,
		     struct relay_object *out)
{
	struct relay_object o = { 0 };
	struct jval val[MEMBERS];

	if (jscan_object(json, names, MEMBERS, val, NULL))
		return ERR_NODE;
	buf_reset(scratch);
	for (int i = 0; i < MEMBERS; i++) {
		if (val[i].escaped)
			buf_reserve(scratch, json.n); /* once for all: slices into it stay good */
	}
	if (take_strings(val, scratch, &o) || check_sealed(&o))
		return ERR_NODE;
	if (check_signature(&o, rules) || check_receipt(&o, rules) || take_usage(&val[M_USAGE], &o))
		return ERR_NODE;
	*out = o;
	return ERR_OK;
}

static void build_string(const char *name, struct slice v, struct buf *out)
{
	if (v.n == 0)
		return;
	buf_fmt(out, ",\"%s\":\"", name);
	buf_add(out, v.p, v.n);
	buf_add(out, "\"", 1);
}

void relay_build(const struct relay_object *o, struct buf *out)
{
	buf_str(out, "{\"ciphertext\":\"");
	buf_add(out, o->ciphertext.p, o->ciphertext.n);
	buf_add(out, "\"", 1);
	build_string("nonce", o->nonce, out);
	build_string("response_hash", o->response_hash, out);
	build_string("signature", o->signature, out);
	if (o->has_usage)
		build_usage(o->usage, out);
	build_string("receipt", o->receipt, out);
	build_string("receipt_signature", o->receipt_signature, out);
	buf_add(out, "}", 1);
}
