/* SPDX-License-Identifier: Apache-2.0
 *
 * Every clause of PROTOCOL section 2, accepted and refused, with the member
 * that is named; jansson as the oracle for what is JSON at all.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include "body.h"
#include "gateway/scan.h"

#define KEY_TOP_BIT "\"fLJPcO13vS8QHQBdmoCvTe33Qf6gXe4/t+6HKYBHWNs=\""

struct row {
	const char *name, *raw; /* replaced member */
	const char *param;      /* NULL: accepted; "": refused without a member */
};

static enum err scan_text(struct slice s, bool streams, struct scan *out, struct scan_fault *f)
{
	/* an exact copy, so that a byte read too far is seen by the sanitizer */
	uint8_t *copy = malloc(s.n ? s.n : 1);
	enum err e;

	assert_non_null(copy);
	if (s.n)
		memcpy(copy, s.p, s.n);
	e = scan_confidential(slice_of(copy, s.n), streams, out, f);
	free(copy);
	return e;
}

static void check_row(const struct row *r)
{
	struct buf b = { .p = NULL };
	struct scan out = { .stack = 4711 };
	struct scan_fault f;
	enum err e;

	body_with(&b, r->name, r->raw);
	e = scan_text(buf_slice(&b), true, &out, &f);
	if (e != (r->param ? ERR_BODY : ERR_OK))
		fail_msg("%s = %s: %s", r->name, r->raw ? r->raw : "(absent)", err_name(e));
	if (r->param) {
		assert_string_equal(f.param ? f.param : "", r->param);
		assert_non_null(f.what);
		assert_int_equal(out.stack, 4711); /* untouched */
	}
	buf_free(&b);
}

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_row(&rows[i]);
}
#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void gives_what_the_broker_needs(void **state)
{
	struct buf b = { .p = NULL };
	struct scan s;
	struct scan_fault f;

	(void)state;
	body_with(&b, "num_compute_units", "9007199254740991");
	assert_int_equal(scan_text(buf_slice(&b), true, &s, &f), ERR_OK);
	assert_int_equal(s.stack, 42);
	assert_false(s.stream);
	assert_true(s.has_units);
	assert_int_equal(s.units, ID_MAX);
	assert_true(slice_is(slice_of(s.model, s.model_n), "demo"));
	assert_int_equal(s.node_key[0], 0x19);
	assert_int_equal(s.node_key[31], 0x23);
	assert_int_equal(s.plain_hash[0], 0x34);
	assert_int_equal(s.plain_hash[31], 0x60);
	buf_free(&b);
}

static void required_members(void **state)
{
	(void)state;
	for (size_t i = 0; i < BODY_MEMBERS; i++) {
		const char *name = body_members[i].name;
		const struct row rows[] = {
			{ name, NULL, name },    { name, "null", name },
			{ name, "true", name },  { name, "[]", name },
			{ name, "{}", name },    { name, "-1", name },
			{ name, "\"\"", name },  { name, "1.5", name },
			{ name, "false", name }, { name, body_members[i].raw, NULL },
		};

		CHECK(rows);
	}
}

static void strings_are_not_numbers(void **state)
{
	static const struct row rows[] = {
		{ "ciphertext", "1", "ciphertext" },
		{ "nonce", "1", "nonce" },
		{ "salt", "1", "salt" },
		{ "client_dh_public_key", "1", "client_dh_public_key" },
		{ "node_dh_public_key", "1", "node_dh_public_key" },
		{ "plaintext_body_hash", "1", "plaintext_body_hash" },
		{ "model_name", "1", "model_name" },
		{ "stack_small_id", "\"42\"", "stack_small_id" },
	};

	(void)state;
	CHECK(rows);
}

