/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection (upstream_impl.h): connecting to one address after the other,
 * sending a request, reading its answer.
 *
 * Invariants:
 * - A connection that did not carry its exchange to the end of the answer, with
 *   all of the request sent and not a byte too many received, carries no other.
 * - After any call into the caller (on_head, on_data, on_done) the request may be
 *   over: r->dead says so; nothing else is looked at then.
 * - Between upstream_resume and conn_resume nothing is read: what is held comes first.
 * - The peer's answer is read on when it takes no more of the request: it may
 *   have said why.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/net/upstream_impl.h"

#define TLS_JOINED 8192  /* bodies up to this go into one record with the head */
#define DEAD_WITHIN 1000 /* ms in which a dead connection shows; later it is the peer that gave up */
/* Bytes of an answer that the kernel keeps unread.  Left to itself it lets a paused
 * peer run ahead as far as the host's tcp_rmem goes, 33 MB here, all of it billed.
 * Linux takes twice this and offers half: 256 KiB per round trip, 2.5 MB/s over 100 ms. */
#define UNREAD (256 << 10)

static void on_poll(uv_poll_t *p, int status, int events);

static void watch(struct conn *c, int interest)
{
	if (interest == c->interest)
		return;
	c->interest = interest;
	if (interest)
		uv_poll_start(&c->poll, interest, on_poll);
	else
		uv_poll_stop(&c->poll);
}

static bool all_sent(const struct upstream_req *r)
{
	return r->head_sent == r->head.n && r->sent == r->c.body.n;
}

/* Paused, or still to take what was held meanwhile. */
static bool stands(const struct upstream_req *r)
{
	return r->paused || r->resumed;
}

/* What the socket is watched for now. */
static void rewatch(struct conn *c)
{
	const struct upstream_req *r = c->req;
	bool sending = r && !all_sent(r) && !c->send_broken;
	int interest = r && stands(r) ? 0 : UV_READABLE;

	watch(c, interest | (sending || c->tls_wants_write ? UV_WRITABLE : 0));
}

static void on_conn_closed(uv_handle_t *h)
{
	struct conn *c = h->data;
	struct upstream *u = c->up;

	free(c);
	upstream_unuse(u);
}

void conn_close(struct conn *c)
{
	origin_unuse(c->origin);
	tls_conn_free(c->tls);
	c->tls = NULL;
	buf_free(&c->rest);
	uv_close((uv_handle_t *)&c->poll, on_conn_closed);
	close(c->fd);
}

/* --- sending --- */

/* Plain: head and body in one call.  The result is as in tls_write. */
static long send_plain(const struct conn *c, struct slice head, struct slice body)
{
	struct iovec v[2] = { { (void *)head.p, head.n }, { (void *)body.p, body.n } };
	struct msghdr m = { .msg_iov = v + !head.n, .msg_iovlen = !!head.n + !!body.n };
	ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? IO_AGAIN : IO_ERROR;
	return n;
}

static long send_some(struct conn *c, struct slice head, struct slice body)
{
	if (!c->tls)
		return send_plain(c, head, body);
	return tls_write(c->tls, head.n ? head : body, &c->tls_wants_write);
}

static void count_sent(struct upstream_req *r, size_t n)
{
	size_t head = r->head.n - r->head_sent;

	if (head > n)
		head = n;
	r->head_sent += head;
	r->sent += n - head;
}

static void send_more(struct conn *c)
{
	struct upstream_req *r = c->req;

	while (!all_sent(r) && !c->send_broken) {
		long n = send_some(c, slice_of(r->head.p + r->head_sent, r->head.n - r->head_sent),
				   slice_of(r->c.body.p + r->sent, r->c.body.n - r->sent));

		if (n == IO_AGAIN)
			break;
		if (n <= 0)
			c->send_broken = true;
		else
			count_sent(r, (size_t)n);
	}
}

/* A small body rides in the head's TLS record: one packet, one wake-up of the peer. */
static void join_body(struct upstream_req *r)
{
	if (!r->c.body.n || r->c.body.n > TLS_JOINED)
		return;
	buf_add(&r->head, r->c.body.p, r->c.body.n);
	r->sent = r->joined = r->c.body.n;
}

/* As if nothing of r had been sent yet. */
static void unsend(struct upstream_req *r)
{
	r->begun = false;
	r->set_out = uv_now(r->up->uv);
	buf_cut(&r->head, r->head.n - r->joined);
	r->head_sent = r->sent = r->joined = 0;
}

static void begin(struct conn *c)
{
	struct upstream_req *r = c->req;

	c->state = CONN_OPEN;
	r->begun = true;
	r->resumed = false; /* nothing is held yet */
	r->began = uv_now(r->up->uv);
	r->attempt_until = 0;
	if (c->tls)
		join_body(r);
	send_more(c);
	rewatch(c);
	upstream_arm(r);
}

