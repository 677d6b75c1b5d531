/* SPDX-License-Identifier: Apache-2.0
 *
 * Strict JSON scanner (jscan.h; RFC 8259, PROTOCOL section 2).  One pass over
 * the text, no allocation, no tree.  Containers are walked by recursion, which
 * the depth limit of 64 bounds (about 64 x 200 bytes of stack).
 *
 * Most bytes of a body stand inside strings (base64), so plain ASCII is
 * skipped 16 bytes at a time with SSE2, 8 at a time elsewhere; everything that
 * is not plain ASCII is looked at byte by byte.  UTF-8 is checked by the table
 * of RFC 3629: no overlong forms, no surrogates, nothing over U+10FFFF.
 */
#include "common/jscan.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define NAMES_MAX 32
#define NAME_BYTES_MAX 128 /* of the names asked for; an escape makes 6 characters of one byte at most */

struct scan {
	const uint8_t *p, *end;
	const char *what; /* set by the first fault */
	int member;
};

/* The named members wanted of the outermost object, and what was found. */
struct wanted {
	const char *const *names;
	size_t n;
	size_t len[NAMES_MAX];
	struct jval found[NAMES_MAX];
};

static bool scan_value(struct scan *s, struct jval *out, unsigned depth);

static bool fail(struct scan *s, const char *what)
{
	s->what = what;
	return false;
}

/* The next byte, or -1 at the end. */
static inline int peek(const struct scan *s)
{
	return s->p < s->end ? *s->p : -1;
}

static inline void skip_space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
		s->p++;
}

static inline bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

/* Strings */

#ifdef __SSE2__
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
	if (is_digit(c))
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

/* p at the backslash. */
static bool scan_escape(struct scan *s)
{
	uint32_t cp;
	size_t n;

	if (s->end - s->p < 2)
		return fail(s, "unterminated string");
	if (s->p[1] != 'u') {
		if (letter_escape(s->p[1]) < 0)
			return fail(s, "unknown escape in a string");
		s->p += 2;
		return true;
	}
	n = unicode_escape(s->p + 2, s->end, &cp);
	if (!n)
		return fail(s, "malformed or lone surrogate escape in a string");
	s->p += 2 + n;
	return true;
}

/* p at the opening quote; leaves it behind the closing one. */
static bool scan_string(struct scan *s, struct jval *out)
{
	const uint8_t *from = ++s->p;
	bool escaped = false;

	for (;;) {
		size_t n;

		s->p = skip_plain(s->p, s->end);
		if (s->p == s->end)
			return fail(s, "unterminated string");
		if (*s->p == '"')
			break;
		if (*s->p == '\\') {
			escaped = true;
			if (!scan_escape(s))
				return false;
		} else if (*s->p < 0x20) {
			return fail(s, "raw control character in a string");
		} else if (*s->p < 0x80) {
			s->p++;
		} else {
			n = utf8_len(s->p, s->end);
			if (!n)
				return fail(s, "invalid UTF-8 in a string");
			s->p += n;
		}
	}
	*out = (struct jval){ J_STRING, escaped, slice_of(from, (size_t)(s->p - from)) };
	s->p++;
	return true;
}

/* Numbers and literals */

static bool skip_digits(struct scan *s)
{
	const uint8_t *from = s->p;

	while (is_digit(peek(s)))
		s->p++;
	return s->p > from;
}

static bool scan_number(struct scan *s, struct jval *out)
{
	const uint8_t *from = s->p;

	if (peek(s) == '-')
		s->p++;
	if (peek(s) == '0') {
		s->p++;
		if (is_digit(peek(s)))
			return fail(s, "leading zero in a number");
	} else if (!skip_digits(s)) {
		return fail(s, "malformed number");
	}
	if (peek(s) == '.') {
		s->p++;
		if (!skip_digits(s))
			return fail(s, "malformed number");
	}
	if (peek(s) == 'e' || peek(s) == 'E') {
		s->p++;
		if (peek(s) == '+' || peek(s) == '-')
			s->p++;
		if (!skip_digits(s))
			return fail(s, "malformed number");
	}
	*out = (struct jval){ J_NUMBER, false, slice_of(from, (size_t)(s->p - from)) };
	return true;
}

static bool scan_word(struct scan *s, struct jval *out, const char *word, enum jtype type)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return fail(s, "expected a value");
	*out = (struct jval){ type, false, slice_of(s->p, n) };
	s->p += n;
	return true;
}

/* Containers */

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

static bool key_is(const struct jval *key, const char *name, size_t n)
{
	if (key->escaped)
		return escaped_is(key->raw, name, n);
	return key->raw.n == n && memcmp(key->raw.p, name, n) == 0;
}

/* The index of the wanted member that key names, or -1. */
static int wanted_index(const struct wanted *w, const struct jval *key)
{
	for (size_t i = 0; i < w->n; i++)
		if (key_is(key, w->names[i], w->len[i]))
			return (int)i;
	return -1;
}

/* Notes key, a member of the outermost object; gives where its value goes. */
static struct jval *slot_of(struct scan *s, struct wanted *w, const struct jval *key, struct jval *spare)
{
	int i = w ? wanted_index(w, key) : -1;

	if (i < 0)
		return spare;
	if (w->found[i].type == J_NONE)
		return &w->found[i];
	s->member = i;
	s->p = key->raw.p - 1;
	fail(s, "duplicate member");
	return NULL;
}

static bool scan_member(struct scan *s, unsigned depth, struct wanted *w)
{
	struct jval key, spare, *slot;

	if (peek(s) != '"')
		return fail(s, "expected a member name");
	if (!scan_string(s, &key))
		return false;
	slot = slot_of(s, w, &key, &spare);
	if (!slot)
		return false;
	skip_space(s);
	if (peek(s) != ':')
		return fail(s, "expected a colon");
	s->p++;
	skip_space(s);
	return scan_value(s, slot, depth);
}

