/* SPDX-License-Identifier: Apache-2.0
 *
 * The echo engine: what it says, when it ends, and that it can be paced, paused,
 * stopped and cancelled.
 */
#include "tests/unit/node/unit.h"

#include "node/json.h"
#include "node/limit.h"
#include "tests/unit/node/sink.h"

static void test_completion(void **state)
{
	struct sink s;

	(void)state;
	sink_open(&s, "echo");
	assert_int_equal(sink_start(&s, EP_COMPLETIONS, "{'prompt':' hello  big\\nworld '}", true, 100),
			 ERR_OK);
	sink_wait(&s);
	assert_string_equal(sink_text(&s), "hello big world hello big world hello big world hello big world "
					   "hello big world hello");
	assert_int_equal(json_array_size(s.chunks), 16);
	assert_json(json_array_get(s.chunks, 1),
		    "{'index':0,'text':' big','logprobs':null,'finish_reason':null}");
	assert_string_equal(s.finish, "stop");
	assert_true(s.e == ERR_OK && s.used.prompt == 3 && s.used.completion == 16);
	sink_reset(&s);
	assert_int_equal(sink_start(&s, EP_COMPLETIONS, "{'prompt':'a b','max_tokens':3}", false, 100),
			 ERR_OK);
	sink_wait(&s);
	assert_json(s.whole,
		    "{'choices':[{'index':0,'text':'a b a','logprobs':null,'finish_reason':'length'}]}");
	assert_int_equal(json_array_size(s.chunks), 0);
	sink_close(&s);
}

static void test_chat(void **state)
{
	struct sink s;

	(void)state;
	sink_open(&s, "echo");
	assert_int_equal(sink_start(&s, EP_CHAT,
				    "{'messages':[{'role':'system','content':'be nice'},"
				    "{'role':'user','content':'h\xc3\xa4 w'}],'max_tokens':3,'tools':[{}]}",
				    true, 100),
			 ERR_OK);
	sink_wait(&s);
	assert_string_equal(sink_text(&s), "h\xc3\xa4 w h\xc3\xa4");
	assert_json(json_array_get(s.chunks, 0),
		    "{'index':0,'delta':{'role':'assistant','content':'h\xc3\xa4'},"
		    "'logprobs':null,'finish_reason':null}");
	assert_json(json_array_get(s.chunks, 1),
		    "{'index':0,'delta':{'content':' w'},'logprobs':null,'finish_reason':null}");
	assert_string_equal(s.finish, "length");
	assert_int_equal(s.used.prompt, 4);
	sink_reset(&s);
	assert_int_equal(
		sink_start(&s, EP_CHAT, "{'messages':[{'role':'system','content':'x'}]}", false, 100),
		ERR_OK);
	sink_wait(&s);
	assert_json(s.whole, "{'choices':[{'index':0,'message':{'role':'assistant','content':''},"
			     "'logprobs':null,'finish_reason':'stop'}]}");
	assert_int_equal(s.used.completion, 0);
	sink_close(&s);
}

static void test_bounds(void **state)
{
	struct sink s;

	(void)state;
	sink_open(&s, "echo");
	assert_int_equal(sink_start(&s, EP_COMPLETIONS, "{'prompt':'a b c'}", true, 10), ERR_OK);
	sink_wait(&s);
	assert_int_equal(json_array_size(s.chunks), 7); /* the reservation lowered the default */
	assert_string_equal(s.finish, "length");
	sink_reset(&s);
	assert_int_equal(sink_start(&s, EP_COMPLETIONS, "{'prompt':'a','max_tokens':0}", true, 10), ERR_OK);
	sink_wait(&s);
	assert_int_equal(json_array_size(s.chunks), 0);
	assert_string_equal(s.finish, "length");
	sink_reset(&s);
	assert_int_equal(sink_start(&s, EP_COMPLETIONS, "{'prompt':'a b c'}", true, 2), ERR_BODY);
	sink_close(&s);
}

static void test_embeddings(void **state)
{
	const json_t *data, *v;
	struct sink s;
	double square = 0;
	size_t i;

	(void)state;
	sink_open(&s, "echo");
	assert_int_equal(sink_start(&s, EP_EMBEDDINGS, "{'input':['a b','c','b a']}", false, 10), ERR_OK);
	sink_wait(&s);
	data = json_object_get(s.whole, "data");
	assert_int_equal(json_array_size(data), 3);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(data, 2), "index")), 2);
	v = json_object_get(json_array_get(data, 0), "embedding");
	for (i = 0; i < json_array_size(v); i++)
		square += json_real_value(json_array_get(v, i)) * json_real_value(json_array_get(v, i));
	assert_int_equal(i, 64);
	assert_true(square > 0.999 && square < 1.001);
	assert_false(json_equal(v, json_object_get(json_array_get(data, 1), "embedding")));
	assert_true(
		json_equal(v, json_object_get(json_array_get(data, 2), "embedding"))); /* the same words */
	assert_true(s.used.prompt == 5 && s.used.completion == 0);
	sink_reset(&s);
	assert_int_equal(sink_start(&s, EP_EMBEDDINGS, "{'input':''}", false, 10), ERR_OK);
	sink_wait(&s);
	assert_int_equal(json_array_size(json_object_get(s.whole, "data")), 1);
	sink_reset(&s);
	assert_int_equal(sink_start(&s, EP_EMBEDDINGS, "{'input':[1,2]}", false, 10), ERR_BODY);
	sink_close(&s);
}

