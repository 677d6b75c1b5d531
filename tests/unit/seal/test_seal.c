/* SPDX-License-Identifier: Apache-2.0
 *
 * common/seal against vectors of an independent implementation, and against
 * everything a proxy or a foreign node could do to keys, tags and nonces.
 */
#include "tests/unit/vectors.h"

#include "common/hash.h"
#include "common/seal/seal.h"

struct fixture {
	uint8_t client_secret[32], client_public[32], node_secret[32], node_public[32], salt[16], key[32];
};

static void read_keys(json_t *v, struct fixture *f)
{
	vhex(v, "client_private_hex", f->client_secret, 32);
	vb64(v, "client_public_b64", f->client_public, 32);
	vhex(v, "node_private_hex", f->node_secret, 32);
	vb64(v, "node_public_b64", f->node_public, 32);
	vb64(v, "salt_b64", f->salt, 16);
	vhex(v, "key_hex", f->key, 32);
}

static struct fixture sealed_under(size_t i)
{
	struct fixture f;

	read_keys(json_array_get(vget(vectors, "seal"), i), &f);
	return f;
}

/* The plaintext of a seal vector; the long one stands there as a rule. */
static struct buf plain_of(json_t *v)
{
	struct buf b = { 0 };

	if (json_object_get(v, "plaintext_utf8")) {
		struct slice t = vtext(v, "plaintext_utf8");

		buf_add(&b, t.p, t.n);
		return b;
	}
	assert_string_equal(json_string_value(vget(v, "plaintext_generator")),
			    "{\"model\":\"m\",\"prompt\":\"x\" repeated 70000 times,\"temperature\":0.7}");
	buf_str(&b, "{\"model\":\"m\",\"prompt\":\"");
	for (int i = 0; i < 70000; i++)
		buf_str(&b, "x");
	buf_str(&b, "\",\"temperature\":0.7}");
	return b;
}

static void assert_sha256(struct slice s, json_t *v, const char *name)
{
	uint8_t want[32], got[32];

	vhex(v, name, want, 32);
	crypto_hash_sha256(got, s.p, s.n);
	assert_memory_equal(got, want, 32);
}

static void assert_hash(struct slice s, json_t *v, const char *name)
{
	uint8_t want[32], got[32];

	vb64(v, name, want, 32);
	hash(got, s);
	assert_memory_equal(got, want, 32);
}

static void test_vectors_derive(void **state)
{
	size_t i;
	json_t *v;

	(void)state;
	json_array_foreach(vget(vectors, "seal"), i, v)
	{
		struct fixture f;
		uint8_t key[32];

		read_keys(v, &f);
		seal_public(f.client_secret, key);
		assert_memory_equal(key, f.client_public, 32);
		seal_public(f.node_secret, key);
		assert_memory_equal(key, f.node_public, 32);
		assert_int_equal(seal_derive(f.client_secret, f.node_public, f.salt, key), ERR_OK);
		assert_memory_equal(key, f.key, 32);
		assert_int_equal(seal_derive(f.node_secret, f.client_public, f.salt, key), ERR_OK);
		assert_memory_equal(key, f.key, 32);
	}
	assert_int_equal(i, 4);
}

static void test_vectors_seal_and_open(void **state)
{
	size_t i;
	json_t *v;

	(void)state;
	json_array_foreach(vget(vectors, "seal"), i, v)
	{
		struct buf plain = plain_of(v), sealed = { 0 }, opened = { .secret = true };
		uint8_t nonce[12];
		struct fixture f;

		read_keys(v, &f);
		vb64(v, "nonce_b64", nonce, 12);
		assert_sha256(buf_slice(&plain), v, "plaintext_sha256_hex");
		assert_hash(buf_slice(&plain), v, "plaintext_body_hash_b64");
		buf_str(&sealed, "before");
		seal_encrypt(f.key, nonce, buf_slice(&plain), &sealed);
		assert_int_equal(sealed.n, 6 + plain.n + 16);
		assert_memory_equal(sealed.p, "before", 6);
		assert_sha256(slice_of(sealed.p + 6, sealed.n - 6), v, "ciphertext_sha256_hex");
		if (json_object_get(v, "ciphertext_b64")) {
			struct buf want = vbuf_b64(v, "ciphertext_b64");

			assert_true(slice_eq(slice_of(sealed.p + 6, sealed.n - 6), buf_slice(&want)));
			buf_free(&want);
		}
		buf_str(&opened, "x");
		assert_int_equal(seal_decrypt(f.key, nonce, slice_of(sealed.p + 6, sealed.n - 6), &opened),
				 ERR_OK);
		assert_true(slice_eq(slice_of(opened.p + 1, opened.n - 1), buf_slice(&plain)));
		buf_free(&plain);
		buf_free(&sealed);
		buf_free(&opened);
	}
}

