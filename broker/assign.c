/* SPDX-License-Identifier: Apache-2.0
 *
 * From the queue to workers: one that hears the gateway, is not draining, has room and is
 * not refused by the node, the least loaded one (docs/ARCHITECTURE.md, One request).  The
 * number of a second attempt is committed before it leaves: the next life must not take
 * the first for the only one.
 */
#include <string.h>

#include "broker/admit.h"
#include "broker/metrics.h"
#include "broker/queue.h"
#include "broker/refusal.h"
#include "broker/router.h"
#include "broker/task.h"
#include "common/log.h"
#include "proto/work.h"

/* A worker says "posted" before it writes to the node; connecting takes it 5 s by default. */
#define ASSIGNED_MS 60000
#define NUMBERED_MS 10000 /* for the commit of a number */

static void work_of(struct broker *b, const struct task *t, struct work *w)
{
	const struct model *m = registry_model_by_id(b->registry, t->res->stack->model);

	memset(w, 0, sizeof(*w));
	memcpy(w->rid, t->rid, RID_BYTES);
	w->epoch = b->epoch;
	w->attempt = t->attempt;
	w->topic = t->topic;
	w->endpoint = t->endpoint;
	w->stream = t->stream;
	w->user = t->user->id;
	w->stack = t->res->stack->id;
	w->units = t->res->units;
	w->model = slice_str(m->name);
	w->node = t->node->row.id;
	w->address = slice_str(t->node->url);
	memcpy(w->sign_key, t->node->row.sign_key, KEY_BYTES);
	memcpy(w->node_key, t->res->node_key, KEY_BYTES);
	memcpy(w->plain_hash, t->plain_hash, KEY_BYTES);
	memcpy(w->body_hash, t->body_hash, KEY_BYTES);
	w->receipt_required = !t->node->row.original;
	w->quota = t->quota;
	w->show_usage = t->show_usage;
	w->hold = task_may_move(t);
}

/* Gives t to a worker; false when there is none that can take it now. */
static bool assign(struct broker *b, struct task *t)
{
	uint64_t node = t->node->row.id;
	struct party *p = peers_worker_for(b, t->topic, t->avoid, node);
	struct buf msg = { 0 };
	struct work w;

	if (!p && t->avoid) /* better the one that gave it back than nobody */
		p = peers_worker_for(b, t->topic, 0, node);
	if (!p)
		return false;
	t->attempt++;
	work_of(b, t, &w);
	work_encode(&w, &msg);
	if (router_send_body(b, p, &msg, &t->body) != ERR_OK) {
		t->attempt--; /* it was not sent */
		return false;
	}
	refusal_try(b, p, node);
	queue_remove(b->queue, t);
	task_attach(t, p);
	task_state(b, t, TASK_ASSIGNED);
	alarm_set(b->alarms, &t->alarm, broker_ms(b) + ASSIGNED_MS, task_overdue);
	stat_inc(&metrics.dispatched, 1);
	return true;
}

static void on_deadline(void *arg, struct alarm *a)
{
	struct task *t = (struct task *)((char *)a - offsetof(struct task, alarm));

	task_release(arg, t, ERR_NO_WORKER, 1);
}

void task_dispatch(struct broker *b, struct task *t)
{
	if (assign(b, t))
		return;
	queue_add(b->queue, t);
	stat_set(&metrics.queued, queue_count(b->queue));
	alarm_set(b->alarms, &t->alarm, t->deadline_ms, on_deadline);
}

static void on_numbered(void *arg, enum err result)
{
	struct task *t = arg;
	struct broker *b = t->broker;

	(void)result; /* numbers are not refused */
	task_state(b, t, TASK_QUEUED);
	if (t->give_up != ERR_OK)
		task_release(b, t, t->give_up, 0);
	else
		task_dispatch(b, t);
}

void task_dispatch_again(struct broker *b, struct task *t)
{
	t->returned_once = true;
	task_state(b, t, TASK_COMMITTING);
	alarm_set(b->alarms, &t->alarm, broker_ms(b) + NUMBERED_MS, task_too_late);
	broker_commit(b, ledger_attempt(t->res, t->attempt + 1), on_numbered, t);
}

/* Turns go round until every user's head has been refused once in a row. */
void task_pump(struct broker *b)
{
	unsigned idle = 0;
	struct task *t;

	while (idle < queue_users(b->queue) && (t = queue_turn(b->queue)) != NULL)
		idle = assign(b, t) ? 0 : idle + 1;
	stat_set(&metrics.queued, queue_count(b->queue));
}
