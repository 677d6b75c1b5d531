/* SPDX-License-Identifier: Apache-2.0
 *
 * Time and hang-ups.  The tick walks all connections for what h2o does not
 * bound: slow heads, slow bodies, idle ones, clients that stop reading.  While
 * an HTTP/1 request is processed h2o does not read, so a client that left is
 * not noticed; requests that live longer than WATCH_AFTER_MS put their socket
 * in an epoll set of our own (one descriptor for all of them, where libuv
 * would need a dup per connection) and hear EPOLLRDHUP from there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/httpd/internal.h"
#include "common/log.h"

static void watch_start(struct conn *c)
{
	struct epoll_event ev = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = c };

	if (!c->watched && epoll_ctl(c->h->watch_fd, EPOLL_CTL_ADD, h2o_socket_get_fd(c->sock), &ev) == 0)
		c->watched = true;
}

void watch_stop(struct conn *c)
{
	if (!c->watched)
		return;
	c->watched = false;
	epoll_ctl(c->h->watch_fd, EPOLL_CTL_DEL, h2o_socket_get_fd(c->sock), NULL);
}

/* One event per call of epoll_wait: what we do about it may free other
 * connections, whose events must then not be in our hands any more. */
static void on_hangup(uv_poll_t *p, int status, int events)
{
	struct httpd *h = p->data;
	struct epoll_event ev;

	(void)status;
	(void)events;
	while (epoll_wait(h->watch_fd, &ev, 1, 0) == 1) {
		struct conn *c = ev.data.ptr;

		if (c->h1 != NULL)
			request_kill(c->h1);
		else
			watch_stop(c);
	}
}

static void on_soon(uv_timer_t *t)
{
	struct httpd *h = t->data;
	uint64_t now = uv_now(h->uv);
	struct hreq *r;

	while (!h2o_linklist_is_empty(&h->young)) {
		r = H2O_STRUCT_FROM_MEMBER(struct hreq, timed, h->young.next);
		if (r->at + WATCH_AFTER_MS > now)
			break;
		h2o_linklist_unlink(&r->timed);
		watch_start(r->conn);
	}
	while (!h2o_linklist_is_empty(&h->linger)) {
		r = H2O_STRUCT_FROM_MEMBER(struct hreq, timed, h->linger.next);
		if (r->at + RESET_LINGER_MS > now)
			break;
		h2o_linklist_unlink(&r->timed);
		request_kill(r);
	}
	if (h2o_linklist_is_empty(&h->young) && h2o_linklist_is_empty(&h->linger))
		uv_timer_stop(t);
}

void watch_soon(struct hreq *r, h2o_linklist_t *list)
{
	struct httpd *h = r->h;

	if (h2o_linklist_is_linked(&r->timed))
		h2o_linklist_unlink(&r->timed);
	r->at = uv_now(h->uv);
	h2o_linklist_insert(list, &r->timed);
	if (!uv_is_active((uv_handle_t *)&h->soon))
		uv_timer_start(&h->soon, on_soon, WATCH_AFTER_MS, WATCH_AFTER_MS / 2);
}

/* Too slow: past the deadline, or past a grace and below the least rate. */
static bool body_overdue(const struct httpd *h, uint64_t spent, size_t got)
{
	return spent > h->o.body_ms || (spent > BODY_GRACE_MS && got < spent / 1000 * MIN_RATE);
}

static bool head_is_there(const struct conn *c)
{
	const h2o_buffer_t *in = c->sock->input;

	return memmem(in->bytes, in->size, "\r\n\r\n", 4) != NULL;
}

/* A connection without an open request: waiting, or in the handshake. */
static bool wait_overdue(const struct conn *c, uint64_t now)
{
	return now - c->since > (c->served ? c->h->o.idle_ms : c->h->o.head_ms);
}

static bool http1_overdue(struct conn *c, uint64_t now)
{
	if (c->sock->input->size == 0 || c->sock->_cb.read == NULL || c->recv_since == 0)
		return wait_overdue(c, now);
	c->headed = c->headed || head_is_there(c);
	if (!c->headed)
		return now - c->recv_since > c->h->o.head_ms;
	return body_overdue(c->h, now - c->recv_since, c->sock->input->size);
}

/* Slow uploads are reset one by one; the connection's other streams go on.
 * Their age is of the clock that can be set, so it is bounded by the other. */
static bool http2_overdue(struct conn *c, uint64_t now)
{
	h2o_http2_conn_t *h2 = h2_conn(c);
	h2o_http2_stream_t *s;
	uint64_t age;

	if (h2 == NULL) /* closing when a write ends, or h2o has paused reading and dropped our hook */
		return c->open > 0 || c->sock->_cb.read != NULL || wait_overdue(c, now);
	if (!h2_uploads(h2))
		return c->open == 0 && wait_overdue(c, now);
	while ((s = h2_oldest_upload(h2, &age)) != NULL) {
		age = age < now - c->accepted ? age : now - c->accepted;
		if (s->state == H2O_HTTP2_STREAM_STATE_RECV_HEADERS || s->_req_body == NULL)
			return age > c->h->o.head_ms;
		if (!body_overdue(c->h, age, s->_req_body->size))
			return false;
		c->told_stop = s->stream_id;
		if (!h2_reset(h2, s, -H2O_HTTP2_ERROR_CANCEL))
			return true;
	}
	return false;
}

