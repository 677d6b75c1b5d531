/* SPDX-License-Identifier: Apache-2.0
 *
 * The receipt file: everything a third party needs to check that this node
 * answered this request with these objects, with no network.  The chain is
 * node signing key -> key statement -> X25519 key -> receipt -> response hashes.
 * It holds hashes of what was said, so it is as private as the text.
 */
#include "client/receipt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/json.h"
#include "common/b64.h"
#include "common/sign.h"

#define STREAM_S 7200 /* a key goes on after its statement ended: overlap, and the longest stream */

static void put(struct buf *out, const char *name, const void *p, size_t n)
{
	buf_fmt(out, "  \"%s\": \"", name);
	b64_encode(out, slice_of(p, n));
	buf_str(out, "\",\n");
}

static void put_hashes(struct buf *out, const struct buf *hashes)
{
	buf_str(out, "  \"response_hashes\": [");
	for (size_t i = 0; i < hashes->n; i += KEY_BYTES) {
		buf_str(out, i ? ",\n    \"" : "\n    \"");
		b64_encode(out, slice_of(hashes->p + i, KEY_BYTES));
		buf_str(out, "\"");
	}
	buf_str(out, "\n  ]\n}\n");
}

void receipt_text(const struct opener *o, const char *origin, struct buf *out)
{
	const struct node_lock *l = o->lock;

	buf_str(out, "{\n  \"version\": 1,\n  \"gateway\": \"");
	buf_json(out, slice_str(origin));
	buf_str(out, "\",\n  \"model\": \"");
	buf_json(out, slice_str(o->model));
	buf_fmt(out, "\",\n  \"node_small_id\": %" PRIu64 ",\n", l->node);
	put(out, "node_signing_key", l->sign_key, KEY_BYTES);
	put(out, "key_statement", l->statement, STATEMENT_BYTES);
	buf_fmt(out, "  \"key_signature\": \"%s\",\n", l->signature);
	put(out, "receipt", o->proof.receipt, RECEIPT_BYTES);
	buf_fmt(out, "  \"receipt_signature\": \"%s\",\n", o->proof.signature);
	put(out, "plaintext_body_hash", o->sealed->plain_hash, KEY_BYTES);
	put_hashes(out, &o->proof.hashes);
}

enum {
	VERSION,
	MODEL,
	NODE,
	SIGN_KEY,
	STATEMENT,
	KEY_SIGNATURE,
	RECEIPT,
	SIGNATURE,
	PLAIN_HASH,
	HASHES,
	MEMBERS
};

static const char *const members[MEMBERS] = {
	"version",       "model",   "node_small_id",     "node_signing_key",    "key_statement",
	"key_signature", "receipt", "receipt_signature", "plaintext_body_hash", "response_hashes",
};

struct stored {
	struct node_lock lock;
	struct receipt r;
	struct statement st;
	uint8_t receipt[RECEIPT_BYTES], plain_hash[KEY_BYTES];
	char signature[SIGNATURE_TEXT], model[MODEL_BYTES_MAX + 1];
	struct buf hashes;
};

static bool bad(struct fault *f, const char *what)
{
	return fault(f, SEALWAY_VERIFY, "%s", what);
}

static bool read_hashes(const struct jval *v, struct buf *out)
{
	uint8_t h[KEY_BYTES];
	struct jval item;
	size_t pos = 0;

	if (v->type != J_ARRAY)
		return false;
	while (jarray_next(v->raw, &pos, &item)) {
		if (!json_bytes(&item, h, sizeof(h)))
			return false;
		buf_add(out, h, sizeof(h));
	}
	return out->n > 0;
}

