/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks at HTTP/2 frames before h2o does (RFC 9113).  libh2o 2.2.5 trusts its
 * client in ways that end the process or never end the connection:
 *
 * - A stream that is finished but whose last bytes are still in a write under
 *   way trips an assert when its window opens from nothing; so WINDOW_UPDATE
 *   for streams in such writes is applied here, and SETTINGS that would do the
 *   same to one ends the connection.
 * - Trailers of an upload that was answered early or reset end the connection.
 * - CONTINUATION may name another stream than the HEADERS before it.
 * - A body over the limit gets REFUSED_STREAM, which asks for a retry; here the
 *   request is completed early so that the handler can answer 413.
 * - Resets, pings, settings and the like have no limit.
 * - Nor has the number of fields: one byte of a block can stand for one.
 *
 * Frames h2o may see keep their order; the input is compacted in place, so the
 * work is linear in the bytes read.  Frames after which the streams' states
 * may differ are handed over before the next one is judged.
 */
#include <string.h>

#include "common/httpd/internal.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define PREFACE_LEN (sizeof(PREFACE) - 1)
#define HEADER_LEN H2O_HTTP2_FRAME_HEADER_SIZE
#define FRAME_MAX 16384           /* what we announce */
#define BLOCK_MAX 65536           /* one request's header block, as sent */
#define BACKLOG_MAX (256 << 10)   /* unread answers; h2o stops reading, and drops our hook, at 512 KiB */
#define CRUMB 256                 /* frames below this size are noise where large ones are not */
#define NOISE_MAX 1000            /* see add_noise */
#define NOISE_FORGIVEN_PER_MS 0.1 /* 100 a second are fine for ever */

enum verdict {
	KEEP,
	KEEP_ALONE, /* hand everything up to and including this over now */
	DROP,
	CUT,
};

struct frame {
	uint32_t len, id;
	uint8_t type, flags;
	uint8_t *raw; /* header and payload */
};

static struct frame frame_at(uint8_t *p)
{
	return (struct frame){
		.len = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2],
		.type = p[3],
		.flags = p[4],
		.id = get_be32(p + 5) & 0x7fffffff,
		.raw = p,
	};
}

/* Frames that make us work or answer without being part of a request. */
static enum verdict add_noise(struct conn *c, enum verdict otherwise)
{
	uint64_t now = uv_now(c->h->uv);
	uint64_t forgiven = (uint64_t)((double)(now - c->noise_at) * NOISE_FORGIVEN_PER_MS);

	if (forgiven > 0) {
		c->noise -= forgiven < c->noise ? (unsigned)forgiven : c->noise;
		c->noise_at = now;
	}
	return ++c->noise > NOISE_MAX ? CUT : otherwise;
}

static struct hreq *open_request(struct conn *c, const h2o_http2_stream_t *s)
{
	for (h2o_linklist_t *l = c->open_reqs.next; l != &c->open_reqs; l = l->next) {
		struct hreq *r = H2O_STRUCT_FROM_MEMBER(struct hreq, same_conn, l);

		if (r->req == &s->req)
			return r;
	}
	return NULL;
}

/* The stream's body is over the limit with this frame: call it complete. */
static enum verdict finish_early(h2o_http2_stream_t *s, const struct frame *f)
{
	s->_expected_content_length = SIZE_MAX;
	f->raw[4] |= H2O_HTTP2_FRAME_FLAG_END_STREAM;
	return KEEP_ALONE;
}

/* A body nobody will read.  The connection's window is given back, else other
 * uploads would starve; the client is told to stop once its answer is out,
 * without an error that would make it forget the answer (RFC 9113 8.1). */
