/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1 as the model's clients speak it (model.h): all framings of a request, and
 * a parser that takes nothing but what an answer has to be.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/unit/httpd/model.h"

enum { HEAD, LENGTH, TO_THE_END, CHUNK_HEAD, CHUNK, CHUNK_TAIL, LAST_LINE };

/* --- requests --- */

static void add_chunks(struct buf *b, struct slice body)
{
	while (body.n) {
		size_t n = 1 + dice_size(body.n);

		buf_fmt(b, dice(6) ? "%zx\r\n" : "%zX;a=\"b\"\r\n", n);
		buf_add(b, body.p, n);
		buf_str(b, "\r\n");
		body = slice_of(body.p + n, body.n - n);
	}
	buf_str(b, dice(4) ? "0\r\n\r\n" : "0\r\nX-Sum: 1\r\n\r\n");
}

static void add_head(struct buf *b, const struct ask *a)
{
	buf_fmt(b, "%s /%u HTTP/1.%d\r\nHost: a\r\nX-Note: %s\r\n", a->method, a->id, !a->old, a->note);
	if (a->chunked)
		buf_str(b, "Transfer-Encoding: chunked\r\n");
	else if (strcmp(a->method, "POST") == 0)
		buf_fmt(b, "Content-Length: %zu\r\n", a->body.n);
	if (a->expect)
		buf_str(b, "Expect: 100-continue\r\n");
	if (a->close)
		buf_str(b, "Connection: close\r\n");
	buf_str(b, "\r\n");
}

static void add_body(struct client *c, struct ask *a)
{
	if (a->chunked)
		add_chunks(&c->out, a->body);
	else
		buf_add(&c->out, a->body.p, a->body.n);
	a->said_to = c->moved + c->out.n;
	c->next++;
}

void h1_say(struct client *c)
{
	struct ask *a = c->next < c->n ? c->ask[c->next] : NULL;

	if (!a || c->out.n > 100000 || (c->ending && c->next == c->answered))
		return;
	if (a->begged) { /* only the body is missing */
		if (a->interim)
			add_body(c, a);
		return;
	}
	if (c->next > c->answered && !c->pipelines)
		return;
	a->begged = true;
	add_head(&c->out, a);
	if (!a->expect || dice(3) == 0)
		add_body(c, a);
}

bool h1_done(const struct client *c)
{
	return c->answered == c->n && !c->ending;
}

/* --- answers --- */

/* A line of the input from *at on, without its CRLF. */
static bool next_line(const struct client *c, size_t *at, struct slice *line)
{
	const uint8_t *p = c->in.p + *at, *lf = c->in.n > *at ? memchr(p, '\n', c->in.n - *at) : NULL;

	if (!lf)
		return false;
	client_must(c, lf > p && lf[-1] == '\r', "a line without CR");
	*line = slice_of(p, (size_t)(lf - p) - 1);
	*at += line->n + 2;
	return true;
}

static bool starts(struct slice s, const char *text, struct slice *rest)
{
	size_t n = strlen(text);

	if (s.n < n || strncasecmp((const char *)s.p, text, n) != 0)
		return false;
	*rest = slice_of(s.p + n, s.n - n);
	return true;
}

struct head {
	int status;
	uint64_t length;
	bool chunked, close;
	unsigned id;
};

static void read_field(const struct client *c, struct slice line, struct head *h)
{
	uint64_t id;
	struct slice v;

	if (starts(line, "content-length: ", &v)) {
		client_must(c, h->length == UINT64_MAX, "two lengths");
		client_must(c, slice_u64(v, 1u << 30, &h->length) == ERR_OK, "no length");
	} else if (starts(line, "transfer-encoding: ", &v)) {
		client_must(c, slice_is(v, "chunked") && !h->chunked, "no coding");
		h->chunked = true;
	} else if (starts(line, "connection: ", &v)) {
		h->close = slice_is(v, "close");
	} else if (starts(line, "x-id: ", &v)) {
		client_must(c, slice_u64(v, 1u << 30, &id) == ERR_OK, "no id");
		h->id = (unsigned)id;
	}
}

