/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers on HTTP/1.1, HTTP/1.0 and HTTP/2: whole, streamed, cut.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/httpd/h2client.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

struct fix {
	struct rig g;
	struct buf in;
	int fd;
};

static void up(struct fix *x)
{
	memset(x, 0, sizeof(*x));
	rig_open(&x->g);
	x->fd = rig_connect(&x->g);
}

static void down(struct fix *x)
{
	close(x->fd);
	buf_free(&x->in);
	rig_close(&x->g);
}

/* What stands in a request line for a path: a URL counts by its own path. */
static void absolute_targets(void **state)
{
	static const char *const all[][2] = {
		{ "http://a/hi", "/hi" },
		{ "HTTP://other.example:80/hi?x=/y", "/hi" },
		{ "https://a/x/../%68i", "/x/../%68i" },
		{ "http://a", "/" },
		{ "http://a?/hi", "/" },
		{ "http:///hi", "/hi" },
		{ "/http://a/hi", "/http://a/hi" },
		{ "ftp://a/hi", "ftp://a/hi" },
	};
	struct fix x;
	char text[200];

	(void)state;
	up(&x);
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		buf_reset(&x.in);
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", all[i][0]);
		rig_say(&x.g, x.fd, text);
		assert_true(rig_expect(&x.g, x.fd, &x.in, "\r\n\r\n", 2000));
		assert_string_equal(x.g.path, all[i][1]);
	}
	down(&x);
}

