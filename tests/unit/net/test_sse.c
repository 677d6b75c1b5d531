/* SPDX-License-Identifier: Apache-2.0
 *
 * Event streams by the standard's line rules, each input in every split into
 * two and into single bytes: what comes out may not depend on the packets.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/net/sse.h"

#define MAX_EVENT 64

/* What was delivered, as "type=data;" per event. */
struct seen {
	char text[4096];
	size_t n;
	enum err answer;
};

static void put(struct seen *s, struct slice b)
{
	assert_true(s->n + b.n < sizeof(s->text));
	if (b.n)
		memcpy(s->text + s->n, b.p, b.n);
	s->n += b.n;
	s->text[s->n] = '\0';
}

static enum err on_event(void *arg, struct slice type, struct slice data)
{
	struct seen *s = arg;

	put(s, type);
	put(s, SLICE_STR("="));
	put(s, data);
	put(s, SLICE_STR(";"));
	return s->answer;
}

/* Feeds text split at a and b; the error of the first call that fails, or of the end. */
static enum err run(struct slice text, size_t a, size_t b, struct seen *seen)
{
	struct sse *s = sse_new(MAX_EVENT, on_event, seen);
	enum err e = sse_feed(s, slice_of(text.p, a));

	if (!e)
		e = sse_feed(s, slice_of(text.p + a, b - a));
	if (!e)
		e = sse_feed(s, slice_of(text.p + b, text.n - b));
	if (!e)
		e = sse_end(s);
	sse_free(s);
	return e;
}

static enum err run_bytes(struct slice text, struct seen *seen)
{
	struct sse *s = sse_new(MAX_EVENT, on_event, seen);
	enum err e = ERR_OK;

	for (size_t i = 0; i < text.n && !e; i++) {
		uint8_t one = text.p[i]; /* of its own, so that reading on is found out */

		e = sse_feed(s, slice_of(&one, 1));
	}
	if (!e)
		e = sse_end(s);
	sse_free(s);
	return e;
}

static const struct sample {
	const char *text;
	const char *want;
	enum err end;
} samples[] = {
	{ "", "", ERR_OK },
	{ "data: a\n\n", "message=a;", ERR_OK },
	{ "data:a\n\n", "message=a;", ERR_OK },
	{ "data:  a\n\n", "message= a;", ERR_OK }, /* one space only is taken */
	{ "data: a\r\n\r\n", "message=a;", ERR_OK },
	{ "data: a\r\r", "message=a;", ERR_OK },
	{ "data: a\r\n\ndata: b\n\r\n", "message=a;message=b;", ERR_OK },
	{ "data: a\n\r", "message=a;", ERR_OK },
	{ "data: a\r\rdata: b\r\r", "message=a;message=b;", ERR_OK },
	{ "data: a\ndata: b\n\n", "message=a\nb;", ERR_OK },
	{ "data: a\r\ndata\r\ndata: c\r\n\r\n", "message=a\n\nc;", ERR_OK },
	{ "data\n\n", "message=;", ERR_OK },
	{ "data:\n\n", "message=;", ERR_OK },
	{ "data\ndata\n\n", "message=\n;", ERR_OK },
	{ ": a comment\n\n", "", ERR_OK },
	{ ": keep-alive\n\ndata: a\n\n:\n\n", "message=a;", ERR_OK },
	{ "data: a\n: inside\ndata: b\n\n", "message=a\nb;", ERR_OK },
	{ "event: error\ndata: x\n\ndata: y\n\n", "error=x;message=y;", ERR_OK },
	{ "event: one\nevent: two\ndata: x\n\n", "two=x;", ERR_OK },
	{ "event: one\nevent:\ndata: x\n\n", "message=x;", ERR_OK },
	{ "event: lost\n\ndata: x\n\n", "message=x;", ERR_OK }, /* no data: not delivered, and forgotten */
	{ "id: 7\nretry: 10\nfoo: bar\nbaz\ndata: x\n\n", "message=x;", ERR_OK },
	{ "id: 7\n\n", "", ERR_OK },
	{ "error: {}\n\ndata: x\n\n", "error={};message=x;", ERR_OK }, /* llama.cpp's */
	{ "error\n\n", "error=;", ERR_OK },
	{ "error: a", "", ERR_FORMAT },
	{ " data: x\n\n", "", ERR_OK }, /* a field named " data" */
	{ "Data: x\n\n", "", ERR_OK },
	{ "data: a:b: c\n\n", "message=a:b: c;", ERR_OK },
	{ "\xef\xbb\xbf"
	  "data: a\n\n",
	  "message=a;", ERR_OK },
	{ "\xef\xbb\xbf\xef\xbb\xbf"
	  "data: a\n\ndata: b\n\n",
	  "message=b;", ERR_OK }, /* only one is a BOM */
	{ "\xef\xbb"
	  "data: a\n\ndata: b\n\n",
	  "message=b;", ERR_OK },
	{ "data: \xef\xbb\xbf\n\n", "message=\xef\xbb\xbf;", ERR_OK },
	{ "\n\n\r\n\r\n", "", ERR_OK },
	{ "data: \xe2\x82\xac \xf0\x9f\xa6\x8a\n\n", "message=\xe2\x82\xac \xf0\x9f\xa6\x8a;", ERR_OK },
	{ "data: a\n\ndata: b", "message=a;", ERR_FORMAT },
	{ "data: a\n", "", ERR_FORMAT },
	{ "data: a", "", ERR_FORMAT },
	{ "event: x\n", "", ERR_FORMAT },
	{ "\xef\xbb", "", ERR_FORMAT },
	{ ": half a comment", "", ERR_FORMAT },
};

