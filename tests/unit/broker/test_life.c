/* SPDX-License-Identifier: Apache-2.0
 *
 * A request's life in the broker: locked, admitted, dispatched, settled; the
 * refusals on the way; and what happens when somebody dies.
 */
#include "tests/unit/broker/test.h"

#include <string.h>

#include "broker/task.h"
#include "proto/peer.h"
#include "tests/unit/broker/rig.h"

static void said_423(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->error = ERR_LOCKED;
}

static void lock_request_settle(void **state)
{
	struct rig *r = *state;
	struct locked l;
	struct work w;

	assert_int_equal(rig_lock(r, 1000, 5, &l), ERR_OK);
	assert_int_equal(l.node, 1);
	assert_memory_equal(l.node_key, r->x25519, KEY_BYTES);
	assert_int_equal(l.statement.n, STATEMENT_BYTES);
	assert_int_equal(l.digest.n, 64); /* it was bought for this */
	assert_true(rig_stack(r)->id == l.stack && rig_stack(r)->reserved == 1000);
	rig_job(r, l.stack, 0);
	w = rig_work(r, &r->wk);
	assert_true(w.units == 1000 && w.attempt == 1 && w.receipt_required);
	assert_true(slice_is(w.address, "http://127.0.0.1:9"));
	rig_posted(&r->wk, &w);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 10, 20, NULL);
	assert_true(rig_stack(r)->spent == 30 && rig_stack(r)->reserved == 0);
	assert_int_equal(rig_lock(r, 1000, 5, &l), ERR_OK);
	assert_int_equal(l.digest.n, 0); /* nothing new was bought */
}

static void settled_exactly_once(void **state)
{
	struct rig *r = *state;
	struct work w = rig_given(r);

	for (int i = 0; i < 5; i++)
		rig_settle(r, &r->wk, &w, SETTLE_COMPLETE, 10, 20, NULL);
	rig_settled(r, &r->wk);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 100, 200, NULL);
	rig_run(r, 30);
	assert_true(rig_stack(r)->spent == 30);
}

/* The node's 423 locks the stack: refused from here on, passed over by new locks, its units still there. */
static void node_says_423(struct rig *r, uint64_t stack)
{
	struct work w;

	rig_job(r, stack, 10);
	w = rig_work(r, &r->wk);
	rig_posted(&r->wk, &w);
	rig_settle_ack(r, &r->wk, &w, SETTLE_FAILED, 0, 0, said_423);
}

static void a_locked_stack(void **state)
{
	struct rig *r = *state;
	struct locked l, again;
	struct stack *st;

	assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_OK);
	rig_job(r, l.stack, 0);
	(void)rig_work(r, &r->wk); /* runs on: a locked stack still settles what it has */
	st = rig_stack(r);
	node_says_423(r, l.stack);
	assert_int_equal(st->state, STACK_LOCKED);
	assert_true(st->reserved == 1000 && st->spent == 0 && stack_free(st) == 100000 - 1000);
	rig_job(r, l.stack, 10);
	assert_int_equal(rig_refusal(r).error, ERR_LOCKED);
	r->x25519[0] ^= 1; /* 423 is said before 425 */
	rig_job(r, l.stack, 10);
	assert_int_equal(rig_refusal(r).error, ERR_LOCKED);
	r->x25519[0] ^= 1;
	assert_int_equal(rig_lock(r, 1000, 60, &again), ERR_OK);
	assert_true(again.stack != l.stack && again.digest.n == 64); /* another one, bought for this */
	rig_restart(r);
	rig_back(r);
	st = ledger_stack(r->b.ledger, l.stack);
	assert_int_equal(st->state, STACK_LOCKED);
	rig_job(r, l.stack, 10);
	assert_int_equal(rig_refusal(r).error, ERR_LOCKED);
	broker_keep(&r->b, ledger_stack_state(st, STACK_OPEN));
	rig_introduce(r, &r->gw, &r->wk);
	rig_job(r, l.stack, 10);
	assert_true(rig_work(r, &r->wk).units == 10);
}

