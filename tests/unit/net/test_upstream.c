/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP client against a server that says what HTTP libraries never would:
 * cut and broken answers, silence at each place, redirects.  Everything runs on one
 * loop.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/net/upstream_side.h"

/* --- whole answers --- */

static void test_length(void **state)
{
	struct side *s = *state;

	assert_int_equal(side_get(s,
				  "HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\n"
				  "Content-Length: 5\r\n\r\nhello",
				  false),
			 UPSTREAM_OK);
	assert_int_equal(s->status, 200);
	assert_string_equal(s->type, "application/json");
	side_assert_body(s, "hello");
	assert_int_equal(s->dones, 1);
}

static void test_chunked(void **state)
{
	struct side *s = *state;

	assert_int_equal(side_get(s,
				  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
				  "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n",
				  false),
			 UPSTREAM_OK);
	side_assert_body(s, "abcde");
	assert_string_equal(s->type, "");
}

static void test_other_statuses(void **state)
{
	struct side *s = *state;

	assert_int_equal(side_get(s, "HTTP/1.1 425 Too Early\r\nContent-Length: 2\r\n\r\n{}", false),
			 UPSTREAM_OK);
	assert_int_equal(s->status, 425);
	side_assert_body(s, "{}");
	assert_int_equal(side_get(s, "HTTP/1.1 204 No Content\r\n\r\n", false), UPSTREAM_OK);
	assert_int_equal(s->status, 204);
	assert_int_equal(
		side_get(s, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
			 false),
		UPSTREAM_OK);
	assert_int_equal(s->heads, 1);
	assert_int_equal(s->status, 200);
}

static void test_request(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);
	char name[] = "X-One";
	struct upstream_header h[] = { { name, SLICE_STR("1") },
				       { "Content-Type", SLICE_STR("application/json") } };

	c.headers = h;
	c.n_headers = 2;
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	side_start(s, &c);
	memset(name, 'y', sizeof(name) - 1); /* headers are copied */
	assert_int_equal(side_finish(s), UPSTREAM_OK);
	assert_memory_equal(s->request.p, "POST /path?q=1 HTTP/1.1\r\n", 25);
	assert_true(slice_is(fake_header(buf_slice(&s->request), "X-One"), "1"));
	assert_true(slice_is(fake_header(buf_slice(&s->request), "Content-Type"), "application/json"));
	assert_int_equal(fake_header(buf_slice(&s->request), "Expect").n, 0);
	assert_true(slice_is(fake_body(buf_slice(&s->request)), "{\"a\":1}"));
}

static void test_get_and_empty_post(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);

	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	c.method = "GET";
	c.body = slice_of(NULL, 0);
	side_start(s, &c);
	assert_int_equal(side_finish(s), UPSTREAM_OK);
	assert_memory_equal(s->request.p, "GET /path", 9);
	c.method = "POST";
	side_start(s, &c);
	assert_int_equal(side_finish(s), UPSTREAM_OK);
	assert_memory_equal(s->request.p, "POST /path", 10);
	assert_true(slice_is(fake_header(buf_slice(&s->request), "Content-Length"), "0"));
	assert_int_equal(fake_header(buf_slice(&s->request), "Content-Type").n, 0);
}

static void test_large_body(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);
	struct buf b = { 0 };

	for (int i = 0; i < 300000; i++)
		buf_str(&b, "0123456789");
	c.body = buf_slice(&b);
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	side_start(s, &c);
	assert_int_equal(side_finish(s), UPSTREAM_OK);
	assert_true(slice_eq(fake_body(buf_slice(&s->request)), buf_slice(&b)));
	buf_free(&b);
}

/* --- broken ones --- */

static void test_cut(void **state)
{
	static const char *const cut[] = {
		"",
		"HTTP/1.1 200 OK\r\nContent-Le",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
		/* where the connection's end ends the body, nobody can tell */
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
		"HTTP/1.0 200 OK\r\n\r\nhello",
	};
	struct side *s = *state;

	for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
		enum upstream_result r = side_get(s, cut[i], true);

		if (r != UPSTREAM_CUT)
			fail_msg("answer %zu gave %s", i, upstream_result_name(r));
	}
	assert_int_equal(s->dones, sizeof(cut) / sizeof(cut[0]));
}

