/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine that speaks to a server, against one that says odd things.
 */
#include "tests/unit/node/unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "node/json.h"
#include "node/limit.h"
#include "tests/unit/node/script.h"
#include "tests/unit/node/sink.h"

#define SSE "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
#define JSON(length)                                                                                         \
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " #length "\r\n\r\n"
#define PROMPT "{'model':'m','prompt':'one two three','max_tokens':50}"
#define CHAT "{'model':'m','messages':[{'role':'user','content':'one two three'}],'max_tokens':50}"

struct test {
	struct sink sink;
	struct script script;
};

static void begin_with(struct test *t, bool many_models)
{
	struct engine_opts o = { .key_file = "",
				 .many_models = many_models,
				 .connect_ms = 1000,
				 .first_byte_ms = 300,
				 .gap_ms = 300,
				 .total_ms = 5000,
				 .max_answer = 4096 };

	sink_open(&t->sink, "echo"); /* for its loop; the engine is replaced below */
	script_open(&t->script, &t->sink.uv);
	engine_close(t->sink.engine);
	o.uv = &t->sink.uv;
	o.engine = t->script.url;
	assert_int_equal(engine_open(&t->sink.engine, &o), ERR_OK);
}

static void begin(struct test *t)
{
	begin_with(t, false);
}

static void end(struct test *t)
{
	script_close(&t->script);
	sink_close(&t->sink);
}

static void ask(struct test *t, enum endpoint ep, const char *body, bool stream, const char *const *pieces)
{
	script_set(&t->script, pieces);
	assert_int_equal(sink_start(&t->sink, ep, body, stream, 1000), ERR_OK);
}

/* One request, to its end. */
static void ask_whole(struct test *t, enum endpoint ep, const char *body, bool stream,
		      const char *const *pieces)
{
	ask(t, ep, body, stream, pieces);
	sink_wait(&t->sink);
}

/* The same as the only one, to a server of its own. */
static void ask_only(struct test *t, enum endpoint ep, const char *body, bool stream,
		     const char *const *pieces)
{
	begin(t);
	ask_whole(t, ep, body, stream, pieces);
}

/* What the server was asked last; the caller's to decref. */
static json_t *was_asked(const struct test *t)
{
	json_t *asked;

	assert_int_equal(json_object_of(script_body(&t->script), &asked), ERR_OK);
	return asked;
}

static void assert_asked(const struct test *t, const char *want)
{
	json_t *asked = was_asked(t);

	assert_json(asked, want);
	json_decref(asked);
}

/* A reservation of nothing must not buy a prompt, however short. */
static void test_no_prompt_is_free(void **state)
{
	struct prompt_size size = { 0 };
	json_t *short_one = json_of("{'model':'m','input':'hi'}"),
	       *none = json_of("{'model':'m','input':''}");
	struct bounds bounds;
	struct test t;

	(void)state;
	begin(&t);
	assert_int_equal(engine_measure(t.sink.engine, EP_EMBEDDINGS, short_one, &size), ERR_OK);
	assert_int_equal(size.low, 1);
	assert_int_equal(limit_apply(short_one, EP_EMBEDDINGS, t.sink.engine, 0, 1000, &bounds), ERR_BODY);
	assert_int_equal(limit_apply(short_one, EP_EMBEDDINGS, t.sink.engine, 1, 1000, &bounds), ERR_OK);
	assert_int_equal(engine_measure(t.sink.engine, EP_EMBEDDINGS, none, &size), ERR_OK);
	assert_int_equal(size.low, 0);
	json_decref(short_one);
	json_decref(none);
	end(&t);
}

