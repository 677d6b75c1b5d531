/* SPDX-License-Identifier: Apache-2.0
 *
 * PROTOCOL section 4.5-4.8 and 7.  A nonce comes from seal_nonces and from
 * nowhere else, and the object is not sealed when there is none left, so none is
 * ever used twice under one key.  response_hash covers the padded bytes of a
 * sealed object, and the text of a plain one before hash, signature and receipt
 * were put behind its members.
 */
#include "node/respond.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/hash.h"
#include "node/json.h"
#include "node/usage.h"

struct response {
	const struct sign_key *sign;
	uint8_t key[SEAL_KEY];
	struct seal_nonces nonces;
	struct hash_state *transcript;
	struct receipt receipt; /* filled but for its ending */
	struct receipt_text text;
	bool sealed, stream, ended;
	char id[48];
	char *model;
	uint64_t created;
	struct buf plain; /* secret; reused from object to object */
};

static const char *const id_prefix[] = {
	[EP_COMPLETIONS] = "cmpl-", [EP_CHAT] = "chatcmpl-", [EP_EMBEDDINGS] = "embd-", [EP_IMAGES] = "img-"
};

static void make_id(struct response *r)
{
	uint8_t random[16];
	size_t n = strlen(id_prefix[r->receipt.endpoint]);

	memcpy(r->id, id_prefix[r->receipt.endpoint], n);
	randombytes_buf(random, sizeof(random));
	hex_put(r->id + n, random, sizeof(random));
}

struct response *response_new(const struct response_opts *o)
{
	struct response *r = mem_new(sizeof(*r));

	r->sign = o->sign;
	r->stream = o->stream;
	r->created = o->unix_s;
	r->sealed = o->key != NULL;
	if (r->sealed) {
		memcpy(r->key, o->key, sizeof(r->key));
		memcpy(r->receipt.node_key, o->node_key, KEY_BYTES);
		seal_nonces_init(&r->nonces);
	}
	r->transcript = hash_new();
	r->receipt.endpoint = (uint8_t)o->endpoint;
	r->receipt.stack = o->stack;
	memcpy(r->receipt.rid, o->rid, RID_BYTES);
	memcpy(r->receipt.plain_hash, o->plain_hash, KEY_BYTES);
	hash(r->receipt.model_hash, o->model);
	r->model = mem_strndup(o->model.p, o->model.n);
	r->plain.secret = true;
	make_id(r);
	return r;
}

void response_free(struct response *r)
{
	if (!r)
		return;
	hash_free(r->transcript);
	buf_free(&r->plain);
	free(r->model);
	mem_wipe(r, sizeof(*r));
	free(r);
}

static const char *object_name(const struct response *r)
{
	switch (r->receipt.endpoint) {
	case EP_COMPLETIONS:
		return "text_completion";
	case EP_CHAT:
		return r->stream ? "chat.completion.chunk" : "chat.completion";
	default:
		return "list";
	}
}

json_t *response_object(const struct response *r)
{
	json_t *o = json_object();

	json_put(o, "id", json_string(r->id));
	json_put(o, "created", json_integer((json_int_t)r->created));
	if (r->receipt.endpoint == EP_IMAGES)
		return o; /* OpenAI's image answers name neither object nor model */
	json_put(o, "object", json_string(object_name(r)));
	json_put(o, "model", json_string(r->model));
	return o;
}

static bool is_added(const struct response *r, const char *name)
{
	static const char *const added[] = { "response_hash", "signature", "receipt", "receipt_signature" };

	for (size_t i = 0; !r->sealed && i < sizeof(added) / sizeof(added[0]); i++) {
		if (strcmp(name, added[i]) == 0)
			return true;
	}
	return false;
}

void response_adopt(const struct response *r, json_t *o, const json_t *engine)
{
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)engine, name, v)
	{
		if (!json_object_get(o, name) && strcmp(name, "usage") != 0 && !is_added(r, name))
			json_object_set(o, name, v);
	}
}

static void make_receipt(struct response *r, const struct ending *end)
{
	uint8_t raw[RECEIPT_BYTES];

	r->receipt.outcome = end->outcome;
	r->receipt.prompt = end->used.prompt;
	r->receipt.completion = end->used.completion;
	r->receipt.unix_s = end->unix_s;
	hash_peek(r->transcript, r->receipt.transcript);
	receipt_encode(&r->receipt, raw);
	b64_put(r->text.receipt, raw, sizeof(raw));
	sign_label(r->sign, RECEIPT_LABEL, slice_of(raw, sizeof(raw)), r->text.signature);
	r->ended = true;
}

static void add_b64(struct buf *out, const char *name, struct slice bytes)
{
	buf_fmt(out, "\"%s\":\"", name);
	b64_encode(out, bytes);
	buf_str(out, "\"");
}

/* What every object has: its hash, and the signature over that. */
static void add_signed(struct response *r, struct buf *out)
{
	char signature[SIGN_B64];
	uint8_t h[HASH_BYTES];

	hash(h, buf_slice(&r->plain));
	hash_add(r->transcript, slice_of(h, sizeof(h)));
	r->receipt.chunks++;
	sign_hash(r->sign, h, signature);
	buf_str(out, ",");
	add_b64(out, "response_hash", slice_of(h, sizeof(h)));
	buf_fmt(out, ",\"signature\":\"%.*s\"", SIGN_B64, signature);
}

static void add_receipt(struct response *r, const struct ending *end, struct buf *out)
{
	make_receipt(r, end);
	buf_fmt(out, ",\"receipt\":\"%.*s\",\"receipt_signature\":\"%.*s\"", (int)sizeof(r->text.receipt),
		r->text.receipt, (int)sizeof(r->text.signature), r->text.signature);
}

static void add_usage(const struct ending *end, struct buf *out)
{
	json_t *usage = usage_json(&end->used);

	buf_str(out, ",\"usage\":");
	json_append(out, usage, 17);
	json_decref(usage);
}

static enum err add_sealed(struct response *r, bool last, struct buf *out)
{
	struct buf cipher = { 0 };
	uint8_t nonce[SEAL_NONCE];
	enum err e = seal_nonces_next(&r->nonces, last, nonce);

	if (e != ERR_OK)
		return e;
	seal_pad(&r->plain);
	seal_encrypt(r->key, nonce, buf_slice(&r->plain), &cipher);
	buf_str(out, "{");
	add_b64(out, "ciphertext", buf_slice(&cipher));
	buf_str(out, ",");
	add_b64(out, "nonce", slice_of(nonce, sizeof(nonce)));
	buf_free(&cipher);
	return ERR_OK;
}

enum err response_put(struct response *r, const json_t *plain, const struct ending *end, struct buf *out)
{
	if (r->ended || r->receipt.chunks == UINT32_MAX)
		return ERR_LIMIT;
	buf_reset(&r->plain);
	json_append(&r->plain, plain, r->receipt.endpoint == EP_EMBEDDINGS ? 9 : 17);
	if (!r->sealed)
		buf_add(out, r->plain.p, r->plain.n - 1); /* up to its closing brace; it has members */
	else if (add_sealed(r, end != NULL, out) != ERR_OK)
		return ERR_LIMIT;
	add_signed(r, out);
	if (end && r->sealed)
		add_usage(end, out);
	if (end)
		add_receipt(r, end, out);
	buf_str(out, "}");
	return ERR_OK;
}

void response_close(struct response *r, const struct ending *end)
{
	if (!r->ended)
		make_receipt(r, end);
}

const struct receipt_text *response_receipt(const struct response *r)
{
	return &r->text;
}

uint32_t response_chunks(const struct response *r)
{
	return r->receipt.chunks;
}
