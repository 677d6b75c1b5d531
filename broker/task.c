/* SPDX-License-Identifier: Apache-2.0
 *
 * A task's states, its ends, and what workers and gateways say about it
 * (task.h).  Units go back only through task_commit's settlement, so that a
 * reservation ends exactly once, whoever ends it.
 */
#include "broker/task.h"

#include <stdlib.h>
#include <string.h>

#include "broker/meter.h"
#include "broker/metrics.h"
#include "broker/queue.h"
#include "broker/router.h"
#include "broker/trust.h"
#include "common/log.h"
#include "proto/work.h"

static const struct {
	const char *name;
	unsigned next;
} states[] = {
#define B(state) (1u << (state))
#define X(name, text, next) { text, next },
	TASK_STATES(X)
#undef X
#undef B
};

const char *task_state_name(enum task_state s)
{
	return states[s].name;
}

void task_state(struct broker *b, struct task *t, enum task_state to)
{
	BUG_ON(!(states[t->state].next & (1u << to)));
	log_debug("task", L_RID(t->rid), L_S("from", states[t->state].name), L_S("to", states[to].name),
		  L_U("attempt", t->attempt));
	meter_state(b, t, t->state, to);
	if ((t->state == TASK_QUEUED && to == TASK_ASSIGNED) ||
	    (t->state == TASK_ASSIGNED && to == TASK_POSTED))
		t->given_ms = broker_ms(b);
	t->state = to;
	t->since_ms = broker_ms(b);
}

bool task_moving(const struct broker *b)
{
	const struct task *t;
	size_t pos = 0;

	while ((t = map_next(b->tasks, &pos)) != NULL) {
		if (t->state != TASK_UNCLAIMED && t->state != TASK_ORPHANED)
			return true;
	}
	return false;
}

struct task *task_find(const struct broker *b, const uint8_t rid[RID_BYTES])
{
	return map_get(b->tasks, rid);
}

struct task *task_new(struct broker *b, const uint8_t rid[RID_BYTES], enum task_state state)
{
	struct task *t = mem_new(sizeof(*t));

	memcpy(t->rid, rid, RID_BYTES);
	t->broker = b;
	t->state = state;
	t->since_ms = broker_ms(b);
	map_put(b->tasks, t->rid, t);
	stat_inc(&metrics.inflight, 1);
	return t;
}

void task_drop_body(struct broker *b, struct task *t)
{
	if (!t->has_body)
		return;
	b->body_bytes -= zmsg_slice(&t->body).n;
	t->user->use.bytes -= zmsg_slice(&t->body).n;
	zmsg_close(&t->body);
	t->has_body = false;
}

void task_free(struct broker *b, struct task *t)
{
	task_drop_body(b, t);
	meter_state(b, t, t->state, TASK_SETTLING);
	map_del(b->tasks, t->rid);
	stat_inc(&metrics.inflight, -1);
	free(t);
}

void task_attach(struct task *t, struct party *worker)
{
	t->worker = worker;
	t->next_of_worker = worker->tasks;
	if (t->next_of_worker)
		t->next_of_worker->prev_of_worker = &t->next_of_worker;
	t->prev_of_worker = &worker->tasks;
	worker->tasks = t;
	worker->n_tasks++;
}

void task_unattach(struct task *t)
{
	if (!t->worker)
		return;
	*t->prev_of_worker = t->next_of_worker;
	if (t->next_of_worker)
		t->next_of_worker->prev_of_worker = t->prev_of_worker;
	t->worker->n_tasks--;
	t->worker = NULL;
}

void task_detach(struct broker *b, struct task *t)
{
	bool freed = t->worker != NULL;

	alarm_off(b->alarms, &t->alarm);
	queue_remove(b->queue, t);
	task_unattach(t);
	task_drop_body(b, t);
	if (t->sub)
		t->sub->running--;
	t->sub = NULL;
	task_state(b, t, TASK_SETTLING);
	if (freed && queue_count(b->queue))
		task_pump(b);
}

/* --- the end --- */

