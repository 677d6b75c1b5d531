/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsing and writing plaintext JSON.
 */
#include "tests/unit/node/unit.h"

#include "node/json.h"

static enum err parse(const char *text)
{
	json_t *v = NULL;
	enum err e = json_object_of(slice_str(text), &v);

	assert_true((e == ERR_OK) == (v != NULL));
	json_decref(v);
	return e;
}

static void test_objects_only(void **state)
{
	static const char *const bad[] = { "",
					   "[]",
					   "1",
					   "null",
					   "{",
					   "{}x",
					   "{'a':1}",
					   "{\"a\":1,\"a\":2}",
					   "{\"b\":{\"a\":1,\"a\":2}}",
					   "{\"a\":NaN}",
					   "{\"a\":01}",
					   "{\"a\":\"\xff\"}",
					   "\xef\xbb\xbf{}" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(bad[i]), ERR_FORMAT);
	assert_int_equal(parse(" {} "), ERR_OK);
	assert_int_equal(parse("{\"a\":\"\\u0000\"}"), ERR_OK);
}

/* n times piece, between a head and a tail. */
static enum err request(const char *head, const char *piece, size_t n, const char *tail)
{
	struct buf b = { 0 };
	json_t *v = NULL;
	enum err e;

	buf_str(&b, head);
	for (size_t i = 0; i < n; i++)
		buf_str(&b, piece);
	buf_str(&b, tail);
	e = json_request_of(buf_slice(&b), &v);
	assert_true((e == ERR_OK) == (v != NULL));
	json_decref(v);
	buf_free(&b);
	return e;
}

/* A few bytes of text may not become hundreds of bytes of memory without end. */
static void test_requests_that_weigh_too_much(void **state)
{
	const size_t parts = JSON_PARTS_MAX - 3; /* besides {"a":[ */

	(void)state;
	assert_int_equal(request("{\"a\":[{}", ",{}", parts - 1, "]}"), ERR_OK);
	assert_int_equal(request("{\"a\":[{}", ",{}", parts, "]}"), ERR_FORMAT);
	assert_int_equal(request("{\"a\":[[]", ",[]", parts, "]}"), ERR_FORMAT);
	assert_int_equal(request("{\"a\":[0", ",0", JSON_VALUES_MAX, "]}"), ERR_OK);
	assert_int_equal(request("{\"a\":[0", ",0", JSON_VALUES_MAX + 1, "]}"), ERR_FORMAT);
	assert_int_equal(request("{\"a\":[\"\"", ",\"\"", JSON_VALUES_MAX + 1, "]}"), ERR_FORMAT);
	/* inside a text they weigh nothing, whatever stands around them */
	assert_int_equal(request("{\"a\":\"", "{[:,\\\"\\\\", parts, "\"}"), ERR_OK);
	assert_int_equal(request("{\"a\":\"", "\\", 5, ""), ERR_FORMAT); /* ends in the middle of an escape */
	assert_int_equal(request("", "", 0, ""), ERR_FORMAT);
}

static void test_members(void **state)
{
	json_t *o = json_of("{'n':5,'zero':0,'neg':-1,'real':1.0,'null':null,'yes':true,'text':'x'}");
	uint64_t v = 99;
	bool present, b;

	(void)state;
	assert_int_equal(json_member_u64(o, "n", 5, &present, &v), ERR_OK);
	assert_true(present && v == 5);
	assert_int_equal(json_member_u64(o, "zero", 5, &present, &v), ERR_OK);
	assert_true(present && v == 0);
	v = 99;
	assert_int_equal(json_member_u64(o, "null", 5, &present, &v), ERR_OK);
	assert_true(!present && v == 99);
	assert_int_equal(json_member_u64(o, "absent", 5, &present, &v), ERR_OK);
	assert_true(!present && v == 99);
	assert_int_equal(json_member_u64(o, "n", 4, &present, &v), ERR_FORMAT);
	assert_int_equal(json_member_u64(o, "neg", 4, &present, &v), ERR_FORMAT);
	assert_int_equal(json_member_u64(o, "real", 4, &present, &v), ERR_FORMAT);
	assert_int_equal(json_member_u64(o, "text", 4, &present, &v), ERR_FORMAT);
	assert_int_equal(json_member_bool(o, "yes", &b), ERR_OK);
	assert_true(b);
	assert_int_equal(json_member_bool(o, "absent", &b), ERR_OK);
	assert_false(b);
	assert_int_equal(json_member_bool(o, "null", &b), ERR_OK);
	assert_false(b);
	assert_int_equal(json_member_bool(o, "n", &b), ERR_FORMAT);
	json_decref(o);
}

static void test_write(void **state)
{
	struct buf b = { .secret = true };
	json_t *v = json_of("{'a':[1,0.25,'\xc3\xa4']}");

	(void)state;
	json_append(&b, v, 17);
	assert_true(slice_is(buf_slice(&b), "{\"a\":[1,0.25,\"\xc3\xa4\"]}"));
	json_decref(v);
	buf_reset(&b);
	v = json_of("5"); /* not only objects can be written: a client chooses what stands where */
	json_append(&b, v, 17);
	assert_true(slice_is(buf_slice(&b), "5"));
	json_decref(v);
	buf_free(&b);
}

static void test_text(void **state)
{
	json_t *s = json_of("'ab'"), *n = json_of("1");

	(void)state;
	assert_true(slice_is(json_text(s), "ab"));
	assert_null(json_text(n).p);
	assert_null(json_text(NULL).p);
	json_decref(s);
	json_decref(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_objects_only),
					    cmocka_unit_test(test_requests_that_weigh_too_much),
					    cmocka_unit_test(test_members), cmocka_unit_test(test_write),
					    cmocka_unit_test(test_text) };

	json_harden();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
