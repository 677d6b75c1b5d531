/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may have how much of the broker (meter.h).  A task is counted by the state
 * it is in and by nothing else, so that no path can count it twice or forget it:
 * it waits until a worker has it, and runs until it settles or its worker is lost
 * (what happens after that is not its user's doing).
 */
#include "broker/meter.h"

#define B(state) (1u << (state))

static const unsigned waits = B(TASK_COMMITTING) | B(TASK_QUEUED);
static const unsigned runs = B(TASK_COMMITTING) | B(TASK_QUEUED) | B(TASK_ASSIGNED) | B(TASK_POSTED);

struct limits meter_limits(const struct broker *b, const struct user *u)
{
	const struct limits defaults = { .v = { [LIMIT_RATE] = (int64_t)b->conf.user_rate,
						[LIMIT_CONCURRENT] = (int64_t)b->conf.user_concurrent,
						[LIMIT_UNITS] = (int64_t)b->conf.user_units_per_minute } };

	return limits_of(&u->own, &defaults);
}

enum err meter_request(const struct broker *b, struct user *u, struct quota *q, uint32_t *retry_after_s)
{
	struct limits l = meter_limits(b, u);

	return limit_request(&u->use, &l, broker_ms(b), q, retry_after_s);
}

enum err meter_lock(const struct broker *b, struct user *u, struct quota *q, uint32_t *retry_after_s)
{
	uint64_t most = (uint64_t)meter_limits(b, u).v[LIMIT_CONCURRENT];
	enum err e = meter_request(b, u, q, retry_after_s);

	if (e != ERR_OK || !most || u->n_locks < most)
		return e;
	*q = (struct quota){ .limit = most, .reset_s = 1 };
	*retry_after_s = 1;
	return ERR_RATE;
}

enum err meter_job(struct broker *b, struct user *u, uint64_t units, size_t body_n, struct quota *q,
		   uint32_t *retry_after_s)
{
	struct limits l = meter_limits(b, u);

	*retry_after_s = 1;
	if (b->waiting >= b->conf.queue_max || body_n > b->conf.body_budget - b->body_bytes)
		return ERR_UNAVAILABLE;
	if (!limit_share(u->use.waiting, b->waiting, b->conf.queue_max) ||
	    (u->use.bytes && !limit_share(u->use.bytes, b->body_bytes, b->conf.body_budget)))
		return ERR_RATE;
	return limit_job(&u->use, &l, units, broker_ms(b), q, retry_after_s);
}

static void count(struct broker *b, struct task *t, enum task_state s, int by)
{
	if (B(s) & waits) {
		t->user->use.waiting += (uint64_t)(int64_t)by;
		b->waiting += (uint64_t)(int64_t)by;
	}
	if (B(s) & runs)
		t->user->use.running += (uint64_t)(int64_t)by;
}

void meter_enter(struct broker *b, struct task *t)
{
	t->metered = true;
	count(b, t, t->state, 1);
}

void meter_state(struct broker *b, struct task *t, enum task_state from, enum task_state to)
{
	if (!t->user)
		return;
	count(b, t, from, -1);
	count(b, t, to, 1);
}

void meter_billed(struct broker *b, struct task *t, uint64_t billed)
{
	struct limits l = meter_limits(b, t->user);

	if (t->metered && t->res->units > billed)
		limit_units_back(&t->user->use, &l, t->res->units - billed, broker_ms(b));
}
