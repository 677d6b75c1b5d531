/* SPDX-License-Identifier: Apache-2.0
 *
 * A plain request that a node could not be asked, or that it refused before its
 * 200, goes to one other node: nobody has told the client anything yet.  Its
 * reservation moves (ledger_move), so it keeps one request id and one settlement;
 * the next attempt's number makes everything said about the first one stale.  The
 * first worker is acknowledged, and the second node asked, once the move is
 * committed.
 */
#include <string.h>

#include "broker/admit.h"
#include "broker/metrics.h"
#include "broker/queue.h"
#include "broker/router.h"
#include "common/log.h"

#define MOVE_MS 10000 /* for the commit and a worker */

bool task_may_move(const struct task *t)
{
	return !endpoint_confidential(t->endpoint) && !t->moved && !t->doubted && t->has_body &&
	       !t->answered && t->topic;
}

static void acknowledge(struct broker *b, struct task *t)
{
	const struct party *p = peers_by_instance(b, t->settle_to, ROLE_WORKER);
	struct settled m = { .attempt = t->attempt };
	struct buf msg = { 0 };

	t->settle_to = 0;
	if (!p)
		return;
	memcpy(m.rid, t->rid, RID_BYTES);
	settled_encode(&m, &msg);
	router_send(b, p, &msg);
}

static void on_moved(void *arg, enum err result)
{
	struct task *t = arg;
	struct broker *b = t->broker;

	(void)result; /* moves are not refused */
	acknowledge(b, t);
	task_state(b, t, TASK_QUEUED);
	if (t->give_up != ERR_OK)
		task_release(b, t, t->give_up, 0);
	else
		task_dispatch(b, t);
}

static void enter(struct broker *b, struct task *t, const struct choice *c)
{
	if (t->sub)
		t->sub->running--;
	t->sub = c->sub;
	t->sub->running++;
	t->node = c->sub->node;
	t->moved = true;
	t->posted = false;
	task_unattach(t);
	task_state(b, t, TASK_COMMITTING);
	t->deadline_ms = broker_ms(b) + MOVE_MS;
	alarm_set(b->alarms, &t->alarm, t->deadline_ms, task_too_late);
}

bool task_retry(struct broker *b, struct task *t)
{
	struct choice c = { .user = t->user,
			    .model = registry_model_by_id(b->registry, t->res->stack->model),
			    .avoid = t->node->row.id,
			    .now = broker_now() };
	struct pick_ask ask = { .has_units = true, .units = t->res->units };
	struct store_op *op;

	if (!task_may_move(t) || broker_admits(b) != ERR_OK)
		return false;
	if (choose_node(b, &ask, &c) != ERR_OK || choose_stack(b, &c) != ERR_OK)
		return false;
	if (c.buy)
		store_submit(b->store, c.buy);
	log_info("retry", L_RID(t->rid), L_U("from", t->node->row.id), L_U("to", c.sub->node->row.id));
	stat_inc(&metrics.retried, 1);
	broker_keep(b, ledger_attempt(t->res, t->attempt + 1));
	BUG_ON(ledger_move(b->ledger, t->res, c.stack, c.units, &op) != ERR_OK); /* it has the room */
	enter(b, t, &c);
	broker_commit(b, op, on_moved, t);
	if (queue_count(b->queue)) /* the worker has a place again */
		task_pump(b);
	return true;
}