static void test_not_http(void **state)
{
	static const char *const bad[] = {
		"hello there, this is not HTTP\r\n\r\n",
		"SSH-2.0-OpenSSH_9.2\r\n",
	};
	struct side *s = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		enum upstream_result r = side_get(s, bad[i], true);

		if (r != UPSTREAM_INVALID)
			fail_msg("answer %zu gave %s", i, upstream_result_name(r));
		assert_int_equal(s->heads, 0);
	}
}

static void test_bad_chunking(void **state)
{
	struct side *s = *state;

	assert_int_not_equal(
		side_get(s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
			 true),
		UPSTREAM_OK);
	assert_int_not_equal(side_get(s,
				      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
				      "ffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
				      true),
			     UPSTREAM_OK);
}

static void test_max_body(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);

	c.max_body = 5;
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
	side_start(s, &c);
	assert_int_equal(side_finish(s), UPSTREAM_OK);
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!";
	side_start(s, &c);
	assert_int_equal(side_finish(s), UPSTREAM_INVALID);
	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
	side_start(s, &c);
	assert_int_equal(side_finish(s), UPSTREAM_INVALID);
	assert_true(s->body.n <= 5);
}

static void test_no_redirects(void **state)
{
	struct side *s = *state;
	char answer[256];

	snprintf(answer, sizeof(answer),
		 "HTTP/1.1 307 Temporary Redirect\r\nLocation: %s/else\r\nContent-Length: 0\r\n\r\n", s->url);
	assert_int_equal(side_get(s, answer, false), UPSTREAM_OK);
	assert_int_equal(s->status, 307);
	assert_int_equal(s->requests, 1);
}

/* A node's engine answers in plaintext. */
static void test_nothing_read_stays(void **state)
{
	static const char *const answers[] = { "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret",
					       "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nsecret",
					       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxsecret" };
	struct side *s = *state;

	for (unsigned i = 0; i < 3; i++) {
		side_get(s, answers[i], true);
		assert_true(sodium_is_zero(s->up->buffer, sizeof(s->up->buffer)));
	}
}

/* A reset comes with more than one read holds: all of it is read, and the end is seen at once. */
static void test_reset_behind_much(void **state)
{
	static const size_t said = 120000;
	struct side *s = *state;
	struct upstream_call c = side_call(s);
	struct buf data = { 0 };
	char head[64];

	while (data.n < said)
		buf_str(&data, "0123456789");
	for (unsigned cut = 0; cut < 2; cut++) {
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", said + cut);
		s->answer = head;
		side_start(s, &c);
		upstream_pause(s->req);
		while (s->requests <= cut)
			fake_run(&s->uv, NULL, 2);
		fake_say_bytes(s->conn, buf_slice(&data));
		while (fake_unsent(s->conn) > 0)
			fake_run(&s->uv, NULL, 1);
		fake_reset(s->conn);
		upstream_resume(s->req);
		assert_int_equal(side_finish(s), cut ? UPSTREAM_CUT : UPSTREAM_OK);
		assert_true(slice_eq(buf_slice(&s->body), buf_slice(&data)));
	}
	buf_free(&data);
}

static void on_prepare(uv_prepare_t *p)
{
	struct side *s = p->data;

	upstream_resume(s->req);
	uv_close((uv_handle_t *)p, NULL);
}

/* Whatever happens between upstream_resume and its being carried out: what was read before comes first. */
static void test_resume_keeps_the_order(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);
	struct buf body = { 0 };
	uv_prepare_t prepare;

	buf_reserve(&body, 16 << 20);
	memset(body.p, 'x', 16 << 20);
	c.body = slice_of(body.p, 16 << 20);
	s->pause_at_data = true;
	side_start(s, &c);
	while (!fake_newest(s->server))
		uv_run(&s->uv, UV_RUN_ONCE);
	fake_deafen(fake_newest(s->server));
	fake_say(fake_newest(s->server),
		 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n");
	while (!s->body.n)
		fake_run(&s->uv, NULL, 2);
	side_assert_body(s, "abc");
	s->pause_at_data = false;
	fake_chunk(fake_newest(s->server), SLICE_STR("ghi"));
	uv_prepare_init(&s->uv, &prepare);
	prepare.data = s;
	uv_prepare_start(&prepare, on_prepare); /* behind the timers, before what sockets say */
	fake_reset(fake_newest(s->server));
	assert_int_equal(side_finish(s), UPSTREAM_CUT);
	side_assert_body(s, "abcdefghi");
	buf_free(&body);
}

/* A pause from outside: nothing comes, and the loop does not turn in vain meanwhile. */
static void test_pause_from_outside(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);
	unsigned turns = 0;
	uint64_t until;

	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
	side_start(s, &c);
	while (!s->body.n)
		fake_run(&s->uv, NULL, 2);
	upstream_pause(s->req);
	fake_chunk(s->conn, SLICE_STR("def"));
	fake_run(&s->uv, NULL, 20);
	side_assert_body(s, "abc");
	for (until = uv_hrtime() + 200000000; uv_hrtime() < until; turns++)
		fake_run(&s->uv, NULL, 20);
	assert_true(turns < 20);
	upstream_resume(s->req);
	fake_say(s->conn, "0\r\n\r\n");
	assert_int_equal(side_finish(s), UPSTREAM_OK);
	side_assert_body(s, "abcdef");
}

