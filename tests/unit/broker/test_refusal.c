/* SPDX-License-Identifier: Apache-2.0
 *
 * A node that does not know one of the workers (401): that worker loses its jobs
 * there, the node loses nothing, and a false word for it harms only who says it.
 */
#include "tests/unit/broker/test.h"

#include <string.h>

#include "broker/metrics.h"
#include "broker/peers.h"
#include "broker/probe.h"
#include "broker/refusal.h"
#include "broker/task.h"
#include "proto/peer.h"
#include "tests/unit/broker/rig.h"

static int setup(void **state)
{
	struct rig *r = rig_new(NULL);

	r->b.conf.breaker_failures = 3;
	rig_second_worker(r);
	rig_node(r)->subs->max_concurrent = 0;
	*state = r;
	return 0;
}

static struct party *party(struct rig *r, const struct actor *wk)
{
	return peers_by_instance(&r->b, wk->instance, ROLE_WORKER);
}

/* A job, and who got it; NULL: it waits. */
static struct actor *give(struct rig *r, struct work *w)
{
	struct actor *wk;

	rig_job_within(r, rig_locked(r, 1000), 0, 10000);
	for (int i = 0; i < 40 && !actor_has(&r->wk, MSG_WORK) && !actor_has(&r->wk2, MSG_WORK); i++)
		rig_run(r, 2);
	if (!actor_has(&r->wk, MSG_WORK) && !actor_has(&r->wk2, MSG_WORK))
		return NULL;
	wk = actor_has(&r->wk, MSG_WORK) ? &r->wk : &r->wk2;
	*w = rig_work(r, wk);
	rig_posted(wk, w);
	return wk;
}

static struct actor *other(struct rig *r, const struct actor *wk)
{
	return wk == &r->wk ? &r->wk2 : &r->wk;
}

static void stranger(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->error = ERR_STRANGER;
}

static void is_refused(struct rig *r, struct actor *wk, const struct work *w)
{
	rig_settle_ack(r, wk, w, SETTLE_FAILED, 0, 0, stranger);
}

static void answers(struct rig *r, struct actor *wk, const struct work *w)
{
	rig_settle_ack(r, wk, w, SETTLE_COMPLETE, 1, 1, NULL);
}

/* One job is given and refused; who had it. */
static struct actor *one_refused(struct rig *r)
{
	struct work w;
	struct actor *wk = give(r, &w);

	is_refused(r, wk, &w);
	return wk;
}

static void its_jobs_go_to_the_other(void **state)
{
	struct rig *r = *state;
	struct actor *bad = one_refused(r), *good = other(r, bad);
	struct work w[5];

	for (int i = 0; i < 4; i++) /* all that it may have at once: the bad one has none */
		assert_ptr_equal(give(r, &w[i]), good);
	assert_null(give(r, &w[4])); /* rather waits than is refused */
	answers(r, good, &w[0]);
	w[4] = rig_work(r, good);
	for (int i = 1; i < 5; i++)
		answers(r, good, &w[i]);
	assert_int_equal(rig_node(r)->failures, 0);
	assert_int_equal(refusal_count(&r->b, 1), 1);
	assert_int_equal(atomic_load(&metrics.refusals.value), 1);
}

/* It says nothing of the node, neither bad nor good. */
static void a_hostile_worker(void **state)
{
	struct rig *r = *state;
	struct work w[4];
	struct actor *wk[4];

	rig_node(r)->failures = 2;
	for (int i = 0; i < 4; i++)
		wk[i] = give(r, &w[i]);
	for (int i = 0; i < 4; i++) {
		if (wk[i] == &r->wk)
			is_refused(r, wk[i], &w[i]);
	}
	assert_int_equal(refusal_count(&r->b, 1), 1);
	assert_int_equal(rig_node(r)->failures, 2);
	for (int i = 0; i < 4; i++) {
		if (wk[i] == &r->wk2)
			answers(r, wk[i], &w[i]);
	}
	assert_int_equal(rig_node(r)->failures, 0);
}

