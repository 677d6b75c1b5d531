/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger in memory: every verb, its refusals, and conservation after any
 * sequence of them.
 */
#include "tests/unit/broker/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/ledger.h"

static void on_problem(void *arg, const char *text)
{
	(void)arg;
	print_error("%s\n", text);
}

static void sound(const struct ledger *l)
{
	assert_true(ledger_check(l, on_problem, NULL));
}

static struct user *add_user(struct ledger *l, const char *name, int64_t funds)
{
	struct store_op *op;
	struct user *u;

	assert_int_equal(ledger_user_add(l, slice_str(name), 1, &u, &op), ERR_OK);
	assert_int_equal(op->kind, OP_USER);
	assert_string_equal(op->text[0], name);
	store_op_free(op);
	if (funds) {
		assert_int_equal(ledger_fund(l, u, funds, "test", "start", 1, &op), ERR_OK);
		store_op_free(op);
	}
	return u;
}

static struct stack *buy(struct ledger *l, struct user *u, uint64_t units, uint64_t price)
{
	struct store_op *op;
	struct stack *st;

	assert_int_equal(ledger_buy(l, u, 1, 1, units, price, 5, &st, &op), ERR_OK);
	store_op_free(op);
	return st;
}

static struct lock *lock(struct ledger *l, struct stack *st, uint8_t key, uint64_t units, int64_t expires)
{
	uint8_t k[KEY_BYTES];
	struct store_op *op;
	struct lock *out;

	memset(k, key, sizeof(k));
	assert_int_equal(ledger_lock(l, st, k, units, 0, expires, &out, &op), ERR_OK);
	assert_int_equal(op->u.lock.units, units);
	store_op_free(op);
	return out;
}

static struct reservation *reserve(struct ledger *l, struct stack *st, uint8_t rid, struct lock *k,
				   uint64_t units)
{
	uint8_t id[RID_BYTES], key[KEY_BYTES] = { 9 };
	struct reserve_ask ask = {
		.rid = id, .lock = k, .units = units, .node_key = key, .endpoint = 1, .epoch = 3
	};
	struct reservation *r;
	struct store_op *op;

	memset(id, rid, sizeof(id));
	assert_int_equal(ledger_reserve(l, st, &ask, &r, &op), ERR_OK);
	store_op_free(op);
	return r;
}

static void users_and_money(void **state)
{
	struct ledger *l = ledger_new();
	struct user *u = add_user(l, "alice", 0), *other;
	struct store_op *op;

	(void)state;
	assert_ptr_equal(ledger_user_named(l, SLICE_STR("alice")), u);
	assert_null(ledger_user_named(l, SLICE_STR("bob")));
	assert_int_equal(ledger_user_add(l, SLICE_STR("alice"), 1, &other, &op), ERR_EXISTS);
	assert_int_equal(ledger_user_add(l, SLICE_STR(""), 1, &other, &op), ERR_RANGE);
	assert_int_equal(ledger_user_add(l, SLICE_STR("a b"), 1, &other, &op), ERR_RANGE);
	assert_int_equal(ledger_user_add(l, slice_of("a\0", 2), 1, &other, &op), ERR_RANGE);
	assert_int_equal(ledger_fund(l, u, -1, "t", "w", 1, &op), ERR_RANGE);
	assert_int_equal(ledger_fund(l, u, INT64_MAX, "t", "w", 1, &op), ERR_RANGE);
	assert_int_equal(ledger_fund(l, u, INT64_MIN, "t", "w", 1, &op), ERR_RANGE);
	assert_int_equal(ledger_fund(l, u, (int64_t)ID_MAX + 1, "t", "w", 1, &op), ERR_RANGE);
	assert_true(u->balance == 0);
	assert_int_equal(ledger_fund(l, u, (int64_t)ID_MAX, "t", "why not", 7, &op), ERR_OK);
	assert_true(op->u.journal.balance == ID_MAX && op->u.journal.at == 7);
	assert_string_equal(op->text[1], "why not");
	store_op_free(op);
	assert_int_equal(ledger_fund(l, u, 1, "t", "w", 1, &op), ERR_RANGE);
	assert_int_equal(ledger_fund(l, u, -(int64_t)ID_MAX, "t", "w", 1, &op), ERR_OK);
	store_op_free(op);
	assert_true(u->balance == 0);
	ledger_free(l);
}

