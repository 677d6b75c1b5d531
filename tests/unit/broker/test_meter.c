/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits of users in a whole broker: what is refused, what is told, and that
 * nothing stays counted.
 */
#include "tests/unit/broker/test.h"

#include <string.h>

#include "broker/meter.h"
#include "common/hash.h"
#include "tests/unit/broker/rig.h"

static struct user *alice(struct rig *r)
{
	return ledger_user_named(r->b.ledger, SLICE_STR("alice"));
}

/* A second user with money; token gets the hash of its token. */
static struct user *bob(struct rig *r, uint8_t token[KEY_BYTES])
{
	struct store_op *op;
	struct user *u;

	assert_int_equal(ledger_user_add(r->b.ledger, SLICE_STR("bob"), 1, &u, &op), ERR_OK);
	broker_keep(&r->b, op);
	assert_int_equal(ledger_fund(r->b.ledger, u, 1000000, "test", "start", 1, &op), ERR_OK);
	broker_keep(&r->b, op);
	hash(token, SLICE_STR("sk-bob"));
	assert_int_equal(ledger_token_add(r->b.ledger, u, token, SLICE_STR("t"), "-bob", 1, &op), ERR_OK);
	broker_keep(&r->b, op);
	return u;
}

/* From here on there is nobody to take work. */
static void no_worker(struct rig *r)
{
	actor_bye(&r->wk);
	rig_run(r, 50);
}

static void nothing_counted(const struct rig *r, const struct user *u)
{
	assert_true(u->use.running == 0 && u->use.waiting == 0 && u->use.bytes == 0);
	assert_true(r->b.waiting == 0 && r->b.body_bytes == 0);
}

static void rate(void **state)
{
	struct rig *r = *state;
	struct locked l;
	struct refuse no;
	struct work w;

	r->b.conf.user_rate = 3;
	assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_OK);
	assert_true(l.quota.limit == 3 && l.quota.remaining == 2 && l.quota.reset_s == 20);
	rig_job(r, l.stack, 0);
	w = rig_work(r, &r->wk);
	assert_true(w.quota.limit == 3 && w.quota.remaining == 1);
	rig_job(r, l.stack + 1, 0); /* refusals of other kinds count and tell, too */
	no = rig_refusal(r);
	assert_int_equal(no.error, ERR_NOT_FOUND);
	assert_true(no.quota.limit == 3 && no.quota.remaining == 0);
	rig_job(r, l.stack, 0);
	no = rig_refusal(r);
	assert_int_equal(no.error, ERR_RATE);
	assert_in_range(no.retry_after_s, 19, 20);
	assert_true(no.quota.limit == 3 && no.quota.remaining == 0);
	assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_RATE);
	r->token[0] ^= 1; /* nobody: is told of no limit */
	rig_job(r, l.stack, 0);
	no = rig_refusal(r);
	assert_int_equal(no.error, ERR_AUTH);
	assert_int_equal(no.quota.limit, 0);
	r->token[0] ^= 1;
	rig_posted(&r->wk, &w);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 10, 10, NULL);
	nothing_counted(r, alice(r));
}

static void concurrency(void **state)
{
	struct rig *r = *state;
	uint64_t stack = rig_locked(r, 100);
	struct refuse no;
	struct work w[2];
	struct locked l;

	r->b.conf.user_concurrent = 2;
	for (int i = 0; i < 2; i++) {
		rig_job(r, stack, 10);
		w[i] = rig_work(r, &r->wk);
	}
	assert_int_equal(alice(r)->use.running, 2);
	rig_job(r, stack, 10);
	no = rig_refusal(r);
	assert_int_equal(no.error, ERR_RATE);
	assert_true(no.retry_after_s == 1 && no.quota.limit == 2 && no.quota.remaining == 0);
	rig_posted(&r->wk, &w[0]);
	rig_settle_ack(r, &r->wk, &w[0], SETTLE_FAILED, 0, 0, NULL);
	rig_job(r, stack, 10);
	w[0] = rig_work(r, &r->wk);
	assert_int_equal(rig_lock(r, 10, 60, &l), ERR_OK); /* unused locks are bounded by the same number */
	assert_int_equal(rig_lock(r, 10, 60, &l), ERR_OK);
	assert_int_equal(rig_lock(r, 10, 60, &l), ERR_RATE);
	for (int i = 0; i < 2; i++) {
		rig_settle_ack(r, &r->wk, &w[i], SETTLE_FAILED, 0, 0, NULL);
	}
	nothing_counted(r, alice(r));
}

