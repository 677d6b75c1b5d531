/* SPDX-License-Identifier: Apache-2.0
 *
 * Probing (probe.h; docs/ARCHITECTURE.md, When something dies).  Each node has
 * an alarm: it is asked every probe_ms, give or take a quarter; sooner after a
 * failure; when its breaker half-opens, as the one trial.  Workers take turns
 * (silent ones have none while another is heard), and one that failed is not asked
 * about the same node next time, so that a worker that lost its own network takes no
 * node out by itself.  At most probe_inflight are under way; a worker that does not
 * answer, or is gone, says nothing about the node, and neither does what was asked
 * before it came back, nor a worker that the node refuses while there is another
 * (refusal.h).
 */
#include "broker/probe.h"

#include <string.h>

#include <sodium.h>

#include "broker/blame.h"
#include "broker/metrics.h"
#include "broker/refusal.h"
#include "broker/router.h"
#include "common/log.h"
#include "proto/probe.h"

#define AGAIN_DIVISOR 5      /* after a failure: probe_ms / 5 */
#define SPACING_MS 100       /* a node cannot have itself probed more often by registering */
#define FULL_MS 200          /* too many under way, or no worker: look again after this */
#define WORKER_SLACK_MS 2000 /* what a worker gets on top of the timeout */

static void on_turn(void *arg, struct alarm *a);

/* ms, give or take a quarter. */
static uint64_t jitter(uint64_t ms)
{
	return ms - ms / 4 + randombytes_uniform((uint32_t)(ms / 2 + 1));
}

struct breaker probe_breaker(const struct broker *b)
{
	return (struct breaker){ b->conf.breaker_failures, b->conf.breaker_open_ms, b->conf.probe_ms != 0 };
}

static bool wanted(const struct broker *b, const struct node *n)
{
	return b->conf.probe_ms && n->row.state != NODE_REMOVED && n->url[0];
}

/* Sets the alarm of a node that is not being asked just now. */
static void plan(struct broker *b, struct node *n, uint64_t in_ms)
{
	uint64_t at = broker_ms(b) + in_ms;

	if (n->probe.worker)
		return; /* the answer, or its deadline, plans the next one */
	if (n->open_until > broker_ms(b))
		at = n->open_until; /* half-open from there on */
	if (wanted(b, n))
		alarm_set(b->alarms, &n->probe.alarm, at, on_turn);
	else
		alarm_off(b->alarms, &n->probe.alarm);
}

/* Nothing runs for n any more, and whoever had it is passed over next time when it brought nothing good. */
static void end(struct broker *b, struct node *n, bool good)
{
	n->probe.avoid = good ? 0 : n->probe.worker;
	n->probe.worker = 0;
	alarm_off(b->alarms, &n->probe.alarm);
	stat_set(&metrics.probes_inflight, (int64_t)--b->probes);
}

void probe_start(struct broker *b)
{
	struct node *n;
	size_t pos = 0;

	while ((n = registry_next_node(b->registry, &pos)) != NULL)
		plan(b, n, randombytes_uniform((uint32_t)b->conf.probe_ms + 1));
}

static void said(const struct node *n, bool closed, const char *why)
{
	LOG(closed ? LOG_INFO : LOG_WARN, "node_health", L_U("node", n->row.id),
	    L_S("breaker", closed ? "closed" : "open"), L_U("failures", n->failures), L_S("why", why));
}

/* The breaker after an event, with what follows from it. */
static void moved(struct broker *b, struct node *n, bool was_closed, const char *why)
{
	bool closed = n->open_until == 0;

	if (closed == was_closed)
		return;
	said(n, closed, why);
	stat_inc(&metrics.nodes_failing, closed ? -1 : 1);
	if (!closed)
		stat_inc(&metrics.breakers_opened, 1);
	plan(b, n, b->conf.probe_ms ? jitter(b->conf.probe_ms) : 0);
}

void probe_note(struct broker *b, struct node *n, const struct party *from, bool ok)
{
	struct breaker br = probe_breaker(b);
	bool closed = n->open_until == 0;

	if (!ok)
		blame_add(n, from);
	if (!ok && blame_holds(b, n))
		return;
	node_note(n, ok, &br, broker_ms(b));
	moved(b, n, closed, "requests");
}

/* Whether a new life counts as one: not more often than its breaker opens for, or a
 * node that dies of each request would never be held to it. */
static bool comes_back(struct node *n, const struct breaker *br, uint64_t now)
{
	if (n->back_ms && now - n->back_ms < br->open_ms)
		return false;
	n->back_ms = now;
	return true;
}

void probe_here(struct broker *b, struct node *n, bool anew)
{
	struct breaker br = probe_breaker(b);
	uint64_t soonest = n->probe.asked_ms ? n->probe.asked_ms + SPACING_MS : 0, now = broker_ms(b);
	bool back = anew && comes_back(n, &br, now);

	if (back)
		refusal_forget(b, n->row.id);
	if ((back || n->open_until) && n->probe.worker)
		end(b, n, true); /* whatever it brings is about the time before */
	node_wake(n);
	node_half_open(n, &br, now);
	plan(b, n, soonest > now ? soonest - now : 0);
}

