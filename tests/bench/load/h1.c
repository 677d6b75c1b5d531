/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1: one connection per lane.  An answer is complete by its length or its
 * terminating chunk, never by the connection's end.  The connection is made anew
 * when the server closes it between answers.
 */
#include <stdlib.h>

#include "tests/bench/http1.h"
#include "tests/bench/load/load.h"

struct conn {
	struct lane *lane;
	uv_tcp_t tcp;
	uv_connect_t connect;
	uv_write_t write;
	unsigned index;
	bool up, opening, closing, writing, waiting; /* waiting: send once connected */
	struct buf head;                             /* while it is not complete */
	bool in_body, chunked, close_after;
	uint64_t left;
	struct phr_chunked_decoder decoder;
	struct tls *tls;
};

static void conn_open(struct conn *c);

static void on_closed(uv_handle_t *h)
{
	struct conn *c = h->data;

	c->up = c->opening = c->closing = false;
	tls_free(c->tls);
	c->tls = NULL;
	buf_free(&c->head);
	c->in_body = false;
	if (c->waiting)
		conn_open(c);
}

static void drop(struct conn *c)
{
	if (!c->closing)
		uv_close((uv_handle_t *)&c->tcp, on_closed);
	c->closing = true;
	c->up = false;
}

static void answered(struct conn *c, const char *wrong)
{
	bool close = c->close_after || wrong;

	c->in_body = c->close_after = false;
	if (close)
		drop(c);
	lane_done(c->lane, wrong);
}

static void on_body(struct conn *c, char *p, size_t n)
{
	struct run *r = c->lane->run;
	size_t len = n;
	ssize_t left;

	if (!c->chunked) {
		if (len > c->left) {
			answered(c, "bytes behind the answer");
			return;
		}
		xfer_bytes(r, &c->lane->x, (uint8_t *)p, len);
		c->left -= len;
		if (c->left == 0)
			answered(c, NULL);
		return;
	}
	left = phr_decode_chunked(&c->decoder, p, &len);
	if (left == -1) {
		answered(c, "bad chunked encoding");
		return;
	}
	if (len)
		xfer_bytes(r, &c->lane->x, (uint8_t *)p, len);
	if (left > 0)
		answered(c, "bytes behind the answer");
	else if (left == 0)
		answered(c, NULL);
}

static void begin_body(struct conn *c, const struct phr_header *h, size_t n)
{
	const struct phr_header *v = HTTP_HEADER(h, n, "connection");

	c->close_after = v && v->value_len == 5 && strncasecmp(v->value, "close", 5) == 0;
	c->chunked = HTTP_HEADER(h, n, "transfer-encoding") != NULL;
	c->decoder = (struct phr_chunked_decoder){ .consume_trailer = 1 };
	v = HTTP_HEADER(h, n, "content-length");
	c->left = v ? strtoull(v->value, NULL, 10) : UINT64_MAX;
	c->in_body = true;
}

static void on_head(struct conn *c, char *p, size_t n)
{
	struct phr_header h[HTTP_HEADERS];
	size_t hn = HTTP_HEADERS, len;
	int minor, status, head;
	const char *msg;
	bool kept = c->head.n > 0;

	if (kept) {
		buf_add(&c->head, p, n);
		p = (char *)c->head.p;
		n = c->head.n;
	}
	head = phr_parse_response(p, n, &minor, &status, &msg, &len, h, &hn, 0);
	if (head == -2 && !kept)
		buf_add(&c->head, p, n);
	if (head == -2)
		return;
	if (head < 0) {
		answered(c, "not HTTP");
		return;
	}
	xfer_head(c->lane->run, &c->lane->x, status);
	begin_body(c, h, hn);
	if (!c->chunked && c->left == UINT64_MAX)
		answered(c, "an answer of unknown length");
	else if (n > (size_t)head)
		on_body(c, p + head, n - (size_t)head);
	else if (!c->chunked && c->left == 0)
		answered(c, NULL);
	buf_free(&c->head);
}

static void on_alloc(uv_handle_t *h, size_t n, uv_buf_t *out)
{
	struct conn *c = h->data;

	(void)n;
	*out = uv_buf_init(c->lane->run->read, sizeof(c->lane->run->read));
}