/* Opens a stream's chunk and checks plaintext and hash; free the result. */
static struct buf open_chunk(const struct fixture *f, json_t *v)
{
	struct buf sealed = vbuf_b64(v, "ciphertext_b64"), opened = { .secret = true };
	uint8_t nonce[12];

	vb64(v, "nonce_b64", nonce, 12);
	assert_int_equal(seal_decrypt(f->key, nonce, buf_slice(&sealed), &opened), ERR_OK);
	assert_true(slice_eq(buf_slice(&opened), vtext(v, "plaintext_utf8")));
	assert_hash(buf_slice(&opened), v, "response_hash_b64");
	buf_free(&sealed);
	return opened;
}

static void test_vectors_foreign_stream(void **state)
{
	static const uint8_t sent[12] = { [11] = 9 };
	struct fixture f = sealed_under(1);
	struct seal_order order = { 0 };
	size_t i;
	json_t *v;

	(void)state;
	json_array_foreach(vget(vectors, "foreign_stream"), i, v)
	{
		struct buf opened = open_chunk(&f, v);
		const char *what = NULL;
		uint8_t nonce[12];

		vb64(v, "nonce_b64", nonce, 12);
		assert_int_equal(seal_order_next(&order, nonce, sent, &what), ERR_FORMAT);
		assert_string_equal(what, "not a nonce of ours");
		buf_free(&opened);
	}
	assert_int_equal(i, 3);
	assert_false(order.begun);
}

static void test_vectors_own_stream(void **state)
{
	struct fixture f = sealed_under(1);
	json_t *v, *chunks = vget(vectors, "own_stream");
	struct seal_nonces make = { 0 };
	uint8_t nonce[12], want[12];
	size_t i;

	(void)state;
	vb64(json_array_get(chunks, 0), "nonce_b64", nonce, 12);
	memcpy(make.prefix, nonce, 7);
	json_array_foreach(chunks, i, v)
	{
		struct buf opened = open_chunk(&f, v), again = { 0 }, sealed = vbuf_b64(v, "ciphertext_b64");

		assert_int_equal(opened.n % SEAL_PAD, 0);
		vb64(v, "nonce_b64", want, 12);
		assert_int_equal(seal_nonces_next(&make, i + 1 == json_array_size(chunks), nonce), ERR_OK);
		assert_memory_equal(nonce, want, 12);
		seal_encrypt(f.key, nonce, buf_slice(&opened), &again);
		assert_true(slice_eq(buf_slice(&again), buf_slice(&sealed)));
		buf_free(&opened);
		buf_free(&again);
		buf_free(&sealed);
	}
	assert_int_equal(i, 3);
	assert_int_equal(seal_nonces_next(&make, false, nonce), ERR_LIMIT);
}

/* Feeds the chunks of own_stream in the order given; NULL when all were
 * accepted and the last was final, else the complaint. */
static const char *feed(const int *order, size_t n)
{
	json_t *chunks = vget(vectors, "own_stream");
	struct seal_order o = { 0 };
	const char *what = NULL;
	uint8_t nonce[12], sent[12];

	vb64(json_array_get(vget(vectors, "seal"), 1), "nonce_b64", sent, 12);
	for (size_t i = 0; i < n; i++) {
		vb64(json_array_get(chunks, (size_t)order[i]), "nonce_b64", nonce, 12);
		if (seal_order_next(&o, nonce, sent, &what) != ERR_OK)
			return what;
	}
	return o.ended ? NULL : "cut";
}

