/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry: keys and their succession, readiness, the breaker, the
 * price-ordered index.
 */
#include "tests/unit/broker/test.h"

#include <string.h>

#include "broker/node.h"

static struct node *add(struct registry *r, uint64_t id)
{
	struct row_node row = { .id = id, .state = NODE_ACTIVE, .validity_s = 60, .seen = 1000 };
	struct node *n;

	row.sign_key[0] = (uint8_t)id;
	assert_int_equal(registry_node_add(r, &row, SLICE_STR("https://n"), SLICE_STR(""), SLICE_STR(""), &n),
			 ERR_OK);
	return n;
}

static void set_key(struct node *n, uint8_t first, int64_t now)
{
	struct node_key k = { .counter = first, .not_before = now, .not_after = now + 1000 };
	struct store_op *ops[2];

	k.key[0] = first;
	node_set_key(n, &k, now, ops);
	store_op_free(ops[0]);
	store_op_free(ops[1]);
}

static void who_may_be_added(void **state)
{
	struct registry *r = registry_new();
	struct row_node row = { .id = 7 };
	struct node *n = NULL;

	(void)state;
	row.sign_key[0] = 9;
	add(r, 7);
	assert_int_equal(registry_node_add(r, &row, SLICE_STR(""), SLICE_STR(""), SLICE_STR(""), &n),
			 ERR_EXISTS);
	row.id = 8;
	row.sign_key[0] = 7;
	assert_int_equal(registry_node_add(r, &row, SLICE_STR(""), SLICE_STR(""), SLICE_STR(""), &n),
			 ERR_EXISTS);
	row.id = 0;
	assert_int_equal(registry_node_add(r, &row, SLICE_STR(""), SLICE_STR(""), SLICE_STR(""), &n),
			 ERR_RANGE);
	row.id = ID_MAX + 1;
	assert_int_equal(registry_node_add(r, &row, SLICE_STR(""), SLICE_STR(""), SLICE_STR(""), &n),
			 ERR_RANGE);
	assert_null(n);
	assert_true(registry_free_id(r) == 1);
	registry_free(r);
}

static void keys_succeed_each_other(void **state)
{
	struct registry *r = registry_new();
	struct node *n = add(r, 1);
	uint8_t one[KEY_BYTES] = { 1 }, two[KEY_BYTES] = { 2 }, three[KEY_BYTES] = { 3 };
	struct store_op *op;

	(void)state;
	assert_null(node_current_key(n, 1000));
	set_key(n, 1, 1000);
	assert_memory_equal(node_current_key(n, 1000)->key, one, KEY_BYTES);
	set_key(n, 2, 1100);
	assert_memory_equal(node_current_key(n, 1100)->key, two, KEY_BYTES);
	/* the old one is good for the longest lock and the dispatch deadline, and known for longer */
	assert_true(node_key_accepted(node_find_key(n, one), 1100 + 629));
	assert_false(node_key_accepted(node_find_key(n, one), 1100 + 630));
	assert_non_null(node_find_key(n, one));
	assert_null(node_find_key(n, three));
	op = node_drop_key(n, two);
	assert_true(op->u.key.dropped);
	store_op_free(op);
	assert_null(node_drop_key(n, two));
	assert_null(node_drop_key(n, three));
	assert_null(node_current_key(n, 1100)); /* nothing current until it registers again */
	assert_false(node_key_accepted(node_find_key(n, two), 1100));
	set_key(n, 2, 1200); /* it does have it after all, and says so */
	assert_non_null(node_current_key(n, 1200));
	registry_free(r);
}

static void many_keys(void **state)
{
	struct registry *r = registry_new();
	struct node *n = add(r, 1);
	uint8_t key[KEY_BYTES] = { 0 };

	(void)state;
	for (uint8_t i = 1; i <= 100; i++)
		set_key(n, i, 1000);
	key[0] = 100;
	assert_non_null(node_find_key(n, key));
	key[0] = 100 - NODE_KEYS + 1;
	assert_non_null(node_find_key(n, key));
	key[0] = 100 - NODE_KEYS;
	assert_null(node_find_key(n, key));
	registry_free(r);
}

static void key_dates(void **state)
{
	struct registry *r = registry_new();
	struct node *n = add(r, 1);

	(void)state;
	set_key(n, 1, 1000);
	assert_non_null(node_current_key(n, 1999));
	assert_null(node_current_key(n, 2000));
	assert_non_null(node_current_key(n, 700)); /* clocks differ */
	assert_null(node_current_key(n, 699));
	registry_free(r);
}

static void readiness(void **state)
{
	struct registry *r = registry_new();
	struct node *n = add(r, 1);

	(void)state;
	assert_false(node_ready(n, 1000, 0)); /* no key */
	set_key(n, 1, 1000);
	assert_true(node_ready(n, 1000, 0));
	assert_true(node_ready(n, 1060, 0));
	assert_false(node_ready(n, 1061, 0)); /* not heard of within its validity */
	node_seen(n, 1061, 5000);
	assert_true(node_ready(n, 1800, 65000)); /* the clock was set */
	assert_false(node_ready(n, 1061, 65001));
	n->row.validity_s = 0;
	assert_true(node_ready(n, 1061, 65001));
	n->row.state = NODE_DRAINING;
	assert_false(node_ready(n, 1000, 0));
	n->row.state = NODE_REMOVED;
	assert_false(node_ready(n, 1000, 0));
	n->row.state = NODE_ACTIVE;
	node_set_text(&n->url, SLICE_STR(""));
	assert_false(node_ready(n, 1000, 0)); /* admitted, never registered */
	registry_free(r);
}