static void test_ordinary_stream(void **state)
{
	static const char *const pieces[] = {
		SSE "data: "
		    "{\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":"
		    "\"\"}}],\"usage\":null}\n\n",
		"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}],\"usage\":null}\n\n",
		": comment\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"}}]}\n\n"
		"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n",
		"data: "
		"{\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}}"
		"\n\n",
		"data: [DONE]\n\n",
		NULL
	};
	struct test t;

	(void)state;
	ask_only(&t, EP_CHAT, CHAT, true, pieces);
	assert_int_equal(t.sink.e, ERR_OK);
	assert_string_equal(sink_text(&t.sink), "Hello");
	assert_string_equal(t.sink.finish, "length");
	assert_true(t.sink.used.prompt == 7 && t.sink.used.completion == 2);
	assert_int_equal(json_array_size(t.sink.chunks), 2);
	assert_json(json_array_get(t.sink.chunks, 0),
		    "{'index':0,'delta':{'role':'assistant','content':'Hel'},'finish_reason':null}");
	assert_json(json_array_get(t.sink.chunks, 1),
		    "{'index':0,'delta':{'content':'lo'},'finish_reason':null}");
	assert_asked(&t,
		     "{'model':'m','messages':[{'role':'user','content':'one two three'}],'max_tokens':50,"
		     "'stream':true,'stream_options':{'include_usage':true}}");
	assert_memory_equal(t.script.asked.p, "POST /v1/chat/completions HTTP/1.1\r\n", 36);
	end(&t);
}

/* CRLF, a line over many packets, UTF-8 cut in two, two events in one packet. */
static void test_awkward_packets(void **state)
{
	static const char *const pieces[] = {
		SSE "da",
		"ta: {\"choices\":[{\"text\":\"h\xc3",
		"\xa4\"}]}\r",
		"\n\r\n",
		"data: {\"choices\":[{\"text\":\"!\"}]}\r\n\r\ndata: {\"choices\":[{\"text\":"
		"\"\",\"finish_reason\":\"stop\"}]}\r\n\r\ndata: [DO",
		"NE]\r\n\r\n",
		NULL
	};
	struct test t;

	(void)state;
	ask_only(&t, EP_COMPLETIONS, PROMPT, true, pieces);
	assert_int_equal(t.sink.e, ERR_OK);
	assert_string_equal(sink_text(&t.sink), "h\xc3\xa4!");
	assert_string_equal(t.sink.finish, "stop");
	assert_true(t.sink.used.prompt == 3 && t.sink.used.completion == 2); /* no usage: words and pieces */
	end(&t);
}

static void test_tool_calls(void **state)
{
	static const char *const pieces[] = {
		SSE "data: "
		    "{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null,\"tool_"
		    "calls\":[{\"index\":0,"
		    "\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}"
		    "]}\n\n",
		"data: "
		"{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
		"\"arguments\":\"{}\"}}]}}]}\n\n",
		"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: "
		"[DONE]\n\n",
		NULL
	};
	struct test t;

	(void)state;
	ask_only(&t, EP_CHAT, CHAT, true, pieces);
	assert_string_equal(t.sink.finish, "tool_calls");
	assert_json(
		json_array_get(t.sink.chunks, 0),
		"{'index':0,'delta':{'role':'assistant','content':null,'tool_calls':[{'index':0,'id':'c1',"
		"'type':'function','function':{'name':'f','arguments':''}}]},'finish_reason':null}");
	assert_json(json_array_get(t.sink.chunks, 1),
		    "{'index':0,'delta':{'tool_calls':[{'index':0,'function':{'arguments':'{}'}}]},"
		    "'finish_reason':null}");
	end(&t);
}

static void stream_fails(const char *const *pieces, enum err e, const char *text)
{
	struct test t;

	ask_only(&t, EP_COMPLETIONS, PROMPT, true, pieces);
	assert_int_equal(t.sink.e, e);
	assert_string_equal(t.sink.finish, "");
	assert_string_equal(sink_text(&t.sink), text);
	end(&t);
}

static void test_broken_streams(void **state)
{
	static const char first[] = SSE "data: {\"choices\":[{\"text\":\"x\"}]}\n\n";

	(void)state;
	stream_fails((const char *const[]){ first, "data: {\"error\":{\"message\":\"oom\"}}\n\n", NULL },
		     ERR_ENGINE, "x");
	stream_fails((const char *const[]){ first, "event: error\ndata: {}\n\n", NULL }, ERR_ENGINE, "x");
	stream_fails((const char *const[]){ first, "data: {\"choices\"\n\n", NULL }, ERR_NODE, "x");
	stream_fails((const char *const[]){ first, "data: \xff\n\n", NULL }, ERR_NODE, "x");
	stream_fails((const char *const[]){ first, NULL }, ERR_NODE, "x"); /* closed without an end */
	stream_fails((const char *const[]){ SSE, NULL }, ERR_NODE, "");
	stream_fails((const char *const[]){ SSE "data: [DONE]\n\n", NULL }, ERR_NODE, "");
	stream_fails((const char *const[]){ "no HTTP at all", NULL }, ERR_NODE, "");
}