static void decoded_sizes(void **state)
{
	static const struct row rows[] = {
		{ "ciphertext", "\"AAAAAAAAAAAAAAAAAAAAAA==\"", NULL },     /* 16 */
		{ "ciphertext", "\"AAAAAAAAAAAAAAAAAAAA\"", "ciphertext" }, /* 15 */
		{ "nonce", "\"AAAAAAAAAAAAAAAA\"", NULL },                  /* 12 */
		{ "nonce", "\"AAAAAAAAAAAAAAA=\"", "nonce" },               /* 11 */
		{ "nonce", "\"AAAAAAAAAAAAAAAAAA==\"", "nonce" },           /* 13 */
		{ "salt", "\"AAAAAAAAAAAAAAAAAAAAAA==\"", NULL },           /* 16 */
		{ "salt", "\"AAAAAAAAAAAAAAAAAAAA\"", "salt" },             /* 15 */
		{ "salt", "\"AAAAAAAAAAAAAAAAAAAAAAA=\"", "salt" },         /* 17 */
		{ "client_dh_public_key", "\"AAAAAAAAAAAAAAAAAAAAAA==\"", "client_dh_public_key" },
		{ "node_dh_public_key", "\"AAAAAAAAAAAAAAAAAAAAAA==\"", "node_dh_public_key" },
		{ "plaintext_body_hash", "\"AAAAAAAAAAAAAAAAAAAAAA==\"", "plaintext_body_hash" },
		{ "client_dh_public_key", KEY_TOP_BIT, "client_dh_public_key" },
		{ "node_dh_public_key", KEY_TOP_BIT, "node_dh_public_key" },
		{ "plaintext_body_hash", KEY_TOP_BIT, NULL }, /* a hash may have any bit */
	};

	(void)state;
	CHECK(rows);
}

static void base64_is_strict(void **state)
{
	static const struct row rows[] = {
		{ "salt", "\"tdVWMsPtgS939NxVOQAWaw\"", "salt" },      /* no padding */
		{ "salt", "\"tdVWMsPtgS939NxVOQAWaw=\"", "salt" },     /* half of it */
		{ "salt", "\"tdVWMsPtgS939NxVOQAWax==\"", "salt" },    /* stray bits */
		{ "salt", "\"tdVWMsPtgS939NxVOQAWaw==\\n\"", "salt" }, /* white space */
		{ "salt", "\" tdVWMsPtgS939NxVOQAWaw==\"", "salt" },
		{ "salt", "\"tdVWMsPtgS-39NxVOQAWaw==\"", "salt" }, /* URL alphabet */
		{ "salt", "\"tdVWMsPtgS_39NxVOQAWaw==\"", "salt" },
		{ "salt", "\"tdVWMsPtgS939NxVOQAWaw==AA==\"", "salt" },
		{ "ciphertext", "\"dlydr9OqsivwqEQDadI1a0WKbR6DI1VUg7zt2KBoU0pVp84D=\"", "ciphertext" },
		{ "ciphertext", "\"dlydr9OqsivwqEQDadI1a0WKbR6D!1VUg7zt2KBoU0pVp84D\"", "ciphertext" },
		/* escapes stand for the character that they mean */
		{ "client_dh_public_key", "\"fLJPcO13vS8QHQBdmoCvTe33Qf6gXe4\\/t+6HKYBHWFs=\"", NULL },
		{ "client_dh_public_key", "\"fLJPcO13vS8QHQBdmoCvTe33Qf6gXe4/t\\u002b6HKYBHWFs=\"", NULL },
		{ "client_dh_public_key", "\"fLJPcO13vS8QHQBdmoCvTe33Qf6gXe4\\\\t+6HKYBHWFs=\"",
		  "client_dh_public_key" },
	};

	(void)state;
	CHECK(rows);
}

static void numbers(void **state)
{
	static const struct row rows[] = {
		{ "stack_small_id", "0", NULL },
		{ "stack_small_id", "9007199254740991", NULL },
		{ "stack_small_id", "9007199254740992", "stack_small_id" },
		{ "stack_small_id", "18446744073709551616", "stack_small_id" },
		{ "stack_small_id", "99999999999999999999999999999999999999999", "stack_small_id" },
		{ "stack_small_id", "1.0", "stack_small_id" },
		{ "stack_small_id", "1e3", "stack_small_id" },
		{ "stack_small_id", "1E0", "stack_small_id" },
		{ "stack_small_id", "-0", "stack_small_id" },
		{ "num_compute_units", "null", NULL },
		{ "num_compute_units", "0", NULL },
		{ "num_compute_units", "9007199254740992", "num_compute_units" },
		{ "num_compute_units", "1.0", "num_compute_units" },
		{ "num_compute_units", "\"1\"", "num_compute_units" },
		{ "num_compute_units", "true", "num_compute_units" },
		{ "stack_small_id", "042", "" },
		{ "stack_small_id", "+42", "" },
		{ "stack_small_id", "0x2a", "" },
		{ "stack_small_id", "NaN", "" },
		{ "stack_small_id", "Infinity", "" },
		{ "stack_small_id", ".5", "" },
		{ "stack_small_id", "5.", "" },
	};

	(void)state;
	CHECK(rows);
}

