/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1 responses (answer.h).  A machine that works line by line in the head
 * and between chunks, and hands bodies on where they lie.
 *
 * Invariants:
 * - Whatever the pieces, the steps are those of the whole; only ANSWER_DATA may
 *   come in more parts.
 * - A head that can be read in two ways is none: that is what smuggling lives on.
 */
#include "common/net/answer.h"

#include <string.h>
#include <strings.h>

enum state { STATUS, HEADER, LENGTH, SIZE, CHUNK, CHUNK_END, TRAILER, OPEN, DONE, BAD };

#define CHUNK_DIGITS 15 /* hexadecimal: below 2^60 */

/* One line without its CRLF: 1, or 0 if it is not whole yet, or -1. */
static int take_line(struct answer *a, struct slice *in, size_t max, struct slice *line)
{
	const uint8_t *lf = in->n ? memchr(in->p, '\n', in->n) : NULL;
	size_t n = lf ? (size_t)(lf - in->p) + 1 : in->n;

	if (a->line_used)
		buf_reset(&a->line);
	a->line_used = false;
	a->lines += n;
	if (a->lines > max)
		return -1;
	*line = slice_of(in->p, n);
	*in = slice_of(in->p + n, in->n - n);
	if (!lf || a->line.n) {
		buf_add(&a->line, line->p, n);
		*line = buf_slice(&a->line);
	}
	if (!lf)
		return 0;
	a->line_used = true;
	if (line->n < 2 || line->p[line->n - 2] != '\r')
		return -1;
	line->n -= 2;
	return 1;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

bool answer_printable(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

/* HTTP/1.x SP three digits, then nothing or SP and a reason. */
static bool take_status(struct answer *a, struct slice l)
{
	if (l.n < 12 || memcmp(l.p, "HTTP/1.", 7) != 0 || l.p[7] < '0' || l.p[7] > '1' || l.p[8] != ' ' ||
	    l.p[9] < '1' || l.p[9] > '5' || !is_digit(l.p[10]) || !is_digit(l.p[11]) ||
	    (l.n > 12 && l.p[12] != ' ') || !answer_printable(l))
		return false;
	a->minor = l.p[7] - '0';
	a->status = (l.p[9] - '0') * 100 + (l.p[10] - '0') * 10 + (l.p[11] - '0');
	a->keep = a->minor == 1;
	a->sized = a->chunked = false;
	a->type[0] = '\0';
	a->state = HEADER;
	return true;
}

static bool is_token(uint8_t c)
{
	return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static struct slice trim(struct slice s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = slice_of(s.p + 1, s.n - 1);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static bool same(struct slice s, const char *word)
{
	return s.n == strlen(word) && strncasecmp((const char *)s.p, word, s.n) == 0;
}

static bool split(struct slice l, struct slice *name, struct slice *value)
{
	size_t n = 0;

	while (n < l.n && is_token(l.p[n]))
		n++;
	if (n == 0 || n == l.n || l.p[n] != ':')
		return false;
	*name = slice_of(l.p, n);
	*value = trim(slice_of(l.p + n + 1, l.n - n - 1));
	return answer_printable(*value);
}

static void take_type(struct answer *a, struct slice v)
{
	size_t n = 0;

	while (n < v.n && n < ANSWER_TYPE_MAX - 1 && !strchr("; \t", v.p[n])) {
		a->type[n] = v.p[n] >= 'A' && v.p[n] <= 'Z' ? (char)(v.p[n] | 0x20) : (char)v.p[n];
		n++;
	}
	a->type[n] = '\0';
}

static bool take_length(struct answer *a, struct slice v)
{
	if (a->sized || slice_u64(v, INT64_MAX, &a->left) != ERR_OK)
		return false;
	a->sized = true;
	return true;
}

/* Any other coding was not asked for, and could make terabytes of a few KB. */
static bool take_coding(struct answer *a, struct slice v)
{
	if (a->chunked || a->minor == 0 || !same(v, "chunked"))
		return false;
	a->chunked = true;
	return true;
}

static void take_connection(struct answer *a, struct slice v)
{
	while (v.n) {
		const uint8_t *comma = memchr(v.p, ',', v.n);
		size_t n = comma ? (size_t)(comma - v.p) : v.n;

		if (same(trim(slice_of(v.p, n)), "close"))
			a->keep = false;
		v = slice_of(v.p + n + !!comma, v.n - n - !!comma);
	}
}

static bool take_header(struct answer *a, struct slice l)
{
	struct slice name, v;

	if (!split(l, &name, &v))
		return false;
	if (same(name, "content-type"))
		take_type(a, v);
	else if (same(name, "content-length"))
		return take_length(a, v);
	else if (same(name, "transfer-encoding"))
		return take_coding(a, v);
	else if (same(name, "connection"))
		take_connection(a, v);
	return true;
}

static void begin_size(struct answer *a)
{
	a->lines = 0;
	a->state = SIZE;
}

/* What the head says of the body; false for a head that cannot be. */
static bool end_head(struct answer *a)
{
	if (a->status < 200) { /* an interim answer; the real one follows */
		a->state = STATUS;
		return a->status != 101 && ++a->interim <= ANSWER_INTERIM_MAX;
	}
	if (a->sized && a->chunked)
		return false;
	buf_free(&a->line);
	a->line_used = false;
	a->bounded = true;
	if (a->head_asked || a->status == 204 || a->status == 304) {
		a->state = DONE;
	} else if (a->chunked) {
		begin_size(a);
	} else if (a->sized) {
		a->state = a->left ? LENGTH : DONE;
	} else { /* the connection's end ends it, which nobody can tell from a cut */
		a->state = OPEN;
		a->bounded = a->keep = false;
	}
	return true;
}

static int hex(uint8_t c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Digits, then nothing or extensions, which mean nothing here. */
static bool take_size(struct answer *a, struct slice l)
{
	size_t n = 0;

	a->left = 0;
	for (; n < l.n && n <= CHUNK_DIGITS && hex(l.p[n]) >= 0; n++)
		a->left = a->left << 4 | (unsigned)hex(l.p[n]);
	if (n == 0 || n > CHUNK_DIGITS)
		return false;
	l = trim(slice_of(l.p + n, l.n - n));
	if (l.n && (l.p[0] != ';' || !answer_printable(l)))
		return false;
	a->lines = 0;
	a->state = a->left ? CHUNK : TRAILER;
	return true;
}

static enum answer_step bad(struct answer *a)
{
	a->state = BAD;
	a->keep = false;
	return ANSWER_BAD;
}

static size_t line_max(unsigned char state)
{
	return state <= HEADER    ? ANSWER_HEAD_MAX
	       : state == TRAILER ? ANSWER_TRAILER_MAX
				  : ANSWER_SIZE_LINE_MAX;
}

/* A line in a state that reads lines: false if it cannot stand there. */
static bool take(struct answer *a, struct slice l)
{
	struct slice name, value;

	switch (a->state) {
	case STATUS:
		return take_status(a, l);
	case HEADER:
		return l.n ? take_header(a, l) : end_head(a);
	case SIZE:
		return take_size(a, l);
	case CHUNK_END:
		begin_size(a);
		return l.n == 0;
	default: /* TRAILER */
		if (l.n == 0)
			a->state = DONE;
		return l.n == 0 || split(l, &name, &value);
	}
}

static bool in_lines(const struct answer *a)
{
	return a->state <= HEADER || a->state == SIZE || a->state == CHUNK_END || a->state == TRAILER;
}

/* Lines, until something is to be said: ANSWER_DATA here is only "go on". */
static enum answer_step by_lines(struct answer *a, struct slice *in)
{
	while (in_lines(a)) {
		bool head = a->state == HEADER;
		struct slice line;
		int got = take_line(a, in, line_max(a->state), &line);

		if (got == 0)
			return ANSWER_MORE;
		if (got < 0 || !take(a, line))
			return bad(a);
		if (head && a->state != HEADER && a->state != STATUS)
			return ANSWER_HEAD;
	}
	return ANSWER_DATA;
}

enum answer_step answer_next(struct answer *a, struct slice *in, struct slice *data)
{
	enum answer_step s = by_lines(a, in);

	if (s != ANSWER_DATA)
		return s;
	if (a->state >= DONE)
		return a->state == DONE ? ANSWER_END : ANSWER_BAD;
	if (!in->n)
		return ANSWER_MORE;
	*data = *in;
	if (a->state != OPEN && data->n > a->left)
		data->n = (size_t)a->left;
	*in = slice_of(in->p + data->n, in->n - data->n);
	if (a->state != OPEN && (a->left -= data->n) == 0)
		a->state = a->state == LENGTH ? DONE : CHUNK_END;
	return ANSWER_DATA;
}

void answer_free(struct answer *a)
{
	buf_free(&a->line);
}
