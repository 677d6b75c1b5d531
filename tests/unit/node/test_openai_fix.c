/* SPDX-License-Identifier: Apache-2.0
 *
 * What servers say and what becomes of it.
 */
#include "tests/unit/node/unit.h"

#include "node/json.h"
#include "node/openai_fix.h"

static void shape(enum endpoint ep, const char *body, bool stream, const char *want)
{
	json_t *o = json_of(body);

	openai_shape(ep, o, stream);
	assert_json(o, want);
	json_decref(o);
}

static void test_shape(void **state)
{
	(void)state;
	shape(EP_CHAT, "{'a':1,'stream':true}", true,
	      "{'a':1,'stream':true,'stream_options':{'include_usage':true}}");
	shape(EP_CHAT, "{'stream':false,'stream_options':{'include_usage':false}}", false, "{}");
	shape(EP_CHAT, "{'chat_template':'x','chat_template_kwargs':{'chat_template':'x','a':1}}", false,
	      "{'chat_template_kwargs':{'a':1}}");
	shape(EP_CHAT, "{'chat_template_kwargs':5}", false, "{'chat_template_kwargs':5}");
	shape(EP_COMPLETIONS, "{'max_tokens':5,'n_predict':100000,'n_cmpl':9}", false, "{'max_tokens':5}");
	shape(EP_COMPLETIONS,
	      "{'model':'m','max_tokens':5,'MAX_TOKENS':9,'Model':'dear','pro\u017fpt':'p','n ':2}", false,
	      "{'model':'m','max_tokens':5}");
	shape(EP_CHAT,
	      "{'messages':[{'role':'user','Content':'x','content':'a'},5,{'content':[{'type':'text','TEXT':'"
	      "x',"
	      "'text':'b'},'c']}],'Messages':[],'tools':[{'Name':1}],'top_k':1,'x-y.z':2}",
	      false,
	      "{'messages':[{'role':'user','content':'a'},5,{'content':[{'type':'text','text':'b'},'c']}],"
	      "'tools':[{'Name':1}],'top_k':1,'x-y.z':2}");
	shape(EP_EMBEDDINGS, "{'encoding_format':'base64'}", false, "{'encoding_format':'float'}");
	shape(EP_IMAGES, "{'response_format':'url'}", false, "{'response_format':'b64_json'}");
}

static void event(enum endpoint ep, const char *text, enum err e, const char *choice, const char *finish)
{
	struct openai_event ev = { .finish = "unset" };
	json_t *o = json_of(text);

	assert_int_equal(openai_event_read(ep, o, &ev), e);
	if (e == ERR_OK) {
		if (choice)
			assert_json(ev.choice, choice);
		else
			assert_null(ev.choice);
		if (finish)
			assert_string_equal(ev.finish, finish);
		else
			assert_null(ev.finish);
	} else {
		assert_string_equal(ev.finish, "unset");
	}
	json_decref(o);
}

static void test_events(void **state)
{
	(void)state;
	event(EP_CHAT, "{'choices':[{'index':0,'delta':{'role':'assistant','content':''}}]}", ERR_OK, NULL,
	      NULL);
	event(EP_CHAT, "{'choices':[{'index':0,'delta':{'role':'assistant'},'finish_reason':null}]}", ERR_OK,
	      NULL, NULL);
	event(EP_CHAT, "{'choices':[{'delta':{'content':'x'}}],'usage':null}", ERR_OK,
	      "{'index':0,'delta':{'content':'x'},'finish_reason':null}", NULL);
	event(EP_CHAT, "{'choices':[{'index':0,'delta':{'content':'x'},'finish_reason':'length'}]}", ERR_OK,
	      "{'index':0,'delta':{'content':'x'},'finish_reason':null}", "length");
	event(EP_CHAT, "{'choices':[{'index':0,'delta':{'tool_calls':[{'index':0,'id':'c'}]}}]}", ERR_OK,
	      "{'index':0,'delta':{'tool_calls':[{'index':0,'id':'c'}]},'finish_reason':null}", NULL);
	event(EP_CHAT, "{'choices':[{'index':0,'delta':{},'finish_reason':'tool_calls'}]}", ERR_OK, NULL,
	      "tool_calls");
	event(EP_CHAT, "{'choices':[{'index':0,'delta':null,'finish_reason':'eos'}]}", ERR_OK, NULL, "stop");
	event(EP_COMPLETIONS, "{'choices':[{'index':0,'text':'x'}]}", ERR_OK,
	      "{'index':0,'text':'x','finish_reason':null}", NULL);
	event(EP_COMPLETIONS, "{'choices':[{'index':0,'text':'','finish_reason':'stop'}]}", ERR_OK, NULL,
	      "stop");
	event(EP_COMPLETIONS, "{'choices':[],'usage':{'prompt_tokens':1}}", ERR_OK, NULL, NULL);
	event(EP_COMPLETIONS, "{}", ERR_OK, NULL, NULL);
	event(EP_CHAT, "{'choices':[{'index':0,'delta':{'content':''},'logprobs':{'content':[1]}}]}", ERR_OK,
	      "{'index':0,'delta':{'content':''},'logprobs':{'content':[1]},'finish_reason':null}", NULL);
	event(EP_COMPLETIONS, "{'error':null,'choices':null}", ERR_OK, NULL, NULL);
}

