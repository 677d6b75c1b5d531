/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunks to clients (PROTOCOL section 3), credits and cancels to workers
 * (chunk.h).  What a client has not taken is bounded by what was granted; a
 * worker that sends more is at fault and its answer is cut.
 */
#include "gateway/stream.h"

#include <stddef.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "gateway/link.h"
#include "gateway/metrics.h"
#include "gateway/workers.h"

#define OF(e, member) ((struct pending *)((char *)(e)-offsetof(struct pending, member)))

/* To the worker that HEAD named; before HEAD to the broker, or, without one, to
 * every worker: those that do not have the request ignore it. */
static void cancel(struct gw *gw, const struct pending *p)
{
	struct cancel m = { .attempt = p->flight.attempt };
	struct buf b = { .p = NULL };

	memcpy(m.rid, p->call->rid, RID_BYTES);
	if (p->flight.worker) {
		workers_cancel(gw->workers, p->flight.worker, &m);
		return;
	}
	cancel_encode(&m, &b);
	stat_inc(&metrics.cancels, 1);
	if (link_send(gw->link, &b, NULL) != ERR_OK)
		workers_cancel(gw->workers, 0, &m);
}

static void conclude(struct gw *gw, struct pending *p, enum flight_do what, enum err e,
		     const struct refusal *why)
{
	bool stream = p->flight.stream, sep = !flight_between_events(&p->flight);
	struct call *c;

	if (p->flight.fault) {
		stat_inc(&metrics.faults, 1);
		log_warn("worker.fault", L_RID(p->call->rid), L_U("seq", p->flight.seq));
	}
	c = inflight_take(gw->inflight, p);
	if (what == FLIGHT_BREAK)
		call_break(c, stream, sep, error_outward(e));
	else
		call_refuse(c, error_outward(e), why);
}

void stream_fail(struct gw *gw, struct pending *p, enum err e, const struct refusal *why, bool tell)
{
	if (tell && p->kind == PENDING_JOB)
		cancel(gw, p);
	conclude(gw, p, p->kind == PENDING_JOB ? flight_fail(&p->flight) : FLIGHT_REFUSE, e, why);
}

static void grant(struct pending *p)
{
	struct gw *gw = p->call->gw;
	uint64_t waiting = hreq_pending(p->call->http);
	struct credit m = { .attempt = p->flight.attempt };

	flight_widen(&p->flight, waiting, loop_now(gw->uv), &gw->window_room);
	m.bytes = flight_grant(&p->flight, waiting);
	if (!m.bytes)
		return;
	memcpy(m.rid, p->call->rid, RID_BYTES);
	if (workers_credit(gw->workers, p->flight.worker, &m) == ERR_OK)
		flight_granted(&p->flight, m.bytes);
	else
		inflight_arm(gw->inflight, &p->retry, DL_RETRY);
}

static void on_taken(void *arg, struct hreq *r, size_t n)
{
	(void)r;
	(void)n;
	grant(arg);
}

static void on_gone(void *arg, struct hreq *r)
{
	struct pending *p = arg;
	struct gw *gw = p->call->gw;

	(void)r;
	if (p->kind == PENDING_JOB)
		cancel(gw, p);
	call_gone(inflight_take(gw->inflight, p));
}

void stream_watch(struct pending *p)
{
	hreq_on_gone(p->call->http, on_gone, p);
}

/* Something was heard of p. */
static void heard(struct gw *gw, struct pending *p)
{
	inflight_arm(gw->inflight, &p->phase, DL_GAP);
	inflight_arm(gw->inflight, &p->ask, DL_ASK);
	p->asked = false;
}

static void begin(struct gw *gw, struct pending *p)
{
	heard(gw, p);
	inflight_arm(gw->inflight, &p->whole, DL_WHOLE);
	if (p->flight.stream)
		inflight_arm(gw->inflight, &p->alive, DL_ALIVE);
	hreq_on_taken(p->call->http, on_taken, p);
	call_begin(p->call, p->flight.stream, p->flight.length);
}

static void put(struct gw *gw, struct pending *p, struct slice s)
{
	heard(gw, p);
	if (p->flight.stream)
		inflight_arm(gw->inflight, &p->alive, DL_ALIVE);
	call_write(p->call, s);
}

static void apply(struct gw *gw, struct pending *p, const struct chunk *c)
{
	struct refusal why = { .retry_after_s = c->retry_after_s };
	enum err e = ERR_INTERNAL;
	enum flight_do what = flight_apply(&p->flight, c, &e);

	if (c->quota.limit)
		p->call->quota = c->quota;
	switch (what) {
	case FLIGHT_DROP:
		stat_inc(&metrics.dropped, 1);
		break;
	case FLIGHT_BEGIN:
		begin(gw, p);
		break;
	case FLIGHT_WRITE:
		put(gw, p, c->payload);
		break;
	case FLIGHT_END:
		call_end(inflight_take(gw->inflight, p));
		break;
	case FLIGHT_REFUSE:
	case FLIGHT_BREAK:
		if (p->flight.fault)
			cancel(gw, p);
		conclude(gw, p, what, e, &why);
		break;
	}
}

/* Somebody still works for a request that is over: its CANCEL was lost, or the
 * broker died between two attempts. */
