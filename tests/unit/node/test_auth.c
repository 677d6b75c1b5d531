/* SPDX-License-Identifier: Apache-2.0
 *
 * X-Sealway-Auth: the vector that another implementation made, and every way in
 * which such a header can be wrong.
 */
#include "tests/unit/node/unit.h"

#include "common/b64.h"
#include "common/hash.h"
#include "common/sign.h"
#include "node/auth.h"

#define NOW 1760000000

static const uint8_t seed[32] = { 1, 2, 3 };
static const struct slice body = { (const uint8_t *)"{}", 2 };

struct header {
	char text[B64_LEN(AUTH_BYTES) + 1 + SIGN_B64];
};

static struct authz good(void)
{
	struct authz a = { .rid = { 7 }, .node = 7, .stack = 42, .units = 8192, .not_after = NOW + 60 };

	hash(a.body_hash, body);
	return a;
}

static struct proxies *known(const uint8_t s[32])
{
	struct sign_key *k = sign_key_new(s);
	struct proxies *p;
	char text[2 * 44 + 2] = "";

	b64_put(text, sign_key_public(k), 32);
	sign_key_free(k);
	assert_int_equal(proxies_open(&p, text), ERR_OK);
	return p;
}

static struct header made(const struct authz *a, const char *label)
{
	struct sign_key *k = sign_key_new(seed);
	uint8_t raw[AUTH_BYTES];
	struct header h;

	authz_encode(a, raw);
	b64_put(h.text, raw, sizeof(raw));
	h.text[B64_LEN(AUTH_BYTES)] = '.';
	sign_label(k, label, slice_of(raw, sizeof(raw)), h.text + B64_LEN(AUTH_BYTES) + 1);
	sign_key_free(k);
	return h;
}

static enum err check(const struct header *h, size_t n, struct slice b, uint64_t now)
{
	struct proxies *p = known(seed);
	struct authz out = { .units = 1 };
	enum err e = auth_check(p, slice_of(h->text, n), 7, b, now, &out);

	assert_true(e == ERR_OK ? out.units == 8192 && out.stack == 42 : out.units == 1);
	proxies_free(p);
	return e;
}

static void test_good_and_edges(void **state)
{
	struct authz a = good();
	struct header h = made(&a, AUTH_LABEL);

	(void)state;
	assert_int_equal(check(&h, sizeof(h.text), body, NOW), ERR_OK);
	assert_int_equal(check(&h, sizeof(h.text), body, NOW + 60), ERR_OK);
	assert_int_equal(check(&h, sizeof(h.text), body, NOW + 61), ERR_AUTH);
	assert_int_equal(check(&h, sizeof(h.text), S("{} "), NOW), ERR_AUTH);
	assert_int_equal(check(&h, sizeof(h.text) - 1, body, NOW), ERR_AUTH);
	assert_int_equal(check(&h, 0, body, NOW), ERR_AUTH);
}

static void test_every_character_counts(void **state)
{
	struct authz a = good();
	struct header h = made(&a, AUTH_LABEL);

	(void)state;
	for (size_t i = 0; i < sizeof(h.text); i++) {
		struct header bent = h;

		bent.text[i] = bent.text[i] == 'A' ? 'B' : 'A';
		assert_int_equal(check(&bent, sizeof(bent.text), body, NOW), ERR_AUTH);
	}
}

static void test_wrong_fields(void **state)
{
	struct authz a = good();
	struct header h;

	(void)state;
	a.node = 8;
	h = made(&a, AUTH_LABEL);
	assert_int_equal(check(&h, sizeof(h.text), body, NOW), ERR_AUTH);
	a = good();
	a.body_hash[31] ^= 1;
	h = made(&a, AUTH_LABEL);
	assert_int_equal(check(&h, sizeof(h.text), body, NOW), ERR_AUTH);
	a = good();
	h = made(&a, RECEIPT_LABEL); /* a signature made for another purpose */
	assert_int_equal(check(&h, sizeof(h.text), body, NOW), ERR_AUTH);
}

static void test_unknown_proxy(void **state)
{
	static const uint8_t other[32] = { 9 };
	struct authz a = good(), out;
	struct header h = made(&a, AUTH_LABEL);
	struct proxies *p = known(other);

	(void)state;
	assert_int_equal(auth_check(p, slice_of(h.text, sizeof(h.text)), 7, body, NOW, &out), ERR_AUTH);
	proxies_free(p);
}

static void test_vector(void **state)
{
	json_t *all = json_load_file(VECTORS, 0, NULL), *v = json_object_get(all, "auth");
	struct slice text = slice_str(json_string_value(json_object_get(v, "body_utf8")));
	struct slice header = slice_str(json_string_value(json_object_get(v, "header")));
	struct proxies *p;
	struct authz out;

	(void)state;
	assert_int_equal(proxies_open(&p, json_string_value(json_object_get(v, "proxy_auth_key_b64"))),
			 ERR_OK);
	assert_int_equal(auth_check(p, header, 7, text, NOW, &out), ERR_OK);
	assert_int_equal(out.units, 8192);
	assert_int_equal(out.stack, 42);
	assert_int_equal(out.not_after, NOW + 60);
	assert_int_equal(out.rid[0], 0xa2);
	proxies_free(p);
	json_decref(all);
}

static void test_settings(void **state)
{
	static const char *const bad[] = { "", "  ", "AAAA", "/nonexistent.pub",
					   "AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= x" };
	struct proxies *p = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(proxies_open(&p, bad[i]), ERR_CONFIG);
	assert_null(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_and_edges), cmocka_unit_test(test_every_character_counts),
		cmocka_unit_test(test_wrong_fields),   cmocka_unit_test(test_unknown_proxy),
		cmocka_unit_test(test_vector),         cmocka_unit_test(test_settings)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
