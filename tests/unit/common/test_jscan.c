/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON scanner: what RFC 8259 and PROTOCOL section 2 accept and refuse,
 * with jansson as the oracle where it is as strict.  Texts stand in memory of
 * exactly their size, so that a sanitizer sees every byte read too many.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/jscan.h"

static const char *const names[] = { "a", "bb", "grüße", "\xf0\x9f\x8c\x8d", "a/b" };
enum { A, BB, GRUESSE, GLOBE, SLASH, NAMES };

/* An exact copy on the heap; free it. */
static struct slice exact(struct slice s)
{
	uint8_t *p = malloc(s.n ? s.n : 1);

	if (s.n)
		memcpy(p, s.p, s.n);
	return slice_of(p, s.n);
}

static bool scans(struct slice text)
{
	struct slice t = exact(text);
	struct jscan_fault fault = { .what = NULL };
	struct jval v = { .type = J_NONE };
	bool ok = jscan_value(t, &v, &fault) == ERR_OK;

	if (ok) {
		assert_true(v.type != J_NONE);
		assert_null(fault.what);
	} else {
		assert_int_equal(v.type, J_NONE);
		assert_non_null(fault.what);
		assert_true(fault.at <= text.n);
		assert_int_equal(fault.member, -1);
		assert_int_equal(jscan_value(t, NULL, NULL), ERR_BODY);
	}
	free((void *)t.p);
	return ok;
}

static bool jansson_takes(struct slice text)
{
	json_error_t why;
	json_t *v = json_loadb((const char *)text.p, text.n,
			       JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &why);

	json_decref(v);
	return v != NULL;
}

static void test_accepted(void **state)
{
	static const char *const good[] = {
		"{}",
		"[]",
		"null",
		"true",
		"false",
		"0",
		"-0",
		"1",
		"-1",
		"10",
		"1.5",
		"-0.0",
		"0e0",
		"0E+1",
		"1e-9",
		"1.25E10",
		"123456789012345678901234567890",
		"\"\"",
		"\"a\"",
		" \t\r\n[ \t\r\n]\n ",
		"[1,2,[3],{\"a\":[]}]",
		"{\"a\":1,\"a\":2}",
		"{\"\":{}}",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
		"\"\\u0000\"",
		"\"\\u00FF\\uabCD\"",
		"\"\\ud83c\\udf0d\"",
		"\"\\uDBFF\\uDFFF\"",
		"\"\\ue000\\ud7ff\"",
		"\"\x7f\"",
		"\"\xc2\x80\"",
		"\"\xdf\xbf\"",
		"\"\xe0\xa0\x80\"",
		"\"\xed\x9f\xbf\"",
		"\"\xee\x80\x80\"",
		"\"\xef\xbf\xbf\"",
		"\"\xf0\x90\x80\x80\"",
		"\"\xf4\x8f\xbf\xbf\"",
		"\"\xef\xbb\xbf\"",
		"[0 , 1\n, 2]",
		"{\"a\" : 1 , \"b\" : 2}",
		"\"0123456789abcdef0123456789abcdef\"",
		"\"0123456789abcde\\n0123456789abcdef\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!scans(slice_str(good[i])))
			fail_msg("refused: %s", good[i]);
		assert_true(jansson_takes(slice_str(good[i])));
	}
}

