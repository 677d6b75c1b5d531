/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealed requests: what is inside, what is beside it, and that nothing repeats.
 */
#define _GNU_SOURCE /* memmem */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>
#include <string.h>

#include "common/b64.h"
#include "common/hash.h"
#include "fake_node.h"

static struct sealway_request request(const char *json, bool stream)
{
	return (struct sealway_request){ .kind = SEALWAY_COMPLETIONS,
					 .model = "demo",
					 .stream = stream,
					 .json = json,
					 .json_n = strlen(json) };
}

/* The plaintext as a node parses it; NULL when it was refused. */
static json_t *plain_of(const char *json, bool stream)
{
	struct sealway_request r = request(json, stream);
	struct buf plain = { .secret = true };
	struct fault f = { 0 };
	json_t *o = NULL;

	if (seal_request_plain(&r, &plain, &f)) {
		assert_int_equal(plain.n % SEAL_PAD, 0);
		o = json_loadb((char *)plain.p, plain.n, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(o);
	} else {
		assert_int_equal(f.status, SEALWAY_USAGE);
	}
	buf_free(&plain);
	return o;
}

static void plaintexts(void **state)
{
	static const char *const texts[] = { "{}",
					     " { } ",
					     "{\"prompt\":\"x\"}",
					     "{\"model\":\"demo\",\"prompt\":\"x\"}",
					     "{\"stream\":true,\"prompt\":\"x\"}",
					     "{\"m\\u006fdel\":\"demo\"}" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *o = plain_of(texts[i], true);

		assert_non_null(o);
		assert_string_equal(json_string_value(json_object_get(o, "model")), "demo");
		assert_true(json_is_true(json_object_get(o, "stream")));
		assert_int_equal(json_string_length(json_object_get(o, "sealway_blind")), 32);
		json_decref(o);
	}
}

static void disagreements(void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"null",
		"{\"model\":\"other\"}",
		"{} x",
		"{\"model\":7}",
		"{\"a\"",
		"{\"stream\":false}",
		"{,}",
		"{\"sealway_blind\":\"x\"}",
		"{\"model\":\"demo\",\"model\":\"demo\"}",
		"{\"prompt\":\"\xff\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_null(plain_of(texts[i], true));
	assert_null(plain_of("{\"stream\":true}", false));
}

static void member(const json_t *o, const char *name, void *out, size_t n)
{
	assert_int_equal(b64_decode_exact(slice_str(json_string_value(json_object_get(o, name))), out, n),
			 ERR_OK);
}

static json_t *sealed_body(struct fake_node *n, const char *json, struct sealed *s)
{
	struct sealway_request r = request(json, false);
	struct buf body = { 0 };
	struct fault f = { 0 };
	json_t *o;

	assert_true(seal_request(&r, &n->lock, &body, s, &f));
	o = json_loadb((char *)body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(o);
	buf_free(&body);
	return o;
}

/* Opens a body as the node does. */
static void opened(const struct fake_node *n, const json_t *o, struct buf *plain)
{
	uint8_t key[SEAL_KEY], client[SEAL_KEY], salt[SEAL_SALT], nonce[SEAL_NONCE], said[32], h[32];
	struct buf cipher = { 0 };

	member(o, "client_dh_public_key", client, sizeof(client));
	member(o, "salt", salt, sizeof(salt));
	member(o, "nonce", nonce, sizeof(nonce));
	member(o, "plaintext_body_hash", said, sizeof(said));
	assert_true(nonce[11] >= 2);
	assert_int_equal(seal_derive(n->secret, client, salt, key), ERR_OK);
	assert_int_equal(
		b64_decode(slice_str(json_string_value(json_object_get(o, "ciphertext"))), 1 << 20, &cipher),
		0);
	assert_int_equal(seal_decrypt(key, nonce, buf_slice(&cipher), plain), ERR_OK);
	hash(h, buf_slice(plain));
	assert_memory_equal(h, said, 32);
	buf_free(&cipher);
}

static void the_node_opens_it(void **state)
{
	struct buf plain = { .secret = true };
	struct fake_node n;
	struct sealed s;
	json_t *o;

	(void)state;
	fake_node_init(&n);
	o = sealed_body(&n, "{\"prompt\":\"Grüße\"}", &s);
	opened(&n, o, &plain);
	assert_non_null(memmem(plain.p, plain.n, "Grüße", strlen("Grüße")));
	assert_string_equal(json_string_value(json_object_get(o, "model_name")), "demo");
	assert_int_equal(json_integer_value(json_object_get(o, "stack_small_id")), FAKE_STACK);
	assert_true(json_is_false(json_object_get(o, "stream")));
	assert_null(json_object_get(o, "num_compute_units"));
	sealed_wipe(&s);
	assert_int_equal(s.key[0] | s.key[31], 0);
	json_decref(o);
	buf_free(&plain);
	fake_node_fini(&n);
}

/* The same request twice shares nothing, so its hash is no oracle and no nonce is used twice. */
static void nothing_repeats(void **state)
{
	static const char *const names[] = { "ciphertext", "nonce", "salt", "client_dh_public_key",
					     "plaintext_body_hash" };
	struct fake_node n;
	struct sealed a, b;
	json_t *x, *y;

	(void)state;
	fake_node_init(&n);
	x = sealed_body(&n, "{\"prompt\":\"same\"}", &a);
	y = sealed_body(&n, "{\"prompt\":\"same\"}", &b);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_string_not_equal(json_string_value(json_object_get(x, names[i])),
					json_string_value(json_object_get(y, names[i])));
	assert_memory_not_equal(a.key, b.key, SEAL_KEY);
	json_decref(x);
	json_decref(y);
	fake_node_fini(&n);
}

/* Texts of different lengths look the same length. */
static void lengths_are_hidden(void **state)
{
	struct fake_node n;
	struct sealed s;
	json_t *x, *y;

	(void)state;
	fake_node_init(&n);
	x = sealed_body(&n, "{\"prompt\":\"a\"}", &s);
	y = sealed_body(&n, "{\"prompt\":\"a few more\"}", &s);
	assert_int_equal(json_string_length(json_object_get(x, "ciphertext")),
			 json_string_length(json_object_get(y, "ciphertext")));
	json_decref(x);
	json_decref(y);
	fake_node_fini(&n);
}

static void unusable_keys(void **state)
{
	struct sealway_request r = request("{}", false);
	struct buf body = { 0 };
	struct fault f = { 0 };
	struct fake_node n;
	struct sealed s;

	(void)state;
	fake_node_init(&n);
	memset(n.lock.node_key, 0, KEY_BYTES); /* a point of small order: the secret would be all zero */
	assert_false(seal_request(&r, &n.lock, &body, &s, &f));
	assert_int_equal(f.status, SEALWAY_VERIFY);
	assert_int_equal(body.n, 0);
	f = (struct fault){ 0 };
	memcpy(n.lock.node_key, n.pub, KEY_BYTES);
	n.lock.node_key[31] |= 0x80; /* not canonical */
	assert_false(seal_request(&r, &n.lock, &body, &s, &f));
	fake_node_fini(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plaintexts),         cmocka_unit_test(disagreements),
		cmocka_unit_test(the_node_opens_it),  cmocka_unit_test(nothing_repeats),
		cmocka_unit_test(lengths_are_hidden), cmocka_unit_test(unusable_keys),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
