/* SPDX-License-Identifier: Apache-2.0
 *
 * SETTLE (PROTOCOL 4.8; proto/settle.h).  The first valid one ends the task;
 * from then on the request id is known only to the store, and every later one is
 * answered without effect.  The receipt's fields are compared here, its
 * signature is checked on the pool, the bill is committed durably, and only then
 * does the worker hear SETTLED.
 *
 * Of an attempt that is in doubt a receipt counts whoever has the request by now,
 * and the other one's failure does not end it: the node answers a request once, and
 * the client may have had the answer.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/judge.h"
#include "broker/lock.h"
#include "broker/metrics.h"
#include "broker/probe.h"
#include "broker/refusal.h"
#include "broker/router.h"
#include "broker/task.h"
#include "broker/trust.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/sign.h"

#define BUSY_S 5 /* Retry-After of a node that had no room */

/* A task whose receipt is being verified. */
struct pending {
	struct task *task;
	uint64_t worker; /* instance of whom the signature speaks for or against; 0: nobody */
	struct judge_case judge;
	struct row_settlement row;
};

static void say_settled(struct broker *b, const struct party *to, const struct settle *m)
{
	struct settled out = { .attempt = m->attempt };
	struct buf msg = { 0 };

	memcpy(out.rid, m->rid, RID_BYTES);
	settled_encode(&out, &msg);
	router_send(b, to, &msg);
}

static void finish(struct broker *b, struct task *t, const struct judge_case *c, struct row_settlement *row)
{
	judge(c, row);
	if (c->outcome == SETTLE_LOST && !t->posted)
		row->flags = (row->flags & ~(uint32_t)SETTLE_NODE_LOST) | SETTLE_RELEASED;
	if (row->flags & JUDGE_FAULTS) {
		t->node->row.faults++;
		stat_inc(&metrics.node_faults, 1);
		broker_keep(b, node_op(t->node));
		log_warn("node_fault", L_RID(t->rid), L_U("node", t->node->row.id), L_U("flags", row->flags));
	}
	if (row->flags & SETTLE_EXCESS)
		log_warn("units_beyond_reservation", L_RID(t->rid), L_U("node", t->node->row.id));
	task_commit(b, t, row);
}

static void on_verified(void *arg, enum err result)
{
	struct pending *p = arg;
	struct broker *b = p->task->broker;
	struct party *worker = peers_by_instance(b, p->worker, ROLE_WORKER);

	p->judge.receipt_good = result == ERR_OK;
	if (worker) /* it has looked at the signature itself */
		trust_note(b, worker, result == ERR_OK);
	finish(b, p->task, &p->judge, &p->row);
	free(p);
}

/* Whether the receipt may be billed at all, its signature apart. */
static bool belongs(const struct task *t, const struct settle *m, struct receipt *r)
{
	struct receipt_claim claim = { .rid = t->rid,
				       .stack = t->res->stack->id,
				       .endpoint = endpoint_kind(t->endpoint),
				       .node_key = t->res->node_key,
				       .model_hash = t->model_hash,
				       .plain_hash = t->has_plain_hash ? t->plain_hash : NULL,
				       .transcript = m->transcript.n ? m->transcript.p : NULL,
				       .chunks = m->transcript.n ? m->chunks : 0 };

	return receipt_decode(m->receipt, r) == ERR_OK && judge_receipt(r, &claim);
}

/* The node said 423: nothing more goes to it on this stack. */
static void lock_stack(struct broker *b, const struct task *t)
{
	struct store_op *op = ledger_stack_state(t->res->stack, STACK_LOCKED);

	if (!op)
		return;
	broker_keep(b, op);
	stat_inc(&metrics.stacks_locked, 1);
	log_warn("stack_locked", L_RID(t->rid), L_U("stack", t->res->stack->id), L_U("node", t->node->row.id),
		 L_S("why", "the node answered 423"),
		 L_S("do", "sealway stack unlock, once the node takes it again"));
}

/* It was given to an earlier life of its node. */
static bool in_earlier_life(const struct task *t)
{
	return t->node->back_ms && t->given_ms <= t->node->back_ms;
}

/* The node refused one worker, and there are others. */
static bool others_may(const struct broker *b, const struct task *t, const struct settle *m)
{
	return m->error == ERR_STRANGER && refusal_leaves_one(b, t->node->row.id);
}

/* Whether the node takes what that worker signs.  Of a receipt that was asked for, it is said of now. */
static void note_pair(const struct broker *b, const struct task *t, struct party *from,
		      const struct settle *m)
{
	if (m->error == ERR_STRANGER && (m->outcome == SETTLE_LOST || !in_earlier_life(t)))
		refusal_note(b, from, t->node->row.id);
	else if (m->outcome == SETTLE_COMPLETE || m->receipt.n)
		refusal_over(from, t->node->row.id, t->given_ms);
}

/* The engine refused, or did not end in time with an answer of which nothing comes before all of it, and
 * health checks find out whether the node hangs. */
