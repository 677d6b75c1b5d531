/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain requests in the broker: what they reserve and where, what refuses them,
 * and how one goes to a second node, with units conserved after every step (the rig
 * checks memory and store at its end, `sound` in between).
 */
#include "tests/unit/broker/test.h"

#include <stdlib.h>
#include <string.h>

#include "broker/peers.h"
#include "broker/task.h"
#include "common/hash.h"
#include "tests/unit/broker/rig.h"

static void on_problem(void *arg, const char *text)
{
	(void)arg;
	print_error("%s\n", text);
}

static void sound(struct rig *r)
{
	assert_true(ledger_check(r->b.ledger, on_problem, NULL));
}

/* A plain request; its rid is all r->rid. */
static void plain_job(struct rig *r, void (*change)(struct job *m))
{
	struct job m = { .topic = r->gw.instance,
			 .endpoint = EP_PLAIN_COMPLETIONS,
			 .model = SLICE_STR("demo"),
			 .input_units = 100,
			 .has_max_units = true,
			 .max_units = 400,
			 .stream = true,
			 .show_usage = true,
			 .deadline_ms = 400 };
	struct buf msg = { 0 };

	memset(m.rid, ++r->rid, RID_BYTES);
	memcpy(m.token_hash, r->token, KEY_BYTES);
	memset(m.plain_hash, 7, KEY_BYTES);
	memset(m.body_hash, 7, KEY_BYTES);
	if (change)
		change(&m);
	job_encode(&m, &msg);
	actor_send(&r->gw, &msg, "{\"model\":\"demo\"}");
}

/* One that the worker has posted. */
static struct work plain_at_node(struct rig *r)
{
	struct work w;

	plain_job(r, NULL);
	w = rig_work(r, &r->wk);
	rig_posted(&r->wk, &w);
	return w;
}

/* The same at the cheaper of two nodes. */
static struct work plain_at_first_of_two(struct rig *r)
{
	rig_second_node(r, 2000, 0);
	return plain_at_node(r);
}

static void from_second(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->node = 2;
}

static void settle_second(struct rig *r, struct actor *wk, const struct work *w, uint64_t units)
{
	struct sign_key *first = r->node_key;

	r->node_key = r->second_key;
	rig_settle(r, wk, w, SETTLE_COMPLETE, 0, units, from_second);
	r->node_key = first;
}

static enum err why;

static void untold(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m) {
		m->untold = true;
		m->error = why;
	}
}

static void untold_by_second(struct receipt *rc, struct settle *m)
{
	untold(rc, m);
	from_second(rc, m);
}

/* The node behind w refused, and the worker told nobody. */
static void refused(struct rig *r, const struct work *w, enum err e)
{
	why = e;
	rig_settle(r, &r->wk, w, SETTLE_FAILED, 0, 0, untold);
}

/* The first node refused, and the worker has posted it to the second. */
static struct work moved(struct rig *r, const struct work *first)
{
	struct work w;

	refused(r, first, ERR_UNAVAILABLE);
	w = rig_work(r, &r->wk);
	rig_settled(r, &r->wk);
	rig_posted(&r->wk, &w);
	return w;
}

static void answering(struct rig *r, const struct work *w)
{
	struct work_ref ref = { .epoch = w->epoch, .attempt = w->attempt };
	struct buf msg = { 0 };

	memcpy(ref.rid, w->rid, RID_BYTES);
	answering_encode(&ref, &msg);
	actor_send(&r->wk, &msg, NULL);
	rig_run(r, 10);
}

static struct stack *stack_at(struct rig *r, uint64_t node)
{
	struct user *u = ledger_user_named(r->b.ledger, SLICE_STR("alice"));

	return ledger_room(r->b.ledger, u, node, registry_model(r->b.registry, SLICE_STR("demo"))->id, 0);
}

/* --- admission --- */