/* A peer that has been read quickly, for which the kernel lets the socket grow, and is paused then,
 * runs ahead by less than a megabyte whatever the host lets sockets grow to. */
static void test_paused_peer_does_not_run_ahead(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);
	struct buf data = { 0 };
	size_t said = 0, before;

	buf_reserve(&data, 1 << 20);
	memset(data.p, 'x', 1 << 20);
	data.n = 1 << 20;
	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
	side_start(s, &c);
	while (!s->body.n)
		fake_run(&s->uv, NULL, 2);
	fake_send_buffer(s->conn, 128 << 10);
	for (; said < 64 << 20; said += data.n) {
		fake_chunk(s->conn, buf_slice(&data));
		while (fake_unsent(s->conn) > 0)
			fake_run(&s->uv, NULL, 1);
	}
	while (s->body.n < said)
		fake_run(&s->uv, NULL, 1);
	upstream_pause(s->req);
	before = s->body.n;
	for (said = 0; said < 64 << 20; said += data.n)
		fake_chunk(s->conn, buf_slice(&data));
	fake_run(&s->uv, NULL, 200);
	assert_int_equal(s->body.n, before);
	assert_true(said - fake_unsent(s->conn) < 1 << 20);
	buf_free(&data);
}

/* A header that could become two. */
static void test_headers_stay_in_their_line(void **state)
{
	static const struct upstream_header bad[] = {
		{ "X-One", SLICE_STR("1\r\nX-Two: 2") },
		{ "X-One", SLICE_STR("1\n") },
		{ "X-One", SLICE_STR("a\0b") },
		{ "X\r\nY", SLICE_STR("1") },
		{ "X:", SLICE_STR("1") },
		{ "", SLICE_STR("1") },
	};
	struct side *s = *state;
	struct upstream_call c = side_call(s);

	c.n_headers = 1;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c.headers = &bad[i];
		side_start(s, &c);
		assert_int_equal(side_finish(s), UPSTREAM_CONNECT);
	}
	assert_int_equal(s->requests, 0);
}

/* --- before anything is sent --- */

static void test_refused_address(void **state)
{
	struct side *s = *state;

	s->allow = false;
	assert_int_equal(side_get(s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false),
			 UPSTREAM_REFUSED);
	assert_int_equal(s->asked, 1);
	assert_int_equal(fake_accepted(s->server), 0);
}

/* A name may lead somewhere else the second time: what it led to before does not count. */
static void test_address_is_judged_each_time(void **state)
{
	struct side *s = *state;

	assert_int_equal(
		side_get(s, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", true),
		UPSTREAM_OK);
	assert_int_equal(s->asked, 1);
	s->allow = false;
	assert_int_equal(side_get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false),
			 UPSTREAM_REFUSED);
	assert_int_equal(s->asked, 2);
	assert_int_equal(s->requests, 1);
}

static void test_no_connection(void **state)
{
	static const char *const urls[] = { "http://127.0.0.1:1/",
					    "foo://x/",
					    "http://[::1/",
					    "not a url",
					    "file:///etc/passwd",
					    "gopher://x/",
					    "http://nobody:x@127.0.0.1/",
					    "" };
	struct side *s = *state;
	struct upstream_call c = side_call(s);

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		c.url = urls[i];
		side_start(s, &c);
		if (side_finish(s) != UPSTREAM_CONNECT)
			fail_msg("%s gave %s", urls[i], upstream_result_name(s->result));
	}
}

