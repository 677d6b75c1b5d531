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

static int setup(void **state)
{
	*state = rig_new(NULL);
	return 0;
}

static int setup_short(void **state)
{
	*state = rig_new("--heartbeat-ms=50");
	return 0;
}

static int teardown(void **state)
{
	rig_free(*state);
	return 0;
}

static void not_reached(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->error = ERR_UNAVAILABLE;
}

static void answered_before(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->error = ERR_ANSWERED;
}

/* A request whose first worker was taken for dead before it had said "posted". */
struct twice {
	struct actor *first, *second;
	struct work w1, w2;
};

static struct twice given_twice(struct rig *r, bool second_posted)
{
	struct twice t;
	struct locked l;

	assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_OK);
	actor_open(r, &r->wk2, ROLE_WORKER, 201);
	rig_introduce(r, &r->gw, &r->wk2);
	rig_job(r, l.stack, 0);
	rig_run(r, 30);
	t.first = actor_has(&r->wk, MSG_WORK) ? &r->wk : &r->wk2;
	t.second = t.first == &r->wk ? &r->wk2 : &r->wk;
	t.w1 = rig_work(r, t.first);
	peers_drop(&r->b, peers_by_instance(&r->b, t.first->instance, ROLE_WORKER), "test");
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
	actor_hello(r, &r->gw);
	actor_hello(r, t->first);
	actor_hello(r, t->second);
	rig_run(r, 30);
	assert_true(rig_stack(r)->reserved == 1000);
}

static void billed(struct rig *r, uint64_t units)
{
	rig_run(r, 30);
	assert_int_equal(rig_stack(r)->spent, units);
	assert_int_equal(rig_stack(r)->reserved, 0);
}

static void a_failure_of_the_first_comes_first(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	restarted(r, &t);
	rig_settle(r, t.first, &t.w1, SETTLE_FAILED, 0, 0, not_reached);
	rig_settled(r, t.first); /* it need not say so again */
	rig_settle(r, t.second, &t.w2, SETTLE_COMPLETE, 400, 400, NULL);
	rig_settled(r, t.second);
	billed(r, 800);
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
	rig_settle(r, t.first, &t.w1, SETTLE_FAILED, 0, 0, answered_before);
	rig_settled(r, t.first);
	rig_settle(r, t.second, &t.w2, SETTLE_COMPLETE, 400, 400, NULL);
	rig_settled(r, t.second);
	billed(r, 800);
}

/* The first one had posted it after all: that is what the node told the second. */
static void the_first_was_answered(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, false);

	restarted(r, &t);
	rig_settle(r, t.second, &t.w2, SETTLE_FAILED, 0, 0, answered_before);
	rig_settled(r, t.second);
	assert_true(rig_stack(r)->reserved == 1000);
	rig_inflight(t.first, &t.w1, true);
	rig_run(r, 10);
	rig_settle(r, t.first, &t.w1, SETTLE_COMPLETE, 300, 400, NULL);
	rig_settled(r, t.first);
	billed(r, 700);
}

/* The same, said before the restart. */
static void the_first_was_answered_as_was_known(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	rig_settle(r, t.second, &t.w2, SETTLE_FAILED, 0, 0, answered_before);
	rig_settled(r, t.second);
	rig_run(r, 30);
	restarted(r, &t);
	rig_settle(r, t.first, &t.w1, SETTLE_COMPLETE, 300, 400, NULL);
	rig_settled(r, t.first);
	billed(r, 700);
}

/* The same, and the second one's worker was gone before it could say so. */
static void the_first_was_answered_and_the_second_is_gone(void **state)
{
	struct rig *r = *state;
	struct twice t = given_twice(r, true);

	peers_drop(&r->b, peers_by_instance(&r->b, t.second->instance, ROLE_WORKER), "test");
	actor_hello(r, t.first);
	actor_hello(r, t.second);
	rig_run(r, 30);
	rig_settle(r, t.second, &t.w2, SETTLE_FAILED, 0, 0, answered_before);
	rig_settled(r, t.second);
	assert_true(rig_stack(r)->reserved == 1000);
	rig_settle(r, t.first, &t.w1, SETTLE_STOPPED, 1, 2, NULL);
	rig_settled(r, t.first);
	billed(r, 3);
}