/* A stack is not another user's business, locked or not. */
static void a_locked_stack_of_another(void **state)
{
	struct rig *r = *state;
	uint64_t st = rig_locked(r, 1000);
	struct store_op *op;
	struct user *u;

	broker_keep(&r->b, ledger_stack_state(rig_stack(r), STACK_LOCKED));
	assert_int_equal(ledger_user_add(r->b.ledger, SLICE_STR("bob"), 1, &u, &op), ERR_OK);
	broker_keep(&r->b, op);
	r->token[0] ^= 1;
	assert_int_equal(ledger_token_add(r->b.ledger, u, r->token, SLICE_STR("t"), "bobb", 1, &op), ERR_OK);
	broker_keep(&r->b, op);
	rig_job(r, st, 10);
	assert_int_equal(rig_refusal(r).error, ERR_NOT_FOUND);
}

/* A node that locks what it was paid for is not paid for ever. */
static void locked_again_and_again(void **state)
{
	struct rig *r = *state;
	struct locked l;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_OK);
		node_says_423(r, l.stack);
	}
	assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_NO_NODE);
	broker_keep(&r->b, ledger_stack_state(ledger_stack(r->b.ledger, l.stack), STACK_OPEN));
	assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_OK);
	assert_int_equal(l.digest.n, 0); /* the one that was opened serves */
}

static void engine_failed(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->error = ERR_ENGINE;
}

static void took_too_long(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->error = ERR_TIMEOUT;
}

/* As many whole answers as open a breaker, all of which end so. */
static void failures(struct rig *r, void (*so)(struct receipt *rc, struct settle *m))
{
	for (uint32_t i = 0; i < r->b.conf.breaker_failures; i++) {
		struct work w = rig_at_node(r);

		rig_settle_ack(r, &r->wk, &w, SETTLE_FAILED, 0, 0, so);
		assert_int_equal(rig_stack(r)->spent, 0);
	}
}

/* What a user's requests make an engine fail at takes its node from nobody, and says no good of it. */
static void an_engine_that_fails(void **state)
{
	struct rig *r = *state;
	struct locked l;

	rig_node(r)->failures = 2;
	failures(r, engine_failed);
	assert_int_equal(rig_node(r)->failures, 2);
	assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_OK);
}

/* Nor do whole answers for which a user asked so much that nobody waits that long; only where
 * nothing else tells whether the node hangs. */
static void whole_answers_that_take_too_long(void **state)
{
	struct rig *r = *state;

	r->b.conf.probe_ms = 60000;
	rig_node(r)->failures = 2;
	failures(r, took_too_long);
	assert_int_equal(rig_node(r)->failures, 2);
	r->b.conf.probe_ms = 0;
	rig_node(r)->failures = 0;
	failures(r, took_too_long);
	assert_int_equal(node_breaker(rig_node(r), broker_ms(&r->b)), BREAKER_OPEN);
}

static void no_room(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->error = ERR_UNAVAILABLE;
}

/* The node's answer was whole, and the worker had no memory for it: clients that take nothing see to that. */
static void a_worker_without_room(void **state)
{
	struct rig *r = *state;
	struct locked l;
	struct work w;

	for (uint32_t i = 0; i < r->b.conf.breaker_failures; i++) {
		assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_OK);
		rig_job(r, l.stack, 0);
		w = rig_work(r, &r->wk);
		rig_posted(&r->wk, &w);
		rig_settle(r, &r->wk, &w, SETTLE_COMPLETE, 3, 4, no_room);
		rig_settled(r, &r->wk);
	}
	assert_int_equal(rig_node(r)->failures, 0);
	assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_OK);
}

static void expiry_by_the_clock(void **state)
{
	struct rig *r = *state;
	struct locked l;

	assert_int_equal(rig_lock(r, 1000, 1, &l), ERR_OK);
	assert_true(rig_stack(r)->reserved == 1000);
	rig_alive(r, 1200, &r->wk);
	assert_true(rig_stack(r)->reserved == 0);
	rig_job(r, l.stack, 10); /* the key is still current: no lock is needed */
	assert_true(rig_work(r, &r->wk).units == 10);
}