/* What a server found out too late for a status; [DONE] behind it means nothing. */
static void test_refused_in_the_stream(void **state)
{
	static const char first[] = SSE "data: {\"choices\":[{\"text\":\"x\"}]}\n\n";
	static const char done[] = "data: [DONE]\n\n";
#define EVENT(e) ((const char *const[]){ SSE e "\n\n", done, NULL })

	(void)state;
	stream_fails(EVENT("error: {\"code\":500,\"message\":\"prompt is too big\"}"), ERR_ENGINE, "");
	stream_fails(EVENT("error: {\"code\":400,\"type\":\"invalid_request_error\"}"), ERR_BODY, "");
	stream_fails(EVENT("event: error\ndata: {\"error\":{\"code\":429}}"), ERR_RATE, "");
	stream_fails(EVENT("error: what"), ERR_ENGINE, "");
	stream_fails(EVENT("data: {\"error\":{\"type\":\"BadRequestError\",\"code\":400}}"), ERR_BODY, "");
	stream_fails(EVENT("data: {\"object\":\"error\",\"code\":503}"), ERR_UNAVAILABLE, "");
	stream_fails((const char *const[]){ first, "error: {\"code\":500}\n\n", done, NULL }, ERR_ENGINE,
		     "x");
#undef EVENT
}

static void test_silent_server(void **state)
{
	static const char *const nothing[] = { NULL };
	static const char *const first[] = { SSE "data: {\"choices\":[{\"text\":\"x\"}]}\n\n", NULL };
	struct test t;

	(void)state;
	begin(&t);
	t.script.hold = true;
	ask_whole(&t, EP_COMPLETIONS, PROMPT, true, nothing);
	assert_int_equal(t.sink.e, ERR_TIMEOUT);
	sink_run_ms(&t.sink, 20);
	sink_reset(&t.sink);
	ask_whole(&t, EP_COMPLETIONS, PROMPT, true, first);
	assert_int_equal(t.sink.e, ERR_TIMEOUT);
	assert_int_equal(t.sink.used.completion, 1);
	assert_true(engine_reachable(t.sink.engine)); /* slow, but there */
	end(&t);
}

/* Finished, but neither usage nor [DONE] nor an end of the connection. */
static void test_finish_without_done(void **state)
{
	static const char *const pieces[] = {
		SSE "data: {\"choices\":[{\"text\":\"x\",\"finish_reason\":\"stop\"}]}\n\n", NULL
	};
	struct test t;

	(void)state;
	ask_only(&t, EP_COMPLETIONS, PROMPT, true, pieces);
	assert_int_equal(t.sink.e, ERR_OK);
	sink_run_ms(&t.sink, 20);
	sink_reset(&t.sink);
	t.script.hold = true;
	ask_whole(&t, EP_COMPLETIONS, PROMPT, true, pieces);
	assert_int_equal(t.sink.e, ERR_OK);
	assert_string_equal(sink_text(&t.sink), "x");
	end(&t);
}

static void status_gives(const char *head, enum err e)
{
	const char *const pieces[] = { head, NULL };
	struct test t;

	ask_only(&t, EP_CHAT, CHAT, false, pieces);
	assert_int_equal(t.sink.e, e);
	assert_null(t.sink.whole);
	end(&t);
}

static void test_statuses(void **state)
{
	(void)state;
	status_gives("HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\n{}", ERR_BODY);
	status_gives("HTTP/1.1 422 Bad\r\nContent-Length: 0\r\n\r\n", ERR_BODY);
	status_gives("HTTP/1.1 501 No\r\nContent-Length: 0\r\n\r\n", ERR_BODY);
	status_gives("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", ERR_ENGINE);
	status_gives("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", ERR_ENGINE);
	status_gives("HTTP/1.1 302 No\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", ERR_ENGINE);
	status_gives("HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", ERR_RATE);
	status_gives("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", ERR_ENGINE);
	status_gives("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", ERR_UNAVAILABLE);
	status_gives(JSON(22) "{\"error\":{\"code\":400}}", ERR_BODY);
	status_gives(JSON(5) "[1,2]", ERR_NODE);
	status_gives(JSON(9) "{\"choices", ERR_NODE);
	status_gives(JSON(5000) "{", ERR_NODE); /* over max_answer, then cut */
}

