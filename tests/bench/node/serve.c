/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1 as the proxies and our worker speak it: keep-alive, one request at a
 * time on a connection, bodies by length or chunked.  A short request costs one
 * read and one write, and no memory.  Of a long body only as much is kept as says
 * which answer it gets; the rest is received and counted, but not copied, and the
 * answer follows its last byte.  What cannot be written at once is queued; nothing
 * here waits for anything.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/bench/node/bench_node.h"

#define ACCEPTS 64 /* connections taken in one turn */

struct server {
	uv_loop_t *uv;
	uv_poll_t listener;
	int fd;
	struct answers *answers;
	struct buf last; /* of the answer under way in this call */
	struct buf body; /* a chunked one without its framing */
	uint8_t read[32768];
};

/* What a request gets: an answer, or a status with a short text. */
struct reply {
	struct answer *answer;
	const char *status, *text;
};

struct conn {
	struct paced paced; /* first: paced is conn */
	uv_poll_t poll;
	int fd;
	struct server *server;
	struct buf in, out;    /* not complete yet; not written yet */
	size_t skip;           /* bytes of the body that are still to come */
	struct reply pending;  /* after them */
	struct answer *answer; /* of the stream under way */
	uint32_t next;
	uint8_t rid[RID_BYTES];
	bool closing;
};

static void on_closed(uv_handle_t *h)
{
	struct conn *c = h->data;

	close(c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
}

static void conn_close(struct conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	pace_stop(&c->paced);
	uv_close((uv_handle_t *)&c->poll, on_closed);
}

/* --- writing --- */

static void on_ready(uv_poll_t *h, int status, int events);
static void on_due(struct paced *p);

static void queue(struct conn *c, const struct iovec *v, unsigned n, size_t done)
{
	for (unsigned i = 0; i < n; i++) {
		size_t skip = done < v[i].iov_len ? done : v[i].iov_len;

		buf_add(&c->out, (char *)v[i].iov_base + skip, v[i].iov_len - skip);
		done -= skip;
	}
	if (c->out.n)
		uv_poll_start(&c->poll, UV_READABLE | UV_WRITABLE, on_ready);
}

static void send_all(struct conn *c, struct iovec *v, unsigned n)
{
	struct msghdr m = { .msg_iov = v, .msg_iovlen = n };
	ssize_t done = c->out.n ? 0 : sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (done < 0 && errno != EAGAIN)
		conn_close(c);
	else
		queue(c, v, n, done < 0 ? 0 : (size_t)done);
}

static void send_one(struct conn *c, struct slice s)
{
	struct iovec v = { (void *)(uintptr_t)s.p, s.n };

	send_all(c, &v, 1);
}

static void send_queued(struct conn *c)
{
	ssize_t n = send(c->fd, c->out.p, c->out.n, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN)
		conn_close(c);
	if (n <= 0)
		return;
	buf_consume(&c->out, (size_t)n);
	if (c->out.n)
		return;
	buf_free(&c->out);
	uv_poll_start(&c->poll, UV_READABLE, on_ready);
	if (c->answer && c->answer->asked.gap_us == GAP_NONE && !c->paced.pacer)
		pace_start(c->server->uv, &c->paced, &c->answer->asked, on_due);
}

static void send_text(struct conn *c, const struct reply *r)
{
	char text[256];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			 r->status, strlen(r->text), r->text);

	send_one(c, slice_of(text, (size_t)n));
}

static const char stream_head[] =
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
	"Transfer-Encoding: chunked\r\n\r\n";

static void send_flat(struct conn *c, struct answer *a, struct slice last)
{
	struct iovec v[3] = { { (void *)(uintptr_t)stream_head, sizeof(stream_head) - 1 },
			      { a->events.p, a->events.n },
			      { (void *)(uintptr_t)last.p, last.n } };

	send_all(c, v, 3);
}

static void on_due(struct paced *p)
{
	struct conn *c = (struct conn *)p;
	struct answer *a = c->answer;

	if (c->next + 1 < a->asked.chunks) {
		uint32_t from = c->next ? a->ends[c->next - 1] : 0;

		send_one(c, slice_of(a->events.p + from, a->ends[c->next] - from));
		c->next++;
		if (c->out.n && a->asked.gap_us == GAP_NONE)
			pace_stop(p); /* until it is written */
	} else {
		pace_stop(p);
		c->answer = NULL;
		send_one(c, answer_last(c->server->answers, a, c->rid, &c->server->last));
	}
}

static void reply(struct conn *c, const struct reply *r)
{
	struct server *s = c->server;
	struct answer *a = r->answer;

	if (!a) {
		send_text(c, r);
	} else if (a->asked.chunks == 0) {
		send_one(c, answer_last(s->answers, a, c->rid, &s->last));
	} else if (a->asked.gap_us == 0) {
		struct slice last = answer_last(s->answers, a, c->rid, &s->last); /* makes all events, too */

		send_flat(c, a, last);
	} else {
		answer_make(a);
		c->answer = a;
		c->next = 0;
		send_one(c, SLICE_STR(stream_head));
		if (!c->closing)
			pace_start(s->uv, &c->paced, &a->asked, on_due);
	}
}