static const char *const refused[] = {
	"",
	" ",
	"\xef\xbb\xbf{}",
	"{} x",
	"{}{}",
	"[] ]",
	"1 2",
	"nul",
	"nulll",
	"True",
	"NaN",
	"Infinity",
	"-Infinity",
	"-",
	"+1",
	"01",
	"-01",
	"00",
	"1.",
	".5",
	"1.e1",
	"1e",
	"1e+",
	"0x10",
	"1_0",
	"1,",
	"'a'",
	"a",
	"{",
	"}",
	"[",
	"]",
	"{]",
	"[}",
	"[1",
	"[1,",
	"[1,]",
	"[,1]",
	"[1 2]",
	"[1,,2]",
	"{\"a\"",
	"{\"a\":",
	"{\"a\":1",
	"{\"a\":1,",
	"{\"a\":1,}",
	"{,}",
	"{\"a\" 1}",
	"{\"a\"::1}",
	"{a:1}",
	"{1:1}",
	"{\"a\":1 \"b\":2}",
	"{'a':1}",
	"{null:1}",
	"{\"a\":}",
	"// c\n1",
	"/* c */1",
	"[1]//",
	"\"",
	"\"a",
	"\"\\",
	"\"\\\"",
	"\"\\x\"",
	"\"\\u\"",
	"\"\\u1\"",
	"\"\\u12\"",
	"\"\\u123\"",
	"\"\\u123g\"",
	"\"\\U0041\"",
	"\"\\'\"",
	"\"\\0\"",
	"\"\n\"",
	"\"\t\"",
	"\"\x01\"",
	"\"\x1f\"",
	"\"\r\"",
	/* lone surrogate escapes */
	"\"\\ud800\"",
	"\"\\udbff\"",
	"\"\\udc00\"",
	"\"\\udfff\"",
	"\"\\ud800x\"",
	"\"\\ud800\\n\"",
	"\"\\ud800\\ud800\"",
	"\"\\ud800\\u0041\"",
	"\"\\ud800\\ue000\"",
	"\"\\ud800\\uffff\"",
	"\"\\udc00\\ud800\"",
	"\"\\ud83c\\udf0\"",
	"\"\\ud83c\\udf0\"\"",
	"\"\\ud83c\\",
	"\"\\ud83c\\u",
	"\"\\ud83c\\udf0g\"",
	"\"\\ud83c udf0d\"",
	"{\"\\ud800\":1}",
	"[[\"\\udc00\"]]",
	"{\"x\":{\"y\":\"\\ud800\"}}",
	/* UTF-8: stray continuation, overlong, surrogates, over U+10FFFF, cut off */
	"\"\x80\"",
	"\"\xbf\"",
	"\"\xc0\x80\"",
	"\"\xc1\xbf\"",
	"\"\xe0\x80\x80\"",
	"\"\xe0\x9f\xbf\"",
	"\"\xed\xa0\x80\"",
	"\"\xed\xbf\xbf\"",
	"\"\xf0\x80\x80\x80\"",
	"\"\xf0\x8f\xbf\xbf\"",
	"\"\xf4\x90\x80\x80\"",
	"\"\xf5\x80\x80\x80\"",
	"\"\xff\"",
	"\"\xfe\"",
	"\"\xc3\"",
	"\"\xc3",
	"\"\xe2\x82\"",
	"\"\xe2\x82",
	"\"\xf0\x9f\x8c\"",
	"\"\xf0\x9f\x8c",
	"\"\xc3(\"",
	"\"\xe2(\x82\"",
	"\"\xf0\x9f(\x8d\"",
	"\"\xf0\x9f\x8c(\"",
	"\xc3\xbc",
	"{\"\xff\":1}",
	/* white space that JSON does not know */
	"\x0b[]",
	"[]\x0c",
	"\xc2\xa0[]",
	"[\xe2\x80\xa8]",
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (scans(slice_str(refused[i])))
			fail_msg("accepted: %s", refused[i]);
		assert_false(jansson_takes(slice_str(refused[i])));
	}
	assert_false(scans(SLICE_STR("[]\0")));
	assert_false(scans(SLICE_STR("\"a\0b\"")));
	assert_false(scans(SLICE_STR("\0")));
	assert_false(scans(slice_of(NULL, 0)));
}

/* The same refusals deep inside a long text: behind vector blocks, in skipped members. */
static void test_refused_inside(void **state)
{
	char filler[64];

	(void)state;
	for (size_t pad = 0; pad < sizeof(filler); pad++) {
		memset(filler, 'x', pad);
		filler[pad] = '\0';
		for (size_t i = 2; i < sizeof(refused) / sizeof(refused[0]); i++) {
			struct buf b = { 0 };

			buf_fmt(&b, "{\"%s\":[\"%s\",%s]}", filler, filler, refused[i]);
			/* a few are harmless inside a list: "1,", "1 2" and their like stay refused */
			assert_int_equal(scans(buf_slice(&b)), jansson_takes(buf_slice(&b)));
			buf_free(&b);
		}
	}
}

/* Every single byte inside a string, at each place of a vector block. */
static void test_every_byte_in_a_string(void **state)
{
	(void)state;
	for (size_t n = 1; n < 40; n++) {
		for (int c = 0; c < 256; c++) {
			char text[64];
			bool want = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';

			memset(text, 'x', sizeof(text));
			text[0] = text[41] = '"';
			text[n] = (char)c;
			assert_int_equal(scans(slice_of(text, 42)), want);
		}
	}
}