static void booleans_and_models(void **state)
{
	static const struct row rows[] = {
		{ "stream", "true", NULL },
		{ "stream", "false", NULL },
		{ "stream", "null", NULL },
		{ "stream", "1", "stream" },
		{ "stream", "\"true\"", "stream" },
		{ "stream", "True", "" },
		{ "model_name", "\"\\u0064emo\"", NULL },
		{ "model_name", "\"mod\\u00e8le \\ud83d\\ude00\"", NULL },
		{ "model_name", "\"de\\u0000mo\"", "model_name" },
		{ "model_name", "\"\\ud83d\"", "" }, /* lone high surrogate */
		{ "model_name", "\"\\ude00\"", "" }, /* lone low surrogate */
		{ "model_name", "\"\\ud83d\\ud83d\"", "" },
		{ "model_name", "\"\xff\"", "" },
		{ "model_name", "\"\xc0\xaf\"", "" },         /* overlong */
		{ "model_name", "\"\xed\xa0\x80\"", "" },     /* surrogate in UTF-8 */
		{ "model_name", "\"\xf4\x90\x80\x80\"", "" }, /* over U+10FFFF */
		{ "model_name", "\"a\nb\"", "" },             /* raw control character */
		{ "model_name", "\"a\\x\"", "" },
		{ "model_name", "'demo'", "" },
	};

	(void)state;
	CHECK(rows);
}

static void model_lengths(void **state)
{
	char raw[300];
	struct row r = { "model_name", raw, NULL };

	(void)state;
	memset(raw, 'm', sizeof(raw));
	raw[0] = raw[257] = '"';
	raw[258] = 0;
	check_row(&r); /* 256 */
	raw[257] = 'm';
	raw[258] = '"';
	raw[259] = 0;
	r.param = "model_name"; /* 257 */
	check_row(&r);
}

static void unknown_members_are_scanned_and_ignored(void **state)
{
	static const struct row rows[] = {
		{ "extra", "{\"stream\":7,\"a\":[1,2,{\"b\":null}]}", NULL },
		{ "extra", "-0", NULL },
		{ "extra", "1e3", NULL },
		{ "extra", "123456789012345678901234567890", NULL },
		{ "extra", "\"\\ud800\"", "" },
		{ "extra", "[1,]", "" },
		{ "extra", "{\"a\":1,}", "" },
		{ "extra", "01", "" },
		{ "extra", "[\"\xff\"]", "" },
		{ "extra", "nul", "" },
		{ "extra", "/* no */ 1", "" },
	};

	(void)state;
	CHECK(rows);
}

static void duplicates_of_named_members(void **state)
{
	static const char *const all[] = { "ciphertext",
					   "nonce",
					   "salt",
					   "client_dh_public_key",
					   "node_dh_public_key",
					   "plaintext_body_hash",
					   "model_name",
					   "stack_small_id",
					   "stream",
					   "num_compute_units" };
	char escaped[80];

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (int twice = 0; twice < 2; twice++) {
			struct buf b = { .p = NULL };
			struct scan s;
			struct scan_fault f;

			body_with(&b, i >= BODY_MEMBERS ? all[i] : NULL, "null");
			b.n--;
			/* the second time with its first letter escaped: names are compared unescaped */
			snprintf(escaped, sizeof(escaped), "\\u00%02x%s", (unsigned)all[i][0], all[i] + 1);
			body_put(&b, twice ? escaped : all[i], "1");
			buf_str(&b, "}");
			assert_int_equal(scan_text(buf_slice(&b), true, &s, &f), ERR_BODY);
			assert_string_equal(f.param, all[i]);
			buf_free(&b);
		}
	}
}

static void around_the_object(void **state)
{
	static const struct {
		const char *before, *after;
		enum err e;
	} rows[] = {
		{ "", "", ERR_OK },
		{ " \t\r\n", " \t\r\n ", ERR_OK },
		{ "\xef\xbb\xbf", "", ERR_BODY },
		{ "", "x", ERR_BODY },
		{ "", "{}", ERR_BODY },
		{ "", ",", ERR_BODY },
		{ "[", "]", ERR_BODY },
		{ "\f", "", ERR_BODY },
		{ "\xc2\xa0", "", ERR_BODY },
		{ "{\"a\":", "}", ERR_BODY },
		{ "", "\x0b", ERR_BODY },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = { .p = NULL }, o = { .p = NULL };
		struct scan s;
		struct scan_fault f;

		body_with(&o, NULL, NULL);
		buf_str(&b, rows[i].before);
		buf_add(&b, o.p, o.n);
		buf_str(&b, rows[i].after);
		assert_int_equal(scan_text(buf_slice(&b), true, &s, &f), rows[i].e);
		buf_free(&b);
		buf_free(&o);
	}
}