static void locks_refuse(void **state)
{
	struct rig *r = *state;
	uint8_t good[KEY_BYTES];
	struct locked l;

	assert_int_equal(rig_lock(r, 50001, 5, &l), ERR_BODY);
	memcpy(good, r->token, KEY_BYTES);
	r->token[0] ^= 1;
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_AUTH);
	memcpy(r->token, good, KEY_BYTES);
	rig_node(r)->row.state = NODE_DRAINING;
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_NO_NODE);
	rig_node(r)->row.state = NODE_ACTIVE;
	node_wake(rig_node(r));
	ledger_user_named(r->b.ledger, SLICE_STR("alice"))->balance -= 999901;
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_BALANCE);
	ledger_user_named(r->b.ledger, SLICE_STR("alice"))->balance += 999901;
	assert_null(rig_stack(r));
}

/* Room for ten of 9,000 in a stack of 100,000, and no money for a second one. */
static void two_hundred_locks_at_once(void **state)
{
	struct rig *r = *state;
	struct user *u = ledger_user_named(r->b.ledger, SLICE_STR("alice"));
	struct lock_ask m = { .model = SLICE_STR("demo"), .has_units = true, .units = 9500, .timeout_s = 60 };
	unsigned given = 0, refused = 0;
	struct store_op *op;
	struct refuse no;

	assert_int_equal(ledger_fund(r->b.ledger, u, -999900, "test", "poor", 1, &op), ERR_OK);
	broker_keep(&r->b, op); /* 100 left: one stack */
	memcpy(m.token_hash, r->token, KEY_BYTES);
	for (int i = 0; i < 200; i++) {
		struct buf msg = { 0 };

		memset(m.rid, i + 1, RID_BYTES);
		m.rid[0] = 99;
		lock_ask_encode(&m, &msg);
		actor_send(&r->gw, &msg, NULL);
	}
	rig_run(r, 300);
	for (int i = 0; i < INBOX; i++) {
		enum msg_type type;

		if (!r->gw.in[i].used || msg_peek(buf_slice(&r->gw.in[i].msg), &type) != ERR_OK)
			continue;
		given += type == MSG_LOCKED;
		if (type == MSG_REFUSE) {
			assert_int_equal(refuse_decode(buf_slice(&r->gw.in[i].msg), &no), ERR_OK);
			assert_int_equal(no.error, ERR_BALANCE);
			refused++;
		}
	}
	assert_int_equal(given, 10);
	assert_int_equal(refused, 190);
	assert_true(u->balance == 0 && !rig_stack(r)->next_of_user); /* bought once */
}

static void tenants_look_alike(void **state)
{
	struct rig *r = *state;
	uint64_t st = rig_locked(r, 1000);
	uint8_t alice[KEY_BYTES];
	struct store_op *op;
	struct user *bob;

	rig_job(r, st + 1, 10); /* unknown */
	assert_int_equal(rig_refusal(r).error, ERR_NOT_FOUND);
	assert_int_equal(ledger_user_add(r->b.ledger, SLICE_STR("bob"), 1, &bob, &op), ERR_OK);
	broker_keep(&r->b, op);
	memcpy(alice, r->token, KEY_BYTES);
	memset(r->token, 9, KEY_BYTES);
	assert_int_equal(ledger_token_add(r->b.ledger, bob, r->token, SLICE_STR("t"), "xxxx", 1, &op),
			 ERR_OK);
	broker_keep(&r->b, op);
	rig_job(r, st, 10); /* alice's */
	assert_int_equal(rig_refusal(r).error, ERR_NOT_FOUND);
	memcpy(r->token, alice, KEY_BYTES);
	assert_true(rig_stack(r)->reserved == 1000); /* the lock is untouched */
}

/* The worker is connected, but does not hear the gateway. */
static void deaf(struct rig *r)
{
	struct heard h = { .topic = 100, .present = false };
	struct buf msg = { 0 };

	heard_encode(&h, &msg);
	actor_send(&r->wk, &msg, NULL);
	rig_run(r, 20);
}

