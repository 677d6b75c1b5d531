/* SPDX-License-Identifier: Apache-2.0
 *
 * Receipt files: written by the client, checked offline, refused when any of
 * their parts was changed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>
#include <string.h>

#include "client/receipt.h"
#include "common/b64.h"
#include "fake_node.h"

static struct fake_node n;
static struct buf file; /* a good one, with a NUL */

static int setup(void **state)
{
	struct buf object = { 0 }, plain = { 0 };
	struct fault f = { 0 };
	struct opener o;

	(void)state;
	fake_node_init(&n);
	o = fake_opener(&n);
	fake_object(&n, &(struct fake_object){ .text = "{\"a\":1}" }, &object);
	assert_true(open_object(&o, buf_slice(&object), &plain, &f));
	buf_reset(&object);
	fake_object(&n, &(struct fake_object){ .text = "{}", .final = true, .prompt = 4, .completion = 5 },
		    &object);
	assert_true(open_object(&o, buf_slice(&object), &plain, &f));
	buf_reset(&file);
	receipt_text(&o, "https://gateway.example", &file);
	buf_add(&file, "", 1);
	buf_free(&object);
	buf_free(&plain);
	open_free(&o);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_node_fini(&n);
	buf_free(&file);
	return 0;
}

static bool good(const json_t *o, const char *key, char *why)
{
	struct sealway_receipt_info info = { 0 };
	char *text = json_dumps(o, 0);
	bool ok = sealway_receipt_verify(text, strlen(text), key, &info, why, 256);

	if (ok) {
		assert_int_equal(info.node, FAKE_NODE_ID);
		assert_int_equal(info.stack, FAKE_STACK);
		assert_int_equal(info.prompt, 4);
		assert_int_equal(info.completion, 5);
		assert_int_equal(info.objects, 2);
		assert_int_equal(info.kind, SEALWAY_CHAT);
		assert_false(info.stopped);
		assert_string_equal(info.model, FAKE_MODEL);
	}
	free(text);
	return ok;
}

static json_t *load(void)
{
	json_t *o = json_loads((char *)file.p, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(o);
	return o;
}

static void good_with_and_without_a_key(void **state)
{
	char key[B64_LEN(32) + 1] = "", why[256];
	json_t *o = load();

	(void)state;
	b64_put(key, n.lock.sign_key, 32);
	assert_true(good(o, NULL, why));
	assert_true(good(o, key, why));
	key[3] = key[3] == 'A' ? 'B' : 'A';
	assert_false(good(o, key, why));
	assert_non_null(strstr(why, "another node"));
	assert_false(good(o, "short", why));
	json_decref(o);
}

/* Flips a bit of a base64 member. */
static void flip(json_t *o, const char *name, size_t bytes, size_t at)
{
	uint8_t data[256];
	char text[400] = "";

	assert_int_equal(
		b64_decode_exact(slice_str(json_string_value(json_object_get(o, name))), data, bytes), 0);
	data[at] ^= 1;
	b64_put(text, data, bytes);
	json_object_set_new(o, name, json_string(text));
}

static void every_part_matters(void **state)
{
	static const struct {
		const char *name;
		size_t bytes;
	} parts[] = {
		{ "node_signing_key", 32 }, { "key_statement", 65 },     { "key_signature", 97 },
		{ "receipt", 183 },         { "receipt_signature", 97 }, { "plaintext_body_hash", 32 }
	};
	char why[256];

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (size_t at = 0; at < parts[i].bytes; at += 7) {
			json_t *o = load();

			flip(o, parts[i].name, parts[i].bytes, at);
			assert_false(good(o, NULL, why));
			json_decref(o);
		}
	}
}

static void hashes_model_and_node(void **state)
{
	char why[256];
	json_t *o = load(), *hashes = json_object_get(o, "response_hashes");

	(void)state;
	json_array_append(hashes, json_array_get(hashes, 0));
	assert_false(good(o, NULL, why));
	json_array_remove(hashes, 0);
	assert_false(good(o, NULL, why)); /* swapped now */
	json_array_clear(hashes);
	assert_false(good(o, NULL, why));
	json_decref(o);
	o = load();
	json_object_set_new(o, "model", json_string("other"));
	assert_false(good(o, NULL, why));
	assert_non_null(strstr(why, "another model"));
	json_object_set_new(o, "model", json_string(FAKE_MODEL));
	json_object_set_new(o, "node_small_id", json_integer(8));
	assert_false(good(o, NULL, why));
	json_decref(o);
}

static void missing_members_and_other_files(void **state)
{
	static const char *const names[] = {
		"version",       "model",   "node_small_id",     "node_signing_key",    "key_statement",
		"key_signature", "receipt", "receipt_signature", "plaintext_body_hash", "response_hashes"
	};
	static const char *const texts[] = { "", "{}", "[]", "x", "{\"version\":2}" };
	struct sealway_receipt_info info;
	char why[256];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		json_t *o = load();

		json_object_del(o, names[i]);
		assert_false(good(o, NULL, why));
		json_decref(o);
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_false(
			sealway_receipt_verify(texts[i], strlen(texts[i]), NULL, &info, why, sizeof(why)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_with_and_without_a_key),
		cmocka_unit_test(every_part_matters),
		cmocka_unit_test(hashes_model_and_node),
		cmocka_unit_test(missing_members_and_other_files),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