static void reserved_and_billed(void **state)
{
	struct rig *r = *state;
	static const uint8_t zero[KEY_BYTES];
	struct work w;

	plain_job(r, NULL);
	w = rig_work(r, &r->wk);
	assert_true(w.units == 500 && w.node == 1 && w.attempt == 1);
	assert_true(w.endpoint == EP_PLAIN_COMPLETIONS && w.stream && w.show_usage && w.hold);
	assert_memory_equal(w.node_key, zero, KEY_BYTES);
	assert_true(w.stack == rig_stack(r)->id && rig_stack(r)->reserved == 500);
	assert_true(rig_stack(r)->bought == 100000); /* bought for it */
	rig_posted(&r->wk, &w);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 10, 20, NULL);
	assert_true(rig_stack(r)->spent == 30 && rig_stack(r)->reserved == 0);
	plain_job(r, NULL); /* the stack that is there serves again */
	assert_true(rig_work(r, &r->wk).stack == w.stack);
	sound(r);
}

static void spoil_endpoint(struct receipt *rc, struct settle *m)
{
	(void)m;
	if (rc)
		rc->endpoint = 2;
}

static void spoil_key(struct receipt *rc, struct settle *m)
{
	(void)m;
	if (rc)
		rc->node_key[0] = 1; /* not "plain" */
}

static void spoil_hash(struct receipt *rc, struct settle *m)
{
	(void)m;
	if (rc)
		rc->plain_hash[0] ^= 1;
}

static void receipts_of_something_else_bill_nothing(void **state)
{
	void (*const spoil[])(struct receipt *, struct settle *) = { spoil_endpoint, spoil_key, spoil_hash };
	struct rig *r = *state;
	struct work w;

	for (size_t i = 0; i < sizeof(spoil) / sizeof(spoil[0]); i++) {
		w = plain_at_node(r);
		rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 10, 20, spoil[i]);
		assert_true(rig_stack(r)->spent == 0 && rig_stack(r)->reserved == 0);
		assert_int_equal(rig_node(r)->row.faults, i + 1);
	}
}

static void no_max(struct job *m)
{
	m->has_max_units = false;
}

static void embeddings(struct job *m)
{
	m->endpoint = EP_PLAIN_EMBEDDINGS;
	m->stream = m->has_max_units = false;
}

static void images(struct job *m)
{
	m->endpoint = EP_PLAIN_IMAGES;
	m->stream = m->has_max_units = false;
	m->input_units = 59000; /* over lock_max_units, which is not about pixels */
}

static void sizes(void **state)
{
	struct rig *r = *state;

	plain_job(r, no_max);
	assert_true(rig_work(r, &r->wk).units == 8192 + 100);
	plain_job(r, embeddings);
	assert_true(rig_work(r, &r->wk).units == 100);
	plain_job(r, images);
	assert_true(rig_work(r, &r->wk).units == 59000);
	sound(r);
}

static void too_large(struct job *m)
{
	m->max_units = 50000 - 99; /* lock_max_units is 50000 */
}

static void enormous(struct job *m)
{
	m->max_units = m->input_units = ID_MAX;
}

static void long_input(struct job *m)
{
	m->has_max_units = false;
	m->endpoint = EP_PLAIN_CHAT;
	m->input_units = 60001; /* the node takes 60000 */
}

static void big_images(struct job *m)
{
	images(m);
	m->input_units = 60001;
}

static void stranger(struct job *m)
{
	m->token_hash[0] ^= 1;
}

static void unknown_model(struct job *m)
{
	m->model = SLICE_STR("nobody's");
}

static void refusals(void **state)
{
	static const struct {
		void (*change)(struct job *m);
		enum err want;
		const char *param;
	} cases[] = {
		{ too_large, ERR_BODY, "max_tokens" },
		{ enormous, ERR_BODY, "max_tokens" },
		{ long_input, ERR_BODY, "messages" },
		{ big_images, ERR_BODY, "size" },
		{ stranger, ERR_AUTH, "" },
		{ unknown_model, ERR_NO_NODE, "" },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct refuse no;

		plain_job(r, cases[i].change);
		no = rig_refusal(r);
		assert_int_equal(no.error, cases[i].want);
		assert_true(slice_is(no.param, cases[i].param));
	}
	ledger_user_named(r->b.ledger, SLICE_STR("alice"))->balance -= 999901;
	plain_job(r, NULL);
	assert_int_equal(rig_refusal(r).error, ERR_BALANCE);
	ledger_user_named(r->b.ledger, SLICE_STR("alice"))->balance += 999901;
	rig_node(r)->row.state = NODE_DRAINING;
	plain_job(r, NULL);
	assert_int_equal(rig_refusal(r).error, ERR_NO_NODE);
	assert_null(rig_stack(r)); /* none of them bought anything */
	actor_none(r, &r->wk, MSG_WORK, 20);
}