static void on_plain(struct conn *c, char *p, size_t n)
{
	if (!c->lane->busy || c->waiting)
		drop(c); /* a word that nobody asked for, as a server's goodbye */
	else if (c->in_body)
		on_body(c, p, n);
	else
		on_head(c, p, n);
}

struct piece {
	uv_write_t req;
	struct buf bytes;
};

static void on_piece(uv_write_t *w, int status)
{
	struct piece *p = w->data;

	(void)status; /* the reading side tells */
	buf_free(&p->bytes);
	free(p);
}

static void flush(struct conn *c)
{
	struct buf *out = tls_out(c->tls);
	struct piece *p;
	uv_buf_t b;

	if (!out->n)
		return;
	p = mem_new(sizeof(*p));
	p->bytes = *out;
	*out = (struct buf){ 0 };
	p->req.data = p;
	b = uv_buf_init((char *)p->bytes.p, (unsigned)p->bytes.n);
	if (uv_write(&p->req, (uv_stream_t *)&c->tcp, &b, 1, on_piece) < 0)
		on_piece(&p->req, 0);
}

static void put_request(struct conn *c);

static void on_sealed(struct conn *c, const void *p, size_t n)
{
	char *plain = c->lane->run->plain;
	bool was_up = c->up;
	size_t got;

	if (!tls_take(c->tls, p, n)) {
		drop(c);
		c->waiting = false;
		if (c->lane->busy)
			lane_done(c->lane, "no TLS");
		return;
	}
	c->up = tls_up(c->tls);
	flush(c);
	if (c->up && !was_up && c->waiting)
		put_request(c);
	while (c->up && (got = tls_read(c->tls, plain, sizeof(c->lane->run->plain))) > 0)
		on_plain(c, plain, got);
}

static void on_read(uv_stream_t *t, ssize_t n, const uv_buf_t *b)
{
	struct conn *c = t->data;

	if (n == 0)
		return;
	if (n < 0) {
		drop(c);
		if (c->lane->busy && !c->waiting)
			lane_done(c->lane, "cut off");
	} else if (c->tls) {
		on_sealed(c, b->base, (size_t)n);
	} else {
		on_plain(c, b->base, (size_t)n);
	}
}

static void on_written(uv_write_t *w, int status)
{
	struct conn *c = w->data;

	(void)status; /* the reading side tells */
	c->writing = false;
}

static void put_request(struct conn *c)
{
	const struct lane *l = c->lane;
	const struct buf *wire = l->x.locking ? &l->run->bodies.lock_wire : &l->x.body->wire;
	uv_buf_t b = uv_buf_init((char *)wire->p, (unsigned)wire->n);
	int n;

	if (c->tls) {
		c->waiting = false;
		tls_write(c->tls, buf_slice(wire));
		flush(c);
		return;
	}
	n = c->writing ? UV_EAGAIN : uv_try_write((uv_stream_t *)&c->tcp, &b, 1);

	c->waiting = false;
	if (n == UV_EAGAIN)
		n = 0;
	if (n < 0) {
		drop(c);
		lane_done(c->lane, "cannot write");
		return;
	}
	if ((size_t)n == wire->n)
		return;
	b = uv_buf_init((char *)wire->p + n, (unsigned)(wire->n - (size_t)n));
	c->write.data = c;
	c->writing = true;
	uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, on_written);
}

static void on_connected(uv_connect_t *req, int status)
{
	struct conn *c = req->data;

	c->opening = false;
	if (status < 0) {
		c->waiting = false;
		drop(c);
		if (c->lane->busy)
			lane_done(c->lane, "cannot connect");
		return;
	}
	uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
	if (c->lane->run->o.tls) {
		c->tls = tls_new();
		flush(c);
		return;
	}
	c->up = true;
	if (c->waiting)
		put_request(c);
}

static void conn_open(struct conn *c)
{
	c->opening = true;
	c->connect.data = c;
	tcp_connect(c->lane->run, &c->tcp, &c->connect, c->index, on_connected);
	c->tcp.data = c;
}

void h1_open(struct lane *l, unsigned index)
{
	struct conn *c = mem_new(sizeof(*c));

	c->lane = l;
	c->index = index;
	l->via = c;
	conn_open(c);
}

void h1_send(struct lane *l)
{
	struct conn *c = l->via;

	if (c->up) {
		put_request(c);
		return;
	}
	c->waiting = true;
	if (!c->opening && !c->closing)
		conn_open(c);
}
