/* SPDX-License-Identifier: Apache-2.0
 *
 * From envelope to plaintext: every member malformed in turn, and the order of
 * decryption, guard and hash.
 */
#include "tests/unit/node/unit.h"

#include "common/b64.h"
#include "common/hash.h"
#include "node/open.h"

static struct sign_key *sign;
static struct keys *keys;

struct sealed {
	uint8_t pub[32], key[32], nonce[12], salt[16], hash[32];
	struct buf cipher;
};

static struct sealed seal(const char *plain)
{
	struct sealed s = { .salt = { 3 } };
	uint8_t secret[32];

	seal_keypair(s.pub, secret);
	seal_request_nonce(s.nonce);
	assert_int_equal(seal_derive(secret, nodekey_public(keys_current(keys)), s.salt, s.key), ERR_OK);
	seal_encrypt(s.key, s.nonce, slice_str(plain), &s.cipher);
	hash(s.hash, slice_str(plain));
	return s;
}

static void add(struct buf *b, const char *name, const void *p, size_t n)
{
	buf_fmt(b, "%s\"%s\":\"", b->n > 1 ? "," : "", name);
	b64_encode(b, slice_of(p, n));
	buf_str(b, "\"");
}

static struct buf body_of(const struct sealed *s, const char *more)
{
	struct buf b = { 0 };

	buf_str(&b, "{");
	add(&b, "ciphertext", s->cipher.p, s->cipher.n);
	add(&b, "nonce", s->nonce, 12);
	add(&b, "salt", s->salt, 16);
	add(&b, "client_dh_public_key", s->pub, 32);
	add(&b, "node_dh_public_key", nodekey_public(keys_current(keys)), 32);
	add(&b, "plaintext_body_hash", s->hash, 32);
	buf_str(&b, more);
	buf_str(&b, "}");
	return b;
}

static const char rest[] =
	",\"model_name\":\"demo\",\"stack_small_id\":42,\"stream\":true,\"num_compute_units\":5";

static enum err open_body(const struct buf *body, char *plain, size_t room, const char **param)
{
	struct envelope e = { 0 };
	struct buf p = { .secret = true };
	uint8_t key[32];
	enum err r = envelope_parse(buf_slice(body), &e, param);

	if (r == ERR_OK)
		r = envelope_open(&e, keys_current(keys), key, &p, param);
	assert_true(r == ERR_OK || p.n == 0);
	if (r == ERR_OK && plain) {
		assert_true(p.n < room);
		memcpy(plain, p.p, p.n);
		plain[p.n] = '\0';
	}
	buf_free(&p);
	envelope_free(&e);
	return r;
}

static void test_opens_once(void **state)
{
	struct sealed s = seal("{\"a\":1}");
	struct buf body = body_of(&s, rest);
	const char *param;
	char plain[64];

	(void)state;
	assert_int_equal(open_body(&body, plain, sizeof(plain), &param), ERR_OK);
	assert_string_equal(plain, "{\"a\":1}");
	assert_null(param);
	assert_int_equal(open_body(&body, plain, sizeof(plain), &param), ERR_ANSWERED);
	assert_null(param);
	buf_free(&body);
	buf_free(&s.cipher);
}

static void test_same_key_other_text(void **state)
{
	struct sealed s = seal("{}");
	struct buf body = body_of(&s, rest);
	const char *param;

	(void)state;
	assert_int_equal(open_body(&body, NULL, 0, &param), ERR_OK);
	buf_free(&body);
	/* the proxy replays key and salt with another nonce: same derived key, so refused */
	buf_reset(&s.cipher);
	s.nonce[0] ^= 1;
	seal_encrypt(s.key, s.nonce, S("{}"), &s.cipher);
	body = body_of(&s, rest);
	assert_int_equal(open_body(&body, NULL, 0, &param), ERR_ANSWERED);
	buf_free(&body);
	buf_free(&s.cipher);
}

static void test_failed_tag_burns_nothing(void **state)
{
	struct sealed s = seal("{}");
	struct buf body;
	const char *param;

	(void)state;
	s.cipher.p[0] ^= 1;
	body = body_of(&s, rest);
	assert_int_equal(open_body(&body, NULL, 0, &param), ERR_BODY);
	assert_string_equal(param, "ciphertext");
	buf_free(&body);
	s.cipher.p[0] ^= 1;
	body = body_of(&s, rest);
	assert_int_equal(open_body(&body, NULL, 0, &param), ERR_OK);
	buf_free(&body);
	buf_free(&s.cipher);
}

static void test_wrong_hash_burns(void **state)
{
	struct sealed s = seal("{}");
	struct buf body;
	const char *param;

	(void)state;
	s.hash[0] ^= 1;
	body = body_of(&s, rest);
	assert_int_equal(open_body(&body, NULL, 0, &param), ERR_BODY);
	assert_string_equal(param, "plaintext_body_hash");
	buf_free(&body);
	s.hash[0] ^= 1;
	body = body_of(&s, rest);
	assert_int_equal(open_body(&body, NULL, 0, &param), ERR_ANSWERED);
	buf_free(&body);
	buf_free(&s.cipher);
}