/* What could not be paid is not taken from the minute's units either. */
static void refused_units_are_not_used_up(void **state)
{
	struct rig *r = *state;
	struct user *u;

	rig_free(r);
	*state = r = rig_new("--user-units-per-minute=600");
	u = ledger_user_named(r->b.ledger, SLICE_STR("alice"));
	u->balance -= 999901;
	plain_job(r, NULL);
	assert_int_equal(rig_refusal(r).error, ERR_BALANCE);
	u->balance += 999901;
	plain_job(r, NULL);
	assert_true(rig_work(r, &r->wk).units == 500);
	plain_job(r, NULL);
	assert_int_equal(rig_refusal(r).error, ERR_RATE);
}

/* --- a second node --- */

static void moves_to_another_node(void **state)
{
	struct rig *r = *state;
	struct work w = plain_at_first_of_two(r), again;

	assert_true(w.node == 1 && w.hold);
	refused(r, &w, ERR_RATE);
	again = rig_work(r, &r->wk);
	rig_settled(r, &r->wk); /* the first attempt's */
	assert_true(again.node == 2 && again.attempt == 2 && again.units == 500 && !again.hold);
	assert_memory_equal(again.rid, w.rid, RID_BYTES);
	assert_true(stack_at(r, 1)->reserved == 0 && stack_at(r, 1)->spent == 0);
	assert_true(stack_at(r, 2)->reserved == 500 && stack_at(r, 2)->id == again.stack);
	assert_int_equal(rig_node(r)->subs->running, 0);
	assert_int_equal(registry_node(r->b.registry, 2)->subs->running, 1);
	sound(r);
	rig_posted(&r->wk, &again);
	settle_second(r, &r->wk, &again, 40);
	rig_settled(r, &r->wk);
	assert_true(stack_at(r, 2)->spent == 40 && stack_at(r, 2)->reserved == 0);
	assert_true(stack_at(r, 1)->spent == 0);
	assert_int_equal(registry_node(r->b.registry, 2)->subs->running, 0);
	actor_none(r, &r->gw, MSG_REFUSE, 10);
}

/* Whoever still speaks of the first attempt is acknowledged, and changes nothing. */
static void stale_words_about_the_first_attempt(void **state)
{
	struct rig *r = *state;
	struct work w = plain_at_first_of_two(r), again;

	for (int i = 0; i < 3; i++)
		refused(r, &w, ERR_UNAVAILABLE);
	again = rig_work(r, &r->wk);
	rig_settled(r, &r->wk); /* once the move is committed */
	refused(r, &w, ERR_UNAVAILABLE);
	rig_settled(r, &r->wk);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 100, 200, NULL);
	rig_posted(&r->wk, &w);
	answering(r, &w);
	assert_true(stack_at(r, 1)->spent == 0 && stack_at(r, 2)->reserved == 500);
	rig_posted(&r->wk, &again);
	settle_second(r, &r->wk, &again, 40);
	for (int ms = 0; ms < 5000 && stack_at(r, 2)->spent == 0; ms++)
		rig_run(r, 1);
	assert_true(stack_at(r, 1)->spent == 0 && stack_at(r, 2)->spent == 40);
	actor_none(r, &r->wk, MSG_WORK, 10);
}

static void never_a_third(void **state)
{
	struct rig *r = *state;
	struct work w = plain_at_first_of_two(r);

	w = moved(r, &w);
	assert_false(w.hold);
	why = ERR_RATE; /* from a worker that holds back what it was not asked to */
	rig_settle(r, &r->wk, &w, SETTLE_FAILED, 0, 0, untold_by_second);
	assert_int_equal(rig_refusal(r).error, ERR_RATE);
	rig_settled(r, &r->wk);
	actor_none(r, &r->wk, MSG_WORK, 20);
	assert_true(stack_at(r, 2)->spent == 0 && stack_at(r, 2)->reserved == 0);
	assert_true(stack_at(r, 1)->spent == 0 && stack_at(r, 1)->reserved == 0);
}