/* Cutting a good text anywhere makes it bad; so does any byte after it. */
static void test_every_cut(void **state)
{
	static const char text[] = "{\"gr\\u00fc\xc3\x9f\":[1.5e3,-0,true,false,null,\"\\ud83c\\udf0d \\n "
				   "0123456789abcdef\"],\"o\":{}}";
	size_t n = sizeof(text) - 1;

	(void)state;
	assert_true(scans(slice_of(text, n)));
	for (size_t i = 0; i < n; i++)
		assert_false(scans(slice_of(text, i)));
	for (int c = 0; c < 256; c++) {
		char more[sizeof(text)];

		memcpy(more, text, n);
		more[n] = (char)c;
		assert_int_equal(scans(slice_of(more, n + 1)),
				 c == ' ' || c == '\t' || c == '\n' || c == '\r');
	}
}

static void nested(struct buf *b, size_t depth, const char *open, const char *inner, const char *close)
{
	for (size_t i = 0; i < depth; i++)
		buf_str(b, open);
	buf_str(b, inner);
	for (size_t i = 0; i < depth; i++)
		buf_str(b, close);
}

static void test_depth(void **state)
{
	struct buf b = { 0 };

	(void)state;
	nested(&b, JSCAN_DEPTH, "[", "1", "]");
	assert_true(scans(buf_slice(&b)));
	buf_reset(&b);
	nested(&b, JSCAN_DEPTH + 1, "[", "1", "]");
	assert_false(scans(buf_slice(&b)));
	buf_reset(&b);
	nested(&b, JSCAN_DEPTH - 1, "{\"a\":", "{}", "}");
	assert_true(scans(buf_slice(&b)));
	buf_reset(&b);
	nested(&b, JSCAN_DEPTH, "{\"a\":", "[]", "}");
	assert_false(scans(buf_slice(&b)));
	buf_reset(&b);
	nested(&b, 1000000, "[", "", ""); /* no stack to run out of */
	assert_false(scans(buf_slice(&b)));
	buf_free(&b);
}

static enum err object(const char *text, struct jval out[NAMES], struct jscan_fault *fault)
{
	return jscan_object(slice_str(text), names, NAMES, out, fault);
}

static void test_members(void **state)
{
	struct jval v[NAMES];

	(void)state;
	assert_int_equal(
		object(" { \"x\" : {\"a\":9,\"a\":9} , \"bb\" : \"t\\n\" , \"a\" : [ 1 , 2 ] } ", v, NULL),
		ERR_OK);
	assert_int_equal(v[A].type, J_ARRAY);
	assert_true(slice_is(v[A].raw, "[ 1 , 2 ]"));
	assert_int_equal(v[BB].type, J_STRING);
	assert_true(v[BB].escaped);
	assert_true(slice_is(v[BB].raw, "t\\n"));
	assert_int_equal(v[GLOBE].type, J_NONE);
	assert_int_equal(object("{\"a\":null,\"bb\":{\"c\":1}}", v, NULL), ERR_OK);
	assert_int_equal(v[A].type, J_NULL);
	assert_true(slice_is(v[A].raw, "null"));
	assert_int_equal(v[BB].type, J_OBJECT);
	assert_true(slice_is(v[BB].raw, "{\"c\":1}"));
	assert_int_equal(object("{\"a\":true,\"bb\":-1.5}", v, NULL), ERR_OK);
	assert_int_equal(v[A].type, J_TRUE);
	assert_int_equal(v[BB].type, J_NUMBER);
	assert_true(slice_is(v[BB].raw, "-1.5"));
	assert_int_equal(object("{}", v, NULL), ERR_OK);
	assert_int_equal(v[A].type, J_NONE);
	assert_int_equal(jscan_object(SLICE_STR("{\"a\":1}"), NULL, 0, NULL, NULL), ERR_OK);
}

/* Whatever their order, and an empty name is a name; what is doubled is found from everywhere. */
static void test_members_in_every_order(void **state)
{
	static const char *const three[] = { "a", "", "ab" };
	static const char *const orders[] = { "012", "021", "102", "120", "201", "210" };

	(void)state;
	for (size_t o = 0; o < 6; o++) {
		struct jscan_fault fault;
		struct jval v[3];
		struct buf b = { 0 };

		for (size_t i = 0; i < 3; i++)
			buf_fmt(&b, "%s\"%s\":%c,\"b\":9", i ? "," : "{", three[orders[o][i] - '0'],
				orders[o][i]);
		buf_str(&b, "}");
		assert_int_equal(jscan_object(buf_slice(&b), three, 3, v, &fault), ERR_OK);
		for (size_t i = 0; i < 3; i++) {
			assert_int_equal(v[i].type, J_NUMBER);
			assert_int_equal(v[i].raw.p[0], '0' + i);
		}
		for (size_t i = 0; i < 3; i++) {
			b.n--;
			buf_fmt(&b, ",\"%s\":1}", three[i]);
			assert_int_equal(jscan_object(buf_slice(&b), three, 3, v, &fault), ERR_BODY);
			assert_int_equal(fault.member, i);
			b.n -= strlen(three[i]) + 6;
			buf_str(&b, "}");
		}
		buf_free(&b);
	}
}