static void test_nobody_listens(void **state)
{
	struct test t;

	(void)state;
	begin(&t);
	uv_close((uv_handle_t *)&t.script.listener, NULL);
	sink_run_ms(&t.sink, 5);
	assert_true(engine_reachable(t.sink.engine));
	ask_whole(&t, EP_CHAT, CHAT, true, NULL);
	assert_int_equal(t.sink.e, ERR_UNAVAILABLE);
	assert_false(engine_reachable(t.sink.engine));
	uv_close((uv_handle_t *)&t.script.timer, NULL);
	buf_free(&t.script.asked);
	sink_close(&t.sink);
}

#define CLOSING(status) "HTTP/1.1 " status "\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"

/* A request that refuses with status, then a moment in which all is answered with trial. */
static void refuse(struct test *t, enum endpoint ep, const char *body, const char *refusal, const char *trial)
{
	const char *const first[] = { refusal, NULL }, *const second[] = { trial, NULL };

	ask_whole(t, ep, body, false, first);
	script_set(&t->script, second);
	sink_run_ms(&t->sink, 30);
}

static void is_tried(enum endpoint ep, const char *body, const char *path, const char *want)
{
	struct test t;

	begin(&t);
	refuse(&t, ep, body, CLOSING("500 Oh"), CLOSING("200 OK"));
	assert_int_equal(t.sink.e, ERR_ENGINE);
	assert_true(engine_reachable(t.sink.engine)); /* it does what is asked of it otherwise */
	assert_memory_equal(t.script.asked.p, path, strlen(path));
	if (want)
		assert_asked(&t, want);
	end(&t);
}

/* A 500 may be the request's fault: the server is asked for something that is nobody's. */
static void test_refusals_are_tried(void **state)
{
	(void)state;
	is_tried(EP_COMPLETIONS, PROMPT, "POST /v1/completions ",
		 "{'prompt':'Hi','max_tokens':1,'model':'m'}");
	is_tried(EP_CHAT, CHAT, "POST /v1/chat/completions ",
		 "{'messages':[{'role':'user','content':'Hi'}],'max_tokens':1,'model':'m'}");
	is_tried(EP_EMBEDDINGS, "{'model':'m','input':'x'}", "POST /v1/embeddings ",
		 "{'input':'Hi','model':'m'}");
	is_tried(EP_IMAGES, "{'model':'m','prompt':'x','size':'1x1'}", "GET /v1/models ", NULL);
}

static void lists(const char *answer, bool well)
{
	struct test t;

	begin(&t);
	refuse(&t, EP_IMAGES, "{'model':'m','prompt':'x','size':'1x1'}", CLOSING("500 Oh"), answer);
	assert_int_equal(engine_reachable(t.sink.engine), well);
	end(&t);
}

/* A list of models is not for everybody; but it tells a server that loads, or a proxy without one. */
static void test_lists_of_models(void **state)
{
	struct test t;

	(void)state;
	lists(CLOSING("404 No"), true);
	lists(CLOSING("403 No"), true);
	lists(CLOSING("502 Bad Gateway"), false);
	lists(CLOSING("503 Loading"), false);
	/* one of several models that fails */
	begin_with(&t, true);
	refuse(&t, EP_CHAT, CHAT, CLOSING("500 Oh"), CLOSING("404 No"));
	assert_memory_equal(t.script.asked.p, "GET /v1/models ", 15);
	assert_true(engine_reachable(t.sink.engine));
	end(&t);
}

static void is_ill(const char *refusal, enum err e, const char *trial, bool well)
{
	static const char *const good[] = { JSON(30) "{\"choices\":[{\"text\":\"a b c\"}]}", NULL };
	struct test t;

	begin(&t);
	refuse(&t, EP_COMPLETIONS, PROMPT, refusal, trial);
	assert_int_equal(t.sink.e, e);
	assert_int_equal(engine_reachable(t.sink.engine), well);
	sink_reset(&t.sink);
	refuse(&t, EP_COMPLETIONS, PROMPT, CLOSING("500 Oh"), CLOSING("500 Oh"));
	assert_int_equal(t.sink.e, well ? ERR_ENGINE : ERR_NODE); /* now it is the node that fails */
	sink_reset(&t.sink);
	ask_whole(&t, EP_COMPLETIONS, PROMPT, false, good);
	assert_int_equal(t.sink.e, ERR_OK);
	assert_true(engine_reachable(t.sink.engine));
	end(&t);
}

