/* SPDX-License-Identifier: Apache-2.0
 *
 * Two workers of which one fails what it is given: it gets little, however idle it is.
 */
#include "tests/unit/broker/test.h"

#include "broker/peers.h"
#include "broker/trust.h"
#include "tests/unit/broker/rig.h"

static int setup(void **state)
{
	struct rig *r = rig_new(NULL);

	rig_second_worker(r);
	rig_node(r)->subs->max_concurrent = 0;
	r->b.conf.breaker_failures = 1000; /* the node's breaker is another matter */
	*state = r;
	return 0;
}

static struct party *party(struct rig *r, const struct actor *wk)
{
	return peers_by_instance(&r->b, wk->instance, ROLE_WORKER);
}

/* As if the last failure of wk were so long ago. */
static void later(struct rig *r, const struct actor *wk, uint64_t ms)
{
	party(r, wk)->failed_ms -= ms;
}

static struct actor *give(struct rig *r, struct work *w)
{
	struct actor *wk;

	rig_job_within(r, rig_locked(r, 1000), 0, 10000);
	while (!actor_has(&r->wk, MSG_WORK) && !actor_has(&r->wk2, MSG_WORK))
		rig_run(r, 2);
	wk = actor_has(&r->wk, MSG_WORK) ? &r->wk : &r->wk2;
	*w = rig_work(r, wk);
	rig_posted(wk, w);
	return wk;
}

static void fails(struct rig *r, struct actor *wk, const struct work *w)
{
	rig_settle_ack(r, wk, w, SETTLE_FAILED, 0, 0, rig_not_reached);
}

static void answers(struct rig *r, struct actor *wk, const struct work *w)
{
	rig_settle_ack(r, wk, w, SETTLE_COMPLETE, 1, 1, NULL);
}

/* The one that gets the next request; it answers, or fails as the bad one does. */
static struct actor *next(struct rig *r, const struct actor *bad)
{
	struct work w;
	struct actor *wk = give(r, &w);

	if (wk == bad)
		fails(r, wk, &w);
	else
		answers(r, wk, &w);
	return wk;
}

static void one_that_fails_gets_little(void **state)
{
	struct rig *r = *state;
	struct work w;
	struct actor *bad = give(r, &w), *good = bad == &r->wk ? &r->wk2 : &r->wk;

	fails(r, bad, &w);
	assert_int_equal(trust_handicap(&r->b, party(r, bad)), 1);
	for (int i = 0; i < 20; i++)
		assert_ptr_equal(next(r, bad), good);
	later(r, bad, TRUST_HALVES_MS);
	assert_ptr_equal(next(r, bad), bad); /* it may have come to itself: it had not */
	assert_int_equal(trust_handicap(&r->b, party(r, bad)), 3);
	later(r, bad, TRUST_HALVES_MS);
	for (int i = 0; i < 20; i++)
		assert_ptr_equal(next(r, bad), good);
	later(r, bad, TRUST_HALVES_MS);
	assert_ptr_equal(next(r, NULL), bad);
	assert_int_equal(party(r, bad)->failures, 1); /* one good one is not all */
}

static struct party *next_of_all(struct rig *r)
{
	return peers_worker_for(&r->b, r->gw.instance, 0, 1);
}

/* It counts like requests in hand, and leaves nobody without a worker. */
static void busy_others(void **state)
{
	struct rig *r = *state;
	struct party *bad = party(r, &r->wk2), *good = party(r, &r->wk);
	struct work w[4];

	for (int i = 0; i < 4; i++) {
		bad->failures = TRUST_FAILURES_MAX;
		bad->failed_ms = broker_ms(&r->b);
		assert_ptr_equal(give(r, &w[i]), &r->wk);
		bad->failures = 1; /* as if it had one (where both have as many, either is right) */
		if (i > 0)
			assert_ptr_equal(next_of_all(r), bad);
		bad->failures = 2; /* as if it had three */
		if (i != 2)
			assert_ptr_equal(next_of_all(r), i < 2 ? good : bad);
	}
	bad->failures = TRUST_FAILURES_MAX;
	assert_ptr_equal(next_of_all(r), bad); /* the good one has all that it may have */
	for (int i = 0; i < 4; i++)
		answers(r, &r->wk, &w[i]);
	bad->failed_ms -= TRUST_FAILURES_MAX * TRUST_HALVES_MS;
	assert_int_equal(trust_handicap(&r->b, bad), 0);
	bad->failed_ms -= 100 * TRUST_HALVES_MS;
	assert_int_equal(trust_handicap(&r->b, bad), 0);
}