static enum verdict swallow(struct conn *c, h2o_http2_conn_t *h2, const struct frame *f, bool answered)
{
	if (f->len > 0) {
		h2o_http2_encode_window_update_frame(&h2->_write.buf, 0, (int32_t)f->len);
		h2o_http2_conn_request_write(h2);
	}
	if (answered && c->told_stop != f->id) {
		c->told_stop = f->id;
		h2o_http2__encode_rst_stream_frame(&h2->_write.buf, f->id, -H2O_HTTP2_ERROR_NONE);
		h2o_http2_conn_request_write(h2);
	}
	return f->len < CRUMB ? add_noise(c, DROP) : DROP;
}

static enum verdict judge_data(struct conn *c, h2o_http2_conn_t *h2, const struct frame *f)
{
	h2o_http2_stream_t *s = h2_stream(h2, f->id);
	struct hreq *r;

	if (s == NULL)
		return f->id > 0 && f->id <= h2->pull_stream_ids.max_open ? swallow(c, h2, f, true) : KEEP;
	if (s->state == H2O_HTTP2_STREAM_STATE_RECV_BODY) {
		if (s->_req_body->size + f->len > c->h->o.max_body)
			return finish_early(s, f);
		return f->len == 0 && !(f->flags & H2O_HTTP2_FRAME_FLAG_END_STREAM) ? add_noise(c, KEEP)
										    : KEEP;
	}
	r = open_request(c, s);
	if (r != NULL && r->over)
		return swallow(c, h2, f, false);
	return add_noise(c, KEEP_ALONE); /* h2o resets that stream */
}

static bool is_whole_block(const struct frame *f)
{
	return f->type == H2O_HTTP2_FRAME_TYPE_HEADERS && (f->flags & H2O_HTTP2_FRAME_FLAG_END_HEADERS);
}

/* The client has not heard that nobody waits for them any more. */
static enum verdict drop_trailers(struct conn *c, h2o_http2_conn_t *h2, const struct frame *f)
{
	h2o_http2_frame_t seen = { f->len, f->type, f->flags, f->id, f->raw + HEADER_LEN };
	h2o_http2_headers_payload_t block;
	const char *why;

	if (h2o_http2_decode_headers_payload(&block, &seen, &why) != 0 ||
	    !h2_pass_over(h2, slice_of(block.headers, block.headers_len)))
		return CUT;
	return add_noise(c, DROP);
}

static enum verdict judge_block(struct conn *c, const struct frame *f)
{
	bool more = !(f->flags & H2O_HTTP2_FRAME_FLAG_END_HEADERS);

	if (f->type == H2O_HTTP2_FRAME_TYPE_HEADERS)
		c->block_size = 0;
	c->block_size += f->len;
	c->block = more ? f->id : 0;
	if (c->block_size > BLOCK_MAX)
		return CUT;
	return more && f->len < CRUMB ? add_noise(c, KEEP) : KEEP;
}

/* Applied here for streams with bytes in flight: they have nothing else to
 * send, so h2o would only add the number, or assert when they are finished. */
static enum verdict judge_window(const struct conn *c, h2o_http2_conn_t *h2, const struct frame *f)
{
	uint32_t n = f->len == 4 ? get_be32(f->raw + HEADER_LEN) & 0x7fffffff : 0;
	h2o_http2_stream_t *s;

	(void)c;
	if (f->id == 0 || f->len != 4)
		return KEEP;
	if (n == 0)
		return CUT;
	s = h2_in_flight(h2, f->id);
	if (s == NULL)
		return KEEP;
	if (s->state == H2O_HTTP2_STREAM_STATE_END_STREAM)
		return DROP;
	return h2o_http2_window_update(&s->output_window, (ssize_t)n) == 0 ? DROP : CUT;
}

/* The initial window in a SETTINGS frame (the last one counts), or old. */
static int64_t new_window(const struct frame *f, int64_t old)
{
	for (uint32_t i = 0; i + 6 <= f->len; i += 6) {
		const uint8_t *p = f->raw + HEADER_LEN + i;

		if (p[0] == 0 && p[1] == 4)
			old = get_be32(p + 2);
	}
	return old;
}