static void tokens(void **state)
{
	struct ledger *l = ledger_new();
	struct user *u = add_user(l, "alice", 0);
	uint8_t h[KEY_BYTES] = { 1 }, h2[KEY_BYTES] = { 2 };
	struct store_op *op;
	struct token *t;

	(void)state;
	assert_null(ledger_token(l, h));
	assert_int_equal(ledger_token_add(l, u, h, SLICE_STR("laptop"), "wxyz", 100, &op), ERR_OK);
	store_op_free(op);
	assert_int_equal(ledger_token_add(l, u, h2, SLICE_STR("laptop"), "wxyz", 100, &op), ERR_EXISTS);
	assert_int_equal(ledger_token_add(l, u, h, SLICE_STR("phone"), "wxyz", 100, &op), ERR_EXISTS);
	assert_int_equal(ledger_token_add(l, u, h2, SLICE_STR(""), "wxyz", 100, &op), ERR_RANGE);
	t = ledger_token(l, h);
	assert_ptr_equal(t->user, u);
	op = ledger_token_used(t, 100);
	assert_non_null(op);
	store_op_free(op);
	assert_null(ledger_token_used(t, 130)); /* noted less than a minute ago */
	store_op_free(ledger_token_revoke(l, t, 200));
	assert_null(ledger_token(l, h));
	assert_null(ledger_token_named(l, u, SLICE_STR("laptop")));
	/* the name is free again, the revoked hash is not */
	assert_int_equal(ledger_token_add(l, u, h, SLICE_STR("laptop"), "wxyz", 300, &op), ERR_EXISTS);
	assert_int_equal(ledger_token_add(l, u, h2, SLICE_STR("laptop"), "wxyz", 300, &op), ERR_OK);
	store_op_free(op);
	ledger_free(l);
}

static void prices_round_up_and_do_not_overflow(void **state)
{
	uint64_t cost = 99;

	(void)state;
	assert_int_equal(ledger_cost(1, 1, &cost), ERR_OK);
	assert_true(cost == 1); /* a millionth of a micro-USD costs one */
	assert_int_equal(ledger_cost(1000000, 7, &cost), ERR_OK);
	assert_true(cost == 7);
	assert_int_equal(ledger_cost(1000001, 7, &cost), ERR_OK);
	assert_true(cost == 8);
	assert_int_equal(ledger_cost(123, 0, &cost), ERR_OK);
	assert_true(cost == 0);
	assert_int_equal(ledger_cost(ID_MAX, 1000000, &cost), ERR_OK);
	assert_true(cost == ID_MAX);
	cost = 99;
	assert_int_equal(ledger_cost(ID_MAX, 1000001, &cost), ERR_RANGE);
	assert_int_equal(ledger_cost(ID_MAX, ID_MAX, &cost), ERR_RANGE);
	assert_int_equal(ledger_cost(UINT64_MAX, UINT64_MAX, &cost), ERR_RANGE);
	assert_true(cost == 99);
}

static void overrides(void **state)
{
	struct ledger *l = ledger_new();
	struct user *u = add_user(l, "alice", 0);
	struct row_price p = { .model = 1, .price = 50 };

	(void)state;
	assert_true(ledger_price(u, 3, 1, 1000) == 1000);
	store_op_free(ledger_set_price(l, u, &p));
	assert_true(ledger_price(u, 3, 1, 1000) == 50);
	assert_true(ledger_price(u, 3, 2, 1000) == 1000);
	p.node = 3;
	p.price = 70;
	store_op_free(ledger_set_price(l, u, &p));
	assert_true(ledger_price(u, 3, 1, 1000) == 70);
	assert_true(ledger_price(u, 4, 1, 1000) == 50);
	p.removed = true;
	store_op_free(ledger_set_price(l, u, &p));
	assert_true(ledger_price(u, 3, 1, 1000) == 50);
	ledger_free(l);
}

