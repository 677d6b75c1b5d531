/* SPDX-License-Identifier: Apache-2.0
 *
 * Billing: what each outcome costs, and which receipts belong to a request.
 */
#include "tests/unit/broker/test.h"

#include <string.h>

#include "broker/judge.h"

static struct row_settlement verdict(struct judge_case c)
{
	struct row_settlement row = { 0 };

	judge(&c, &row);
	assert_true(row.billed <= c.reserved);
	assert_true(row.prompt + row.completion == row.billed);
	return row;
}

static void a_receipt_bills(void **state)
{
	struct judge_case c = { .reserved = 100,
				.outcome = SETTLE_COMPLETE,
				.has_receipt = true,
				.receipt_good = true,
				.prompt = 10,
				.completion = 20 };
	struct row_settlement r = verdict(c);

	(void)state;
	assert_int_equal(r.billed, 30);
	assert_int_equal(r.prompt, 10);
	assert_int_equal(r.flags, 0);
	c.outcome = SETTLE_STOPPED;
	assert_int_equal(verdict(c).billed, 30);
	c.outcome = SETTLE_FAILED; /* refused before its 200: nothing, whatever it signs */
	assert_int_equal(verdict(c).billed, 0);
	assert_int_equal(verdict(c).flags, 0);
}

static void never_above_the_reservation(void **state)
{
	static const uint64_t huge[] = { 101, 1000, UINT64_C(1) << 53, UINT64_MAX };
	struct judge_case c = {
		.reserved = 100, .outcome = SETTLE_COMPLETE, .has_receipt = true, .receipt_good = true
	};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned k = 0; k < 4; k++) {
			c.prompt = huge[i];
			c.completion = huge[k];
			assert_int_equal(verdict(c).billed, 100);
			assert_int_equal(verdict(c).flags, SETTLE_EXCESS);
		}
	}
	c.prompt = 60;
	c.completion = 40;
	assert_int_equal(verdict(c).flags, 0);
	c.completion = 41;
	assert_int_equal(verdict(c).flags, SETTLE_EXCESS);
	c.reserved = 0;
	assert_int_equal(verdict(c).billed, 0);
}

static void our_nodes_owe_a_receipt(void **state)
{
	struct judge_case c = { .reserved = 100,
				.outcome = SETTLE_COMPLETE,
				.accept_unsigned = true,
				.has_usage = true,
				.usage_prompt = 10,
				.usage_completion = 10 };

	(void)state;
	assert_int_equal(verdict(c).billed, 0);
	assert_int_equal(verdict(c).flags, SETTLE_NO_RECEIPT);
	c.has_receipt = true;
	assert_int_equal(verdict(c).billed, 0);
	assert_int_equal(verdict(c).flags, SETTLE_BAD_RECEIPT);
	c.outcome = SETTLE_LOST;
	assert_int_equal(verdict(c).billed, 0);
	assert_int_equal(verdict(c).flags, SETTLE_NODE_LOST);
}

static void the_original_network_by_usage(void **state)
{
	struct judge_case c = { .reserved = 100,
				.outcome = SETTLE_COMPLETE,
				.original = true,
				.accept_unsigned = true,
				.has_usage = true,
				.usage_prompt = 10,
				.usage_completion = UINT64_MAX };

	(void)state;
	assert_int_equal(verdict(c).billed, 100);
	assert_int_equal(verdict(c).flags, SETTLE_UNSIGNED | SETTLE_EXCESS);
	c.usage_completion = 5;
	assert_int_equal(verdict(c).billed, 15);
	assert_int_equal(verdict(c).flags, SETTLE_UNSIGNED);
	c.accept_unsigned = false;
	assert_int_equal(verdict(c).billed, 0);
	c.accept_unsigned = true;
	c.has_usage = false;
	assert_int_equal(verdict(c).billed, 0);
	c.has_receipt = true; /* a wrong one does not fall back to what nobody signed */
	c.has_usage = true;
	assert_int_equal(verdict(c).billed, 0);
	assert_int_equal(verdict(c).flags, SETTLE_BAD_RECEIPT);
}

static void every_field_of_a_receipt_counts(void **state)
{
	struct receipt good = { .endpoint = 2, .stack = 7 };
	struct receipt_claim claim = { .rid = good.rid,
				       .stack = 7,
				       .endpoint = 2,
				       .node_key = good.node_key,
				       .model_hash = good.model_hash,
				       .plain_hash = good.plain_hash,
				       .transcript = good.transcript };
	struct receipt r;

	(void)state;
	memset(good.rid, 1, RID_BYTES);
	memset(good.node_key, 2, KEY_BYTES);
	memset(good.model_hash, 3, KEY_BYTES);
	memset(good.plain_hash, 4, KEY_BYTES);
	memset(good.transcript, 5, KEY_BYTES);
	r = good;
	assert_true(judge_receipt(&r, &claim));
#define WRONG(change)                                                                                        \
	do {                                                                                                 \
		r = good;                                                                                    \
		change;                                                                                      \
		assert_false(judge_receipt(&r, &claim));                                                     \
	} while (0)
	WRONG(r.rid[15]++);
	WRONG(r.stack++);
	WRONG(r.endpoint++);
	WRONG(r.node_key[31]++);
	WRONG(r.model_hash[0]++);
	WRONG(r.plain_hash[31]++);
	WRONG(r.transcript[31]++);
#undef WRONG
	r = good;
	r.plain_hash[0]++;
	r.transcript[0]++;
	claim.plain_hash = claim.transcript = NULL; /* after a restart */
	assert_true(judge_receipt(&r, &claim));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_receipt_bills),
		cmocka_unit_test(never_above_the_reservation),
		cmocka_unit_test(our_nodes_owe_a_receipt),
		cmocka_unit_test(the_original_network_by_usage),
		cmocka_unit_test(every_field_of_a_receipt_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
