/* SPDX-License-Identifier: Apache-2.0
 *
 * Picking a node: what is preferred, and what is said when nothing fits.
 */
#include "tests/unit/broker/test.h"

#include "broker/pick.h"

static struct pick_row row(uint64_t price)
{
	return (struct pick_row){ .price = price, .lock_units = 100, .ready = true };
}

static size_t best(const struct pick_ask *ask, const struct pick_row *rows, size_t n)
{
	size_t at = 99;

	assert_int_equal(pick(ask, rows, n, &at), ERR_OK);
	return at;
}

static void cheapest_first(void **state)
{
	struct pick_row rows[] = { row(30), row(10), row(20) };
	struct pick_ask ask = { 0 };

	(void)state;
	assert_int_equal(best(&ask, rows, 3), 1);
	rows[1].ready = false;
	assert_int_equal(best(&ask, rows, 3), 2);
}

static void ties_by_outstanding_then_order(void **state)
{
	struct pick_row rows[] = { row(10), row(10), row(10) };
	struct pick_ask ask = { 0 };

	(void)state;
	assert_int_equal(best(&ask, rows, 3), 0);
	rows[0].outstanding = 2;
	rows[1].outstanding = 1;
	rows[2].outstanding = 1;
	assert_int_equal(best(&ask, rows, 3), 1);
}

static void a_stack_with_room_goes_first(void **state)
{
	struct pick_row rows[] = { row(10), row(50), row(40) };
	struct pick_ask ask = { .has_units = true, .units = 500 };

	(void)state;
	rows[1].room = 500;
	rows[2].room = 499; /* too little */
	assert_int_equal(best(&ask, rows, 3), 1);
	ask.units = 501;
	assert_int_equal(best(&ask, rows, 3), 0);
	ask = (struct pick_ask){ 0 }; /* the node's own default of 100 */
	assert_int_equal(best(&ask, rows, 3), 2);
}

static void refusals(void **state)
{
	struct pick_row rows[] = { row(10), row(20) };
	struct pick_ask ask = { .has_units = true, .units = 500 };
	size_t at = 99;

	(void)state;
	assert_int_equal(pick(&ask, rows, 0, &at), ERR_NO_NODE);
	rows[0].ready = rows[1].ready = false;
	assert_int_equal(pick(&ask, rows, 2, &at), ERR_NO_NODE);
	rows[0].ready = true;
	rows[0].max_units = 499;
	assert_int_equal(pick(&ask, rows, 2, &at), ERR_RANGE);
	rows[1].ready = true;
	rows[1].max_concurrent = rows[1].running = 4;
	assert_int_equal(pick(&ask, rows, 2, &at), ERR_RATE);
	assert_int_equal(at, 99); /* untouched by refusals */
	rows[1].running = 3;
	assert_int_equal(best(&ask, rows, 2), 1);
	rows[0].max_units = 500; /* exactly is enough */
	assert_int_equal(best(&ask, rows, 2), 0);
}

static void locks_do_not_fill_a_node(void **state)
{
	struct pick_row r = row(10);
	struct pick_ask ask = { 0 };

	(void)state;
	r.max_concurrent = 1;
	r.outstanding = 1000; /* locks given, nothing running */
	assert_int_equal(best(&ask, &r, 1), 0);
}

static void looks_at_sixteen(void **state)
{
	struct pick_row rows[PICK_LOOK_MAX + 1];
	struct pick_ask ask = { 0 };
	size_t at;

	(void)state;
	for (size_t i = 0; i < PICK_LOOK_MAX + 1; i++) {
		rows[i] = row(10);
		rows[i].ready = i == PICK_LOOK_MAX;
	}
	assert_int_equal(pick(&ask, rows, PICK_LOOK_MAX + 1, &at), ERR_NO_NODE);
	rows[PICK_LOOK_MAX - 1].ready = true;
	assert_int_equal(best(&ask, rows, PICK_LOOK_MAX + 1), PICK_LOOK_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cheapest_first),
		cmocka_unit_test(ties_by_outstanding_then_order),
		cmocka_unit_test(a_stack_with_room_goes_first),
		cmocka_unit_test(refusals),
		cmocka_unit_test(locks_do_not_fill_a_node),
		cmocka_unit_test(looks_at_sixteen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
