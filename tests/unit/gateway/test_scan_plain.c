/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain bodies: which members are wrong and how that is said, what of a request
 * sizes its reservation, and the body that is sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "gateway/api.h"
#include "gateway/estimate.h"

#define MSG "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define CHAT "{\"model\":\"m\"," MSG

static struct scan_plain good(enum endpoint ep, const char *body)
{
	struct scan_fault fault;
	struct scan_plain s;

	if (scan_plain(slice_str(body), ep, &s, &fault) != ERR_OK)
		fail_msg("%s: %s: %s", body, fault.param ? fault.param : "-", fault.what);
	return s;
}

static void bad(enum endpoint ep, const char *body, const char *param)
{
	struct scan_plain s, before;
	struct scan_fault fault;

	memset(&s, 0x5a, sizeof(s));
	before = s;
	if (scan_plain(slice_str(body), ep, &s, &fault) != ERR_BODY)
		fail_msg("must be refused: %s", body);
	assert_memory_equal(&s, &before, sizeof(s));
	assert_non_null(fault.what);
	if (!param)
		assert_null(fault.param);
	else if (!fault.param || strcmp(fault.param, param) != 0)
		fail_msg("%s: said to be the fault of %s", body, fault.param ? fault.param : "nothing");
}

static void test_members(void **state)
{
	static const struct {
		enum endpoint ep;
		const char *body, *param;
	} rows[] = {
		{ EP_PLAIN_CHAT, "", NULL },
		{ EP_PLAIN_CHAT, "[]", NULL },
		{ EP_PLAIN_CHAT, "{", NULL },
		{ EP_PLAIN_CHAT, CHAT "}x", NULL },
		{ EP_PLAIN_CHAT, "\xef\xbb\xbf" CHAT "}", NULL },
		{ EP_PLAIN_CHAT, CHAT ",\"x\":\"\xff\"}", NULL },
		{ EP_PLAIN_CHAT, CHAT ",\"x\":\"\\ud800\"}", NULL },
		{ EP_PLAIN_CHAT, CHAT ",\"x\":01}", NULL },
		{ EP_PLAIN_CHAT, "{" MSG "}", "model" },
		{ EP_PLAIN_CHAT, "{\"model\":null," MSG "}", "model" },
		{ EP_PLAIN_CHAT, "{\"model\":\"\"," MSG "}", "model" },
		{ EP_PLAIN_CHAT, "{\"model\":\"a\\u0000\"," MSG "}", "model" },
		{ EP_PLAIN_CHAT, CHAT ",\"model\":\"m\"}", "model" },
		{ EP_PLAIN_CHAT, CHAT ",\"mod\\u0065l\":\"m\"}", "model" },
		{ EP_PLAIN_CHAT, "{\"model\":\"m\"}", "messages" },
		{ EP_PLAIN_CHAT, "{\"model\":\"m\",\"messages\":[ ]}", "messages" },
		{ EP_PLAIN_CHAT, "{\"model\":\"m\",\"messages\":\"hi\"}", "messages" },
		{ EP_PLAIN_CHAT, "{\"model\":\"m\",\"prompt\":\"hi\"}", "messages" },
		{ EP_PLAIN_CHAT, CHAT ",\"max_tokens\":1,\"max_tokens\":2}", "max_tokens" },
		{ EP_PLAIN_CHAT, CHAT ",\"stream\":1}", "stream" },
		{ EP_PLAIN_CHAT, CHAT ",\"stream\":\"true\"}", "stream" },
		{ EP_PLAIN_CHAT, CHAT ",\"stream\":true,\"stream_options\":[]}", "stream_options" },
		{ EP_PLAIN_CHAT, CHAT ",\"stream_options\":7}", "stream_options" },
		{ EP_PLAIN_CHAT, CHAT ",\"stream\":true,\"stream_options\":{\"include_usage\":1}}",
		  "stream_options" },
		{ EP_PLAIN_CHAT,
		  CHAT ",\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_us\\u0061ge\":"
		       "true}}",
		  "stream_options" },
		{ EP_PLAIN_CHAT, CHAT ",\"max_tokens\":-1}", "max_tokens" },
		{ EP_PLAIN_CHAT, CHAT ",\"max_tokens\":-0}", "max_tokens" },
		{ EP_PLAIN_CHAT, CHAT ",\"max_tokens\":1.0}", "max_tokens" },
		{ EP_PLAIN_CHAT, CHAT ",\"max_tokens\":1e3}", "max_tokens" },
		{ EP_PLAIN_CHAT, CHAT ",\"max_tokens\":true}", "max_tokens" },
		{ EP_PLAIN_CHAT, CHAT ",\"max_tokens\":9007199254740992}", "max_tokens" },
		{ EP_PLAIN_CHAT, CHAT ",\"max_tokens\":99999999999999999999999}", "max_tokens" },
		{ EP_PLAIN_CHAT, CHAT ",\"max_completion_tokens\":\"5\"}", "max_completion_tokens" },
		{ EP_PLAIN_CHAT, CHAT ",\"max_tokens\":9007199254740991,\"n\":2}", "max_tokens" },
		{ EP_PLAIN_CHAT, CHAT ",\"n\":0}", "n" },
		{ EP_PLAIN_CHAT, CHAT ",\"n\":129}", "n" },
		{ EP_PLAIN_CHAT, CHAT ",\"n\":[1]}", "n" },
		{ EP_PLAIN_COMPLETIONS, "{\"model\":\"m\"}", "prompt" },
		{ EP_PLAIN_COMPLETIONS, "{\"model\":\"m\",\"prompt\":null}", "prompt" },
		{ EP_PLAIN_COMPLETIONS, "{\"model\":\"m\",\"prompt\":[]}", "prompt" },
		{ EP_PLAIN_COMPLETIONS, "{\"model\":\"m\",\"prompt\":\"x\",\"best_of\":0}", "best_of" },
		{ EP_PLAIN_EMBEDDINGS, "{\"model\":\"m\"}", "input" },
		{ EP_PLAIN_EMBEDDINGS, "{\"model\":\"m\",\"input\":{}}", "input" },
		{ EP_PLAIN_EMBEDDINGS, "{\"model\":\"m\",\"input\":\"x\",\"stream\":true}", "stream" },
		{ EP_PLAIN_IMAGES, "{\"model\":\"m\"}", "prompt" },
		{ EP_PLAIN_IMAGES, "{\"model\":\"m\",\"prompt\":[\"x\"]}", "prompt" },
		{ EP_PLAIN_IMAGES, "{\"model\":\"m\",\"prompt\":\"x\",\"stream\":true}", "stream" },
		{ EP_PLAIN_IMAGES, "{\"model\":\"m\",\"prompt\":\"x\",\"n\":11}", "n" },
		{ EP_PLAIN_IMAGES, "{\"model\":\"m\",\"prompt\":\"x\",\"size\":7}", "size" },
		{ EP_PLAIN_IMAGES, "{\"model\":\"m\",\"prompt\":\"x\",\"size\":\"\"}", "size" },
		{ EP_PLAIN_IMAGES, "{\"model\":\"m\",\"prompt\":\"x\",\"size\":\"x\"}", "size" },
		{ EP_PLAIN_IMAGES, "{\"model\":\"m\",\"prompt\":\"x\",\"size\":\"1024\"}", "size" },
		{ EP_PLAIN_IMAGES, "{\"model\":\"m\",\"prompt\":\"x\",\"size\":\"0x5\"}", "size" },
		{ EP_PLAIN_IMAGES, "{\"model\":\"m\",\"prompt\":\"x\",\"size\":\"5x16385\"}", "size" },
		{ EP_PLAIN_IMAGES, "{\"model\":\"m\",\"prompt\":\"x\",\"size\":\"-5x5\"}", "size" },
		{ EP_PLAIN_IMAGES, "{\"model\":\"m\",\"prompt\":\"x\",\"size\":\"5x5x5\"}", "size" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		bad(rows[i].ep, rows[i].body, rows[i].param);
}

/* What another endpoint would mind is none of this one's business. */
static void test_foreign_members(void **state)
{
	(void)state;
	(void)good(EP_PLAIN_CHAT, CHAT ",\"size\":7,\"input\":null,\"prompt\":{}}");
	(void)good(EP_PLAIN_EMBEDDINGS, "{\"model\":\"m\",\"input\":\"x\",\"n\":0,\"messages\":1}");
	(void)good(EP_PLAIN_CHAT, CHAT ",\"x\":1,\"x\":2,\"stream_options\":{\"include_usage\":7}}");
	(void)good(EP_PLAIN_CHAT,
		   CHAT ",\"stream\":null,\"n\":null,\"max_tokens\":null,\"stream_options\":null}");
}

static void test_depth(void **state)
{
	struct buf b = { 0 };

	(void)state;
	for (int depth = 63; depth <= 64; depth++) { /* and the object around them */
		buf_reset(&b);
		buf_str(&b, CHAT ",\"x\":");
		for (int i = 0; i < depth; i++)
			buf_str(&b, "[");
		for (int i = 0; i < depth; i++)
			buf_str(&b, "]");
		buf_add(&b, "}", 2);
		if (depth == 63)
			(void)good(EP_PLAIN_CHAT, (char *)b.p);
		else
			bad(EP_PLAIN_CHAT, (char *)b.p, NULL);
	}
	buf_free(&b);
}

/* --- units --- */

static void assert_max(const char *more, enum endpoint ep, bool has, uint64_t units)
{
	char body[512];
	struct scan_plain s;

	snprintf(body, sizeof(body), "{\"model\":\"m\",%s}", more);
	s = good(ep, body);
	if (s.has_max_units != has || s.max_units != units)
		fail_msg("%s: %llu", more, (unsigned long long)s.max_units);
}

static void test_max(void **state)
{
	(void)state;
	assert_max(MSG, EP_PLAIN_CHAT, false, 0);
	assert_max(MSG ",\"max_tokens\":null", EP_PLAIN_CHAT, false, 0);
	assert_max(MSG ",\"max_tokens\":0", EP_PLAIN_CHAT, true, 0);
	assert_max(MSG ",\"max_tokens\":7", EP_PLAIN_CHAT, true, 7);
	assert_max(MSG ",\"max_completion_tokens\":7", EP_PLAIN_CHAT, true, 7);
	assert_max(MSG ",\"max_completion_tokens\":7,\"max_tokens\":9", EP_PLAIN_CHAT, true, 9);
	assert_max(MSG ",\"max_tokens\":7,\"n\":3", EP_PLAIN_CHAT, true, 21);
	assert_max(MSG ",\"max_tokens\":9007199254740991", EP_PLAIN_CHAT, true, ID_MAX);
	assert_max("\"prompt\":\"a\",\"max_tokens\":7,\"n\":3,\"best_of\":5", EP_PLAIN_COMPLETIONS, true, 35);
	assert_max("\"prompt\":[\"a\",\"b\"],\"max_tokens\":7,\"n\":3", EP_PLAIN_COMPLETIONS, true, 42);
	assert_max("\"prompt\":[1,2,3],\"max_tokens\":7", EP_PLAIN_COMPLETIONS, true, 7);
	assert_max("\"prompt\":[[1,2],[3]],\"max_tokens\":7", EP_PLAIN_COMPLETIONS, true, 14);
	assert_max("\"input\":\"a\",\"max_tokens\":7", EP_PLAIN_EMBEDDINGS, false, 0);
	assert_max("\"prompt\":\"a\",\"max_tokens\":7", EP_PLAIN_IMAGES, false, 0);
}

static uint64_t input(enum endpoint ep, const char *more)
{
	char body[8192];

	snprintf(body, sizeof(body), "{\"model\":\"m\",%s}", more);
	return good(ep, body).input_units;
}

static void test_input(void **state)
{
	static char data[4096];
	char more[6000];

	(void)state;
	assert_int_equal(input(EP_PLAIN_COMPLETIONS, "\"prompt\":\"0123456789\""), 6);
	assert_int_equal(input(EP_PLAIN_COMPLETIONS, "\"prompt\":\"\""), 1);
	assert_int_equal(input(EP_PLAIN_COMPLETIONS, "\"prompt\":[\"0123456789\",\"\"]"), 7);
	assert_int_equal(input(EP_PLAIN_EMBEDDINGS, "\"input\":[7,8,9]"), 3);
	assert_int_equal(input(EP_PLAIN_EMBEDDINGS, "\"input\":[[7,8],[9]]"), 5); /* bytes: rather too high */
	assert_in_range(input(EP_PLAIN_CHAT, MSG), 10, 40);
	assert_in_range(input(EP_PLAIN_CHAT, MSG ",\"tools\":[{\"name\":\"0123456789\"}]"), 20, 60);
	assert_int_equal(input(EP_PLAIN_CHAT, MSG ",\"documents\":[{\"text\":\"0123456789\"}]"),
			 input(EP_PLAIN_CHAT, MSG) + 12);
	assert_int_equal(input(EP_PLAIN_CHAT, MSG ",\"chat_template_kwargs\":{\"a\":\"01234567890\"}"),
			 input(EP_PLAIN_CHAT, MSG) + 10);
	assert_int_equal(input(EP_PLAIN_COMPLETIONS, "\"prompt\":\"ab\",\"suffix\":\"0123456789\""),
			 input(EP_PLAIN_COMPLETIONS, "\"prompt\":\"ab\"") + 6);
	assert_int_equal(input(EP_PLAIN_IMAGES, "\"prompt\":\"x\""), 1024 * 1024);
	assert_int_equal(input(EP_PLAIN_IMAGES, "\"prompt\":\"x\",\"size\":\"auto\",\"n\":2"),
			 2 * 1024 * 1024);
	assert_int_equal(input(EP_PLAIN_IMAGES, "\"prompt\":\"x\",\"size\":\"64x32\",\"n\":10"), 20480);
	assert_int_equal(input(EP_PLAIN_IMAGES, "\"prompt\":\"x\",\"size\":\"16384x16384\",\"n\":10"),
			 UINT64_C(10) * 16384 * 16384);
	/* an image counts for what it is to a model, not for its bytes */
	memset(data, 'A', sizeof(data) - 1);
	snprintf(more, sizeof(more),
		 "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"},"
		 "{\"type\":\"image_url\",\"image_url\":{\"url\":\"%s\"}}]}]",
		 data);
	assert_in_range(input(EP_PLAIN_CHAT, more), 1500, 1600);
	snprintf(more, sizeof(more),
		 "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"%s\"}]}]",
		 data);
	assert_in_range(input(EP_PLAIN_CHAT, more), 2047, 2200);
	/* odd shapes are the node's to refuse; they count by their bytes */
	assert_in_range(input(EP_PLAIN_CHAT, "\"messages\":[1,[2],{\"content\":7},{\"content\":[3]}]"), 32,
			80);
}

/* --- the body that is sent --- */

static void assert_sent(const char *body, const char *want, bool show)
{
	struct scan_plain s = good(EP_PLAIN_CHAT, body), again;
	struct buf out = { 0 };
	struct scan_fault fault;

	scan_plain_body(slice_str(body), &s, &out);
	if (!slice_is(buf_slice(&out), want))
		fail_msg("%s became %.*s", body, (int)out.n, (char *)out.p);
	assert_true(out.n <= strlen(body) + 48);
	assert_int_equal(s.show_usage, show);
	assert_int_equal(scan_plain(buf_slice(&out), EP_PLAIN_CHAT, &again, &fault), ERR_OK);
	assert_int_equal(again.show_usage, s.base.stream); /* what the node reads */
	buf_free(&out);
}

#define S CHAT ",\"stream\":true"

static void test_sent(void **state)
{
	(void)state;
	assert_sent(CHAT "}", CHAT "}", false);
	assert_sent(" \n" CHAT " , \"x\" : [ 1.50 , \"\\u00e4\" ] } ", CHAT ",\"x\":[1.50,\"\xc3\xa4\"]}",
		    false);
	assert_sent(CHAT ",\"stream\":false,\"stream_options\":{ }}",
		    CHAT ",\"stream\":false,\"stream_options\":{}}", false);
	assert_sent(S "}", S ",\"stream_options\":{\"include_usage\":true}}", false);
	assert_sent(S " }\n ", S ",\"stream_options\":{\"include_usage\":true}}", false);
	assert_sent(S ",\"stream_options\":null}", S ",\"stream_options\":{\"include_usage\":true}}", false);
	assert_sent(S ",\"stream_options\":{}}", S ",\"stream_options\":{\"include_usage\":true}}", false);
	assert_sent(S ",\"stream_options\":{ \n }}", S ",\"stream_options\":{\"include_usage\":true}}",
		    false);
	assert_sent(S ",\"stream_options\": { \"a\" : 1 } }",
		    S ",\"stream_options\":{\"include_usage\":true,\"a\":1}}", false);
	assert_sent(S ",\"stream_options\":{\"include_usage\":false}}",
		    S ",\"stream_options\":{\"include_usage\":true}}", false);
	assert_sent(S ",\"stream_options\":{\"b\":2,\"include_usage\" : null ,\"a\":1}}",
		    S ",\"stream_options\":{\"b\":2,\"include_usage\":true,\"a\":1}}", false);
	assert_sent(S ",\"stream_options\":{\"include_us\\u0061ge\":true},\"x\":{}}",
		    S ",\"stream_options\":{\"include_usage\":true},\"x\":{}}", true);
	/* only the outermost ones count */
	assert_sent("{\"x\":{\"stream_options\":{\"include_usage\":true}}," MSG
		    ",\"model\":\"m\",\"stream\":true}",
		    "{\"x\":{\"stream_options\":{\"include_usage\":true}}," MSG
		    ",\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
		    false);
}

static void test_job(void **state)
{
	static const uint8_t zero[KEY_BYTES];
	struct scan_plain s = good(EP_PLAIN_CHAT, CHAT ",\"max_tokens\":5,\"stream\":true,"
						       "\"stream_options\":{\"include_usage\":true}}");
	struct job j;

	(void)state;
	api_job_plain(&j, EP_PLAIN_CHAT, &s, SLICE_STR("sent"));
	assert_true(j.stack == 0 && !j.has_units && j.stream && j.show_usage);
	assert_true(j.has_max_units && j.max_units == 5 && j.input_units == s.input_units);
	assert_memory_equal(j.node_key, zero, KEY_BYTES);
	assert_memory_equal(j.plain_hash, j.body_hash, KEY_BYTES);
	assert_memory_not_equal(j.plain_hash, zero, KEY_BYTES);
	assert_true(slice_is(j.model, "m"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members), cmocka_unit_test(test_foreign_members),
		cmocka_unit_test(test_depth),   cmocka_unit_test(test_max),
		cmocka_unit_test(test_input),   cmocka_unit_test(test_sent),
		cmocka_unit_test(test_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
