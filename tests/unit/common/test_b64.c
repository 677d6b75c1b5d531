/* SPDX-License-Identifier: Apache-2.0
 *
 * Base64 and hex: RFC 4648 vectors, every malformation, and libsodium as the
 * oracle for random and for exhaustively damaged texts.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"

/* libsodium's judgement: the number of bytes, or -1.  Its version 1.0.18 takes
 * bytes over 127 for digits, so those are judged here. */
static long oracle(struct slice text, uint8_t *out, size_t cap)
{
	size_t len;

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] > 127)
			return -1;
	if (sodium_base642bin(out, cap, (const char *)text.p, text.n, NULL, &len, NULL,
			      sodium_base64_VARIANT_ORIGINAL) != 0)
		return -1;
	return (long)len;
}

/* All three decoders agree with the oracle on text. */
static void assert_same_as_oracle(struct slice text)
{
	size_t cap = text.n + 8, n = 12345;
	uint8_t *want = malloc(cap), *got = malloc(cap);
	struct buf b = { 0 };
	long len = oracle(text, want, cap);

	buf_str(&b, "pre");
	if (len < 0) {
		memset(got, 0xa5, cap);
		assert_int_equal(b64_check(text, &n), ERR_FORMAT);
		assert_int_equal(n, 12345);
		assert_int_equal(b64_decode(text, SIZE_MAX, &b), ERR_FORMAT);
		assert_int_equal(b.n, 3);
		for (size_t i = 0; i <= text.n / 4 * 3; i++)
			assert_int_equal(b64_decode_exact(text, got, i), ERR_FORMAT);
		for (size_t i = 0; i < cap; i++)
			assert_int_equal(got[i], 0xa5);
	} else {
		assert_int_equal(b64_check(text, &n), ERR_OK);
		assert_int_equal(n, len);
		assert_int_equal(b64_decode(text, (size_t)len, &b), ERR_OK);
		assert_int_equal(b.n, 3 + len);
		assert_true(slice_eq(slice_of(b.p + 3, b.n - 3), slice_of(want, (size_t)len)));
		assert_int_equal(b64_decode_exact(text, got, (size_t)len), ERR_OK);
		assert_true(slice_eq(slice_of(got, (size_t)len), slice_of(want, (size_t)len)));
	}
	buf_free(&b);
	free(want);
	free(got);
}

static const struct {
	const char *plain, *text;
} rfc4648[] = {
	{ "", "" },
	{ "f", "Zg==" },
	{ "fo", "Zm8=" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
};

static void test_rfc4648(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rfc4648) / sizeof(rfc4648[0]); i++) {
		struct slice text = slice_str(rfc4648[i].text), plain = slice_str(rfc4648[i].plain);
		struct buf out = { 0 };
		uint8_t raw[8];
		size_t n;

		b64_encode(&out, plain);
		assert_true(slice_eq(buf_slice(&out), text));
		assert_int_equal(out.n, B64_LEN(plain.n));
		buf_reset(&out);
		assert_int_equal(b64_decode(text, 6, &out), ERR_OK);
		assert_true(slice_eq(buf_slice(&out), plain));
		assert_int_equal(b64_check(text, &n), ERR_OK);
		assert_int_equal(n, plain.n);
		assert_int_equal(b64_check(text, NULL), ERR_OK);
		assert_int_equal(b64_decode_exact(text, raw, plain.n), ERR_OK);
		assert_int_equal(b64_decode_exact(text, raw, plain.n + 1), ERR_FORMAT);
		buf_free(&out);
	}
}

static void test_malformed(void **state)
{
	static const char *const bad[] = {
		"Z",     "Zg",       "Zg=",      "Zg===",      "Zh==",          "Zm9=",     "Zm8",
		"=",     "==",       "===",      "====",       "Z===",          "Zg==Zg==", "Zm8=Zm8=",
		"Zm9v=", "Zm9v====", " Zg==",    "Zg== ",      "Zg==\n",        "Z g==",    "Zm\n9v",
		"Zm9-",  "Zm9_",     "Zm9.",     "\xc3\xbcZm", "Zm9\x80",       "Zm9\xff",  "Zm=v",
		"Z=9v",  "=m9v",     "Zm9vYg=a", "Zm9v\tYmFy", "\xef\xbb\xbfZ", "Zg=\n",    "Zg!=",
		"[m9v",  "`m9v",     "{m9v",     "@m9v",       ":m9v",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(b64_check(slice_str(bad[i]), NULL), ERR_FORMAT);
		assert_same_as_oracle(slice_str(bad[i]));
	}
	assert_int_equal(b64_check(SLICE_STR("Zm\0v"), NULL), ERR_FORMAT);
}

/* Each byte value at each place of texts that take the vector path, its tail
 * and the last group. */
