/* SPDX-License-Identifier: Apache-2.0
 *
 * The 15 minutes of receipts.
 */
#include "tests/unit/node/unit.h"

#include "node/receipts.h"

static void put(struct receipts *r, uint8_t id, char mark, uint64_t now)
{
	uint8_t rid[RID_BYTES] = { id };
	struct receipt_text t;

	memset(&t, mark, sizeof(t));
	receipts_put(r, rid, &t, now);
}

static char get(struct receipts *r, uint8_t id, uint64_t now)
{
	uint8_t rid[RID_BYTES] = { id };
	const struct receipt_text *t = receipts_get(r, rid, now);

	return t ? t->receipt[0] : '-';
}

static void test_age(void **state)
{
	struct receipts *r = receipts_new(10);

	(void)state;
	assert_int_equal(RECEIPTS_KEEP_MS, 15 * 60 * 1000); /* PROTOCOL section 4.8 */
	put(r, 1, 'a', 1000);
	put(r, 2, 'b', 2000);
	assert_int_equal(get(r, 1, 1000 + RECEIPTS_KEEP_MS - 1), 'a');
	assert_int_equal(get(r, 1, 1000 + RECEIPTS_KEEP_MS), '-');
	assert_int_equal(get(r, 2, 1000 + RECEIPTS_KEEP_MS), 'b');
	assert_int_equal(get(r, 3, 1000), '-');
	receipts_expire(r, 2000 + RECEIPTS_KEEP_MS);
	assert_int_equal(receipts_count(r), 0);
	receipts_free(r);
}

static void test_bound(void **state)
{
	struct receipts *r = receipts_new(2);

	(void)state;
	put(r, 1, 'a', 1);
	put(r, 2, 'b', 2);
	put(r, 1, 'c', 3); /* in place of the first: now the newest */
	assert_int_equal(receipts_count(r), 2);
	assert_int_equal(get(r, 1, 3), 'c');
	put(r, 3, 'd', 4);
	assert_int_equal(get(r, 2, 4), '-');
	assert_int_equal(get(r, 1, 4), 'c');
	assert_int_equal(get(r, 3, 4), 'd');
	receipts_free(r);
	receipts_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_age), cmocka_unit_test(test_bound) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
