/* SPDX-License-Identifier: Apache-2.0
 *
 * Compact JSON: what is left out, what is unescaped, what stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/jcompact.h"
#include "common/jscan.h"

/* Compact once is want, twice too; and never longer than it was. */
static void expect(struct slice text, struct slice want)
{
	struct buf once = { 0 }, twice = { 0 };
	struct jval v;

	assert_int_equal(jscan_value(text, &v, NULL), ERR_OK);
	jcompact(text, &once);
	if (!slice_eq(buf_slice(&once), want))
		fail_msg("%.*s became %.*s", (int)text.n, (const char *)text.p, (int)once.n, (char *)once.p);
	assert_true(once.n <= text.n);
	assert_int_equal(jscan_value(buf_slice(&once), &v, NULL), ERR_OK);
	jcompact(buf_slice(&once), &twice);
	assert_true(slice_eq(buf_slice(&twice), want));
	buf_free(&once);
	buf_free(&twice);
}

static void test_table(void **state)
{
	static const char *const rows[][2] = {
		{ "1", "1" },
		{ " null\n", "null" },
		{ "[ ]", "[]" },
		{ "{ }", "{}" },
		{ "\t[ 1 ,\r\n2.50, -0e+9 , true,false ,null ]", "[1,2.50,-0e+9,true,false,null]" },
		{ "{ \"b\" : 1 , \"a\" : { \"c\" : [ ] } }", "{\"b\":1,\"a\":{\"c\":[]}}" },
		{ "{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}" },
		{ "\" a  b \"", "\" a  b \"" },
		{ "\"\\u0041\\u00e4\\u20AC\"", "\"A\xc3\xa4\xe2\x82\xac\"" },
		{ "\"\\ud83d\\ude00\\uD83D\\uDE00x\"", "\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80x\"" },
		{ "\"\\/\\\\\\\"\"", "\"/\\\\\\\"\"" },
		{ "\"\\u002f\\u005c\\u0022\"", "\"/\\\\\\\"\"" },
		{ "\"\\b\\f\\n\\r\\t\"", "\"\\b\\f\\n\\r\\t\"" },
		{ "\"\\u0008\\u000c\\u000A\\u000d\\u0009\"", "\"\\b\\f\\n\\r\\t\"" },
		{ "\"\\u0000\\u001F\\u007f\"", "\"\\u0000\\u001f\x7f\"" },
		{ "\"\\uD7ff\\ue000\"", "\"\xed\x9f\xbf\xee\x80\x80\"" },
		{ "{\"\\u0061 \" : \"\\\\\" }", "{\"a \":\"\\\\\"}" },
		{ "[\"\",\"\"  ,\"\\\"\" ]", "[\"\",\"\",\"\\\"\"]" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(slice_str(rows[i][0]), slice_str(rows[i][1]));
}

/* Every character alone, as an escape: what must be escaped stays so, all else is itself. */
static void test_every_unit(void **state)
{
	char text[16];

	(void)state;
	for (unsigned c = 0; c < 0x10000; c++) {
		struct buf want = { 0 }, plain = { 0 };
		struct jval v;

		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		snprintf(text, sizeof(text), "\"\\u%04x\"", c);
		assert_int_equal(jscan_value(slice_str(text), &v, NULL), ERR_OK);
		jval_text(&v, &plain);
		buf_str(&want, "\"");
		buf_json(&want, buf_slice(&plain));
		buf_str(&want, "\"");
		expect(slice_str(text), buf_slice(&want));
		assert_true(want.n == plain.n + 2 || c < 0x20 || c == '"' || c == '\\');
		buf_free(&want);
		buf_free(&plain);
	}
}

/* Pieces that were cut between tokens come together again. */
static void test_pieces(void **state)
{
	static const char text[] = "{ \"a\" : [ 1 , \"x\\u0041\" ] , \"b\" : null }";
	struct buf whole = { 0 };
	static const size_t cuts[] = { 0, 1, 2, 5, 8, 10, 12, 14, 23, 25, 26, 28, 31, 34, 38, 39 };

	(void)state;
	jcompact(slice_str(text), &whole);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct buf two = { 0 };

		jcompact(slice_of(text, cuts[i]), &two);
		jcompact(slice_of(text + cuts[i], sizeof(text) - 1 - cuts[i]), &two);
		assert_true(slice_eq(buf_slice(&two), buf_slice(&whole)));
		buf_free(&two);
	}
	buf_free(&whole);
}

/* Text that has not passed a scan is not read beyond its end. */
static void test_malformed_is_no_danger(void **state)
{
	static const char *const bad[] = { "\"",           "\"\\",      "\"\\u", "\"\\u12",
					   "\"\\ud83d\\u", "\"\\ud83d", "\"x",   "\"\\ud" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf copy = { 0 }, out = { 0 };

		buf_str(&copy, bad[i]); /* on the heap, without a NUL: a sanitizer sees the end */
		jcompact(buf_slice(&copy), &out);
		assert_true(out.n <= copy.n + 1);
		buf_free(&copy);
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_every_unit),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_malformed_is_no_danger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
