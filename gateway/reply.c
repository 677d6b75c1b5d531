/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies of the broker.  A reply ends a request of its own kind that still
 * waits for one; everything else is dropped and counted: it comes late, twice,
 * or from a broker that is wrong.
 */
#include "gateway/reply.h"

#include "common/log.h"
#include "gateway/api.h"
#include "gateway/inflight.h"
#include "gateway/metrics.h"
#include "gateway/stream.h"
#include "gateway/workers.h"
#include "proto/query.h"

static void drop(enum msg_type type)
{
	stat_inc(&metrics.dropped, 1);
	log_debug("reply.dropped", L_S("type", msg_name(type)));
}

static void on_refuse(struct gw *gw, struct slice bytes)
{
	struct pending *p;
	struct refuse m;

	if (refuse_decode(bytes, &m) != ERR_OK || !(p = inflight_find(gw->inflight, m.rid)) ||
	    (p->kind == PENDING_JOB && p->flight.state != FLIGHT_WAITING && !p->asked)) {
		drop(MSG_REFUSE);
		return;
	}
	/* The rest of an answer of which nobody knows any more will not come. */
	if (p->kind == PENDING_JOB && p->flight.state != FLIGHT_WAITING)
		m.error = ERR_INTERNAL;
	p->call->quota = m.quota;
	stream_fail(gw, p, m.error, &(struct refusal){ .param = m.param, .retry_after_s = m.retry_after_s },
		    false);
}

static void on_locked(struct gw *gw, struct slice bytes)
{
	struct buf json = { .p = NULL };
	struct pending *p;
	struct locked m;

	if (locked_decode(bytes, &m) != ERR_OK || !(p = inflight_find(gw->inflight, m.rid)) ||
	    p->kind != PENDING_LOCK) {
		drop(MSG_LOCKED);
		return;
	}
	api_locked(&json, &m);
	p->call->quota = m.quota;
	call_answer(inflight_take(gw->inflight, p), 200, buf_slice(&json));
	buf_free(&json);
}

static void on_answer(struct gw *gw, struct slice bytes)
{
	struct pending *p;
	struct answer m;

	if (answer_decode(bytes, &m) != ERR_OK || !(p = inflight_find(gw->inflight, m.rid)) ||
	    (p->kind != PENDING_QUERY && p->kind != PENDING_REGISTER)) {
		drop(MSG_ANSWER);
		return;
	}
	p->call->quota = m.quota;
	if (p->kind == PENDING_QUERY && !httpd_room(gw->http, m.body.n)) {
		call_refuse(inflight_take(gw->inflight, p), ERR_UNAVAILABLE, NULL);
		return;
	}
	if (p->kind == PENDING_REGISTER)
		m.body = SLICE_STR("{\"message\":\"Success\"}");
	call_answer(inflight_take(gw->inflight, p), 200, m.body);
}

static void on_intro(struct gw *gw, struct slice bytes)
{
	struct intro m;

	if (intro_decode(bytes, &m) == ERR_OK)
		workers_intro(gw->workers, &m);
	else
		drop(MSG_INTRO);
}

void reply_msg(void *arg, enum msg_type type, struct slice bytes)
{
	struct gw *gw = arg;

	if (type == MSG_REFUSE)
		on_refuse(gw, bytes);
	else if (type == MSG_LOCKED)
		on_locked(gw, bytes);
	else if (type == MSG_ANSWER)
		on_answer(gw, bytes);
	else if (type == MSG_INTRO)
		on_intro(gw, bytes);
	else
		drop(type);
}
