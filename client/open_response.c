/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening one sealed object (PROTOCOL section 4.5-4.8).  Order of the checks: place
 * in the answer, authenticity, response_hash, signature by the key on record,
 * and on the final object the receipt.  Foreign nodes (lock without statement)
 * only reach this with the caller's leave; they have no order and no receipt,
 * so of theirs only authenticity and what they volunteer is checked.
 */
#include "client/open_response.h"

#include <string.h>

#include "client/json.h"
#include "client/verify.h"
#include "common/sign.h"

#define CIPHER_BYTES_MAX (96u << 20)

enum { CIPHERTEXT, NONCE, HASH, SIGNATURE, USAGE, RECEIPT, RECEIPT_SIGNATURE, MEMBERS };

static const char *const members[MEMBERS] = {
	"ciphertext", "nonce", "response_hash", "signature", "usage", "receipt", "receipt_signature",
};

static bool check_place(struct opener *o, const uint8_t nonce[SEAL_NONCE], struct fault *f)
{
	const char *what = "not a nonce of ours";

	if (o->lock->own) {
		if (seal_order_next(&o->order, nonce, o->sealed->nonce, &what))
			return fault(f, SEALWAY_VERIFY, "the answer was tampered with on its way: %s", what);
		return true;
	}
	if (!memcmp(nonce, o->sealed->nonce, SEAL_NONCE))
		return fault(f, SEALWAY_VERIFY, "the answer is under the request's own nonce (a reflection)");
	return true;
}

static bool check_hash(const struct opener *o, const struct jval v[MEMBERS], struct slice plain,
		       uint8_t h[KEY_BYTES], struct fault *f)
{
	uint8_t claimed[KEY_BYTES];

	hash(h, plain);
	if (json_none(&v[HASH]) && !o->lock->own)
		return true;
	if (!json_bytes(&v[HASH], claimed, sizeof(claimed)))
		return fault(f, SEALWAY_VERIFY, "an object of the answer has no response_hash");
	if (memcmp(h, claimed, KEY_BYTES))
		return fault(f, SEALWAY_VERIFY, "response_hash is not the hash of what the object says");
	return true;
}

static bool check_signature(const struct opener *o, const struct jval v[MEMBERS], const uint8_t h[KEY_BYTES],
			    struct fault *f)
{
	char text[SIGNATURE_TEXT];
	enum err e;

	if (!o->lock->own) /* no key on record to check it against */
		return true;
	if (!json_text(&v[SIGNATURE], text, sizeof(text)))
		return fault(f, SEALWAY_VERIFY, "an object of the answer is not signed");
	e = sign_verify(slice_str(text), h, o->lock->sign_key);
	if (e == ERR_KEY)
		return fault(f, SEALWAY_VERIFY, "an object is signed by another key than the node's");
	if (e)
		return fault(f, SEALWAY_VERIFY, "an object's signature: %s", err_text(e));
	return true;
}

static bool take_receipt(struct opener *o, const struct jval v[MEMBERS], struct fault *f)
{
	struct proof *p = &o->proof;

	if (!o->order.ended) {
		if (json_none(&v[RECEIPT]))
			return true;
		return fault(f, SEALWAY_VERIFY, "a receipt came before the final object");
	}
	if (json_none(&v[RECEIPT]))
		return fault(f, SEALWAY_VERIFY, "the final object carries no receipt");
	if (!json_bytes(&v[RECEIPT], p->receipt, RECEIPT_BYTES) ||
	    !json_text(&v[RECEIPT_SIGNATURE], p->signature, SIGNATURE_TEXT))
		return fault(f, SEALWAY_VERIFY, "the receipt is malformed");
	return verify_receipt(o, &v[USAGE], f);
}

static void trim(struct buf *plain)
{
	while (plain->n && plain->p[plain->n - 1] == ' ')
		plain->n--;
}

static bool prove(struct opener *o, const struct jval v[MEMBERS], struct slice plain, struct fault *f)
{
	uint8_t h[KEY_BYTES];

	if (!check_hash(o, v, plain, h, f) || !check_signature(o, v, h, f))
		return false;
	if (jscan_object(plain, NULL, 0, NULL, NULL))
		return fault(f, SEALWAY_VERIFY, "an object of the answer holds no JSON object");
	o->objects++;
	if (!o->lock->own)
		return true;
	buf_add(&o->proof.hashes, h, KEY_BYTES);
	if (!take_receipt(o, v, f))
		return false;
	o->ended = o->order.ended;
	return true;
}

bool open_object(struct opener *o, struct slice json, struct buf *plain, struct fault *f)
{
	struct buf cipher = { 0 }, text = { .secret = true };
	uint8_t nonce[SEAL_NONCE];
	struct jval v[MEMBERS];
	bool ok;

	if (o->objects >= OBJECTS_MAX)
		return fault(f, SEALWAY_VERIFY, "the answer has more objects than any answer may have");
	if (!buf_room(&cipher, json.n) || !buf_room(&text, json.n) || !buf_room(plain, json.n)) {
		buf_free(&cipher);
		buf_free(&text);
		return fault_memory(f);
	}
	if (jscan_object(json, members, MEMBERS, v, NULL) || !json_bytes(&v[NONCE], nonce, SEAL_NONCE) ||
	    !json_data(&v[CIPHERTEXT], CIPHER_BYTES_MAX, &cipher)) {
		buf_free(&cipher);
		buf_free(&text);
		return fault(f, SEALWAY_VERIFY, "an object of the answer is malformed");
	}
	ok = check_place(o, nonce, f);
	if (ok && seal_decrypt(o->sealed->key, nonce, buf_slice(&cipher), &text))
		ok = fault(f, SEALWAY_VERIFY,
			   "an object of the answer does not open: changed on its way, or not sealed by this "
			   "node");
	ok = ok && prove(o, v, buf_slice(&text), f);
	if (ok) {
		trim(&text);
		buf_add(plain, text.p, text.n);
	}
	buf_free(&cipher);
	buf_free(&text);
	return ok;
}

bool open_finish(const struct opener *o, struct fault *f)
{
	if (!o->objects)
		return fault(f, SEALWAY_CUT, "the answer is empty");
	if (o->lock->own && !o->ended)
		return fault(f, SEALWAY_CUT,
			     "the stream ended without its final chunk: the answer is not complete");
	return true;
}

void open_free(struct opener *o)
{
	buf_free(&o->proof.hashes);
}
