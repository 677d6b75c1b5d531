/* SPDX-License-Identifier: Apache-2.0
 *
 * The steps inside seal_derive against the vectors of RFC 7748 and RFC 5869,
 * and the shared secrets of the project's own vectors.  The steps are static,
 * so this file includes the source.
 */
#include "tests/unit/vectors.h"

#include "common/seal/seal.c"

static void hex(const char *text, void *out, size_t n)
{
	size_t len;

	assert_int_equal(sodium_hex2bin(out, n, text, strlen(text), NULL, &len, NULL), 0);
	assert_int_equal(len, n);
}

static void assert_hex(const void *got, const char *want, size_t n)
{
	uint8_t bytes[64];

	hex(want, bytes, n);
	assert_memory_equal(got, bytes, n);
}

/* RFC 7748, 5.2 */
static void test_x25519(void **state)
{
	uint8_t k[32], u[32], out[32];

	(void)state;
	hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4", k, 32);
	hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c", u, 32);
	assert_int_equal(agree(out, k, u), ERR_OK);
	assert_hex(out, "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552", 32);
	/* the second vector sets the top bit, which the RFC ignores and PROTOCOL 2 refuses */
	hex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d", k, 32);
	hex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493", u, 32);
	assert_int_equal(agree(out, k, u), ERR_KEY);
	u[31] &= 0x7f;
	assert_int_equal(agree(out, k, u), ERR_OK);
	assert_hex(out, "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957", 32);
}

/* RFC 7748, 5.2, iterated */
static void test_x25519_iterated(void **state)
{
	uint8_t k[32] = { 9 }, u[32] = { 9 }, out[32];

	(void)state;
	for (int i = 1; i <= 1000; i++) {
		assert_int_equal(agree(out, k, u), ERR_OK);
		memcpy(u, k, 32);
		memcpy(k, out, 32);
		if (i == 1)
			assert_hex(k, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079", 32);
	}
	assert_hex(k, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51", 32);
}

/* RFC 7748, 6.1 */
static void test_x25519_agreement(void **state)
{
	static const char shared[] = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
	uint8_t a[32], b[32], pub_a[32], pub_b[32], out[32];

	(void)state;
	hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", a, 32);
	hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", b, 32);
	seal_public(a, pub_a);
	seal_public(b, pub_b);
	assert_hex(pub_a, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", 32);
	assert_hex(pub_b, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", 32);
	assert_int_equal(agree(out, a, pub_b), ERR_OK);
	assert_hex(out, shared, 32);
	assert_int_equal(agree(out, b, pub_a), ERR_OK);
	assert_hex(out, shared, 32);
}

/* RFC 5869, A.1 and A.2: the first step, whose result does not depend on info */
static void test_hkdf_extract(void **state)
{
	uint8_t ikm[80], salt[80], prk[32];

	(void)state;
	memset(ikm, 0x0b, 22);
	for (int i = 0; i < 13; i++)
		salt[i] = (uint8_t)i;
	hkdf_extract(prk, slice_of(salt, 13), slice_of(ikm, 22));
	assert_hex(prk, "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5", 32);
	for (int i = 0; i < 80; i++) {
		ikm[i] = (uint8_t)i;
		salt[i] = (uint8_t)(0x60 + i);
	}
	hkdf_extract(prk, slice_of(salt, 80), slice_of(ikm, 80));
	assert_hex(prk, "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244", 32);
}

/* RFC 5869, A.3: empty salt and info; we take the first 32 of its 42 bytes */
static void test_hkdf_empty_info(void **state)
{
	uint8_t ikm[22], prk[32], key[32];

	(void)state;
	memset(ikm, 0x0b, 22);
	hkdf_extract(prk, slice_of(ikm, 0), slice_of(ikm, 22));
	assert_hex(prk, "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04", 32);
	hkdf_expand(key, prk);
	assert_hex(key, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d", 32);
}

static void test_vectors_shared_secret(void **state)
{
	json_t *v, *all = vectors_load();
	size_t i;

	(void)state;
	json_array_foreach(vget(all, "seal"), i, v)
	{
		uint8_t secret[32], peer[32], want[32], got[32];

		vhex(v, "shared_secret_hex", want, 32);
		vhex(v, "client_private_hex", secret, 32);
		vb64(v, "node_public_b64", peer, 32);
		assert_int_equal(agree(got, secret, peer), ERR_OK);
		assert_memory_equal(got, want, 32);
	}
	assert_int_equal(i, 4);
	json_decref(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_x25519),           cmocka_unit_test(test_x25519_iterated),
		cmocka_unit_test(test_x25519_agreement), cmocka_unit_test(test_hkdf_extract),
		cmocka_unit_test(test_hkdf_empty_info),  cmocka_unit_test(test_vectors_shared_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