/* --- reading --- */

/* What the request gets; neither answer nor status: not known from that much of its body. */
static struct reply choose(struct conn *c, const struct request *q, struct slice body, bool whole)
{
	static const char ask[] = "/completions";
	struct answers *s = c->server->answers;
	struct answer *a;

	if (!memmem(q->path.p, q->path.n, ask, sizeof(ask) - 1))
		return (struct reply){ .status = "200 OK", .text = "{\"message\":\"ok\"}" };
	if (q->sealed && !q->authentic)
		return (struct reply){ .status = "401 Unauthorized", .text = "{}" };
	if (!q->sealed)
		a = answers_raw(s, body);
	else
		a = answers_sealed(s, q->auth.body_hash, whole ? body : (struct slice){ 0 });
	if (!a && whole)
		return (struct reply){ .status = "400 Bad Request",
				       .text = "{\"error\":{\"message\":\"no bench: in user\"}}" };
	if (q->sealed)
		memcpy(c->rid, q->auth.rid, RID_BYTES);
	return (struct reply){ .answer = a };
}

static size_t take_chunked(struct conn *c, const struct request *q, struct slice in)
{
	struct server *s = c->server;
	struct reply r;
	size_t used;
	int got = request_unchunk(in, &s->body, &used);

	if (got < 0)
		conn_close(c);
	if (got <= 0)
		return 0;
	r = choose(c, q, buf_slice(&s->body), true);
	reply(c, &r);
	return q->head + used;
}

static size_t take_sized(struct conn *c, const struct request *q, struct slice in)
{
	bool whole = in.n >= q->length;
	struct reply r = choose(c, q, slice_of(in.p, whole ? q->length : in.n), whole);

	if (whole) {
		reply(c, &r);
		return q->head + q->length;
	}
	if (!r.answer && !r.status)
		return 0;
	c->pending = r;
	c->skip = q->length - in.n;
	return q->head + in.n;
}

/* The bytes used of the next request; 0: more must come, or the connection is closing. */
static size_t take(struct conn *c, const uint8_t *p, size_t n)
{
	struct request q;
	int got = c->answer ? -1 : request_head(p, n, &q); /* one at a time */
	struct slice rest;

	if (got < 0)
		conn_close(c);
	if (got <= 0)
		return 0;
	rest = slice_of(p + q.head, n - q.head);
	return q.chunked ? take_chunked(c, &q, rest) : take_sized(c, &q, rest);
}

static void on_bytes(struct conn *c, const uint8_t *p, size_t n)
{
	size_t at = 0, used;
	bool kept = c->in.n > 0;

	if (kept) {
		buf_add(&c->in, p, n);
		p = c->in.p;
		n = c->in.n;
	}
	while (!c->closing && at < n && (used = take(c, p + at, n - at)) > 0)
		at += used;
	if (!kept)
		buf_add(&c->in, p + at, n - at);
	else
		buf_consume(&c->in, at);
	if (c->in.n == 0)
		buf_free(&c->in); /* idle connections and open streams hold nothing */
}

static void receive(struct conn *c)
{
	struct server *s = c->server;
	/* MSG_TRUNC on TCP: received as ever, but not copied to us */
	ssize_t n = c->skip ? recv(c->fd, NULL, c->skip, MSG_DONTWAIT | MSG_TRUNC)
			    : recv(c->fd, s->read, sizeof(s->read), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		conn_close(c);
	if (n <= 0)
		return;
	if (!c->skip) {
		on_bytes(c, s->read, (size_t)n);
		return;
	}
	c->skip -= (size_t)n;
	if (!c->skip)
		reply(c, &c->pending);
}

static void on_ready(uv_poll_t *h, int status, int events)
{
	struct conn *c = h->data;

	if (status < 0) {
		conn_close(c);
		return;
	}
	if (events & UV_WRITABLE && c->out.n)
		send_queued(c);
	if (events & UV_READABLE && !c->closing)
		receive(c);
}

static void on_connection(uv_poll_t *h, int status, int events)
{
	struct server *s = h->data;
	int fd, one = 1;

	(void)status;
	(void)events;
	for (int i = 0; i < ACCEPTS && (fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;
	     i++) {
		struct conn *c = mem_new(sizeof(*c));

		c->server = s;
		c->fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		uv_poll_init(s->uv, &c->poll, fd);
		c->poll.data = c;
		uv_poll_start(&c->poll, UV_READABLE, on_ready);
	}
}

void serve(uv_loop_t *uv, int fd, struct answers *a)
{
	struct server *s = mem_new(sizeof(*s));

	s->uv = uv;
	s->fd = fd;
	s->answers = a;
	uv_poll_init(uv, &s->listener, fd);
	s->listener.data = s;
	uv_poll_start(&s->listener, UV_READABLE, on_connection);
}