static void test_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		struct slice text = slice_str(samples[i].text);

		for (size_t a = 0; a <= text.n; a++) {
			for (size_t b = a; b <= text.n; b++) {
				struct seen s = { .answer = ERR_OK };

				assert_int_equal(run(text, a, b, &s), samples[i].end);
				assert_string_equal(s.text, samples[i].want);
			}
		}
	}
}

static void test_single_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		struct seen s = { .answer = ERR_OK };

		assert_int_equal(run_bytes(slice_str(samples[i].text), &s), samples[i].end);
		assert_string_equal(s.text, samples[i].want);
	}
}

/* NUL bytes are bytes like any other in data. */
static void test_nul(void **state)
{
	static const char text[] = "data: a\0b\n\n";
	struct seen s = { .answer = ERR_OK };

	(void)state;
	assert_int_equal(run(slice_of(text, sizeof(text) - 1), 3, 8, &s), ERR_OK);
	assert_int_equal(s.n, strlen("message=") + 4);
	assert_memory_equal(s.text, "message=a\0b;", s.n);
}

static enum err run_line(const char *field, size_t n, size_t split, const char *rest)
{
	struct seen s = { .answer = ERR_OK };
	struct buf b = { 0 };
	enum err e;

	buf_str(&b, field);
	while (b.n < n)
		buf_add(&b, "x", 1);
	buf_str(&b, rest);
	e = run(buf_slice(&b), split, split, &s);
	buf_free(&b);
	return e;
}

static void test_line_limit(void **state)
{
	(void)state;
	for (size_t split = 0; split < MAX_EVENT; split += 7) {
		assert_int_equal(run_line("data:", MAX_EVENT, split, "\n\n"), ERR_OK);
		assert_int_equal(run_line("data:", MAX_EVENT + 1, split, "\n\n"), ERR_LIMIT);
		assert_int_equal(run_line("data:", MAX_EVENT + 1, split, ""),
				 ERR_LIMIT); /* before its end comes */
		assert_int_equal(run_line(":", MAX_EVENT + 1, split, "\n"), ERR_LIMIT);
	}
}

static void test_event_limit(void **state)
{
	struct seen s = { .answer = ERR_OK };
	struct buf b = { 0 };

	(void)state;
	for (int i = 0; i < 6; i++)
		buf_str(&b, "data:123456789\n"); /* 9 each and a line feed between: 59 */
	buf_str(&b, "\n");
	assert_int_equal(run(buf_slice(&b), 4, 30, &s), ERR_OK);
	assert_int_equal(s.n, strlen("message=;") + 59);
	b.n--;
	buf_str(&b, "data:1234\n\n"); /* 64 */
	assert_int_equal(run(buf_slice(&b), 4, 30, &s), ERR_OK);
	b.n -= 2;
	buf_str(&b, "\ndata:\n\n"); /* 65 */
	assert_int_equal(run(buf_slice(&b), 4, 30, &s), ERR_LIMIT);
	buf_free(&b);
}

/* What the callee says stops the feed, and stays. */
static void test_stop(void **state)
{
	struct seen seen = { .answer = ERR_NODE };
	struct sse *s = sse_new(MAX_EVENT, on_event, &seen);

	(void)state;
	assert_int_equal(sse_feed(s, SLICE_STR("data: a\n\ndata: b\n\n")), ERR_NODE);
	assert_string_equal(seen.text, "message=a;");
	seen.answer = ERR_OK;
	assert_int_equal(sse_feed(s, SLICE_STR("data: c\n\n")), ERR_NODE);
	assert_int_equal(sse_end(s), ERR_NODE);
	assert_string_equal(seen.text, "message=a;");
	sse_free(s);
	sse_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_split), cmocka_unit_test(test_single_bytes),
		cmocka_unit_test(test_nul),         cmocka_unit_test(test_line_limit),
		cmocka_unit_test(test_event_limit), cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
