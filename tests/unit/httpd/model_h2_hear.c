/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 as the model's clients hear it (model.h): nothing but what their windows
 * allow, and nothing on a stream that has ended.
 */
#include <string.h>

#include "tests/unit/httpd/h2client.h"
#include "tests/unit/httpd/model.h"

#define FRAME_MAX 16384

static struct ask *of_stream(const struct client *c, uint32_t id)
{
	return id % 2 && id / 2 < c->next ? c->ask[id / 2] : NULL;
}

static uint64_t take_int(const struct client *c, struct slice *s, unsigned bits)
{
	uint64_t max = (1u << bits) - 1, v;
	unsigned shift = 0;

	client_must(c, s->n > 0, "half a field");
	v = s->p[0] & max;
	*s = slice_of(s->p + 1, s->n - 1);
	for (bool more = v == max; more; shift += 7) {
		client_must(c, s->n > 0 && shift < 28, "half a number");
		more = s->p[0] & 0x80;
		v += (uint64_t)(s->p[0] & 0x7f) << shift;
		*s = slice_of(s->p + 1, s->n - 1);
	}
	return v;
}

static struct slice take_string(const struct client *c, struct slice *s, bool *huffman)
{
	struct slice v;

	*huffman = s->n && s->p[0] & 0x80;
	v.n = take_int(c, s, 7);
	client_must(c, v.n <= s->n, "half a string");
	v.p = s->p;
	*s = slice_of(s->p + v.n, s->n - v.n);
	return v;
}

/* What libh2o says of :status and content-length it says without compression. */
static void take_field(const struct client *c, struct slice *s, int *status, uint64_t *length)
{
	static const int indexed[] = { 200, 204, 206, 304, 400, 404, 500 };
	uint8_t first = s->p[0];
	uint64_t name, n;
	bool huffman;
	struct slice v;

	name = take_int(c, s, first & 0x80 ? 7 : first & 0x40 ? 6 : first & 0x20 ? 5 : 4);
	if (first & 0x80) {
		*status = name >= 8 && name <= 14 ? indexed[name - 8] : *status;
		return;
	}
	if ((first & 0xe0) == 0x20)
		return;
	if (name == 0)
		(void)take_string(c, s, &huffman);
	v = take_string(c, s, &huffman);
	if ((name >= 8 && name <= 14) || name == 28) {
		client_must(c, !huffman && !(first & 0x40) && slice_u64(v, 1u << 30, &n) == ERR_OK,
			    "no number");
		if (name == 28)
			*length = n;
		else
			*status = (int)n;
	}
}

static void take_head(struct client *c, struct ask *a, uint8_t flags, struct slice block)
{
	uint64_t length = UINT64_MAX;
	int status = 0;

	client_must(c, flags & END_HEADERS, "a head in pieces");
	while (block.n)
		take_field(c, &block, &status, &length);
	answer_head(a, status, length);
}

static void take_data(struct client *c, struct ask *a, struct slice data)
{
	c->window -= (int64_t)data.n;
	a->window -= (int64_t)data.n;
	must(a, a->window >= 0, "more than its window");
	client_must(c, c->window >= 0, "more than the connection's window");
	answer_bytes(a, data.p, data.n);
}

static void take_reset(struct ask *a, uint32_t code)
{
	must(a, code == 0 || a->dropped || !(a->whole || a->cut), "reset behind its end");
	a->told_stop = true;
	a->cut = !a->whole;
}

static void take_stream_frame(struct client *c, uint8_t type, uint8_t flags, uint32_t id, struct slice p)
{
	struct ask *a = of_stream(c, id);

	client_must(c, a, "a frame of no stream");
	if (type == WINDOW_UPDATE) {
		a->room += get_be32(p.p);
		return;
	}
	if (type == RST_STREAM) {
		take_reset(a, get_be32(p.p));
		return;
	}
	must(a, !a->whole && !a->cut, "a frame behind the end");
	if (type == HEADERS)
		take_head(c, a, flags, p);
	else
		take_data(c, a, p);
	if (flags & END_STREAM)
		answer_end(a);
}

static void take_ack(struct client *c)
{
	client_must(c, c->owed > 0, "an answer to no PING or SETTINGS");
	c->owed--;
}

static void take_settings(struct client *c, uint8_t flags, struct slice p)
{
	if (flags & ACK) {
		take_ack(c);
		return;
	}
	for (size_t i = 0; i + 6 <= p.n; i += 6) {
		int64_t by = (int64_t)get_be32(p.p + i + 2) - c->first_room;

		if (p.p[i + 1] != 4)
			continue;
		c->first_room += by;
		for (unsigned k = 0; k < c->next; k++)
			c->ask[k]->room += by;
	}
	c->greeted = true;
	h2_add(&c->out, SETTINGS, ACK, 0, NULL, 0);
}

static void take_frame(struct client *c, uint8_t type, uint8_t flags, uint32_t id, struct slice p)
{
	client_must(c, c->greeted || type == SETTINGS, "no SETTINGS first");
	if (id) {
		client_must(c, type <= WINDOW_UPDATE && type != PUSH_PROMISE, "another kind of frame");
		take_stream_frame(c, type, flags, id, p);
	} else if (type == SETTINGS) {
		take_settings(c, flags, p);
	} else if (type == WINDOW_UPDATE) {
		c->room += get_be32(p.p);
	} else if (type == GOAWAY) {
		c->max_id = get_be32(p.p);
		c->goaway = c->max_id < 0x7fffffff || c->goaway;
		client_must(c, get_be32(p.p + 4) == 0 || c->excused, "an error of ours");
	} else {
		client_must(c, type == PING, "another kind of frame");
		if (flags & ACK)
			take_ack(c);
		else
			h2_add(&c->out, PING, ACK, 0, p.p, p.n);
	}
}

void h2_hear(struct client *c)
{
	size_t at = 0;

	while (c->in.n - at >= 9) {
		const uint8_t *p = c->in.p + at;
		size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];

		client_must(c, n <= FRAME_MAX, "a frame too long");
		if (c->in.n - at - 9 < n)
			break;
		take_frame(c, p[3], p[4], get_be32(p + 5), slice_of(p + 9, n));
		at += 9 + n;
	}
	buf_consume(&c->in, at);
}
