/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects of plain answers.  Any bytes: taken or refused, never misread.  Any
 * JSON object, signed as a node would: taken wherever the two members stand, and
 * what is left without them is the object to the byte.  The first byte chooses
 * the places.
 */
#include <string.h>

#include "common/b64.h"
#include "common/hash.h"
#include "worker/plain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OURS 7

static const char *const ours[] = { "response_hash", "signature", "receipt", "receipt_signature",
				    "error",         "usage",     "choices" };

/* The object may carry our members itself: then nothing can be said beforehand. */
static bool signable(struct slice text)
{
	struct jval v[OURS];

	if (text.n < 2 || text.p[0] != '{' || text.p[text.n - 1] != '}' ||
	    jscan_object(text, ours, OURS, v, NULL) != ERR_OK)
		return false;
	for (unsigned i = 0; i < OURS - 1; i++) { /* choices, once, are welcome */
		if (v[i].type != J_NONE)
			return false;
	}
	return true;
}

static bool is_empty(struct slice text)
{
	for (size_t i = 1; i + 1 < text.n; i++) {
		if (!strchr(" \n\r\t", text.p[i]))
			return false;
	}
	return true;
}

/* text with the two members behind the others, or before them. */
static void put(struct slice text, const char *hash_text, const char *signature, bool front, struct buf *out)
{
	struct buf two = { 0 };
	size_t at = front ? 1 : text.n - 1;

	buf_fmt(&two, "\"response_hash\":\"%.*s\",\"signature\" : \"%.*s\"", (int)B64_LEN(32), hash_text,
		SIGN_B64, signature);
	buf_add(out, text.p, at);
	if (!front && !is_empty(text))
		buf_str(out, ",");
	buf_add(out, two.p, two.n);
	if (front && !is_empty(text))
		buf_str(out, ",");
	buf_add(out, text.p + at, text.n - at);
	buf_free(&two);
}

static void signed_object(struct slice text, bool front)
{
	const uint8_t seed[32] = { 9 };
	struct sign_key *key = sign_key_new(seed);
	struct buf object = { 0 }, scratch = { 0 };
	uint8_t digest[HASH_BYTES];
	char hash_text[B64_LEN(32)], signature[SIGN_B64];
	struct plain_object o;

	hash(digest, text);
	b64_put(hash_text, digest, sizeof(digest));
	sign_hash(key, digest, signature);
	put(text, hash_text, signature, front, &object);
	BUG_ON(plain_parse(buf_slice(&object), sign_key_public(key), true, &scratch, &o) != ERR_OK);
	BUG_ON(!slice_eq(o.shown, buf_slice(&object)) || o.has_receipt || o.has_usage);
	BUG_ON(memcmp(o.hash, digest, sizeof(digest)) != 0);
	buf_free(&object);
	buf_free(&scratch);
	sign_key_free(key);
}

/* What is cut out leaves JSON behind, without those members. */
static void cut(struct slice text)
{
	static const char *const names[] = { "a", "b", "c", "d" };
	struct buf out = { 0 };
	struct jval v[4], left[4];

	if (jscan_object(text, names, 4, v, NULL) != ERR_OK)
		return;
	plain_without(text, v, 4, &out);
	BUG_ON(jscan_object(buf_slice(&out), names, 4, left, NULL) != ERR_OK);
	for (unsigned i = 0; i < 4; i++)
		BUG_ON(left[i].type != J_NONE);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t nobody[KEY_BYTES] = { 0 };
	struct buf scratch = { 0 };
	struct plain_object o;
	struct slice text;
	bool front;

	if (!size)
		return 0;
	front = data[0] & 1;
	text = slice_of(data + 1, size - 1);
	BUG_ON(plain_parse(text, nobody, true, &scratch, &o) == ERR_OK);
	cut(text);
	if (signable(text) && !(front && strchr(" \n\r\t", text.p[1])))
		signed_object(text, front);
	buf_free(&scratch);
	return 0;
}
