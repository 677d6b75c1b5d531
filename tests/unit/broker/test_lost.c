/* SPDX-License-Identifier: Apache-2.0
 *
 * Receipts that one cannot get and another has: what a node signed is billed as long as somebody who has it
 * may still say so.
 */
#include "tests/unit/broker/test.h"

#include <string.h>
#include <unistd.h>

#include "broker/peers.h"
#include "broker/task.h"
#include "tests/unit/broker/rig.h"

#define MINUTE UINT64_C(60000)

/* Posted by the first worker; the second one is there, too. */
static struct work posted(struct rig *r)
{
	struct work w = rig_at_node(r);

	actor_open(r, &r->wk2, ROLE_WORKER, 201);
	(void)actor_get(r, &r->wk2, MSG_WELCOME);
	rig_run(r, 20);
	return w;
}

/* Whoever had it has until then to come back. */
static void back_by(struct rig *r, const struct work *w, uint64_t when)
{
	struct task *t = task_find(&r->b, w->rid);

	t->back_by = when;
	rig_ring(r, t, when);
}

/* Taken for dead, and waited for. */
static void drop(struct rig *r, struct actor *wk)
{
	r->b.conf.claim_ms = MINUTE;
	rig_drop(r, wk);
}

/* The node, restarted meanwhile, has no receipt. */
static void not_there(struct rig *r, const struct work *w)
{
	(void)actor_get(r, &r->wk2, MSG_RECEIPT_WANTED);
	rig_settle_ack(r, &r->wk2, w, SETTLE_LOST, 0, 0, NULL); /* it need not say so again */
	rig_run(r, 20);
}

/* Another worker finds the node's receipt. */
static void found(struct rig *r, const struct work *w, enum settle_outcome outcome)
{
	rig_settle_ack(r, &r->wk2, w, outcome, 10, 5, NULL);
	rig_billed(r, 15);
}

static void its_worker_settles(struct rig *r, const struct work *w)
{
	assert_true(rig_stack(r)->reserved == 1000);
	rig_settle_ack(r, &r->wk, w, SETTLE_COMPLETE, 300, 400, NULL);
	rig_billed(r, 700);
}

/* A worker that is silent is not dead. */
static void its_worker_comes_back(void **state)
{
	struct rig *r = *state;
	struct work w = posted(r);

	drop(r, &r->wk);
	not_there(r, &w);
	actor_hello(r, &r->wk);
	rig_run(r, 10);
	its_worker_settles(r, &w);
}

static void its_worker_does_not_come_back(void **state)
{
	struct rig *r = *state;
	struct work w = posted(r);

	drop(r, &r->wk);
	not_there(r, &w);
	assert_true(rig_stack(r)->reserved == 1000);
	back_by(r, &w, broker_ms(&r->b));
	not_there(r, &w); /* asked again, when the time to come back is over */
	rig_billed(r, 0);
	assert_int_equal(rig_node(r)->row.faults, 1);
}

/* Nobody else can have a receipt that its own worker has not. */
static void its_worker_comes_back_without(void **state)
{
	struct rig *r = *state;
	struct work w = posted(r);

	drop(r, &r->wk);
	rig_run(r, 10);
	actor_hello(r, &r->wk);
	rig_run(r, 10);
	rig_settle_ack(r, &r->wk, &w, SETTLE_LOST, 0, 0, NULL);
	rig_billed(r, 0);
}

/* Nobody waits for one that has said goodbye. */
static void its_worker_left(void **state)
{
	struct rig *r = *state;
	struct work w = posted(r);

	actor_bye(&r->wk);
	not_there(r, &w);
	rig_billed(r, 0);
}

/* Only the second worker has found the new broker; the first has a minute for it. */
static struct work posted_before_a_restart(struct rig *r)
{
	struct work w = posted(r);

	rig_restart(r);
	back_by(r, &w, broker_ms(&r->b) + MINUTE);
	rig_greet(r, &r->wk2);
	rig_run(r, 10);
	return w;
}

/* Found out for an earlier life of the broker, and told to this one. */
static void told_before_its_worker_is_back(void **state)
{
	struct rig *r = *state;
	struct work w = posted_before_a_restart(r);

	rig_settle_ack(r, &r->wk2, &w, SETTLE_LOST, 0, 0, NULL);
	rig_run(r, 10);
	actor_hello(r, &r->wk);
	rig_run(r, 10);
	its_worker_settles(r, &w);
}

/* Its worker died with the broker: the node need not live for as long as claims may take. */
static void asked_for_before_the_time_for_claims_is_over(void **state)
{
	struct rig *r = *state;
	struct work w = posted_before_a_restart(r);
	struct task *t = task_find(&r->b, w.rid);

	rig_ring(r, t, broker_ms(&r->b)); /* five heartbeats later */
	(void)actor_get(r, &r->wk2, MSG_RECEIPT_WANTED);
	assert_int_equal(t->state, TASK_UNCLAIMED);
	found(r, &w, SETTLE_COMPLETE);
}

static void its_worker_could_not_ask(struct rig *r, const struct work *w)
{
	rig_settle_ack(r, &r->wk, w, SETTLE_LOST, 0, 0, rig_not_reached);
	rig_run(r, 20);
	assert_true(rig_stack(r)->reserved == 1000);
}

