/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotation by a fake clock: when a successor comes, how long the predecessor
 * stays, and that nothing rotates away before a gateway knows of it.
 */
#include "tests/unit/node/signer.h"

#include "node/keys.h"
#include "proto/receipt.h"

#define LIFE 100
#define OVERLAP 30
#define UNIX UINT64_C(1760000000000)

static struct keys *new_keys(size_t guard_max)
{
	struct keys_opts o = {
		.node = 7, .sign = sign, .lifetime_s = LIFE, .overlap_s = OVERLAP, .guard_max = guard_max
	};

	return keys_new(&o, 1000, UNIX);
}

static void acknowledge(struct keys *k, uint64_t mono_ms)
{
	keys_acknowledged(k, nodekey_counter(keys_current(k)), 0, mono_ms);
}

static void test_statement(void **state)
{
	struct keys *k = new_keys(100);
	const struct nodekey *n = keys_current(k);
	struct statement s;

	(void)state;
	assert_int_equal(statement_decode(nodekey_statement(n), &s), ERR_OK);
	assert_int_equal(s.node, 7);
	assert_memory_equal(s.node_key, nodekey_public(n), 32);
	assert_int_equal(s.counter, UNIX);
	assert_true(s.not_before <= UNIX / 1000);
	assert_true(s.not_after >= UNIX / 1000 + LIFE + OVERLAP);
	assert_int_equal(sign_verify_label(nodekey_signature(n), STATEMENT_LABEL, nodekey_statement(n),
					   sign_key_public(sign)),
			 ERR_OK);
	keys_free(k);
}

static void test_new_at_each_start(void **state)
{
	struct keys *a = new_keys(100), *b = new_keys(100);

	(void)state;
	assert_memory_not_equal(nodekey_public(keys_current(a)), nodekey_public(keys_current(b)), 32);
	keys_free(a);
	keys_free(b);
}

static void test_no_rotation_unacknowledged(void **state)
{
	struct keys *k = new_keys(100);

	(void)state;
	assert_false(keys_tick(k, 1000 + LIFE * 1000, UNIX));
	keys_acknowledged(k, nodekey_counter(keys_current(k)) - 1, 0, 2000); /* another key's */
	assert_false(keys_tick(k, 1000 + LIFE * 1000, UNIX));
	acknowledge(k, 3000);
	assert_true(keys_tick(k, 1000 + LIFE * 1000, UNIX));
	keys_free(k);
}

/* A broker refuses a statement that is over, so one that was never acknowledged
 * has to be replaced in the end; its key might be in use all the same. */
static void test_stale_statement_is_replaced(void **state)
{
	struct keys *k = new_keys(100);
	uint8_t old[32];
	uint64_t now = 1000 + (LIFE + OVERLAP) * 1000;

	(void)state;
	memcpy(old, nodekey_public(keys_current(k)), 32);
	assert_false(keys_tick(k, now - 1, UNIX));
	assert_true(keys_tick(k, now, UNIX));
	assert_false(keys_tick(k, now, UNIX));
	assert_non_null(keys_find(k, old, now));
	keys_free(k);
}

static void test_rotation(void **state)
{
	struct keys *k = new_keys(100);
	uint8_t old[32];
	uint64_t first = nodekey_counter(keys_current(k)), now = 1000 + LIFE * 1000;

	(void)state;
	memcpy(old, nodekey_public(keys_current(k)), 32);
	acknowledge(k, 1001);
	assert_false(keys_tick(k, now - 1, UNIX));
	assert_true(keys_tick(k, now, UNIX)); /* the clock stood still: the counter grows all the same */
	assert_true(nodekey_counter(keys_current(k)) > first);
	assert_memory_not_equal(nodekey_public(keys_current(k)), old, 32);
	/* the successor is not acknowledged: the old key has no end */
	assert_false(keys_tick(k, now + (LIFE + OVERLAP) * 1000 - 1, UNIX));
	assert_non_null(keys_find(k, old, now + 3600 * 1000));
	acknowledge(k, now + 5);
	assert_non_null(keys_find(k, old, now + 5 + OVERLAP * 1000 - 1));
	assert_null(keys_find(k, old, now + 5 + OVERLAP * 1000));
	assert_false(keys_tick(k, now + 5 + OVERLAP * 1000, UNIX));
	assert_null(keys_find(k, old, now));
	assert_non_null(keys_find(k, nodekey_public(keys_current(k)), now));
	keys_free(k);
}

static void test_late_acknowledgement_counts_once(void **state)
{
	struct keys *k = new_keys(100);
	uint8_t old[32];
	uint64_t now = 1000 + LIFE * 1000;

	(void)state;
	memcpy(old, nodekey_public(keys_current(k)), 32);
	acknowledge(k, 1001);
	assert_true(keys_tick(k, now, UNIX));
	acknowledge(k, now);
	acknowledge(k, now + 20 * 1000); /* the next regular registration: no longer life for the old key */
	assert_null(keys_find(k, old, now + OVERLAP * 1000));
	keys_free(k);
}

/* A machine that starts in 1970, or far ahead, until it has asked for the time: what it said meanwhile is
 * refused by the broker, and must not be what it is held to afterwards. */
