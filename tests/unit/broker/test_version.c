/* SPDX-License-Identifier: Apache-2.0
 *
 * Peers of another version, by the bytes that they say: they get nothing to do, and
 * what tells them why.
 */
#include "tests/unit/broker/test.h"

#include <string.h>
#include <unistd.h>

#include "broker/peers.h"
#include "proto/admin.h"
#include "tests/unit/broker/rig.h"

#define FOREIGN_MS 300 /* more than three heartbeats */

static int setup(void **state)
{
	*state = rig_new("--heartbeat-ms=80");
	return 0;
}

/* The HELLO of the version after ours: the number stands where it always does, the rest is anybody's guess.
 */
static void hello_of_the_next(struct actor *a)
{
	static const uint8_t bytes[] = { 0x95, PROTO_VERSION + 1, MSG_HELLO, 0xc0, 0x02, 0xa1, 'x' };
	struct buf msg = { 0 };

	buf_add(&msg, bytes, sizeof(bytes));
	actor_send(a, &msg, NULL);
}

static void another_number_is_told_ours(void **state)
{
	struct rig *r = *state;
	struct welcome w;

	actor_open(r, &r->wk2, ROLE_WORKER, 0); /* a connection to say it on */
	hello_of_the_next(&r->wk2);
	assert_int_equal(welcome_decode(actor_get(r, &r->wk2, MSG_WELCOME), &w), ERR_OK);
	assert_int_equal(w.member, 0);
	assert_int_equal(r->b.peers->n, 2); /* it is nobody all the same */
}

static void another_number_from_a_stranger(void **state)
{
	struct rig *r = *state;
	char path[sizeof(r->dir) + 8];

	actor_open(r, &r->wk2, ROLE_WORKER, 0);
	rig_run(r, 50);
	rig_allow(r, false); /* connected, and not on the list any more */
	snprintf(path, sizeof(path), "%s/peers", r->dir);
	assert_int_equal(zauth_load(r->b.zauth, path), ERR_OK);
	hello_of_the_next(&r->wk2);
	actor_none(r, &r->wk2, MSG_WELCOME, 100);
}

/* For ms as a worker that could not read the WELCOME: HELLO, and nothing else. */
static void hello_for(struct rig *r, struct actor *a, unsigned ms)
{
	for (unsigned i = 0; i < ms / 20; i++) {
		actor_hello(r, a);
		rig_alive(r, 20, NULL);
	}
}

/* Its form was changed under the number that is ours. */
static void who_never_understands_gets_nothing(void **state)
{
	struct rig *r = *state;
	uint64_t stack = rig_locked(r, 1000);
	struct party *p = peers_by_instance(&r->b, r->wk.instance, ROLE_WORKER);
	struct work w;

	rig_job_within(r, stack, 0, 5000);
	(void)rig_work(r, &r->wk); /* which it cannot read */
	assert_int_equal(p->n_tasks, 1);
	hello_for(r, &r->wk, FOREIGN_MS);
	assert_int_equal(p->n_tasks, 0);
	assert_null(peers_worker_for(&r->b, r->gw.instance, 0, 1));
	assert_null(peers_any_worker(&r->b, 0, 1));
	rig_second_worker(r);
	w = rig_work(r, &r->wk2); /* the job goes to who does */
	assert_int_equal(w.attempt, 2);
	rig_posted(&r->wk2, &w);
	rig_settle_ack(r, &r->wk2, &w, SETTLE_COMPLETE, 1, 1, NULL);
}

static void who_says_ping_has_understood(void **state)
{
	struct rig *r = *state;
	struct party *p = peers_by_instance(&r->b, r->wk.instance, ROLE_WORKER);

	for (unsigned i = 0; i < FOREIGN_MS / 20; i++) {
		actor_hello(r, &r->wk);
		rig_alive(r, 20, &r->wk);
	}
	assert_false(p->foreign);
	hello_for(r, &r->wk, FOREIGN_MS);
	assert_true(p->foreign);
	rig_alive(r, 40, &r->wk);
	assert_false(p->foreign);
	assert_ptr_equal(peers_worker_for(&r->b, r->gw.instance, 0, 1), p);
}

/* It may be that only our words do not reach it, and its do reach us. */
static void what_it_has_posted_stays_its(void **state)
{
	struct rig *r = *state;
	struct party *p = peers_by_instance(&r->b, r->wk.instance, ROLE_WORKER);
	struct work w = rig_at_node(r);

	rig_run(r, 20);
	hello_for(r, &r->wk, FOREIGN_MS);
	assert_true(p->foreign);
	assert_int_equal(p->n_tasks, 1);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 1, 1, NULL);
}

/* All processes of a machine were stopped: a worker that comes back says HELLO first, and has what it had. */
static void a_machine_that_stood_still(void **state)
{
	struct rig *r = *state;
	struct party *p = peers_by_instance(&r->b, r->wk.instance, ROLE_WORKER);
	struct work w;

	actor_ping(&r->wk);
	w = rig_at_node(r);
	usleep(1000 * FOREIGN_MS);
	actor_hello(r, &r->wk);
	rig_alive(r, 40, NULL);
	assert_false(p->foreign);
	assert_int_equal(p->n_tasks, 1);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 1, 1, NULL);
}

/* An operator's command of the next version: the reply has ours in front. */
static void a_command_of_the_next_version(void **state)
{
	static const uint8_t bytes[] = { 0x94, PROTO_VERSION + 1, MSG_ADMIN, 0xc0, 0x02 };
	struct rig *r = *state;
	struct zsock_opts o = { .type = ZSOCK_DEALER, .on_msg = rig_inbox, .arg = &r->wk2 };
	struct buf msg = { 0 };
	struct admin_reply reply;

	r->wk2.z = zsock_open(r->zctx, &r->loop, &o);
	assert_int_equal(zsock_connect(r->wk2.z, r->admin, false), ERR_OK);
	rig_run(r, 50);
	buf_add(&msg, bytes, sizeof(bytes));
	actor_send(&r->wk2, &msg, NULL);
	assert_int_equal(admin_reply_decode(actor_get(r, &r->wk2, MSG_ADMIN_REPLY), &reply), ERR_OK);
	assert_int_equal(reply.error, ERR_VERSION);
	assert_true(slice_is(reply.body, "{\"message\":\"this broker is sealway " SEALWAY_VERSION "\"}"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(another_number_is_told_ours),
		cmocka_unit_test_setup_teardown(another_number_from_a_stranger, rig_setup_curve,
						rig_teardown),
		T(who_never_understands_gets_nothing),
		T(who_says_ping_has_understood),
		T(what_it_has_posted_stays_its),
		T(a_machine_that_stood_still),
		T(a_command_of_the_next_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
