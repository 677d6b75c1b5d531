/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of JSON strings (jstring.h; RFC 8259 section 7).
 *
 * Most bytes of a body stand inside strings (base64), so plain ASCII is
 * skipped 16 bytes at a time with SSE2, 8 at a time elsewhere (and when
 * SEALWAY_PORTABLE is defined, for tests); everything that is not plain ASCII
 * is looked at byte by byte.  UTF-8 is checked by the table of RFC 3629: no
 * overlong forms, no surrogates, nothing over U+10FFFF.
 */
#include "common/jstring.h"

#include <string.h>

#if defined(__SSE2__) && !defined(SEALWAY_PORTABLE)
#include <emmintrin.h>
#endif

#if defined(__SSE2__) && !defined(SEALWAY_PORTABLE)
/* Skips blocks that are plain ASCII without quote, backslash and controls;
 * stops at the first byte that is not.  Bytes over 127 are negative here. */
static inline const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end)
{
	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i odd = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)),
					   _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
							_mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
		int mask = _mm_movemask_epi8(odd);

		if (mask)
			return p + __builtin_ctz((unsigned)mask);
	}
	return p;
}
#else
#define ONES UINT64_C(0x0101010101010101)
#define TOPS UINT64_C(0x8080808080808080)

/* Top bits set where a byte of v is zero (and perhaps above such a byte). */
static inline uint64_t zero_bytes(uint64_t v)
{
	return (v - ONES) & ~v & TOPS;
}

/* The same, 8 bytes at a time; stops before the block that has such a byte. */
static inline const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end)
{
	for (; end - p >= 8; p += 8) {
		uint64_t v;

		memcpy(&v, p, sizeof(v));
		if ((v & TOPS) | ((v - ONES * 0x20) & ~v & TOPS) | zero_bytes(v ^ ONES * '"') |
		    zero_bytes(v ^ ONES * '\\'))
			break;
	}
	return p;
}
#endif

static inline bool within(uint8_t c, unsigned lo, unsigned hi)
{
	return c >= lo && c <= hi;
}

/* The length of the well-formed UTF-8 sequence at p (first byte over 127), 0
 * when there is none.  RFC 3629, section 4. */
