/* SPDX-License-Identifier: Apache-2.0
 *
 * What was found by looking for units for free and promises that do not hold:
 * each test failed once.
 */
#include "tests/unit/broker/test.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "broker/task.h"
#include "tests/unit/broker/rig.h"

static atomic_bool disk_hangs;

/* The disk that a test can stop: takes the C library's place in this program. */
int fdatasync(int fd)
{
	(void)fd;
	while (atomic_load(&disk_hangs))
		usleep(1000);
	return 0;
}

static int teardown(void **state)
{
	atomic_store(&disk_hangs, false);
	rig_free(*state);
	return 0;
}

static void ask_lock(struct rig *r)
{
	struct lock_ask m = { .model = SLICE_STR("demo"), .has_units = true, .units = 100, .timeout_s = 60 };
	struct buf msg = { 0 };

	memset(m.rid, 0x77, RID_BYTES);
	memcpy(m.token_hash, r->token, KEY_BYTES);
	lock_ask_encode(&m, &msg);
	actor_send(&r->gw, &msg, NULL);
}

/* A power cut after LOCKED must not undo the purchase that it told of. */
static void a_stack_is_promised_when_the_disk_has_it(void **state)
{
	struct rig *r = *state;
	struct locked l;

	rig_alive(r, 40, &r->wk);
	atomic_store(&disk_hangs, true);
	ask_lock(r);
	for (int i = 0; i < 3; i++) {
		actor_ping(&r->gw);
		actor_none(r, &r->gw, MSG_LOCKED, 30);
	}
	atomic_store(&disk_hangs, false);
	assert_int_equal(locked_decode(actor_get(r, &r->gw, MSG_LOCKED), &l), ERR_OK);
	assert_int_equal(l.digest.n, 64);
}

/* A worker that finds the restarted broker late still has the request: another
 * one's "lost" must not give its units back. */
static void a_late_claim_after_a_restart(void **state)
{
	struct rig *r = *state;
	struct work w = rig_at_node(r);

	rig_run(r, 20);
	rig_restart(r);
	actor_hello(r, &r->gw);
	(void)actor_get(r, &r->gw, MSG_WELCOME);
	actor_open(r, &r->wk2, ROLE_WORKER, 201);
	rig_alive(r, 400, &r->wk2);
	(void)actor_get(r, &r->wk2, MSG_RECEIPT_WANTED);
	actor_hello(r, &r->wk);
	(void)actor_get(r, &r->wk, MSG_WELCOME);
	rig_inflight(&r->wk, &w, true);
	actor_ping(&r->wk);
	rig_alive(r, 40, &r->wk2);
	rig_settle_ack(r, &r->wk2, &w, SETTLE_LOST, 0, 0, NULL);
	assert_int_equal(rig_stack(r)->reserved, 1000);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 7, 7, NULL);
	assert_int_equal(rig_stack(r)->spent, 14);
}

/* The first worker was only cut off from the broker: it had posted, and goes on. */
static struct work taken_for_dead(struct rig *r, struct work *second)
{
	struct work w = rig_given_to_silent(r);

	*second = rig_work(r, &r->wk2);
	assert_int_equal(second->attempt, 2);
	rig_posted(&r->wk2, second);
	rig_settle_ack(r, &r->wk2, second, SETTLE_FAILED, 0, 0, rig_answered_before);
	rig_run(r, 20);
	assert_int_equal(rig_stack(r)->reserved, 1000);
	return w;
}

static void the_first_attempt_is_billed_by_its_worker(void **state)
{
	struct rig *r = *state;
	struct work second, w = taken_for_dead(r, &second);

	actor_hello(r, &r->wk);
	(void)actor_get(r, &r->wk, MSG_WELCOME);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 10, 20, NULL);
	rig_run(r, 20);
	assert_true(rig_stack(r)->spent == 30 && rig_stack(r)->reserved == 0);
	assert_int_equal(rig_node(r)->row.faults, 0);
}

static void the_first_attempt_is_billed_by_its_receipt(void **state)
{
	struct rig *r = *state;
	struct receipt_wanted want;
	struct work second, w = taken_for_dead(r, &second);

	assert_int_equal(receipt_wanted_decode(actor_get(r, &r->wk2, MSG_RECEIPT_WANTED), &want), ERR_OK);
	w.attempt = want.ref.attempt;
	rig_settle_ack(r, &r->wk2, &w, SETTLE_STOPPED, 10, 5, NULL);
	assert_true(rig_stack(r)->spent == 15 && rig_stack(r)->reserved == 0);
}