static void the_breaker(void **state)
{
	const struct breaker br = { 5, 10000, false };
	struct registry *r = registry_new();
	struct node *n = add(r, 1);

	(void)state;
	set_key(n, 1, 1000);
	for (unsigned i = 1; i < br.failures; i++)
		node_note(n, false, &br, 100);
	assert_true(node_ready(n, 1000, 100));
	node_note(n, false, &br, 100);
	assert_false(node_ready(n, 1000, 100));
	assert_false(node_ready(n, 1000, 100 + br.open_ms - 1));
	assert_int_equal(node_breaker(n, 100 + br.open_ms - 1), BREAKER_OPEN);
	node_note(n, false, &br, 5000); /* was under way when it opened: keeps nothing open for longer */
	assert_int_equal(node_breaker(n, 100 + br.open_ms), BREAKER_HALF_OPEN);
	assert_true(node_ready(n, 1000, 100 + br.open_ms)); /* half-open: one trial, not a flood */
	node_try(n, &br, 100 + br.open_ms);
	assert_false(node_ready(n, 1000, 100 + br.open_ms));
	assert_false(node_ready(n, 1000, 100 + 2 * br.open_ms - 1));
	assert_true(node_ready(n, 1000, 100 + 2 * br.open_ms)); /* nothing came of it: another */
	node_note(n, false, &br, 30000);                        /* one more failure opens it again */
	assert_false(node_ready(n, 1000, 30000));
	node_note(n, true, &br, 40000);
	assert_true(node_ready(n, 1000, 40000));
	node_note(n, false, &br, 40000); /* and it takes a row of failures once more */
	assert_true(node_ready(n, 1000, 40000));
	registry_free(r);
}

/* With probes, a half-open breaker waits for one; with the node's registration it half-opens at once. */
static void a_breaker_that_is_probed(void **state)
{
	const struct breaker br = { 2, 10000, true };
	struct registry *r = registry_new();
	struct node *n = add(r, 1);

	(void)state;
	set_key(n, 1, 1000);
	node_half_open(n, &br, 100);
	assert_int_equal(node_breaker(n, 100), BREAKER_CLOSED); /* nothing to open */
	node_try(n, &br, 100);
	assert_true(node_ready(n, 1000, 100)); /* a closed one is not tried */
	node_note(n, false, &br, 100);
	node_note(n, false, &br, 100);
	assert_int_equal(node_breaker(n, 101), BREAKER_OPEN);
	assert_int_equal(node_breaker(n, 100 + br.open_ms), BREAKER_HALF_OPEN);
	assert_false(node_ready(n, 1000, 100 + 50 * br.open_ms)); /* only a closed one is picked */
	node_note(n, true, NULL, 0);
	assert_true(node_ready(n, 1000, 100));
	node_note(n, false, &br, 100);
	node_note(n, false, &br, 100);
	node_half_open(n, &br, 200);
	assert_int_equal(node_breaker(n, 200), BREAKER_HALF_OPEN);
	assert_false(node_ready(n, 1000, 200));
	node_note(n, false, &br, 200);
	assert_int_equal(node_breaker(n, 200 + br.open_ms - 1), BREAKER_OPEN);
	registry_free(r);
}

static struct store_op *offer(struct registry *r, uint64_t node, struct model *m, uint64_t price, bool active)
{
	struct row_sub row = { .price = price, .active = active };

	return node_set_sub(registry_node(r, node), m, &row);
}

static void the_index_is_in_order_of_price(void **state)
{
	static const uint64_t prices[] = { 50, 20, 90, 20, 10 };
	struct registry *r = registry_new();
	struct store_op *op;
	struct model *m = registry_model_add(r, SLICE_STR("demo"), &op);

	(void)state;
	assert_non_null(op);
	store_op_free(op);
	assert_ptr_equal(registry_model_add(r, SLICE_STR("demo"), &op), m);
	assert_null(op);
	for (uint64_t i = 0; i < 5; i++) {
		add(r, i + 1);
		store_op_free(offer(r, i + 1, m, prices[i], true));
	}
	assert_int_equal(m->n, 5);
	assert_true(m->subs[0]->node->row.id == 5 && m->subs[1]->node->row.id == 2 &&
		    m->subs[2]->node->row.id == 4);
	assert_null(offer(r, 5, m, 10, true)); /* nothing new */
	store_op_free(offer(r, 5, m, 1000, true));
	assert_true(m->subs[4]->node->row.id == 5);
	op = offer(r, 2, m, 20, false);
	assert_false(op->u.sub.active);
	store_op_free(op);
	assert_int_equal(m->n, 4);
	assert_null(node_sub(registry_node(r, 2), m->id));
	assert_non_null(node_sub(registry_node(r, 4), m->id));
	for (unsigned i = 1; i < m->n; i++)
		assert_true(m->subs[i - 1]->price <= m->subs[i]->price);
	registry_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_may_be_added),
		cmocka_unit_test(keys_succeed_each_other),
		cmocka_unit_test(many_keys),
		cmocka_unit_test(key_dates),
		cmocka_unit_test(readiness),
		cmocka_unit_test(the_breaker),
		cmocka_unit_test(a_breaker_that_is_probed),
		cmocka_unit_test(the_index_is_in_order_of_price),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
