/* SPDX-License-Identifier: Apache-2.0
 *
 * One budget for request bodies in memory.  h2o buffers a body whole before
 * any handler sees its head, so what clients without a valid token can make us
 * hold is bounded here: connections report what their incomplete requests
 * hold, and over the budget the oldest upload is cut.
 */
#include "common/httpd/internal.h"

/* Body bytes of incomplete requests: on HTTP/1 the whole input, on HTTP/2 the
 * streams' buffers. */
static size_t held_by(struct conn *c)
{
	return c->state != CONN_HTTP2 && c->open == 0 ? c->sock->input->size : 0;
}

static void cut_oldest_upload(struct httpd *h)
{
	struct conn *c, *oldest = NULL;

	for (h2o_linklist_t *l = h->conns.next; l != &h->conns; l = l->next) {
		c = H2O_STRUCT_FROM_MEMBER(struct conn, all, l);
		if (!c->cut && c->held > 0 && (oldest == NULL || c->recv_since < oldest->recv_since))
			oldest = c;
	}
	if (oldest == NULL)
		return;
	h->held -= oldest->held;
	oldest->held = 0;
	conn_cut(oldest);
}

void body_count(struct conn *c)
{
	struct httpd *h = c->h;
	size_t now = c->cut ? 0 : held_by(c);

	h->held += now - c->held;
	c->held = now;
	while (now > 0 && h->held > h->o.body_budget && c->held > 0)
		cut_oldest_upload(h);
}

void body_arrived(struct hreq *r)
{
	struct conn *c = r->conn;
	size_t n = r->req->entity.len;

	if (c->state != CONN_HTTP2) {
		r->h->held -= c->held;
		c->held = 0;
	}
	r->held = n;
	r->h->held += n;
}

void body_release(struct hreq *r)
{
	r->h->held -= r->held;
	r->held = 0;
}

void hreq_drop_body(struct hreq *r)
{
	h2o_http2_stream_t *s;

	if (r->dropped)
		return;
	r->dropped = true;
	r->req->entity = h2o_iovec_init(NULL, 0);
	if (r->req->version < 0x200)
		return;
	s = H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, r->req);
	if (s->_req_body != NULL)
		h2o_buffer_dispose(&s->_req_body);
	body_release(r);
}