void conn_use(struct conn *c, struct upstream_req *r)
{
	c->req = r;
	c->used = true;
	r->conn = c;
	begin(c);
}

/* --- reading --- */

static bool may_be_repeated(const struct upstream_req *r)
{
	if (r->c.repeatable)
		return uv_now(r->up->uv) - r->began < DEAD_WITHIN;
	return strcmp(r->c.method, "GET") == 0 || strcmp(r->c.method, "HEAD") == 0;
}

/* Nothing of an answer came on a connection that was kept: it was dead already.
 * What changes nothing at the peer is asked again, once. */
static bool ask_again(struct upstream_req *r)
{
	struct conn *c = r->conn;

	if (!c->used || r->again || r->got_head || r->answer.lines || !may_be_repeated(r))
		return false;
	r->again = true;
	unsend(r);
	r->conn = NULL;
	conn_close(c);
	upstream_arm(r);
	pool_connect(r);
	return true;
}

static void ended_early(struct upstream_req *r)
{
	if (!ask_again(r))
		upstream_finish(r, UPSTREAM_CUT);
}

static void give_head(struct upstream_req *r)
{
	r->got_head = true;
	r->progress = uv_now(r->up->uv);
	if (all_sent(r)) {
		buf_free(&r->head);
		r->head_sent = 0;
	}
	if (r->c.on_head) {
		r->up->in_call++;
		r->c.on_head(r->c.arg, r->answer.status, r->answer.type);
		r->up->in_call--;
	}
	if (!r->dead)
		upstream_arm(r);
}

static void give_data(struct upstream_req *r, struct slice data)
{
	r->got += data.n;
	if (r->c.max_body && r->got > r->c.max_body) {
		upstream_finish(r, UPSTREAM_INVALID);
		return;
	}
	r->progress = uv_now(r->up->uv);
	if (r->c.on_data) {
		r->up->in_call++;
		r->c.on_data(r->c.arg, data);
		r->up->in_call--;
	}
}

/* The answer is whole; the connection goes back to the pool if nothing speaks against it. */
static void complete(struct upstream_req *r, size_t left)
{
	struct conn *c = r->conn;

	if (r->answer.keep && !left && all_sent(r) && !c->send_broken && !(c->tls && tls_pending(c->tls))) {
		r->conn = NULL;
		c->req = NULL;
		buf_free(&c->rest);
		rewatch(c);
		pool_keep(c);
	}
	upstream_finish(r, UPSTREAM_OK);
}

static void hold(struct conn *c, struct slice in)
{
	struct buf rest = { .secret = true };

	if (in.n)
		buf_add(&rest, in.p, in.n);
	buf_free(&c->rest);
	c->rest = rest;
}

/* Works through bytes that have come.  True: all are used, and r goes on. */
static bool take(struct upstream_req *r, struct slice in)
{
	struct slice data = { NULL, 0 };

	for (;;) {
		if (r->paused) {
			hold(r->conn, in);
			return false;
		}
		switch (answer_next(&r->answer, &in, &data)) {
		case ANSWER_MORE:
			return true;
		case ANSWER_HEAD:
			give_head(r);
			break;
		case ANSWER_DATA:
			give_data(r, data);
			break;
		case ANSWER_END:
			complete(r, in.n);
			return false;
		case ANSWER_BAD:
			upstream_finish(r, UPSTREAM_INVALID);
			return false;
		}
		if (r->dead)
			return false;
	}
}