static void whole_answers_keep_the_connection(void **state)
{
	struct fix x;

	(void)state;
	up(&x);
	rig_say(&x.g, x.fd, GET("/hi"));
	assert_true(rig_expect(&x.g, x.fd, &x.in, "hi\n", 2000));
	assert_int_equal(rig_count(&x.in, "HTTP/1.1 200 OK\r\n"), 1);
	assert_int_equal(rig_count(&x.in, "Content-Length: 3\r\n"), 1);
	assert_int_equal(rig_count(&x.in, "content-type: text/plain\r\n"), 1);
	assert_int_equal(rig_count(&x.in, "Server: sealway\r\n"), 1);
	buf_reset(&x.in);
	rig_say(&x.g, x.fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
	assert_true(rig_expect(&x.g, x.fd, &x.in, "\r\n\r\nhello", 2000));
	buf_reset(&x.in);
	rig_say(&x.g, x.fd, "GET /nowhere?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_true(rig_expect(&x.g, x.fd, &x.in, "404 Not Found", 2000));
	assert_string_equal(x.g.path, "/nowhere");
	buf_reset(&x.in);
	rig_say(&x.g, x.fd, "GET /no/../hi/./x%2f%2E%2e//?a/../b HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_true(rig_expect(&x.g, x.fd, &x.in, "404 Not Found", 2000));
	assert_string_equal(x.g.path, "/no/../hi/./x%2f%2E%2e//"); /* as it was sent */
	assert_int_equal(x.g.seen, 4);
	assert_int_equal(httpd_conns(x.g.h), 1);
	down(&x);
}

/* libh2o closes the connection over any other status than 200 when it does not know the length. */
static void streamed_answers_keep_the_connection(void **state)
{
	struct fix x;
	unsigned n = 0;

	(void)state;
	up(&x);
	for (int status = 200; status < 600; status += 204) {
		rig_say(&x.g, x.fd, GET("/hold"));
		assert_true(rig_until(&x.g, &x.g.seen, ++n, 2000));
		hreq_begin(x.g.held, status, NULL, 0, UINT64_MAX);
		hreq_write(x.g.held, SLICE_STR("bit"));
		hreq_end(x.g.held);
		assert_true(rig_expect(&x.g, x.fd, &x.in, "\r\n\r\n3\r\nbit\r\n0\r\n\r\n", 2000));
		assert_int_equal(rig_count(&x.in, "Connection: keep-alive\r\n"), 1);
		buf_reset(&x.in);
	}
	down(&x);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct fix x;

	(void)state;
	up(&x);
	rig_say(&x.g, x.fd,
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		"chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n" GET("/hi"));
	assert_true(rig_expect(&x.g, x.fd, &x.in, "hi\n", 2000));
	assert_int_equal(rig_count(&x.in, "HTTP/1.1 200 OK"), 3);
	assert_true(rig_count(&x.in, "\r\n\r\noneHTTP/1.1") == 1 &&
		    rig_count(&x.in, "\r\n\r\ntwoHTTP/1.1") == 1);
	down(&x);
}

/* A body given back early must not take the pipelined bytes behind it along. */
static void early_body_release_keeps_what_follows(void **state)
{
	struct fix x;

	(void)state;
	up(&x);
	rig_say(&x.g, x.fd, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" GET("/hi"));
	assert_true(rig_until(&x.g, &x.g.seen, 1, 2000));
	assert_non_null(x.g.held);
	assert_true(slice_is(hreq_body(x.g.held), "hello"));
	hreq_drop_body(x.g.held);
	assert_int_equal(hreq_body(x.g.held).n, 0);
	assert_true(slice_is(hreq_path(x.g.held), "/hold"));
	hreq_respond(x.g.held, 200, NULL, 0, SLICE_STR("done"));
	assert_true(rig_expect(&x.g, x.fd, &x.in, "hi\n", 2000));
	assert_int_equal(rig_count(&x.in, "\r\n\r\ndoneHTTP/1.1 200"), 1);
	down(&x);
}

static void expect_continue_works(void **state)
{
	struct fix x;

	(void)state;
	up(&x);
	rig_say(&x.g, x.fd,
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	assert_true(rig_expect(&x.g, x.fd, &x.in, "HTTP/1.1 100 Continue\r\n\r\n", 2000));
	assert_int_equal(x.g.seen, 0);
	rig_say(&x.g, x.fd, "hello");
	assert_true(rig_expect(&x.g, x.fd, &x.in, "\r\n\r\nhello", 2000));
	down(&x);
}

static void head_and_204_have_no_body(void **state)
{
	struct fix x;

	(void)state;
	up(&x);
	rig_say(&x.g, x.fd, "HEAD /hi HTTP/1.1\r\nHost: a\r\n\r\n" GET("/none") GET("/hi"));
	assert_true(rig_expect(&x.g, x.fd, &x.in, "\r\n\r\nhi\n", 2000));
	assert_int_equal(rig_count(&x.in, "hi\n"), 1);
	assert_int_equal(rig_count(&x.in, "Content-Length: 3\r\n"), 2);
	assert_int_equal(rig_count(&x.in, "204 No Content"), 1);
	assert_int_equal(rig_count(&x.in, "Content-Length: 0"), 0);
	assert_int_equal(rig_count(&x.in, "transfer-encoding"), 0);
	down(&x);
}

/* Headers leave without any byte of a body; writes of a turn make one chunk. */
static void streams_are_chunked_one_send_a_turn(void **state)
{
	struct fix x;

	(void)state;
	up(&x);
	rig_say(&x.g, x.fd, GET("/stream"));
	assert_true(rig_expect(&x.g, x.fd, &x.in, "\r\n\r\n", 2000));
	assert_int_equal(rig_count(&x.in, "transfer-encoding: chunked\r\n"), 1);
	buf_reset(&x.in);
	hreq_write(x.g.held, SLICE_STR("data: a\n\n"));
	hreq_write(x.g.held, SLICE_STR("data: b\n\n"));
	assert_int_equal(hreq_pending(x.g.held), 18);
	assert_int_equal(x.g.taken, 0);
	assert_true(rig_expect(&x.g, x.fd, &x.in, "12\r\ndata: a\n\ndata: b\n\n\r\n", 2000));
	rig_turn(&x.g, 20);
	assert_int_equal(x.g.taken, 18);
	assert_int_equal(x.g.takes, 1);
	assert_int_equal(hreq_pending(x.g.held), 0);
	hreq_write(x.g.held, SLICE_STR("end"));
	hreq_end(x.g.held);
	x.g.held = NULL;
	assert_true(rig_expect(&x.g, x.fd, &x.in, "3\r\nend\r\n0\r\n\r\n", 2000));
	rig_say(&x.g, x.fd, GET("/hi"));
	assert_true(rig_expect(&x.g, x.fd, &x.in, "hi\n", 2000));
	assert_int_equal(x.g.gone, 0);
	down(&x);
}

static void aborted_stream_lacks_its_last_chunk(void **state)
{
	struct fix x;

	(void)state;
	up(&x);
	rig_say(&x.g, x.fd, GET("/stream"));
	assert_true(rig_expect(&x.g, x.fd, &x.in, "\r\n\r\n", 2000));
	hreq_write(x.g.held, SLICE_STR("event: error\n\n"));
	hreq_abort(x.g.held);
	x.g.held = NULL;
	assert_true(rig_closed(&x.g, x.fd, &x.in, 2000));
	assert_int_equal(rig_count(&x.in, "event: error\n\n"), 1);
	assert_int_equal(rig_count(&x.in, "0\r\n\r\n"), 0);
	assert_int_equal(x.g.gone, 0);
	down(&x);
}

static void announced_length_is_kept_or_cut(void **state)
{
	struct fix x;

	(void)state;
	up(&x);
	rig_say(&x.g, x.fd, GET("/length"));
	assert_true(rig_expect(&x.g, x.fd, &x.in, "Content-Length: 10\r\n", 2000));
	hreq_write(x.g.held, SLICE_STR("0123456789too much"));
	hreq_end(x.g.held);
	assert_true(rig_expect(&x.g, x.fd, &x.in, "0123456789", 2000));
	buf_reset(&x.in);
	rig_say(&x.g, x.fd, GET("/length"));
	assert_true(rig_expect(&x.g, x.fd, &x.in, "\r\n\r\n", 2000));
	assert_int_equal(rig_count(&x.in, "too much"), 0);
	hreq_write(x.g.held, SLICE_STR("012"));
	hreq_end(x.g.held); /* less than announced */
	assert_true(rig_closed(&x.g, x.fd, &x.in, 2000));
	assert_int_equal(rig_count(&x.in, "012"), 1);
	down(&x);
}

/* HTTP/1.0: the end of the connection ends the body, a reset cuts it. */
static void http10_streams_end_by_closing(void **state)
{
	struct fix x;

	(void)state;
	up(&x);
	rig_say(&x.g, x.fd, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	assert_true(rig_expect(&x.g, x.fd, &x.in, "\r\n\r\n", 2000));
	assert_int_equal(rig_count(&x.in, "chunked"), 0);
	assert_int_equal(rig_count(&x.in, "Connection: close"), 1);
	hreq_write(x.g.held, SLICE_STR("plain"));
	hreq_end(x.g.held);
	assert_true(rig_closed(&x.g, x.fd, &x.in, 2000));
	assert_int_equal(rig_count(&x.in, "\r\n\r\nplain"), 1);
	down(&x);
}

static void header_values_cannot_break_out(void **state)
{
	const struct hheader h[] = { { "x-a", SLICE_STR("fine") },
				     { "x-b", SLICE_STR("a\r\nx-evil: 1") },
				     { "x-c", SLICE_STR("a\nx-evil: 1") },
				     { "content-length", SLICE_STR("99") } };
	struct fix x;

	(void)state;
	up(&x);
	rig_say(&x.g, x.fd, GET("/hold"));
	assert_true(rig_until(&x.g, &x.g.seen, 1, 2000));
	hreq_respond(x.g.held, 200, h, 4, SLICE_STR("ok"));
	assert_true(rig_expect(&x.g, x.fd, &x.in, "\r\n\r\nok", 2000));
	assert_int_equal(rig_count(&x.in, "x-a: fine\r\n"), 1);
	assert_int_equal(rig_count(&x.in, "evil"), 0);
	assert_int_equal(rig_count(&x.in, "99"), 0);
	down(&x);
}

static void headers_are_found(void **state)
{
	struct fix x;

	(void)state;
	up(&x);
	rig_say(&x.g, x.fd,
		"GET /hold HTTP/1.1\r\nHost: h.example\r\nAuthorization: Bearer x\r\nX-Two: 1\r\nX-Two: "
		"2\r\n\r\n");
	assert_true(rig_until(&x.g, &x.g.seen, 1, 2000));
	assert_true(slice_is(hreq_header(x.g.held, "host"), "h.example"));
	assert_true(slice_is(hreq_header(x.g.held, "authorization"), "Bearer x"));
	assert_int_equal(hreq_header_count(x.g.held, "x-two"), 2);
	assert_int_equal(hreq_header_count(x.g.held, "x-one"), 0);
	assert_null(hreq_header(x.g.held, "x-one").p);
	assert_true(slice_is(hreq_method(x.g.held), "GET"));
	assert_int_equal(hreq_version(x.g.held), 0x101);
	hreq_respond(x.g.held, 200, NULL, 0, SLICE_STR(""));
	assert_true(rig_expect(&x.g, x.fd, &x.in, "\r\n\r\n", 2000));
	down(&x);
}

static void large_answer_arrives_whole(void **state)
{
	struct fix x;

	(void)state;
	up(&x);
	rig_say(&x.g, x.fd, "GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	assert_true(rig_closed(&x.g, x.fd, &x.in, 10000));
	assert_true(x.in.n > 4u << 20 && x.in.p[x.in.n - 1] == 'x');
	down(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(absolute_targets),
		cmocka_unit_test(whole_answers_keep_the_connection),
		cmocka_unit_test(streamed_answers_keep_the_connection),
		cmocka_unit_test(pipelined_requests_are_answered_in_order),
		cmocka_unit_test(early_body_release_keeps_what_follows),
		cmocka_unit_test(expect_continue_works),
		cmocka_unit_test(head_and_204_have_no_body),
		cmocka_unit_test(streams_are_chunked_one_send_a_turn),
		cmocka_unit_test(aborted_stream_lacks_its_last_chunk),
		cmocka_unit_test(announced_length_is_kept_or_cut),
		cmocka_unit_test(http10_streams_end_by_closing),
		cmocka_unit_test(header_values_cannot_break_out),
		cmocka_unit_test(headers_are_found),
		cmocka_unit_test(large_answer_arrives_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
