/* SPDX-License-Identifier: Apache-2.0
 *
 * Two attempts of one request, of which only one counts, told of in any order after a restart;
 * and a broker that stood still itself.  What the node signed is billed in all of them.
 */
#include "tests/unit/broker/test.h"

#include <string.h>
#include <unistd.h>

#include "broker/peers.h"
#include "broker/task.h"
#include "tests/unit/broker/rig.h"

/* A request whose first worker was taken for dead before it had said "posted". */
struct twice {
	struct actor *first, *second;
	struct work w1, w2;
};

static struct twice given_twice(struct rig *r, bool second_posted)
{
	uint64_t stack = rig_locked(r, 1000);
	struct twice t;

	rig_second_worker(r);
	rig_job(r, stack, 0);
	rig_run(r, 30);
	t.first = actor_has(&r->wk, MSG_WORK) ? &r->wk : &r->wk2;
	t.second = t.first == &r->wk ? &r->wk2 : &r->wk;
	t.w1 = rig_work(r, t.first);
	rig_drop(r, t.first);
	t.w2 = rig_work(r, t.second);
	assert_true(t.w1.attempt == 1 && t.w2.attempt == 2);
	if (second_posted)
		rig_posted(t.second, &t.w2);
	rig_run(r, 30);
	return t;
}

static void restarted(struct rig *r, const struct twice *t)
{
	rig_restart(r);
	rig_greet(r, &r->gw);
	rig_greet(r, t->first);
	rig_greet(r, t->second);
	rig_run(r, 30);
	assert_true(rig_stack(r)->reserved == 1000);
}

/* What it costs is not known yet: all its units stay reserved. */
static void undecided(struct rig *r)
{
	rig_run(r, 20);
	assert_true(rig_stack(r)->reserved == 1000);
}

/* A worker says that it has posted it, and is believed. */
static void claims(struct rig *r, struct actor *wk, const struct work *w)
{
	rig_inflight(wk, w, true);
	rig_run(r, 20);
	assert_int_equal(task_find(&r->b, w->rid)->state, TASK_POSTED);
}

/* A worker brings the receipt that counts. */
static void settled_whole(struct rig *r, struct actor *wk, const struct work *w)
{
	rig_settle_ack(r, wk, w, SETTLE_COMPLETE, 300, 400, NULL);
	rig_billed(r, 700);
}

static void a_failure_of_the_first_comes_first(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	restarted(r, &t);
	rig_settle_ack(r, t.first, &t.w1, SETTLE_FAILED, 0, 0, rig_not_reached); /* once is enough */
	rig_settle_ack(r, t.second, &t.w2, SETTLE_COMPLETE, 400, 400, NULL);
	rig_billed(r, 800);
}

static void a_claim_of_the_first_comes_first(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	restarted(r, &t);
	rig_inflight(t.first, &t.w1, false);
	rig_run(r, 10);
	rig_inflight(t.second, &t.w2, true);
	rig_run(r, 10);
	rig_settle_ack(r, t.first, &t.w1, SETTLE_FAILED, 0, 0, rig_answered_before);
	rig_settle_ack(r, t.second, &t.w2, SETTLE_COMPLETE, 400, 400, NULL);
	rig_billed(r, 800);
}

/* The first one had posted it after all: that is what the node told the second. */
static void the_first_was_answered(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, false);

	restarted(r, &t);
	rig_settle_ack(r, t.second, &t.w2, SETTLE_FAILED, 0, 0, rig_answered_before);
	assert_true(rig_stack(r)->reserved == 1000);
	rig_inflight(t.first, &t.w1, true);
	rig_run(r, 10);
	settled_whole(r, t.first, &t.w1);
}

/* The same, said before the restart. */
static void the_first_was_answered_as_was_known(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	rig_settle_ack(r, t.second, &t.w2, SETTLE_FAILED, 0, 0, rig_answered_before);
	rig_run(r, 30);
	restarted(r, &t);
	settled_whole(r, t.first, &t.w1);
}