static bool overdue(struct conn *c, uint64_t now)
{
	if (c->state == CONN_HTTP2)
		return http2_overdue(c, now);
	if (c->open > 0)
		return false;
	return c->state == CONN_HTTP1 ? http1_overdue(c, now) : now - c->since > c->h->o.head_ms;
}

/* After a read error libuv refuses to write, and h2o, which writes TLS's close_notify, does not look: the
 * callback that would close the socket never comes.  A write that libuv has done, and will tell, has the
 * same looks for a moment only. */
static bool write_lost(struct conn *c)
{
	bool before = c->unwritable;

	c->unwritable = c->sock->_cb.write != NULL && !uv_is_writable(c->stream) &&
			uv_stream_get_write_queue_size(c->stream) == 0;
	return c->unwritable && before;
}

void watch_lost_writes(struct httpd *h)
{
	h2o_linklist_t *l, *next;

	for (l = h->conns.next; l != &h->conns; l = next) {
		struct conn *c = H2O_STRUCT_FROM_MEMBER(struct conn, all, l);
		h2o_socket_cb cb = c->sock->_cb.write;

		next = l->next;
		if (!write_lost(c))
			continue;
		c->sock->_cb.write = NULL;
		cb(c->sock, h2o_socket_error_io); /* as the callback would have done */
	}
}

static void check_deadlines(struct httpd *h, uint64_t now)
{
	h2o_linklist_t *l, *next;

	for (l = h->conns.next; l != &h->conns; l = next) {
		struct conn *c = H2O_STRUCT_FROM_MEMBER(struct conn, all, l);

		next = l->next;
		if (!c->cut && overdue(c, now))
			conn_cut(c);
	}
	stall_check(h, now);
}

/* HTTP/1 bodies are counted from here, HTTP/2 ones at every read. */
static void count_bodies(struct httpd *h)
{
	h2o_linklist_t *l;

	for (l = h->idle.next; l != &h->idle; l = l->next)
		body_count(H2O_STRUCT_FROM_MEMBER(struct conn, idle, l));
}

/* Soon enough that what can arrive until then does not exceed the budget by
 * much, whatever the network. */
static uint64_t next_tick(const struct httpd *h)
{
	uint64_t room = h->held < h->o.body_budget ? h->o.body_budget - h->held : 0;
	uint64_t ms = room / ARRIVAL_PER_MS;

	ms = ms > TICK_MIN_MS ? ms : TICK_MIN_MS;
	return ms < h->tick_ms ? ms : h->tick_ms;
}

static void on_tick(uv_timer_t *t)
{
	struct httpd *h = t->data;
	uint64_t now = uv_now(h->uv);

	count_bodies(h);
	if (now - h->checked_at >= h->tick_ms) {
		h->checked_at = now;
		check_deadlines(h, now);
		watch_lost_writes(h);
	}
	uv_timer_start(t, on_tick, next_tick(h), 0);
}

/* A quarter of the shortest deadline. */
static uint64_t tick_for(const struct httpd_opts *o)
{
	uint64_t ms = TICK_MAX_MS * 4;
	const uint64_t all[] = { o->head_ms, o->body_ms, o->idle_ms, o->stall_ms };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		ms = all[i] < ms ? all[i] : ms;
	return ms / 4 > TICK_MIN_MS ? ms / 4 : TICK_MIN_MS;
}

enum err watch_open(struct httpd *h)
{
	h->watch_fd = epoll_create1(EPOLL_CLOEXEC);
	if (h->watch_fd < 0) {
		log_error("epoll_create", L_S("why", strerror(errno)));
		return ERR_IO;
	}
	BUG_ON(uv_poll_init(h->uv, &h->watch, h->watch_fd) != 0);
	BUG_ON(uv_timer_init(h->uv, &h->tick) != 0 || uv_timer_init(h->uv, &h->soon) != 0);
	h->handles += 3;
	h->watch.data = h->tick.data = h->soon.data = h;
	uv_poll_start(&h->watch, UV_READABLE, on_hangup);
	h->tick_ms = tick_for(&h->o);
	uv_timer_start(&h->tick, on_tick, next_tick(h), 0);
	return ERR_OK;
}

void watch_close(struct httpd *h)
{
	if (h->watch_fd < 0)
		return;
	uv_close((uv_handle_t *)&h->watch, httpd_handle_closed);
	uv_close((uv_handle_t *)&h->tick, httpd_handle_closed);
	uv_close((uv_handle_t *)&h->soon, httpd_handle_closed);
	close(h->watch_fd);
	h->watch_fd = -1;
}