static void test_bad_events(void **state)
{
	(void)state;
	event(EP_CHAT, "{'error':{'message':'x'}}", ERR_ENGINE, NULL, NULL);
	event(EP_CHAT, "{'error':'x'}", ERR_ENGINE, NULL, NULL);
	event(EP_CHAT, "{'error':{'message':'too long','type':'invalid_request_error'}}", ERR_BODY, NULL,
	      NULL);
	event(EP_CHAT, "{'error':{'code':'context_length_exceeded','type':'invalid_request_error'}}",
	      ERR_BODY, NULL, NULL);
	event(EP_CHAT, "{'error':{'code':200,'type':'invalid_request_error'}}", ERR_ENGINE, NULL, NULL);
	event(EP_CHAT, "{'object':'error','message':'x'}", ERR_ENGINE, NULL, NULL);
	event(EP_CHAT, "{'choices':'x'}", ERR_NODE, NULL, NULL);
	event(EP_CHAT, "{'choices':['x']}", ERR_NODE, NULL, NULL);
	event(EP_CHAT, "{'choices':[{'delta':5}]}", ERR_NODE, NULL, NULL);
	event(EP_COMPLETIONS, "{'choices':[{'text':5}]}", ERR_NODE, NULL, NULL);
	event(EP_COMPLETIONS, "{'choices':[{'text':'x','finish_reason':'error'}]}", ERR_NODE, NULL, NULL);
	event(EP_CHAT, "{'choices':[{'delta':{},'finish_reason':'abort'}]}", ERR_NODE, NULL, NULL);
}

static void bytes(enum endpoint ep, const char *choice, uint64_t want)
{
	json_t *o = json_of(choice);

	assert_int_equal(openai_bytes(ep, o), want);
	json_decref(o);
}

static void test_bytes(void **state)
{
	(void)state;
	bytes(EP_COMPLETIONS, "{'text':'abc','delta':{'content':'x'}}", 3);
	bytes(EP_COMPLETIONS, "{'text':null}", 0);
	bytes(EP_CHAT, "{'delta':{'content':'ab','reasoning_content':'\xc3\xa4','other':[1]},'text':'x'}", 4);
	bytes(EP_CHAT, "{'delta':{'content':null,'tool_calls':[{'a':'b'}]}}", 11);
	bytes(EP_CHAT, "{'delta':null}", 0);
	bytes(EP_CHAT, "{}", 0);
}

static void test_event_usage(void **state)
{
	json_t *o = json_of("{'choices':[],'usage':{'prompt_tokens':4,'completion_tokens':5}}");
	struct openai_event ev;

	(void)state;
	assert_int_equal(openai_event_read(EP_CHAT, o, &ev), ERR_OK);
	assert_json(ev.usage, "{'prompt_tokens':4,'completion_tokens':5}");
	json_decref(o);
}

static void whole_of(enum endpoint ep, const char *text, uint64_t images, bool keep, const char *want)
{
	json_t *o = json_of(text);

	assert_int_equal(openai_whole(ep, o, images, keep), want ? ERR_OK : ERR_NODE);
	if (want)
		assert_json(o, want);
	json_decref(o);
}

static void whole(enum endpoint ep, const char *text, bool keep, const char *want)
{
	whole_of(ep, text, 10, keep, want);
}

static void test_whole_text(void **state)
{
	(void)state;
	whole(EP_CHAT, "{'choices':[{'message':{'content':'x'},'finish_reason':'stop'}]}", false,
	      "{'choices':[{'index':0,'message':{'role':'assistant','content':'x'},'finish_reason':'stop'}]"
	      "}");
	whole(EP_CHAT, "{'choices':[{'index':'a','message':{'tool_calls':[1]},'finish_reason':null}]}", false,
	      "{'choices':[{'index':0,'message':{'role':'assistant','content':null,'tool_calls':[1]},"
	      "'finish_reason':'stop'}]}");
	whole(EP_COMPLETIONS, "{'choices':[{'text':'x'}],'created':1.5}", false,
	      "{'choices':[{'index':0,'text':'x','finish_reason':'stop'}],'created':1.5}");
	whole(EP_COMPLETIONS, "{'choices':[{'text':null}]}", false, NULL);
	whole(EP_COMPLETIONS, "{'choices':[{'text':'x','finish_reason':'abort'}]}", false, NULL);
	whole(EP_COMPLETIONS, "{'choices':[]}", false, NULL);
	whole(EP_COMPLETIONS, "{'choices':[{'text':'a'},{'text':'b'}]}", false, NULL);
	whole(EP_CHAT, "{'choices':[{'text':'x'}]}", false, NULL);
	whole(EP_CHAT, "{'choices':['x']}", false, NULL);
	whole(EP_CHAT, "{}", false, NULL);
}

