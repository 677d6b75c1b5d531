/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/broker/test.h"
#include "tests/unit/broker/books.h"

#include <string.h>

static void on_row(void *arg, const struct store_op *op)
{
	struct books *k = arg;

	assert_int_equal(registry_apply(k->registry, op), ERR_OK);
	assert_int_equal(ledger_apply(k->ledger, op), ERR_OK);
}

void books_problem(void *arg, const char *text)
{
	(void)arg;
	print_error("%s\n", text);
}

void books_open(struct books *k, const char *path)
{
	uint64_t epoch;

	memset(k, 0, sizeof(*k));
	assert_int_equal(uv_loop_init(&k->loop), 0);
	k->ledger = ledger_new();
	k->registry = registry_new();
	assert_int_equal(store_open(&k->store, &k->loop, path, &epoch), ERR_OK);
	assert_true(store_check(path, books_problem, NULL));
	assert_int_equal(store_load(k->store, on_row, k), ERR_OK);
	assert_true(ledger_check(k->ledger, books_problem, NULL));
	k->user = ledger_user_named(k->ledger, SLICE_STR("alice"));
}

void books_close(struct books *k)
{
	store_close(k->store);
	uv_run(&k->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&k->loop), 0);
	ledger_free(k->ledger);
	registry_free(k->registry);
}

void books_begin(struct books *k)
{
	struct row_node row = { .id = 1, .state = NODE_ACTIVE };
	struct store_op *op;
	struct node *n;

	assert_int_equal(ledger_user_add(k->ledger, SLICE_STR("alice"), 1, &k->user, &op), ERR_OK);
	store_submit(k->store, op);
	assert_int_equal(ledger_fund(k->ledger, k->user, 100000000, "test", "start", 1, &op), ERR_OK);
	store_submit(k->store, op);
	assert_int_equal(
		registry_node_add(k->registry, &row, SLICE_STR(""), SLICE_STR(""), SLICE_STR(""), &n),
		ERR_OK);
	store_submit(k->store, node_op(n));
	(void)registry_model_add(k->registry, SLICE_STR("demo"), &op);
	store_submit(k->store, op);
}

uint64_t books_spent(const struct books *k)
{
	uint64_t sum = 0;
	struct stack *st;
	size_t pos = 0;

	while ((st = ledger_next_stack(k->ledger, &pos)) != NULL)
		sum += st->spent;
	return sum;
}
