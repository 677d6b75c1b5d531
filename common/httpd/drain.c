/* SPDX-License-Identifier: Apache-2.0
 *
 * Ending.  A drain serves what waits in the accept queue, tells HTTP/2 clients
 * to go away, closes idle HTTP/1 connections at once (h2o would keep them for
 * its whole request timeout) and waits for open requests.  A close cuts all of
 * that; its user hears of no request afterwards.
 */
#include <sys/socket.h>

#include "common/httpd/internal.h"

#define NEW_CONN_GRACE_MS 1000 /* for a connection that has not sent its first request yet */

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
		if (now - h->drain_at < NEW_CONN_GRACE_MS && (!c->served || c->state == CONN_HTTP2))
			continue;
		shutdown(h2o_socket_get_fd(c->sock), SHUT_RD);
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
	if (h2o_linklist_is_empty(&h->ctx.http2._conns))
		h->ctx.shutdown_requested = 1; /* the full call would hold the context for a second */
	else
		h2o_context_request_shutdown(&h->ctx);
	retire_idle(h);
	uv_timer_start(&h->drain, on_drain_turn, 1, 20);
}
