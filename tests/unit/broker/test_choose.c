/* SPDX-License-Identifier: Apache-2.0
 *
 * Choosing among many nodes: the right one is found wherever it stands in the
 * index, and what it costs does not depend on how many there are.
 */
#include "tests/unit/broker/test.h"

#include <stdlib.h>
#include <string.h>

#include "broker/choose.h"

#define NOW 1000
#define MODEL SLICE_STR("demo")

struct world {
	uv_loop_t uv;
	struct broker b;
	struct user *u;
	struct model *m;
};

static void keep(struct store_op *op)
{
	store_op_free(op); /* nobody remembers it here */
}

static int setup(void **state)
{
	struct world *w = mem_new(sizeof(*w));
	struct store_op *op;

	uv_loop_init(&w->uv);
	w->b.uv = &w->uv;
	w->b.registry = registry_new();
	w->b.ledger = ledger_new();
	w->b.conf.lock_max_units = w->b.conf.stack_units = 1000000;
	w->b.conf.breaker_failures = 3;
	w->b.conf.breaker_open_ms = 60000;
	w->b.conf.probe_ms = 1000;
	assert_int_equal(ledger_user_add(w->b.ledger, SLICE_STR("alice"), 1, &w->u, &op), ERR_OK);
	keep(op);
	assert_int_equal(ledger_fund(w->b.ledger, w->u, 1000000000, "t", "t", 1, &op), ERR_OK);
	keep(op);
	w->m = registry_model_add(w->b.registry, MODEL, &op);
	keep(op);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	ledger_free(w->b.ledger);
	registry_free(w->b.registry);
	assert_int_equal(uv_loop_close(&w->uv), 0);
	free(w);
	return 0;
}

/* Node id with the model at that price, ready. */
static struct node *add(struct world *w, uint64_t id, uint64_t price)
{
	struct row_node row = { .id = id, .state = NODE_ACTIVE, .seen = NOW };
	struct row_sub sub = { .price = price, .active = true };
	struct node_key k = { .counter = 1 };
	struct store_op *ops[2];
	struct node *n;

	memcpy(row.sign_key, &id, sizeof(id));
	memcpy(k.key, &id, sizeof(id));
	assert_int_equal(registry_node_add(w->b.registry, &row, SLICE_STR("https://n"), SLICE_STR(""),
					   SLICE_STR(""), &n),
			 ERR_OK);
	node_set_key(n, &k, NOW, ops);
	keep(ops[0]);
	keep(node_set_sub(n, w->m, &sub));
	return n;
}

static enum err choose(struct world *w, uint64_t units, uint64_t *node)
{
	struct pick_ask ask = { .has_units = true, .units = units };
	struct choice c = { .user = w->u, .model = w->m, .now = NOW };
	enum err e = choose_node(&w->b, &ask, &c);

	*node = e == ERR_OK ? c.sub->node->row.id : 0;
	return e;
}

static uint64_t chosen(struct world *w)
{
	uint64_t node;

	assert_int_equal(choose(w, 100, &node), ERR_OK);
	return node;
}

/* However many cheaper ones are down. */
static void behind_many_that_are_down(void **state)
{
	struct world *w = *state;
	struct node *down[1000];

	for (uint64_t i = 0; i < 1000; i++) {
		down[i] = add(w, i + 1, i);
		down[i]->row.state = NODE_DRAINING;
	}
	add(w, 5000, 7777);
	assert_true(chosen(w) == 5000);
	assert_int_equal(w->m->n, 1); /* the others are not met again */
	down[400]->row.state = NODE_ACTIVE;
	assert_true(chosen(w) == 5000);
	node_wake(down[400]); /* until something happens to them */
	assert_true(chosen(w) == 401);
	node_wake(down[0]); /* and that it woke does not say that it is ready */
	assert_true(chosen(w) == 401);
	assert_int_equal(w->m->n, 2);
}