static bool read_stored(struct slice json, struct stored *s, struct fault *f)
{
	struct jval v[MEMBERS];
	uint64_t version;

	if (jscan_object(json, members, MEMBERS, v, NULL) || !json_id(&v[VERSION], &version))
		return bad(f, "this is not a receipt file");
	if (version != 1)
		return bad(f, "this receipt file is of a version that this program does not know");
	s->lock.own = true;
	if (!json_text(&v[MODEL], s->model, sizeof(s->model)) || !json_id(&v[NODE], &s->lock.node) ||
	    !json_bytes(&v[SIGN_KEY], s->lock.sign_key, KEY_BYTES) ||
	    !json_bytes(&v[STATEMENT], s->lock.statement, STATEMENT_BYTES) ||
	    !json_text(&v[KEY_SIGNATURE], s->lock.signature, SIGNATURE_TEXT) ||
	    !json_bytes(&v[RECEIPT], s->receipt, RECEIPT_BYTES) ||
	    !json_text(&v[SIGNATURE], s->signature, SIGNATURE_TEXT) ||
	    !json_bytes(&v[PLAIN_HASH], s->plain_hash, KEY_BYTES) || !read_hashes(&v[HASHES], &s->hashes))
		return bad(f, "the receipt file is damaged: a member is missing or malformed");
	return true;
}

static bool check_key(const char *node_key, const struct stored *s, struct fault *f)
{
	uint8_t trusted[KEY_BYTES];

	if (!node_key)
		return true;
	if (b64_decode_exact(slice_str(node_key), trusted, KEY_BYTES))
		return bad(f, "the node key given is not base64 of 32 bytes");
	if (memcmp(trusted, s->lock.sign_key, KEY_BYTES))
		return bad(f, "the receipt was made by another node than the one with the key given");
	return true;
}

/* The statement is checked as of the receipt's own time: it may have expired long since. */
static bool check_chain(struct stored *s, struct fault *f)
{
	struct slice bytes = slice_of(s->receipt, RECEIPT_BYTES);

	if (sign_verify_label(slice_str(s->signature), RECEIPT_LABEL, bytes, s->lock.sign_key))
		return bad(f, "the receipt is not signed by the node's signing key");
	if (receipt_decode(bytes, &s->r) ||
	    statement_decode(slice_of(s->lock.statement, STATEMENT_BYTES), &s->st))
		return bad(f, "the receipt or the key statement is malformed, or newer than this program");
	memcpy(s->lock.node_key, s->r.node_key, KEY_BYTES);
	if (s->r.unix_s > s->st.not_after && s->r.unix_s <= s->st.not_after + STREAM_S)
		return lock_check_statement(&s->lock, s->st.not_after, f);
	return lock_check_statement(&s->lock, s->r.unix_s, f);
}

static bool check_content(const struct stored *s, struct fault *f)
{
	uint8_t h[KEY_BYTES];

	hash(h, slice_str(s->model));
	if (memcmp(h, s->r.model_hash, KEY_BYTES))
		return bad(f, "the receipt is for another model");
	if (memcmp(s->plain_hash, s->r.plain_hash, KEY_BYTES))
		return bad(f, "the receipt is for another request");
	hash(h, buf_slice(&s->hashes));
	if (memcmp(h, s->r.transcript, KEY_BYTES))
		return bad(f, "the receipt is for other objects than the hashes listed");
	if (s->r.chunks != s->hashes.n / KEY_BYTES)
		return bad(f, "the receipt counts another number of objects");
	return true;
}

static void tell(const struct stored *s, struct sealway_receipt_info *out)
{
	*out = (struct sealway_receipt_info){
		.node = s->lock.node,
		.stack = s->r.stack,
		.prompt = s->r.prompt,
		.completion = s->r.completion,
		.unix_s = s->r.unix_s,
		.kind = (enum sealway_kind)s->r.endpoint,
		.objects = s->r.chunks,
		.stopped = s->r.outcome != 0,
	};
	memcpy(out->model, s->model, sizeof(out->model));
	b64_put(out->node_key, s->lock.sign_key, KEY_BYTES);
	out->node_key[B64_LEN(KEY_BYTES)] = '\0';
}

bool sealway_receipt_verify(const char *json, size_t n, const char *node_key,
			    struct sealway_receipt_info *out, char *why, size_t why_n)
{
	struct fault f = { 0 };
	struct stored s = { 0 };
	bool ok = read_stored(slice_of(json, n), &s, &f) && check_key(node_key, &s, &f) &&
		  check_chain(&s, &f) && check_content(&s, &f);

	if (ok)
		tell(&s, out);
	snprintf(why, why_n, "%s", f.text);
	buf_free(&s.hashes);
	return ok;
}
