/* SPDX-License-Identifier: Apache-2.0
 *
 * Prompts in all their shapes.
 */
#include "tests/unit/node/unit.h"

#include <stdio.h>

#include "node/prompt.h"

static enum err read(enum endpoint ep, const char *text, const char *want)
{
	json_t *o = json_of(text);
	struct prompt p = { 0 };
	enum err e = prompt_read(ep, o, &p);

	if (e == ERR_OK && want)
		assert_true(slice_is(buf_slice(&p.text), want));
	prompt_free(&p);
	json_decref(o);
	return e;
}

static void test_texts(void **state)
{
	(void)state;
	assert_int_equal(read(EP_COMPLETIONS, "{'prompt':'a b'}", "a b"), ERR_OK);
	assert_int_equal(read(EP_COMPLETIONS, "{'prompt':''}", ""), ERR_OK);
	assert_int_equal(read(EP_COMPLETIONS, "{'prompt':['a','b']}", "a b"), ERR_OK);
	assert_int_equal(read(EP_EMBEDDINGS, "{'input':['a','b c']}", "a b c"), ERR_OK);
	assert_int_equal(read(EP_IMAGES, "{'prompt':'cat'}", "cat"), ERR_OK);
	assert_int_equal(read(EP_CHAT,
			      "{'messages':[{'role':'system','content':'s'},"
			      "{'role':'user','content':[{'type':'text','text':'u'},{'type':'image_url'}]},"
			      "{'role':'assistant','content':null,'tool_calls':[]}]}",
			      "s u"),
			 ERR_OK);
}

/* What templates put into a prompt beside the texts. */
static void test_beside(void **state)
{
	static const struct {
		enum endpoint ep;
		const char *text;
		unsigned beside;
	} t[] = {
		{ EP_CHAT, "{'messages':[{'role':'user','content':'a','name':'b'}]}", 0 },
		{ EP_CHAT, "{'messages':[{'role':'user','content':'a'}],'tools':null}", 0 },
		{ EP_CHAT, "{'messages':[{'role':'user','content':'a'}],'tools':[{'a':1}]}", 9 },
		{ EP_CHAT, "{'messages':[{'role':'user','content':'a'}],'functions':[12],'documents':['b']}",
		  9 },
		{ EP_CHAT, "{'messages':[{'role':'assistant','tool_calls':[{}],'reasoning_content':'ab'}]}",
		  8 },
		{ EP_COMPLETIONS, "{'prompt':'a','suffix':'b c'}", 5 },
		{ EP_CHAT, "{'messages':[{'role':'user','content':'a'}],'chat_template_kwargs':{'a':12}}",
		  8 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		json_t *o = json_of(t[i].text);
		struct prompt p = { 0 };

		assert_int_equal(prompt_read(t[i].ep, o, &p), ERR_OK);
		assert_int_equal(p.beside, t[i].beside);
		prompt_free(&p);
		json_decref(o);
	}
}

/* A part that is an image, too, is not free because it has a text; nor is a text by another name. */
static void test_parts(void **state)
{
	static const struct {
		const char *part, *text;
		unsigned others;
	} t[] = {
		{ "{'type':'text','text':'a b'}", "a b", 0 },
		{ "{'text':'a','type':'text','cache_control':{'type':'ephemeral'}}", "a", 0 },
		{ "{'type':'text','text':'a','image_url':null}", "a", 0 },
		{ "{'type':'text'}", "", 1 },
		{ "{'type':'text','text':1}", "", 1 },
		{ "{'type':'image_url','image_url':{'url':'data:,'}}", "", 1 },
		{ "{'type':'image_url','image_url':{'url':'data:,'},'text':''}", "", 1 },
		{ "{'image_url':'data:,','text':'a'}", "a", 1 },
		{ "{'type':'text','text':'a','uuid':'1','image_url':'data:,'}", "a", 1 },
		{ "{'type':'refusal','refusal':'a b c'}", "a b c", 0 },
		{ "{'type':'thinking','thinking':'a','text':'b'}", "a b", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char text[256];
		json_t *o;
		struct prompt p = { 0 };

		snprintf(text, sizeof(text), "{'messages':[{'role':'user','content':[%s]}]}", t[i].part);
		o = json_of(text);
		assert_int_equal(prompt_read(EP_CHAT, o, &p), ERR_OK);
		assert_true(slice_is(buf_slice(&p.text), t[i].text));
		assert_int_equal(p.others, t[i].others);
		prompt_free(&p);
		json_decref(o);
	}
}

static void test_refused(void **state)
{
	static const struct {
		enum endpoint ep;
		const char *text;
	} bad[] = { { EP_COMPLETIONS, "{}" },
		    { EP_COMPLETIONS, "{'prompt':null}" },
		    { EP_COMPLETIONS, "{'prompt':5}" },
		    { EP_COMPLETIONS, "{'prompt':[]}" },
		    { EP_COMPLETIONS, "{'prompt':[null]}" },
		    { EP_COMPLETIONS, "{'prompt':[['a']]}" },
		    { EP_EMBEDDINGS, "{'prompt':'a'}" },
		    { EP_EMBEDDINGS, "{'input':{}}" },
		    { EP_IMAGES, "{'prompt':['a']}" },
		    { EP_CHAT, "{'messages':[]}" },
		    { EP_CHAT, "{'messages':'x'}" },
		    { EP_CHAT, "{'messages':['x']}" },
		    { EP_CHAT, "{'messages':[{'content':'x'}]}" },
		    { EP_CHAT, "{'messages':[{'role':'user','content':5}]}" },
		    { EP_CHAT, "{'messages':[{'role':'user','content':['x']}]}" },
		    { EP_PLAIN_CHAT, "{'messages':[{'role':'user','content':'x'}]}" } };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read(bad[i].ep, bad[i].text, NULL), ERR_BODY);
}

static void test_counts(void **state)
{
	json_t *o = json_of("{'prompt':[1,2,[3,4]]}");
	struct prompt p = { 0 };

	(void)state;
	assert_int_equal(prompt_read(EP_COMPLETIONS, o, &p), ERR_OK);
	assert_int_equal(p.tokens, 4);
	prompt_free(&p);
	json_decref(o);
	assert_int_equal(words_count(S(" a\tbb\n ccc \r\n")), 3);
	assert_int_equal(words_count(S("")), 0);
	assert_int_equal(words_count(S("   ")), 0);
}

static void last(const char *text, const char *want)
{
	json_t *o = json_of(text);
	struct buf b = { 0 };

	prompt_last_user(o, &b);
	assert_true(slice_is(buf_slice(&b), want));
	buf_free(&b);
	json_decref(o);
}

static void test_last_user(void **state)
{
	(void)state;
	last("{'messages':[{'role':'user','content':'one'},{'role':'user','content':'two'},"
	     "{'role':'assistant','content':'three'}]}",
	     "two");
	last("{'messages':[{'role':'user','content':[{'text':'a'},{'text':'b'}]}]}", "a b");
	last("{'messages':[{'role':'system','content':'s'}]}", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_texts),  cmocka_unit_test(test_beside),
					    cmocka_unit_test(test_parts),  cmocka_unit_test(test_refused),
					    cmocka_unit_test(test_counts), cmocka_unit_test(test_last_user) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