/* The same, and the second one's worker was gone before it could say so. */
static void the_first_was_answered_and_the_second_is_gone(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	rig_drop(r, t.second);
	actor_hello(r, t.first);
	actor_hello(r, t.second);
	rig_run(r, 30);
	rig_settle_ack(r, t.second, &t.w2, SETTLE_FAILED, 0, 0, rig_answered_before);
	assert_true(rig_stack(r)->reserved == 1000);
	rig_settle_ack(r, t.first, &t.w1, SETTLE_STOPPED, 1, 2, NULL);
	rig_billed(r, 3);
}

/* A new worker is asked for its receipt, and finds it. */
static void another_is_asked_and_has_it(struct rig *r, const struct work *w)
{
	struct receipt_wanted want;

	actor_open(r, &r->wk2, ROLE_WORKER, 201);
	assert_int_equal(receipt_wanted_decode(actor_get(r, &r->wk2, MSG_RECEIPT_WANTED), &want), ERR_OK);
	assert_memory_equal(want.ref.rid, w->rid, RID_BYTES);
	rig_settle_ack(r, &r->wk2, w, SETTLE_STOPPED, 10, 5, NULL);
	rig_billed(r, 15);
}

/* Gateway and worker die in one moment: it may have been posted all the same. */
static void a_worker_and_its_gateway(void **state)
{
	struct rig *r = *state;
	struct work w = rig_given(r);

	rig_drop(r, &r->gw);
	rig_drop(r, &r->wk);
	rig_run(r, 10);
	assert_true(rig_stack(r)->reserved == 1000);
	another_is_asked_and_has_it(r, &w);
}

/* Its worker came back, and is gone again: the time before does not count. */
static void a_worker_that_is_gone_twice(void **state)
{
	struct rig *r = *state;
	struct work w = rig_at_node(r);

	rig_run(r, 20);
	rig_drop(r, &r->wk);
	task_find(&r->b, w.rid)->since_ms -= 20 * 60000;
	actor_hello(r, &r->wk);
	rig_run(r, 20);
	rig_inflight(&r->wk, &w, true);
	rig_run(r, 20);
	rig_drop(r, &r->wk);
	undecided(r);
	another_is_asked_and_has_it(r, &w);
}

/* --- the first one is whole at its client, and its worker is away; the second one comes to nothing --- */

static void comes_back(struct rig *r, struct actor *wk)
{
	actor_hello(r, wk);
	rig_run(r, 20);
}

/* Its worker is back and has the receipt. */
static void the_first_is_billed(struct rig *r, struct twice *t)
{
	comes_back(r, t->first);
	settled_whole(r, t->first, &t->w1);
}

static void the_second_failed(struct rig *r, struct twice *t)
{
	rig_settle_ack(r, t->second, &t->w2, SETTLE_FAILED, 0, 0, rig_not_reached);
	undecided(r);
}

/* The node died meanwhile: it does not know that it has answered. */
static void the_second_finds_no_node(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	the_second_failed(r, &t);
	(void)actor_get(r, t.second, MSG_RECEIPT_WANTED);
	the_first_is_billed(r, &t);
}

/* The same after a restart. */
static void the_second_found_no_node_before_a_restart(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	restarted(r, &t);
	the_second_failed(r, &t);
	the_first_is_billed(r, &t);
}

/* It was told that it need not say so again, and has not heard that. */
static void the_second_says_it_again(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	for (int i = 0; i < 2; i++) {
		rig_settle_ack(r, t.second, &t.w2, SETTLE_FAILED, 0, 0, rig_not_reached);
	}
	restarted(r, &t);
	the_second_failed(r, &t);
	the_first_is_billed(r, &t);
}

/* Its own 200, and then nothing more. */
static void the_second_is_cut(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	rig_settle_ack(r, t.second, &t.w2, SETTLE_LOST, 0, 0, rig_not_reached);
	undecided(r);
	the_first_is_billed(r, &t);
}

static void the_second_is_given_back(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, false);

	rig_give_back(t.second, &t.w2);
	assert_int_equal(rig_refusal(r).error, ERR_NO_WORKER);
	undecided(r);
	the_first_is_billed(r, &t);
}

