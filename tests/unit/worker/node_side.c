/* SPDX-License-Identifier: Apache-2.0
 *
 * The node's half of the worker's tests (node_side.h).
 */
#include "tests/unit/worker/node_side.h"

#include <string.h>

#include "common/b64.h"

#define MODEL "demo"

void node_side_init(struct node_side *n, uint8_t seed)
{
	uint8_t raw[32] = { seed };

	memset(n, 0, sizeof(*n));
	n->key = sign_key_new(raw);
	n->transcript = hash_new();
}

void node_side_fini(struct node_side *n)
{
	sign_key_free(n->key);
	hash_free(n->transcript);
}

struct work node_side_work(const struct node_side *n, uint8_t rid, bool stream)
{
	struct work w = {
		.epoch = 3,
		.attempt = 1,
		.topic = 77,
		.endpoint = EP_CHAT,
		.stream = stream,
		.user = 5,
		.stack = 42,
		.units = 1000,
		.model = SLICE_STR(MODEL),
		.node = 9,
		.receipt_required = true,
	};

	memset(w.rid, rid, sizeof(w.rid));
	memset(w.node_key, 0x11, sizeof(w.node_key));
	memset(w.plain_hash, 0x22, sizeof(w.plain_hash));
	memset(w.body_hash, 0x33, sizeof(w.body_hash));
	memcpy(w.sign_key, sign_key_public(n->key), sizeof(w.sign_key));
	return w;
}

static void object_hash(unsigned number, uint8_t out[HASH_BYTES])
{
	uint8_t raw[4];

	put_be32(raw, number);
	hash(out, slice_of(raw, sizeof(raw)));
}

void node_side_count(struct node_side *n)
{
	uint8_t h[HASH_BYTES];

	object_hash(n->objects++, h);
	hash_add(n->transcript, slice_of(h, sizeof(h)));
}

void node_side_receipt(struct node_side *n, const struct work *w, uint8_t outcome)
{
	struct receipt *r = &n->receipt;

	memset(r, 0, sizeof(*r));
	r->outcome = outcome;
	r->endpoint = endpoint_kind(w->endpoint);
	memcpy(r->rid, w->rid, sizeof(r->rid));
	r->stack = w->stack;
	memcpy(r->node_key, w->node_key, sizeof(r->node_key));
	memcpy(r->plain_hash, w->plain_hash, sizeof(r->plain_hash));
	hash(r->model_hash, w->model);
	hash_peek(n->transcript, r->transcript);
	r->chunks = n->objects;
	r->prompt = 7;
	r->completion = 16;
	r->unix_s = 1700000000;
}

static void put_b64(struct buf *out, const char *name, struct slice data)
{
	buf_fmt(out, "\"%s\":\"", name);
	b64_encode(out, data);
	buf_str(out, "\"");
}

static void put_receipt(struct node_side *n, const struct sign_key *by, struct buf *out)
{
	uint8_t raw[RECEIPT_BYTES];
	char signature[SIGN_B64];

	receipt_encode(&n->receipt, raw);
	sign_label(by ? by : n->key, RECEIPT_LABEL, slice_of(raw, sizeof(raw)), signature);
	put_b64(out, "receipt", slice_of(raw, sizeof(raw)));
	buf_str(out, ",\"receipt_signature\":\"");
	buf_add(out, signature, sizeof(signature));
	buf_str(out, "\"");
}

static void put_usage(const struct receipt *r, struct buf *out)
{
	buf_fmt(out, ",\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u,",
		(unsigned)r->prompt, (unsigned)r->completion, (unsigned)(r->prompt + r->completion));
	buf_str(out, "\"completion_tokens_details\":{\"accepted_prediction_tokens\":0,\"audio_tokens\":0,"
		     "\"reasoning_tokens\":0,\"rejected_prediction_tokens\":0},"
		     "\"prompt_tokens_details\":{\"audio_tokens\":0,\"cached_tokens\":0}}");
}

void node_side_object(struct node_side *n, const char *extra, bool sealed, const struct sign_key *by,
		      struct buf *out)
{
	uint8_t h[HASH_BYTES], nonce[12] = { 1, 2, 3 };
	char signature[SIGN_B64], text[64] = "ciphertext of an object, and its tag";

	/* The last object is counted before its receipt is made. */
	object_hash(sealed ? n->objects - 1 : n->objects, h);
	if (!sealed)
		node_side_count(n);
	sign_hash(n->key, h, signature);
	buf_str(out, "{");
	put_b64(out, "ciphertext", slice_of(text, sizeof(text)));
	buf_str(out, ",");
	put_b64(out, "nonce", slice_of(nonce, sizeof(nonce)));
	buf_str(out, ",");
	put_b64(out, "response_hash", slice_of(h, sizeof(h)));
	buf_str(out, ",\"signature\":\"");
	buf_add(out, signature, sizeof(signature));
	buf_str(out, "\"");
	buf_str(out, extra);
	if (sealed && !*extra)
		put_usage(&n->receipt, out);
	if (sealed) {
		buf_str(out, ",");
		put_receipt(n, by, out);
	}
	buf_str(out, "}");
}

void node_side_receipt_json(struct node_side *n, struct buf *out)
{
	buf_str(out, "{");
	put_receipt(n, NULL, out);
	buf_str(out, "}");
}
