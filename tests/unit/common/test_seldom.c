/* SPDX-License-Identifier: Apache-2.0
 *
 * How often a line is written that others can give cause for.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/seldom.h"

static void test_a_flood_is_a_few_lines_and_a_number(void **state)
{
	struct seldom s = { 0 };
	uint64_t times, told = 0;
	unsigned lines = 0;

	(void)state;
	for (uint64_t now = 5; now < 25005; now++) {
		if (!seldom(&s, 2, now, &times))
			continue;
		told += times;
		lines++;
	}
	assert_int_equal(lines, 6);
	assert_int_equal(told, 20002); /* the last came at 20,006; the rest waits for the next */
	assert_true(seldom(&s, 2, 30005, &times));
	assert_int_equal(times, 25001 - 20002);
}

static void test_what_happens_once_is_said_at_once(void **state)
{
	struct seldom s = { 0 };
	uint64_t times;

	(void)state;
	for (uint64_t now = 0; now < 100000; now += 10000) {
		assert_true(seldom(&s, 1, now, &times));
		assert_int_equal(times, 1);
	}
	assert_false(seldom(&s, 1, 99999, &times));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_flood_is_a_few_lines_and_a_number),
		cmocka_unit_test(test_what_happens_once_is_said_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