static size_t utf8_len(const uint8_t *p, const uint8_t *end)
{
	size_t left = (size_t)(end - p);
	uint8_t c = p[0];

	if (within(c, 0xc2, 0xdf))
		return left >= 2 && within(p[1], 0x80, 0xbf) ? 2 : 0;
	if (within(c, 0xe0, 0xef)) {
		unsigned lo = c == 0xe0 ? 0xa0 : 0x80, hi = c == 0xed ? 0x9f : 0xbf;

		return left >= 3 && within(p[1], lo, hi) && within(p[2], 0x80, 0xbf) ? 3 : 0;
	}
	if (within(c, 0xf0, 0xf4)) {
		unsigned lo = c == 0xf0 ? 0x90 : 0x80, hi = c == 0xf4 ? 0x8f : 0xbf;

		return left >= 4 && within(p[1], lo, hi) && within(p[2], 0x80, 0xbf) &&
				       within(p[3], 0x80, 0xbf)
			       ? 4
			       : 0;
	}
	return 0;
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits at p (four bytes are there), -1 when they are not. */
static int32_t hex4(const uint8_t *p)
{
	int32_t v = 0;

	for (int i = 0; i < 4; i++) {
		int d = hex_value(p[i]);

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* Reads the \u escape at p (p points behind the u) and the second half of a
 * pair.  Gives the bytes used behind the u, 0 for anything malformed. */
static size_t unicode_escape(const uint8_t *p, const uint8_t *end, uint32_t *cp)
{
	int32_t hi, lo;

	if (end - p < 4 || (hi = hex4(p)) < 0 || (hi >= 0xdc00 && hi <= 0xdfff))
		return 0;
	*cp = (uint32_t)hi;
	if (hi < 0xd800 || hi > 0xdbff)
		return 4;
	if (end - p < 10 || p[4] != '\\' || p[5] != 'u')
		return 0;
	lo = hex4(p + 6);
	if (lo < 0xdc00 || lo > 0xdfff)
		return 0;
	*cp = 0x10000 + ((uint32_t)(hi - 0xd800) << 10) + (uint32_t)(lo - 0xdc00);
	return 10;
}

/* The byte that a one-letter escape stands for, -1 when there is no such escape. */
static int letter_escape(uint8_t c)
{
	switch (c) {
	case '"':
	case '\\':
	case '/':
		return c;
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return -1;
	}
}

/* p at the backslash; gives the length of the escape, 0 with *what for none. */
static size_t escape_len(const uint8_t *p, const uint8_t *end, const char **what)
{
	uint32_t cp;
	size_t n;

	if (end - p < 2) {
		*what = "unterminated string";
		return 0;
	}
	if (p[1] != 'u') {
		*what = "unknown escape in a string";
		return letter_escape(p[1]) < 0 ? 0 : 2;
	}
	n = unicode_escape(p + 2, end, &cp);
	*what = "malformed or lone surrogate escape in a string";
	return n ? 2 + n : 0;
}

/* The length of what stands at p, which is not plain; 0 with *what for a fault. */
static size_t odd_len(const uint8_t *p, const uint8_t *end, const char **what)
{
	if (*p == '\\')
		return escape_len(p, end, what);
	*what = "raw control character in a string";
	if (*p < 0x80)
		return *p >= 0x20;
	*what = "invalid UTF-8 in a string";
	return utf8_len(p, end);
}

bool jstring_scan(const uint8_t **at, const uint8_t *end, bool *escaped, const char **what)
{
	const uint8_t *p = *at;
	const char *why = "unterminated string";
	bool any = false;
	size_t n = 1;

	for (;;) {
		p = skip_plain(p, end);
		if (p == end || *p == '"')
			break;
		any |= *p == '\\';
		n = odd_len(p, end, &why);
		if (!n)
			break;
		p += n;
	}
	*at = p;
	if (p == end)
		why = "unterminated string";
	if (p == end || !n) {
		*what = why;
		return false;
	}
	*escaped = any;
	return true;
}

/* Encodes cp to at most 4 bytes; gives how many. */
static size_t utf8_put(uint8_t out[4], uint32_t cp)
{
	if (cp < 0x80) {
		out[0] = (uint8_t)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (uint8_t)(0xc0 | cp >> 6);
		out[1] = (uint8_t)(0x80 | (cp & 63));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (uint8_t)(0xe0 | cp >> 12);
		out[1] = (uint8_t)(0x80 | (cp >> 6 & 63));
		out[2] = (uint8_t)(0x80 | (cp & 63));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | cp >> 18);
	out[1] = (uint8_t)(0x80 | (cp >> 12 & 63));
	out[2] = (uint8_t)(0x80 | (cp >> 6 & 63));
	out[3] = (uint8_t)(0x80 | (cp & 63));
	return 4;
}

/* Resolves the escape at *p (its backslash); gives the bytes written.  The
 * text has passed a scan; were it malformed, the rest is left out. */
static size_t resolve(const uint8_t **p, const uint8_t *end, uint8_t out[4])
{
	uint32_t cp;
	size_t n;
	int c;

	if (end - *p >= 2 && (*p)[1] == 'u') {
		n = unicode_escape(*p + 2, end, &cp);
		*p = n ? *p + 2 + n : end;
		return n ? utf8_put(out, cp) : 0;
	}
	c = end - *p >= 2 ? letter_escape((*p)[1]) : -1;
	*p = c < 0 ? end : *p + 2;
	out[0] = (uint8_t)c;
	return c < 0 ? 0 : 1;
}

/* Whether the raw text of a key, escapes resolved, is the n bytes of name. */
static bool escaped_is(struct slice raw, const char *name, size_t n)
{
	const uint8_t *p = raw.p, *end = raw.p + raw.n;
	size_t at = 0;

	while (p < end) {
		uint8_t bytes[4];
		size_t k = 1;

		if (*p == '\\')
			k = resolve(&p, end, bytes);
		else
			bytes[0] = *p++;
		if (k > n - at || memcmp(name + at, bytes, k) != 0)
			return false;
		at += k;
	}
	return at == n;
}

bool jstring_is(struct slice raw, bool escaped, const char *name)
{
	if (escaped)
		return escaped_is(raw, name, strlen(name));
	return (raw.n == 0 || raw.p[0] == (uint8_t)*name) && slice_is(raw, name);
}

void jstring_text(struct slice raw, struct buf *out)
{
	const uint8_t *p = raw.p, *end = p + raw.n;

	while (p < end) {
		const uint8_t *stop = memchr(p, '\\', (size_t)(end - p));
		uint8_t bytes[4];

		buf_add(out, p, (size_t)((stop ? stop : end) - p));
		p = stop ? stop : end;
		if (stop)
			buf_add(out, bytes, resolve(&p, end, bytes));
	}
}