/* Its first worker was taken for dead, and may have posted it all the same: then the client may have an
 * answer, and must not pay another node for one. */
static void not_moved_while_in_doubt(void **state)
{
	struct rig *r = *state;
	struct work w, w2;

	rig_second_node(r, 2000, 0);
	rig_second_worker(r);
	plain_job(r, NULL);
	w = rig_work(r, &r->wk2);
	rig_drop(r, &r->wk2);
	w2 = rig_work(r, &r->wk);
	assert_true(w2.attempt == 2 && w2.node == 1 && !w2.hold);
	rig_posted(&r->wk, &w2);
	refused(r, &w2, ERR_UNAVAILABLE); /* from a worker that holds back what it was not asked to */
	rig_settled(r, &r->wk);
	assert_int_equal(rig_refusal(r).error, ERR_UNAVAILABLE);
	rig_run(r, 20);
	assert_true(!actor_has(&r->wk, MSG_WORK) && stack_at(r, 1)->reserved == 500);
	actor_hello(r, &r->wk2);
	rig_run(r, 20);
	rig_settle_ack(r, &r->wk2, &w, SETTLE_COMPLETE, 0, 70, NULL);
	rig_run(r, 20);
	assert_true(stack_at(r, 1)->spent == 70 && stack_at(r, 1)->reserved == 0);
}

/* The first refusal is told when nobody else can be asked. */
static void nobody_else(void **state)
{
	struct rig *r = *state;
	struct refuse no;
	struct work w = plain_at_node(r);

	refused(r, &w, ERR_RATE);
	no = rig_refusal(r);
	assert_true(no.error == ERR_RATE && no.retry_after_s >= 1);
	assert_memory_equal(no.rid, w.rid, RID_BYTES);
	rig_settled(r, &r->wk);
	assert_true(rig_stack(r)->reserved == 0 && rig_stack(r)->spent == 0);
	rig_second_node(r, 2000, 499); /* it does not take that many */
	plain_job(r, NULL);
	w = rig_work(r, &r->wk);
	refused(r, &w, ERR_UNITS); /* before POSTED has come */
	assert_int_equal(rig_refusal(r).error, ERR_UNITS);
	rig_settled(r, &r->wk);
	assert_null(stack_at(r, 2));
	sound(r);
}

static void no_money_for_another_stack(void **state)
{
	struct rig *r = *state;
	struct user *u = ledger_user_named(r->b.ledger, SLICE_STR("alice"));
	struct work w = plain_at_first_of_two(r);

	u->balance -= 999800; /* 100,000 units there cost 200 */
	refused(r, &w, ERR_UNAVAILABLE);
	assert_int_equal(rig_refusal(r).error, ERR_UNAVAILABLE); /* not 402: the first answer counts */
	rig_settled(r, &r->wk);
	u->balance += 999800;
	assert_null(stack_at(r, 2));
	assert_true(rig_stack(r)->reserved == 0);
}

/* Once the node has said 200 the body is gone, and with it the second node. */
static void the_body_goes_at_the_200(void **state)
{
	struct rig *r = *state;
	struct work w = plain_at_first_of_two(r);

	rig_run(r, 10);
	assert_true(r->b.body_bytes == strlen("{\"model\":\"demo\"}"));
	answering(r, &w);
	assert_true(r->b.body_bytes == 0);
	refused(r, &w, ERR_UNAVAILABLE); /* a worker that lies */
	assert_int_equal(rig_refusal(r).error, ERR_UNAVAILABLE);
	rig_settled(r, &r->wk);
	actor_none(r, &r->wk, MSG_WORK, 10);
	assert_true(rig_stack(r)->reserved == 0 && rig_stack(r)->spent == 0);
}