/* A client that sends its own sealed bytes twice gets its units back, and accuses nobody. */
static void answered_to_a_first_attempt_is_a_replay(void **state)
{
	struct rig *r = *state;
	struct work w = rig_at_node(r);

	rig_settle_ack(r, &r->wk, &w, SETTLE_FAILED, 0, 0, rig_answered_before);
	assert_true(rig_stack(r)->spent == 0 && rig_stack(r)->reserved == 0);
	assert_int_equal(rig_node(r)->row.faults, 0);
}

static void other_offer(struct registration *reg, struct registration_msg *m)
{
	(void)m;
	reg->models[0].name = SLICE_STR("other");
}

/* A lock given before the node withdrew its offer counts as one, until it is gone. */
static void locks_of_a_withdrawn_offer_are_counted(void **state)
{
	struct rig *r = *state;
	struct locked l;
	uint64_t model = registry_model(r->b.registry, SLICE_STR("demo"))->id;

	assert_int_equal(rig_lock(r, 100, 1, &l), ERR_OK);
	assert_int_equal(rig_register(r, false, other_offer), ERR_OK);
	rig_alive(r, 1200, &r->wk);
	assert_int_equal(rig_stack(r)->reserved, 0);
	assert_int_equal(rig_register(r, false, NULL), ERR_OK);
	assert_int_equal(node_sub(rig_node(r), model)->locks, 0);
	assert_int_equal(rig_lock(r, 100, 60, &l), ERR_OK);
	assert_int_equal(rig_register(r, false, other_offer), ERR_OK);
	rig_restart(r);
	actor_hello(r, &r->gw);
	(void)actor_get(r, &r->gw, MSG_WELCOME);
	assert_int_equal(rig_register(r, false, NULL), ERR_OK);
	assert_int_equal(node_sub(rig_node(r), model)->locks, 1);
	rig_job(r, l.stack, 0);
	rig_run(r, 20);
	assert_int_equal(node_sub(rig_node(r), model)->locks, 0);
}

/* Between the first look at a registration and its signatures' proof. */
static void on_turn(uv_check_t *c)
{
	struct rig *r = c->data;
	struct node *n = rig_node(r);

	if (n->registering)
		n->row.state = NODE_REMOVED;
}

static void what_changed_while_signatures_were_verified(void **state)
{
	struct rig *r = *state;
	uv_check_t check = { .data = r };
	uint64_t counter = rig_node(r)->row.counter;

	uv_check_init(&r->loop, &check);
	uv_check_start(&check, on_turn);
	assert_int_equal(rig_register(r, true, NULL), ERR_NOT_FOUND);
	assert_int_equal(rig_node(r)->row.counter, counter);
	uv_close((uv_handle_t *)&check, NULL);
	rig_run(r, 10);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, teardown)
#define SHORT(name) cmocka_unit_test_setup_teardown(name, rig_setup_short, teardown)

/* Said again while the disk writes the first: no SETTLED before it is safe, whoever asks. */
static void a_repeated_settlement_is_not_acknowledged_early(void **state)
{
	struct rig *r = *state;
	struct work w = rig_at_node(r);

	rig_run(r, 20);
	atomic_store(&disk_hangs, true);
	for (int i = 0; i < 3; i++) {
		rig_settle(r, &r->wk, &w, SETTLE_COMPLETE, 7, 7, NULL);
		rig_alive(r, 40, &r->wk);
		actor_none(r, &r->wk, MSG_SETTLED, 1);
	}
	atomic_store(&disk_hangs, false);
	rig_settled(r, &r->wk);
	assert_true(rig_stack(r)->spent == 14);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_stack_is_promised_when_the_disk_has_it),
		T(a_late_claim_after_a_restart),
		SHORT(the_first_attempt_is_billed_by_its_worker),
		SHORT(the_first_attempt_is_billed_by_its_receipt),
		T(answered_to_a_first_attempt_is_a_replay),
		T(locks_of_a_withdrawn_offer_are_counted),
		T(what_changed_while_signatures_were_verified),
		T(a_repeated_settlement_is_not_acknowledged_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
