/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission (PROTOCOL section 2, Units; the broker's part of the order of
 * refusals: 401, 429, 404, 423, 425, 429, 503).  Decided in
 * memory; the reservation is committed before the task goes anywhere.  A lock is
 * consumed once all checks have passed.
 */
#include "broker/admit.h"

#include <string.h>

#include "broker/meter.h"
#include "broker/metrics.h"
#include "broker/place.h"
#include "broker/queue.h"
#include "broker/router.h"
#include "common/log.h"

enum err admit_user(const struct broker *b, const struct job *m, struct admission *a)
{
	a->token = ledger_token(b->ledger, m->token_hash);
	if (!a->token)
		return ERR_AUTH;
	return meter_request(b, a->token->user, &a->quota, &a->retry_after_s);
}

/* Another's stack, no stack and another model are one refusal. */
static enum err find_stack(const struct broker *b, const struct job *m, struct admission *a)
{
	enum err e = admit_user(b, m, a);

	if (e != ERR_OK)
		return e;
	a->stack = ledger_stack(b->ledger, m->stack);
	a->model = registry_model(b->registry, m->model);
	if (!a->stack || !a->model || a->stack->user != a->token->user || a->stack->model != a->model->id)
		return ERR_NOT_FOUND;
	return ERR_OK;
}

/* Units without a lock's part in it. */
static uint64_t asked_units(const struct job *m)
{
	if (m->has_units)
		return m->units;
	return m->endpoint == EP_IMAGES ? UNITS_IMAGE : 0;
}

static enum err check_key(const struct job *m, struct admission *a, int64_t now)
{
	const struct node_key *k = node_find_key(a->node, m->node_key);

	if (!k || k->dropped)
		return ERR_KEY_UNKNOWN;
	if (a->lock)
		return node_key_accepted(k, now) ? ERR_OK : ERR_KEY_ROTATED;
	return k == node_current_key(a->node, now) ? ERR_OK : ERR_KEY_ROTATED;
}

static enum err check_units(const struct job *m, struct admission *a)
{
	uint64_t covered = a->lock ? a->lock->units : 0;

	a->units = asked_units(m);
	if (!a->lock && !m->has_units && a->units == 0)
		a->units = UNITS_DEFAULT;
	if (a->units < covered)
		a->units = covered;
	if (!m->has_units && a->sub->max_units && a->units > a->sub->max_units)
		a->units = a->sub->max_units < covered ? covered : a->sub->max_units;
	if (a->units - covered > stack_free(a->stack))
		return ERR_UNITS;
	if (m->has_units && a->sub->max_units && m->units > a->sub->max_units) {
		a->param = "num_compute_units";
		return ERR_BODY;
	}
	return ERR_OK;
}

/* Everything that is said before units: node, key; then units; then room. */
static enum err check(const struct broker *b, const struct job *m, struct admission *a)
{
	enum err e = find_stack(b, m, a);

	if (e != ERR_OK)
		return e;
	if (a->stack->state == STACK_LOCKED)
		return ERR_LOCKED;
	a->node = registry_node(b->registry, a->stack->node);
	a->sub = a->node ? node_sub(a->node, a->model->id) : NULL;
	if (!a->sub || a->node->row.state == NODE_REMOVED)
		return ERR_KEY_UNKNOWN; /* it has left, and its key with it: a new lock leads to another */
	if (a->node->row.original && !b->conf.accept_unsigned_usage)
		return ERR_NO_NODE;
	a->lock = ledger_lock_match(a->stack, m->node_key, asked_units(m));
	e = check_key(m, a, broker_now());
	if (e == ERR_OK)
		e = check_units(m, a);
	if (e != ERR_OK)
		return e;
	if (!place_for(a->sub, a->token->user->use.running, broker_ms(b))) {
		place_refused(a->sub, a->token->user->use.running, broker_ms(b));
		a->retry_after_s = 1;
		return ERR_RATE;
	}
	return ERR_OK;
}

/* Bounds that have nothing to do with what is asked. */
static enum err check_room(struct broker *b, size_t body_n, struct admission *a)
{
	enum err e = broker_admits(b);

	a->retry_after_s = 1;
	return e == ERR_OK ? meter_job(b, a->token->user, a->units, body_n, &a->quota, &a->retry_after_s) : e;
}

static void on_reserved(void *arg, enum err result)
{
	struct task *t = arg;
	struct broker *b = t->broker;

	stat_observe(&metrics.commit, (broker_ms(b) - t->since_ms) * 1000);
	if (result != ERR_OK) { /* a request id that was settled before: nothing was reserved */
		log_warn("request_id_reused", L_RID(t->rid));
		if (!t->answered)
			router_refuse(b, t->topic, t->rid, ERR_INTERNAL, NULL, 0);
		meter_billed(b, t, 0);
		ledger_unreserve(b->ledger, t->res);
		t->sub->running--;
		alarm_off(b->alarms, &t->alarm);
		task_free(b, t);
		return;
	}
	if (t->give_up != ERR_OK) {
		task_state(b, t, TASK_QUEUED); /* known to the store now: may be released */
		task_release(b, t, t->give_up, 0);
		return;
	}
	task_state(b, t, TASK_QUEUED);
	task_dispatch(b, t);
}

