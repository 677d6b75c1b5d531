/* SPDX-License-Identifier: Apache-2.0
 *
 * When it is said that a broker does not answer, and how often.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/no_answer.h"

#define LIMIT 300

static const struct no_answer broker = { .endpoint = "ipc:///b", .role = "worker", .limit_ms = LIMIT };

static void said_when_the_silence_is_death(void **state)
{
	_Atomic uint64_t next = 0;

	(void)state;
	assert_false(no_answer_say(&broker, LIMIT - 1, 1000, &next));
	assert_true(no_answer_say(&broker, LIMIT, 1001, &next));
}

/* Heartbeats may be a minute apart. */
static void said_after_five_seconds_at_the_latest(void **state)
{
	struct no_answer slow = broker;
	_Atomic uint64_t next = 0;

	(void)state;
	slow.limit_ms = 180000;
	assert_false(no_answer_say(&slow, 4999, 1, &next));
	assert_true(no_answer_say(&slow, 5000, 2, &next));
}

static void said_again_after_a_minute(void **state)
{
	_Atomic uint64_t next = 0;

	(void)state;
	assert_true(no_answer_say(&broker, LIMIT, 1000, &next));
	assert_false(no_answer_say(&broker, LIMIT, 1000, &next)); /* another thread that shares next */
	assert_false(no_answer_say(&broker, 2 * LIMIT, 60999, &next));
	assert_true(no_answer_say(&broker, 3 * LIMIT, 61000, &next));
	assert_false(no_answer_say(&broker, 4 * LIMIT, 61001, &next));
}

/* One that answered in words of another version will not be understood later, either. */
static void a_foreign_one_is_said_at_once(void **state)
{
	struct no_answer foreign = broker;
	_Atomic uint64_t next = 0;

	(void)state;
	foreign.foreign = true;
	foreign.ours = 1;
	foreign.theirs = 2;
	assert_true(no_answer_say(&foreign, 0, 1000, &next));
	assert_false(no_answer_say(&foreign, LIMIT, 60999, &next));
	assert_true(no_answer_say(&foreign, 0, 61000, &next));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(said_when_the_silence_is_death),
		cmocka_unit_test(said_after_five_seconds_at_the_latest),
		cmocka_unit_test(said_again_after_a_minute),
		cmocka_unit_test(a_foreign_one_is_said_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