/* The way between them is cut, which says nothing of what the node has. */
static void its_worker_cannot_reach_the_node(void **state)
{
	struct rig *r = *state;
	struct work w = posted(r);

	its_worker_could_not_ask(r, &w);
	(void)actor_get(r, &r->wk2, MSG_RECEIPT_WANTED); /* rather another */
	found(r, &w, SETTLE_STOPPED);
}

static void its_worker_cannot_reach_the_node_that_has_none(void **state)
{
	struct rig *r = *state;
	struct work w = posted(r);

	for (int i = 0; i < 2; i++)
		its_worker_could_not_ask(r, &w);
	not_there(r, &w);
	rig_billed(r, 0);
	assert_int_equal(rig_node(r)->row.faults, 1);
}

/* As if ms had gone by in which nobody could ask. */
static void later(struct rig *r, const struct work *w, uint64_t ms)
{
	struct task *t = task_find(&r->b, w->rid);

	t->since_ms -= ms;
	rig_ring(r, t, broker_ms(&r->b));
	rig_run(r, 10);
}

/* Most likely it died: nobody's units wait for it for as long as for a worker's. */
static void its_worker_cannot_reach_the_node_for_a_minute(void **state)
{
	struct rig *r = *state;
	struct work w = posted(r);

	its_worker_could_not_ask(r, &w);
	later(r, &w, MINUTE - 1000);
	assert_true(rig_stack(r)->reserved == 1000);
	later(r, &w, 1000);
	rig_billed(r, 0);
	assert_int_equal(rig_node(r)->row.faults, 1);
}

static void a_dead_workers_node_is_asked_for_longer(void **state)
{
	struct rig *r = *state;
	struct work w = posted(r);

	drop(r, &r->wk);
	later(r, &w, 14 * MINUTE);
	assert_true(rig_stack(r)->reserved == 1000);
	later(r, &w, MINUTE + 1000);
	rig_billed(r, 0);
}

/* Its own network was cut for long enough to be taken for dead. */
static void its_worker_comes_back_and_could_not_ask(void **state)
{
	struct rig *r = *state;
	struct work w = posted(r);

	drop(r, &r->wk);
	(void)actor_get(r, &r->wk2, MSG_RECEIPT_WANTED);
	actor_hello(r, &r->wk);
	rig_run(r, 10);
	its_worker_could_not_ask(r, &w);
	found(r, &w, SETTLE_STOPPED);
}

/* The broker did not listen while a worker settled, died and was started again. */
static void a_next_life_before_its_last_words(void **state)
{
	struct rig *r = *state;
	struct work w = posted(r);

	for (int i = 0; i < 20; i++)
		actor_ping(&r->wk);
	rig_settle(r, &r->wk, &w, SETTLE_COMPLETE, 300, 400, NULL);
	actor_hello_next_life(&r->wk2);
	usleep(100000); /* all of it is there */
	rig_run(r, 150);
	assert_null(peers_by_instance(&r->b, 200, ROLE_WORKER));
	rig_billed(r, 700);
}

/* The node is not to be reached for long; a receipt stays there for a quarter of an hour. */
static void as_long_as_the_node_may_have_it(void **state)
{
	struct rig *r = *state;
	struct work w = posted(r);
	struct task *t;

	drop(r, &r->wk);
	(void)actor_get(r, &r->wk2, MSG_RECEIPT_WANTED);
	t = task_find(&r->b, w.rid);
	for (int i = 0; i < 12; i++) { /* no answer, whoever is asked */
		t->since_ms -= MINUTE;
		t->asked_ms -= MINUTE;
		rig_ring(r, t, broker_ms(&r->b));
		(void)actor_get(r, &r->wk2, MSG_RECEIPT_WANTED);
	}
	found(r, &w, SETTLE_COMPLETE);
}

/* Its worker is gone, and that time is over. */
static struct task *asked_for_too_long(struct rig *r, const struct work *w)
{
	struct task *t = task_find(&r->b, w->rid);

	drop(r, &r->wk);
	rig_run(r, 10);
	t->since_ms -= 16 * MINUTE;
	return t;
}

static void not_longer(void **state)
{
	struct rig *r = *state;
	struct work w = posted(r);
	struct task *t = asked_for_too_long(r, &w);

	rig_ring(r, t, broker_ms(&r->b));
	rig_billed(r, 0);
}

/* The broker stood still for as long, and the receipt came meanwhile. */
static void time_that_the_broker_slept(void **state)
{
	struct rig *r = *state;
	struct work w = posted(r);
	struct task *t = asked_for_too_long(r, &w);

	rig_settle(r, &r->wk2, &w, SETTLE_COMPLETE, 10, 5, NULL);
	rig_ring(r, t, broker_ms(&r->b) - 16 * MINUTE);
	alarms_run(r->b.alarms, broker_ms(&r->b)); /* before anything is read, as in a loop that wakes */
	rig_settled(r, &r->wk2);
	rig_billed(r, 15);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(its_worker_comes_back),
		T(its_worker_does_not_come_back),
		T(its_worker_comes_back_without),
		T(its_worker_left),
		T(its_worker_cannot_reach_the_node),
		T(its_worker_cannot_reach_the_node_that_has_none),
		T(its_worker_comes_back_and_could_not_ask),
		T(its_worker_cannot_reach_the_node_for_a_minute),
		T(a_dead_workers_node_is_asked_for_longer),
		T(told_before_its_worker_is_back),
		T(asked_for_before_the_time_for_claims_is_over),
		T(a_next_life_before_its_last_words),
		T(as_long_as_the_node_may_have_it),
		T(not_longer),
		T(time_that_the_broker_slept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