static void sealed_ones_stay(void **state)
{
	struct rig *r = *state;
	struct locked l;
	struct work w;

	assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_OK);
	rig_second_node(r, 2000, 0);
	rig_job(r, l.stack, 0);
	w = rig_work(r, &r->wk);
	assert_false(w.hold);
	rig_posted(&r->wk, &w);
	rig_run(r, 10);
	assert_true(r->b.body_bytes == 0);
	refused(r, &w, ERR_UNAVAILABLE);
	assert_int_equal(rig_refusal(r).error, ERR_UNAVAILABLE);
	rig_settled(r, &r->wk);
	actor_none(r, &r->wk, MSG_WORK, 10);
	assert_null(stack_at(r, 2));
}

/* The client leaves while the move is being committed: nothing is sent anywhere. */
static void cancelled_while_it_moves(void **state)
{
	struct rig *r = *state;
	struct cancel c = { .attempt = 0 };
	struct buf msg = { 0 };
	struct work w = plain_at_first_of_two(r);

	refused(r, &w, ERR_UNAVAILABLE);
	memcpy(c.rid, w.rid, RID_BYTES);
	while (task_find(&r->b, w.rid)->state != TASK_COMMITTING)
		uv_run(&r->loop, UV_RUN_ONCE);
	task_gateway_gone(&r->b, task_find(&r->b, w.rid)); /* what a CANCEL does, in the same turn */
	cancel_encode(&c, &msg);
	actor_send(&r->gw, &msg, NULL);
	rig_settled(r, &r->wk);
	actor_none(r, &r->wk, MSG_WORK, 30);
	assert_null(task_find(&r->b, w.rid));
	assert_true(stack_at(r, 1)->reserved == 0 && stack_at(r, 2)->reserved == 0);
	assert_true(stack_at(r, 2)->spent == 0);
	sound(r);
}

/* --- restarts --- */

static void settled_after_a_restart(void **state)
{
	struct rig *r = *state;
	struct work w = plain_at_first_of_two(r);

	w = moved(r, &w);
	rig_run(r, 20);
	rig_restart(r);
	rig_back(r);
	assert_true(stack_at(r, 2)->reserved == 500); /* the store knows of the move */
	assert_true(stack_at(r, 1)->reserved == 0);
	sound(r);
	settle_second(r, &r->wk, &w, 40);
	rig_settled(r, &r->wk);
	assert_true(stack_at(r, 2)->spent == 40 && stack_at(r, 2)->reserved == 0);
	settle_second(r, &r->wk, &w, 50); /* once */
	rig_settled(r, &r->wk);
	assert_true(stack_at(r, 2)->spent == 40);
}

/* A refusal held back that reaches only the next broker: the client has been told by its gateway. */
static void refused_after_a_restart(void **state)
{
	struct rig *r = *state;
	struct work w = plain_at_first_of_two(r);

	rig_run(r, 20);
	rig_restart(r);
	rig_back(r);
	refused(r, &w, ERR_UNAVAILABLE);
	rig_settled(r, &r->wk);
	actor_none(r, &r->gw, MSG_REFUSE, 10);
	actor_none(r, &r->wk, MSG_WORK, 10);
	assert_true(stack_at(r, 1)->reserved == 0 && stack_at(r, 1)->spent == 0);
	assert_null(stack_at(r, 2));
}

/* --- the ledger's part --- */

static struct reservation *reserve(struct rig *r, struct stack *st, uint8_t rid, uint64_t units)
{
	static const uint8_t zero[KEY_BYTES];
	uint8_t id[RID_BYTES];
	struct reserve_ask ask = {
		.rid = id, .units = units, .node_key = zero, .endpoint = EP_PLAIN_CHAT, .epoch = r->b.epoch
	};
	struct reservation *res;
	struct store_op *op;

	memset(id, rid, sizeof(id));
	assert_int_equal(ledger_reserve(r->b.ledger, st, &ask, &res, &op), ERR_OK);
	broker_keep(&r->b, op);
	return res;
}

static void end(struct rig *r, struct reservation *res, uint64_t billed)
{
	struct row_settlement row = { .billed = billed, .completion = billed, .outcome = SETTLE_COMPLETE };

	broker_keep(&r->b, ledger_settle(r->b.ledger, res, &row));
}

