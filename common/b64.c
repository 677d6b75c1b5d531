/* SPDX-License-Identifier: Apache-2.0
 *
 * Strict, canonical base64 (RFC 4648 section 4; PROTOCOL, first paragraph) and
 * lowercase hex.  Two encodings never stand for the same bytes: padding is
 * required, the bits behind the last byte are zero.
 *
 * Ciphertexts come in megabytes and every chunk has a signature, so characters
 * are judged and decoded 16 at a time with SSE2 (one by one elsewhere, and when
 * SEALWAY_PORTABLE is defined, for tests); the last group, where padding may
 * stand, is handled apart.  Table look-ups depend on the data: secrets (key
 * files) are decoded by libsodium in keys.c instead.
 */
#include "common/b64.h"

#include <string.h>

#if defined(__SSE2__) && !defined(SEALWAY_PORTABLE)
#include <emmintrin.h>
#endif

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of a character plus one; 0 for everything else. */
static const uint8_t plus_one[256] = {
	['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
	['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
	['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
	['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
	['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
	['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
	['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
	['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

/* The value of a character, or a number with the top bit set. */
static inline uint32_t value(uint8_t c)
{
	return (uint32_t)plus_one[c] - 1;
}

static inline bool any_bad(uint32_t ored)
{
	return ored >> 31;
}

#if defined(__SSE2__) && !defined(SEALWAY_PORTABLE)
#define BLOCK 16 /* characters judged and decoded at a time; 12 bytes */

static inline __m128i load_block(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* Bytes of v from lo to hi, both ASCII; bytes over 127 are negative and in no range. */
static inline __m128i between(__m128i v, char lo, char hi)
{
	return _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8((char)(lo - 1))),
			     _mm_cmplt_epi8(v, _mm_set1_epi8((char)(hi + 1))));
}

static inline bool good_block(const uint8_t *p)
{
	__m128i v = load_block(p);
	__m128i letter = between(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 'z');
	__m128i digit = between(v, '/', '9'); /* the slash stands right before 0 */
	__m128i plus = _mm_cmpeq_epi8(v, _mm_set1_epi8('+'));

	return _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letter, digit), plus)) == 0xffff;
}

/* v's value where in is set, else 0. */
static inline __m128i shift_in(__m128i in, int shift)
{
	return _mm_and_si128(in, _mm_set1_epi8((char)shift));
}

/* The values of 16 good characters: what to add differs by range. */
static inline __m128i block_values(__m128i v)
{
	__m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('/'));
	__m128i plus = _mm_cmpeq_epi8(v, _mm_set1_epi8('+'));
	__m128i upper = shift_in(between(v, 'A', 'Z'), 0 - 'A');
	__m128i lower = shift_in(between(v, 'a', 'z'), 26 - 'a');
	__m128i digit = shift_in(between(v, '0', '9'), 52 - '0');
	__m128i others = _mm_or_si128(shift_in(plus, 62 - '+'), shift_in(slash, 63 - '/'));

	return _mm_add_epi8(v, _mm_or_si128(_mm_or_si128(upper, lower), _mm_or_si128(digit, others)));
}

/* Two groups of 24 bits, the first in the lower half, as six bytes.  x86 is little-endian. */
static inline void put_two(uint64_t groups, uint8_t *out)
{
	uint64_t v = __builtin_bswap64(groups << 40 | groups >> 32 << 16);
	uint16_t end = (uint16_t)(v >> 32);
	uint32_t start = (uint32_t)v;

	memcpy(out, &start, sizeof(start));
	memcpy(out + sizeof(start), &end, sizeof(end));
}

static inline void decode_block(const uint8_t *p, uint8_t *out)
{
	__m128i v = block_values(load_block(p)), pairs, groups;

	pairs = _mm_or_si128(_mm_slli_epi16(_mm_and_si128(v, _mm_set1_epi16(0xff)), 6), _mm_srli_epi16(v, 8));
	groups = _mm_madd_epi16(pairs, _mm_set1_epi32(1 << 16 | 1 << 12));
	put_two((uint64_t)_mm_cvtsi128_si64(groups), out);
	put_two((uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(groups, groups)), out + 6);
}
#else
#define BLOCK SIZE_MAX /* none */

static bool good_block(const uint8_t *p)
{
	(void)p;
	return false;
}

static void decode_block(const uint8_t *p, uint8_t *out)
{
	(void)p;
	(void)out;
}
#endif

static bool check_run(const uint8_t *p, size_t n)
{
	uint32_t ored = 0;

	if (n >= BLOCK) {
		for (size_t i = 0; i < n - BLOCK; i += BLOCK)
			if (!good_block(p + i))
				return false;
		return good_block(p + n - BLOCK); /* some of it for the second time */
	}
	for (size_t i = 0; i < n; i++)
		ored |= value(p[i]);
	return !any_bad(ored);
}

/* Decodes n characters (a multiple of 4, no padding) that check_run found good. */
static void decode_run(const uint8_t *p, size_t n, uint8_t *out)
{
	for (; n >= BLOCK; n -= BLOCK, p += 16, out += 12)
		decode_block(p, out);
	for (; n; n -= 4, p += 4, out += 3) {
		uint32_t v = value(p[0]) << 18 | value(p[1]) << 12 | value(p[2]) << 6 | value(p[3]);

		out[0] = (uint8_t)(v >> 16);
		out[1] = (uint8_t)(v >> 8);
		out[2] = (uint8_t)v;
	}
}

/* Decodes the last group, which may be padded; gives its bytes, 0 when bad. */
static size_t decode_last(const uint8_t p[4], uint8_t out[3])
{
	size_t n = p[3] != '=' ? 3 : p[2] != '=' ? 2 : 1;
	uint32_t a = value(p[0]), b = value(p[1]);
	uint32_t c = n > 1 ? value(p[2]) : 0, d = n > 2 ? value(p[3]) : 0;
	uint32_t v = a << 18 | b << 12 | c << 6 | d;
	uint32_t stray = n == 3 ? 0 : n == 2 ? v & 0xff : v & 0xffff;

	if (any_bad(a | b | c | d) || stray)
		return 0;
	out[0] = (uint8_t)(v >> 16);
	out[1] = (uint8_t)(v >> 8);
	out[2] = (uint8_t)v;
	return n;
}

/* Splits text into a run without padding and the last group's bytes. */
static enum err split(struct slice text, size_t *run, uint8_t last[3], size_t *n_last)
{
	*run = 0;
	*n_last = 0;
	if (text.n == 0)
		return ERR_OK;
	if (text.n % 4)
		return ERR_FORMAT;
	*run = text.n - 4;
	*n_last = decode_last(text.p + *run, last);
	return *n_last ? ERR_OK : ERR_FORMAT;
}

enum err b64_check(struct slice text, size_t *bytes)
{
	size_t run, n_last;
	uint8_t last[3];
	enum err e = split(text, &run, last, &n_last);

	if (e)
		return e;
	if (!check_run(text.p, run))
		return ERR_FORMAT;
	if (bytes)
		*bytes = run / 4 * 3 + n_last;
	return ERR_OK;
}

enum err b64_decode_exact(struct slice text, void *out, size_t n)
{
	uint8_t last[3], *o = out;
	size_t run, n_last;
	enum err e = split(text, &run, last, &n_last);

	if (e)
		return e;
	if (run / 4 * 3 + n_last != n || !check_run(text.p, run))
		return ERR_FORMAT;
	if (run)
		decode_run(text.p, run, o);
	if (n_last)
		memcpy(o + run / 4 * 3, last, n_last);
	return ERR_OK;
}

enum err b64_decode(struct slice text, size_t max, struct buf *out)
{
	size_t run, n_last, bytes;
	uint8_t last[3];
	enum err e = split(text, &run, last, &n_last);

	if (e)
		return e;
	bytes = run / 4 * 3 + n_last;
	if (bytes > max)
		return ERR_LIMIT;
	if (bytes == 0)
		return ERR_OK;
	if (!check_run(text.p, run))
		return ERR_FORMAT;
	buf_reserve(out, bytes);
	decode_run(text.p, run, out->p + out->n);
	memcpy(out->p + out->n + run / 4 * 3, last, n_last);
	out->n += bytes;
	return ERR_OK;
}

static void put_group(char *o, uint32_t v)
{
	o[0] = alphabet[v >> 18 & 63];
	o[1] = alphabet[v >> 12 & 63];
	o[2] = alphabet[v >> 6 & 63];
	o[3] = alphabet[v & 63];
}

void b64_put(char *out, const void *data, size_t n)
{
	const uint8_t *p = data;
	size_t i = 0;

	for (; n - i >= 3; i += 3, out += 4)
		put_group(out, (uint32_t)p[i] << 16 | (uint32_t)p[i + 1] << 8 | p[i + 2]);
	if (n - i == 0)
		return;
	put_group(out, (uint32_t)p[i] << 16 | (n - i == 2 ? (uint32_t)p[i + 1] << 8 : 0));
	out[3] = '=';
	if (n - i == 1)
		out[2] = '=';
}

void b64_encode(struct buf *out, struct slice data)
{
	if (data.n == 0)
		return;
	BUG_ON(data.n > SIZE_MAX / 2);
	buf_reserve(out, B64_LEN(data.n));
	b64_put((char *)out->p + out->n, data.p, data.n);
	out->n += B64_LEN(data.n);
}

void hex_put(char *out, const void *data, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
}

/* The value of a lowercase hex digit, over 15 for anything else. */
static unsigned digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - (unsigned)'0';
	return c >= 'a' && c <= 'f' ? c - (unsigned)'a' + 10 : 16;
}

enum err hex_decode_exact(struct slice text, void *out, size_t n)
{
	uint8_t *o = out;

	if (n > SIZE_MAX / 2 || text.n != 2 * n)
		return ERR_FORMAT;
	for (size_t i = 0; i < text.n; i++)
		if (digit(text.p[i]) > 15)
			return ERR_FORMAT;
	for (size_t i = 0; i < n; i++)
		o[i] = (uint8_t)(digit(text.p[2 * i]) << 4 | digit(text.p[2 * i + 1]));
	return ERR_OK;
}