/* Nothing else can come of it any more: the node answers a request once. */
static void the_first_is_heard_while_the_second_has_it(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	the_first_is_billed(r, &t);
	rig_settle_ack(r, t.second, &t.w2, SETTLE_FAILED, 0, 0, rig_not_reached);
	rig_billed(r, 700);
}

static void the_second_died_when_the_first_is_heard(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	rig_drop(r, t.second);
	the_first_is_billed(r, &t);
}

/* The first claims it, being about to post it, when the second has been answered and is away. */
static void the_first_claims_what_the_second_has(struct rig *r, struct twice *t)
{
	comes_back(r, t->first);
	claims(r, t->first, &t->w1);
}

static void the_second_died_when_the_first_claims_it(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	rig_drop(r, t.second);
	the_first_claims_what_the_second_has(r, &t);
	settled_whole(r, t.first, &t.w1);
}

/* And has the receipt. */
static void the_second_is_billed(struct rig *r, struct twice *t)
{
	comes_back(r, t->second);
	settled_whole(r, t->second, &t->w2);
}

static void the_second_is_back_after_the_first_has_claimed_it(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	rig_drop(r, t.second);
	the_first_claims_what_the_second_has(r, &t);
	the_second_is_billed(r, &t);
}

static void the_second_is_back_after_the_first_has_failed(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	rig_drop(r, t.second);
	the_first_claims_what_the_second_has(r, &t);
	rig_settle_ack(r, t.first, &t.w1, SETTLE_FAILED, 0, 0, rig_answered_before);
	undecided(r);
	the_second_is_billed(r, &t);
}

/* The same after a restart, when the time for claims is over. */
static void the_second_is_back_late_after_a_restart(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);
	struct task *task;

	rig_restart(r);
	actor_hello(r, &r->gw);
	task = task_find(&r->b, t.w1.rid);
	task->back_by = broker_ms(&r->b);
	rig_ring(r, task, task->back_by);
	rig_run(r, 20);
	assert_int_equal(task->state, TASK_ORPHANED);
	the_first_claims_what_the_second_has(r, &t);
	the_second_is_billed(r, &t);
}

/* Claims go to and fro: what both have said in the end is that nobody was answered. */
static void neither_was_answered(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	rig_drop(r, t.second);
	the_first_claims_what_the_second_has(r, &t);
	rig_drop(r, t.first);
	comes_back(r, t.second);
	claims(r, t.second, &t.w2);
	the_second_failed(r, &t);
	comes_back(r, t.first);
	rig_settle_ack(r, t.first, &t.w1, SETTLE_FAILED, 0, 0, rig_not_reached);
	rig_billed(r, 0);
}

static void not_at_the_node(struct rig *r, struct actor *wk, const struct work *w)
{
	struct work as = *w;
	struct receipt_wanted want;

	assert_int_equal(receipt_wanted_decode(actor_get(r, wk, MSG_RECEIPT_WANTED), &want), ERR_OK);
	as.attempt = want.ref.attempt;
	rig_settle_ack(r, wk, &as, SETTLE_LOST, 0, 0, rig_not_reached);
	rig_run(r, 10);
	assert_true(rig_stack(r)->reserved == 1000);
}

/* It was lost, too, and is back without a receipt, and so is what it is asked to look for: the first may have
 * one. */
static void the_second_comes_back_and_finds_nothing(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);
	struct task *task = task_find(&r->b, t.w2.rid);

	r->b.conf.claim_ms = 60000;
	rig_drop(r, t.second);
	comes_back(r, t.second);
	for (int i = 0; i < 2; i++) {
		rig_ring(r, task, broker_ms(&r->b));
		not_at_the_node(r, t.second, &t.w2);
	}
	the_first_is_billed(r, &t);
}

