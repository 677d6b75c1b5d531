/* SPDX-License-Identifier: Apache-2.0
 *
 * The parser of HTTP responses: what is read out of good ones, in any pieces; and
 * that whatever could be read in two ways, or has no end, is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/answer.h"

struct seen {
	struct buf body;
	unsigned heads;
	int status;
	char type[ANSWER_TYPE_MAX];
	bool bounded, keep;
	enum answer_step end; /* MORE: it wants more */
	size_t left;          /* of the text, behind the end */
};

static void see(struct seen *s, struct answer *a, struct slice *in)
{
	struct slice data = { NULL, 0 };

	for (;;) {
		s->end = answer_next(a, in, &data);
		if (s->end == ANSWER_HEAD) {
			s->heads++;
			s->status = a->status;
			strcpy(s->type, a->type);
		} else if (s->end == ANSWER_DATA) {
			assert_true(data.n > 0);
			buf_add(&s->body, data.p, data.n);
		} else {
			return;
		}
	}
}

static void read_in(struct seen *s, struct slice text, size_t piece, bool head_asked)
{
	struct answer a = { .head_asked = head_asked };

	buf_free(&s->body);
	memset(s, 0, sizeof(*s));
	for (size_t at = 0; at < text.n && s->end == ANSWER_MORE; at += piece) {
		size_t n = piece < text.n - at ? piece : text.n - at;
		uint8_t *own = malloc(n); /* its own block: reading past it is found out */
		struct slice in = slice_of(own, n);

		memcpy(own, text.p + at, n);
		see(s, &a, &in);
		s->left = text.n - at - n + in.n;
		if (s->end == ANSWER_MORE)
			assert_int_equal(in.n, 0);
		free(own);
	}
	s->bounded = a.bounded;
	s->keep = a.keep;
	if (s->end == ANSWER_BAD || s->end == ANSWER_END) { /* and stays so */
		struct slice more = SLICE_STR("HTTP/1.1 200 OK\r\n\r\n"), data;

		assert_int_equal(answer_next(&a, &more, &data), s->end);
	}
	answer_free(&a);
}

struct expected {
	const char *text;
	int status;
	const char *type, *body;
	enum answer_step end;
	bool keep;
	size_t left;
};

static void check(const struct expected *e, size_t piece)
{
	struct seen s = { 0 };

	read_in(&s, slice_str(e->text), piece, false);
	if (s.end != e->end || s.status != e->status || strcmp(s.type, e->type) != 0 || s.left != e->left ||
	    !slice_is(buf_slice(&s.body), e->body) || s.keep != e->keep || s.heads != 1)
		fail_msg("%s\nin pieces of %zu: step %d status %d type %s keep %d left %zu", e->text, piece,
			 s.end, s.status, s.type, s.keep, s.left);
	buf_free(&s.body);
}

#define OK "HTTP/1.1 200 OK\r\n"