static void test_every_byte_everywhere(void **state)
{
	uint8_t text[40];

	(void)state;
	memset(text, 'A', sizeof(text));
	for (size_t at = 0; at < sizeof(text); at++) {
		for (int c = 0; c < 256; c++) {
			text[at] = (uint8_t)c;
			assert_same_as_oracle(slice_of(text, sizeof(text)));
		}
		text[at] = 'A';
	}
}

static void test_every_padding(void **state)
{
	uint8_t text[8] = "AAAAA";

	(void)state;
	for (int c = 0; c < 256; c++) { /* stray bits behind the last byte */
		memcpy(text + 4, (uint8_t[]){ 'A', (uint8_t)c, '=', '=' }, 4);
		assert_same_as_oracle(slice_of(text, 8));
		memcpy(text + 4, (uint8_t[]){ 'A', 'A', (uint8_t)c, '=' }, 4);
		assert_same_as_oracle(slice_of(text, 8));
		memcpy(text + 4, (uint8_t[]){ 'A', 'A', '=', (uint8_t)c }, 4);
		assert_same_as_oracle(slice_of(text, 8));
	}
	for (size_t n = 0; n < 8; n++)
		assert_same_as_oracle(slice_of("AAAAAAAA", n));
}

static void test_random_round_trip(void **state)
{
	(void)state;
	for (size_t n = 0; n < 600; n++) {
		uint8_t raw[600];
		char want[B64_LEN(600) + 1], got[B64_LEN(600) + 1];

		randombytes_buf(raw, n);
		sodium_bin2base64(want, sizeof(want), raw, n, sodium_base64_VARIANT_ORIGINAL);
		memset(got, '!', sizeof(got));
		b64_put(got, raw, n);
		assert_memory_equal(got, want, B64_LEN(n));
		assert_int_equal(got[B64_LEN(n)], '!');
		assert_same_as_oracle(slice_of(got, B64_LEN(n)));
	}
}

static void test_megabytes(void **state)
{
	size_t n = (3u << 20) + 1;
	struct buf raw = { 0 }, text = { 0 }, back = { 0 };

	(void)state;
	buf_reserve(&raw, n);
	randombytes_buf(raw.p, n);
	raw.n = n;
	b64_encode(&text, buf_slice(&raw));
	assert_int_equal(b64_decode(buf_slice(&text), n - 1, &back), ERR_LIMIT);
	assert_int_equal(back.n, 0);
	assert_int_equal(b64_decode(buf_slice(&text), n, &back), ERR_OK);
	assert_true(slice_eq(buf_slice(&back), buf_slice(&raw)));
	text.p[text.n / 2] = '-';
	assert_int_equal(b64_check(buf_slice(&text), NULL), ERR_FORMAT);
	assert_int_equal(b64_decode(buf_slice(&text), n, &back), ERR_FORMAT);
	assert_int_equal(back.n, n);
	buf_free(&raw);
	buf_free(&text);
	buf_free(&back);
}

static void test_hex(void **state)
{
	uint8_t raw[4], kept[4] = { 1, 2, 3, 4 };
	char text[9];

	(void)state;
	hex_put(text, (const uint8_t[]){ 0x00, 0x9a, 0xbc, 0xff }, 4);
	assert_string_equal(text, "009abcff");
	hex_put(text, NULL, 0);
	assert_string_equal(text, "");
	assert_int_equal(hex_decode_exact(SLICE_STR("009abcff"), raw, 4), ERR_OK);
	assert_memory_equal(raw, ((uint8_t[]){ 0x00, 0x9a, 0xbc, 0xff }), 4);
	assert_int_equal(hex_decode_exact(SLICE_STR("009ABCFF"), kept, 4), ERR_FORMAT);
	assert_int_equal(hex_decode_exact(SLICE_STR("009abcf"), kept, 4), ERR_FORMAT);
	assert_int_equal(hex_decode_exact(SLICE_STR("009abcff00"), kept, 4), ERR_FORMAT);
	assert_int_equal(hex_decode_exact(SLICE_STR("0x9abcff"), kept, 4), ERR_FORMAT);
	assert_int_equal(hex_decode_exact(SLICE_STR("009abcfg"), kept, 4), ERR_FORMAT);
	assert_int_equal(hex_decode_exact(SLICE_STR(" 09abcff"), kept, 4), ERR_FORMAT);
	assert_int_equal(hex_decode_exact(SLICE_STR("`09abcff"), kept, 4), ERR_FORMAT);
	assert_int_equal(hex_decode_exact(SLICE_STR(""), kept, 0), ERR_OK);
	assert_memory_equal(kept, ((uint8_t[]){ 1, 2, 3, 4 }), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc4648),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_every_byte_everywhere),
		cmocka_unit_test(test_every_padding),
		cmocka_unit_test(test_random_round_trip),
		cmocka_unit_test(test_megabytes),
		cmocka_unit_test(test_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