/* What the node did not sign takes nothing from the one that has it. */
static void the_first_brings_a_bad_receipt(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	comes_back(r, t.first);
	rig_settle_ack(r, t.first, &t.w1, SETTLE_COMPLETE, 300, 400, rig_unsigned_units);
	undecided(r);
	rig_settle_ack(r, t.second, &t.w2, SETTLE_COMPLETE, 100, 100, NULL);
	rig_billed(r, 200);
}

/* A request whose only worker was taken for dead before it had said "posted": it waits for another. */
static struct work given_to_one_that_is_away(struct rig *r)
{
	struct work w = rig_given(r);

	rig_drop(r, &r->wk);
	rig_run(r, 10);
	return w;
}

static void it_waits_and_its_worker_claims_it(void **state)
{
	struct rig *r = *state;
	struct work w = given_to_one_that_is_away(r);

	comes_back(r, &r->wk);
	rig_inflight(&r->wk, &w, true);
	rig_introduce(r, &r->gw, &r->wk);
	actor_none(r, &r->wk, MSG_WORK, 20); /* it has it */
	assert_int_equal(task_find(&r->b, w.rid)->state, TASK_POSTED);
	rig_restart(r);
	comes_back(r, &r->wk);
	claims(r, &r->wk, &w);
	settled_whole(r, &r->wk, &w);
}

static void it_waits_and_its_worker_settles_it(void **state)
{
	struct rig *r = *state;
	struct work w = given_to_one_that_is_away(r);

	comes_back(r, &r->wk);
	settled_whole(r, &r->wk, &w);
}

static void it_waits_in_vain(void **state)
{
	struct rig *r = *state;
	struct work w = given_to_one_that_is_away(r);

	assert_int_equal(rig_refusal(r).error, ERR_NO_WORKER); /* after 400 ms */
	undecided(r);
	comes_back(r, &r->wk);
	settled_whole(r, &r->wk, &w);
}

static void it_waits_and_its_gateway_dies(void **state)
{
	struct rig *r = *state;
	struct work w = given_to_one_that_is_away(r);

	rig_drop(r, &r->gw);
	undecided(r);
	comes_back(r, &r->wk);
	settled_whole(r, &r->wk, &w);
}

/* It was given to it once more before it could say that it has it. */
static void it_is_given_back_to_its_worker(void **state)
{
	struct rig *r = *state;
	struct work w = given_to_one_that_is_away(r), again;

	comes_back(r, &r->wk);
	rig_introduce(r, &r->gw, &r->wk);
	again = rig_work(r, &r->wk);
	assert_int_equal(again.attempt, 2);
	claims(r, &r->wk, &w);
	settled_whole(r, &r->wk, &w);
}

/* The same, and it has failed meanwhile. */
static void it_is_given_back_to_its_worker_that_has_ended_it(void **state)
{
	struct rig *r = *state;
	struct work w = given_to_one_that_is_away(r), again;

	comes_back(r, &r->wk);
	rig_introduce(r, &r->gw, &r->wk);
	again = rig_work(r, &r->wk);
	rig_give_back(&r->wk, &again);
	assert_int_equal(rig_refusal(r).error, ERR_NO_WORKER);
	rig_settle_ack(r, &r->wk, &w, SETTLE_FAILED, 0, 0, rig_not_reached);
	rig_billed(r, 0);
}

/* "Posted" was lost with a connection, "in flight" says the same. */
static void posted_is_said_once_more(void **state)
{
	struct rig *r = *state;
	struct work w = rig_given(r);

	actor_hello(r, &r->wk);
	claims(r, &r->wk, &w);
	settled_whole(r, &r->wk, &w);
}

/* Everybody spoke all the time, and the broker has not listened yet. */
static void a_broker_that_stood_still(void **state)
{
	struct rig *r = *state;
	struct work w;

	actor_ping(&r->gw);
	actor_ping(&r->wk);
	w = rig_at_node(r);
	for (int i = 0; i < 10; i++) {
		actor_ping(&r->gw);
		actor_ping(&r->wk);
		usleep(40000);
	}
	rig_run(r, 20);
	assert_non_null(peers_by_instance(&r->b, r->gw.instance, ROLE_GATEWAY));
	assert_non_null(peers_by_instance(&r->b, r->wk.instance, ROLE_WORKER));
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 400, 400, NULL);
	rig_billed(r, 800);
	actor_open(r, &r->wk2, ROLE_WORKER, 201);
	rig_alive(r, 400, &r->wk2); /* and whoever is silent really is missed */
	assert_null(peers_by_instance(&r->b, r->wk.instance, ROLE_WORKER));
}