/* What is set aside can still change its price, be withdrawn and offered again. */
static void offers_change_while_aside(void **state)
{
	struct world *w = *state;
	struct node *n = add(w, 1, 10);
	struct row_sub row = { .price = 30, .active = true };
	uint64_t node;

	add(w, 2, 20);
	n->row.state = NODE_DRAINING;
	assert_true(chosen(w) == 2);
	assert_int_equal(w->m->n, 1);
	keep(node_set_sub(n, w->m, &row));
	assert_int_equal(w->m->n, 2); /* back in its new place, to be met once */
	assert_true(chosen(w) == 2);
	n->row.state = NODE_ACTIVE;
	node_wake(n);
	node_wake(n); /* twice is once */
	assert_int_equal(w->m->n, 2);
	assert_ptr_equal(w->m->subs[1]->node, n);
	n->row.state = NODE_DRAINING;
	row.active = false;
	model_sweep(w->m, &(struct node_view){ NOW, 0, true }, 16);
	keep(node_set_sub(n, w->m, &row));
	node_wake(n);
	assert_int_equal(w->m->n, 1);
	row.active = true;
	n->row.state = NODE_ACTIVE;
	row.price = 5;
	keep(node_set_sub(n, w->m, &row));
	assert_true(chosen(w) == 1);
	assert_int_equal(choose(w, 100, &node), ERR_OK);
}

/* The sixteen cheapest are full, or too small: the next one serves. */
static void no_place_is_taken_by_the_full(void **state)
{
	struct world *w = *state;
	struct row_sub row = { .active = true, .max_concurrent = 1 };
	struct node *n[20];
	uint64_t node;

	for (uint64_t i = 0; i < 20; i++) {
		row.price = i;
		n[i] = add(w, i + 1, i);
		keep(node_set_sub(n[i], w->m, &row));
		n[i]->subs->running = 1;
	}
	assert_int_equal(choose(w, 100, &node), ERR_RATE);
	n[18]->subs->running = 0;
	assert_true(chosen(w) == 19);
	row.max_concurrent = 0;
	row.max_units = 50;
	for (uint64_t i = 0; i < 20; i++) {
		row.price = i;
		keep(node_set_sub(n[i], w->m, &row));
	}
	assert_int_equal(choose(w, 51, &node), ERR_RANGE);
	row.price = 100;
	row.max_units = 51;
	keep(node_set_sub(n[3], w->m, &row));
	assert_int_equal(choose(w, 51, &node), ERR_OK);
	assert_true(node == 4);
}

/* A stack with room, and a price of the user's own, are found far down the index. */
static void what_is_the_users_own(void **state)
{
	struct world *w = *state;
	struct row_price p = { .node = 90, .model = w->m->id, .price = 1 };
	struct store_op *op;
	struct stack *st;

	for (uint64_t i = 0; i < 100; i++)
		add(w, i + 1, 1000 + i);
	assert_true(chosen(w) == 1);
	keep(ledger_set_price(w->b.ledger, w->u, &p));
	assert_true(chosen(w) == 90);
	assert_int_equal(ledger_buy(w->b.ledger, w->u, 80, w->m->id, 1000, 1000, 1, &st, &op), ERR_OK);
	keep(op);
	assert_true(chosen(w) == 80);
	keep(ledger_stack_state(st, STACK_LOCKED));
	assert_true(chosen(w) == 90);
	keep(ledger_stack_state(st, STACK_OPEN));
	registry_node(w->b.registry, 80)->row.state = NODE_DRAINING;
	assert_true(chosen(w) == 90);
	p.removed = true;
	keep(ledger_set_price(w->b.ledger, w->u, &p));
	assert_true(chosen(w) == 1);
}

/* ns for one choice: the quickest of some rounds, so that a busy machine does not matter. */
static uint64_t cost(struct world *w)
{
	uint64_t best = UINT64_MAX;

	for (int round = 0; round < 50; round++) {
		uint64_t began = uv_hrtime();

		for (int i = 0; i < 100; i++)
			(void)chosen(w);
		if (uv_hrtime() - began < best)
			best = uv_hrtime() - began;
	}
	return best / 100;
}

