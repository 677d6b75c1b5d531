/* SPDX-License-Identifier: Apache-2.0
 *
 * `usage` objects.
 */
#include "tests/unit/node/unit.h"

#include "node/usage.h"

static void test_complete(void **state)
{
	struct usage u = { .prompt = 3, .completion = 4, .reasoning = 2, .cached = 1 };
	json_t *o = usage_json(&u);

	(void)state;
	assert_json(o, "{'prompt_tokens':3,'completion_tokens':4,'total_tokens':7,"
		       "'completion_tokens_details':{'accepted_prediction_tokens':0,'audio_tokens':0,"
		       "'reasoning_tokens':2,'rejected_prediction_tokens':0},"
		       "'prompt_tokens_details':{'audio_tokens':0,'cached_tokens':1}}");
	json_decref(o);
}

static void read(const char *text, struct usage_said *said)
{
	json_t *o = json_of(text);

	usage_read(o, said);
	json_decref(o);
}

static void test_read(void **state)
{
	struct usage_said u = { .prompt = false };

	(void)state;
	read("{'prompt_tokens':3,'completion_tokens':4,'prompt_tokens_details':{'cached_tokens':2},"
	     "'completion_tokens_details':null}",
	     &u);
	assert_true(u.prompt && u.completion);
	assert_true(u.n.prompt == 3 && u.n.completion == 4 && u.n.cached == 2 && u.n.reasoning == 0);
	read("{'prompt_tokens':9}", &u);
	assert_true(u.n.prompt == 9 && u.n.completion == 4 && u.n.cached == 2);
}

static void test_odd(void **state)
{
	static const char *const odd[] = { "null",
					   "{}",
					   "'x'",
					   "[1]",
					   "{'prompt_tokens':-1}",
					   "{'prompt_tokens':1.0}",
					   "{'completion_tokens':2147483648}",
					   "{'completion_tokens':'4'}",
					   "{'prompt_tokens':null,'completion_tokens':4.5}" };
	struct usage_said u = { .n.prompt = 7 };

	(void)state;
	usage_read(NULL, &u);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		read(odd[i], &u);
	assert_true(!u.prompt && !u.completion && u.n.prompt == 7 && u.n.completion == 0);
	read("{'prompt_tokens':-1,'completion_tokens':2147483647}", &u);
	assert_true(!u.prompt && u.completion && u.n.completion == USAGE_MAX);
}

static void test_clamp(void **state)
{
	struct usage u = { .prompt = USAGE_MAX, .completion = 5, .cached = UINT64_MAX };

	(void)state;
	usage_clamp(&u);
	assert_int_equal(u.prompt, USAGE_MAX);
	assert_int_equal(u.completion, 0);
	assert_int_equal(u.cached, USAGE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_complete), cmocka_unit_test(test_read),
					    cmocka_unit_test(test_odd), cmocka_unit_test(test_clamp) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