static void test_good(void **state)
{
	static const struct expected all[] = {
		{ OK "Content-Length: 5\r\nContent-Type: Text/Event-Stream; charset=x\r\n\r\nhello", 200,
		  "text/event-stream", "hello", ANSWER_END, true, 0 },
		{ OK "Content-Length: 0\r\n\r\nHTTP", 200, "", "", ANSWER_END, true, 4 },
		{ "HTTP/1.1 200\r\ncontent-length:\t5 \r\n\r\nhello!", 200, "", "hello", ANSWER_END, true,
		  1 },
		{ OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0A ;x=\"y\"\r\n0123456789\r\n0\r\nA: "
		     "b\r\n\r\nX",
		  200, "", "abc0123456789", ANSWER_END, true, 1 },
		{ OK "Connection: x, Close\r\nContent-Length: 1\r\n\r\nz", 200, "", "z", ANSWER_END, false,
		  0 },
		{ OK "Connection: closed\r\nContent-Length: 1\r\n\r\nz", 200, "", "z", ANSWER_END, true, 0 },
		{ "HTTP/1.0 404 No\r\nContent-Length: 2\r\n\r\n{}", 404, "", "{}", ANSWER_END, false, 0 },
		{ "HTTP/1.1 204 None\r\nContent-Length: 9\r\n\r\n", 204, "", "", ANSWER_END, true, 0 },
		{ "HTTP/1.1 304 Same\r\n\r\n", 304, "", "", ANSWER_END, true, 0 },
		{ "HTTP/1.1 100 Continue\r\nContent-Length: 7\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n" OK
		  "Content-Length: 1\r\n\r\nx",
		  200, "", "x", ANSWER_END, true, 0 },
		{ OK "A:\r\nContent-Length: 1\r\n\r\nx", 200, "", "x", ANSWER_END, true, 0 },
		/* no end of its own */
		{ OK "Content-Type: a/b\r\n\r\nas long as it lasts", 200, "a/b", "as long as it lasts",
		  ANSWER_MORE, false, 0 },
		/* not yet whole */
		{ OK "Content-Length: 5\r\n\r\nhell", 200, "", "hell", ANSWER_MORE, true, 0 },
		{ OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", 200, "", "hello", ANSWER_MORE,
		  true, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (size_t piece = 1; piece < 300; piece += piece < 12 ? 1 : 97)
			check(&all[i], piece);
}

static void test_bad(void **state)
{
	static const char *const all[] = {
		"\r\n",
		"\n",
		"HTTP/1.1 200 OK\n\n",
		"HTTP/1.1  200 OK\r\n",
		"HTTP/1.1 2000\r\n",
		"HTTP/1.1 20\r\n",
		"HTTP/1.1 099 x\r\n",
		"HTTP/1.1 600 x\r\n",
		"HTTP/1.1 2x0 x\r\n",
		"HTTP/1.1 200OK\r\n",
		"HTTP/1.1 200 O\x01K\r\n",
		"HTTP/1.2 200 OK\r\n",
		"HTTP/2 200\r\n",
		"http/1.1 200 OK\r\n",
		"HTTP/1.1 101 Switching\r\n\r\n",
		"<html>\r\n",
		OK "no colon\r\n",
		OK ": no name\r\n",
		OK "A : b\r\n",
		OK " A: b\r\n",
		OK "A: b\r\n folded\r\n",
		OK "A: b\rc\r\n",
		OK "A: b\nB: c\r\n",
		OK "A\x80: b\r\n",
		OK "A: b\x7f\r\n",
		OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
		OK "Content-Length: 5, 5\r\n\r\n",
		OK "Content-Length: -1\r\n\r\n",
		OK "Content-Length: +1\r\n\r\n",
		OK "Content-Length: 0x1\r\n\r\n",
		OK "Content-Length: 01\r\n\r\n",
		OK "Content-Length:\r\n\r\n",
		OK "Content-Length: 9223372036854775808\r\n\r\n",
		OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		OK "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
		OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		OK "Transfer-Encoding: gzip, chunked\r\n\r\n",
		OK "Transfer-Encoding: identity\r\n\r\n",
		OK "Transfer-Encoding: chunkedx\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
#define C OK "Transfer-Encoding: chunked\r\n\r\n"
		C "\r\n",
		C "g\r\n",
		C " 5\r\n",
		C "5 x\r\n",
		C "0x5\r\n",
		C "-5\r\n",
		C "5\n",
		C "1000000000000000\r\n",
		C "5;\x01\r\n",
		C "3\r\nabcd\r\n",
		C "3\r\nabc\n",
		C "3\r\nabc0\r\n",
		C "0\r\nbad trailer\r\n",
		C "0\r\n\n",
	};
	struct seen s = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (size_t piece = 1; piece < 200; piece += piece < 4 ? 1 : 193) {
			read_in(&s, slice_str(all[i]), piece, false);
			if (s.end != ANSWER_BAD)
				fail_msg("%s\nin pieces of %zu: step %d", all[i], piece, s.end);
			assert_false(s.keep);
		}
	read_in(&s, slice_of(OK "A: b\0c\r\n", sizeof(OK "A: b\0c\r\n") - 1), 100, false);
	assert_int_equal(s.end, ANSWER_BAD);
	buf_free(&s.body);
}

static void test_answer_to_head(void **state)
{
	struct seen s = { 0 };

	(void)state;
	read_in(&s, SLICE_STR(OK "Content-Length: 5\r\n\r\nhello"), 100, true);
	assert_int_equal(s.end, ANSWER_END);
	assert_int_equal(s.left, 5);
	assert_int_equal(s.body.n, 0);
	buf_free(&s.body);
}

/* start, then unit over and over up to n bytes, then end: the step it comes to. */
static enum answer_step many(const char *start, const char *unit, size_t n, const char *end)
{
	struct buf b = { 0 };
	struct seen s = { 0 };

	buf_str(&b, start);
	while (b.n + strlen(unit) + strlen(end) <= n)
		buf_str(&b, unit);
	buf_str(&b, end);
	read_in(&s, buf_slice(&b), 1000, false);
	buf_free(&b);
	buf_free(&s.body);
	return s.end;
}

static void test_limits(void **state)
{
	const size_t head = ANSWER_HEAD_MAX;

	(void)state;
	assert_int_equal(many(OK, "A: b\r\n", head, "Content-Length: 0\r\n\r\n"), ANSWER_END);
	assert_int_equal(many(OK, "A: b\r\n", head + 9, "Content-Length: 0\r\n\r\n"), ANSWER_BAD);
	assert_int_equal(many(OK "A: ", "x", 4 * head, ""), ANSWER_BAD); /* a line without end */
	assert_int_equal(many("", "x", 4 * head, ""), ANSWER_BAD);
	assert_int_equal(many("", "HTTP/1.1 100 Go\r\n\r\n", 19 * ANSWER_INTERIM_MAX + 40,
			      OK "Content-Length: 0\r\n\r\n"),
			 ANSWER_END);
	assert_int_equal(many("", "HTTP/1.1 100 Go\r\n\r\n", 19 * ANSWER_INTERIM_MAX + 60,
			      OK "Content-Length: 0\r\n\r\n"),
			 ANSWER_BAD);
	assert_int_equal(many(C "5;", "x", sizeof(C) - 1 + ANSWER_SIZE_LINE_MAX, "\r\nhello"), ANSWER_MORE);
	assert_int_equal(many(C "5;", "x", sizeof(C) - 1 + ANSWER_SIZE_LINE_MAX + 9, "\r\nhello"),
			 ANSWER_BAD);
	assert_int_equal(many(C "0\r\n", "A: b\r\n", sizeof(C) + ANSWER_TRAILER_MAX, "\r\n"), ANSWER_END);
	assert_int_equal(many(C "0\r\n", "A: b\r\n", sizeof(C) + ANSWER_TRAILER_MAX + 9, "\r\n"), ANSWER_BAD);
	/* but as many chunks as there are: each line is counted by itself */
	assert_int_equal(many(C, "1\r\nx\r\n", 200000, "0\r\n\r\n"), ANSWER_END);
}

static void test_long_type(void **state)
{
	struct seen s = { 0 };
	struct buf b = { 0 };

	(void)state;
	buf_str(&b, OK "Content-Type: ");
	for (int i = 0; i < 300; i++)
		buf_str(&b, "T");
	buf_str(&b, "\r\nContent-Length: 0\r\n\r\n");
	read_in(&s, buf_slice(&b), 7, false);
	assert_int_equal(s.end, ANSWER_END);
	assert_int_equal(strlen(s.type), ANSWER_TYPE_MAX - 1);
	buf_free(&b);
	buf_free(&s.body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),           cmocka_unit_test(test_bad),
		cmocka_unit_test(test_answer_to_head), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_long_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