static struct stack *buy(struct rig *r, uint64_t node, uint64_t units)
{
	struct user *u = ledger_user_named(r->b.ledger, SLICE_STR("alice"));
	struct stack *st;
	struct store_op *op;

	assert_int_equal(ledger_buy(r->b.ledger, u, node,
				    registry_model(r->b.registry, SLICE_STR("demo"))->id, units, 1000, 1, &st,
				    &op),
			 ERR_OK);
	broker_keep(&r->b, op);
	return st;
}

static void a_move_needs_room(void **state)
{
	struct rig *r = *state;
	struct reservation *res, *other;
	struct stack *a, *b;
	struct store_op *op;

	rig_second_node(r, 2000, 0);
	a = buy(r, 1, 100);
	b = buy(r, 2, 100);
	res = reserve(r, a, 0xe0, 60);
	other = reserve(r, b, 0xe1, 50);
	assert_int_equal(ledger_move(r->b.ledger, res, b, 51, &op), ERR_UNITS);
	assert_true(a->reserved == 60 && b->reserved == 50 && res->stack == a);
	assert_int_equal(ledger_move(r->b.ledger, res, a, 101, &op),
			 ERR_UNITS); /* its own claim counts once */
	assert_int_equal(ledger_move(r->b.ledger, res, a, 100, &op), ERR_OK);
	broker_keep(&r->b, op);
	assert_true(a->reserved == 100);
	assert_int_equal(ledger_move(r->b.ledger, res, b, 50, &op), ERR_OK);
	broker_keep(&r->b, op);
	assert_true(a->reserved == 0 && b->reserved == 100 && res->node == 2 && res->units == 50);
	sound(r);
	end(r, res, 50);
	end(r, other, 0);
	assert_true(a->spent == 0 && b->spent == 50 && b->reserved == 0);
}

#define STACKS 4
#define OPEN 8

/* Reservations made, moved and ended at random: memory adds up after every step,
 * and the store at the end (rig_free).  SEALWAY_SEED repeats a run. */
static void moves_at_random(void **state)
{
	const char *given = getenv("SEALWAY_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)uv_hrtime(), next = 0;
	struct rig *r = *state;
	struct reservation *open[OPEN] = { NULL };
	struct stack *st[STACKS];
	struct store_op *op;

	print_message("seed %u\n", seed);
	srand(seed);
	rig_second_node(r, 2000, 0);
	for (unsigned i = 0; i < STACKS; i++)
		st[i] = buy(r, 1 + i % 2, 1000);
	for (unsigned step = 0; step < 3000; step++) {
		struct reservation **at = &open[rand() % OPEN];
		struct stack *to = st[rand() % STACKS];
		uint64_t units = (uint64_t)(rand() % 300);

		if (!*at && units <= stack_free(to) && next < 240)
			*at = reserve(r, to, (uint8_t)(++next), units);
		else if (*at && rand() % 4 && ledger_move(r->b.ledger, *at, to, units, &op) == ERR_OK)
			broker_keep(&r->b, op);
		else if (*at && rand() % 8 == 0) {
			end(r, *at, (*at)->units / 7);
			*at = NULL;
		}
		if (step % 16 == 0)
			sound(r);
	}
	for (unsigned i = 0; i < OPEN; i++) {
		if (open[i])
			end(r, open[i], 0);
	}
	sound(r);
	assert_true(next > OPEN);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(reserved_and_billed),
		T(receipts_of_something_else_bill_nothing),
		T(sizes),
		T(refusals),
		T(refused_units_are_not_used_up),
		T(moves_to_another_node),
		T(stale_words_about_the_first_attempt),
		T(never_a_third),
		T(not_moved_while_in_doubt),
		T(nobody_else),
		T(no_money_for_another_stack),
		T(the_body_goes_at_the_200),
		T(sealed_ones_stay),
		T(cancelled_while_it_moves),
		T(settled_after_a_restart),
		T(refused_after_a_restart),
		T(a_move_needs_room),
		T(moves_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