static void test_images(void **state)
{
	static const char head[] = "data:image/png;base64,iVBORw0KGgo";
	const json_t *data, *one;
	struct sink s;

	(void)state;
	sink_open(&s, "echo");
	assert_int_equal(sink_start(&s, EP_IMAGES, "{'prompt':'cat','n':2,'size':'10x20'}", false, 400),
			 ERR_OK);
	sink_wait(&s);
	data = json_object_get(s.whole, "data");
	assert_int_equal(json_array_size(data), 2);
	one = json_array_get(data, 0);
	assert_memory_equal(json_string_value(json_object_get(one, "url")), head, sizeof(head) - 1);
	assert_null(json_object_get(one, "b64_json"));
	assert_true(s.used.prompt == 0 && s.used.completion == 400);
	sink_reset(&s);
	assert_int_equal(sink_start(&s, EP_IMAGES,
				    "{'prompt':'cat','size':'1x1','response_format':'b64_json'}", false, 400),
			 ERR_OK);
	sink_wait(&s);
	one = json_array_get(json_object_get(s.whole, "data"), 0);
	assert_memory_equal(json_string_value(json_object_get(one, "b64_json")), head + 22, 10);
	sink_close(&s);
}

static void test_pause_and_resume(void **state)
{
	struct sink s;

	(void)state;
	sink_open(&s, "echo");
	s.pause_at = 5;
	assert_int_equal(sink_start(&s, EP_COMPLETIONS, "{'prompt':'a','max_tokens':9}", true, 100), ERR_OK);
	sink_run_ms(&s, 30);
	assert_int_equal(json_array_size(s.chunks), 5);
	assert_int_equal(s.ends, 0);
	engine_resume(s.run);
	sink_wait(&s);
	assert_int_equal(json_array_size(s.chunks), 9);
	sink_close(&s);
}

static void test_pause_at_the_last_word(void **state)
{
	struct sink s;

	(void)state;
	sink_open(&s, "echo");
	s.pause_at = 3;
	assert_int_equal(sink_start(&s, EP_COMPLETIONS, "{'prompt':'a','max_tokens':3}", true, 100), ERR_OK);
	sink_run_ms(&s, 30);
	assert_int_equal(s.ends, 0);
	engine_resume(s.run);
	sink_wait(&s);
	assert_int_equal(json_array_size(s.chunks), 3);
	sink_close(&s);
}

static void test_stop(void **state)
{
	struct sink s;

	(void)state;
	sink_open(&s, "echo:rate=50");
	assert_int_equal(sink_start(&s, EP_COMPLETIONS, "{'prompt':'a b','max_tokens':900}", false, 1000),
			 ERR_OK);
	sink_run_ms(&s, 100);
	engine_stop(s.run);
	assert_int_equal(s.ends, 1);
	assert_string_equal(s.finish, "stop");
	assert_true(s.used.completion >= 3 && s.used.completion <= 8);
	assert_non_null(s.whole);
	sink_close(&s);
}

static void test_cancel(void **state)
{
	struct sink s;

	(void)state;
	sink_open(&s, "echo");
	s.cancel_at = 4; /* from inside the chunk */
	assert_int_equal(sink_start(&s, EP_COMPLETIONS, "{'prompt':'a','max_tokens':9}", true, 100), ERR_OK);
	sink_run_ms(&s, 30);
	assert_int_equal(json_array_size(s.chunks), 4);
	assert_true(s.used.prompt == 1 && s.used.completion == 4);
	sink_reset(&s);
	assert_int_equal(sink_start(&s, EP_COMPLETIONS, "{'prompt':'a','max_tokens':9}", true, 100), ERR_OK);
	engine_cancel(s.run, &s.used);
	sink_run_ms(&s, 30);
	assert_int_equal(json_array_size(s.chunks), 0);
	sink_close(&s);
}

static void test_rate(void **state)
{
	struct sink s;
	uint64_t began;

	(void)state;
	sink_open(&s, "echo:rate=100");
	uv_update_time(&s.uv);
	began = uv_now(&s.uv);
	assert_int_equal(sink_start(&s, EP_COMPLETIONS, "{'prompt':'a','max_tokens':21}", true, 100), ERR_OK);
	sink_wait(&s);
	assert_true(uv_now(&s.uv) - began >= 190); /* 20 gaps of 10 ms */
	assert_int_equal(json_array_size(s.chunks), 21);
	sink_close(&s);
}

static void test_settings(void **state)
{
	static const char *const bad[] = {
		"", "ech", "echo:", "echo:rate=", "echo:rate=x", "echo:rate=-1", "ftp://x"
	};
	struct engine_opts o = { .key_file = "" };
	struct engine *e = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o.engine = bad[i];
		assert_int_equal(engine_open(&e, &o), ERR_CONFIG);
	}
	assert_null(e);
	engine_close(NULL);
}

/* Runs still under way when the engine closes. */
static void test_close_while_running(void **state)
{
	struct sink s;

	(void)state;
	sink_open(&s, "echo:rate=1");
	assert_int_equal(sink_start(&s, EP_COMPLETIONS, "{'prompt':'a','max_tokens':9}", true, 100), ERR_OK);
	sink_run_ms(&s, 5);
	sink_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_completion),
					    cmocka_unit_test(test_chat),
					    cmocka_unit_test(test_bounds),
					    cmocka_unit_test(test_embeddings),
					    cmocka_unit_test(test_images),
					    cmocka_unit_test(test_pause_and_resume),
					    cmocka_unit_test(test_pause_at_the_last_word),
					    cmocka_unit_test(test_stop),
					    cmocka_unit_test(test_cancel),
					    cmocka_unit_test(test_rate),
					    cmocka_unit_test(test_settings),
					    cmocka_unit_test(test_close_while_running) };

	json_harden();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