static enum verdict judge_settings(struct conn *c, h2o_http2_conn_t *h2, const struct frame *f)
{
	int64_t delta =
		new_window(f, h2->peer_settings.initial_window_size) - h2->peer_settings.initial_window_size;
	const h2o_linklist_t *end = &h2->_write.streams_to_proceed;

	if (f->flags & H2O_HTTP2_FRAME_FLAG_ACK)
		return KEEP;
	for (const h2o_linklist_t *l = end->next; delta > 0 && l != end; l = l->next) {
		h2o_http2_stream_t *s = H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, _refs.link, l);

		if (s->state == H2O_HTTP2_STREAM_STATE_END_STREAM && s->output_window._avail <= 0 &&
		    s->output_window._avail + delta > 0)
			return CUT;
	}
	h2_table_settings(c, h2, slice_of(f->raw + HEADER_LEN, f->len));
	return add_noise(c, KEEP_ALONE);
}

static enum verdict judge(struct conn *c, h2o_http2_conn_t *h2, const struct frame *f)
{
	if (c->block != 0 && (f->type != H2O_HTTP2_FRAME_TYPE_CONTINUATION || f->id != c->block))
		return CUT;
	switch (f->type) {
	case H2O_HTTP2_FRAME_TYPE_DATA:
		return judge_data(c, h2, f);
	case H2O_HTTP2_FRAME_TYPE_HEADERS:
		return is_whole_block(f) && h2_over(h2, f->id) ? drop_trailers(c, h2, f) : judge_block(c, f);
	case H2O_HTTP2_FRAME_TYPE_CONTINUATION:
		return c->block != 0 ? judge_block(c, f)
				     : KEEP; /* h2o ends the connection over a stray one */
	case H2O_HTTP2_FRAME_TYPE_WINDOW_UPDATE:
		return judge_window(c, h2, f);
	case H2O_HTTP2_FRAME_TYPE_SETTINGS:
		return judge_settings(c, h2, f);
	case H2O_HTTP2_FRAME_TYPE_RST_STREAM:
		return h2_in_flight(h2, f->id) != NULL ? KEEP_ALONE : add_noise(c, KEEP);
	case H2O_HTTP2_FRAME_TYPE_PING:
	case H2O_HTTP2_FRAME_TYPE_PRIORITY:
		return add_noise(c, KEEP);
	case H2O_HTTP2_FRAME_TYPE_PUSH_PROMISE:
	case H2O_HTTP2_FRAME_TYPE_GOAWAY:
		return KEEP;
	default: /* RFC 9113 4.1: ignored; h2o would print a line for each */
		return add_noise(c, DROP);
	}
}

/* h2o reads its input.  False: the connection is closed, closing or cut. */
static bool let_read(struct conn *c)
{
	bool gone = false;

	c->gone = &gone;
	c->read(c->sock, NULL);
	if (gone)
		return false;
	c->gone = NULL;
	if (h2_conn(c) == NULL)
		return false;
	body_count(c);
	if (h2_too_many_fields(h2_conn(c)))
		conn_cut(c);
	return !c->cut;
}

/* Gives h2o the first n bytes of the input and puts the rest from `from` on
 * back behind what it leaves.  False: the connection is closed or closing. */
static bool hand_over(struct conn *c, size_t n, size_t from)
{
	h2o_socket_t *sock = c->sock;
	h2o_buffer_t *rest;
	size_t tail = sock->input->size - from;

	h2o_buffer_init(&rest, &h2o_socket_buffer_prototype);
	if (tail > 0) {
		memcpy(h2o_buffer_reserve(&rest, tail).base, sock->input->bytes + from, tail);
		rest->size = tail;
	}
	sock->input->size = n;
	if (!let_read(c)) {
		h2o_buffer_dispose(&rest);
		return false;
	}
	h2o_buffer_dispose(&sock->input);
	sock->input = rest;
	return true;
}