static void keys_old_and_unknown(void **state)
{
	struct rig *r = *state;
	uint64_t st = rig_locked(r, 1000);
	uint8_t old[KEY_BYTES], fresh[KEY_BYTES];
	struct work w;

	memcpy(old, r->x25519, KEY_BYTES);
	assert_int_equal(rig_register(r, true, NULL), ERR_OK);
	memcpy(fresh, r->x25519, KEY_BYTES);
	memcpy(r->x25519, old, KEY_BYTES);
	rig_job(r, st, 0); /* under the lock that was given for it */
	w = rig_work(r, &r->wk);
	assert_memory_equal(w.node_key, old, KEY_BYTES);
	rig_job(r, st, 10); /* that lock is consumed */
	assert_int_equal(rig_refusal(r).error, ERR_KEY_ROTATED);
	memset(r->x25519, 3, KEY_BYTES);
	rig_job(r, st, 10);
	assert_int_equal(rig_refusal(r).error, ERR_KEY_UNKNOWN);
	memcpy(r->x25519, fresh, KEY_BYTES);
	rig_job(r, st, 10);
	(void)rig_work(r, &r->wk);
}

/* Its lock is good, but when it comes to its node the key would not be. */
static void an_old_key_does_not_wait_beyond_its_time(void **state)
{
	struct rig *r = *state;
	uint64_t st = rig_locked(r, 1000);
	uint8_t old[KEY_BYTES];
	struct node *n = rig_node(r);
	int64_t left_s = 2; /* the next second may begin before the job comes */

	memcpy(old, r->x25519, KEY_BYTES);
	assert_int_equal(rig_register(r, true, NULL), ERR_OK);
	memcpy(r->x25519, old, KEY_BYTES);
	for (unsigned i = 0; i < n->n_keys; i++)
		if (n->keys[i].superseded)
			n->keys[i].superseded = broker_now() - KEY_OVERLAP_S + left_s;
	deaf(r);
	rig_job_within(r, st, 0, 60000);
	assert_int_equal(rig_refusal(r).error, ERR_NO_WORKER);
	assert_true(rig_stack(r)->reserved == 0);
}

static void says_key_unknown(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m) {
		m->key_unknown = true;
		m->error = ERR_KEY_UNKNOWN;
	}
}

static void a_key_that_the_node_lacks_goes_at_once(void **state)
{
	struct rig *r = *state;
	uint64_t st = rig_locked(r, 1000);
	struct locked l;
	struct work w;

	(void)rig_locked(r, 500); /* another one for the same key */
	rig_job(r, st, 10);
	w = rig_work(r, &r->wk);
	rig_settle_ack(r, &r->wk, &w, SETTLE_FAILED, 0, 0, says_key_unknown);
	assert_true(rig_stack(r)->reserved == 0); /* both locks are gone */
	rig_job(r, st, 10);
	assert_int_equal(rig_refusal(r).error, ERR_KEY_UNKNOWN);
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_NO_NODE);
	assert_int_equal(rig_register(r, true, NULL), ERR_OK);
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_OK);
}

static void takes_less(struct registration *reg, struct registration_msg *m)
{
	(void)m;
	reg->models[0].max_units = reg->models[0].lock_units = 5000;
}

static void units(void **state)
{
	struct rig *r = *state;
	uint64_t st = rig_locked(r, 1000);
	struct refuse no;

	rig_job(r, st, 60001); /* more than the node takes */
	no = rig_refusal(r);
	assert_int_equal(no.error, ERR_BODY);
	assert_true(slice_is(no.param, "num_compute_units"));
	rig_job(r, st, 59000); /* what the lock does not cover comes from the stack */
	assert_true(rig_work(r, &r->wk).units == 59000);
	rig_job(r, st, 41001);
	assert_int_equal(rig_refusal(r).error, ERR_UNITS);
	rig_job(r, st, 0); /* neither lock nor number */
	assert_true(rig_work(r, &r->wk).units == UNITS_DEFAULT);
	assert_int_equal(rig_register(r, false, takes_less), ERR_OK);
	rig_job(r, st, 0); /* and never more than the node takes */
	assert_true(rig_work(r, &r->wk).units == 5000);
}

static void concurrency_of_a_node(void **state)
{
	struct rig *r = *state;
	uint64_t st = rig_locked(r, 1000);
	struct refuse no;
	struct work w;

	for (int i = 0; i < 3; i++)
		rig_job(r, st, 10);
	w = rig_work(r, &r->wk);
	rig_job(r, st, 10);
	no = rig_refusal(r);
	assert_int_equal(no.error, ERR_RATE);
	assert_int_equal(no.retry_after_s, 1);
	rig_settle_ack(r, &r->wk, &w, SETTLE_FAILED, 0, 0, NULL);
	rig_job(r, st, 10);
	(void)rig_work(r, &r->wk);
}