/* Of a single peer's silence alone it could not tell whose fault it is. */
static void a_single_peer_of_a_broker_that_stood_still(void **state)
{
	struct rig *r = *state;

	actor_bye(&r->wk);
	actor_ping(&r->gw);
	rig_run(r, 20);
	assert_int_equal(r->b.peers->n, 1);
	for (int i = 0; i < 10; i++) {
		actor_ping(&r->gw);
		usleep(40000);
	}
	rig_run(r, 20);
	assert_non_null(peers_by_instance(&r->b, r->gw.instance, ROLE_GATEWAY));
	rig_run(r, 400);
	assert_null(peers_by_instance(&r->b, r->gw.instance, ROLE_GATEWAY));
}

/* Its own network was away: the answers went on without it, and are not cut when it is back. */
static void a_broker_that_hears_nobody(void **state)
{
	struct rig *r = *state;
	struct work w;

	actor_open(r, &r->wk2, ROLE_WORKER, 201);
	w = rig_at_node(r);
	actor_ping(&r->wk2);
	rig_run(r, 350);
	for (int i = 0; i < 12; i++) { /* the first that can be heard does not speak against the others */
		actor_ping(&r->gw);
		actor_ping(&r->wk2);
		rig_run(r, 20);
	}
	actor_ping(&r->wk); /* that has had to connect anew */
	rig_run(r, 20);
	actor_none(r, &r->gw, MSG_REFUSE, 1);
	actor_none(r, &r->wk2, MSG_RECEIPT_WANTED, 1);
	assert_non_null(peers_by_instance(&r->b, r->wk.instance, ROLE_WORKER));
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 400, 400, NULL);
	rig_billed(r, 800);
	rig_alive(r, 300, &r->wk2);
	assert_null(peers_by_instance(&r->b, r->wk.instance, ROLE_WORKER));
	assert_non_null(peers_by_instance(&r->b, r->gw.instance, ROLE_GATEWAY));
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_failure_of_the_first_comes_first),
		T(a_claim_of_the_first_comes_first),
		T(the_first_was_answered),
		T(the_first_was_answered_as_was_known),
		T(the_first_was_answered_and_the_second_is_gone),
		T(a_worker_and_its_gateway),
		T(a_worker_that_is_gone_twice),
		T(the_second_finds_no_node),
		T(the_second_found_no_node_before_a_restart),
		T(the_second_says_it_again),
		T(the_second_is_cut),
		T(the_second_is_given_back),
		T(the_first_is_heard_while_the_second_has_it),
		T(the_second_died_when_the_first_is_heard),
		T(the_second_died_when_the_first_claims_it),
		T(the_second_is_back_after_the_first_has_claimed_it),
		T(the_second_is_back_after_the_first_has_failed),
		T(the_second_is_back_late_after_a_restart),
		T(neither_was_answered),
		T(the_second_comes_back_and_finds_nothing),
		T(the_first_brings_a_bad_receipt),
		T(it_waits_and_its_worker_claims_it),
		T(it_waits_and_its_worker_settles_it),
		T(it_waits_in_vain),
		T(it_waits_and_its_gateway_dies),
		T(it_is_given_back_to_its_worker),
		T(it_is_given_back_to_its_worker_that_has_ended_it),
		T(posted_is_said_once_more),
		cmocka_unit_test_setup_teardown(a_broker_that_stood_still, rig_setup_short, rig_teardown),
		cmocka_unit_test_setup_teardown(a_single_peer_of_a_broker_that_stood_still, rig_setup_short,
						rig_teardown),
		cmocka_unit_test_setup_teardown(a_broker_that_hears_nobody, rig_setup_short, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