void probe_worker_gone(struct broker *b, const struct party *worker)
{
	struct node *n;
	size_t pos = 0;

	while ((n = registry_next_node(b->registry, &pos)) != NULL) {
		if (n->probe.worker != worker->instance)
			continue;
		stat_inc(&metrics.probes_lost, 1);
		end(b, n, false);
		plan(b, n, jitter(SPACING_MS));
	}
}

void probe_forget(struct broker *b, struct node *n)
{
	bool closed = n->open_until == 0;

	if (n->probe.worker)
		end(b, n, true);
	alarm_off(b->alarms, &n->probe.alarm);
	refusal_forget(b, n->row.id);
	node_note(n, true, NULL, 0);
	moved(b, n, closed, "removed");
}

/* --- asking --- */

/* When p had its last turn; one that leaves has none. */
static uint64_t turn(const struct party *p)
{
	return p->draining ? NOT_TO_ASK : p->probe_turn;
}

static bool ask(struct broker *b, struct node *n, struct party *p)
{
	struct probe m = { .epoch = b->epoch,
			   .node = n->row.id,
			   .address = slice_str(n->url),
			   .timeout_ms = (uint32_t)b->conf.probe_timeout_ms };
	struct buf msg = { 0 };

	randombytes_buf(n->probe.rid, RID_BYTES);
	memcpy(m.rid, n->probe.rid, RID_BYTES);
	probe_encode(&m, &msg);
	p->probe_turn = ++b->probe_turns;
	if (router_send(b, p, &msg) != ERR_OK)
		return false;
	n->probe.worker = p->instance;
	n->probe.asked_ms = broker_ms(b);
	stat_set(&metrics.probes_inflight, (int64_t)++b->probes);
	alarm_set(b->alarms, &n->probe.alarm, broker_ms(b) + b->conf.probe_timeout_ms + WORKER_SLACK_MS,
		  on_turn);
	return true;
}

static void on_turn(void *arg, struct alarm *a)
{
	struct node *n = (struct node *)((char *)a - offsetof(struct node, probe.alarm));
	struct broker *b = arg;
	struct party *p;

	if (n->probe.worker) {
		stat_inc(&metrics.probes_lost, 1);
		end(b, n, false);
	}
	if (!wanted(b, n))
		return;
	p = b->probes < b->conf.probe_inflight && n->open_until <= broker_ms(b)
		    ? peers_to_ask(b, n->probe.avoid, n->row.id, turn) /* avoid: it brought nothing good */
		    : NULL;
	if (!p || !ask(b, n, p))
		plan(b, n, jitter(FULL_MS));
}

/* --- answers --- */

/* A probe that went well closes what is half-open; one sent before an open breaker
 * opened says nothing.  A closed breaker it only relieves of failed probes: a node
 * whose engine is broken may answer them all. */
static void judge(struct broker *b, struct node *n, bool ok)
{
	struct breaker br = probe_breaker(b);
	bool closed = n->open_until == 0;

	if (node_breaker(n, broker_ms(b)) == BREAKER_OPEN)
		return;
	if (!ok) {
		if (blame_holds(b, n))
			return;
		n->probe.failed++;
		node_note(n, false, &br, broker_ms(b));
	} else {
		if (closed)
			n->failures -= n->failures < n->probe.failed ? n->failures : n->probe.failed;
		else
			node_note(n, true, &br, broker_ms(b));
		n->probe.failed = 0;
	}
	moved(b, n, closed, "probes");
}

static void take(struct broker *b, struct node *n, const struct probed *m)
{
	bool ok = m->result == PROBE_REACHED;

	stat_inc(ok ? &metrics.probes_ok : &metrics.probes_failed, 1);
	n->probe.at = broker_now();
	n->probe.reached = ok;
	n->probe.latency_us = m->latency_us;
	if (ok) {
		node_wake(n); /* whatever it was set aside for; a clock that was wrong, for one */
		stat_observe(&metrics.probe, m->latency_us);
	}
	judge(b, n, ok);
	plan(b, n, jitter(ok ? b->conf.probe_ms : b->conf.probe_ms / AGAIN_DIVISOR));
}

void probe_done(struct broker *b, struct party *from, struct slice msg)
{
	struct probed m;
	struct node *n;

	if (probed_decode(msg, &m) != ERR_OK) {
		stat_inc(&metrics.dropped, 1);
		return;
	}
	n = registry_node(b->registry, m.node);
	if (!n || m.epoch != b->epoch || n->probe.worker != from->instance ||
	    !mem_same(n->probe.rid, m.rid, RID_BYTES)) {
		stat_inc(&metrics.dropped, 1); /* late, or never asked for */
		return;
	}
	end(b, n, m.result == PROBE_REACHED);
	if (m.result == PROBE_FAILED)
		blame_add(n, from);
	if (m.result == PROBE_NOT_TRIED || refusal_passes_over(b, from, n->row.id))
		plan(b, n, jitter(FULL_MS));
	else
		take(b, n, &m);
}