static void refuse_stray(struct gw *gw, const struct chunk *c)
{
	struct cancel m = { .attempt = c->attempt };

	stat_inc(&metrics.dropped, 1);
	if (c->kind != CHUNK_HEAD)
		return;
	memcpy(m.rid, c->rid, RID_BYTES);
	workers_cancel(gw->workers, c->worker, &m);
}

void stream_frame(void *arg, uint64_t worker, struct slice bytes)
{
	struct gw *gw = arg;
	struct pending *p;
	struct chunk c;

	if (chunk_decode(bytes, &c) != ERR_OK || c.topic != gw->topic || c.worker != worker) {
		stat_inc(&metrics.dropped, 1);
		return;
	}
	p = inflight_find(gw->inflight, c.rid);
	if (p && p->kind == PENDING_JOB)
		apply(gw, p, &c);
	else
		refuse_stray(gw, &c);
}

static bool served_by(const struct pending *p, uint64_t worker)
{
	return p->kind == PENDING_JOB && p->flight.state == FLIGHT_OPEN && p->flight.worker == worker;
}

bool stream_worker_busy(void *arg, uint64_t worker)
{
	struct gw *gw = arg;
	struct pending *p;
	size_t pos = 0;

	while ((p = inflight_next(gw->inflight, &pos)))
		if (served_by(p, worker))
			return true;
	return false;
}

void stream_worker_gone(void *arg, uint64_t worker)
{
	struct gw *gw = arg;
	struct pending *p;
	size_t pos = 0;

	while ((p = inflight_next(gw->inflight, &pos)))
		if (served_by(p, worker))
			stream_fail(gw, p, ERR_INTERNAL, NULL, false);
}

void stream_broker_gone(void *arg, uint64_t confirmed)
{
	struct gw *gw = arg;
	struct pending *p;
	size_t pos = 0;

	atomic_store(&gw->up, false);
	while ((p = inflight_next(gw->inflight, &pos)))
		if (p->kind != PENDING_JOB || (p->flight.state == FLIGHT_WAITING && p->order > confirmed))
			stream_fail(gw, p, ERR_NO_BROKER, NULL, true);
}

/* Has the broker say so when nobody works for p any more; false when there is none. */
static bool ask(struct gw *gw, struct pending *p)
{
	struct waiting_job m;
	struct buf b = { .p = NULL };

	memcpy(m.rid, p->call->rid, RID_BYTES);
	waiting_encode(&m, &b);
	p->asked = link_send(gw->link, &b, NULL) == ERR_OK;
	return p->asked;
}

void stream_ask_all(struct gw *gw)
{
	struct pending *p;
	size_t pos = 0;

	while ((p = inflight_next(gw->inflight, &pos))) {
		if (p->kind != PENDING_JOB || p->flight.state != FLIGHT_WAITING)
			continue;
		if (!ask(gw, p))
			return; /* gone again: the next one will be asked */
	}
}

void stream_forgotten(struct gw *gw)
{
	struct pending *p;
	size_t pos = 0;

	while ((p = inflight_next(gw->inflight, &pos)))
		if (p->kind == PENDING_JOB)
			stream_fail(gw, p, p->flight.state == FLIGHT_WAITING ? ERR_NO_BROKER : ERR_INTERNAL,
				    NULL, true);
}

/* The client gets a comment only where nothing else waits and no event is unfinished. */
static void keep_alive(struct gw *gw, struct pending *p)
{
	if (hreq_pending(p->call->http) == 0 && flight_between_events(&p->flight))
		call_write(p->call, SLICE_STR(": keep-alive\n\n"));
	inflight_arm(gw->inflight, &p->alive, DL_ALIVE);
}

/* A worker may be silent for as long as its client has taken too little to
 * grant anything: then the client's own stall deadline decides. */
static bool silenced(const struct pending *p)
{
	return p->flight.received == p->flight.granted && hreq_pending(p->call->http) > 0;
}

static void silent(struct gw *gw, struct pending *p)
{
	inflight_arm(gw->inflight, &p->ask, DL_ASK);
	if (!silenced(p))
		(void)ask(gw, p); /* without a broker: the next time */
}

static void gap(struct gw *gw, struct pending *p)
{
	if (silenced(p))
		inflight_arm(gw->inflight, &p->phase, DL_GAP);
	else
		stream_fail(gw, p, ERR_TIMEOUT, NULL, true);
}

void stream_due(struct gw *gw, struct deadline *e)
{
	switch (e->kind) {
	case DL_CONTROL:
		stream_fail(gw, OF(e, phase), ERR_NO_BROKER, NULL, false);
		break;
	case DL_HEAD:
		stream_fail(gw, OF(e, phase), ERR_TIMEOUT, NULL, true);
		break;
	case DL_GAP:
		gap(gw, OF(e, phase));
		break;
	case DL_WHOLE:
		stream_fail(gw, OF(e, whole), ERR_TIMEOUT, NULL, true);
		break;
	case DL_ALIVE:
		keep_alive(gw, OF(e, alive));
		break;
	case DL_RETRY:
		grant(OF(e, retry));
		break;
	case DL_ASK:
		silent(gw, OF(e, ask));
		break;
	case DL_COUNT:
		break;
	}
}

void stream_cut_all(struct gw *gw)
{
	struct pending *p;
	size_t pos = 0;

	while ((p = inflight_next(gw->inflight, &pos)))
		stream_fail(gw, p, ERR_UNAVAILABLE, NULL, true);
}