/* One that refuses the trial, too, is not well until it answers somebody. */
static void test_ill_servers(void **state)
{
	(void)state;
	is_ill(CLOSING("500 Oh"), ERR_ENGINE, CLOSING("500 Oh"), false);
	is_ill(CLOSING("503 Loading"), ERR_UNAVAILABLE, CLOSING("503 Loading"), false);
	is_ill(CLOSING("401 No"), ERR_ENGINE, CLOSING("401 No"), false);
	is_ill(CLOSING("404 No"), ERR_ENGINE, CLOSING("404 No"), false);
	is_ill(CLOSING("503 Busy"), ERR_UNAVAILABLE, CLOSING("429 Busy"), true);
	is_ill(CLOSING("500 Oh"), ERR_ENGINE, CLOSING("400 Bad"), true);
	is_ill(CLOSING("500 Oh"), ERR_ENGINE, "no HTTP", true); /* which says nothing */
}

static void test_whole(void **state)
{
	static const char *const pieces[] = { JSON(113) "{\"id\":\"e\",\"created\":1.5,\"choices\":[{"
							"\"message\":{\"content\":\"a b c\"}}],",
					      "\"usage\":{\"prompt_tokens\":8,\"x\":4}}           ", NULL };
	struct test t;
	json_t *asked;

	(void)state;
	ask_only(&t, EP_CHAT, CHAT, false, pieces);
	assert_int_equal(t.sink.e, ERR_OK);
	assert_json(json_object_get(t.sink.whole, "choices"),
		    "[{'index':0,'message':{'role':'assistant','content':'a b c'},'finish_reason':'stop'}]");
	assert_true(t.sink.used.prompt == 8 && t.sink.used.completion == 3); /* its word, and our count */
	asked = was_asked(&t);
	assert_null(json_object_get(asked, "stream"));
	json_decref(asked);
	end(&t);
}

static void test_whole_without_usage_or_length(void **state)
{
	static const char *const pieces[] = { "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
					      "{\"choices\":[{\"text\":\"a b c\"}],\"usage\":null}",
					      NULL };
	struct test t;

	(void)state;
	ask_only(&t, EP_COMPLETIONS, PROMPT, false, pieces);
	assert_int_equal(t.sink.e, ERR_OK);
	assert_true(t.sink.used.prompt == 3 && t.sink.used.completion == 3);
	end(&t);
}

/* The same piece for ever. */
static void goes_on(const char *head, const char *piece, size_t want)
{
	const char *pieces[64] = { head };
	struct test t;

	for (unsigned i = 1; i < 63; i++)
		pieces[i] = piece;
	begin(&t);
	t.script.hold = true;
	ask_whole(&t, EP_COMPLETIONS, "{'prompt':'one two three','max_tokens':2}", true, pieces);
	assert_int_equal(t.sink.e, ERR_OK);
	assert_string_equal(t.sink.finish, "length");
	assert_int_equal(json_array_size(t.sink.chunks), want);
	assert_true(t.sink.used.prompt == 3 && t.sink.used.completion == 2);
	sink_run_ms(&t.sink, 20);
	assert_true(t.script.gone); /* and it is told */
	end(&t);
}

static void test_server_that_does_not_stop(void **state)
{
	(void)state;
	goes_on(SSE, "data: {\"choices\":[{\"text\":\" word\"}]}\n\n", 2 + 16);
	goes_on(SSE "data: {\"choices\":[{\"text\":\"more than sixteen letters\"}]}\n\n",
		"data: {\"choices\":[{\"text\":\"x\"}]}\n\n", 2 + 16);
}

/* Two long tokens, letter by letter. */
static void test_server_that_sends_letters(void **state)
{
	const char *pieces[40] = { SSE };
	struct test t;

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		pieces[1 + i] = "data: {\"choices\":[{\"text\":\"x\"}]}\n\n";
	for (unsigned i = 0; i < 5; i++)
		pieces[17 + i] = "data: {\"choices\":[{\"text\":\"\",\"logprobs\":[1]}]}\n\n";
	pieces[22] = "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
	ask_only(&t, EP_COMPLETIONS, "{'prompt':'one two three','max_tokens':3}", true, pieces);
	assert_string_equal(t.sink.finish, "stop");
	assert_int_equal(json_array_size(t.sink.chunks), 21);
	end(&t);
}