/* --- receipts that are not right: nothing is billed, the node is flagged --- */

static void other_stack(struct receipt *rc, struct settle *m)
{
	(void)m;
	if (rc)
		rc->stack++;
}

static void other_rid(struct receipt *rc, struct settle *m)
{
	(void)m;
	if (rc)
		rc->rid[3]++;
}

static void other_plain(struct receipt *rc, struct settle *m)
{
	(void)m;
	if (rc)
		rc->plain_hash[3]++;
}

static void other_model(struct receipt *rc, struct settle *m)
{
	(void)m;
	if (rc)
		rc->model_hash[3]++;
}

static void other_key(struct receipt *rc, struct settle *m)
{
	(void)m;
	if (rc)
		rc->node_key[3]++;
}

static void other_transcript(struct receipt *rc, struct settle *m)
{
	static const uint8_t t[KEY_BYTES] = { 1 };

	(void)rc;
	if (m)
		m->transcript = slice_of(t, sizeof(t));
}

static void without(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->receipt = m->signature = slice_of(NULL, 0);
}

static void wrong_receipts_bill_nothing(void **state)
{
	static void (*const spoil[])(struct receipt *, struct settle *) = {
		other_stack, other_rid,        other_plain,        other_model,
		other_key,   other_transcript, rig_unsigned_units, without,
	};
	struct rig *r = *state;
	uint64_t st = rig_locked(r, 1000);
	struct node *n = rig_node(r);

	for (size_t i = 0; i < sizeof(spoil) / sizeof(spoil[0]); i++) {
		struct work w;

		rig_job(r, st, 100);
		w = rig_work(r, &r->wk);
		rig_posted(&r->wk, &w);
		rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 10, 20, spoil[i]);
		assert_true(rig_stack(r)->spent == 0);
		assert_int_equal(n->row.faults, i + 1);
	}
}

static void excess_is_the_nodes_loss(void **state)
{
	struct rig *r = *state;
	struct work w = rig_given(r);

	rig_settle_ack(r, &r->wk, &w, SETTLE_STOPPED, ID_MAX, ID_MAX, NULL);
	assert_true(rig_stack(r)->spent == 1000);
}

/* --- who may say what --- */

static void other_attempt(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->attempt++;
}

static void other_epoch(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->epoch++;
}

static void only_its_worker_settles(void **state)
{
	struct rig *r = *state;
	uint64_t st = rig_locked(r, 1000);
	struct cancel c = { .attempt = 0 };
	struct buf msg = { 0 };
	struct work w;

	rig_second_worker(r);
	rig_job(r, st, 0);
	w = rig_work(r, &r->wk2); /* the newest of two idle ones */
	/* told to stop saying it, without effect */
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 10, 20, NULL);
	rig_settle_ack(r, &r->wk2, &w, SETTLE_COMPLETE, 10, 20, other_attempt);
	rig_settle_ack(r, &r->wk2, &w, SETTLE_COMPLETE, 10, 20, other_epoch);
	assert_true(rig_stack(r)->spent == 0 && rig_stack(r)->reserved == 1000);
	memcpy(c.rid, w.rid, RID_BYTES);
	cancel_encode(&c, &msg);
	actor_send(&r->wk, &msg, NULL); /* workers cancel nothing */
	actor_none(r, &r->wk2, MSG_CANCEL, 50);
	msg = (struct buf){ 0 };
	cancel_encode(&c, &msg);
	actor_send(&r->gw, &msg, NULL);
	(void)actor_get(r, &r->wk2, MSG_CANCEL);
	rig_settle_ack(r, &r->wk2, &w, SETTLE_STOPPED, 10, 20, NULL);
	assert_true(rig_stack(r)->spent == 30);
}

static void a_topic_belongs_to_its_gateway(void **state)
{
	struct rig *r = *state;
	uint64_t st = rig_locked(r, 1000);

	r->gw.instance = 777; /* a job for somebody else's topic */
	rig_job(r, st, 0);
	r->gw.instance = 100;
	actor_none(r, &r->wk, MSG_WORK, 100);
	assert_true(rig_stack(r)->reserved == 1000 && rig_stack(r)->locks);
}