static void test_escaped_names(void **state)
{
	struct jval v[NAMES];

	(void)state;
	assert_int_equal(object("{\"\\u0061\":1,\"\\u0062b\":2,\"gr\\u00fc\\u00dfe\":3,\"\\ud83c\\uDF0D\":4,"
				"\"a\\/b\":5}",
				v, NULL),
			 ERR_OK);
	for (int i = 0; i < NAMES; i++) {
		assert_int_equal(v[i].type, J_NUMBER);
		assert_int_equal(v[i].raw.p[0], '1' + i);
	}
	/* nearly the names */
	assert_int_equal(object("{\"\\u0041\":1,\"b\":1,\"bbb\":1,\"\\u0062\":1,\"b\\u0062b\":1,\"\":1,"
				"\"a\\u0000\":1,\"gr\\u00fc\\u00df\":1,\"\\ud83c\\udf0e\":1,\"a\\\\/b\":1}",
				v, NULL),
			 ERR_OK);
	for (int i = 0; i < NAMES; i++)
		assert_int_equal(v[i].type, J_NONE);
}

static void test_duplicates(void **state)
{
	static const struct {
		const char *text;
		int member;
		size_t at;
	} bad[] = {
		{ "{\"a\":1,\"a\":1}", A, 7 },
		{ "{\"a\":1,\"\\u0061\":1}", A, 7 },
		{ "{\"\\u0061\":1,\"a\":1}", A, 12 },
		{ "{\"bb\":null,\"x\":1,\"\\u0062\\u0062\":1}", BB, 17 },
		{ "{\"gr\xc3\xbc\xc3\x9f"
		  "e\":1,\"gr\\u00FC\xc3\x9f"
		  "e\":1}",
		  GRUESSE, 13 },
		{ "{\"\\ud83c\\udf0d\":1,\"\xf0\x9f\x8c\x8d\":1}", GLOBE, 18 },
		{ "{\"a/b\":1,\"a\\/b\":1}", SLASH, 9 },
		{ "{\"a\":{},\"a\":", A, 8 }, /* said before the text is seen to be cut */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct jval v[NAMES] = { { .type = J_TRUE } };
		struct jscan_fault fault;

		assert_int_equal(object(bad[i].text, v, &fault), ERR_BODY);
		assert_int_equal(fault.member, bad[i].member);
		assert_string_equal(fault.what, "duplicate member");
		assert_int_equal(fault.at, bad[i].at);
		assert_int_equal(v[A].type, J_TRUE); /* written on success only */
	}
}

static void test_not_an_object(void **state)
{
	static const char *const bad[] = { "[]", "1",    "\"{}\"",         "null", "",
					   " ",  "[{}]", "\xef\xbb\xbf{}", "{}0" };
	struct jscan_fault fault;
	struct jval v[NAMES];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(object(bad[i], v, &fault), ERR_BODY);
		assert_int_equal(fault.member, -1);
	}
	assert_int_equal(jscan_object(slice_of(NULL, 0), names, NAMES, v, &fault), ERR_BODY);
	assert_int_equal(fault.at, 0);
}

static void test_integers(void **state)
{
	static const char *const bad[] = { "1.0", "1e3", "-1", "-0", "1E0", "\"1\"", "null", "true", "[1]" };
	uint64_t n = 77;
	struct jval v;

	(void)state;
	assert_int_equal(jscan_value(SLICE_STR("0"), &v, NULL), ERR_OK);
	assert_int_equal(jval_u64(&v, 0, &n), ERR_OK);
	assert_int_equal(n, 0);
	assert_int_equal(jscan_value(SLICE_STR("9007199254740991"), &v, NULL), ERR_OK);
	assert_int_equal(jval_u64(&v, UINT64_C(9007199254740991), &n), ERR_OK);
	assert_true(n == UINT64_C(9007199254740991));
	assert_int_equal(jval_u64(&v, UINT64_C(9007199254740990), &n), ERR_RANGE);
	assert_int_equal(jscan_value(SLICE_STR("18446744073709551615"), &v, NULL), ERR_OK);
	assert_int_equal(jval_u64(&v, UINT64_MAX, &n), ERR_OK);
	assert_true(n == UINT64_MAX);
	n = 77;
	assert_int_equal(jscan_value(SLICE_STR("18446744073709551616"), &v, NULL), ERR_OK);
	assert_int_equal(jval_u64(&v, UINT64_MAX, &n), ERR_RANGE);
	assert_int_equal(jscan_value(SLICE_STR("99999999999999999999999999"), &v, NULL), ERR_OK);
	assert_int_equal(jval_u64(&v, UINT64_MAX, &n), ERR_RANGE);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(jscan_value(slice_str(bad[i]), &v, NULL), ERR_OK);
		assert_int_equal(jval_u64(&v, UINT64_MAX, &n), ERR_FORMAT);
	}
	v.type = J_NONE;
	assert_int_equal(jval_u64(&v, UINT64_MAX, &n), ERR_FORMAT);
	assert_int_equal(n, 77);
}