/* --- deadlines --- */

static enum upstream_result late(struct side *s, const char *answer, uint64_t first, uint64_t gap,
				 uint64_t total)
{
	struct upstream_call c = side_call(s);

	c.first_byte_ms = first;
	c.gap_ms = gap;
	c.total_ms = total;
	s->answer = answer;
	side_start(s, &c);
	return side_finish(s);
}

static void test_deadlines(void **state)
{
	static const char begun[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
	struct side *s = *state;

	assert_int_equal(late(s, NULL, 60, 0, 0), UPSTREAM_TIMEOUT);
	assert_int_equal(late(s, "HTTP/1.1 200 OK\r\n", 60, 0, 0), UPSTREAM_TIMEOUT);
	assert_int_equal(s->heads, 0);
	assert_int_equal(late(s, begun, 1000, 60, 0), UPSTREAM_TIMEOUT);
	side_assert_body(s, "abc");
	assert_int_equal(late(s, begun, 1000, 1000, 80), UPSTREAM_TIMEOUT);
	assert_int_equal(late(s, NULL, 0, 0, 60), UPSTREAM_TIMEOUT);
}

/* The gap deadline stands still while the caller does not read. */
static void test_pause_stops_gap(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);

	c.gap_ms = 80;
	s->pause_at_data = true;
	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
	side_start(s, &c);
	assert_false(fake_run(&s->uv, &s->done, 250));
	side_assert_body(s, "abc");
	s->pause_at_data = false;
	upstream_resume(s->req);
	fake_chunk(s->conn, SLICE_STR("def"));
	assert_int_equal(side_finish(s), UPSTREAM_TIMEOUT); /* and runs again afterwards */
	side_assert_body(s, "abcdef");
}

/* --- back-pressure, cancelling --- */

static void test_back_pressure(void **state)
{
	static const size_t total = 24 << 20;
	struct side *s = *state;
	struct upstream_call c = side_call(s);
	struct buf piece = { 0 };
	size_t stuck, got;

	c.gap_ms = 0;
	while (piece.n < 1 << 20)
		buf_str(&piece, "0123456789abcdef");
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 25165824\r\n\r\n";
	s->pause_at_data = true;
	side_start(s, &c);
	while (!s->heads)
		fake_run(&s->uv, NULL, 5);
	for (int i = 0; i < 24; i++)
		fake_say_bytes(s->conn, buf_slice(&piece));
	fake_run(&s->uv, NULL, 200);
	got = s->body.n;
	stuck = fake_unsent(s->conn);
	assert_true(got > 0 && got <= 64 << 10);
	assert_true(stuck > total / 4); /* it stays with the sender: only socket buffers took some */
	fake_run(&s->uv, NULL, 100);
	assert_int_equal(s->body.n, got);
	assert_int_equal(fake_unsent(s->conn), stuck);
	s->pause_at_data = false;
	upstream_resume(s->req);
	upstream_resume(s->req);
	assert_int_equal(s->body.n, got); /* not from inside */
	assert_int_equal(side_finish(s), UPSTREAM_OK);
	assert_int_equal(s->body.n, total);
	buf_free(&piece);
}

/* The last byte pauses: there is nothing more to read, and the answer is whole all the same. */
static void test_pause_at_the_end(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);

	s->pause_at_data = true;
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast";
	side_start(s, &c);
	while (s->body.n < 4)
		fake_run(&s->uv, NULL, 2);
	fake_run(&s->uv, NULL, 20);
	assert_int_equal(s->dones, 0);
	upstream_resume(s->req);
	assert_int_equal(side_finish(s), UPSTREAM_OK);
	assert_int_equal(s->body.n, 4);
}

