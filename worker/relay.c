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
	size_t n;

	if (b64_check(o->ciphertext, &n) || n < TAG_BYTES)
		return ERR_NODE;
	return b64_check(o->nonce, &n) || n != NONCE_BYTES ? ERR_NODE : ERR_OK;
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
	if (check_signature(&o, rules) || check_receipt(&o, rules) ||
	    usage_take(&val[M_USAGE], o.usage, &o.has_usage))
		return ERR_NODE;
	*out = o;
	return ERR_OK;
}

/* name: the member's, with all that stands around it. */
static void build_string(struct slice name, struct slice v, struct buf *out)
{
	uint8_t *p;

	if (v.n == 0)
		return;
	buf_reserve(out, name.n + v.n + 1);
	p = out->p + out->n;
	memcpy(p, name.p, name.n);
	memcpy(p + name.n, v.p, v.n);
	p[name.n + v.n] = '"';
	out->n += name.n + v.n + 1;
}

void relay_build(const struct relay_object *o, struct buf *out)
{
	build_string(SLICE_STR("{\"ciphertext\":\""), o->ciphertext, out);
	build_string(SLICE_STR(",\"nonce\":\""), o->nonce, out);
	build_string(SLICE_STR(",\"response_hash\":\""), o->response_hash, out);
	build_string(SLICE_STR(",\"signature\":\""), o->signature, out);
	if (o->has_usage)
		usage_build(o->usage, out);
	build_string(SLICE_STR(",\"receipt\":\""), o->receipt, out);
	build_string(SLICE_STR(",\"receipt_signature\":\""), o->receipt_signature, out);
	buf_add(out, "}", 1);
}