static void test_order(void **state)
{
	static const struct {
		int order[6];
		size_t n;
		const char *what;
	} cases[] = {
		{ { 0, 1, 2 }, 3, NULL },
		{ { 1, 2 }, 2, "a chunk is missing" },
		{ { 0, 2 }, 2, "a chunk is missing" },
		{ { 2 }, 1, "a chunk is missing" },
		{ { 0, 1 }, 2, "cut" },
		{ { 0 }, 1, "cut" },
		{ { 0 }, 0, "cut" },
		{ { 0, 0, 1, 2 }, 4, "a chunk came twice" },
		{ { 0, 1, 1, 2 }, 4, "a chunk came twice" },
		{ { 0, 1, 0, 2 }, 4, "a chunk came twice" },
		{ { 0, 1, 2, 2 }, 4, "a chunk came after the final one" },
		{ { 0, 1, 2, 0, 1, 2 }, 6, "a chunk came after the final one" },
		{ { 1, 0, 2 }, 3, "a chunk is missing" },
		{ { 0, 2, 1 }, 3, "a chunk is missing" },
		{ { 2, 1, 0 }, 3, "a chunk is missing" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *what = feed(cases[i].order, cases[i].n);

		if (!cases[i].what)
			assert_null(what);
		else
			assert_string_equal(what, cases[i].what);
	}
}

static void test_order_hostile_nonces(void **state)
{
	struct seal_order o = { 0 }, before;
	const uint8_t sent[12] = { 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 1, 0 };
	uint8_t n[12] = { 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0 };
	const char *what = NULL;

	(void)state;
	assert_int_equal(seal_order_next(&o, n, sent, &what), ERR_OK);
	before = o;
	assert_int_equal(seal_order_next(&o, sent, sent, &what), ERR_FORMAT);
	assert_string_equal(what, "the request's own nonce came back");
	n[10] = 1;
	n[11] = 2;
	assert_int_equal(seal_order_next(&o, n, sent, &what), ERR_FORMAT);
	assert_string_equal(what, "not a nonce of ours");
	n[11] = 1;
	n[0] ^= 1;
	assert_int_equal(seal_order_next(&o, n, sent, &what), ERR_FORMAT);
	assert_string_equal(what, "not a nonce of ours");
	n[0] ^= 1;
	n[6] ^= 1;
	assert_int_equal(seal_order_next(&o, n, sent, &what), ERR_FORMAT);
	n[6] ^= 1;
	memset(n + 7, 0xff, 4);
	assert_int_equal(seal_order_next(&o, n, sent, &what), ERR_FORMAT);
	assert_memory_equal(&o, &before, sizeof(o)); /* a refusal changes nothing */
	n[7] = n[8] = n[9] = 0;
	n[10] = 1;
	assert_int_equal(seal_order_next(&o, n, sent, &what), ERR_OK);
	assert_true(o.ended);
}

static void test_nonces_never_repeat(void **state)
{
	struct seal_nonces s, t;
	uint8_t a[12], b[12];

	(void)state;
	seal_nonces_init(&s);
	seal_nonces_init(&t);
	assert_memory_not_equal(s.prefix, t.prefix, 7);
	assert_int_equal(seal_nonces_next(&s, false, a), ERR_OK);
	assert_int_equal(seal_nonces_next(&s, false, b), ERR_OK);
	assert_memory_not_equal(a, b, 12);
	assert_int_equal(a[11], 0);
	s.next = UINT32_MAX - 1;
	assert_int_equal(seal_nonces_next(&s, false, a), ERR_OK);
	memcpy(b, a, 12);
	assert_int_equal(seal_nonces_next(&s, true, a), ERR_LIMIT);
	assert_memory_equal(a, b, 12);
	assert_int_equal(seal_nonces_next(&t, true, a), ERR_OK);
	assert_int_equal(a[11], 1);
	assert_int_equal(seal_nonces_next(&t, true, a), ERR_LIMIT);
}

static void test_request_nonce_is_none_of_a_response(void **state)
{
	unsigned seen[256] = { 0 };

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint8_t n[12];

		seal_request_nonce(n);
		seen[n[11]]++;
	}
	assert_int_equal(seen[0] + seen[1], 0);
	for (int i = 2; i < 256; i++)
		assert_true(seen[i] > 0);
}

static void test_rejected_keys(void **state)
{
	struct fixture f = sealed_under(0);
	size_t i, tried = 0;
	json_t *v;

	(void)state;
	json_array_foreach(vget(vectors, "reject"), i, v)
	{
		uint8_t peer[32], key[32] = { 7 }, before[32] = { 7 };

		if (!json_object_get(v, "public_b64"))
			continue;
		vb64(v, "public_b64", peer, 32);
		assert_int_equal(seal_derive(f.node_secret, peer, f.salt, key), ERR_KEY);
		assert_memory_equal(key, before, 32);
		tried++;
	}
	assert_int_equal(tried, 3);
}

/* The small-order points in every encoding (cr.yp.to/ecdh.html). */
static void test_small_order_keys(void **state)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	struct fixture f = sealed_under(2);
	uint8_t peer[32], key[32];

	(void)state;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		assert_int_equal(sodium_hex2bin(peer, 32, points[i], 64, NULL, NULL, NULL), 0);
		assert_int_equal(seal_derive(f.node_secret, peer, f.salt, key), ERR_KEY);
		peer[31] |= 0x80;
		assert_int_equal(seal_derive(f.node_secret, peer, f.salt, key), ERR_KEY);
	}
}

static void test_rejected_tag(void **state)
{
	struct buf opened = { .secret = true }, sealed;
	uint8_t key[32], nonce[12];
	size_t i, tried = 0;
	json_t *v;

	(void)state;
	buf_str(&opened, "kept");
	json_array_foreach(vget(vectors, "reject"), i, v)
	{
		if (!json_object_get(v, "ciphertext_b64"))
			continue;
		vhex(v, "key_hex", key, 32);
		vb64(v, "nonce_b64", nonce, 12);
		sealed = vbuf_b64(v, "ciphertext_b64");
		assert_int_equal(seal_decrypt(key, nonce, buf_slice(&sealed), &opened), ERR_CRYPTO);
		sealed.p[sealed.n - 1] ^= 1; /* the flip undone: the refusal was the tag's */
		assert_int_equal(seal_decrypt(key, nonce, buf_slice(&sealed), &opened), ERR_OK);
		buf_free(&sealed);
		tried++;
	}
	assert_int_equal(tried, 1);
	assert_memory_equal(opened.p, "kept{", 5);
	buf_free(&opened);
}

