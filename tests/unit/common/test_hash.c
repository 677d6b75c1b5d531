/* SPDX-License-Identifier: Apache-2.0
 *
 * H(x): known digests of BLAKE2b-256, labels, and running hashes cut in every
 * place.
 */
#include "tests/unit/vectors.h"

#include "common/hash.h"

static void assert_digest(const uint8_t got[32], const char *want)
{
	char hex[65];

	sodium_bin2hex(hex, sizeof(hex), got, 32);
	assert_string_equal(hex, want);
}

/* Values that b2sum -l 256 gives. */
static void test_known(void **state)
{
	uint8_t h[32];

	(void)state;
	hash(h, slice_of(NULL, 0));
	assert_digest(h, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
	hash(h, SLICE_STR("abc"));
	assert_digest(h, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

static void test_label(void **state)
{
	uint8_t a[32], b[32];

	(void)state;
	hash_label(a, "ab", SLICE_STR("c"));
	hash(b, SLICE_STR("abc"));
	assert_memory_equal(a, b, 32);
	hash_label(b, "ac", SLICE_STR("c"));
	assert_memory_not_equal(a, b, 32);
	hash_label(a, "abc", slice_of(NULL, 0));
	hash_label(b, "", SLICE_STR("abc"));
	assert_memory_equal(a, b, 32);
}

static void test_running(void **state)
{
	uint8_t data[400], want[32], got[32];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	for (size_t cut = 0; cut <= sizeof(data); cut++) {
		struct hash_state *h = hash_new();

		hash_add(h, slice_of(data, cut));
		hash_peek(h, got);
		hash(want, slice_of(data, cut));
		assert_memory_equal(got, want, 32);
		hash_peek(h, got); /* looking does not end the run */
		assert_memory_equal(got, want, 32);
		hash_add(h, slice_of(data + cut, sizeof(data) - cut));
		hash_add(h, slice_of(NULL, 0));
		hash_peek(h, got);
		hash(want, slice_of(data, sizeof(data)));
		assert_memory_equal(got, want, 32);
		hash_free(h);
	}
	hash_free(NULL);
}

/* H(all response_hashes, in order) of the vectors' stream. */
static void test_vector_transcript(void **state)
{
	json_t *all = vectors_load(), *v;
	struct hash_state *h = hash_new();
	uint8_t one[32], want[32], got[32];
	size_t i;

	(void)state;
	json_array_foreach(vget(all, "own_stream"), i, v)
	{
		vb64(v, "response_hash_b64", one, 32);
		hash_add(h, slice_of(one, 32));
	}
	vb64(vget(all, "receipt"), "transcript_hash_b64", want, 32);
	hash_peek(h, got);
	assert_memory_equal(got, want, 32);
	hash_add(h, slice_of(one, 32)); /* one chunk twice gives another transcript */
	hash_peek(h, got);
	assert_memory_not_equal(got, want, 32);
	hash_free(h);
	json_decref(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_label),
		cmocka_unit_test(test_running),
		cmocka_unit_test(test_vector_transcript),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
