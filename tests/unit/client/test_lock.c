/* SPDX-License-Identifier: Apache-2.0
 *
 * Lock answers and key statements, right ones and each way to be wrong.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>
#include <string.h>

#include "fake_node.h"

static bool reads(const struct fake_node *n, bool allow_foreign, uint64_t now, struct fault *f)
{
	struct buf json = { 0 };
	struct node_lock l;
	bool ok;

	*f = (struct fault){ 0 };
	fake_lock_json(n, &json);
	ok = lock_read(buf_slice(&json), allow_foreign, now, &l, f);
	if (ok) {
		assert_int_equal(l.node, FAKE_NODE_ID);
		assert_int_equal(l.stack, FAKE_STACK);
		assert_true(l.own);
		assert_memory_equal(l.node_key, n->pub, KEY_BYTES);
	} else {
		assert_int_equal(f->status, SEALWAY_VERIFY);
	}
	buf_free(&json);
	return ok;
}

static void good_and_its_times(void **state)
{
	struct fake_node n;
	struct fault f;

	(void)state;
	fake_node_init(&n);
	assert_true(reads(&n, false, FAKE_NOW, &f));
	assert_true(reads(&n, false, FAKE_NOW - 100 - CLOCK_SKEW_S, &f));
	assert_false(reads(&n, false, FAKE_NOW - 101 - CLOCK_SKEW_S, &f));
	assert_non_null(strstr(f.text, "not valid yet"));
	assert_true(reads(&n, false, FAKE_NOW + 86400 + CLOCK_SKEW_S, &f));
	assert_false(reads(&n, false, FAKE_NOW + 86401 + CLOCK_SKEW_S, &f));
	assert_non_null(strstr(f.text, "expired"));
	fake_node_fini(&n);
}

static void wrong_statements(void **state)
{
	struct fake_node n;
	struct statement st;
	struct fault f;

	(void)state;
	fake_node_init(&n);
	st = fake_statement_of(&n);
	st.node = 8;
	fake_statement(&n, &st);
	assert_false(reads(&n, true, FAKE_NOW, &f));
	assert_non_null(strstr(f.text, "another node's"));
	st = fake_statement_of(&n);
	st.node_key[5] ^= 1;
	fake_statement(&n, &st);
	assert_false(reads(&n, true, FAKE_NOW, &f));
	assert_non_null(strstr(f.text, "not the one in the node's key statement"));
	st = fake_statement_of(&n);
	fake_statement(&n, &st);
	assert_true(reads(&n, true, FAKE_NOW, &f));
	n.lock.statement[60] ^= 1; /* after signing */
	assert_false(reads(&n, true, FAKE_NOW, &f));
	assert_non_null(strstr(f.text, "not signed"));
	n.lock.statement[60] ^= 1;
	n.lock.sign_key[0] ^= 1; /* another signing key than the one that signed */
	assert_false(reads(&n, true, FAKE_NOW, &f));
	fake_node_fini(&n);
}

static const char *const foreign =
	"{\"public_key\":\"GcLFiAH4Xb4bNIFrfzeTI7oKp/UMm4I6CeHNAs1MWiM=\",\"node_small_id\":9,"
	"\"stack_entry_digest\":null,\"stack_small_id\":1%s}";

static bool reads_text(const char *more, bool allow, struct node_lock *l)
{
	char text[512];
	struct fault f = { 0 };

	snprintf(text, sizeof(text), foreign, more);
	return lock_read(slice_str(text), allow, FAKE_NOW, l, &f);
}

static void foreign_nodes(void **state)
{
	struct node_lock l;

	(void)state;
	assert_false(reads_text("", false, &l));
	assert_true(reads_text("", true, &l));
	assert_false(l.own);
	assert_int_equal(l.node, 9);
	assert_true(reads_text(",\"key_statement\":null,\"key_signature\":null,\"node_signing_key\":null",
			       true, &l));
	/* half a statement is no foreign node */
	assert_false(reads_text(",\"key_signature\":\"AAAA\"", true, &l));
	assert_false(reads_text(",\"key_statement\":\"AAAA\"", true, &l));
	assert_false(reads_text(",\"node_small_id\":9", true, &l)); /* a duplicate */
}

static void malformed(void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{}",
		"null",
		"{\"public_key\":\"short\",\"node_small_id\":1,\"stack_small_id\":1}",
		"{\"public_key\":\"GcLFiAH4Xb4bNIFrfzeTI7oKp/"
		"UMm4I6CeHNAs1MWiM=\",\"node_small_id\":-1,\"stack_small_id\":1}",
		"{\"public_key\":\"GcLFiAH4Xb4bNIFrfzeTI7oKp/UMm4I6CeHNAs1MWiM=\",\"node_small_id\":1}",
		"{\"public_key\":\"GcLFiAH4Xb4bNIFrfzeTI7oKp/"
		"UMm4I6CeHNAs1MWiM=\",\"node_small_id\":1.0,\"stack_small_id\":1}",
		"{\"public_key\":\"GcLFiAH4Xb4bNIFrfzeTI7oKp/"
		"UMm4I6CeHNAs1MWiM=\",\"node_small_id\":1,\"stack_small_id\":9007199254740992}",
	};
	struct node_lock l = { .node = 99 };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct fault f = { 0 };

		assert_false(lock_read(slice_str(texts[i]), true, FAKE_NOW, &l, &f));
		assert_int_equal(f.status, SEALWAY_VERIFY);
	}
	assert_int_equal(l.node, 99); /* untouched */
}

static void the_published_statement(void **state)
{
	json_t *all = json_load_file(VECTORS, 0, NULL), *k = json_object_get(all, "key_statement");
	const char *stack_text = "{\"stack_small_id\":42,\"node_small_id\":7,\"public_key\":\"%s\",\"node_"
				 "signing_key\":\"%s\","
				 "\"key_statement\":\"%s\",\"key_signature\":\"%s\"}";
	char text[1024];
	struct fault f = { 0 };
	struct node_lock l;

	(void)state;
	assert_non_null(k);
	snprintf(text, sizeof(text), stack_text,
		 json_string_value(
			 json_object_get(json_array_get(json_object_get(all, "seal"), 1), "node_public_b64")),
		 json_string_value(json_object_get(k, "node_signing_key_b64")),
		 json_string_value(json_object_get(k, "key_statement_b64")),
		 json_string_value(json_object_get(k, "key_signature_b64")));
	assert_true(lock_read(slice_str(text), false, 1760000000, &l, &f));
	assert_int_equal(l.node, 7);
	json_decref(all);
}

static void the_request(void **state)
{
	struct buf b = { 0 };

	(void)state;
	lock_body(&b, "a\"b", 0, 5);
	assert_true(slice_is(buf_slice(&b), "{\"model\":\"a\\\"b\",\"max_num_tokens\":null,\"timeout\":5}"));
	buf_reset(&b);
	lock_body(&b, "demo", 4096, 600);
	assert_true(slice_is(buf_slice(&b), "{\"model\":\"demo\",\"max_num_tokens\":4096,\"timeout\":600}"));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_and_its_times),      cmocka_unit_test(wrong_statements),
		cmocka_unit_test(foreign_nodes),           cmocka_unit_test(malformed),
		cmocka_unit_test(the_published_statement), cmocka_unit_test(the_request),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