static void on_settled(void *arg, enum err result)
{
	struct task *t = arg;
	struct broker *b = t->broker;
	const struct party *p = peers_by_instance(b, t->settle_to, ROLE_WORKER);
	struct settled m = { .attempt = t->attempt };
	struct buf msg = { 0 };

	(void)result; /* settlements are not refused */
	if (p) {
		memcpy(m.rid, t->rid, RID_BYTES);
		settled_encode(&m, &msg);
		router_send(b, p, &msg);
	}
	task_free(b, t);
}

void task_commit(struct broker *b, struct task *t, struct row_settlement *row)
{
	struct store_op *op;

	row->at = broker_now();
	stat_inc(&metrics.units_billed, (int64_t)row->billed);
	metrics_settled(row->outcome);
	LOG(row->outcome == SETTLE_COMPLETE && !row->flags ? LOG_DEBUG : LOG_INFO, "settled", L_RID(t->rid),
	    L_U("user", t->user->id), L_U("stack", t->res->stack->id), L_U("node", t->res->node),
	    L_U("reserved", t->res->units), L_U("billed", row->billed), L_U("outcome", row->outcome),
	    L_U("flags", row->flags), L_U("attempt", t->attempt));
	meter_billed(b, t, row->billed);
	op = ledger_settle(b->ledger, t->res, row);
	t->res = NULL;
	broker_commit(b, op, on_settled, t);
}

static void tell(struct broker *b, struct task *t, enum err e, uint32_t retry_after_s)
{
	struct refuse m = { .error = e, .retry_after_s = retry_after_s, .quota = t->quota };

	if (t->answered)
		return;
	t->answered = true;
	memcpy(m.rid, t->rid, RID_BYTES);
	if (e != ERR_OK && t->topic)
		router_refuse_with(b, t->topic, &m);
}

void task_release(struct broker *b, struct task *t, enum err e, uint32_t retry_after_s)
{
	struct row_settlement row = { .error = e, .flags = SETTLE_RELEASED };

	tell(b, t, e, retry_after_s);
	if (t->state == TASK_COMMITTING) { /* the store has not taken the reservation yet: wait for that */
		t->give_up = e == ERR_OK ? ERR_UNAVAILABLE : e;
		return;
	}
	if (t->doubted) {
		task_disown(b, t);
		return;
	}
	task_detach(b, t);
	task_commit(b, t, &row);
}

void task_refuse_waiting(struct broker *b)
{
	struct task *t;
	size_t pos = 0;

	while ((t = map_next(b->tasks, &pos)) != NULL)
		if (t->state == TASK_COMMITTING && !t->answered)
			task_release(b, t, ERR_UNAVAILABLE, 1);
}

void task_lose(struct broker *b, struct task *t)
{
	bool fault = t->posted && !t->node->row.original; /* the original network keeps no receipts */
	struct row_settlement row = { .outcome = SETTLE_LOST,
				      .error = ERR_INTERNAL,
				      .flags = fault ? SETTLE_NODE_LOST : SETTLE_RELEASED };

	tell(b, t, ERR_INTERNAL, 0);
	if (fault) {
		t->node->row.faults++;
		stat_inc(&metrics.node_faults, 1);
		broker_keep(b, node_op(t->node));
		log_warn("receipt_lost", L_RID(t->rid), L_U("node", t->node->row.id));
	}
	task_detach(b, t);
	task_commit(b, t, &row);
}

/* --- what happens to those around it --- */

/* Its worker does not have it any more, as far as is known. */
static void lose_sight(struct broker *b, struct task *t)
{
	t->holder = t->worker->instance;
	if (!t->worker->ended)
		t->back_by = broker_ms(b) + b->conf.claim_ms;
	task_unattach(t);
}

void task_worker_gone(struct broker *b, struct task *t)
{
	lose_sight(b, t);
	if (t->posted || !t->has_body) {
		tell(b, t, ERR_INTERNAL, 0);
		t->cut_off = true;
		task_orphan(b, t);
	} else if (t->returned_once || t->answered) {
		/* It may have been posted all the same, and its worker's word for that be lost. */
		tell(b, t, ERR_NO_WORKER, 1);
		t->cut_off = true;
		task_orphan(b, t);
	} else {
		/* nodes of the original network would answer twice, and without a receipt */
		t->doubted = t->node->row.original ? 0 : t->attempt;
		task_dispatch_again(b, t);
	}
}

