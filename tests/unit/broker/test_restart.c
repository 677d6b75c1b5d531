/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of requests and locks when the broker starts again, and when its
 * disk is full.
 */
#include "tests/unit/broker/test.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "broker/task.h"
#include "tests/unit/broker/rig.h"

#define BEYOND_CLAIM_MS 1000

static int setup(void **state)
{
	*state = rig_new("--claim-ms=700"); /* a busy machine may take 200 for what comes before */
	return 0;
}

/* With all that was said before committed; everybody finds it again. */
static void restarted(struct rig *r)
{
	rig_run(r, 20);
	rig_restart(r);
	rig_back(r);
}

static void restart_with_work_in_flight(void **state)
{
	struct rig *r = *state;
	struct work w = rig_at_node(r);

	(void)rig_locked(r, 500);
	rig_run(r, 20);
	rig_restart(r);
	assert_true(r->b.epoch > w.epoch);
	assert_true(rig_stack(r)->reserved == 1500); /* still held */
	rig_back(r);
	rig_inflight(&r->wk, &w, true);
	rig_alive(r, BEYOND_CLAIM_MS, &r->wk);
	actor_none(r, &r->wk, MSG_RECEIPT_WANTED, 1);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 7, 7, NULL);
	assert_true(rig_stack(r)->spent == 14 && rig_stack(r)->reserved == 500);
}

static void restart_and_settle_outright(void **state)
{
	struct rig *r = *state;
	struct work w = rig_at_node(r);

	restarted(r);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 7, 7, NULL);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 7, 7, NULL);
	assert_true(rig_stack(r)->spent == 14);
}

static void restart_and_nobody_claims(void **state)
{
	struct rig *r = *state;
	struct work w = rig_given(r);

	restarted(r);
	rig_alive(r, BEYOND_CLAIM_MS, &r->wk);
	(void)actor_get(r, &r->wk, MSG_RECEIPT_WANTED);
	rig_settle_ack(r, &r->wk, &w, SETTLE_LOST, 0, 0, NULL);
	assert_true(rig_stack(r)->spent == 0 && rig_stack(r)->reserved == 0);
	/* nobody knows whether the node ever had it */
	assert_int_equal(rig_node(r)->row.faults, 0);
}

static void say_waiting(struct rig *r, uint8_t rid)
{
	struct waiting_job m;
	struct buf b = { 0 };

	memset(m.rid, rid, RID_BYTES);
	waiting_encode(&m, &b);
	actor_send(&r->gw, &b, NULL);
}

/* A client that waited over the restart hears that nobody has its job: at once when the ledger does not
 * know it, else when no worker has claimed it in time. */
static void restart_and_somebody_waits(void **state)
{
	struct rig *r = *state;
	struct refuse m;
	struct work w = rig_given(r);

	restarted(r);
	say_waiting(r, 0xee);
	m = rig_refusal(r);
	assert_int_equal(m.error, ERR_UNAVAILABLE);
	assert_true(m.rid[0] == 0xee && m.retry_after_s > 0);
	say_waiting(r, w.rid[0]);
	actor_none(r, &r->gw, MSG_REFUSE, 50);
	rig_alive(r, BEYOND_CLAIM_MS, &r->wk);
	m = rig_refusal(r);
	assert_int_equal(m.error, ERR_UNAVAILABLE);
	assert_memory_equal(m.rid, w.rid, RID_BYTES);
	(void)actor_get(r, &r->wk, MSG_RECEIPT_WANTED);
	say_waiting(r, w.rid[0]); /* too late to wait */
	assert_int_equal(rig_refusal(r).error, ERR_UNAVAILABLE);
	rig_settle_ack(r, &r->wk, &w, SETTLE_LOST, 0, 0, NULL);
	assert_true(rig_stack(r)->spent == 0 && rig_stack(r)->reserved == 0);
}

/* The time for claims begins when the broker can hear them, however long it read a large ledger. */
static void a_long_restart_and_somebody_waits(void **state)
{
	struct rig *r = *state;
	struct work w = rig_at_node(r);

	r->loading_ms = BEYOND_CLAIM_MS;
	restarted(r);
	say_waiting(r, w.rid[0]);
	actor_none(r, &r->gw, MSG_REFUSE, 20);
	rig_inflight(&r->wk, &w, true);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 7, 7, NULL);
	assert_true(rig_stack(r)->spent == 14);
}

/* One that a worker has is not refused. */
static void restart_and_it_goes_on(void **state)
{
	struct rig *r = *state;
	struct work w = rig_at_node(r);

	restarted(r);
	say_waiting(r, w.rid[0]);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 3, 4, NULL);
	actor_none(r, &r->gw, MSG_REFUSE, 50);
	assert_true(rig_stack(r)->spent == 7);
}

static void restart_with_a_lock_that_expires(void **state)
{
	struct rig *r = *state;
	struct locked l;

	assert_int_equal(rig_lock(r, 1000, 1, &l), ERR_OK);
	rig_restart(r);
	assert_true(rig_stack(r)->reserved == 1000);
	rig_run(r, 1200);
	assert_true(rig_stack(r)->reserved == 0);
}

/* No file may grow any more, or again: what a full disk does. */
static void set_full(bool full)
{
	struct rlimit l = { full ? 0 : RLIM_INFINITY, RLIM_INFINITY };

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void until_written(struct rig *r)
{
	set_full(false);
	for (int i = 0; i < 500 && store_backlog(r->b.store); i++)
		rig_run(r, 10);
	rig_run(r, 20);
}

/* Who waits for a commit when the disk becomes full is told so then, and not left to wait until nobody
 * listens; nothing comes of it later. */
static void a_full_disk_is_told_at_once(void **state)
{
	struct rig *r = *state;
	uint64_t st = rig_locked(r, 1000), began = uv_hrtime();
	struct refuse no;
	struct locked l;

	set_full(true);
	assert_int_equal(rig_lock(r, 100, 60, &l), ERR_UNAVAILABLE);
	until_written(r);
	assert_true(rig_stack(r)->reserved == 1100); /* the clock ends it */
	set_full(true);
	rig_job(r, st, 0);
	no = rig_refusal(r);
	assert_true(no.error == ERR_UNAVAILABLE && no.retry_after_s == 1);
	assert_true(uv_hrtime() - began < UINT64_C(2000000000));
	until_written(r);
	actor_none(r, &r->gw, MSG_LOCKED, 20);
	actor_none(r, &r->gw, MSG_REFUSE, 1);
	actor_none(r, &r->wk, MSG_WORK, 1);
	assert_int_equal(map_count(r->b.tasks), 0);
	assert_true(rig_stack(r)->spent == 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(restart_with_work_in_flight),      T(a_long_restart_and_somebody_waits),
		T(restart_and_settle_outright),      T(restart_and_nobody_claims),
		T(restart_and_somebody_waits),       T(restart_and_it_goes_on),
		T(restart_with_a_lock_that_expires), T(a_full_disk_is_told_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