/* nodes of them, a price of the user's own for every one, and two of three down from the cheapest on. */
static void grow(struct world *w, uint64_t from, uint64_t nodes)
{
	for (uint64_t i = from; i < nodes; i++) {
		struct row_price p = { .node = i + 1, .model = w->m->id, .price = 2000 + i };
		struct node *n = add(w, i + 1, 1000 + i);

		keep(ledger_set_price(w->b.ledger, w->u, &p));
		if (i % 3 || i < nodes / 2)
			n->row.state = NODE_DRAINING;
	}
}

static void the_cost_is_the_same(void **state)
{
	struct world *w = *state;
	uint64_t few, many;

	grow(w, 0, 60);
	few = cost(w);
	grow(w, 60, 10000);
	many = cost(w);
	print_message("a choice takes %llu ns among 60 nodes, %llu ns among 10,000\n",
		      (unsigned long long)few, (unsigned long long)many);
	assert_true(many < 4 * few);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* --- places of many nodes (place.h) --- */

#define NODES 20
#define PLACES 8

/* n nodes with so many places each, which the user has all taken. */
static void crowd(struct world *w, struct sub *subs[], unsigned n, uint32_t places)
{
	for (unsigned i = 0; i < n; i++) {
		subs[i] = add(w, i + 1, 10 + i)->subs;
		subs[i]->max_concurrent = subs[i]->running = places;
	}
	w->u->use.running = (uint64_t)n * places;
}

static enum err ask_as(struct world *w, struct user *u, struct sub **sub)
{
	struct pick_ask ask = { .has_units = true, .units = 100 };
	struct choice c = { .user = u, .model = w->m, .now = NOW };
	enum err e = choose_node(&w->b, &ask, &c);

	*sub = c.sub;
	return e;
}

/* A request of the user at s ends, and it asks again. */
static bool again(struct world *w, struct sub *s)
{
	struct sub *got;

	s->running--;
	w->u->use.running--;
	if (ask_as(w, w->u, &got) != ERR_OK)
		return false;
	got->running++;
	w->u->use.running++;
	return true;
}

static struct user *somebody_else(struct world *w)
{
	struct store_op *op;
	struct user *u;

	assert_int_equal(ledger_user_add(w->b.ledger, SLICE_STR("bob"), 2, &u, &op), ERR_OK);
	keep(op);
	return u;
}

static uint64_t sum(struct sub *subs[], unsigned n)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < n; i++)
		all += subs[i]->running;
	return all;
}

/* What a user has at one node is not held against it at the others: one refusal of somebody else does not
 * empty them all. */
static void one_refused_takes_few_places(void **state)
{
	const uint32_t sizes[] = { 1, 2, 3, PLACES, 64 };
	struct world *w = *state;
	struct user *bob = somebody_else(w);
	struct sub *subs[NODES], *got;

	crowd(w, subs, NODES, PLACES);
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		uint64_t all = (uint64_t)NODES * sizes[k];

		for (unsigned i = 0; i < NODES; i++) {
			subs[i]->max_concurrent = subs[i]->running = sizes[k];
			subs[i]->shared_until = 0;
		}
		w->u->use.running = all;
		assert_int_equal(ask_as(w, bob, &got), ERR_RATE);
		for (unsigned i = 0; i < 100 * NODES; i++)
			if (subs[i * 7 % NODES]->running)
				(void)again(w, subs[i * 7 % NODES]);
		assert_in_range(sum(subs, NODES), all - (all + 15) / 16, all - 1);
		assert_int_equal(ask_as(w, bob, &got), ERR_OK);
	}
}

/* Nor does it count as refused who was taken elsewhere. */
static void a_place_elsewhere_is_a_place(void **state)
{
	struct world *w = *state;
	struct sub *subs[2], *got;

	crowd(w, subs, 1, PLACES);
	subs[1] = add(w, 100, 5000)->subs;
	assert_int_equal(ask_as(w, somebody_else(w), &got), ERR_OK);
	assert_ptr_equal(got, subs[1]);
	subs[1]->max_concurrent = subs[1]->running = 1;
	assert_true(again(w, subs[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(behind_many_that_are_down),     T(offers_change_while_aside),
		T(no_place_is_taken_by_the_full), T(what_is_the_users_own),
		T(the_cost_is_the_same),          T(one_refused_takes_few_places),
		T(a_place_elsewhere_is_a_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
