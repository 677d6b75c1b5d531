/* SPDX-License-Identifier: Apache-2.0
 *
 * Ending.  A drain serves what waits in the accept queue, tells HTTP/2 clients
 * to go away, closes idle HTTP/1 connections at once (h2o would keep them for
 * its whole request timeout) and waits for open requests.  A close cuts all of
 * that; its user hears of no request afterwards.
 *
 * HTTP/2 clients are told twice (RFC 9113 6.8): that the end is near, and a while
 * later which stream is the last.  libh2o could do it, but throws away uploads from
 * the second time on, ends connections over frames of later streams, and closes them
 * under the last write.
 */
#include <sys/socket.h>

#include "common/httpd/internal.h"

#define NEW_CONN_GRACE_MS 1000 /* for a connection that has not sent its first request yet */
#define GOAWAY_GAP_MS 1000     /* for streams that were opened before the first GOAWAY was read */

static void tell_http2(struct conn *c, h2o_http2_conn_t *h2, uint64_t now)
{
	if (c->warned == 0) {
		c->warned = now;
		h2_goaway(h2, INT32_MAX);
	} else if (!c->parted && now - c->warned >= GOAWAY_GAP_MS) {
		c->parted = true;
		c->last_id = h2->pull_stream_ids.max_open;
		h2_goaway(h2, c->last_id);
	}
}

static void tell_all_http2(struct httpd *h)
{
	uint64_t now = uv_now(h->uv);

	for (h2o_linklist_t *l = h->conns.next; l != &h->conns; l = l->next) {
		struct conn *c = H2O_STRUCT_FROM_MEMBER(struct conn, all, l);
		h2o_http2_conn_t *h2 = h2_conn(c);

		if (h2 != NULL && c->greeted && !c->cut) /* before, it would come before our SETTINGS */
			tell_http2(c, h2, now);
	}
}

/* Is something on its way in, or out?  What waits for a client that takes nothing does not count for ever. */
static bool http2_in_use(const struct conn *c, uint64_t now)
{
	const h2o_http2_conn_t *h2 = h2_conn(c);

	if (h2 == NULL || !c->greeted)
		return false;
	if (!c->parted || h2_uploads_to(h2, c->last_id))
		return true;
	return now - c->since < c->h->o.stall_ms && (h2_backlog(h2) > 0 || stall_under_way(c) > 0);
}

/* The end of its input lets h2o close it in peace.  It does not see that where the client goes on talking. */
static void retire(struct conn *c)
{
	if (c->retired && h2_conn(c) != NULL)
		conn_cut(c);
	c->retired = true;
	shutdown(h2o_socket_get_fd(c->sock), SHUT_RD);
}

/* While draining: connections that nobody will use any more. */
static void retire_idle(struct httpd *h)
{
	uint64_t now = uv_now(h->uv);
	h2o_linklist_t *l, *next;

	for (l = h->idle.next; l != &h->idle; l = next) {
		struct conn *c = H2O_STRUCT_FROM_MEMBER(struct conn, idle, l);

		next = l->next;
		if (c->sock->input->size > 0 && c->state == CONN_HTTP1)
			continue; /* a request is on its way in; deadlines bound it */
		if (now - h->drain_at < NEW_CONN_GRACE_MS && !c->served)
			continue;
		if (c->state == CONN_HTTP2 && http2_in_use(c, now))
			continue;
		retire(c);
	}
}

static void on_drained(uv_timer_t *t)
{
	struct httpd *h = t->data;
	void (*done)(void *) = h->drained;

	uv_timer_stop(t);
	h->drained = NULL;
	if (done != NULL)
		done(h->drained_arg);
}

static void on_drain_turn(uv_timer_t *t)
{
	struct httpd *h = t->data;

	tell_all_http2(h);
	retire_idle(h);
	watch_lost_writes(h);
	if (h->nconns == 0)
		on_drained(t);
}

void httpd_drain(struct httpd *h, void (*done)(void *arg), void *arg)
{
	if (h->draining || h->closing)
		return;
	h->draining = true;
	h->drained = done;
	h->drained_arg = arg;
	h->drain_at = uv_now(h->uv);
	listen_close(h);
	h->ctx.shutdown_requested = 1; /* of HTTP/1 */
	tell_all_http2(h);
	retire_idle(h);
	uv_timer_start(&h->drain, on_drain_turn, 1, 20);
}
