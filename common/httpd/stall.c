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

/* Since the last look.  What TLS adds to a write is under way from its beginning and in bytes_written never:
 * that the sum falls then says nothing of the client, and what it takes counts from there. */
static uint64_t newly_acknowledged(struct hreq *r)
{
	uint64_t acked = acknowledged(r->conn);
	int64_t n = (int64_t)(acked - r->acked);

	r->acked = acked;
	return n > 0 ? (uint64_t)n : 0;
}

/* Then it moves with its connection, whatever its window is. */
static bool all_written(h2o_http2_stream_t *s)
{
	return h2o_linklist_is_linked(&s->_refs.link);
}

static bool window_open(const h2o_http2_stream_t *s)
{
	return s->output_window._avail > 0;
}

/* Nothing will be added to it. */
static bool all_there(const struct hreq *r)
{
	return r->ended || r->aborted;
}

/* How many bytes of the answer have moved since the last look.  An HTTP/2 stream that waits
 * for its own window does not move with its connection; whose turn has not come, does. */
static uint64_t moved(struct hreq *r)
{
	h2o_http2_stream_t *s = H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, r->req);
	bool h2 = r->req->version >= 0x200, with_conn = !h2 || all_written(s);
	uint64_t own = h2 ? r->req->bytes_sent : 0;
	uint64_t of_own = own - r->own, of_conn = newly_acknowledged(r);

	r->own = own;
	if (all_there(r))
		r->took += of_own + (with_conn || window_open(s) ? of_conn : 0);
	return of_own + (with_conn ? of_conn : 0);
}

/* Has enough of it moved that the clock begins anew?  Of an answer of which all is there, as much as a body
 * has to bring in that time: little by little would be as good as nothing. */
static bool moves(struct hreq *r, uint64_t ms)
{
	uint64_t n = moved(r);

	if (!all_there(r))
		return n > 0;
	if (r->took < ms * MIN_RATE / 1000)
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
