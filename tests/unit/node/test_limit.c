/* SPDX-License-Identifier: Apache-2.0
 *
 * Agreements with the clear members, and the reservation's bounds, with the
 * echo engine, which measures exactly.
 */
#include "tests/unit/node/unit.h"

#include "node/engine_ops.h"
#include "node/limit.h"

static uv_loop_t loop;
static struct engine *echo;

static enum err agree(const char *plain, enum endpoint ep, bool stream, bool *include)
{
	struct agreement a = { ep, S("demo"), stream };
	json_t *o = json_of(plain);
	enum err e = limit_agree(o, &a, include);

	assert_true(e != ERR_OK || !json_object_get(o, BLIND_MEMBER));
	json_decref(o);
	return e;
}

static void test_agreement(void **state)
{
	bool include;

	(void)state;
	assert_int_equal(agree("{'model':'demo','sealway_blind':'r'}", EP_CHAT, false, &include), ERR_OK);
	assert_int_equal(agree("{'model':'demo','stream':null}", EP_CHAT, false, &include), ERR_OK);
	assert_int_equal(agree("{'model':'demo','stream':false}", EP_EMBEDDINGS, false, &include), ERR_OK);
	assert_int_equal(agree("{'model':'demo','stream':true}", EP_CHAT, true, &include), ERR_OK);
	assert_false(include);
	assert_int_equal(agree("{'model':'demo','stream':true,'stream_options':{'include_usage':true}}",
			       EP_CHAT, true, &include),
			 ERR_OK);
	assert_true(include);
	assert_int_equal(
		agree("{'model':'demo','stream_options':{'include_usage':true}}", EP_CHAT, false, &include),
		ERR_OK);
	assert_false(include);
}

static void test_disagreement(void **state)
{
	bool include;

	(void)state;
	assert_int_equal(agree("{'model':'demo2'}", EP_CHAT, false, &include), ERR_BODY);
	assert_int_equal(agree("{'model':'demo\\u0000'}", EP_CHAT, false, &include), ERR_BODY);
	assert_int_equal(agree("{'model':null}", EP_CHAT, false, &include), ERR_BODY);
	assert_int_equal(agree("{}", EP_CHAT, false, &include), ERR_BODY);
	assert_int_equal(agree("{'model':'demo','stream':true}", EP_CHAT, false, &include), ERR_BODY);
	assert_int_equal(agree("{'model':'demo'}", EP_CHAT, true, &include), ERR_BODY);
	assert_int_equal(agree("{'model':'demo','stream':1}", EP_CHAT, true, &include), ERR_BODY);
	assert_int_equal(agree("{'model':'demo','stream':true}", EP_EMBEDDINGS, true, &include), ERR_BODY);
	assert_int_equal(agree("{'model':'demo','stream':true}", EP_IMAGES, true, &include), ERR_BODY);
	assert_int_equal(agree("{'model':'demo','stream':true,'stream_options':5}", EP_CHAT, true, &include),
			 ERR_BODY);
}

static enum err apply(const char *plain, enum endpoint ep, uint64_t units, uint64_t max, struct bounds *b,
		      const char *want)
{
	json_t *o = json_of(plain);
	enum err e = limit_apply(o, ep, echo, units, max, b);

	if (e == ERR_OK && want)
		assert_json(o, want);
	json_decref(o);
	return e;
}

static void test_tokens(void **state)
{
	struct bounds b;

	(void)state;
	assert_int_equal(apply("{'prompt':'a b c'}", EP_COMPLETIONS, 100, 100, &b,
			       "{'prompt':'a b c','max_tokens':16}"),
			 ERR_OK);
	assert_true(b.max_tokens == 16 && !b.limited && b.prompt.low == 3);
	assert_int_equal(apply("{'prompt':'a b c'}", EP_COMPLETIONS, 10, 100, &b, NULL), ERR_OK);
	assert_true(b.max_tokens == 7 && b.limited);
	assert_int_equal(apply("{'prompt':'a b c','max_tokens':50}", EP_COMPLETIONS, 100, 100, &b, NULL),
			 ERR_OK);
	assert_true(b.max_tokens == 50 && b.limited);
	assert_int_equal(apply("{'prompt':'a b c','max_tokens':98}", EP_COMPLETIONS, 100, 1000, &b,
			       "{'prompt':'a b c','max_tokens':97}"),
			 ERR_OK);
	assert_int_equal(apply("{'prompt':'a b c','max_tokens':98}", EP_COMPLETIONS, 1000, 20, &b, NULL),
			 ERR_OK);
	assert_int_equal(b.max_tokens, 17);
	assert_int_equal(apply("{'prompt':'a','max_tokens':9,'max_completion_tokens':4}", EP_COMPLETIONS, 100,
			       100, &b, "{'prompt':'a','max_tokens':4,'max_completion_tokens':4}"),
			 ERR_OK);
	assert_int_equal(apply("{'prompt':'a b c'}", EP_COMPLETIONS, 3, 100, &b, NULL), ERR_OK);
	assert_int_equal(b.max_tokens, 0);
	assert_int_equal(apply("{'prompt':'a','max_tokens':9007199254740991}", EP_COMPLETIONS, ID_MAX, ID_MAX,
			       &b, NULL),
			 ERR_OK);
	assert_int_equal(b.max_tokens, USAGE_MAX);
}

