/* SPDX-License-Identifier: Apache-2.0
 *
 * After a restart: reservations of an earlier life keep their units until a
 * worker claims them (INFLIGHT, or SETTLE outright), or the time for that has
 * passed; then they are orphans like any other.  Their receipts are asked for
 * before, once the workers have had time to notice us: who had it may have died
 * with us, and the node may be the next.  Locks go on until their own end.
 */
#include <string.h>

#include "broker/lock.h"
#include "broker/metrics.h"
#include "broker/router.h"
#include "broker/task.h"
#include "common/log.h"

#define NOTICE_HEARTBEATS 5 /* a worker needs three to miss a broker */

static void on_unclaimed(void *arg, struct alarm *a)
{
	struct task *t = (struct task *)((char *)a - offsetof(struct task, alarm));

	log_info("unclaimed", L_RID(t->rid));
	if (!t->answered)
		router_refuse(arg, t->topic, t->rid, ERR_UNAVAILABLE, NULL, 1);
	t->answered = true;
	task_orphan(arg, t);
}

static void wait_for_claim(struct broker *b, struct task *t);

static void on_turn(void *arg, struct alarm *a)
{
	struct task *t = (struct task *)((char *)a - offsetof(struct task, alarm));

	if (broker_ms(arg) >= t->back_by) {
		on_unclaimed(arg, a);
		return;
	}
	if (!t->node->row.original)
		(void)task_ask(arg, t); /* nobody there to ask, or it was lost: the next time */
	wait_for_claim(arg, t);
}

static void wait_for_claim(struct broker *b, struct task *t)
{
	uint64_t at = broker_ms(b) + NOTICE_HEARTBEATS * b->conf.heartbeat_ms;

	alarm_set(b->alarms, &t->alarm, at < t->back_by ? at : t->back_by, on_turn);
}

void task_waiting(struct broker *b, struct party *from, struct slice msg)
{
	struct waiting_job m;
	struct task *t;

	if (waiting_decode(msg, &m) != ERR_OK) {
		stat_inc(&metrics.dropped, 1);
		return;
	}
	t = task_find(b, m.rid);
	if (!t || t->state == TASK_ORPHANED) {
		router_refuse(b, from->instance, m.rid, ERR_UNAVAILABLE, NULL, 1);
	} else if (t->state == TASK_UNCLAIMED && !t->topic) {
		t->topic = from->instance;
		t->answered = false;
	}
}

static void recover(struct broker *b, struct reservation *r)
{
	struct task *t = task_new(b, r->rid, TASK_UNCLAIMED);
	const struct model *m = registry_model_by_id(b->registry, r->stack->model);

	t->res = r;
	r->owner = t;
	t->user = r->stack->user;
	t->node = registry_node(b->registry, r->node);
	t->endpoint = (enum endpoint)r->endpoint;
	BUG_ON(!t->node || !m); /* foreign keys of the store hold */
	memcpy(t->model_hash, m->hash, KEY_BYTES);
	t->sub = node_sub_ever(t->node, m->id);
	if (t->sub)
		t->sub->running++;
	t->answered = true;
	t->least = r->attempt;
	t->doubted = t->node->row.original ? 0 : r->attempt - 1;
	t->back_by = broker_ms(b) + b->conf.claim_ms;
	wait_for_claim(b, t);
}

void task_recover(struct broker *b)
{
	struct reservation *r;
	struct lock *k;
	size_t pos = 0;
	unsigned n = 0;

	while ((r = ledger_next_reservation(b->ledger, &pos)) != NULL) {
		recover(b, r);
		n++;
	}
	for (pos = 0; (k = ledger_next_lock(b->ledger, &pos)) != NULL;)
		lock_watch(b, k);
	if (n)
		log_info("recovering", L_U("reservations", n));
}
