/* SPDX-License-Identifier: Apache-2.0
 *
 * INFLIGHT: after its or our absence, or when it is given it once more, a worker says what it has in hand.
 * That claims what nobody has, and says once more that a request is posted, in case the word for that was
 * lost with a connection.
 */
#include "broker/queue.h"
#include "broker/task.h"
#include "common/log.h"
#include "proto/work.h"

bool task_may_be(const struct task *t, uint32_t attempt)
{
	return t->attempt == attempt || (t->attempt == ANY_ATTEMPT && attempt >= t->least);
}

static bool in_doubt(const struct task *t, uint32_t attempt)
{
	return t->doubted && t->doubted == attempt;
}

static bool is_free(const struct task *t, uint32_t attempt)
{
	switch (t->state) {
	case TASK_UNCLAIMED:
		return task_may_be(t, attempt);
	case TASK_ORPHANED:
		return task_may_be(t, attempt) || in_doubt(t, attempt);
	case TASK_QUEUED: /* again, because this worker was lost with it */
		return in_doubt(t, attempt);
	default:
		return false;
	}
}

/* It was given to from once more, which has had it all along. */
static bool has_it_already(const struct task *t, const struct party *from, const struct inflight *m)
{
	return t->state == TASK_ASSIGNED && t->worker == from && m->posted &&
	       (t->attempt == m->ref.attempt || in_doubt(t, m->ref.attempt));
}

/* No other attempt can have it: the later one was given to nobody, or to this worker. */
static void only(struct broker *b, struct task *t, uint32_t attempt)
{
	t->attempt = attempt;
	t->doubted = 0;
	if (t->res->attempt != attempt)
		broker_keep(b, ledger_attempt(t->res, attempt));
}

/* The one in doubt turns out to live: then the later one is in doubt, whose worker is away and may have had
 * the node's answer all the same.  Unless it has failed already (task_disown). */
static void doubt_the_other(struct task *t, uint32_t attempt)
{
	if (t->state == TASK_ORPHANED && in_doubt(t, attempt) && !task_may_be(t, attempt))
		t->doubted = t->attempt == ANY_ATTEMPT ? t->least : t->attempt;
}

static void claim(struct broker *b, struct task *t, struct party *from, const struct inflight *m)
{
	doubt_the_other(t, m->ref.attempt);
	if (t->attempt == ANY_ATTEMPT)
		t->topic = m->topic;
	t->attempt = m->ref.attempt;
	if (t->state == TASK_QUEUED)
		only(b, t, m->ref.attempt);
	queue_remove(b->queue, t);
	task_attach(t, from);
	if (m->posted || t->posted) {
		task_is_posted(b, t);
	} else {
		task_state(b, t, TASK_ASSIGNED);
		alarm_set(b->alarms, &t->alarm, broker_ms(b) + b->conf.work_ms, task_overdue);
	}
	log_info("claimed", L_RID(t->rid), L_U("worker", from->instance));
}

void task_inflight(struct broker *b, struct party *from, struct slice msg)
{
	struct inflight m;
	struct task *t;

	if (inflight_decode(msg, &m) != ERR_OK)
		return;
	t = task_find(b, m.ref.rid);
	if (!t || !t->res || t->res->epoch != m.ref.epoch) {
		log_debug("inflight_not_claimed", L_RID(m.ref.rid));
		return;
	}
	if (is_free(t, m.ref.attempt)) {
		claim(b, t, from, &m);
	} else if (has_it_already(t, from, &m)) {
		if (t->attempt != m.ref.attempt)
			only(b, t, m.ref.attempt);
		task_is_posted(b, t);
	}
}
