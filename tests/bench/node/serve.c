/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1 as the proxies and our worker speak it: keep-alive, one request at a
 * time on a connection, bodies by length or chunked.  What cannot be written at
 * once is queued; nothing here waits for anything.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "tests/bench/http1.h"
#include "tests/bench/node/bench_node.h"

#define HEAD_MAX 16384
#define BODY_MAX (64u << 20)

struct server {
	uv_loop_t *uv;
	uv_tcp_t listener;
	struct answers *answers;
	struct buf last; /* of the answer under way in this call */
	char read[262144];
};

struct conn {
	struct paced paced; /* first: paced is conn */
	uv_tcp_t tcp;
	struct server *server;
	struct buf in;
	struct answer *answer; /* of the stream under way */
	uint32_t next;
	uint8_t rid[RID_BYTES];
	bool closing;
};

struct write {
	uv_write_t w;
	char data[];
};

struct request {
	const struct phr_header *auth, *rid;
	const char *path;
	size_t path_len, whole; /* bytes of head and body */
	struct slice body;
};

static void on_closed(uv_handle_t *h)
{
	struct conn *c = h->data;

	buf_free(&c->in);
	free(c);
}

static void conn_close(struct conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	pace_stop(&c->paced);
	uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void on_written(uv_write_t *w, int status)
{
	struct conn *c = w->handle->data;

	if (status < 0 && status != UV_ECANCELED)
		conn_close(c);
	free(w);
}

static void send_rest(struct conn *c, const uv_buf_t *b, unsigned n, size_t skip)
{
	size_t total = 0, at = 0;
	struct write *w;
	uv_buf_t one;

	for (unsigned i = 0; i < n; i++)
		total += b[i].len;
	w = mem_new(sizeof(*w) + total);
	for (unsigned i = 0; i < n; i++) {
		memcpy(w->data + at, b[i].base, b[i].len);
		at += b[i].len;
	}
	one = uv_buf_init(w->data + skip, (unsigned)(total - skip));
	if (uv_write(&w->w, (uv_stream_t *)&c->tcp, &one, 1, on_written) != 0) {
		free(w);
		conn_close(c);
	}
}

static void send_all(struct conn *c, const uv_buf_t *b, unsigned n)
{
	size_t total = 0;
	int done = uv_try_write((uv_stream_t *)&c->tcp, b, n);

	for (unsigned i = 0; i < n; i++)
		total += b[i].len;
	if (done == UV_EAGAIN)
		done = 0;
	if (done < 0)
		conn_close(c);
	else if ((size_t)done < total)
		send_rest(c, b, n, (size_t)done);
}

static uv_buf_t of(const struct buf *b)
{
	return uv_buf_init((char *)b->p, (unsigned)b->n);
}

static void send_text(struct conn *c, const char *status, const char *body)
{
	char text[256];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			 status, strlen(body), body);
	uv_buf_t b = uv_buf_init(text, (unsigned)n);

	send_all(c, &b, 1);
}

static void send_whole(struct conn *c, struct answer *a)
{
	struct server *s = c->server;
	char head[128];
	uv_buf_t b[2];

	answer_last(s->answers, a, c->rid, &s->last);
	b[0] = uv_buf_init(head, (unsigned)snprintf(head, sizeof(head),
						    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
						    "Content-Length: %zu\r\n\r\n",
						    s->last.n));
	b[1] = of(&s->last);
	send_all(c, b, 2);
}

static char stream_head[] =
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
	"Transfer-Encoding: chunked\r\n\r\n";

static void send_flat(struct conn *c, struct answer *a)
{
	struct server *s = c->server;
	uv_buf_t b[3] = { uv_buf_init(stream_head, sizeof(stream_head) - 1) };

	answer_last(s->answers, a, c->rid, &s->last); /* makes all events, too */
	b[1] = of(&a->events);
	b[2] = of(&s->last);
	send_all(c, b, 3);
}

static void on_due(struct paced *p)
{
	struct conn *c = (struct conn *)p;
	struct answer *a = c->answer;
	uv_buf_t b;

	if (c->next + 1 < a->asked.chunks) {
		uint32_t from = c->next ? a->ends[c->next - 1] : 0;

		answer_make(a, c->next + 1);
		b = uv_buf_init((char *)a->events.p + from, a->ends[c->next] - from);
		c->next++;
	} else {
		pace_stop(p);
		c->answer = NULL;
		answer_last(c->server->answers, a, c->rid, &c->server->last);
		b = of(&c->server->last);
	}
	send_all(c, &b, 1);
}

static void answer(struct conn *c, struct answer *a)
{
	uv_buf_t head = uv_buf_init(stream_head, sizeof(stream_head) - 1);

	if (!a) {
		send_text(c, "400 Bad Request", "{\"error\":{\"message\":\"no bench: in user\"}}");
	} else if (a->asked.chunks == 0) {
		send_whole(c, a);
	} else if (a->asked.gap_us == 0) {
		send_flat(c, a);
	} else {
		c->answer = a;
		c->next = 0;
		send_all(c, &head, 1);
		if (!c->closing)
			pace_start(c->server->uv, &c->paced, &a->asked, on_due);
	}
}