static void texts_that_are_no_object(void **state)
{
	static const char *const texts[] = { "",         " ",     "null", "[]",
					     "\"\"",     "1",     "{",    "}",
					     "{\"",      "{}x",   "{]",   "{\"a\"}",
					     "{\"a\":}", "{a:1}", "{,}",  "{\"a\":1 \"b\":2}" };
	struct scan s;
	struct scan_fault f;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(scan_text(slice_str(texts[i]), true, &s, &f), ERR_BODY);
	assert_int_equal(scan_text(SLICE_STR("{}\0"), true, &s, &f), ERR_BODY);
}

static void depth(void **state)
{
	(void)state;
	for (int levels = 62; levels <= 66; levels++) {
		struct buf raw = { .p = NULL };
		struct row r = { "extra", NULL, levels + 1 > 64 ? "" : NULL };

		for (int i = 0; i < levels; i++)
			buf_str(&raw, "[");
		for (int i = 0; i < levels; i++)
			buf_str(&raw, "]");
		buf_add(&raw, "", 1);
		r.raw = (const char *)raw.p;
		check_row(&r); /* the object itself is one level */
		buf_free(&raw);
	}
}

static void endpoints_that_do_not_stream(void **state)
{
	static const char *const off[] = { "false", "null", NULL };
	struct scan_fault f;
	struct scan s;
	struct buf b = { .p = NULL };

	(void)state;
	body_with(&b, "stream", "true");
	assert_int_equal(scan_text(buf_slice(&b), false, &s, &f), ERR_BODY);
	assert_string_equal(f.param, "stream");
	assert_int_equal(scan_text(buf_slice(&b), true, &s, &f), ERR_OK);
	assert_true(s.stream);
	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		buf_reset(&b);
		body_with(&b, "stream", off[i]);
		assert_int_equal(scan_text(buf_slice(&b), false, &s, &f), ERR_OK);
		assert_false(s.stream);
	}
	buf_free(&b);
}

/* Every prefix of a valid body is refused, and every single byte changed gives
 * the verdict about being JSON that jansson gives. */
static void every_byte_against_the_oracle(void **state)
{
	struct buf b = { .p = NULL };
	struct scan s;
	struct scan_fault f;

	(void)state;
	body_with(&b, "extra", "[1.5e3,\"\\u00e9\xc3\xa9\",true,false,null,{\"k\":-1}]");
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(scan_text(slice_of(b.p, n), true, &s, &f), ERR_BODY);
	for (size_t i = 0; i < b.n; i++) {
		uint8_t was = b.p[i];

		for (unsigned v = 0; v < 256; v += 5) {
			json_t *j;
			enum err e;

			b.p[i] = (uint8_t)v;
			e = scan_text(buf_slice(&b), true, &s, &f);
			j = json_loadb((const char *)b.p, b.n, JSON_ALLOW_NUL, NULL);
			/* not JSON for us (no member named) exactly when not JSON for jansson, which,
			 * however, overlooks a raw NUL behind a number */
			if ((!j || v == 0) != (e != ERR_OK && !f.param))
				fail_msg("byte %zu = 0x%02x: jansson %d, scan %s %s", i, v, j != NULL,
					 err_name(e), f.param ? f.param : "");
			json_decref(j);
		}
		b.p[i] = was;
	}
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_what_the_broker_needs),
		cmocka_unit_test(required_members),
		cmocka_unit_test(strings_are_not_numbers),
		cmocka_unit_test(decoded_sizes),
		cmocka_unit_test(base64_is_strict),
		cmocka_unit_test(numbers),
		cmocka_unit_test(booleans_and_models),
		cmocka_unit_test(model_lengths),
		cmocka_unit_test(unknown_members_are_scanned_and_ignored),
		cmocka_unit_test(duplicates_of_named_members),
		cmocka_unit_test(around_the_object),
		cmocka_unit_test(texts_that_are_no_object),
		cmocka_unit_test(depth),
		cmocka_unit_test(endpoints_that_do_not_stream),
		cmocka_unit_test(every_byte_against_the_oracle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
