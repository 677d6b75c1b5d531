/* SPDX-License-Identifier: Apache-2.0
 *
 * Strict JSON scanner (jscan.h; RFC 8259, PROTOCOL section 2).  One pass over
 * the text, no allocation, no tree.  Containers are walked by recursion, which
 * the depth limit of 64 bounds (about 64 x 200 bytes of stack).
 */
#include "common/jscan.h"

#include <string.h>

#include "common/jstring.h"

#define NAMES_MAX 32

struct scan {
	const uint8_t *p, *end;
	const char *what; /* set by the first fault */
	int member;
};

/* The named members wanted of the outermost object, and what was found. */
struct wanted {
	const char *const *names;
	size_t n;
	size_t next; /* looked for first: members mostly come in one order */
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

/* p at the opening quote; leaves it behind the closing one. */
static bool scan_string(struct scan *s, struct jval *out)
{
	const uint8_t *from = ++s->p;
	bool escaped;

	if (!jstring_scan(&s->p, s->end, &escaped, &s->what))
		return false;
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

/* The index of the wanted member that key names, or -1. */
static int wanted_index(struct wanted *w, const struct jval *key)
{
	size_t i = w->next;

	for (size_t tried = 0; tried < w->n; tried++, i++) {
		if (i >= w->n)
			i = 0;
		if (jstring_is(key->raw, key->escaped, w->names[i])) {
			w->next = i + 1;
			return (int)i;
		}
	}
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
	w.next = 0;
	for (size_t i = 0; i < n; i++)
		w.found[i] = (struct jval){ .type = J_NONE };
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

bool jscan_is_text(struct slice s)
{
	struct buf quoted = { .secret = true };
	struct jval v;
	bool ok;

	buf_str(&quoted, "\"");
	buf_json(&quoted, s);
	buf_str(&quoted, "\"");
	ok = jscan_value(buf_slice(&quoted), &v, NULL) == ERR_OK;
	buf_free(&quoted);
	return ok;
}

enum err jval_u64(const struct jval *v, uint64_t max, uint64_t *out)
{
	return v->type == J_NUMBER ? slice_u64(v->raw, max, out) : ERR_FORMAT;
}

void jval_text(const struct jval *v, struct buf *out)
{
	if (v->escaped)
		jstring_text(v->raw, out);
	else
		buf_add(out, v->raw.p, v->raw.n);
}

bool jarray_next(struct slice array, size_t *pos, struct jval *item)
{
	struct scan s;
	bool more;

	if (*pos >= array.n)
		return false;
	s = (struct scan){ .p = array.p + *pos, .end = array.p + array.n };
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
