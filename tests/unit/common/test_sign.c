/* SPDX-License-Identifier: Apache-2.0
 *
 * Signatures in the form of PROTOCOL 4.7 against vectors of an independent
 * implementation: made, verified, and refused in every way they can be wrong.
 */
#include "tests/unit/vectors.h"

#include "common/b64.h"
#include "common/hash.h"
#include "common/sign.h"
#include "proto/receipt.h"

struct vector {
	uint8_t seed[32], key[32], hash[32];
	struct slice text;
};

static struct vector read_vector(size_t i)
{
	json_t *v = json_array_get(vget(vectors, "signature"), i);
	struct vector s = { .text = vtext(v, "signature_b64") };

	vhex(v, "seed_hex", s.seed, 32);
	vhex(v, "public_key_hex", s.key, 32);
	vb64(v, "hash_b64", s.hash, 32);
	return s;
}

static void test_vectors_make_and_verify(void **state)
{
	size_t i, n = json_array_size(vget(vectors, "signature"));

	(void)state;
	for (i = 0; i < n; i++) {
		struct vector s = read_vector(i);
		struct sign_key *k = sign_key_new(s.seed);
		char made[SIGN_B64], address[67];
		uint8_t claimed[32];

		assert_memory_equal(sign_key_public(k), s.key, 32);
		sign_hash(k, s.hash, made);
		assert_true(slice_eq(slice_of(made, SIGN_B64), s.text));
		assert_int_equal(sign_verify(s.text, s.hash, s.key), ERR_OK);
		assert_int_equal(sign_claimed_key(s.text, claimed), ERR_OK);
		assert_memory_equal(claimed, s.key, 32);
		sign_address(s.key, address);
		assert_true(slice_eq(slice_str(address),
				     vtext(json_array_get(vget(vectors, "signature"), i), "sui_address")));
		sign_key_free(k);
	}
	assert_int_equal(n, 3);
	sign_key_free(NULL);
}

static enum err wanted(const char *why)
{
	if (strcmp(why, "signature bit flipped") == 0 || strcmp(why, "hash does not match") == 0)
		return ERR_SIGNATURE;
	if (strcmp(why, "one byte short") == 0)
		return ERR_FORMAT;
	assert_non_null(strstr(why, "scheme"));
	return ERR_SCHEME;
}

static void test_vectors_rejected(void **state)
{
	struct vector s = read_vector(0);
	size_t i, tried = 0;
	json_t *v;

	(void)state;
	json_array_foreach(vget(vectors, "reject"), i, v)
	{
		const char *why = json_string_value(vget(v, "why"));
		uint8_t h[32];

		if (!json_object_get(v, "signature_b64"))
			continue;
		vb64(v, "hash_b64", h, 32);
		assert_int_equal(sign_verify(vtext(v, "signature_b64"), h, s.key), wanted(why));
		tried++;
	}
	assert_int_equal(tried, 6);
}

static void test_another_key_on_record(void **state)
{
	struct vector a = read_vector(0), b = read_vector(1);

	(void)state;
	assert_int_equal(sign_verify(a.text, a.hash, b.key), ERR_KEY);
	assert_int_equal(sign_verify(b.text, b.hash, a.key), ERR_KEY);
	a.key[31] ^= 1;
	assert_int_equal(sign_verify(a.text, a.hash, a.key), ERR_KEY);
}

/* A foreign signature with the right key written into it. */
static void test_key_swapped_inside(void **state)
{
	struct vector a = read_vector(0), b = read_vector(1);
	uint8_t raw[SIGN_BYTES];
	char text[SIGN_B64];

	(void)state;
	vraw_b64(b.text, raw, sizeof(raw));
	memcpy(raw + 65, a.key, 32);
	b64_put(text, raw, sizeof(raw));
	assert_int_equal(sign_verify(slice_of(text, SIGN_B64), b.hash, a.key), ERR_SIGNATURE);
}