static void a_hostile_node(void **state)
{
	struct rig *r = *state;
	struct actor *first = one_refused(r);
	struct locked l;

	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(rig_node(r)->failures, i);
		assert_int_equal(node_breaker(rig_node(r), broker_ms(&r->b)), BREAKER_CLOSED);
		if (i == 0)
			assert_ptr_equal(one_refused(r), other(r, first));
		else
			(void)one_refused(r); /* whoever: all are */
	}
	assert_int_equal(node_breaker(rig_node(r), broker_ms(&r->b)), BREAKER_OPEN);
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_NO_NODE);
}

/* Nobody else is there: as if one did not know. */
static void the_only_worker(void **state)
{
	struct rig *r = *state;
	struct actor *bad = one_refused(r);
	struct work w;

	rig_drop(r, other(r, bad));
	assert_ptr_equal(give(r, &w), bad);
	is_refused(r, bad, &w);
	assert_int_equal(rig_node(r)->failures, 1);
	assert_ptr_equal(give(r, &w), bad);
	answers(r, bad, &w);
	assert_int_equal(rig_node(r)->failures, 0);
	assert_int_equal(refusal_count(&r->b, 1), 0);
	assert_int_equal(atomic_load(&metrics.refusals.value), 0);
}

static void one_that_is_on_its_way_out_is_no_other(void **state)
{
	struct rig *r = *state;
	struct actor *bad = one_refused(r);
	struct work w;

	party(r, other(r, bad))->draining = true;
	assert_ptr_equal(give(r, &w), bad);
	is_refused(r, bad, &w);
	assert_int_equal(rig_node(r)->failures, 1);
}

static void one_that_understands_nothing_is_no_other(void **state)
{
	struct rig *r = *state;
	struct actor *bad = one_refused(r);
	struct work w;

	party(r, other(r, bad))->foreign = true;
	assert_ptr_equal(give(r, &w), bad);
	is_refused(r, bad, &w);
	assert_int_equal(rig_node(r)->failures, 1);
}

static struct refusal *known(struct rig *r, const struct actor *wk)
{
	return refusal_of(party(r, wk), 1);
}

/* Its time is over. */
static void let_pass(struct rig *r, const struct actor *wk)
{
	known(r, wk)->said_ms -= REFUSAL_PAUSE_MS;
	known(r, wk)->until_ms = broker_ms(&r->b);
}

/* One job decides: the next waits for that, and each time it takes longer. */
static void tried_again(void **state)
{
	struct rig *r = *state;
	struct actor *bad = one_refused(r), *good = other(r, bad);
	struct work w[3], trial;

	for (unsigned i = 0; i < 7; i++) {
		uint64_t pause = (uint64_t)REFUSAL_PAUSE_MS << (i < 4 ? i : 4);

		assert_in_range(known(r, bad)->until_ms, broker_ms(&r->b) + pause - 1000,
				broker_ms(&r->b) + pause);
		assert_ptr_equal(give(r, &w[0]), good); /* the bad one is idle, and would be the next */
		let_pass(r, bad);
		assert_ptr_equal(give(r, &trial), bad);
		assert_ptr_equal(give(r, &w[1]), good);
		assert_ptr_equal(give(r, &w[2]), good);
		for (unsigned k = 0; k < 3; k++)
			answers(r, good, &w[k]);
		if (i < 6)
			is_refused(r, bad, &trial);
	}
	assert_int_equal(rig_node(r)->failures, 0);
	answers(r, bad, &trial);
	assert_null(known(r, bad));
}

/* What was given to it before cannot show that it is known by now. */
static void an_answer_from_before(void **state)
{
	struct rig *r = *state;
	struct work w[4];
	struct actor *wk[4], *bad;

	for (int i = 0; i < 4; i++)
		wk[i] = give(r, &w[i]);
	bad = wk[3];
	rig_run(r, 5);
	is_refused(r, bad, &w[3]);
	for (int i = 0; i < 3; i++)
		answers(r, wk[i], &w[i]);
	assert_non_null(known(r, bad));
}