static void another_gateway_cancels_nothing(void **state)
{
	struct rig *r = *state;
	struct cancel c = { .attempt = 0 };
	struct buf msg = { 0 };
	struct work w;

	actor_open(r, &r->wk2, ROLE_GATEWAY, 101);
	(void)actor_get(r, &r->wk2, MSG_WELCOME);
	w = rig_given(r);
	memcpy(c.rid, w.rid, RID_BYTES);
	cancel_encode(&c, &msg);
	actor_send(&r->wk2, &msg, NULL);
	actor_none(r, &r->wk, MSG_CANCEL, 50);
	assert_true(rig_stack(r)->reserved == 1000);
}

/* --- dispatch --- */

static void without_a_worker_until_the_deadline(void **state)
{
	struct rig *r = *state;
	uint64_t st = rig_locked(r, 1000);

	deaf(r);
	rig_job(r, st, 0);
	rig_alive(r, 200, &r->wk);
	assert_true(rig_stack(r)->reserved == 1000);
	rig_alive(r, 300, &r->wk);
	assert_int_equal(rig_refusal(r).error, ERR_NO_WORKER);
	rig_run(r, 20);
	assert_true(rig_stack(r)->reserved == 0); /* units return, the lock does not */
	actor_none(r, &r->wk, MSG_WORK, 1);
}

static void waits_for_a_worker_that_comes(void **state)
{
	struct rig *r = *state;
	uint64_t st = rig_locked(r, 1000);

	actor_bye(&r->wk);
	rig_run(r, 20);
	rig_job(r, st, 0);
	rig_run(r, 50);
	rig_second_worker(r);
	assert_true(rig_work(r, &r->wk2).units == 1000);
}

static void capacity_is_respected(void **state)
{
	struct rig *r = *state;
	uint64_t st = rig_locked(r, 1000);
	struct work w;

	rig_node(r)->subs->max_concurrent = 0;
	for (int i = 0; i < 5; i++)
		rig_job(r, st, 10);
	w = rig_work(r, &r->wk);
	for (int i = 0; i < 3; i++)
		(void)rig_work(r, &r->wk);
	actor_none(r, &r->wk, MSG_WORK, 50); /* four at a time */
	rig_settle(r, &r->wk, &w, SETTLE_FAILED, 0, 0, NULL);
	(void)rig_work(r, &r->wk);
}

static void returned_once_then_refused(void **state)
{
	struct rig *r = *state;
	struct work first = rig_given(r), again;

	assert_int_equal(first.attempt, 1);
	rig_give_back(&r->wk, &first);
	again = rig_work(r, &r->wk); /* nobody else is there */
	assert_int_equal(again.attempt, 2);
	rig_give_back(&r->wk, &first); /* of the old attempt: stale */
	rig_run(r, 20);
	assert_true(rig_stack(r)->reserved == 1000);
	rig_give_back(&r->wk, &again);
	assert_int_equal(rig_refusal(r).error, ERR_NO_WORKER);
	rig_run(r, 20);
	assert_true(rig_stack(r)->reserved == 0);
}

/* --- deaths --- */

static void a_silent_worker_before_posting(void **state)
{
	struct rig *r = *state;
	struct work w;

	(void)rig_given_to_silent(r);
	w = rig_work(r, &r->wk2);
	assert_int_equal(w.attempt, 2);
	rig_settle_ack(r, &r->wk2, &w, SETTLE_COMPLETE, 1, 2, NULL);
	assert_true(rig_stack(r)->spent == 3);
}

static void a_silent_worker_after_posting(void **state)
{
	struct rig *r = *state;
	struct work w = rig_at_node_of_silent(r);
	struct receipt_wanted want;

	assert_int_equal(rig_refusal(r).error, ERR_INTERNAL);
	actor_none(r, &r->wk2, MSG_WORK, 1); /* a sealed job is never posted twice */
	assert_int_equal(receipt_wanted_decode(actor_get(r, &r->wk2, MSG_RECEIPT_WANTED), &want), ERR_OK);
	assert_memory_equal(want.ref.rid, w.rid, RID_BYTES);
	assert_true(want.stack == rig_stack(r)->id && want.units == 1000);
	rig_alive(r, 400, &r->wk2); /* the question may be lost: five heartbeats, and it is asked again */
	assert_int_equal(receipt_wanted_decode(actor_get(r, &r->wk2, MSG_RECEIPT_WANTED), &want), ERR_OK);
	assert_memory_equal(want.ref.rid, w.rid, RID_BYTES);
	rig_settle_ack(r, &r->wk2, &w, SETTLE_STOPPED, 10, 5, NULL);
	assert_true(rig_stack(r)->spent == 15 && rig_stack(r)->reserved == 0);
}