static void test_members(void **state)
{
	static const struct {
		const char *more, *param; /* of the envelope's plain members */
	} bad[] = { { ",\"stack_small_id\":1", "model_name" },
		    { ",\"model_name\":\"\",\"stack_small_id\":1", "model_name" },
		    { ",\"model_name\":5,\"stack_small_id\":1", "model_name" },
		    { ",\"model_name\":\"m\"", "stack_small_id" },
		    { ",\"model_name\":\"m\",\"stack_small_id\":-1", "stack_small_id" },
		    { ",\"model_name\":\"m\",\"stack_small_id\":1.0", "stack_small_id" },
		    { ",\"model_name\":\"m\",\"stack_small_id\":9007199254740992", "stack_small_id" },
		    { ",\"model_name\":\"m\",\"stack_small_id\":1,\"stream\":1", "stream" },
		    { ",\"model_name\":\"m\",\"stack_small_id\":1,\"num_compute_units\":\"1\"",
		      "num_compute_units" },
		    { ",\"model_name\":\"m\",\"model_n\\u0061me\":\"m\",\"stack_small_id\":1", "model_name" },
		    { ",\"model_name\":\"m\",\"stack_small_id\":1,\"salt\":\"\"", "salt" },
		    { ",\"x\":\"\\ud800\"", NULL } };
	struct sealed s = seal("{}");
	const char *param;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf body = body_of(&s, bad[i].more);

		param = "unset";
		assert_int_equal(open_body(&body, NULL, 0, &param), ERR_BODY);
		if (bad[i].param)
			assert_string_equal(param, bad[i].param);
		else
			assert_null(param);
		buf_free(&body);
	}
	buf_free(&s.cipher);
}

static void test_nulls_and_escapes(void **state)
{
	struct sealed s = seal("{}");
	struct buf body = body_of(&s, ",\"model_name\":\"d\\u0065mo\",\"stack_small_id\":0,\"stream\":null,"
				      "\"num_compute_units\":null,\"unknown\":{\"salt\":1}");
	struct envelope e = { 0 };
	const char *param;

	(void)state;
	assert_int_equal(envelope_parse(buf_slice(&body), &e, &param), ERR_OK);
	assert_true(slice_is(buf_slice(&e.model), "demo"));
	assert_false(e.stream);
	assert_int_equal(e.stack, 0);
	envelope_free(&e);
	buf_free(&body);
	buf_free(&s.cipher);
}

/* "\/" is a legal way to write the "/" of base64. */
static void test_escaped_base64(void **state)
{
	struct sealed s = seal("{\"long\":\"enough to hold some slashes in sixty-four characters or more\"}");
	struct buf body = body_of(&s, rest), bent = { 0 };
	const char *param;

	(void)state;
	for (size_t i = 0; i < body.n; i++) {
		if (body.p[i] == '/')
			buf_str(&bent, "\\");
		buf_add(&bent, body.p + i, 1);
	}
	assert_int_equal(open_body(&bent, NULL, 0, &param), ERR_OK);
	buf_free(&bent);
	buf_free(&body);
	buf_free(&s.cipher);
}

static void test_bad_keys(void **state)
{
	struct sealed s = seal("{}");
	struct buf body;
	const char *param;

	(void)state;
	s.pub[31] |= 0x80; /* the same secret to X25519, another key to a careless guard */
	body = body_of(&s, rest);
	assert_int_equal(open_body(&body, NULL, 0, &param), ERR_BODY);
	assert_string_equal(param, "client_dh_public_key");
	buf_free(&body);
	memset(s.pub, 0, 32);
	body = body_of(&s, rest);
	assert_int_equal(open_body(&body, NULL, 0, &param), ERR_BODY);
	assert_string_equal(param, "client_dh_public_key");
	buf_free(&body);
	buf_free(&s.cipher);
}

static int setup(void **state)
{
	static const uint8_t seed[32] = { 4 };
	struct keys_opts o = { .node = 7, .lifetime_s = 100, .overlap_s = 10, .guard_max = 1000 };

	(void)state;
	sign = sign_key_new(seed);
	o.sign = sign;
	keys = keys_new(&o, 0, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keys_free(keys);
	sign_key_free(sign);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_opens_once),
					    cmocka_unit_test(test_same_key_other_text),
					    cmocka_unit_test(test_failed_tag_burns_nothing),
					    cmocka_unit_test(test_wrong_hash_burns),
					    cmocka_unit_test(test_members),
					    cmocka_unit_test(test_nulls_and_escapes),
					    cmocka_unit_test(test_escaped_base64),
					    cmocka_unit_test(test_bad_keys) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