/* By its instance: one that has lost its connection is the same, one that was started again is not. */
static void a_worker_that_comes_back(void **state)
{
	struct rig *r = *state;
	struct actor *bad = one_refused(r), *good = other(r, bad);
	struct work w;

	actor_hello(r, bad);
	(void)actor_get(r, bad, MSG_WELCOME);
	assert_ptr_equal(give(r, &w), good);
	answers(r, good, &w);
	rig_drop(r, bad);
	assert_int_equal(atomic_load(&metrics.refusals.value), 0);
	actor_free(bad);
	memset(bad, 0, sizeof(*bad));
	actor_open(r, bad, ROLE_WORKER, 777);
	(void)actor_get(r, bad, MSG_WELCOME);
	rig_introduce(r, &r->gw, bad);
	rig_drop(r, good);
	assert_ptr_equal(give(r, &w), bad);
	answers(r, bad, &w);
}

/* With its keys mended, most likely.  What an earlier life refused says nothing of the next. */
static void a_node_that_starts_again(void **state)
{
	struct rig *r = *state;
	struct actor *bad;
	struct work w;

	bad = give(r, &w);
	rig_run(r, 5);
	assert_int_equal(refusal_count(&r->b, 1), 0);
	refusal_note(&r->b, party(r, bad), 1);
	assert_int_equal(refusal_count(&r->b, 1), 1);
	rig_node(r)->back_ms = 0;
	probe_here(&r->b, rig_node(r), false); /* announced once more */
	assert_int_equal(refusal_count(&r->b, 1), 1);
	probe_here(&r->b, rig_node(r), true);
	assert_int_equal(refusal_count(&r->b, 1), 0);
	is_refused(r, bad, &w);
	assert_int_equal(refusal_count(&r->b, 1), 0);
	assert_int_equal(rig_node(r)->failures, 0);
}

/* A worker that is refused everywhere takes no more than so much memory, and nobody's jobs. */
static void bounded(void **state)
{
	struct rig *r = *state;
	struct party *p = party(r, &r->wk);
	struct work w;

	for (uint64_t i = 1000; i < 1000 + 2 * REFUSALS_MAX; i++)
		refusal_note(&r->b, p, i);
	assert_int_equal(p->n_refusals, REFUSALS_MAX);
	assert_int_equal(atomic_load(&metrics.refusals.value), REFUSALS_MAX);
	assert_null(refusal_of(p, 1));
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(give(r, &w), &r->wk2);
	p->refusals[7].until_ms = broker_ms(&r->b);
	assert_ptr_equal(give(r, &w), &r->wk); /* less loaded */
	refusal_note(&r->b, p, 5);
	assert_int_equal(p->n_refusals, REFUSALS_MAX);
	assert_int_equal(p->refusals[7].node, 5);
	assert_int_equal(p->refusals[7].times, 1);
}

/* --- receipts --- */

static void its_receipts_are_fetched_by_the_other(void **state)
{
	struct rig *r = *state;
	struct work w;
	struct actor *dead = give(r, &w), *bad = other(r, dead);

	rig_run(r, 20);
	r->b.conf.claim_ms = 60000; /* its worker may come back for so long: nobody waits for that */
	rig_drop(r, dead);
	(void)actor_get(r, bad, MSG_RECEIPT_WANTED);
	actor_hello(r, dead);
	rig_run(r, 20);
	actor_none(r, dead, MSG_RECEIPT_WANTED, 20);
	rig_settle_ack(r, bad, &w, SETTLE_LOST, 0, 0, stranger);
	(void)actor_get(r, dead, MSG_RECEIPT_WANTED); /* at once */
	assert_int_equal(rig_stack(r)->spent, 0);
	rig_settle_ack(r, dead, &w, SETTLE_COMPLETE, 300, 400, NULL);
	rig_run(r, 20);
	assert_int_equal(rig_stack(r)->spent, 700);
	assert_int_equal(rig_node(r)->failures, 0);
	assert_non_null(known(r, bad));
	assert_ptr_equal(peers_any_worker(&r->b, dead->instance, 1), party(r, dead));
	assert_ptr_equal(peers_any_worker(&r->b, dead->instance, 2), party(r, bad));
}