static void purchases(void **state)
{
	struct ledger *l = ledger_new();
	struct user *u = add_user(l, "alice", 1000);
	struct store_op *op;
	struct stack *st = NULL;

	(void)state;
	assert_int_equal(ledger_buy(l, u, 1, 1, 0, 1, 5, &st, &op), ERR_RANGE);
	assert_int_equal(ledger_buy(l, u, 1, 1, ID_MAX + 1, 1, 5, &st, &op), ERR_RANGE);
	assert_int_equal(ledger_buy(l, u, 1, 1, 1000001, 1000, 5, &st, &op), ERR_BALANCE);
	assert_int_equal(ledger_buy(l, u, 1, 1, ID_MAX, ID_MAX, 5, &st, &op), ERR_BALANCE);
	assert_null(st);
	assert_true(u->balance == 1000);
	assert_int_equal(ledger_buy(l, u, 1, 1, 1000000, 1000, 5, &st, &op), ERR_OK);
	assert_true(u->balance == 0 && st->paid == 1000 && stack_free(st) == 1000000);
	assert_int_equal(op->kind, OP_STACK);
	assert_true(op->u.buy.journal.delta == -1000 && op->u.buy.journal.balance == 0);
	assert_true(op->u.buy.journal.stack == st->id && op->u.buy.stack.id == st->id);
	store_op_free(op);
	assert_ptr_equal(ledger_stack(l, st->id), st);
	assert_ptr_equal(ledger_room(l, u, 1, 1, 1000000), st);
	assert_null(ledger_room(l, u, 1, 1, 1000001));
	assert_null(ledger_room(l, u, 2, 1, 1));
	assert_null(ledger_room(l, u, 1, 2, 1));
	op = ledger_stack_state(st, STACK_LOCKED);
	assert_true(op->kind == OP_STACK_STATE && op->u.buy.stack.id == st->id);
	store_op_free(op);
	assert_null(ledger_room(l, u, 1, 1, 1));
	assert_null(ledger_room(l, u, 1, 1, UINT64_MAX));
	assert_int_equal(ledger_locked(l, u, 1, 1), 1);
	assert_int_equal(ledger_locked(l, u, 2, 1), 0);
	store_op_free(ledger_stack_state(st, STACK_OPEN));
	assert_ptr_equal(ledger_room(l, u, 1, 1, 1), st);
	sound(l);
	ledger_free(l);
}

static void locks_hold_units(void **state)
{
	struct ledger *l = ledger_new();
	struct user *u = add_user(l, "alice", 1000);
	struct stack *st = buy(l, u, 100, 1);
	uint8_t key[KEY_BYTES] = { 0 };
	struct store_op *op;
	struct lock *a, *b, *c = NULL;

	(void)state;
	a = lock(l, st, 1, 60, 10);
	b = lock(l, st, 1, 40, 10);
	assert_true(stack_free(st) == 0);
	assert_int_equal(ledger_lock(l, st, key, 1, 0, 1, &c, &op), ERR_UNITS);
	assert_null(c);
	assert_int_equal(ledger_lock(l, st, key, UINT64_MAX, 0, 1, &c, &op), ERR_UNITS);
	sound(l);
	op = ledger_lock_end(l, a);
	assert_int_equal(op->kind, OP_LOCK_END);
	store_op_free(op);
	assert_true(stack_free(st) == 60);
	store_op_free(ledger_lock_end(l, b));
	assert_true(stack_free(st) == 100 && st->reserved == 0 && !st->locks);
	sound(l);
	ledger_free(l);
}