static void test_tokens_refused(void **state)
{
	static const char *const bad[] = { "{'prompt':'a b c d'}",
					   "{'prompt':'a','max_tokens':-1}",
					   "{'prompt':'a','max_tokens':'5'}",
					   "{'prompt':'a','max_tokens':1.5}",
					   "{'prompt':'a','max_completion_tokens':9007199254740992}",
					   "{'prompt':'a','n':2}",
					   "{'prompt':'a','n':0}",
					   "{'prompt':'a','best_of':3}",
					   "{'prompt':[1,2]}",
					   "{'prompt':['a','b']}",
					   "{'prompt':['',['']]}",
					   "{}" };
	struct bounds b = { .units = 99 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(apply(bad[i], EP_COMPLETIONS, 3, 100, &b, NULL), ERR_BODY);
	assert_int_equal(apply("{'prompt':'a b c d'}", EP_COMPLETIONS, 100, 3, &b, NULL), ERR_BODY);
	assert_int_equal(apply("{'input':['a b','c d']}", EP_EMBEDDINGS, 3, 100, &b, NULL), ERR_BODY);
	assert_int_equal(b.units, 99);
	assert_int_equal(apply("{'input':['a b','c']}", EP_EMBEDDINGS, 3, 100, &b, NULL), ERR_OK);
}

static void test_images(void **state)
{
	struct bounds b;

	(void)state;
	assert_int_equal(apply("{'prompt':'a'}", EP_IMAGES, 1048576, 5, &b, NULL), ERR_OK);
	assert_int_equal(b.pixels, 1048576);
	assert_int_equal(apply("{'prompt':'a','n':3,'size':'16x32'}", EP_IMAGES, 1536, 5, &b, NULL), ERR_OK);
	assert_true(b.pixels == 1536 && b.n == 3 && b.width == 16 && b.height == 32);
	assert_int_equal(apply("{'prompt':'a','n':null,'size':'auto'}", EP_IMAGES, 1048576, 5, &b, NULL),
			 ERR_OK);
	assert_int_equal(b.n, 1);
}

static void test_images_refused(void **state)
{
	static const char *const bad[] = { "{'prompt':'a','n':3,'size':'16x33'}",
					   "{'prompt':'a','size':'0x5'}",
					   "{'prompt':'a','size':'5x'}",
					   "{'prompt':'a','size':'x5'}",
					   "{'prompt':'a','size':'5'}",
					   "{'prompt':'a','size':'1x2x3'}",
					   "{'prompt':'a','size':5}",
					   "{'prompt':'a','size':'16385x1'}",
					   "{'prompt':'a','size':'18446744073709551617x1'}",
					   "{'prompt':'a','n':0,'size':'1x1'}",
					   "{'prompt':'a','n':11,'size':'1x1'}",
					   "{'prompt':['a'],'size':'1x1'}" };
	struct bounds b;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(apply(bad[i], EP_IMAGES, 1536, 5, &b, NULL), ERR_BODY);
	/* more pixels than a usage object can say */
	assert_int_equal(apply("{'prompt':'a','n':10,'size':'16384x16384'}", EP_IMAGES, ID_MAX, 5, &b, NULL),
			 ERR_BODY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agreement), cmocka_unit_test(test_disagreement),
		cmocka_unit_test(test_tokens),    cmocka_unit_test(test_tokens_refused),
		cmocka_unit_test(test_images),    cmocka_unit_test(test_images_refused)
	};
	int failed;

	json_harden();
	uv_loop_init(&loop);
	echo = engine_echo_new(&loop, 0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	engine_close(echo);
	uv_loop_close(&loop);
	return failed;
}
