/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-sent events by the line rules of the HTML standard ("9.2.6
 * Interpreting an event stream").  Bytes may come in any split: a line, and an
 * event of one line of data, that are whole in one feed are used where they lie,
 * others are gathered first.  A CR
 * ends its line at once; an LF right behind it, even in the next feed, belongs
 * to it.  Nothing here looks inside UTF-8, so a split character is no case of
 * its own.  Buffers are wiped: the node reads plaintext through this.
 */
#include "common/net/sse.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t bom[3] = { 0xef, 0xbb, 0xbf };

struct sse {
	size_t max;
	sse_event_fn fn;
	void *arg;
	struct buf line, data, type;
	struct slice lent; /* the event's only data so far, in the bytes of this feed */
	unsigned bom_seen; /* bytes of a BOM matched so far; 3 when past the start */
	bool after_cr;     /* an LF that comes next belongs to the CR before it */
	bool has_data;     /* at least one data line in this event */
	bool pending;      /* a field of an event that is not ended yet */
	enum err failed;
};

struct sse *sse_new(size_t max_event, sse_event_fn fn, void *arg)
{
	struct sse *s = mem_new(sizeof(*s));

	s->max = max_event;
	s->fn = fn;
	s->arg = arg;
	s->line.secret = s->data.secret = s->type.secret = true;
	return s;
}

void sse_free(struct sse *s)
{
	if (!s)
		return;
	buf_free(&s->line);
	buf_free(&s->data);
	buf_free(&s->type);
	free(s);
}

/* A blank line: the event is complete. */
static enum err dispatch(struct sse *s)
{
	struct slice type = s->type.n ? buf_slice(&s->type) : SLICE_STR("message");
	enum err e = ERR_OK;

	if (s->has_data)
		e = s->fn(s->arg, type, s->lent.n ? s->lent : buf_slice(&s->data));
	s->lent = slice_of(NULL, 0);
	buf_reset(&s->data);
	buf_reset(&s->type);
	s->has_data = s->pending = false;
	return e;
}

/* What is lent becomes our own: more follows, or the feed ends. */
static void keep_lent(struct sse *s)
{
	buf_add(&s->data, s->lent.p, s->lent.n);
	s->lent = slice_of(NULL, 0);
}

/* lasts: value stands in the bytes of this feed. */
static enum err add_data(struct sse *s, struct slice value, bool lasts)
{
	size_t sep = s->has_data ? 1 : 0;

	keep_lent(s);
	if (value.n + sep > s->max - s->data.n)
		return ERR_LIMIT;
	if (sep)
		buf_add(&s->data, "\n", 1);
	if (lasts && !sep)
		s->lent = value;
	else
		buf_add(&s->data, value.p, value.n);
	s->has_data = s->pending = true;
	return ERR_OK;
}

static void set_type(struct sse *s, struct slice type)
{
	buf_reset(&s->type);
	buf_add(&s->type, type.p, type.n);
	s->pending = true;
}

/* id and retry are about reconnecting, which nobody here does.  A field `error` is none of the
 * standard's, which ignores it: llama.cpp's server says so that a stream has failed, and then
 * [DONE] as after a good one. */
static enum err take_field(struct sse *s, struct slice name, struct slice value, bool lasts)
{
	if (slice_is(name, "data"))
		return add_data(s, value, lasts);
	if (slice_is(name, "event"))
		set_type(s, value);
	if (!slice_is(name, "error"))
		return ERR_OK;
	set_type(s, name);
	return add_data(s, value, lasts);
}

static enum err take_line(struct sse *s, struct slice line, bool lasts)
{
	const uint8_t *colon;
	struct slice name = line, value = { NULL, 0 };

	if (line.n == 0)
		return dispatch(s);
	if (line.n > s->max)
		return ERR_LIMIT;
	colon = memchr(line.p, ':', line.n);
	if (colon == line.p)
		return ERR_OK; /* a comment */
	if (colon) {
		name.n = (size_t)(colon - line.p);
		value = slice_of(colon + 1, line.n - name.n - 1);
		if (value.n && value.p[0] == ' ')
			value = slice_of(value.p + 1, value.n - 1);
	}
	return take_field(s, name, value, lasts);
}

/* *lf: where the next LF stands, or the end of the bytes.  It is looked for only
 * once it has been passed, so that a feed full of CRs is not searched to its end
 * for each. */
static size_t line_length(struct slice b, const uint8_t **lf)
{
	const uint8_t *cr;

	if (!*lf || *lf < b.p)
		*lf = memchr(b.p, '\n', b.n);
	if (!*lf)
		*lf = b.p + b.n;
	cr = memchr(b.p, '\r', (size_t)(*lf - b.p));
	return (size_t)((cr ? cr : *lf) - b.p);
}

static enum err gather(struct sse *s, struct slice part)
{
	if (part.n > s->max - s->line.n)
		return ERR_LIMIT;
	buf_add(&s->line, part.p, part.n);
	return ERR_OK;
}

/* The line ends behind part; what was gathered before belongs in front. */
static enum err end_line(struct sse *s, struct slice part)
{
	enum err e;

	if (s->line.n == 0)
		return take_line(s, part, true);
	e = gather(s, part);
	if (!e)
		e = take_line(s, buf_slice(&s->line), false);
	buf_reset(&s->line);
	return e;
}

static enum err feed_lines(struct sse *s, struct slice b)
{
	const uint8_t *lf = NULL;
	enum err e;
	size_t n;

	while (b.n) {
		if (s->after_cr && b.p[0] == '\n')
			b = slice_of(b.p + 1, b.n - 1);
		s->after_cr = false;
		n = line_length(b, &lf);
		if (n == b.n)
			return gather(s, b);
		s->after_cr = b.p[n] == '\r';
		e = end_line(s, slice_of(b.p, n));
		if (e)
			return e;
		b = slice_of(b.p + n + 1, b.n - n - 1);
	}
	return ERR_OK;
}

/* Takes what could be the BOM off the front of *b.  What turns out to be none
 * is given back to the first line. */
static enum err skip_bom(struct sse *s, struct slice *b)
{
	enum err e;

	while (s->bom_seen < sizeof(bom) && b->n && b->p[0] == bom[s->bom_seen]) {
		s->bom_seen++;
		*b = slice_of(b->p + 1, b->n - 1);
	}
	if (s->bom_seen == sizeof(bom) || b->n == 0)
		return ERR_OK;
	e = gather(s, slice_of(bom, s->bom_seen));
	s->bom_seen = sizeof(bom);
	return e;
}

enum err sse_feed(struct sse *s, struct slice bytes)
{
	if (s->failed)
		return s->failed;
	if (s->bom_seen < sizeof(bom))
		s->failed = skip_bom(s, &bytes);
	if (!s->failed)
		s->failed = feed_lines(s, bytes);
	keep_lent(s);
	return s->failed;
}

enum err sse_end(struct sse *s)
{
	bool half_bom = s->bom_seen > 0 && s->bom_seen < sizeof(bom);

	if (s->failed)
		return s->failed;
	return s->line.n || s->pending || half_bom ? ERR_FORMAT : ERR_OK;
}
