/* SPDX-License-Identifier: Apache-2.0
 *
 * A posted request whose worker is gone, or cannot reach the node any more: the node, having
 * lost its connection, stops and keeps a receipt for 15 minutes (PROTOCOL 4.8).  Another worker is
 * asked to fetch it and settles with it.  A node that has none, because it was
 * started again, say, does not decide alone: the worker may only have been out of
 * reach, and have it.  When none comes in time the units are released, and the node
 * is flagged if it is known to have had the request.  A live worker that lost the node
 * has nothing in hand: then that time is a minute.
 */
#include <string.h>

#include "broker/metrics.h"
#include "broker/queue.h"
#include "broker/refusal.h"
#include "broker/router.h"
#include "broker/task.h"
#include "common/log.h"
#include "proto/work.h"

#define ANSWER_MS 60000 /* one fetch may take this long, then another worker is asked */
#define SAME_AGAIN 5   /* heartbeats: question or answer may have been lost, and to ask twice costs nothing */
#define LATER_MS 30000 /* the same, once it has been asked for a minute */
#define NO_WORKER_MS 1000           /* look again for a worker after this */
#define GIVE_UP_MS (15 * 60 * 1000) /* no node has it for longer */
/* Of a node that its worker saw go: most likely it died, and its user wants the units back */
#define SEEK_MS 60000

static void on_turn(void *arg, struct alarm *a);

static bool ask(struct broker *b, struct task *t, const struct party *p)
{
	struct receipt_wanted m = { .node = t->node->row.id,
				    .stack = t->res->stack->id,
				    .units = t->res->units,
				    .address = slice_str(t->node->url) };
	struct buf msg = { 0 };

	memcpy(m.ref.rid, t->rid, RID_BYTES);
	m.ref.epoch = t->res->epoch;
	m.ref.attempt = t->attempt;
	memcpy(m.sign_key, t->node->row.sign_key, KEY_BYTES);
	receipt_wanted_encode(&m, &msg);
	return router_send(b, p, &msg) == ERR_OK;
}

/* The one that was asked, while its time lasts and the node takes it; then rather another. */
static const struct party *whom(struct broker *b, struct task *t, uint64_t now)
{
	const struct party *p = NULL;

	if (now - t->asked_ms < ANSWER_MS)
		p = peers_by_instance(b, t->asked, ROLE_WORKER);
	if (p && !refusal_passes_over(b, p, t->node->row.id))
		return p;
	p = peers_any_worker(b, t->asked, t->node->row.id);
	if (!p)
		return NULL;
	t->asked = p->instance;
	t->asked_ms = now;
	log_info("receipt_wanted", L_RID(t->rid), L_U("node", t->node->row.id), L_U("worker", p->instance));
	return p;
}

bool task_ask(struct broker *b, struct task *t)
{
	const struct party *p = whom(b, t, broker_ms(b));

	return p && ask(b, t, p);
}

static uint64_t pause_ms(const struct broker *b, const struct task *t, uint64_t now)
{
	uint64_t soon = SAME_AGAIN * b->conf.heartbeat_ms;

	return now - t->since_ms < ANSWER_MS || soon > LATER_MS ? soon : LATER_MS;
}

static void next(struct broker *b, struct task *t)
{
	uint64_t now = broker_ms(b);

	if (now - t->since_ms > (t->sought ? SEEK_MS : GIVE_UP_MS)) {
		task_lose(b, t);
		return;
	}
	alarm_set(b->alarms, &t->alarm, now + (task_ask(b, t) ? pause_ms(b, t, now) : NO_WORKER_MS), on_turn);
}

static void on_turn(void *arg, struct alarm *a)
{
	struct task *t = (struct task *)((char *)a - offsetof(struct task, alarm));

	t->since_ms += broker_ms(arg) - a->when; /* while we stood still ourselves nobody could answer */
	next(arg, t);
}

void task_wait_for_holder(struct broker *b, struct task *t)
{
	log_info("receipt_not_at_node", L_RID(t->rid), L_U("node", t->node->row.id));
	if (t->state == TASK_ORPHANED) /* else it is asked for after the time for claims */
		alarm_set(b->alarms, &t->alarm, t->back_by, on_turn);
}

void task_disown(struct broker *b, struct task *t)
{
	log_warn("an_earlier_attempt_counts", L_RID(t->rid), L_U("attempt", t->attempt));
	queue_remove(b->queue, t);
	task_unattach(t);
	t->attempt = ANY_ATTEMPT;
	t->least = 1;
	t->cut_off = true; /* whether the node can be reached, this one has said */
	t->posted = false; /* as far as is known: the client may have sent it twice, too */
	t->answered = true;
	if (t->state != TASK_ORPHANED) /* else its receipt is being fetched already */
		task_orphan(b, t);
}

void task_seek(struct broker *b, struct task *t)
{
	t->asked = t->worker->instance;
	t->asked_ms = broker_ms(b) - ANSWER_MS;
	t->sought = true;
	task_unattach(t);
	task_orphan(b, t);
}

void task_orphan(struct broker *b, struct task *t)
{
	stat_inc(&metrics.orphaned, 1);
	task_drop_body(b, t);
	task_state(b, t, TASK_ORPHANED);
	if (t->node->row.original) { /* keeps no receipts */
		task_lose(b, t);
		return;
	}
	next(b, t);
}