/* What was reserved and not billed may be reserved again in the same minute. */
static void units_per_minute(void **state)
{
	struct rig *r = *state;
	uint64_t stack = rig_locked(r, 10);
	struct refuse no;
	struct work w;

	r->b.conf.user_units_per_minute = 1000;
	rig_job(r, stack, 900);
	w = rig_work(r, &r->wk);
	rig_job(r, stack, 900);
	no = rig_refusal(r);
	assert_int_equal(no.error, ERR_RATE);
	assert_in_range(no.retry_after_s, 47, 48);
	assert_int_equal(no.quota.limit, 1000);
	rig_posted(&r->wk, &w);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 20, 30, NULL);
	rig_job(r, stack, 900);
	w = rig_work(r, &r->wk);
	rig_settle_ack(r, &r->wk, &w, SETTLE_FAILED, 0, 0, NULL);
	nothing_counted(r, alice(r));
}

/* One user's flood takes half of the queue and then hears 429; another one is still
 * served, and first come does not mean first served between the two. */
static void flood(void **state)
{
	struct rig *r = *state;
	uint8_t token[2][KEY_BYTES];
	uint64_t stack[2];
	struct refuse no;
	struct work w;
	struct user *b = bob(r, token[1]);

	memcpy(token[0], r->token, KEY_BYTES);
	for (int i = 0; i < 2; i++) {
		memcpy(r->token, token[i], KEY_BYTES);
		stack[i] = rig_locked(r, 1000);
	}
	r->b.conf.queue_max = 8;
	node_sub(rig_node(r), registry_model(r->b.registry, SLICE_STR("demo"))->id)->max_concurrent = 0;
	no_worker(r);
	memcpy(r->token, token[0], KEY_BYTES);
	for (int i = 0; i < 4; i++)
		rig_job(r, stack[0], 10);
	rig_job(r, stack[0], 10);
	no = rig_refusal(r);
	assert_true(no.error == ERR_RATE && no.retry_after_s == 1);
	memcpy(r->token, token[1], KEY_BYTES);
	rig_job(r, stack[1], 10);
	rig_run(r, 50);
	assert_true(alice(r)->use.waiting == 4 && b->use.waiting == 1 && r->b.waiting == 5);
	assert_true(alice(r)->use.bytes == 4 * strlen("{\"sealed\":true}"));
	actor_hello(r, &r->wk);
	rig_introduce(r, &r->gw, &r->wk);
	w = rig_work(r, &r->wk);
	assert_true(w.stack == stack[0]);
	w = rig_work(r, &r->wk);
	assert_true(w.stack == stack[1]); /* before alice's other three */
}

/* When everything is full, it is nobody's fault: 503. */
static void full(void **state)
{
	struct rig *r = *state;
	uint64_t stack = rig_locked(r, 1000);
	struct refuse no;

	r->b.conf.queue_max = 1;
	no_worker(r);
	rig_job(r, stack, 10);
	rig_job(r, stack, 10);
	no = rig_refusal(r);
	assert_true(no.error == ERR_UNAVAILABLE && no.retry_after_s == 1);
	no = rig_refusal(r); /* the first, at the end of its time for dispatch */
	assert_int_equal(err_status(no.error), 503);
	rig_run(r, 50);
	nothing_counted(r, alice(r));
}

/* Bodies are shared like places. */
static void bodies(void **state)
{
	struct rig *r = *state;
	uint64_t stack = rig_locked(r, 1000);
	size_t body = strlen("{\"sealed\":true}");
	struct refuse no;

	r->b.conf.body_budget = 4 * body;
	no_worker(r);
	for (int i = 0; i < 3; i++)
		rig_job(r, stack, 10);
	no = rig_refusal(r);
	assert_true(no.error == ERR_RATE && no.retry_after_s == 1);
	assert_true(r->b.body_bytes == 2 * body && alice(r)->use.bytes == 2 * body);
}

/* A broker that comes back finds the operator's limits, and requests of before counted once. */
static void restart(void **state)
{
	struct rig *r = *state;
	const struct limits own = { .v = { 100, LIMIT_UNSET, 0 } };
	uint64_t stack = rig_locked(r, 1000);
	struct store_op *op;
	struct limits l;
	struct work w;

	r->b.conf.user_units_per_minute = 5;
	assert_int_equal(ledger_set_limits(r->b.ledger, alice(r), &own, &op), ERR_OK);
	broker_keep(&r->b, op);
	rig_job(r, stack, 0);
	w = rig_work(r, &r->wk);
	rig_restart(r);
	l = meter_limits(&r->b, alice(r));
	assert_true(l.v[LIMIT_RATE] == 100 && l.v[LIMIT_UNITS] == 0);
	assert_true(l.v[LIMIT_CONCURRENT] == (int64_t)r->b.conf.user_concurrent);
	assert_int_equal(alice(r)->use.running, 0); /* not claimed yet */
	actor_hello(r, &r->wk);
	(void)actor_get(r, &r->wk, MSG_WELCOME);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 20, 30, NULL);
	nothing_counted(r, alice(r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rate, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(concurrency, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(units_per_minute, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(flood, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(full, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(bodies, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(restart, rig_setup, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