static void throw_away(struct conn *c)
{
	conn_cut(c);
	h2o_buffer_consume(&c->sock->input, c->sock->input->size);
}

/* True when the input starts with frames (the preface is handed over first). */
static bool greet(struct conn *c)
{
	const h2o_buffer_t *in = c->sock->input;

	if (c->greeted)
		return true;
	if (in->size < PREFACE_LEN)
		return false;
	if (memcmp(in->bytes, PREFACE, PREFACE_LEN) != 0) {
		throw_away(c);
		return false;
	}
	c->greeted = true;
	return hand_over(c, PREFACE_LEN, PREFACE_LEN);
}

/* Judges frames from the front; stops where something must be handed over.
 * *kept bytes at the front are for h2o, what starts at *next is not judged. */
static enum verdict sift(struct conn *c, h2o_http2_conn_t *h2, size_t *kept, size_t *next)
{
	uint8_t *in = (uint8_t *)c->sock->input->bytes;
	size_t size = c->sock->input->size;
	enum verdict v = DROP;

	*kept = *next = 0;
	while (size - *next >= HEADER_LEN) {
		struct frame f = frame_at(in + *next);

		if (f.len > FRAME_MAX)
			return CUT;
		if (size - *next < HEADER_LEN + f.len)
			break;
		if (*kept > 0 && is_whole_block(&f) && f.id <= h2->pull_stream_ids.max_open)
			return KEEP_ALONE; /* its verdict, and the blocks' order, depend on what is kept */
		v = judge(c, h2, &f);
		if (v == CUT)
			return v;
		if (v != DROP) {
			memmove(in + *kept, f.raw, HEADER_LEN + f.len);
			*kept += HEADER_LEN + f.len;
		}
		*next += HEADER_LEN + f.len;
		if (v == KEEP_ALONE)
			return v;
	}
	return v;
}

/* What is left after the last whole frame moves up behind what h2o gets. */
static void compact(h2o_socket_t *sock, size_t kept, size_t next)
{
	size_t tail = sock->input->size - next;

	if (kept + tail == 0) {
		h2o_buffer_consume(&sock->input, sock->input->size);
		return;
	}
	memmove(sock->input->bytes + kept, sock->input->bytes + next, tail);
	sock->input->size = kept + tail;
}

/* When TLS failed, and not the socket, it does not write any more either: the socket is shut down, and h2o
 * finds nothing left to say. */
static void fail(struct conn *c, const char *err)
{
	h2o_http2_conn_t *h2 = c->sock->data;

	if (c->left || (c->sock->ssl != NULL && err != h2o_socket_error_io)) {
		conn_cut(c);
		h2o_buffer_consume(&h2->_write.buf, h2->_write.buf->size);
	}
	c->read(c->sock, err);
}

void h2guard_read(h2o_socket_t *sock, const char *err)
{
	struct conn *c = sock->on_close.data;
	size_t kept, next;
	enum verdict v = KEEP_ALONE;

	if (err != NULL || c->left) {
		fail(c, err != NULL ? err : h2o_socket_error_closed);
		return;
	}
	if (c->cut) {
		throw_away(c);
		return;
	}
	if (!greet(c))
		return;
	while (v == KEEP_ALONE) {
		h2o_http2_conn_t *h2 = h2_conn(c);

		if (h2 == NULL) { /* closing: h2o would keep what comes without looking at it */
			h2o_buffer_consume(&sock->input, sock->input->size);
			return;
		}
		v = h2_backlog(h2) > BACKLOG_MAX ? CUT : sift(c, h2, &kept, &next);
		if (v == KEEP_ALONE && !hand_over(c, kept, next))
			return;
	}
	if (v == CUT) {
		throw_away(c);
		return;
	}
	compact(sock, kept, next);
	if (kept > 0)
		(void)let_read(c);
}