/* Gateway and worker die in one moment: it may have been posted all the same. */
static void a_worker_and_its_gateway(void **state)
{
	struct rig *r = *state;
	struct receipt_wanted want;
	struct locked l;
	struct work w;

	assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_OK);
	rig_job(r, l.stack, 0);
	w = rig_work(r, &r->wk);
	peers_drop(&r->b, peers_by_instance(&r->b, r->gw.instance, ROLE_GATEWAY), "test");
	peers_drop(&r->b, peers_by_instance(&r->b, r->wk.instance, ROLE_WORKER), "test");
	rig_run(r, 10);
	assert_true(rig_stack(r)->reserved == 1000);
	actor_open(r, &r->wk2, ROLE_WORKER, 201);
	assert_int_equal(receipt_wanted_decode(actor_get(r, &r->wk2, MSG_RECEIPT_WANTED), &want), ERR_OK);
	assert_memory_equal(want.ref.rid, w.rid, RID_BYTES);
	rig_settle(r, &r->wk2, &w, SETTLE_STOPPED, 10, 5, NULL);
	rig_settled(r, &r->wk2);
	billed(r, 15);
}

/* Its worker came back, and is gone again: the time before does not count. */
static void a_worker_that_is_gone_twice(void **state)
{
	struct rig *r = *state;
	struct receipt_wanted want;
	struct locked l;
	struct work w;

	assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_OK);
	rig_job(r, l.stack, 0);
	w = rig_work(r, &r->wk);
	rig_posted(&r->wk, &w);
	rig_run(r, 20);
	peers_drop(&r->b, peers_by_instance(&r->b, r->wk.instance, ROLE_WORKER), "test");
	task_find(&r->b, w.rid)->since_ms -= 20 * 60000;
	actor_hello(r, &r->wk);
	rig_run(r, 20);
	rig_inflight(&r->wk, &w, true);
	rig_run(r, 20);
	peers_drop(&r->b, peers_by_instance(&r->b, r->wk.instance, ROLE_WORKER), "test");
	rig_run(r, 20);
	assert_true(rig_stack(r)->reserved == 1000);
	actor_open(r, &r->wk2, ROLE_WORKER, 201);
	assert_int_equal(receipt_wanted_decode(actor_get(r, &r->wk2, MSG_RECEIPT_WANTED), &want), ERR_OK);
	rig_settle(r, &r->wk2, &w, SETTLE_STOPPED, 10, 5, NULL);
	rig_settled(r, &r->wk2);
	billed(r, 15);
}

/* Everybody spoke all the time, and the broker has not listened yet. */
static void a_broker_that_stood_still(void **state)
{
	struct rig *r = *state;
	struct locked l;
	struct work w;

	actor_ping(&r->gw);
	actor_ping(&r->wk);
	assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_OK);
	rig_job(r, l.stack, 0);
	w = rig_work(r, &r->wk);
	rig_posted(&r->wk, &w);
	for (int i = 0; i < 10; i++) {
		actor_ping(&r->gw);
		actor_ping(&r->wk);
		usleep(40000);
	}
	rig_run(r, 20);
	assert_non_null(peers_by_instance(&r->b, r->gw.instance, ROLE_GATEWAY));
	assert_non_null(peers_by_instance(&r->b, r->wk.instance, ROLE_WORKER));
	rig_settle(r, &r->wk, &w, SETTLE_COMPLETE, 400, 400, NULL);
	rig_settled(r, &r->wk);
	billed(r, 800);
	rig_run(r, 400); /* and whoever is silent really is missed */
	assert_null(peers_by_instance(&r->b, r->gw.instance, ROLE_GATEWAY));
	assert_null(peers_by_instance(&r->b, r->wk.instance, ROLE_WORKER));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
		cmocka_unit_test_setup_teardown(a_broker_that_stood_still, setup_short, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