static void the_right_lock(void **state)
{
	struct ledger *l = ledger_new();
	struct stack *st = buy(l, add_user(l, "alice", 1000), 1000, 1);
	struct lock *small = lock(l, st, 1, 10, 50), *mid = lock(l, st, 1, 50, 90),
		    *mid2 = lock(l, st, 1, 50, 80);
	struct lock *big = lock(l, st, 1, 100, 10), *other = lock(l, st, 2, 30, 10);
	uint8_t k[KEY_BYTES], k2[KEY_BYTES], k3[KEY_BYTES];

	(void)state;
	memset(k, 1, sizeof(k));
	memset(k2, 2, sizeof(k2));
	memset(k3, 3, sizeof(k3));
	assert_ptr_equal(ledger_lock_match(st, k, 0), small);
	assert_ptr_equal(ledger_lock_match(st, k, 10), small);
	assert_ptr_equal(ledger_lock_match(st, k, 11), mid2); /* of equals, the one that expires first */
	assert_ptr_equal(ledger_lock_match(st, k, 51), big);
	assert_ptr_equal(ledger_lock_match(st, k, 101), big); /* none covers it: the largest */
	assert_ptr_equal(ledger_lock_match(st, k2, 1000), other);
	assert_null(ledger_lock_match(st, k3, 1));
	(void)mid;
	ledger_free(l);
}

static void a_lock_becomes_a_reservation(void **state)
{
	struct ledger *l = ledger_new();
	struct stack *st = buy(l, add_user(l, "alice", 1000), 100, 1);
	struct lock *k = lock(l, st, 1, 60, 10);
	struct reservation *r = reserve(l, st, 1, k, 30);

	(void)state;
	assert_true(r->units == 60); /* taken whole */
	assert_true(stack_free(st) == 40 && !st->locks);
	sound(l);
	k = lock(l, st, 1, 10, 10);
	r = reserve(l, st, 2, k, 40); /* 30 more from the stack */
	assert_true(r->units == 40 && stack_free(st) == 0);
	sound(l);
	ledger_free(l);
}

static void reserving_refuses(void **state)
{
	struct ledger *l = ledger_new();
	struct stack *st = buy(l, add_user(l, "alice", 1000), 100, 1);
	struct lock *k = lock(l, st, 1, 60, 10);
	uint8_t rid[RID_BYTES], key[KEY_BYTES] = { 0 };
	struct reserve_ask ask = { .rid = rid, .lock = k, .units = 101, .node_key = key };
	struct reservation *r = NULL;
	struct store_op *op = NULL;

	(void)state;
	memset(rid, 1, sizeof(rid));
	assert_int_equal(ledger_reserve(l, st, &ask, &r, &op), ERR_UNITS);
	assert_true(st->locks == k); /* not consumed by a refusal */
	ask.units = UINT64_MAX;
	assert_int_equal(ledger_reserve(l, st, &ask, &r, &op), ERR_UNITS);
	assert_null(op);
	r = reserve(l, st, 1, NULL, 10);
	ask.units = 1;
	assert_int_equal(ledger_reserve(l, st, &ask, &r, &op), ERR_EXISTS); /* the id is in use */
	assert_true(st->locks == k && stack_free(st) == 30);
	sound(l);
	ledger_free(l);
}

static void settling(void **state)
{
	struct ledger *l = ledger_new();
	struct stack *st = buy(l, add_user(l, "alice", 1000), 100, 1);
	struct reservation *r = reserve(l, st, 1, NULL, 60);
	struct row_settlement row = { .billed = 25, .prompt = 5, .completion = 20, .outcome = 1 };
	uint8_t rid[RID_BYTES];
	struct store_op *op;

	(void)state;
	memset(rid, 1, sizeof(rid));
	assert_ptr_equal(ledger_reservation(l, rid), r);
	op = ledger_settle(l, r, &row);
	assert_true(op->u.settlement.units == 60 && op->u.settlement.billed == 25);
	assert_true(op->u.settlement.stack == st->id && op->u.settlement.user == st->user->id);
	assert_memory_equal(op->u.settlement.rid, rid, RID_BYTES);
	store_op_free(op);
	assert_null(ledger_reservation(l, rid));
	assert_true(st->spent == 25 && st->reserved == 0 && stack_free(st) == 75);
	sound(l);
	r = reserve(l, st, 2, NULL, 75);
	ledger_unreserve(l, r); /* the store did not take it */
	assert_true(stack_free(st) == 75);
	sound(l);
	ledger_free(l);
}