static void send_cancel(struct broker *b, const struct task *t)
{
	struct cancel m = { .attempt = t->attempt };
	struct buf msg = { 0 };

	memcpy(m.rid, t->rid, RID_BYTES);
	cancel_encode(&m, &msg);
	router_send(b, t->worker, &msg);
}

/* Nobody waits for the answer any more.  A worker that has it stops the node and settles. */
static void abandon(struct broker *b, struct task *t, bool say_cancel)
{
	t->answered = true;
	switch (t->state) {
	case TASK_COMMITTING:
	case TASK_QUEUED:
		task_release(b, t, ERR_OK, 0);
		break;
	case TASK_ASSIGNED:
	case TASK_POSTED:
		if (say_cancel)
			send_cancel(b, t);
		break;
	default:
		break;
	}
}

void task_gateway_gone(struct broker *b, struct task *t)
{
	abandon(b, t, false); /* the workers have been told by PEER */
	t->topic = 0;
}

void task_cancel(struct broker *b, struct party *from, struct slice msg)
{
	struct cancel m;
	struct task *t;

	if (cancel_decode(msg, &m) != ERR_OK)
		return;
	t = task_find(b, m.rid);
	if (!t || t->topic != from->instance || (m.attempt && m.attempt != t->attempt)) {
		stat_inc(&metrics.dropped, 1);
		return;
	}
	log_debug("cancelled", L_RID(t->rid));
	abandon(b, t, true);
}

/* --- what its worker says --- */

/* The task that ref means, if from has it in hand in one of these states. */
static struct task *in_hand(struct broker *b, const struct party *from, const struct work_ref *ref,
			    unsigned in_states)
{
	struct task *t = task_find(b, ref->rid);

	if (t && (in_states & (1u << t->state)) && t->worker == from && t->attempt == ref->attempt &&
	    t->res->epoch == ref->epoch)
		return t;
	stat_inc(&metrics.dropped, 1);
	return NULL;
}

void task_overdue(void *arg, struct alarm *a)
{
	struct task *t = (struct task *)((char *)a - offsetof(struct task, alarm));
	struct broker *b = arg;

	log_warn("task_overdue", L_RID(t->rid), L_S("state", task_state_name(t->state)));
	send_cancel(b, t);
	lose_sight(b, t);
	tell(b, t, ERR_TIMEOUT, 0);
	task_orphan(b, t);
}

void task_is_posted(struct broker *b, struct task *t)
{
	t->posted = true;
	if (!task_may_move(t))
		task_drop_body(b, t);
	task_state(b, t, TASK_POSTED);
	alarm_set(b->alarms, &t->alarm, broker_ms(b) + b->conf.work_ms, task_overdue);
}

void task_posted(struct broker *b, struct party *from, struct slice msg)
{
	struct work_ref ref;
	struct task *t;

	if (posted_decode(msg, &ref) != ERR_OK)
		return;
	t = in_hand(b, from, &ref, 1u << TASK_ASSIGNED);
	if (t)
		task_is_posted(b, t);
}

void task_answering(struct broker *b, struct party *from, struct slice msg)
{
	struct work_ref ref;
	struct task *t;

	if (answering_decode(msg, &ref) != ERR_OK)
		return;
	t = in_hand(b, from, &ref, 1u << TASK_POSTED);
	if (t)
		task_drop_body(b, t);
}

void task_returned(struct broker *b, struct party *from, struct slice msg)
{
	struct work_return m;
	struct task *t;

	if (return_decode(msg, &m) != ERR_OK)
		return;
	t = in_hand(b, from, &m.ref, 1u << TASK_ASSIGNED);
	if (!t)
		return;
	stat_inc(&metrics.returned, 1);
	trust_note(b, from, false);
	alarm_off(b->alarms, &t->alarm);
	task_unattach(t);
	if (t->returned_once || t->answered || !t->has_body) {
		task_release(b, t, m.error == ERR_OK ? ERR_NO_WORKER : m.error, 1);
		return;
	}
	t->avoid = from->instance;
	task_dispatch_again(b, t);
}
