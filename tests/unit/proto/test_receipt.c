/* SPDX-License-Identifier: Apache-2.0
 *
 * Receipt, key statement and X-Sealway-Auth against vectors of an independent
 * implementation; every length, version and number out of range is refused.
 */
#include "tests/unit/vectors.h"

#include "common/b64.h"
#include "common/hash.h"
#include "proto/receipt.h"

static void assert_hash_of(const uint8_t got[32], struct slice s)
{
	uint8_t want[32];

	hash(want, s);
	assert_memory_equal(got, want, 32);
}

static void receipt_bytes(uint8_t raw[RECEIPT_BYTES])
{
	vb64(vget(vectors, "receipt"), "receipt_b64", raw, RECEIPT_BYTES);
}

static void statement_bytes(uint8_t raw[STATEMENT_BYTES])
{
	vb64(vget(vectors, "key_statement"), "key_statement_b64", raw, STATEMENT_BYTES);
}

static void auth_bytes(uint8_t raw[AUTH_BYTES])
{
	struct slice header = vtext(vget(vectors, "auth"), "header");

	assert_int_equal(header.p[B64_LEN(AUTH_BYTES)], '.');
	vraw_b64(slice_of(header.p, B64_LEN(AUTH_BYTES)), raw, AUTH_BYTES);
}

static void test_receipt_vector(void **state)
{
	json_t *v = vget(vectors, "receipt"), *seal = json_array_get(vget(vectors, "seal"), 1);
	uint8_t raw[RECEIPT_BYTES], again[RECEIPT_BYTES], want[32];
	struct receipt r;

	(void)state;
	receipt_bytes(raw);
	assert_int_equal(receipt_decode(slice_of(raw, sizeof(raw)), &r), ERR_OK);
	assert_int_equal(r.outcome, vnum(v, "outcome"));
	assert_int_equal(r.endpoint, vnum(v, "endpoint"));
	vhex(v, "request_id_hex", want, 16);
	assert_memory_equal(r.rid, want, 16);
	assert_int_equal(r.stack, vnum(v, "stack_small_id"));
	vb64(seal, "node_public_b64", want, 32);
	assert_memory_equal(r.node_key, want, 32);
	vb64(seal, "plaintext_body_hash_b64", want, 32);
	assert_memory_equal(r.plain_hash, want, 32);
	assert_hash_of(r.model_hash, vtext(v, "model"));
	vb64(v, "transcript_hash_b64", want, 32);
	assert_memory_equal(r.transcript, want, 32);
	assert_int_equal(r.chunks, vnum(v, "chunks"));
	assert_int_equal(r.prompt, vnum(v, "prompt_units"));
	assert_int_equal(r.completion, vnum(v, "completion_units"));
	assert_int_equal(r.unix_s, vnum(v, "unix_seconds"));
	receipt_encode(&r, again);
	assert_memory_equal(again, raw, sizeof(raw));
	/* what the last chunk carries is this receipt */
	assert_true(slice_eq(vtext(v, "receipt_b64"),
			     vtext(json_array_get(vget(vectors, "own_stream"), 2), "receipt_b64")));
}

static void test_statement_vector(void **state)
{
	json_t *v = vget(vectors, "key_statement"), *seal = json_array_get(vget(vectors, "seal"), 1);
	uint8_t raw[STATEMENT_BYTES], again[STATEMENT_BYTES], want[32];
	struct statement s;

	(void)state;
	statement_bytes(raw);
	assert_int_equal(statement_decode(slice_of(raw, sizeof(raw)), &s), ERR_OK);
	assert_int_equal(s.node, vnum(v, "node_small_id"));
	vb64(seal, "node_public_b64", want, 32);
	assert_memory_equal(s.node_key, want, 32);
	assert_int_equal(s.counter, vnum(v, "rotation_counter"));
	assert_int_equal(s.not_before, vnum(v, "not_before"));
	assert_int_equal(s.not_after, vnum(v, "not_after"));
	statement_encode(&s, again);
	assert_memory_equal(again, raw, sizeof(raw));
}

static void test_auth_vector(void **state)
{
	json_t *v = vget(vectors, "auth");
	uint8_t raw[AUTH_BYTES], again[AUTH_BYTES], want[16];
	struct authz a;

	(void)state;
	auth_bytes(raw);
	assert_int_equal(authz_decode(slice_of(raw, sizeof(raw)), &a), ERR_OK);
	vhex(v, "request_id", want, 16);
	assert_memory_equal(a.rid, want, 16);
	assert_int_equal(a.node, vnum(v, "node_small_id"));
	assert_int_equal(a.stack, vnum(v, "stack_small_id"));
	assert_int_equal(a.units, vnum(v, "units"));
	assert_hash_of(a.body_hash, vtext(v, "body_utf8"));
	assert_int_equal(a.not_after, vnum(v, "not_after"));
	authz_encode(&a, again);
	assert_memory_equal(again, raw, sizeof(raw));
}

/* One decode under test, told whether it took the bytes. */
static bool takes_receipt(struct slice s)
{
	struct receipt r = { .outcome = 99 };
	bool ok = receipt_decode(s, &r) == ERR_OK;

	assert_int_equal(r.outcome == 99, !ok); /* written on success only */
	return ok;
}