static void test_a_clock_that_was_wrong_at_the_start(void **state)
{
	static const uint64_t wrong[] = { 1000, UNIX + UINT64_C(400) * 86400 * 1000 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct keys_opts o = {
			.node = 7, .sign = sign, .lifetime_s = LIFE, .overlap_s = OVERLAP, .guard_max = 100
		};
		struct keys *k = keys_new(&o, 1000, wrong[i]);
		struct statement s;

		(void)keys_count(k, 1000);
		assert_false(keys_tick(k, 2000, wrong[i] + 1000));
		assert_true(keys_tick(k, 3000, UNIX));
		assert_int_equal(statement_decode(nodekey_statement(keys_current(k)), &s), ERR_OK);
		assert_int_equal(s.counter, UNIX);
		assert_true(s.not_before <= UNIX / 1000 && s.not_after > UNIX / 1000);
		assert_int_equal(keys_count(k, 3000), UNIX);
		assert_int_equal(keys_count(k, 3000), UNIX + 1);
		assert_false(keys_tick(k, 3001, UNIX + 1));
		keys_free(k);
	}
}

/* A clock that runs off and comes back while all is well: a later start, with the right time, is not refused.
 */
static void test_a_clock_that_is_set_later(void **state)
{
	struct keys *k = new_keys(100);
	uint64_t far = UNIX + UINT64_C(400) * 86400 * 1000, first = keys_count(k, 1000);

	(void)state;
	assert_int_equal(first, UNIX);
	keys_acknowledged(k, nodekey_counter(keys_current(k)), first, 1001);
	assert_false(keys_tick(k, 2000, far));
	assert_int_equal(keys_count(k, 2000), UNIX + 1000);
	assert_true(keys_tick(k, 1000 + LIFE * 1000, far)); /* a new key just then, which is refused */
	(void)keys_count(k, 1000 + LIFE * 1000);
	assert_true(keys_tick(k, 2000 + LIFE * 1000, UNIX + 1000 + LIFE * 1000));
	assert_int_equal(nodekey_counter(keys_current(k)), UNIX + 1000 + LIFE * 1000);
	assert_int_equal(keys_count(k, 2000 + LIFE * 1000), UNIX + 1000 + LIFE * 1000);
	keys_free(k);
}

/* A start before this one had a clock that was ahead, by little enough for the broker to take its key: it
 * refuses all that are older.  A new key every now and then, until one is newer. */
static void test_a_key_that_is_refused(void **state)
{
	struct keys *k = new_keys(100);
	uint64_t old = nodekey_counter(keys_current(k));
	uint8_t pub[32];

	(void)state;
	memcpy(pub, nodekey_public(keys_current(k)), 32);
	keys_refused(k, old + 1); /* another one */
	assert_false(keys_tick(k, 11000, UNIX + 10000));
	keys_refused(k, old);
	assert_false(keys_tick(k, 10999, UNIX + 9999));
	assert_true(keys_tick(k, 11000, UNIX + 10000));
	assert_int_equal(nodekey_counter(keys_current(k)), UNIX + 10000);
	assert_false(keys_tick(k, 21000, UNIX + 20000));
	assert_non_null(keys_find(k, pub, 11000 + OVERLAP * 1000 - 1));
	assert_null(keys_find(k, pub, 11000 + OVERLAP * 1000));
	keys_refused(k, UNIX + 10000);
	keys_acknowledged(k, UNIX + 60000, 0, 20000); /* known all the same, by a clock that was ahead */
	assert_true(keys_tick(k, 21000, UNIX + 20000));
	assert_int_equal(nodekey_counter(keys_current(k)), UNIX + 60001);
	acknowledge(k, 21000);
	keys_refused(k, nodekey_counter(keys_current(k))); /* by another gateway: it is of use all the same */
	assert_false(keys_tick(k, 31000, UNIX + 30000));
	keys_free(k);
}

static void test_crowded_rotates_early(void **state)
{
	struct keys *k = new_keys(4);
	uint8_t derived[32] = { 0 };

	(void)state;
	acknowledge(k, 1001);
	for (derived[0] = 0; derived[0] < 3; derived[0]++)
		assert_int_equal(nodekey_answer_once(keys_current(k), derived), ERR_OK);
	assert_true(keys_tick(k, 2000, UNIX + 1000));
	derived[0] = 0; /* a new key has a guard of its own */
	assert_int_equal(nodekey_answer_once(keys_current(k), derived), ERR_OK);
	assert_int_equal(nodekey_answer_once(keys_current(k), derived), ERR_ANSWERED);
	keys_free(k);
}

static void test_derive_agrees(void **state)
{
	struct keys *k = new_keys(4);
	uint8_t pub[32], secret[32], here[32], there[32];
	static const uint8_t salt[SEAL_SALT] = { 5 }, zero[32] = { 0 };

	(void)state;
	seal_keypair(pub, secret);
	assert_int_equal(nodekey_derive(keys_current(k), pub, salt, here), ERR_OK);
	assert_int_equal(seal_derive(secret, nodekey_public(keys_current(k)), salt, there), ERR_OK);
	assert_memory_equal(here, there, 32);
	assert_int_equal(nodekey_derive(keys_current(k), zero, salt, here), ERR_KEY);
	keys_free(k);
	keys_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_statement),
					    cmocka_unit_test(test_new_at_each_start),
					    cmocka_unit_test(test_no_rotation_unacknowledged),
					    cmocka_unit_test(test_stale_statement_is_replaced),
					    cmocka_unit_test(test_rotation),
					    cmocka_unit_test(test_late_acknowledgement_counts_once),
					    cmocka_unit_test(test_a_clock_that_was_wrong_at_the_start),
					    cmocka_unit_test(test_a_clock_that_is_set_later),
					    cmocka_unit_test(test_a_key_that_is_refused),
					    cmocka_unit_test(test_crowded_rotates_early),
					    cmocka_unit_test(test_derive_agrees) };

	return cmocka_run_group_tests(tests, signer_setup, signer_teardown);
}
