/* SPDX-License-Identifier: Apache-2.0
 *
 * One budget for request bodies in memory.  h2o buffers a body whole before
 * any handler sees its head, so what clients without a valid token can make us
 * hold is bounded here: connections report what their incomplete requests
 * hold, and over the budget the oldest upload is cut.
 */
#include <string.h>

#include "common/httpd/internal.h"

/* What incomplete requests hold: on HTTP/1 the whole input, on HTTP/2 the
 * streams' bodies. */
static size_t held_by(struct conn *c)
{
	const h2o_http2_conn_t *h2 = h2_conn(c);

	if (c->state != CONN_HTTP2)
		return c->open == 0 ? c->sock->input->size : 0;
	return h2 != NULL && h2_uploads(h2) ? h2_upload_bytes(h2) : 0;
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
	if (now == 0)
		c->recv_since = 0;
	else if (c->recv_since == 0)
		c->recv_since = uv_now(h->uv);
	while (c->held > 0 && h->held > h->o.body_budget)
		cut_oldest_upload(h);
}

void body_arrived(struct hreq *r)
{
	struct conn *c = r->conn;
	size_t others = c->state == CONN_HTTP2 ? held_by(c) : 0; /* this one is not incomplete any more */

	r->h->held += others - c->held;
	c->held = others;
	r->held = r->req->entity.len;
	r->h->held += r->held;
}

void body_release(struct hreq *r)
{
	r->h->held -= r->held;
	r->held = 0;
}

/* h2o counts what it has read by input->size and gives it back when the
 * answer is complete; until then it looks at none of these bytes (fields are
 * copied out when there is a body).  So the buffer gives way to one that has
 * the same size on paper and only the bytes behind the request in fact. */
static void shrink_input(struct hreq *r)
{
	h2o_buffer_t *in = r->conn->sock->input, *small;
	size_t used, tail, room;

	if (in->bytes == NULL || in->_fd != -1)
		return;
	used = (size_t)(r->req->entity.base + r->req->entity.len - in->bytes);
	BUG_ON(used > in->size);
	tail = in->size - used;
	room = tail > 16 ? tail : 16;
	room += room == in->_prototype->_initial_buf.capacity; /* that size would go to h2o's free list */
	small = h2o_mem_alloc(offsetof(h2o_buffer_t, _buf) + room);
	memset(small, 0, offsetof(h2o_buffer_t, _buf) + room);
	small->capacity = room;
	small->size = in->size;
	small->bytes = (char *)((uintptr_t)small->_buf - used);
	small->_prototype = in->_prototype;
	small->_fd = -1;
	memcpy(small->_buf, in->bytes + used, tail);
	mem_wipe(in->bytes, in->size);
	r->conn->sock->input = small;
	h2o_buffer_dispose(&in);
}

static void free_stream_body(h2o_http2_stream_t *s)
{
	if (s->_req_body == NULL)
		return;
	if (s->_req_body->bytes != NULL)
		mem_wipe(s->_req_body->bytes, s->_req_body->size);
	h2o_buffer_dispose(&s->_req_body);
}

void hreq_drop_body(struct hreq *r)
{
	if (r->dropped)
		return;
	r->dropped = true;
	if (r->req->version >= 0x200)
		free_stream_body(H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, r->req));
	else if (r->req->entity.len > 0)
		shrink_input(r);
	r->req->entity = h2o_iovec_init(NULL, 0);
	body_release(r);
}