static void whole_error(const char *text, enum err want)
{
	json_t *o = json_of(text);

	assert_int_equal(openai_whole(EP_CHAT, o, 1, false), want);
	json_decref(o);
}

static void test_whole_errors(void **state)
{
	(void)state;
	whole_error("{'error':{'message':'x'},'choices':[{'message':{'content':'x'}}]}", ERR_ENGINE);
	whole_error("{'error':{'code':400}}", ERR_BODY);
	whole_error("{'object':'error','code':429}", ERR_RATE);
}

static void test_whole_embeddings(void **state)
{
	(void)state;
	whole(EP_EMBEDDINGS, "{'data':[{'embedding':[0.5,1]}]}", false,
	      "{'data':[{'embedding':[0.5,1],'object':'embedding','index':0}]}");
	/* 0.5, -2.0 as 32-bit floats, little-endian */
	whole(EP_EMBEDDINGS, "{'data':[{'index':3,'embedding':'AAAAPwAAAMA='}]}", false,
	      "{'data':[{'embedding':[0.5,-2.0],'object':'embedding','index':3}]}");
	whole(EP_EMBEDDINGS, "{'data':[{'embedding':'AAAAPwAAAA=='}]}", false, NULL); /* 7 bytes */
	whole(EP_EMBEDDINGS, "{'data':[{'embedding':'AADAfw=='}]}", false, NULL);     /* not a number */
	whole(EP_EMBEDDINGS, "{'data':[{'embedding':''}]}", false, NULL);
	whole(EP_EMBEDDINGS, "{'data':[{'embedding':[]}]}", false, NULL);
	whole(EP_EMBEDDINGS, "{'data':[{'embedding':['x']}]}", false, NULL);
	whole(EP_EMBEDDINGS, "{'data':[5]}", false, NULL);
	whole(EP_EMBEDDINGS, "{'data':[]}", false, NULL);
	whole(EP_EMBEDDINGS, "{}", false, NULL);
}

static void test_whole_images(void **state)
{
	(void)state;
	whole(EP_IMAGES, "{'data':[{'b64_json':'iVBORw0KGgo='}]}", false,
	      "{'data':[{'url':'data:image/png;base64,iVBORw0KGgo='}]}");
	whole(EP_IMAGES, "{'data':[{'b64_json':'/9j/AAAA','url':null}]}", true,
	      "{'data':[{'b64_json':'/9j/AAAA','url':'data:image/jpeg;base64,/9j/AAAA'}]}");
	whole(EP_IMAGES, "{'data':[{'url':'data:image/png;base64,AAAA'}]}", false,
	      "{'data':[{'url':'data:image/png;base64,AAAA'}]}");
	whole(EP_IMAGES, "{'data':[{'url':'data:image/png;base64,AAAA'}]}", true,
	      "{'data':[{'url':'data:image/png;base64,AAAA','b64_json':'AAAA'}]}");
	whole(EP_IMAGES, "{'data':[{'url':'http://engine/x.png'}]}", false, NULL);
	whole(EP_IMAGES, "{'data':[{'b64_json':'not base64'}]}", false, NULL);
	whole(EP_IMAGES, "{'data':[{}]}", false, NULL);
	whole(EP_IMAGES, "{'data':['x']}", false, NULL);
	whole_of(EP_IMAGES, "{'data':[{'url':'data:,a'},{'url':'data:,b'}]}", 2, false,
		 "{'data':[{'url':'data:,a'},{'url':'data:,b'}]}");
	whole_of(EP_IMAGES, "{'data':[{'url':'data:,a'},{'url':'data:,b'}]}", 1, false, NULL);
	whole_of(EP_EMBEDDINGS, "{'data':[{'embedding':[1]}]}", 0, false,
		 "{'data':[{'embedding':[1],'object':'embedding','index':0}]}");
}

static void test_words(void **state)
{
	json_t *o = json_of("{'choices':[{'message':{'content':'a b c'}}]}");

	(void)state;
	assert_int_equal(openai_words(o), 3);
	json_decref(o);
	o = json_of("{'data':[]}");
	assert_int_equal(openai_words(o), 0);
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shape),        cmocka_unit_test(test_events),
		cmocka_unit_test(test_bad_events),   cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_event_usage),  cmocka_unit_test(test_whole_text),
		cmocka_unit_test(test_whole_errors), cmocka_unit_test(test_whole_embeddings),
		cmocka_unit_test(test_whole_images), cmocka_unit_test(test_words)
	};

	json_harden();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