static bool users_doing(const struct broker *b, const struct task *t, const struct settle *m)
{
	return m->error == ERR_ENGINE || (m->error == ERR_TIMEOUT && !t->stream && b->conf.probe_ms != 0);
}

/* Its client left before the node had begun, or so the worker says. */
static bool left_early(const struct settle *m)
{
	return m->outcome == SETTLE_FAILED && m->error == ERR_CLOSED;
}

/* What was lost with a connection or with an earlier life of the node says nothing of its worker, nor does a
 * client that has told us that it left.  That a node does not know it is refusal.c's. */
static bool speaks_of(const struct task *t, const struct party *from, const struct settle *m)
{
	return t->worker == from && !t->cut_off && !in_earlier_life(t) && m->error != ERR_STRANGER &&
	       !(t->answered && left_early(m));
}

/* Sends the signature to the pool.  False when it is full: the worker will
 * repeat itself. */
static bool verify(struct broker *b, struct task *t, const struct party *from, const struct settle *m,
		   const struct judge_case *c, const struct row_settlement *row)
{
	struct verify_item *item = mem_new(sizeof(*item));
	struct pending *p = mem_new(sizeof(*p));

	*p = (struct pending){ t, speaks_of(t, from, m) ? from->instance : 0, *c, *row };
	verify_add(item, RECEIPT_LABEL, m->receipt, m->signature, t->node->row.sign_key);
	item->done = on_verified;
	item->arg = p;
	item->lost = free;
	if (verify_submit(b->verify, item) == ERR_OK)
		return true;
	verify_item_free(item);
	free(p);
	return false;
}

static void note_node(struct broker *b, struct task *t, const struct party *from, const struct settle *m)
{
	bool no_room = m->error == ERR_UNAVAILABLE && m->outcome == SETTLE_COMPLETE; /* at the worker */
	bool reached = (m->error != ERR_UNAVAILABLE || no_room) && m->error != ERR_TIMEOUT &&
		       m->error != ERR_NODE && m->error != ERR_STRANGER && m->outcome != SETTLE_LOST;

	/* A host that loses its network loses all its requests at once: that must not take their node from
	 * everybody.  Nor must what died with an earlier life of the node, or that it does not know one
	 * worker.  What its engine failed at may be the user's doing: health checks tell how that is. */
	if (users_doing(b, t, m))
		log_debug("engine_failed", L_RID(t->rid), L_U("node", t->node->row.id), L_ERR(m->error));
	else if (!reached && (t->cut_off || in_earlier_life(t) || others_may(b, t, m)))
		log_info("not_held_against_node", L_RID(t->rid), L_U("node", t->node->row.id),
			 L_ERR(m->error));
	else if (!left_early(m) && (m->outcome != SETTLE_STOPPED || m->error == ERR_OK))
		probe_note(b, t->node, from, reached);
	if (m->outcome == SETTLE_FAILED && m->error == ERR_LOCKED)
		lock_stack(b, t);
	if (m->key_unknown) {
		broker_keep(b, node_drop_key(t->node, t->res->node_key));
		lock_drop_key(b, t->node->row.id, t->res->node_key);
		log_warn("key_dropped", L_U("node", t->node->row.id),
			 L_S("why", "the node said that it does not have it"));
	}
}

/* good: there is something to bill.  What was stopped has a receipt, too: that a client left for whom there
 * is none, only the worker says. */
static void note_worker(struct broker *b, const struct task *t, struct party *from, const struct settle *m,
			bool good)
{
	if (speaks_of(t, from, m))
		trust_note(b, from, good);
}

static void note_failure(struct broker *b, struct task *t, struct party *from, const struct settle *m)
{
	note_worker(b, t, from, m, false);
	note_node(b, t, from, m);
}

/* verified: the signature of its receipt has been checked. */
static void take(struct broker *b, struct task *t, struct party *from, const struct settle *m, bool verified)
{
	struct judge_case c = { .reserved = t->res->units,
				.outcome = m->outcome,
				.original = t->node->row.original,
				.accept_unsigned = b->conf.accept_unsigned_usage,
				.has_receipt = m->receipt.n != 0,
				.receipt_good = verified,
				.has_usage = m->has_usage,
				.usage_prompt = m->prompt,
				.usage_completion = m->completion };
	struct row_settlement row = { .error = (uint32_t)m->error, .chunks = m->chunks, .bytes = m->bytes };
	bool billable = m->outcome == SETTLE_COMPLETE || m->outcome == SETTLE_STOPPED;
	struct receipt r;
	bool check = billable && c.has_receipt && belongs(t, m, &r);

	if (check) {
		c.prompt = r.prompt;
		c.completion = r.completion;
		row.has_receipt = true;
		hash(row.receipt_hash, m->receipt);
		if (!verified && !verify(b, t, from, m, &c, &row))
			return;
	}
	if (!m->untold)
		note_node(b, t, from, m);
	if (!m->untold && (!check || verified)) /* else the signature will tell */
		note_worker(b, t, from, m, check || (billable && c.original));
	task_detach(b, t);
	if (!check || verified)
		finish(b, t, &c, &row);
}