/* Servers that write out members which they have no use for. */
static void test_deltas_that_are_none(void **state)
{
	static const char *const texts[] = {
		SSE "data: {\"choices\":[{\"text\":\"a\",\"delta\":null}]}\n\n"
		    "data: {\"choices\":[{\"text\":\"b\",\"delta\":5}]}\n\ndata: [DONE]\n\n",
		NULL
	};
	static const char *const chat[] = {
		SSE "data: {\"choices\":[{\"delta\":null,\"logprobs\":[1]}]}\n\n"
		    "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n",
		NULL
	};
	struct test t;

	(void)state;
	ask_only(&t, EP_COMPLETIONS, "{'prompt':'one two three','max_tokens':3}", true, texts);
	assert_int_equal(t.sink.e, ERR_OK);
	assert_string_equal(sink_text(&t.sink), "ab");
	end(&t);
	ask_only(&t, EP_CHAT, CHAT, true, chat);
	assert_int_equal(t.sink.e, ERR_OK);
	assert_json(json_array_get(t.sink.chunks, 0),
		    "{'index':0,'delta':{'role':'assistant'},'logprobs':[1],'finish_reason':null}");
	assert_json(json_array_get(t.sink.chunks, 1),
		    "{'index':0,'delta':{'content':'a'},'finish_reason':null}");
	end(&t);
}

/* A tool's definition is a part of the prompt, and so is an earlier call. */
static void test_prompts_beside_the_messages(void **state)
{
	struct prompt_size size;
	struct test t;
	json_t *o = json_of(
		"{'messages':[{'role':'user','content':'12345678'},{'role':'assistant','content':null,"
		"'tool_calls':['123456']},{'role':'user','content':[{'type':'image_url'}]}],"
		"'tools':[1234567890,1234567890,1]}");

	(void)state;
	begin(&t);
	assert_int_equal(engine_measure(t.sink.engine, EP_CHAT, o, &size), ERR_OK);
	assert_int_equal(size.low, (8 + 10 + 25 + 7) / 8 + 1);
	json_decref(o);
	end(&t);
}

static void test_images_and_embeddings(void **state)
{
	static const char *const image[] = { JSON(40) "{\"data\":[{\"b64_json\":\"iVBORw0KGgo=\"}]}  ",
					     NULL };
	static const char *const vector[] = { JSON(84) "{\"data\":[{\"embedding\":\"AAAAPwAAAMA=\"}],"
						       "\"usage\":{\"prompt_tokens\":2,\"total_tokens\":2}}",
					      NULL };
	struct test t;

	(void)state;
	begin(&t);
	script_set(&t.script, image);
	assert_int_equal(sink_start(&t.sink, EP_IMAGES, "{'prompt':'x','n':2,'size':'10x10'}", false, 1000),
			 ERR_OK);
	sink_wait(&t.sink);
	assert_int_equal(t.sink.e, ERR_OK);
	assert_int_equal(t.sink.used.completion, 100); /* one came, one is charged */
	assert_memory_equal(t.script.asked.p, "POST /v1/images/generations ", 28);
	sink_run_ms(&t.sink, 20);
	sink_reset(&t.sink);
	ask_whole(&t, EP_EMBEDDINGS, "{'input':'x y'}", false, vector);
	assert_int_equal(t.sink.e, ERR_OK);
	assert_json(json_object_get(t.sink.whole, "data"),
		    "[{'embedding':[0.5,-2.0],'object':'embedding','index':0}]");
	assert_int_equal(t.sink.used.prompt, 2);
	end(&t);
}