void task_too_late(void *arg, struct alarm *a)
{
	struct task *t = (struct task *)((char *)a - offsetof(struct task, alarm));

	task_release(arg, t, ERR_UNAVAILABLE, 1);
}

static void fill(struct task *t, const struct job *m, const struct admission *a)
{
	t->user = a->token->user;
	t->node = a->node;
	t->sub = a->sub;
	t->sub->running++;
	t->topic = m->topic;
	t->endpoint = m->endpoint;
	t->stream = m->stream;
	memcpy(t->model_hash, a->model->hash, KEY_BYTES);
	t->has_plain_hash = true;
	memcpy(t->plain_hash, m->plain_hash, KEY_BYTES);
	memcpy(t->body_hash, m->body_hash, KEY_BYTES);
	t->quota = a->quota;
	t->show_usage = m->show_usage;
}

static enum err reserve(struct broker *b, const struct job *m, struct admission *a, struct reservation **res,
			struct store_op **op)
{
	struct reserve_ask ask = { .rid = m->rid,
				   .lock = a->lock,
				   .units = a->units,
				   .node_key = m->node_key,
				   .endpoint = (uint32_t)m->endpoint,
				   .epoch = b->epoch,
				   .now = broker_now() };
	uint64_t expires = a->lock ? a->lock->alarm.when : 0;
	enum err e;

	if (a->lock)
		alarm_off(b->alarms, &a->lock->alarm);
	e = ledger_reserve(b->ledger, a->stack, &ask, res, op);
	if (e != ERR_OK && a->lock)
		alarm_set(b->alarms, &a->lock->alarm, expires, a->lock->alarm.fire);
	else if (a->lock)
		a->sub->locks--;
	return e;
}

/* How long it may wait for a worker: not beyond the time for which its node accepts its key. */
static uint64_t wait_ms(const struct job *m, const struct admission *a)
{
	const struct node_key *k = node_find_key(a->node, m->node_key);
	uint64_t wait = m->deadline_ms < DISPATCH_MS_MAX ? m->deadline_ms : DISPATCH_MS_MAX;
	int64_t left = k && k->superseded ? k->superseded + KEY_OVERLAP_S - broker_now() : INT64_MAX / 1000;

	return (uint64_t)left * 1000 < wait ? (uint64_t)left * 1000 : wait;
}

static void admit(struct broker *b, const struct job *m, struct admission *a, struct zmsg *body)
{
	struct reservation *res;
	struct store_op *op;
	struct task *t;
	enum err e = reserve(b, m, a, &res, &op);

	if (e != ERR_OK) {
		router_refuse(b, m->topic, m->rid, ERR_INTERNAL, NULL, 0);
		return;
	}
	t = task_new(b, m->rid, TASK_COMMITTING);
	t->res = res;
	res->owner = t;
	fill(t, m, a);
	zmsg_move(&t->body, body);
	t->has_body = true;
	b->body_bytes += zmsg_slice(&t->body).n;
	t->user->use.bytes += zmsg_slice(&t->body).n;
	meter_enter(b, t);
	t->deadline_ms = broker_ms(b) + wait_ms(m, a);
	alarm_set(b->alarms, &t->alarm, t->deadline_ms, task_too_late);
	stat_inc(&metrics.jobs, 1);
	broker_keep(b, ledger_token_used(a->token, broker_now()));
	broker_commit(b, op, on_reserved, t);
}

void task_admit(struct broker *b, struct party *from, struct slice msg, struct zmsg *body)
{
	struct admission a = { 0 };
	struct job m;
	enum err e;

	if (job_decode(msg, &m) != ERR_OK || m.topic != from->instance || task_find(b, m.rid)) {
		stat_inc(&metrics.dropped, 1);
		return;
	}
	e = endpoint_confidential(m.endpoint) ? check(b, &m, &a) : plain_check(b, &m, &a);
	if (e == ERR_OK)
		e = check_room(b, zmsg_slice(body).n, &a);
	if (e == ERR_OK && !a.stack)
		e = plain_stack(b, &a);
	if (e != ERR_OK) {
		struct refuse no = { .error = e,
				     .param = slice_str(a.param),
				     .retry_after_s = a.retry_after_s,
				     .quota = a.quota };

		memcpy(no.rid, m.rid, RID_BYTES);
		router_refuse_with(b, m.topic, &no);
		return;
	}
	admit(b, &m, &a, body);
}