/* False: not all of it is there. */
static bool read_head(struct client *c, struct head *h)
{
	struct slice line, v = { 0 };
	size_t at = 0;

	*h = (struct head){ .length = UINT64_MAX, .id = UINT32_MAX };
	if (!next_line(c, &at, &line))
		return false;
	client_must(c, starts(line, "HTTP/1.1 ", &v) && v.n > 3 && v.p[3] == ' ', "no status line");
	h->status = atoi((const char *)v.p);
	do {
		if (!next_line(c, &at, &line))
			return false;
		read_field(c, line, h);
	} while (line.n);
	buf_consume(&c->in, at);
	return true;
}

static void over(struct client *c)
{
	struct ask *a = c->ask[c->answered++];

	c->at = HEAD;
	answer_end(a);
	c->ending = c->ending || a->close || a->old;
}

static bool take_head(struct client *c)
{
	struct ask *a = c->answered < c->n ? c->ask[c->answered] : NULL;
	struct head h;

	if (!read_head(c, &h))
		return false;
	client_must(c, a && a->begged, "an answer to nothing");
	if (h.status == 100) {
		must(a, a->expect && !a->interim, "100, and nobody asked");
		a->interim = true;
		return true;
	}
	must(a, h.id == a->id || (h.id == UINT32_MAX && !a->begun), "another request's answer");
	answer_head(a, h.status, h.length);
	must(a, !h.close || a->close || a->old || a->aborted || c->may_end || c->excused, "a last answer");
	c->ending = c->ending || h.close;
	c->left = h.length;
	if (bodiless(a, a->got_status) || h.length == 0) {
		over(c);
	} else if (h.chunked) {
		must(a, h.length == UINT64_MAX && !a->old, "chunked, and it may not be");
		c->at = CHUNK_HEAD;
	} else {
		c->at = h.length != UINT64_MAX ? LENGTH : TO_THE_END;
		c->ending = c->ending || c->at == TO_THE_END;
	}
	return true;
}

static bool take_chunk_head(struct client *c)
{
	struct slice line;
	size_t at = 0;

	if (!next_line(c, &at, &line))
		return false;
	client_must(c, line.n > 0 && strspn((const char *)line.p, "0123456789abcdef") == line.n, "no chunk");
	c->left = strtoull((const char *)line.p, NULL, 16);
	c->at = c->left ? CHUNK : LAST_LINE;
	buf_consume(&c->in, at);
	return true;
}

static bool take_bytes(struct client *c)
{
	size_t n = c->in.n < c->left ? c->in.n : (size_t)c->left;

	if (n == 0)
		return false;
	answer_bytes(c->ask[c->answered], c->in.p, n);
	buf_consume(&c->in, n);
	c->left -= c->at == TO_THE_END ? 0 : n;
	if (c->at == LENGTH && c->left == 0)
		over(c);
	else if (c->at == CHUNK && c->left == 0)
		c->at = CHUNK_TAIL;
	return true;
}

static bool take_empty_line(struct client *c)
{
	struct slice line;
	size_t at = 0;

	if (!next_line(c, &at, &line))
		return false;
	client_must(c, line.n == 0, "no end of a chunk");
	buf_consume(&c->in, at);
	if (c->at == LAST_LINE)
		over(c);
	else
		c->at = CHUNK_HEAD;
	return true;
}

static bool take_part(struct client *c)
{
	switch (c->at) {
	case HEAD:
		return take_head(c);
	case CHUNK_HEAD:
		return take_chunk_head(c);
	case CHUNK_TAIL:
	case LAST_LINE:
		return take_empty_line(c);
	default:
		return take_bytes(c);
	}
}

void h1_hear(struct client *c, bool eof)
{
	while (take_part(c))
		;
	if (eof && c->at == TO_THE_END)
		over(c);
}