static void test_stop_and_cancel(void **state)
{
	static const char *const pieces[] = { SSE "data: {\"choices\":[{\"text\":\"x\"}]}\n\n",
					      "data: {\"choices\":[{\"text\":\"y\"}]}\n\n", NULL };
	struct test t;

	(void)state;
	begin(&t);
	t.script.hold = true;
	ask(&t, EP_COMPLETIONS, PROMPT, true, pieces);
	sink_run_ms(&t.sink, 50);
	engine_stop(t.sink.run);
	assert_int_equal(t.sink.ends, 1);
	assert_string_equal(t.sink.finish, "stop");
	assert_true(t.sink.used.prompt == 3 && t.sink.used.completion == 2);
	sink_run_ms(&t.sink, 30);
	assert_true(t.script.gone); /* the server is told by the closed connection */
	sink_reset(&t.sink);
	ask(&t, EP_COMPLETIONS, PROMPT, true, pieces);
	t.sink.cancel_at = 1; /* from inside the chunk */
	sink_run_ms(&t.sink, 50);
	assert_int_equal(json_array_size(t.sink.chunks), 1);
	assert_true(t.script.gone);
	sink_reset(&t.sink);
	ask(&t, EP_COMPLETIONS, PROMPT, false, pieces);
	sink_run_ms(&t.sink, 10);
	engine_stop(t.sink.run);
	assert_json(t.sink.whole,
		    "{'choices':[{'index':0,'text':'','logprobs':null,'finish_reason':'stop'}]}");
	assert_int_equal(t.sink.used.completion, 0);
	end(&t);
}

static enum err open_with_key(const char *text)
{
	char path[] = "/tmp/sealway-token-XXXXXX";
	struct engine_opts o = { .engine = "http://127.0.0.1:9", .key_file = path };
	struct engine *e = NULL;
	int fd = mkstemp(path);
	enum err got;
	uv_loop_t uv;

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	uv_loop_init(&uv);
	o.uv = &uv;
	got = engine_open(&e, &o);
	engine_close(e);
	uv_run(&uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&uv), 0);
	unlink(path);
	return got;
}

/* A key that cannot be said is found at the start and not with each request. */
static void test_key_files(void **state)
{
	(void)state;
	assert_int_equal(open_with_key("sk-1"), ERR_OK);
	assert_int_equal(open_with_key("sk-1\r\nmore\n"), ERR_OK);
	assert_int_equal(open_with_key(""), ERR_CONFIG);
	assert_int_equal(open_with_key("\nsk-1\n"), ERR_CONFIG);
	assert_int_equal(open_with_key("sk\x01-1\n"), ERR_CONFIG);
}

static void test_prompt_bounds(void **state)
{
	static const char *const pieces[] = { JSON(30) "{\"choices\":[{\"text\":\"a b c\"}]}", NULL };
	struct test t;
	json_t *asked;

	(void)state;
	begin(&t);
	script_set(&t.script, pieces);
	/* 40 bytes are surely more than 4 tokens, and surely no more than 14 */
	assert_int_equal(sink_start(&t.sink, EP_COMPLETIONS,
				    "{'prompt':'0123456789012345678901234567890123456789'}", false, 4),
			 ERR_BODY);
	sink_reset(&t.sink);
	assert_int_equal(
		sink_start(
			&t.sink, EP_CHAT,
			"{'messages':[{'role':'user','content':'0123456789012345678901234567890123456789'}]}",
			false, 100),
		ERR_OK);
	sink_wait(&t.sink);
	asked = was_asked(&t);
	assert_int_equal(json_integer_value(json_object_get(asked, "max_tokens")), 100 - (14 + 8));
	json_decref(asked);
	end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_no_prompt_is_free),
					    cmocka_unit_test(test_ordinary_stream),
					    cmocka_unit_test(test_awkward_packets),
					    cmocka_unit_test(test_tool_calls),
					    cmocka_unit_test(test_broken_streams),
					    cmocka_unit_test(test_refused_in_the_stream),
					    cmocka_unit_test(test_silent_server),
					    cmocka_unit_test(test_finish_without_done),
					    cmocka_unit_test(test_statuses),
					    cmocka_unit_test(test_nobody_listens),
					    cmocka_unit_test(test_refusals_are_tried),
					    cmocka_unit_test(test_lists_of_models),
					    cmocka_unit_test(test_ill_servers),
					    cmocka_unit_test(test_whole),
					    cmocka_unit_test(test_whole_without_usage_or_length),
					    cmocka_unit_test(test_server_that_does_not_stop),
					    cmocka_unit_test(test_server_that_sends_letters),
					    cmocka_unit_test(test_deltas_that_are_none),
					    cmocka_unit_test(test_prompts_beside_the_messages),
					    cmocka_unit_test(test_images_and_embeddings),
					    cmocka_unit_test(test_stop_and_cancel),
					    cmocka_unit_test(test_key_files),
					    cmocka_unit_test(test_prompt_bounds) };

	json_harden();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