static long read_some(struct conn *c)
{
	struct upstream *u = c->up;
	ssize_t n;

	if (c->tls)
		return tls_read(c->tls, u->buffer, sizeof(u->buffer), &c->tls_wants_write);
	n = recv(c->fd, u->buffer, sizeof(u->buffer), 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? IO_AGAIN : IO_ERROR;
	return n;
}

/* What was read is gone when it has been used: it may be a plaintext, and the next
 * answer may be long in coming.  c, and with it its pool, lasts until its handle is
 * closed, which is never in this loop turn. */
static bool take_buffer(struct conn *c, struct upstream_req *r, size_t n)
{
	struct upstream *u = c->up;
	bool on = take(r, slice_of(u->buffer, n));

	mem_wipe(u->buffer, n);
	return on;
}

/* One read, and what OpenSSL took from the socket with it. */
static void read_more(struct conn *c)
{
	struct upstream_req *r = c->req;
	long n;

	do {
		n = read_some(c);
		if (n == IO_AGAIN)
			break;
		if (n <= 0) {
			ended_early(r);
			return;
		}
		if (!take_buffer(c, r, (size_t)n))
			break;
	} while (c->tls && tls_pending(c->tls));
	if (!r->dead)
		rewatch(c);
}

bool conn_silent(const struct conn *c)
{
	char byte;

	return recv(c->fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

void conn_resume(struct conn *c)
{
	struct upstream_req *r = c->req;
	struct buf rest = c->rest;
	bool on;

	c->rest = (struct buf){ 0 };
	on = take(r, buf_slice(&rest)); /* nothing left, too: the pause may have come with the last byte */
	buf_free(&rest);
	if (r->dead)
		return;
	if (on && c->tls && tls_pending(c->tls))
		read_more(c);
	else
		rewatch(c);
}

/* --- connecting --- */

static void shake(struct conn *c)
{
	struct upstream_req *r = c->req;
	int done = tls_shake(c->tls, &c->tls_wants_write);

	if (done == 1) {
		begin(c);
	} else if (done == IO_AGAIN) {
		watch(c, c->tls_wants_write ? UV_WRITABLE : UV_READABLE);
	} else {
		conn_next(r);
	}
}

static void connected(struct conn *c)
{
	struct upstream_req *r = c->req;
	int e = 0;
	socklen_t n = sizeof(e);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &n) == 0 && e == 0) {
		if (!c->origin->tls) {
			begin(c);
			return;
		}
		if (!c->up->tls)
			c->up->tls = tls_client_new(c->up->ca_file);
		c->tls = tls_conn_new(c->up->tls, c->fd, c->origin->host);
		c->state = CONN_TLS;
		if (c->tls) {
			shake(c);
			return;
		}
	}
	conn_next(r);
}

static void on_open(struct conn *c, int events)
{
	struct upstream_req *r = c->req;

	if ((events & UV_WRITABLE) && !all_sent(r))
		send_more(c);
	if (!stands(r) && ((events & UV_READABLE) || c->tls_wants_write))
		read_more(c);
	else
		rewatch(c);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	struct conn *c = p->data;

	if (status < 0) {
		events = UV_READABLE | UV_WRITABLE; /* the calls themselves say what it is */
		c->interest = 0;                    /* libuv watches no more, and there may be more to read */
	}
	if (!c->req) {
		pool_take(c);
		conn_close(c);
	} else if (c->state == CONN_CONNECTING) {
		connected(c);
	} else if (c->state == CONN_TLS) {
		shake(c);
	} else {
		on_open(c, events);
	}
}

static int open_socket(const union address *to)
{
	socklen_t n = to->sa.sa_family == AF_INET ? sizeof(to->in) : sizeof(to->in6);
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP), on = 1;
	int unread = UNREAD;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &unread,
		   sizeof(unread)); /* before connect: it sizes the window */
	if (connect(fd, &to->sa, n) == 0 || errno == EINPROGRESS)
		return fd;
	close(fd);
	return -1;
}

static bool attach(struct upstream_req *r, int fd)
{
	struct conn *c = mem_new(sizeof(*c));

	if (uv_poll_init(r->up->uv, &c->poll, fd) != 0) {
		free(c);
		close(fd);
		return false;
	}
	c->up = r->up;
	c->origin = r->origin;
	c->origin->users++;
	c->req = r;
	c->fd = fd;
	c->poll.data = c;
	r->up->users++;
	r->conn = c;
	watch(c, UV_WRITABLE);
	return true;
}

/* An equal share of the time that is left for each address that is left. */
static void limit_attempt(struct upstream_req *r)
{
	uint64_t now = uv_now(r->up->uv), until = r->set_out + r->c.connect_ms;

	r->attempt_until = 0;
	if (r->c.connect_ms && until > now && r->tried < r->to.n)
		r->attempt_until = now + (until - now) / (r->to.n - r->tried + 1);
	upstream_arm(r);
}

void conn_try(struct upstream_req *r)
{
	struct upstream *u = r->up;

	while (r->tried < r->to.n) {
		const union address *to = &r->to.at[r->tried++];
		int fd;

		if (u->o.allow_address && !u->o.allow_address(u->o.arg, &to->sa, r->origin->tls)) {
			r->refused = true;
			continue;
		}
		fd = open_socket(to);
		if (fd < 0 || !attach(r, fd))
			continue;
		limit_attempt(r);
		return;
	}
	if (!r->refused)
		origin_forget(r->origin);
	upstream_finish(r, r->refused ? UPSTREAM_REFUSED : UPSTREAM_CONNECT);
}

void conn_next(struct upstream_req *r)
{
	r->attempt_until = 0;
	conn_close(r->conn);
	r->conn = NULL;
	conn_try(r);
}