/* --- what is good and what is not --- */

static void no_receipt(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->receipt = m->signature = slice_of(NULL, 0);
}

static void anothers_receipt(struct receipt *rc, struct settle *m)
{
	(void)m;
	if (rc)
		rc->rid[0] ^= 1;
}

static void engines(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->error = ERR_ENGINE;
}

static void unknown_to_it(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->error = ERR_STRANGER;
}

static void left(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->error = ERR_CLOSED;
}

static void how_it_ends(void **state)
{
	static const struct {
		enum settle_outcome outcome;
		void (*change)(struct receipt *rc, struct settle *m);
		unsigned failures; /* after four */
	} ends[] = {
		{ SETTLE_COMPLETE, NULL, 2 },
		{ SETTLE_STOPPED, NULL, 2 },
		{ SETTLE_STOPPED, no_receipt, 5 }, /* that its client left, only the worker says */
		{ SETTLE_STOPPED, anothers_receipt, 5 },
		{ SETTLE_COMPLETE, no_receipt, 5 },
		{ SETTLE_COMPLETE, anothers_receipt, 5 },
		{ SETTLE_COMPLETE, rig_unsigned_units, 5 },
		{ SETTLE_STOPPED, rig_unsigned_units, 5 },
		{ SETTLE_FAILED, rig_not_reached, 5 },
		{ SETTLE_FAILED, engines, 5 }, /* or so it says */
		{ SETTLE_FAILED, left, 5 },
		{ SETTLE_FAILED, unknown_to_it, 4 },
	};
	struct rig *r = *state;
	struct party *p = party(r, &r->wk);
	struct work w;

	party(r, &r->wk2)->capacity = 0;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		p->failures = 4;
		assert_ptr_equal(give(r, &w), &r->wk);
		rig_settle_ack(r, &r->wk, &w, ends[i].outcome, 1, 1, ends[i].change);
		assert_int_equal(p->failures, ends[i].failures);
	}
}

/* Whatever it says of what it failed, the others get the next requests, although each has two in hand. */
static void no_word_helps(void **state)
{
	static const struct {
		enum settle_outcome outcome;
		void (*change)(struct receipt *rc, struct settle *m);
	} words[] = { { SETTLE_COMPLETE, rig_unsigned_units }, { SETTLE_STOPPED, no_receipt } };
	struct rig *r = *state;
	struct party *bad = party(r, &r->wk2), *good = party(r, &r->wk);
	struct work w[2], x;

	bad->capacity = 0;
	for (int i = 0; i < 2; i++)
		assert_ptr_equal(give(r, &w[i]), &r->wk);
	bad->capacity = 4;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		bad->failures = 0;
		for (int k = 0; k < 2; k++) {
			assert_ptr_equal(give(r, &x), &r->wk2);
			rig_settle_ack(r, &r->wk2, &x, words[i].outcome, 1, 1, words[i].change);
		}
		assert_ptr_equal(next_of_all(r), good);
	}
	for (int i = 0; i < 2; i++)
		answers(r, &r->wk, &w[i]);
}

/* A client that leaves before its node has begun speaks of nobody, however often it does. */
static void its_client_left(void **state)
{
	struct rig *r = *state;
	struct cancel c = { .attempt = 0 };
	struct buf msg = { 0 };
	struct work w;
	struct actor *wk;

	rig_node(r)->failures = 2;
	wk = give(r, &w);
	party(r, wk)->failures = 4;
	memcpy(c.rid, w.rid, RID_BYTES);
	cancel_encode(&c, &msg);
	actor_send(&r->gw, &msg, NULL);
	(void)actor_get(r, wk, MSG_CANCEL);
	rig_settle_ack(r, wk, &w, SETTLE_FAILED, 0, 0, left);
	assert_int_equal(party(r, wk)->failures, 4);
	assert_int_equal(rig_node(r)->failures, 2);
}

static void given_back(void **state)
{
	struct rig *r = *state;
	struct work w;

	party(r, &r->wk2)->failures = 1;
	party(r, &r->wk2)->failed_ms = broker_ms(&r->b);
	rig_job_within(r, rig_locked(r, 1000), 0, 10000);
	w = rig_work(r, &r->wk);
	rig_give_back(&r->wk, &w);
	w = rig_work(r, &r->wk2);
	assert_int_equal(party(r, &r->wk)->failures, 1);
	rig_posted(&r->wk2, &w);
	answers(r, &r->wk2, &w);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_that_fails_gets_little),
		T(busy_others),
		T(how_it_ends),
		T(no_word_helps),
		T(its_client_left),
		T(given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