static void test_every_flipped_bit(void **state)
{
	struct vector s = read_vector(2);
	uint8_t raw[SIGN_BYTES];
	char text[SIGN_B64];

	(void)state;
	vraw_b64(s.text, raw, sizeof(raw));
	for (size_t bit = 0; bit < sizeof(raw) * 8; bit++) {
		enum err want = bit < 8 ? ERR_SCHEME : bit < 65 * 8 ? ERR_SIGNATURE : ERR_KEY;

		raw[bit / 8] ^= (uint8_t)(1 << bit % 8);
		b64_put(text, raw, sizeof(raw));
		assert_int_equal(sign_verify(slice_of(text, SIGN_B64), s.hash, s.key), want);
		raw[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

/* S + L verifies under a lax check; ours is strict, so that a signature has one form. */
static void test_malleated(void **state)
{
	static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
					   0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10 };
	struct vector s = read_vector(0);
	uint8_t raw[SIGN_BYTES];
	char text[SIGN_B64];
	unsigned carry = 0;

	(void)state;
	vraw_b64(s.text, raw, sizeof(raw));
	for (int i = 0; i < 32; i++) {
		carry += raw[33 + i] + (unsigned)order[i];
		raw[33 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	b64_put(text, raw, sizeof(raw));
	assert_int_equal(sign_verify(slice_of(text, SIGN_B64), s.hash, s.key), ERR_SIGNATURE);
}

static void test_malformed(void **state)
{
	struct vector s = read_vector(0);
	uint8_t claimed[32] = { 9 };
	char text[SIGN_B64 + 4];

	(void)state;
	memcpy(text, s.text.p, SIGN_B64);
	memcpy(text + SIGN_B64, "AAAA", 4);
	for (size_t n = 0; n < sizeof(text); n++) {
		enum err want = n == SIGN_B64 ? ERR_OK : ERR_FORMAT;

		assert_int_equal(sign_verify(slice_of(text, n), s.hash, s.key), want);
	}
	text[50] = '-';
	assert_int_equal(sign_verify(slice_of(text, SIGN_B64), s.hash, s.key), ERR_FORMAT);
	assert_int_equal(sign_claimed_key(slice_of(text, SIGN_B64), claimed), ERR_FORMAT);
	assert_int_equal(claimed[0], 9);
	text[50] = (char)s.text.p[50];
	text[SIGN_B64 - 1] = 'A'; /* 98 bytes under flag 0x00 */
	assert_int_equal(sign_verify(slice_of(text, SIGN_B64), s.hash, s.key), ERR_FORMAT);
	text[0] = 'B'; /* flag 0x04 */
	text[SIGN_B64 - 1] = '=';
	assert_int_equal(sign_claimed_key(slice_of(text, SIGN_B64), claimed), ERR_SCHEME);
}

static void test_labels(void **state)
{
	struct vector s = read_vector(1);
	struct sign_key *k = sign_key_new(s.seed);
	struct slice data = SLICE_STR("data");
	char text[SIGN_B64];
	struct slice sig = slice_of(text, SIGN_B64);
	uint8_t h[32];

	(void)state;
	sign_label(k, "sealway-test-v1", data, text);
	assert_int_equal(sign_verify_label(sig, "sealway-test-v1", data, s.key), ERR_OK);
	assert_int_equal(sign_verify_label(sig, "sealway-test-v2", data, s.key), ERR_SIGNATURE);
	assert_int_equal(sign_verify_label(sig, "sealway-test-v1", SLICE_STR("datb"), s.key), ERR_SIGNATURE);
	assert_int_equal(sign_verify_label(sig, "sealway-test-v1", data, read_vector(0).key), ERR_KEY);
	hash(h, data);
	assert_int_equal(sign_verify(sig, h, s.key), ERR_SIGNATURE); /* not valid without the label */
	hash_label(h, "sealway-test-v1", data);
	assert_int_equal(sign_verify(sig, h, s.key), ERR_OK);
	sign_key_free(k);
}

/* The chunks' signatures, each over its own response_hash only. */
static void test_vectors_own_stream(void **state)
{
	json_t *chunks = vget(vectors, "own_stream"), *v;
	uint8_t key[32], h[32];
	size_t i;

	(void)state;
	vb64(vget(vectors, "key_statement"), "node_signing_key_b64", key, 32);
	json_array_foreach(chunks, i, v)
	{
		vb64(v, "response_hash_b64", h, 32);
		assert_int_equal(sign_verify(vtext(v, "signature_b64"), h, key), ERR_OK);
		vb64(json_array_get(chunks, (i + 1) % json_array_size(chunks)), "response_hash_b64", h, 32);
		assert_int_equal(sign_verify(vtext(v, "signature_b64"), h, key), ERR_SIGNATURE);
	}
	assert_int_equal(i, 3);
}

/* Labelled signatures of the vectors: each verifies under its own label only. */
static void assert_labelled(struct slice sig, const char *label, struct slice data, const uint8_t *key)
{
	static const char *const labels[] = { RECEIPT_LABEL, STATEMENT_LABEL, AUTH_LABEL, REGISTER_LABEL };

	for (size_t i = 0; i < 4; i++) {
		enum err want = strcmp(labels[i], label) == 0 ? ERR_OK : ERR_SIGNATURE;

		assert_int_equal(sign_verify_label(sig, labels[i], data, key), want);
	}
}

static void test_vectors_labelled(void **state)
{
	json_t *receipt = vget(vectors, "receipt"), *statement = vget(vectors, "key_statement");
	struct slice header = vtext(vget(vectors, "auth"), "header");
	uint8_t raw[RECEIPT_BYTES], key[32], want[32], got[32];

	(void)state;
	vb64(statement, "node_signing_key_b64", key, 32);
	vb64(receipt, "receipt_b64", raw, RECEIPT_BYTES);
	vb64(receipt, "signed_hash_b64", want, 32);
	hash_label(got, RECEIPT_LABEL, slice_of(raw, RECEIPT_BYTES));
	assert_memory_equal(got, want, 32);
	assert_labelled(vtext(receipt, "receipt_signature_b64"), RECEIPT_LABEL, slice_of(raw, RECEIPT_BYTES),
			key);
	vb64(statement, "key_statement_b64", raw, STATEMENT_BYTES);
	vb64(statement, "signed_hash_b64", want, 32);
	hash_label(got, STATEMENT_LABEL, slice_of(raw, STATEMENT_BYTES));
	assert_memory_equal(got, want, 32);
	assert_labelled(vtext(statement, "key_signature_b64"), STATEMENT_LABEL,
			slice_of(raw, STATEMENT_BYTES), key);
	assert_int_equal(header.n, B64_LEN(AUTH_BYTES) + 1 + SIGN_B64);
	vraw_b64(slice_of(header.p, B64_LEN(AUTH_BYTES)), raw, AUTH_BYTES);
	vb64(vget(vectors, "auth"), "proxy_auth_key_b64", key, 32);
	assert_labelled(slice_of(header.p + B64_LEN(AUTH_BYTES) + 1, SIGN_B64), AUTH_LABEL,
			slice_of(raw, AUTH_BYTES), key);
}

/* X-Signature: over the bare 32 bytes of plaintext_body_hash. */
static void test_vector_request_signature(void **state)
{
	json_t *v = vget(vectors, "request_signature");
	struct vector s = read_vector(1);
	struct sign_key *k = sign_key_new(s.seed);
	char made[SIGN_B64];
	uint8_t h[32];

	(void)state;
	vb64(v, "plaintext_body_hash_b64", h, 32);
	sign_hash(k, h, made);
	assert_true(slice_eq(slice_of(made, SIGN_B64), vtext(v, "x_signature")));
	assert_int_equal(sign_verify(vtext(v, "x_signature"), h, s.key), ERR_OK);
	h[0] ^= 1;
	assert_int_equal(sign_verify(vtext(v, "x_signature"), h, s.key), ERR_SIGNATURE);
	sign_key_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors_make_and_verify),
		cmocka_unit_test(test_vectors_rejected),
		cmocka_unit_test(test_another_key_on_record),
		cmocka_unit_test(test_key_swapped_inside),
		cmocka_unit_test(test_every_flipped_bit),
		cmocka_unit_test(test_malleated),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_vectors_own_stream),
		cmocka_unit_test(test_vectors_labelled),
		cmocka_unit_test(test_vector_request_signature),
	};

	return cmocka_run_group_tests(tests, vectors_setup, vectors_teardown);
}