/* Behind an element: true at the closing byte (taken) with *more false, or
 * at the next element. */
static bool next_element(struct scan *s, int close, bool *more)
{
	skip_space(s);
	*more = peek(s) == ',';
	if (!*more && peek(s) != close)
		return fail(s, "expected a comma or the end of the container");
	s->p++;
	if (*more)
		skip_space(s);
	return true;
}

/* p at the opening byte; leaves it behind the closing one. */
static bool scan_object(struct scan *s, unsigned depth, struct wanted *w)
{
	bool more = true;

	s->p++;
	skip_space(s);
	if (peek(s) == '}') {
		s->p++;
		return true;
	}
	while (more)
		if (!scan_member(s, depth, w) || !next_element(s, '}', &more))
			return false;
	return true;
}

static bool scan_array(struct scan *s, unsigned depth)
{
	bool more = true;
	struct jval v;

	s->p++;
	skip_space(s);
	if (peek(s) == ']') {
		s->p++;
		return true;
	}
	while (more)
		if (!scan_value(s, &v, depth) || !next_element(s, ']', &more))
			return false;
	return true;
}

static bool scan_container(struct scan *s, struct jval *out, unsigned depth, bool object, struct wanted *w)
{
	const uint8_t *from = s->p;

	if (depth >= JSCAN_DEPTH)
		return fail(s, "nested too deep");
	if (!(object ? scan_object(s, depth + 1, w) : scan_array(s, depth + 1)))
		return false;
	*out = (struct jval){ object ? J_OBJECT : J_ARRAY, false, slice_of(from, (size_t)(s->p - from)) };
	return true;
}

/* p at the first byte of the value; depth: containers around it. */
static bool scan_value(struct scan *s, struct jval *out, unsigned depth)
{
	switch (peek(s)) {
	case '"':
		return scan_string(s, out);
	case '{':
		return scan_container(s, out, depth, true, NULL);
	case '[':
		return scan_container(s, out, depth, false, NULL);
	case 't':
		return scan_word(s, out, "true", J_TRUE);
	case 'f':
		return scan_word(s, out, "false", J_FALSE);
	case 'n':
		return scan_word(s, out, "null", J_NULL);
	case '-':
	case '0' ... '9':
		return scan_number(s, out);
	default:
		return fail(s, "expected a value");
	}
}

/* The entries */

static bool scan_end(struct scan *s)
{
	skip_space(s);
	return s->p == s->end || fail(s, "something follows the value");
}

static enum err finish(const struct scan *s, struct slice text, bool ok, struct jscan_fault *fault)
{
	if (ok)
		return ERR_OK;
	if (fault)
		*fault = (struct jscan_fault){ s->member, s->what, (size_t)(s->p - text.p) };
	return ERR_BODY;
}

static struct scan scan_begin(struct slice text)
{
	static const uint8_t none[1];
	const uint8_t *p = text.n ? text.p : none;

	return (struct scan){ .p = p, .end = p + text.n, .member = -1 };
}

enum err jscan_object(struct slice text, const char *const *names, size_t n, struct jval *out,
		      struct jscan_fault *fault)
{
	struct scan s = scan_begin(text);
	struct wanted w;
	struct jval whole;
	bool ok;

	BUG_ON(n > NAMES_MAX);
	w.names = names;
	w.n = n;
	for (size_t i = 0; i < n; i++) {
		w.len[i] = strlen(names[i]);
		w.found[i] = (struct jval){ .type = J_NONE };
	}
	skip_space(&s);
	ok = peek(&s) == '{' ? scan_container(&s, &whole, 0, true, &w) : fail(&s, "expected an object");
	ok = ok && scan_end(&s);
	if (ok && n)
		memcpy(out, w.found, n * sizeof(*out));
	return finish(&s, text.n ? text : slice_of(s.end, 0), ok, fault);
}

enum err jscan_value(struct slice text, struct jval *out, struct jscan_fault *fault)
{
	struct scan s = scan_begin(text);
	struct jval v;
	bool ok;

	skip_space(&s);
	ok = scan_value(&s, &v, 0) && scan_end(&s);
	if (ok && out)
		*out = v;
	return finish(&s, text.n ? text : slice_of(s.end, 0), ok, fault);
}

enum err jval_u64(const struct jval *v, uint64_t max, uint64_t *out)
{
	return v->type == J_NUMBER ? slice_u64(v->raw, max, out) : ERR_FORMAT;
}

void jval_text(const struct jval *v, struct buf *out)
{
	const uint8_t *p = v->raw.p, *end = p + v->raw.n;

	if (!v->escaped) {
		buf_add(out, p, v->raw.n);
		return;
	}
	while (p < end) {
		const uint8_t *stop = memchr(p, '\\', (size_t)(end - p));
		uint8_t bytes[4];

		buf_add(out, p, (size_t)((stop ? stop : end) - p));
		p = stop ? stop : end;
		if (stop)
			buf_add(out, bytes, resolve(&p, end, bytes));
	}
}

bool jarray_next(struct slice array, size_t *pos, struct jval *item)
{
	struct scan s = { .p = array.p + *pos, .end = array.p + array.n };
	bool more;

	if (array.n == 0 || *pos >= array.n)
		return false;
	if (*pos == 0) {
		s.p++; /* the bracket */
		skip_space(&s);
	}
	/* depth 1: the array stood at least there, what it holds fits below */
	if (peek(&s) == ']' || !scan_value(&s, item, 1) || !next_element(&s, ']', &more)) {
		*pos = array.n;
		return false;
	}
	*pos = more ? (size_t)(s.p - array.p) : array.n;
	return true;
}
