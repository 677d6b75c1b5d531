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

static bool read(const char *text, struct usage *u)
{
	json_t *o = json_of(text);
	bool ok = usage_read(o, u);

	json_decref(o);
	return ok;
}

static void test_read(void **state)
{
	struct usage u = { .prompt = 77 };

	(void)state;
	assert_true(
		read("{'prompt_tokens':3,'completion_tokens':4,'prompt_tokens_details':{'cached_tokens':2},"
		     "'completion_tokens_details':null}",
		     &u));
	assert_true(u.prompt == 3 && u.completion == 4 && u.cached == 2 && u.reasoning == 0);
	assert_true(read("{'prompt_tokens':9}", &u));
	assert_true(u.prompt == 9 && u.completion == 0);
	assert_false(read("null", &u));
	assert_false(read("{}", &u));
	assert_false(read("{'prompt_tokens':-1}", &u));
	assert_false(read("{'prompt_tokens':2147483648}", &u));
	assert_false(read("'x'", &u));
	assert_false(usage_read(NULL, &u));
	assert_int_equal(u.prompt, 9);
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
					    cmocka_unit_test(test_clamp) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
