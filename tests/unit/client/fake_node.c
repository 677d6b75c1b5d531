/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds what a node sends, by the same layouts that the client reads.
 */
#include "fake_node.h"

#include <inttypes.h>
#include <string.h>

#include "common/b64.h"

static uint64_t fake_clock(void)
{
	return FAKE_NOW + 2;
}

struct statement fake_statement_of(const struct fake_node *n)
{
	struct statement st = { .node = FAKE_NODE_ID,
				.counter = 3,
				.not_before = FAKE_NOW - 100,
				.not_after = FAKE_NOW + 86400 };

	memcpy(st.node_key, n->pub, KEY_BYTES);
	return st;
}

void fake_statement(struct fake_node *n, const struct statement *st)
{
	statement_encode(st, n->lock.statement);
	sign_label(n->sign, STATEMENT_LABEL, slice_of(n->lock.statement, STATEMENT_BYTES), n->lock.signature);
	n->lock.signature[SIGNATURE_TEXT - 1] = '\0';
}

void fake_node_init(struct fake_node *n)
{
	const uint8_t seed[32] = { 1, 2, 3 };
	struct statement st;

	memset(n, 0, sizeof(*n));
	n->sign = sign_key_new(seed);
	seal_keypair(n->pub, n->secret);
	n->lock = (struct node_lock){ .node = FAKE_NODE_ID, .stack = FAKE_STACK, .own = true };
	memcpy(n->lock.node_key, n->pub, KEY_BYTES);
	memcpy(n->lock.sign_key, sign_key_public(n->sign), KEY_BYTES);
	st = fake_statement_of(n);
	fake_statement(n, &st);
	memset(n->sealed.key, 0x5a, SEAL_KEY);
	seal_request_nonce(n->sealed.nonce);
	memset(n->sealed.plain_hash, 0x77, KEY_BYTES);
	seal_nonces_init(&n->nonces);
}

void fake_node_fini(struct fake_node *n)
{
	sign_key_free(n->sign);
	buf_free(&n->hashes);
}

static void put(struct buf *out, const char *name, const void *p, size_t n)
{
	buf_fmt(out, "\"%s\":\"", name);
	b64_encode(out, slice_of(p, n));
	buf_str(out, "\",");
}

void fake_lock_json(const struct fake_node *n, struct buf *out)
{
	buf_str(out, "{");
	put(out, "public_key", n->lock.node_key, KEY_BYTES);
	put(out, "node_signing_key", n->lock.sign_key, KEY_BYTES);
	put(out, "key_statement", n->lock.statement, STATEMENT_BYTES);
	buf_fmt(out,
		"\"key_signature\":\"%s\",\"node_small_id\":%" PRIu64 ",\"stack_entry_digest\":null,"
		"\"stack_small_id\":%" PRIu64 "}",
		n->lock.signature, n->lock.node, n->lock.stack);
}

static void put_receipt(struct fake_node *n, const struct fake_object *o, struct buf *out)
{
	struct receipt r = { .endpoint = 2,
			     .stack = FAKE_STACK,
			     .chunks = n->objects,
			     .prompt = o->prompt,
			     .completion = o->completion,
			     .unix_s = FAKE_NOW + 1 };
	uint8_t bytes[RECEIPT_BYTES];
	char signature[SIGNATURE_TEXT] = "";

	memset(r.rid, 9, RID_BYTES);
	memcpy(r.node_key, n->pub, KEY_BYTES);
	memcpy(r.plain_hash, n->sealed.plain_hash, KEY_BYTES);
	hash(r.model_hash, slice_str(FAKE_MODEL));
	hash(r.transcript, buf_slice(&n->hashes));
	if (o->spoil_receipt)
		o->spoil_receipt(&r);
	receipt_encode(&r, bytes);
	sign_label(o->receipt_signer ? o->receipt_signer : n->sign, RECEIPT_LABEL,
		   slice_of(bytes, sizeof(bytes)), signature);
	put(out, "receipt", bytes, sizeof(bytes));
	buf_fmt(out, "\"receipt_signature\":\"%s\",", signature);
}

void fake_object(struct fake_node *n, const struct fake_object *o, struct buf *out)
{
	struct buf plain = { 0 }, cipher = { 0 };
	uint8_t nonce[SEAL_NONCE], h[KEY_BYTES];
	char signature[SIGNATURE_TEXT] = "";

	buf_str(&plain, o->text);
	seal_pad(&plain);
	hash(h, buf_slice(&plain));
	if (seal_nonces_next(&n->nonces, o->final, nonce))
		mem_bug(__FILE__, __LINE__, "nonces are used up");
	seal_encrypt(n->sealed.key, nonce, buf_slice(&plain), &cipher);
	buf_add(&n->hashes, h, KEY_BYTES);
	n->objects++;
	sign_hash(o->signer ? o->signer : n->sign, h, signature);
	h[0] ^= o->wrong_hash;
	buf_str(out, "{");
	put(out, "ciphertext", cipher.p, cipher.n);
	if (!o->no_hash)
		put(out, "response_hash", h, KEY_BYTES);
	if (!o->no_signature)
		buf_fmt(out, "\"signature\":\"%s\",", signature);
	if ((o->final && !o->no_receipt) || o->receipt_early)
		put_receipt(n, o, out);
	if (o->final && !o->no_usage)
		buf_fmt(out,
			"\"usage\":{\"prompt_tokens\":%" PRIu64 ",\"completion_tokens\":%" PRIu64
			",\"total_tokens\":0},",
			o->prompt, o->completion);
	put(out, "nonce", nonce, SEAL_NONCE);
	out->p[out->n - 1] = '}';
	buf_free(&plain);
	buf_free(&cipher);
}

struct opener fake_opener(struct fake_node *n)
{
	return (struct opener){ .sealed = &n->sealed,
				.lock = &n->lock,
				.kind = SEALWAY_CHAT,
				.model = FAKE_MODEL,
				.now = FAKE_NOW,
				.clock = fake_clock };
}