/* A worker that was cut off brings failures home, as many as it had requests: the node goes on serving. */
static void a_worker_without_a_network(void **state)
{
	struct rig *r = *state;
	const struct node *n = rig_node(r);
	uint64_t st = rig_locked(r, 1000);
	struct work w;

	for (uint32_t i = 0; i < 2 * r->b.conf.breaker_failures; i++) {
		rig_job(r, st, 10);
		w = rig_work(r, &r->wk);
		rig_posted(&r->wk, &w);
		rig_run(r, 5);
		rig_alive(r, 300, NULL); /* only the gateway pings */
		assert_int_equal(rig_refusal(r).error, ERR_INTERNAL);
		actor_hello(r, &r->wk);
		rig_introduce(r, &r->gw, &r->wk);
		rig_settle_ack(r, &r->wk, &w, SETTLE_LOST, 0, 0, NULL);
		assert_int_equal(n->failures, 0);
	}
	rig_job(r, st, 10); /* with its worker there all the time it counts */
	w = rig_work(r, &r->wk);
	rig_posted(&r->wk, &w);
	rig_settle_ack(r, &r->wk, &w, SETTLE_LOST, 0, 0, NULL);
	assert_int_equal(n->failures, 1);
}

static void no_receipt_to_be_had(void **state)
{
	struct rig *r = *state;
	struct work w = rig_at_node(r);

	rig_run(r, 10);
	rig_settle_ack(r, &r->wk, &w, SETTLE_LOST, 0, 0, NULL);
	assert_true(rig_stack(r)->spent == 0 && rig_stack(r)->reserved == 0);
	assert_int_equal(rig_node(r)->row.faults, 1);
}

static void a_gateway_that_dies(void **state)
{
	struct rig *r = *state;
	struct peer p;
	struct work w = rig_given(r);

	for (int i = 0; i < 8; i++) { /* only the worker pings */
		actor_ping(&r->wk);
		rig_run(r, 40);
	}
	assert_int_equal(peer_decode(actor_get(r, &r->wk, MSG_PEER), &p), ERR_OK);
	assert_true(p.topic == 100 && !p.present);
	rig_settle_ack(r, &r->wk, &w, SETTLE_STOPPED, 1, 1, NULL);
	assert_true(rig_stack(r)->spent == 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
#define SHORT(name) cmocka_unit_test_setup_teardown(name, rig_setup_short, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(lock_request_settle),
		T(settled_exactly_once),
		T(a_locked_stack),
		T(a_locked_stack_of_another),
		T(locked_again_and_again),
		T(an_engine_that_fails),
		T(whole_answers_that_take_too_long),
		T(a_worker_without_room),
		T(expiry_by_the_clock),
		T(locks_refuse),
		T(two_hundred_locks_at_once),
		T(tenants_look_alike),
		T(keys_old_and_unknown),
		T(an_old_key_does_not_wait_beyond_its_time),
		T(a_key_that_the_node_lacks_goes_at_once),
		T(units),
		T(concurrency_of_a_node),
		T(wrong_receipts_bill_nothing),
		T(excess_is_the_nodes_loss),
		T(only_its_worker_settles),
		T(a_topic_belongs_to_its_gateway),
		T(another_gateway_cancels_nothing),
		T(without_a_worker_until_the_deadline),
		T(waits_for_a_worker_that_comes),
		T(capacity_is_respected),
		T(returned_once_then_refused),
		SHORT(a_silent_worker_before_posting),
		SHORT(a_silent_worker_after_posting),
		SHORT(a_worker_without_a_network),
		T(no_receipt_to_be_had),
		SHORT(a_gateway_that_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