static void test_text(void **state)
{
	static const struct {
		const char *json, *text;
		size_t n;
	} cases[] = {
		{ "\"\"", "", 0 },
		{ "\"plain\"", "plain", 5 },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8 },
		{ "\"a\\u0000b\"", "a\0b", 3 },
		{ "\"\\u007f\\u0080\\u07ff\\u0800\\uffff\"", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf",
		  11 },
		{ "\"\\ud83c\\udf0d!\\udbff\\udfff\"", "\xf0\x9f\x8c\x8d!\xf4\x8f\xbf\xbf", 9 },
		{ "\"\xc3\xbc\\u00fc\"", "\xc3\xbc\xc3\xbc", 4 },
	};
	struct buf b = { 0 };
	struct jval v;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(jscan_value(slice_str(cases[i].json), &v, NULL), ERR_OK);
		buf_reset(&b);
		jval_text(&v, &b);
		assert_true(slice_eq(buf_slice(&b), slice_of(cases[i].text, cases[i].n)));
	}
	/* a text that was never scanned: nothing is read behind its end */
	for (const char *const *p =
		     (const char *const[]){ "\\", "\\u", "\\u12", "\\ud83c", "\\ud83c\\u", "\\q", NULL };
	     *p; p++) {
		struct slice t = exact(slice_str(*p));

		v = (struct jval){ J_STRING, true, t };
		buf_reset(&b);
		jval_text(&v, &b);
		assert_int_equal(b.n, 0);
		free((void *)t.p);
	}
	buf_free(&b);
}

static void assert_items(const char *text, const char *const *want, size_t n)
{
	struct jval array, item;
	size_t pos = 0, i = 0;

	assert_int_equal(jscan_value(slice_str(text), &array, NULL), ERR_OK);
	for (; jarray_next(array.raw, &pos, &item); i++) {
		assert_true(i < n);
		assert_true(slice_is(item.raw, want[i]));
	}
	assert_int_equal(i, n);
	assert_false(jarray_next(array.raw, &pos, &item)); /* and stays at the end */
}

static void test_arrays(void **state)
{
	struct jval item;
	size_t pos = 0;

	(void)state;
	assert_items("[]", NULL, 0);
	assert_items(" [ \n ] ", NULL, 0);
	assert_items("[1]", (const char *const[]){ "1" }, 1);
	assert_items("[ 1 , \"a]\" ,[2,3], {\"k\":[]} , null ]",
		     (const char *const[]){ "1", "a]", "[2,3]", "{\"k\":[]}", "null" }, 5);
	assert_false(jarray_next(slice_of(NULL, 0), &pos, &item));
	assert_false(jarray_next(SLICE_STR("["), &pos, &item));
	pos = 0;
	assert_false(jarray_next(SLICE_STR("[1"), &pos, &item));
}

static void test_array_of_deepest(void **state)
{
	struct buf b = { 0 };
	struct jval v, item;
	size_t pos = 0;

	(void)state;
	nested(&b, JSCAN_DEPTH, "[", "", "]");
	assert_int_equal(jscan_value(buf_slice(&b), &v, NULL), ERR_OK);
	assert_true(jarray_next(v.raw, &pos, &item));
	assert_int_equal(item.raw.n, 2 * (JSCAN_DEPTH - 1));
	assert_false(jarray_next(v.raw, &pos, &item));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_inside),
		cmocka_unit_test(test_every_byte_in_a_string),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_members_in_every_order),
		cmocka_unit_test(test_escaped_names),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_not_an_object),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_arrays),
		cmocka_unit_test(test_array_of_deepest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
