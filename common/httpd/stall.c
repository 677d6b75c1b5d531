/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients that take nothing of their answers for too long, or, once all of an
 * answer is there, next to nothing.
 */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "common/httpd/internal.h"

uint64_t stall_under_way(const struct conn *c)
{
	int unsent = 0;

	ioctl(h2o_socket_get_fd(c->sock), SIOCOUTQ, &unsent);
	return uv_stream_get_write_queue_size(c->stream) + (uint64_t)unsent;
}

/* What the client has acknowledged of all that was written to its socket. */
static uint64_t acknowledged(const struct conn *c)
{
	return c->sock->bytes_written - stall_under_way(c);
}

static bool window_open(const h2o_http2_stream_t *s)
{
	return s->output_window._avail > 0;
}

/* How many bytes of the answer have moved since the last look.  An HTTP/2 stream that waits
 * for its own window does not move with its connection. */
static uint64_t moved(struct hreq *r)
{
	h2o_http2_stream_t *s = H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, r->req);
	bool h2 = r->req->version >= 0x200;
	uint64_t own = h2 ? r->req->bytes_sent : 0, acked = acknowledged(r->conn);
	uint64_t of_own = own - r->own, of_conn = acked - r->acked;

	r->own = own;
	r->acked = acked;
	/* whose turn has not come, too, is as slow as its connection; what TLS adds counts against it */
	if (r->ended)
		r->took += (int64_t)(of_own + (!h2 || window_open(s) ? of_conn : 0));
	return of_own + (!h2 || h2o_linklist_is_linked(&s->_refs.link) ? of_conn : 0);
}

/* Has enough of it moved that the clock begins anew?  Of an answer of which all is there, as much as a body
 * has to bring in that time: little by little would be as good as nothing. */
static bool moves(struct hreq *r, uint64_t ms)
{
	uint64_t n = moved(r);

	if (!r->ended)
		return n > 0;
	if (r->took < (int64_t)(ms * MIN_RATE / 1000))
		return false;
	r->took = 0;
	return true;
}

/* What is there still at the next look is a stream whose bytes are in a write that does not end: it can go
 * only with its connection. */
static void give_up(struct hreq *r)
{
	if (r->killed)
		conn_cut(r->conn);
	request_kill(r);
}

/* Whole answers have less time while there are too many. */
void stall_check(struct httpd *h, uint64_t now)
{
	uint64_t hurried = h->pressed && EVICT_MS < h->o.stall_ms ? EVICT_MS : h->o.stall_ms, ms;
	h2o_linklist_t *l, *next;

	h->pressed = false; /* until somebody finds no room again */
	for (l = h->reqs.next; l != &h->reqs; l = next) {
		struct hreq *r = H2O_STRUCT_FROM_MEMBER(struct hreq, all, l);

		next = l->next;
		if (!r->in_flight && !r->finished)
			continue;
		ms = r->ended ? hurried : h->o.stall_ms;
		if (moves(r, ms))
			r->at = now;
		else if (now - r->at > ms)
			give_up(r);
	}
}

bool httpd_room(struct httpd *h, size_t n)
{
	if (!h->o.answer_budget || h->answers + n <= h->o.answer_budget)
		return true;
	h->pressed = true;
	return false;
}
