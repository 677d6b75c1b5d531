/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing (PROTOCOL section 4.1-4.6).  The proxy sees H(plaintext); the random
 * member sealway_blind keeps that hash from being an oracle for short texts,
 * and the padding keeps the ciphertext's length from telling the text's.  The
 * caller's own bytes are kept as they are, behind the members we set.
 */
#include "client/seal_request.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "client/json.h"
#include "common/b64.h"
#include "common/hash.h"

#define BLIND_BYTES 24

enum { MODEL, STREAM, BLIND, MEMBERS };

static const char *const members[MEMBERS] = { "model", "stream", "sealway_blind" };

static bool agrees(const struct sealway_request *r, const struct jval v[MEMBERS], struct fault *f)
{
	char model[MODEL_BYTES_MAX + 1];

	if (v[MODEL].type != J_NONE &&
	    (!json_text(&v[MODEL], model, sizeof(model)) || strcmp(model, r->model)))
		return fault(f, SEALWAY_USAGE, "the request names another model than the one asked for");
	if (!json_none(&v[STREAM]) && v[STREAM].type != (r->stream ? J_TRUE : J_FALSE))
		return fault(f, SEALWAY_USAGE, "the request's \"stream\" is not what was asked for");
	if (v[BLIND].type != J_NONE)
		return fault(f, SEALWAY_USAGE, "the request may not have a member \"sealway_blind\"");
	return true;
}

static size_t skip_space(struct slice s, size_t i)
{
	while (i < s.n && strchr(" \t\r\n", s.p[i]) && s.p[i])
		i++;
	return i;
}

static void put_blind(struct buf *out)
{
	uint8_t blind[BLIND_BYTES];

	randombytes_buf(blind, sizeof(blind));
	buf_str(out, "{\"sealway_blind\":\"");
	b64_encode(out, slice_of(blind, sizeof(blind)));
	buf_str(out, "\"");
}

static bool read_members(const struct sealway_request *r, struct jval v[MEMBERS], struct fault *f)
{
	struct jscan_fault why = { .what = "not a JSON object" };

	if (jscan_object(slice_of(r->json, r->json_n), members, MEMBERS, v, &why))
		return fault(f, SEALWAY_USAGE, "the request is not a JSON object: %s at byte %zu", why.what,
			     why.at);
	return agrees(r, v, f);
}

bool seal_request_check(const struct sealway_request *r, struct fault *f)
{
	struct jval v[MEMBERS];

	if (!jscan_is_text(slice_str(r->model)))
		return fault(f, SEALWAY_USAGE, "the model's name is not UTF-8");
	return read_members(r, v, f);
}

bool seal_request_plain(const struct sealway_request *r, struct buf *out, struct fault *f)
{
	struct slice json = slice_of(r->json, r->json_n);
	struct jval v[MEMBERS];
	size_t i;

	if (!read_members(r, v, f))
		return false;
	put_blind(out);
	if (v[MODEL].type == J_NONE) {
		buf_str(out, ",\"model\":\"");
		buf_json(out, slice_str(r->model));
		buf_str(out, "\"");
	}
	if (v[STREAM].type == J_NONE && r->kind <= SEALWAY_CHAT)
		buf_str(out, r->stream ? ",\"stream\":true" : ",\"stream\":false");
	i = skip_space(json, skip_space(json, 0) + 1); /* behind the opening brace */
	if (json.p[i] != '}')
		buf_str(out, ",");
	buf_add(out, json.p + i, json.n - i);
	seal_pad(out);
	return true;
}

static void put_b64(struct buf *out, const char *name, const void *p, size_t n)
{
	buf_fmt(out, "\"%s\":\"", name);
	b64_encode(out, slice_of(p, n));
	buf_str(out, "\",");
}

static void put_body(const struct sealway_request *r, const struct node_lock *l, const struct sealed *s,
		     const uint8_t salt[SEAL_SALT], const uint8_t pub[SEAL_KEY], struct slice cipher,
		     struct buf *out)
{
	buf_str(out, "{");
	put_b64(out, "ciphertext", cipher.p, cipher.n);
	put_b64(out, "nonce", s->nonce, SEAL_NONCE);
	put_b64(out, "salt", salt, SEAL_SALT);
	put_b64(out, "client_dh_public_key", pub, SEAL_KEY);
	put_b64(out, "node_dh_public_key", l->node_key, KEY_BYTES);
	put_b64(out, "plaintext_body_hash", s->plain_hash, KEY_BYTES);
	buf_str(out, "\"model_name\":\"");
	buf_json(out, slice_str(r->model));
	buf_fmt(out, "\",\"stack_small_id\":%" PRIu64, l->stack);
	if (r->units)
		buf_fmt(out, ",\"num_compute_units\":%" PRIu64, r->units);
	buf_fmt(out, ",\"stream\":%s}", r->stream ? "true" : "false");
}

bool seal_request(const struct sealway_request *r, const struct node_lock *l, struct buf *out,
		  struct sealed *s, struct fault *f)
{
	uint8_t pub[SEAL_KEY], secret[SEAL_KEY], salt[SEAL_SALT];
	struct buf plain = { .secret = true }, cipher = { 0 };
	bool ok = seal_request_plain(r, &plain, f);

	seal_keypair(pub, secret);
	randombytes_buf(salt, sizeof(salt));
	seal_request_nonce(s->nonce);
	if (ok && seal_derive(secret, l->node_key, salt, s->key))
		ok = fault(f, SEALWAY_VERIFY, "the node's key is unusable");
	if (ok) {
		hash(s->plain_hash, buf_slice(&plain));
		seal_encrypt(s->key, s->nonce, buf_slice(&plain), &cipher);
		put_body(r, l, s, salt, pub, buf_slice(&cipher), out);
	}
	mem_wipe(secret, sizeof(secret));
	buf_free(&plain);
	buf_free(&cipher);
	return ok;
}

void sealed_wipe(struct sealed *s)
{
	mem_wipe(s, sizeof(*s));
}