/* The check itself must be able to fail. */
static void the_check_finds_what_is_wrong(void **state)
{
	struct ledger *l = ledger_new();
	struct stack *st = buy(l, add_user(l, "alice", 1000), 100, 1);

	(void)state;
	(void)lock(l, st, 1, 60, 10);
	sound(l);
	st->reserved--;
	assert_false(ledger_check(l, on_problem, NULL));
	st->reserved++;
	sound(l);
	st->spent = 41;
	assert_false(ledger_check(l, on_problem, NULL));
	ledger_free(l);
}

#define STEPS 20000

struct walk {
	struct ledger *l;
	struct user *u;
	struct reservation *r[64];
	uint64_t granted, settled;
	uint32_t rid;
};

static void step(struct walk *w)
{
	struct row_settlement row = { 0 };
	uint8_t key[KEY_BYTES] = { 0 }, rid[RID_BYTES] = { 0 };
	struct stack *st = ledger_room(w->l, w->u, 1, 1, UINT64_MAX);
	struct reserve_ask ask = { .rid = rid, .node_key = key, .units = (uint64_t)(rand() % 300) };
	int i = rand() % 64;
	struct store_op *op = NULL;
	struct lock *k;

	key[0] = (uint8_t)(rand() % 3);
	switch (rand() % 7) {
	case 6: /* a stack is locked, or the oldest one unlocked: units stay where they are */
		if (st && rand() % 2)
			store_op_free(ledger_stack_state(st, STACK_LOCKED));
		else if ((st = w->u->stacks) != NULL)
			store_op_free(ledger_stack_state(st, STACK_OPEN));
		break;
	case 0:
		if (ledger_buy(w->l, w->u, 1, 1, (uint64_t)(rand() % 1000), (uint64_t)(rand() % 2000), 1, &st,
			       &op) == ERR_OK)
			store_op_free(op);
		break;
	case 1:
	case 2:
		if (st && ledger_lock(w->l, st, key, (uint64_t)(rand() % 300), 0, rand(), &k, &op) == ERR_OK)
			store_op_free(op);
		break;
	case 3:
		if (st && st->locks)
			store_op_free(ledger_lock_end(w->l, st->locks));
		break;
	case 4:
		memcpy(rid, &w->rid, sizeof(w->rid));
		ask.lock = st ? ledger_lock_match(st, key, ask.units) : NULL;
		if (st && !w->r[i] && ledger_reserve(w->l, st, &ask, &w->r[i], &op) == ERR_OK) {
			w->rid++;
			store_op_free(op);
		}
		break;
	default:
		if (w->r[i]) {
			row.billed = w->r[i]->units ? (uint64_t)rand() % (w->r[i]->units + 1) : 0;
			w->settled += row.billed;
			store_op_free(ledger_settle(w->l, w->r[i], &row));
			w->r[i] = NULL;
		}
	}
}

static void conserved_on_any_walk(void **state)
{
	unsigned seed = (unsigned)(uintptr_t)*state;
	struct walk w = { .l = ledger_new() };
	uint64_t spent = 0;
	struct stack *st;
	size_t pos = 0;

	print_message("seed %u\n", seed);
	srand(seed);
	w.u = add_user(w.l, "alice", 100000);
	for (int i = 0; i < STEPS; i++) {
		step(&w);
		if (i % 16 == 0)
			sound(w.l);
	}
	while ((st = ledger_next_stack(w.l, &pos)) != NULL)
		spent += st->spent;
	assert_true(spent == w.settled && spent > 0);
	ledger_free(w.l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_and_money),
		cmocka_unit_test(tokens),
		cmocka_unit_test(prices_round_up_and_do_not_overflow),
		cmocka_unit_test(overrides),
		cmocka_unit_test(purchases),
		cmocka_unit_test(locks_hold_units),
		cmocka_unit_test(the_right_lock),
		cmocka_unit_test(a_lock_becomes_a_reservation),
		cmocka_unit_test(reserving_refuses),
		cmocka_unit_test(settling),
		cmocka_unit_test(the_check_finds_what_is_wrong),
		cmocka_unit_test_prestate(conserved_on_any_walk, (void *)(uintptr_t)1),
		cmocka_unit_test_prestate(conserved_on_any_walk, (void *)(uintptr_t)20260),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
