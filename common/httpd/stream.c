/* SPDX-License-Identifier: Apache-2.0
 *
 * Towards h2o.  Everything the user writes in one loop turn goes to h2o in one
 * h2o_send at the turn's end; there is at most one outstanding, as h2o demands
 * (a second one aborts the process).  pend collects while fly is under way.
 * HTTP/1.1 answers of unknown length are framed here and not by h2o's chunked
 * filter: that one swallows an empty first send, so headers alone would wait
 * for the first byte, and gives up keep-alive for any status but 200.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/httpd/internal.h"

#define KEEP_BUFFER 1024 /* a buffer of this size stays with an open stream */

static void on_idle_turn(uv_idle_t *idle)
{
	(void)idle;
}

void stream_dirty(struct hreq *r)
{
	struct httpd *h = r->h;

	if (r->dirty || (r->finished && !r->killed))
		return;
	r->dirty = true;
	r->dirty_next = NULL;
	*h->dirty_tail = r;
	h->dirty_tail = &r->dirty_next;
	uv_idle_start(&h->idle_turn, on_idle_turn); /* the loop must not block before the flush */
}

void stream_forget(struct hreq *r)
{
	struct hreq **p = &r->h->dirty_head;

	if (!r->dirty)
		return;
	r->dirty = false;
	while (*p != r)
		p = &(*p)->dirty_next;
	*p = r->dirty_next;
	if (*p == NULL)
		r->h->dirty_tail = p;
}

void stream_flush_all(struct httpd *h)
{
	struct hreq *r;

	while ((r = h->dirty_head) != NULL) {
		stream_forget(r);
		stream_flush(r);
	}
	uv_idle_stop(&h->idle_turn);
}

static void on_proceed(h2o_generator_t *gen, h2o_req_t *req)
{
	struct hreq *r = (struct hreq *)gen;
	size_t n = r->fly.n;

	(void)req;
	r->in_flight = false;
	r->at = uv_now(r->h->uv);
	if (r->fly.cap > KEEP_BUFFER)
		buf_free(&r->fly);
	else
		buf_reset(&r->fly);
	if (n > 0 && r->taken != NULL && !r->ended && !r->aborted)
		r->taken(r->taken_arg, r, n);
	stream_forget(r);
	stream_flush(r);
}

static void start(struct hreq *r)
{
	int keep;

	r->started = true;
	r->gen.proceed = on_proceed;
	if (!r->begun) { /* killed before an answer: h2o needs one to end the request */
		r->req->res.status = 503;
		r->req->res.reason = answer_reason(503);
		r->req->res.content_length = 0;
		r->req->http1_is_persistent = 0;
	}
	if (!r->ended) /* a stream may last; a whole answer frees everything in a moment */
		hreq_drop_body(r);
	if (r->h->draining)
		r->req->http1_is_persistent = 0;
	keep = r->req->http1_is_persistent;
	h2o_start_response(r->req, &r->gen);
	r->req->http1_is_persistent = keep; /* the filter looks at the status before it sees our framing */
}

/* Moves pend to fly and lists what h2o gets. */
static size_t take_pending(struct hreq *r, h2o_iovec_t iov[3], bool last)
{
	struct buf fly = r->fly;
	size_t n = 0;

	r->fly = r->pend;
	r->pend = fly;
	if (r->chunked && r->fly.n > 0) {
		int len = snprintf(r->frame, sizeof(r->frame), "%zx\r\n", r->fly.n);

		iov[n++] = h2o_iovec_init(r->frame, (size_t)len);
	}
	if (r->fly.n > 0)
		iov[n++] = h2o_iovec_init(r->fly.p, r->fly.n);
	if (r->fixed.n > 0)
		iov[n++] = h2o_iovec_init(r->fixed.p, r->fixed.n);
	if (r->chunked && (r->fly.n > 0 || last)) {
		const char *tail = r->fly.n == 0 ? "0\r\n\r\n" : last ? "\r\n0\r\n\r\n" : "\r\n";

		iov[n++] = h2o_iovec_init(tail, strlen(tail));
	}
	return n;
}

static void send_now(struct hreq *r, h2o_send_state_t state)
{
	h2o_iovec_t iov[3];
	size_t n = take_pending(r, iov, state == H2O_SEND_STATE_FINAL);

	if (h2o_send_state_is_in_progress(state))
		r->in_flight = true;
	else
		r->finished = true;
	r->at = uv_now(r->h->uv);
	h2o_send(r->req, iov, n, state); /* r may be gone when this returns */
}

static h2o_http2_conn_t *h2_of(const struct hreq *r)
{
	return (h2o_http2_conn_t *)r->req->conn;
}

/* RST_STREAM on its own: bytes handed to h2o together with an error are lost,
 * and one with a closed window would never leave. */
static void reset_stream(struct hreq *r)
{
	h2o_http2_stream_t *s = H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, r->req);

	r->finished = true;
	(void)h2_reset(h2_of(r), s, -H2O_HTTP2_ERROR_INTERNAL); /* else a write ends it */
}

/* HTTP/1.0 without a length: only a reset connection tells the cut from the
 * end of the body. */
static void close_hard(const struct hreq *r)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(h2o_socket_get_fd(r->conn->sock), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

static void abort_http1(struct hreq *r)
{
	if (r->in_flight || r->finished) /* when killed: the socket is shut down, h2o will see it */
		return;
	if (!r->started)
		start(r);
	if (r->req->version < 0x101 && r->left == UINT64_MAX)
		close_hard(r);
	send_now(r, H2O_SEND_STATE_ERROR);
}

static void abort_http2(struct hreq *r)
{
	if (r->killed) {
		reset_stream(r);
		return;
	}
	if (r->in_flight || r->finished)
		return;
	if (r->pend.n > 0) {
		if (!r->started)
			start(r);
		send_now(r, H2O_SEND_STATE_IN_PROGRESS);
	} else if (!h2o_linklist_is_linked(&r->timed)) {
		watch_soon(r, &r->h->linger); /* killed when that is over */
	}
}

void stream_flush(struct hreq *r)
{
	bool first = !r->started;

	if (r->req->version >= 0x200 && h2_closing(h2_of(r)))
		return; /* nothing is sent any more, and h2o does not look before it adds to what is */
	if (r->aborted) {
		if (r->req->version < 0x200)
			abort_http1(r);
		else
			abort_http2(r);
		return;
	}
	if (!r->begun || r->in_flight || r->finished)
		return;
	if (first)
		start(r);
	if (r->ended)
		send_now(r, H2O_SEND_STATE_FINAL);
	else if (r->pend.n > 0 || first)
		send_now(r, H2O_SEND_STATE_IN_PROGRESS);
}