/* All have been asked: the node is, again and again, as long as it may have it. */
static void a_receipt_that_nobody_gets(void **state)
{
	struct rig *r = *state;
	struct work w;
	struct actor *dead = give(r, &w), *bad = other(r, dead);

	rig_run(r, 20);
	rig_drop(r, dead);
	(void)actor_get(r, bad, MSG_RECEIPT_WANTED);
	rig_settle_ack(r, bad, &w, SETTLE_LOST, 0, 0, stranger);
	actor_none(r, bad, MSG_RECEIPT_WANTED, 20);
	assert_non_null(task_find(&r->b, w.rid));
	rig_settle_ack(r, bad, &w, SETTLE_COMPLETE, 300, 400, NULL);
	rig_run(r, 20);
	assert_int_equal(rig_stack(r)->spent, 700);
}

/* --- failures of another kind (blame.h) --- */

static void fails(struct rig *r, struct actor *wk, const struct work *w)
{
	rig_settle_ack(r, wk, w, SETTLE_FAILED, 0, 0, rig_not_reached);
}

/* One worker fails whatever it is given; the node stays for the other. */
static void one_workers_word(void **state)
{
	struct rig *r = *state;
	struct work w;
	struct actor *bad = give(r, &w), *wk = bad;
	unsigned good = 0;

	for (int i = 0; i < 20; i++) {
		if (wk == bad)
			fails(r, wk, &w);
		else
			answers(r, wk, &w);
		good += wk != bad;
		assert_int_equal(rig_node(r)->open_until, 0);
		wk = give(r, &w);
	}
	assert_in_range(good, 5, 20);
}

static void the_word_of_both(void **state)
{
	struct rig *r = *state;
	struct work w;
	struct actor *wk;
	unsigned words[2] = { 0, 0 };

	for (int i = 0; i < 3; i++) {
		assert_int_equal(rig_node(r)->open_until, 0);
		wk = give(r, &w);
		words[wk == &r->wk]++;
		fails(r, wk, &w);
	}
	assert_true(words[0] > 0 && words[1] > 0);
	assert_true(rig_node(r)->open_until > 0);
}

/* The other one is there, and does not hear the gateway that asks: it will never say anything. */
static void the_word_of_the_only_one_that_hears(void **state)
{
	struct rig *r = *state;
	struct heard m = { .topic = r->gw.instance };
	struct buf msg = { 0 };
	struct work w;
	int n = 0;

	heard_encode(&m, &msg);
	actor_send(&r->wk2, &msg, NULL);
	for (; rig_node(r)->open_until == 0; n++) {
		assert_ptr_equal(give(r, &w), &r->wk);
		fails(r, &r->wk, &w);
	}
	assert_int_equal(n, 3 + 3 * 3);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(its_jobs_go_to_the_other),
		T(a_hostile_worker),
		T(a_hostile_node),
		T(the_only_worker),
		T(one_that_is_on_its_way_out_is_no_other),
		T(one_that_understands_nothing_is_no_other),
		T(tried_again),
		T(an_answer_from_before),
		T(a_worker_that_comes_back),
		T(a_node_that_starts_again),
		T(bounded),
		T(its_receipts_are_fetched_by_the_other),
		T(a_receipt_that_nobody_gets),
		T(one_workers_word),
		T(the_word_of_both),
		T(the_word_of_the_only_one_that_hears),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