static void assert_refused(const uint8_t *key, const uint8_t *nonce, struct slice sealed)
{
	struct buf opened = { .secret = true };

	assert_int_equal(seal_decrypt(key, nonce, sealed, &opened), ERR_CRYPTO);
	assert_int_equal(opened.n, 0);
	for (size_t i = 0; i < opened.cap && sealed.n > 16 && i < sealed.n - 16; i++)
		assert_int_equal(opened.p[i], 0); /* nothing of the plaintext stays behind */
	buf_free(&opened);
}

static void test_every_flipped_bit_is_refused(void **state)
{
	uint8_t key[32] = { 1 }, nonce[12] = { 2 };
	struct buf sealed = { 0 };

	(void)state;
	seal_encrypt(key, nonce, SLICE_STR("attack at dawn"), &sealed);
	for (size_t bit = 0; bit < sealed.n * 8; bit++) {
		sealed.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_refused(key, nonce, buf_slice(&sealed));
		sealed.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n < sealed.n; n++)
		assert_refused(key, nonce, slice_of(sealed.p, n));
	nonce[11] ^= 1;
	assert_refused(key, nonce, buf_slice(&sealed));
	nonce[11] ^= 1;
	key[0] ^= 1;
	assert_refused(key, nonce, buf_slice(&sealed));
	buf_free(&sealed);
}

static void test_empty_plaintext(void **state)
{
	uint8_t key[32] = { 1 }, nonce[12] = { 2 };
	struct buf sealed = { 0 }, opened = { 0 };

	(void)state;
	seal_encrypt(key, nonce, slice_of(NULL, 0), &sealed);
	assert_int_equal(sealed.n, SEAL_TAG);
	assert_int_equal(seal_decrypt(key, nonce, buf_slice(&sealed), &opened), ERR_OK);
	assert_int_equal(opened.n, 0);
	assert_int_equal(seal_decrypt(key, nonce, slice_of(NULL, 0), &opened), ERR_CRYPTO);
	buf_free(&sealed);
	buf_free(&opened);
}

static void test_keypair(void **state)
{
	uint8_t pub[32], secret[32], again[32], pub2[32], secret2[32], salt[16] = { 3 }, a[32], b[32];

	(void)state;
	seal_keypair(pub, secret);
	seal_keypair(pub2, secret2);
	assert_memory_not_equal(secret, secret2, 32);
	seal_public(secret, again);
	assert_memory_equal(pub, again, 32);
	assert_int_equal(seal_derive(secret, pub2, salt, a), ERR_OK);
	assert_int_equal(seal_derive(secret2, pub, salt, b), ERR_OK);
	assert_memory_equal(a, b, 32);
	salt[0]++;
	assert_int_equal(seal_derive(secret2, pub, salt, b), ERR_OK);
	assert_memory_not_equal(a, b, 32);
}

static void test_pad(void **state)
{
	struct buf b = { 0 };

	(void)state;
	seal_pad(&b);
	assert_int_equal(b.n, 0);
	buf_str(&b, "{}");
	seal_pad(&b);
	assert_int_equal(b.n, SEAL_PAD);
	assert_memory_equal(b.p, "{} ", 3);
	assert_int_equal(b.p[SEAL_PAD - 1], ' ');
	seal_pad(&b);
	assert_int_equal(b.n, SEAL_PAD);
	buf_str(&b, "x");
	seal_pad(&b);
	assert_int_equal(b.n, 2 * SEAL_PAD);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors_derive),
		cmocka_unit_test(test_vectors_seal_and_open),
		cmocka_unit_test(test_vectors_foreign_stream),
		cmocka_unit_test(test_vectors_own_stream),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_order_hostile_nonces),
		cmocka_unit_test(test_nonces_never_repeat),
		cmocka_unit_test(test_request_nonce_is_none_of_a_response),
		cmocka_unit_test(test_rejected_keys),
		cmocka_unit_test(test_small_order_keys),
		cmocka_unit_test(test_rejected_tag),
		cmocka_unit_test(test_every_flipped_bit_is_refused),
		cmocka_unit_test(test_empty_plaintext),
		cmocka_unit_test(test_keypair),
		cmocka_unit_test(test_pad),
	};

	return cmocka_run_group_tests(tests, vectors_setup, vectors_teardown);
}
