/* SPDX-License-Identifier: Apache-2.0
 *
 * The answered-once guard.
 */
#include "tests/unit/node/unit.h"

#include "node/guard.h"

static void key(uint8_t k[32], uint8_t v)
{
	memset(k, 0, 32);
	k[31] = v;
}

static void test_once(void **state)
{
	struct guard *g = guard_new(8);
	uint8_t a[32], b[32];

	(void)state;
	key(a, 1);
	key(b, 2);
	assert_int_equal(guard_enter(g, a), ERR_OK);
	assert_int_equal(guard_enter(g, a), ERR_ANSWERED);
	assert_int_equal(guard_enter(g, b), ERR_OK);
	assert_int_equal(guard_enter(g, a), ERR_ANSWERED);
	guard_free(g);
}

static void test_full(void **state)
{
	struct guard *g = guard_new(8);
	uint8_t k[32];

	(void)state;
	for (uint8_t i = 0; i < 8; i++) {
		assert_int_equal(guard_crowded(g), i >= 6);
		key(k, i);
		assert_int_equal(guard_enter(g, k), ERR_OK);
	}
	key(k, 8);
	assert_int_equal(guard_enter(g, k), ERR_LIMIT);
	key(k, 3); /* what was answered stays answered */
	assert_int_equal(guard_enter(g, k), ERR_ANSWERED);
	guard_free(g);
	guard_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_once), cmocka_unit_test(test_full) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