/* Paused and resumed over and over: every byte, in order. */
static void test_stop_and_go(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);
	char piece[32];

	s->pause_at_data = true;
	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
	side_start(s, &c);
	while (!s->heads)
		fake_run(&s->uv, NULL, 2);
	for (int i = 0; i < 200; i++) {
		snprintf(piece, sizeof(piece), "%04d", i);
		fake_chunk(s->conn, slice_str(piece));
	}
	fake_say(s->conn, "0\r\n\r\n");
	for (int i = 0; i < 2000 && !s->done; i++) {
		uv_run(&s->uv, UV_RUN_NOWAIT);
		if (s->req)
			upstream_resume(s->req);
	}
	s->pause_at_data = false;
	if (s->req)
		upstream_resume(s->req);
	assert_int_equal(side_finish(s), UPSTREAM_OK);
	assert_int_equal(s->body.n, 800);
	for (int i = 0; i < 200; i++) {
		snprintf(piece, sizeof(piece), "%04d", i);
		assert_memory_equal(s->body.p + 4 * i, piece, 4);
	}
}

static void test_cancel(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);

	side_start(s, &c);
	upstream_cancel(s->req); /* before it began */
	fake_run(&s->uv, NULL, 50);
	assert_int_equal(fake_accepted(s->server), 0);
	side_start(s, &c);
	while (!s->requests)
		fake_run(&s->uv, NULL, 2);
	upstream_cancel(s->req);                              /* waiting for the head */
	assert_true(fake_run(&s->uv, &s->gone, PATIENCE_MS)); /* the server sees it */
	assert_int_equal(s->dones, 0);
	assert_int_equal(s->heads, 0);
}

static void test_cancel_inside(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);

	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n";
	s->cancel_at_head = true;
	side_start(s, &c);
	assert_true(fake_run(&s->uv, &s->gone, PATIENCE_MS));
	assert_int_equal(s->heads, 1);
	assert_int_equal(s->body.n, 0);
	s->cancel_at_head = s->gone = false;
	s->cancel_at_data = true;
	side_start(s, &c);
	assert_true(fake_run(&s->uv, &s->gone, PATIENCE_MS));
	side_assert_body(s, "abc");
	assert_int_equal(s->dones, 0);
}

static void test_cancel_paused(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);

	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
	s->pause_at_data = true;
	side_start(s, &c);
	while (!s->body.n)
		fake_run(&s->uv, NULL, 2);
	fake_chunk(s->conn, SLICE_STR("def"));
	fake_run(&s->uv, NULL, 20);
	upstream_resume(s->req);
	upstream_cancel(s->req);
	assert_true(fake_run(&s->uv, &s->gone, PATIENCE_MS));
	side_assert_body(s, "abc");
	assert_int_equal(s->dones, 0);
}

/* Frees the pool with one exchange in each state: nothing is called, nothing leaks. */
static void test_free_while_running(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);

	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
	side_start(s, &c);
	while (!s->body.n)
		fake_run(&s->uv, NULL, 2);
	s->answer = NULL;
	side_start(s, &c);
	fake_run(&s->uv, NULL, 20);
	side_start(s, &c);
	upstream_free(s->up);
	s->up = NULL;
	fake_run(&s->uv, NULL, 20);
	assert_int_equal(s->dones, 0);
}

static void on_done_free(void *arg, enum upstream_result r)
{
	struct side *s = arg;

	side_on_done(arg, r);
	upstream_free(s->up);
	s->up = NULL;
}

static void test_free_inside_done(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);

	c.on_done = on_done_free;
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	side_start(s, &c);
	assert_int_equal(side_finish(s), UPSTREAM_OK);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, side_setup, side_teardown)
	const struct CMUnitTest tests[] = {
		T(test_length),
		T(test_chunked),
		T(test_other_statuses),
		T(test_request),
		T(test_get_and_empty_post),
		T(test_large_body),
		T(test_cut),
		T(test_not_http),
		T(test_bad_chunking),
		T(test_max_body),
		T(test_no_redirects),
		T(test_nothing_read_stays),
		T(test_reset_behind_much),
		T(test_resume_keeps_the_order),
		T(test_pause_from_outside),
		T(test_paused_peer_does_not_run_ahead),
		T(test_headers_stay_in_their_line),
		T(test_refused_address),
		T(test_address_is_judged_each_time),
		T(test_no_connection),
		T(test_deadlines),
		T(test_pause_stops_gap),
		T(test_back_pressure),
		T(test_pause_at_the_end),
		T(test_stop_and_go),
		T(test_cancel),
		T(test_cancel_inside),
		T(test_cancel_paused),
		T(test_free_while_running),
		T(test_free_inside_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