/* A refusal of which the client knows nothing: true when another node is asked
 * instead, else it is told now. */
static bool goes_on(struct broker *b, struct task *t, struct party *from, const struct settle *m)
{
	note_failure(b, t, from, m);
	if (task_retry(b, t))
		return true;
	if (!t->answered && t->topic)
		router_refuse(b, t->topic, t->rid, m->error, NULL, m->error == ERR_RATE ? BUSY_S : 1);
	t->answered = true;
	return false;
}

/* Who may settle: the worker that has it; after its or our absence, any. */
static bool may_settle(const struct task *t, const struct party *from, const struct settle *m)
{
	if (t->res->epoch != m->epoch || t->node->row.id != m->node)
		return false;
	switch (t->state) {
	case TASK_ASSIGNED:
	case TASK_POSTED:
		return t->worker == from && t->attempt == m->attempt;
	case TASK_ORPHANED:
	case TASK_UNCLAIMED:
		return task_may_be(t, m->attempt);
	default:
		return false;
	}
}

/* What the node signed for the attempt that is in doubt.  Checked at once: it takes the task from another,
 * and is seldom. */
static bool doubted_receipt(const struct task *t, const struct settle *m)
{
	bool billable = m->outcome == SETTLE_COMPLETE || m->outcome == SETTLE_STOPPED;
	struct receipt r;

	return t->doubted && m->attempt == t->doubted && t->res->epoch == m->epoch &&
	       t->node->row.id == m->node && billable && m->receipt.n && belongs(t, m, &r) &&
	       sign_verify_label(m->signature, RECEIPT_LABEL, m->receipt, t->node->row.sign_key) == ERR_OK;
}

/* The other attempt than the one in doubt ends, without a receipt: the node may even have said that it has
 * answered the request before. */
static bool leaves_doubt(const struct task *t, const struct settle *m)
{
	return t->doubted && m->attempt != ANY_ATTEMPT && m->attempt != t->doubted && !m->receipt.n;
}

/* The node has no receipt of it; whoever had the request may come back with it. */
static bool may_turn_up(const struct broker *b, const struct task *t, const struct party *from,
			const struct settle *m)
{
	return m->outcome == SETTLE_LOST && m->error != ERR_STRANGER &&
	       (t->state == TASK_ORPHANED || t->state == TASK_UNCLAIMED) && broker_ms(b) < t->back_by &&
	       (from->instance != t->holder || t->doubted);
}

/* The worker has been told nothing of the receipt: others may be, or it may be later. */
static bool not_asked(const struct task *t, const struct settle *m)
{
	return m->outcome == SETTLE_LOST && (m->error == ERR_UNAVAILABLE || m->error == ERR_STRANGER) &&
	       !t->node->row.original && !leaves_doubt(t, m);
}

static void look_for(struct broker *b, struct task *t, struct party *from, const struct settle *m)
{
	if (t->state == TASK_ORPHANED || t->state == TASK_UNCLAIMED) { /* it is being looked for */
		if (others_may(b, t, m))
			(void)task_ask(b, t); /* another one, at once */
		return;
	}
	note_failure(b, t, from, m);
	t->cut_off = true; /* that has been noted */
	t->answered = true;
	task_seek(b, t);
}

void task_settle(struct broker *b, struct party *from, struct slice msg)
{
	struct settle m;
	struct task *t;
	bool doubted;

	if (settle_decode(msg, &m) != ERR_OK) {
		stat_inc(&metrics.dropped, 1);
		return;
	}
	t = task_find(b, m.rid);
	if (!t) { /* settled before, by whomever */
		say_settled(b, from, &m);
		return;
	}
	if (t->state == TASK_SETTLING) {
		t->settle_to = from->instance;
		return;
	}
	if (t->state == TASK_COMMITTING)
		return; /* to be said again, once the store has what was decided */
	doubted = doubted_receipt(t, &m);
	if (!doubted && !may_settle(t, from, &m)) {
		log_info("settle_stale", L_RID(m.rid), L_U("attempt", m.attempt), L_U("current", t->attempt));
		say_settled(b, from, &m);
		return;
	}
	note_pair(b, t, from, &m);
	if (may_turn_up(b, t, from, &m)) {
		say_settled(b, from, &m);
		task_wait_for_holder(b, t);
		return;
	}
	if (not_asked(t, &m)) {
		say_settled(b, from, &m);
		look_for(b, t, from, &m);
		return;
	}
	t->settle_to = from->instance;
	t->attempt = m.attempt;
	if (m.untold && goes_on(b, t, from, &m))
		return;
	if (leaves_doubt(t, &m)) {
		if (!m.untold)
			note_failure(b, t, from, &m);
		say_settled(b, from, &m);
		task_disown(b, t);
		return;
	}
	t->posted = t->posted || m.outcome == SETTLE_COMPLETE || m.outcome == SETTLE_STOPPED;
	take(b, t, from, &m, doubted);
}