static bool read_auth(struct conn *c, const struct request *q, struct authz *z)
{
	uint8_t raw[AUTH_BYTES];

	if (q->auth->value_len < B64_LEN(AUTH_BYTES) ||
	    b64_decode_exact(slice_of(q->auth->value, B64_LEN(AUTH_BYTES)), raw, sizeof(raw)) != ERR_OK ||
	    authz_decode(slice_of(raw, sizeof(raw)), z) != ERR_OK)
		return false;
	memcpy(c->rid, z->rid, RID_BYTES);
	return true;
}

static void take_request(struct conn *c, const struct request *q)
{
	static const char ask[] = "/completions";
	struct authz z;

	if (q->path_len < sizeof(ask) || !memmem(q->path, q->path_len, ask, sizeof(ask) - 1))
		send_text(c, "200 OK", "{\"message\":\"ok\"}");
	else if (!q->auth)
		answer(c, answers_raw(c->server->answers, q->body));
	else if (read_auth(c, q, &z))
		answer(c, answers_sealed(c->server->answers, z.body_hash, q->body));
	else
		send_text(c, "401 Unauthorized", "{}");
}

/* 1: q is filled; 0: more is needed; -1: not HTTP. */
static int parse(struct conn *c, struct request *q)
{
	struct phr_header h[HTTP_HEADERS];
	static struct phr_header kept[2];
	const struct phr_header *v;
	struct phr_chunked_decoder d = { .consume_trailer = 1 };
	size_t n = HTTP_HEADERS, mn, len = 0;
	const char *method;
	int minor, head = phr_parse_request((char *)c->in.p, c->in.n, &method, &mn, &q->path, &q->path_len,
					    &minor, h, &n, 0);

	if (head == -2)
		return c->in.n > HEAD_MAX ? -1 : 0;
	if (head < 0)
		return -1;
	if ((v = HTTP_HEADER(h, n, "x-sealway-auth"))) {
		kept[0] = *v;
		q->auth = &kept[0];
	}
	if (HTTP_HEADER(h, n, "transfer-encoding")) {
		struct buf copy = { 0 };
		ssize_t left;

		buf_add(&copy, c->in.p + head, c->in.n - (size_t)head);
		len = copy.n;
		left = phr_decode_chunked(&d, (char *)copy.p, &len);
		if (left >= 0) {
			q->whole = c->in.n - (size_t)left;
			memcpy(c->in.p + head, copy.p, len);
		}
		buf_free(&copy);
		if (left < 0)
			return left == -2 && c->in.n < BODY_MAX ? 0 : -1;
		q->body = slice_of(c->in.p + head, len);
		return 1;
	}
	v = HTTP_HEADER(h, n, "content-length");
	if (v)
		len = strtoul(v->value, NULL, 10);
	if (len > BODY_MAX)
		return -1;
	q->whole = (size_t)head + len;
	q->body = slice_of(c->in.p + head, len);
	return c->in.n >= q->whole;
}

static void on_bytes(struct conn *c)
{
	while (!c->closing && c->in.n) {
		struct request q = { 0 };
		int got = parse(c, &q);

		if (got < 0)
			conn_close(c);
		if (got <= 0)
			return;
		take_request(c, &q);
		buf_consume(&c->in, q.whole);
	}
	if (c->in.n == 0)
		buf_free(&c->in); /* idle connections and open streams hold nothing */
}

static void on_alloc(uv_handle_t *h, size_t n, uv_buf_t *out)
{
	struct conn *c = h->data;

	(void)n;
	*out = uv_buf_init(c->server->read, sizeof(c->server->read));
}

static void on_read(uv_stream_t *t, ssize_t n, const uv_buf_t *b)
{
	struct conn *c = t->data;

	if (n < 0) {
		conn_close(c);
		return;
	}
	buf_add(&c->in, b->base, (size_t)n);
	on_bytes(c);
}

static void on_connection(uv_stream_t *l, int status)
{
	struct server *s = l->data;
	struct conn *c;

	if (status < 0)
		return;
	c = mem_new(sizeof(*c));
	c->server = s;
	uv_tcp_init(s->uv, &c->tcp);
	c->tcp.data = c;
	if (uv_accept(l, (uv_stream_t *)&c->tcp) != 0) {
		conn_close(c);
		return;
	}
	uv_tcp_nodelay(&c->tcp, 1);
	uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

void serve(uv_loop_t *uv, int fd, struct answers *a)
{
	struct server *s = mem_new(sizeof(*s));

	s->uv = uv;
	s->answers = a;
	uv_tcp_init(uv, &s->listener);
	s->listener.data = s;
	uv_tcp_open(&s->listener, fd);
	uv_listen((uv_stream_t *)&s->listener, 4096, on_connection);
}