static bool takes_statement(struct slice s)
{
	struct statement m = { .node = UINT64_MAX };
	bool ok = statement_decode(s, &m) == ERR_OK;

	assert_int_equal(m.node == UINT64_MAX, !ok);
	return ok;
}

static bool takes_auth(struct slice s)
{
	struct authz m = { .node = UINT64_MAX };
	bool ok = authz_decode(s, &m) == ERR_OK;

	assert_int_equal(m.node == UINT64_MAX, !ok);
	return ok;
}

/* Every length but the right one, every version but 1. */
static void assert_strict(bool (*takes)(struct slice), uint8_t *raw, size_t n)
{
	uint8_t *longer = mem_new(n + 1);

	memcpy(longer, raw, n);
	for (size_t i = 0; i <= n + 1; i++) {
		uint8_t *exact = mem_new(i);

		memcpy(exact, longer, i);
		assert_int_equal(takes(slice_of(exact, i)), i == n);
		free(exact);
	}
	assert_false(takes(slice_of(NULL, 0)));
	for (int version = 0; version < 256; version++) {
		longer[0] = (uint8_t)version;
		assert_int_equal(takes(slice_of(longer, n)), version == 1);
	}
	free(longer);
}

/* The number of 8 bytes at this place may be 2^53 - 1 and no more. */
static void assert_bounded(bool (*takes)(struct slice), uint8_t *raw, size_t n, size_t at)
{
	uint64_t kept = get_be64(raw + at);

	put_be64(raw + at, ID_MAX);
	assert_true(takes(slice_of(raw, n)));
	put_be64(raw + at, ID_MAX + 1);
	assert_false(takes(slice_of(raw, n)));
	put_be64(raw + at, UINT64_MAX);
	assert_false(takes(slice_of(raw, n)));
	put_be64(raw + at, kept);
}

static void test_receipt_refused(void **state)
{
	static const size_t numbers[] = { 19, 159, 167, 175 };
	uint8_t raw[RECEIPT_BYTES];

	(void)state;
	receipt_bytes(raw);
	assert_strict(takes_receipt, raw, sizeof(raw));
	for (size_t i = 0; i < 4; i++)
		assert_bounded(takes_receipt, raw, sizeof(raw), numbers[i]);
	for (int v = 0; v < 256; v++) {
		raw[1] = (uint8_t)v;
		assert_int_equal(takes_receipt(slice_of(raw, sizeof(raw))), v <= 1);
	}
	raw[1] = 1;
	for (int v = 0; v < 256; v++) {
		raw[2] = (uint8_t)v;
		assert_int_equal(takes_receipt(slice_of(raw, sizeof(raw))), v >= 1 && v <= 4);
	}
}

static void test_statement_refused(void **state)
{
	uint8_t raw[STATEMENT_BYTES];
	struct statement s;

	(void)state;
	statement_bytes(raw);
	assert_strict(takes_statement, raw, sizeof(raw));
	assert_bounded(takes_statement, raw, sizeof(raw), 1);
	assert_bounded(takes_statement, raw, sizeof(raw), 41);
	assert_bounded(takes_statement, raw, sizeof(raw), 57);
	assert_int_equal(statement_decode(slice_of(raw, sizeof(raw)), &s), ERR_OK);
	s.not_before = s.not_after;
	statement_encode(&s, raw);
	assert_true(takes_statement(slice_of(raw, sizeof(raw))));
	s.not_before++;
	statement_encode(&s, raw);
	assert_false(takes_statement(slice_of(raw, sizeof(raw))));
	put_be64(raw + 49, ID_MAX + 1); /* not_before, with not_after as large */
	put_be64(raw + 57, ID_MAX + 1);
	assert_false(takes_statement(slice_of(raw, sizeof(raw))));
}

static void test_auth_refused(void **state)
{
	static const size_t numbers[] = { 17, 25, 33, 73 };
	uint8_t raw[AUTH_BYTES];

	(void)state;
	auth_bytes(raw);
	assert_strict(takes_auth, raw, sizeof(raw));
	for (size_t i = 0; i < 4; i++)
		assert_bounded(takes_auth, raw, sizeof(raw), numbers[i]);
}

/* Each byte of a layout means something: flipping it changes what is decoded,
 * and encoding again gives the flipped bytes. */
static void test_every_byte_counts(void **state)
{
	uint8_t raw[RECEIPT_BYTES], again[RECEIPT_BYTES];
	struct receipt r;

	(void)state;
	receipt_bytes(raw);
	for (size_t i = 3; i < sizeof(raw); i++) {
		raw[i] ^= 1;
		if (receipt_decode(slice_of(raw, sizeof(raw)), &r) == ERR_OK) {
			receipt_encode(&r, again);
			assert_memory_equal(again, raw, sizeof(raw));
		}
		raw[i] ^= 1;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_receipt_vector),    cmocka_unit_test(test_statement_vector),
		cmocka_unit_test(test_auth_vector),       cmocka_unit_test(test_receipt_refused),
		cmocka_unit_test(test_statement_refused), cmocka_unit_test(test_auth_refused),
		cmocka_unit_test(test_every_byte_counts),
	};

	return cmocka_run_group_tests(tests, vectors_setup, vectors_teardown);
}
