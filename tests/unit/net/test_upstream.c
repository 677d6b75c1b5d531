/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP client against a server that says what HTTP libraries never would:
 * cut and broken answers, silence at each place, redirects, connections that die
 * between requests.  Everything runs on one loop.
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

#include "common/net/upstream_impl.h"
#include "tests/unit/net/fake_server.h"

#define PATIENCE_MS 5000

struct side {
	uv_loop_t uv;
	struct upstream *up;
	struct fake_server *server;
	char url[64];
	/* what the server does */
	const char *answer;
	bool hang_up;           /* after the answer */
	bool hang_up_next;      /* on the second request, before any answer */
	unsigned late_ms;       /* so long after it came */
	struct fake_conn *conn; /* of the last request */
	struct buf request;
	unsigned requests;
	bool gone;
	/* what the client saw */
	struct upstream_req *req;
	unsigned heads, dones;
	int status;
	char type[128];
	struct buf body;
	bool done;
	enum upstream_result result;
	bool pause_at_data, cancel_at_head, cancel_at_data;
	unsigned asked;
	bool allow;
};

static void on_request(void *arg, struct fake_conn *c, struct slice request)
{
	struct side *s = arg;

	s->conn = c;
	s->requests++;
	buf_reset(&s->request);
	buf_add(&s->request, request.p, request.n);
	if (s->hang_up_next && s->requests == 2) {
		s->req->began -= s->late_ms;
		s->req->started -= s->late_ms;
		fake_hang_up(c);
		return;
	}
	if (s->answer)
		fake_say(c, s->answer);
	if (s->hang_up)
		fake_hang_up(c);
}

static void on_gone(void *arg, struct fake_conn *c)
{
	struct side *s = arg;

	s->gone |= c == s->conn;
}

static bool allow(void *arg, const struct sockaddr *sa, bool tls)
{
	struct side *s = arg;

	assert_false(tls);
	assert_int_equal(sa->sa_family, AF_INET);
	s->asked++;
	return s->allow;
}

static void on_head(void *arg, int status, const char *type)
{
	struct side *s = arg;

	s->heads++;
	s->status = status;
	snprintf(s->type, sizeof(s->type), "%s", type);
	if (s->cancel_at_head)
		upstream_cancel(s->req);
}

static void on_data(void *arg, struct slice data)
{
	struct side *s = arg;

	assert_int_equal(s->heads, 1);
	assert_false(s->done);
	buf_add(&s->body, data.p, data.n);
	if (s->pause_at_data)
		upstream_pause(s->req);
	if (s->cancel_at_data)
		upstream_cancel(s->req);
}

static void on_done(void *arg, enum upstream_result r)
{
	struct side *s = arg;

	s->dones++;
	s->done = true;
	s->result = r;
	s->req = NULL;
}

static int setup(void **state)
{
	struct side *s = mem_new(sizeof(*s));
	struct fake_events ev = { on_request, on_gone, s };
	struct upstream_opts o = { .ca_file = "", .allow_address = allow, .arg = s };

	uv_loop_init(&s->uv);
	s->server = fake_open(&s->uv, &ev);
	s->up = upstream_new(&s->uv, &o);
	s->allow = true;
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u/path?q=1", fake_port(s->server));
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct side *s = *state;

	upstream_free(s->up);
	fake_close(s->server);
	uv_run(&s->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->uv), 0); /* no handle is left behind */
	buf_free(&s->request);
	buf_free(&s->body);
	free(s);
	return 0;
}

static struct upstream_call call_of(struct side *s)
{
	return (struct upstream_call){ .method = "POST",
				       .url = s->url,
				       .body = SLICE_STR("{\"a\":1}"),
				       .connect_ms = 2000,
				       .first_byte_ms = 2000,
				       .gap_ms = 2000,
				       .total_ms = 4000,
				       .on_head = on_head,
				       .on_data = on_data,
				       .on_done = on_done,
				       .arg = s };
}

static void start(struct side *s, const struct upstream_call *c)
{
	unsigned dones = s->dones;

	s->done = false;
	s->heads = 0;
	buf_reset(&s->body);
	s->req = upstream_start(s->up, c);
	assert_non_null(s->req);
	assert_int_equal(s->dones, dones); /* never from inside */
}

static enum upstream_result finish(struct side *s)
{
	assert_true(fake_run(&s->uv, &s->done, PATIENCE_MS));
	fake_run(&s->uv, NULL, 10);
	return s->result;
}

static enum upstream_result get(struct side *s, const char *answer, bool hang_up)
{
	struct upstream_call c = call_of(s);

	s->answer = answer;
	s->hang_up = hang_up;
	start(s, &c);
	return finish(s);
}

static void assert_body(struct side *s, const char *want)
{
	assert_int_equal(s->body.n, strlen(want));
	assert_memory_equal(s->body.p ? (char *)s->body.p : "", want, s->body.n);
}

/* --- whole answers --- */

static void test_length(void **state)
{
	struct side *s = *state;

	assert_int_equal(get(s,
			     "HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\n"
			     "Content-Length: 5\r\n\r\nhello",
			     false),
			 UPSTREAM_OK);
	assert_int_equal(s->status, 200);
	assert_string_equal(s->type, "application/json");
	assert_body(s, "hello");
	assert_int_equal(s->dones, 1);
}

static void test_chunked(void **state)
{
	struct side *s = *state;

	assert_int_equal(get(s,
			     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
			     "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n",
			     false),
			 UPSTREAM_OK);
	assert_body(s, "abcde");
	assert_string_equal(s->type, "");
}

static void test_other_statuses(void **state)
{
	struct side *s = *state;

	assert_int_equal(get(s, "HTTP/1.1 425 Too Early\r\nContent-Length: 2\r\n\r\n{}", false), UPSTREAM_OK);
	assert_int_equal(s->status, 425);
	assert_body(s, "{}");
	assert_int_equal(get(s, "HTTP/1.1 204 No Content\r\n\r\n", false), UPSTREAM_OK);
	assert_int_equal(s->status, 204);
	assert_int_equal(
		get(s, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false),
		UPSTREAM_OK);
	assert_int_equal(s->heads, 1);
	assert_int_equal(s->status, 200);
}

static void test_request(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);
	char name[] = "X-One";
	struct upstream_header h[] = { { name, SLICE_STR("1") },
				       { "Content-Type", SLICE_STR("application/json") } };

	c.headers = h;
	c.n_headers = 2;
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	start(s, &c);
	memset(name, 'y', sizeof(name) - 1); /* headers are copied */
	assert_int_equal(finish(s), UPSTREAM_OK);
	assert_memory_equal(s->request.p, "POST /path?q=1 HTTP/1.1\r\n", 25);
	assert_true(slice_is(fake_header(buf_slice(&s->request), "X-One"), "1"));
	assert_true(slice_is(fake_header(buf_slice(&s->request), "Content-Type"), "application/json"));
	assert_int_equal(fake_header(buf_slice(&s->request), "Expect").n, 0);
	assert_true(slice_is(fake_body(buf_slice(&s->request)), "{\"a\":1}"));
}

static void test_get_and_empty_post(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);

	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	c.method = "GET";
	c.body = slice_of(NULL, 0);
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_OK);
	assert_memory_equal(s->request.p, "GET /path", 9);
	c.method = "POST";
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_OK);
	assert_memory_equal(s->request.p, "POST /path", 10);
	assert_true(slice_is(fake_header(buf_slice(&s->request), "Content-Length"), "0"));
	assert_int_equal(fake_header(buf_slice(&s->request), "Content-Type").n, 0);
}

static void test_large_body(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);
	struct buf b = { 0 };

	for (int i = 0; i < 300000; i++)
		buf_str(&b, "0123456789");
	c.body = buf_slice(&b);
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_OK);
	assert_true(slice_eq(fake_body(buf_slice(&s->request)), buf_slice(&b)));
	buf_free(&b);
}

static void test_connection_is_kept(void **state)
{
	struct side *s = *state;

	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false), UPSTREAM_OK);
	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny", false), UPSTREAM_OK);
	assert_body(s, "y");
	assert_int_equal(fake_accepted(s->server), 1);
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
		enum upstream_result r = get(s, cut[i], true);

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
		enum upstream_result r = get(s, bad[i], true);

		if (r != UPSTREAM_INVALID)
			fail_msg("answer %zu gave %s", i, upstream_result_name(r));
		assert_int_equal(s->heads, 0);
	}
}

static void test_bad_chunking(void **state)
{
	struct side *s = *state;

	assert_int_not_equal(
		get(s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n", true),
		UPSTREAM_OK);
	assert_int_not_equal(get(s,
				 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
				 "ffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
				 true),
			     UPSTREAM_OK);
}

static void test_max_body(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);

	c.max_body = 5;
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_OK);
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!";
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_INVALID);
	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_INVALID);
	assert_true(s->body.n <= 5);
}

static void test_no_redirects(void **state)
{
	struct side *s = *state;
	char answer[256];

	snprintf(answer, sizeof(answer),
		 "HTTP/1.1 307 Temporary Redirect\r\nLocation: %s/else\r\nContent-Length: 0\r\n\r\n", s->url);
	assert_int_equal(get(s, answer, false), UPSTREAM_OK);
	assert_int_equal(s->status, 307);
	assert_int_equal(s->requests, 1);
}

/* A kept connection that dies under a second request: posted once, never again. */
static void test_never_posted_twice(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);

	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false), UPSTREAM_OK);
	s->hang_up_next = true;
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_CUT);
	assert_int_equal(s->requests, 2);
	fake_run(&s->uv, NULL, 100);
	assert_int_equal(s->requests, 2);
}

/* What changes nothing at the peer is asked once more when a kept connection was dead. */
static void test_get_is_asked_again(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);

	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false), UPSTREAM_OK);
	s->hang_up_next = true;
	c.method = "GET";
	c.body = slice_of(NULL, 0);
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_OK);
	assert_int_equal(s->requests, 3);
	assert_int_equal(fake_accepted(s->server), 2);
	s->requests = 1; /* the second one again: and no third time */
	s->answer = NULL;
	s->hang_up = true;
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_CUT);
	assert_int_equal(s->requests, 3);
}

/* So is a POST whose caller says that it may be, with its body. */
static void test_repeatable_post_is_asked_again(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);

	c.repeatable = true;
	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false), UPSTREAM_OK);
	s->hang_up_next = true;
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_OK);
	assert_int_equal(s->requests, 3);
	assert_true(slice_eq(fake_body(buf_slice(&s->request)), c.body));
	s->answer = "HTTP/1.1 200"; /* something came: no more */
	s->hang_up = true;
	s->hang_up_next = false;
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_CUT);
	assert_int_equal(s->requests, 4);
}

/* Whatever of an answer has come, it is that one's: no other may go on where it was cut. */
static void test_not_asked_again_within_an_answer(void **state)
{
	static const char *const begun[] = { "", "5\r\n", "5\r\nabc", "5\r\nabcde", "5\r\nabcde\r\n" };
	static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
	struct side *s = *state;
	struct upstream_call c = call_of(s);
	char answer[128];

	c.repeatable = true;
	for (unsigned i = 0; i < sizeof(begun) / sizeof(begun[0]); i++) {
		assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false), UPSTREAM_OK);
		snprintf(answer, sizeof(answer), "%s%s", head, begun[i]);
		s->answer = answer;
		s->hang_up = true;
		start(s, &c);
		assert_int_equal(finish(s), UPSTREAM_CUT);
		assert_int_equal(s->requests, 2 * (i + 1));
		assert_int_equal(fake_accepted(s->server), i + 1);
	}
}

/* A peer that worked on it and then gave up may be what the request does to it: once is enough. */
static void test_not_asked_again_later(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);

	c.repeatable = true;
	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false), UPSTREAM_OK);
	s->hang_up_next = true;
	s->late_ms = 1000;
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_CUT);
	assert_int_equal(s->requests, 2);
}

/* A caller frees the body once it is told that it may: not while it may be needed for a second time. */
static void test_body_is_kept_for_another_time(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);

	c.repeatable = true;
	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false), UPSTREAM_OK);
	s->hang_up_next = true;
	start(s, &c);
	while (s->requests < 2) {
		uv_run(&s->uv, UV_RUN_ONCE);
		assert_false(upstream_sent(s->req));
	}
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
	while (!s->heads)
		uv_run(&s->uv, UV_RUN_ONCE);
	assert_true(upstream_sent(s->req));
	fake_say(s->conn, "x");
	assert_int_equal(finish(s), UPSTREAM_OK);
	assert_int_equal(s->requests, 3);
}

/* A connection that dies late has used up the time to connect of its own only. */
static void test_asked_again_with_time_to_connect(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);

	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false), UPSTREAM_OK);
	s->hang_up_next = true;
	s->late_ms = 3000;
	c.method = "GET";
	c.body = slice_of(NULL, 0);
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_OK);
	assert_int_equal(s->requests, 3);
}

/* Servers close theirs after 5 s; the sweep may be late. */
static void test_old_connection_is_not_used(void **state)
{
	struct side *s = *state;

	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false), UPSTREAM_OK);
	TAILQ_FIRST(&s->up->idle)->idle_since -= 4000;
	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false), UPSTREAM_OK);
	assert_int_equal(fake_accepted(s->server), 2);
}

/* A node's engine answers in plaintext. */
static void test_nothing_read_stays(void **state)
{
	static const char *const answers[] = { "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret",
					       "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nsecret",
					       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxsecret" };
	struct side *s = *state;

	for (unsigned i = 0; i < 3; i++) {
		get(s, answers[i], true);
		assert_true(sodium_is_zero(s->up->buffer, sizeof(s->up->buffer)));
	}
}

/* Whatever an idle connection says, its end included, it carries no request any more. */
static void test_idle_connection_that_speaks(void **state)
{
	static const char *const said[] = { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny", "x", NULL };
	struct side *s = *state;

	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false), UPSTREAM_OK);
		assert_int_equal(fake_accepted(s->server), i + 1);
		if (said[i])
			fake_say(s->conn, said[i]);
		else
			fake_hang_up(s->conn);
		fake_run(&s->uv, NULL, 20);
	}
	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false), UPSTREAM_OK);
	assert_int_equal(fake_accepted(s->server), 4);
}

/* What an idle connection said may lie there still, unread, when the next request comes. */
static void test_idle_connection_that_spoke_just_now(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);

	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false), UPSTREAM_OK);
	fake_say(s->conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_OK);
	assert_body(s, "x");
	assert_int_equal(fake_accepted(s->server), 2);
	fake_reset(s->conn); /* a request is not given to a dead one, which would be its end */
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_OK);
	assert_int_equal(fake_accepted(s->server), 3);
	assert_int_equal(s->requests, 3);
}

/* Bytes behind an answer are nobody's: the next request does not get them. */
static void test_two_answers_to_one(void **state)
{
	struct side *s = *state;

	assert_int_equal(get(s,
			     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
			     "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
			     false),
			 UPSTREAM_OK);
	assert_body(s, "x");
	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny", false), UPSTREAM_OK);
	assert_body(s, "y");
	assert_int_equal(fake_accepted(s->server), 2);
}

static void test_idle_ones_are_limited(void **state)
{
	struct side *s = *state;
	struct upstream_opts o = { .ca_file = "", .max_idle = 2 };
	struct upstream_call c = call_of(s);
	struct upstream *limited = upstream_new(&s->uv, &o);

	c.on_head = NULL;
	c.on_data = NULL;
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 4; i++)
			upstream_start(limited, &c);
		for (int i = 0; i < 500 && s->dones < 4 * (unsigned)(round + 1); i++)
			fake_run(&s->uv, NULL, 2);
	}
	assert_int_equal(s->dones, 8);
	assert_int_equal(fake_accepted(s->server), 6); /* two of the four were kept */
	upstream_free(limited);
}

/* A reset comes with more than one read holds: all of it is read, and the end is seen at once. */
static void test_reset_behind_much(void **state)
{
	static const size_t said = 120000;
	struct side *s = *state;
	struct upstream_call c = call_of(s);
	struct buf data = { 0 };
	char head[64];

	while (data.n < said)
		buf_str(&data, "0123456789");
	for (unsigned cut = 0; cut < 2; cut++) {
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", said + cut);
		s->answer = head;
		start(s, &c);
		upstream_pause(s->req);
		while (s->requests <= cut)
			fake_run(&s->uv, NULL, 2);
		fake_say_bytes(s->conn, buf_slice(&data));
		while (fake_unsent(s->conn) > 0)
			fake_run(&s->uv, NULL, 1);
		fake_reset(s->conn);
		upstream_resume(s->req);
		assert_int_equal(finish(s), cut ? UPSTREAM_CUT : UPSTREAM_OK);
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
	struct upstream_call c = call_of(s);
	struct buf body = { 0 };
	uv_prepare_t prepare;

	buf_reserve(&body, 16 << 20);
	memset(body.p, 'x', 16 << 20);
	c.body = slice_of(body.p, 16 << 20);
	s->pause_at_data = true;
	start(s, &c);
	while (!fake_newest(s->server))
		uv_run(&s->uv, UV_RUN_ONCE);
	fake_deafen(fake_newest(s->server));
	fake_say(fake_newest(s->server),
		 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n");
	while (!s->body.n)
		fake_run(&s->uv, NULL, 2);
	assert_body(s, "abc");
	s->pause_at_data = false;
	fake_chunk(fake_newest(s->server), SLICE_STR("ghi"));
	uv_prepare_init(&s->uv, &prepare);
	prepare.data = s;
	uv_prepare_start(&prepare, on_prepare); /* behind the timers, before what sockets say */
	fake_reset(fake_newest(s->server));
	assert_int_equal(finish(s), UPSTREAM_CUT);
	assert_body(s, "abcdefghi");
	buf_free(&body);
}

/* A pause from outside: nothing comes, and the loop does not turn in vain meanwhile. */
static void test_pause_from_outside(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);
	unsigned turns = 0;
	uint64_t until;

	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
	start(s, &c);
	while (!s->body.n)
		fake_run(&s->uv, NULL, 2);
	upstream_pause(s->req);
	fake_chunk(s->conn, SLICE_STR("def"));
	fake_run(&s->uv, NULL, 20);
	assert_body(s, "abc");
	for (until = uv_hrtime() + 200000000; uv_hrtime() < until; turns++)
		fake_run(&s->uv, NULL, 20);
	assert_true(turns < 20);
	upstream_resume(s->req);
	fake_say(s->conn, "0\r\n\r\n");
	assert_int_equal(finish(s), UPSTREAM_OK);
	assert_body(s, "abcdef");
}

/* A peer that has been read quickly, for which the kernel lets the socket grow, and is paused then,
 * runs ahead by less than a megabyte whatever the host lets sockets grow to. */
static void test_paused_peer_does_not_run_ahead(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);
	struct buf data = { 0 };
	size_t said = 0, before;

	buf_reserve(&data, 1 << 20);
	memset(data.p, 'x', 1 << 20);
	data.n = 1 << 20;
	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
	start(s, &c);
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
	struct upstream_call c = call_of(s);

	c.n_headers = 1;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c.headers = &bad[i];
		start(s, &c);
		assert_int_equal(finish(s), UPSTREAM_CONNECT);
	}
	assert_int_equal(s->requests, 0);
}

/* --- before anything is sent --- */

static void test_refused_address(void **state)
{
	struct side *s = *state;

	s->allow = false;
	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false), UPSTREAM_REFUSED);
	assert_int_equal(s->asked, 1);
	assert_int_equal(fake_accepted(s->server), 0);
}

/* A name may lead somewhere else the second time: what it led to before does not count. */
static void test_address_is_judged_each_time(void **state)
{
	struct side *s = *state;

	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", true),
			 UPSTREAM_OK);
	assert_int_equal(s->asked, 1);
	s->allow = false;
	assert_int_equal(get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false), UPSTREAM_REFUSED);
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
	struct upstream_call c = call_of(s);

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		c.url = urls[i];
		start(s, &c);
		if (finish(s) != UPSTREAM_CONNECT)
			fail_msg("%s gave %s", urls[i], upstream_result_name(s->result));
	}
}

/* --- deadlines --- */

static enum upstream_result late(struct side *s, const char *answer, uint64_t first, uint64_t gap,
				 uint64_t total)
{
	struct upstream_call c = call_of(s);

	c.first_byte_ms = first;
	c.gap_ms = gap;
	c.total_ms = total;
	s->answer = answer;
	start(s, &c);
	return finish(s);
}

static void test_deadlines(void **state)
{
	static const char begun[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
	struct side *s = *state;

	assert_int_equal(late(s, NULL, 60, 0, 0), UPSTREAM_TIMEOUT);
	assert_int_equal(late(s, "HTTP/1.1 200 OK\r\n", 60, 0, 0), UPSTREAM_TIMEOUT);
	assert_int_equal(s->heads, 0);
	assert_int_equal(late(s, begun, 1000, 60, 0), UPSTREAM_TIMEOUT);
	assert_body(s, "abc");
	assert_int_equal(late(s, begun, 1000, 1000, 80), UPSTREAM_TIMEOUT);
	assert_int_equal(late(s, NULL, 0, 0, 60), UPSTREAM_TIMEOUT);
}

/* The gap deadline stands still while the caller does not read. */
static void test_pause_stops_gap(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);

	c.gap_ms = 80;
	s->pause_at_data = true;
	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
	start(s, &c);
	assert_false(fake_run(&s->uv, &s->done, 250));
	assert_body(s, "abc");
	s->pause_at_data = false;
	upstream_resume(s->req);
	fake_chunk(s->conn, SLICE_STR("def"));
	assert_int_equal(finish(s), UPSTREAM_TIMEOUT); /* and runs again afterwards */
	assert_body(s, "abcdef");
}

/* --- back-pressure, cancelling --- */

static void test_back_pressure(void **state)
{
	static const size_t total = 24 << 20;
	struct side *s = *state;
	struct upstream_call c = call_of(s);
	struct buf piece = { 0 };
	size_t stuck, got;

	c.gap_ms = 0;
	while (piece.n < 1 << 20)
		buf_str(&piece, "0123456789abcdef");
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 25165824\r\n\r\n";
	s->pause_at_data = true;
	start(s, &c);
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
	assert_int_equal(finish(s), UPSTREAM_OK);
	assert_int_equal(s->body.n, total);
	buf_free(&piece);
}

/* The last byte pauses: there is nothing more to read, and the answer is whole all the same. */
static void test_pause_at_the_end(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);

	s->pause_at_data = true;
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast";
	start(s, &c);
	while (s->body.n < 4)
		fake_run(&s->uv, NULL, 2);
	fake_run(&s->uv, NULL, 20);
	assert_int_equal(s->dones, 0);
	upstream_resume(s->req);
	assert_int_equal(finish(s), UPSTREAM_OK);
	assert_int_equal(s->body.n, 4);
}

/* Paused and resumed over and over: every byte, in order. */
static void test_stop_and_go(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);
	char piece[32];

	s->pause_at_data = true;
	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
	start(s, &c);
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
	assert_int_equal(finish(s), UPSTREAM_OK);
	assert_int_equal(s->body.n, 800);
	for (int i = 0; i < 200; i++) {
		snprintf(piece, sizeof(piece), "%04d", i);
		assert_memory_equal(s->body.p + 4 * i, piece, 4);
	}
}

static void test_cancel(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);

	start(s, &c);
	upstream_cancel(s->req); /* before it began */
	fake_run(&s->uv, NULL, 50);
	assert_int_equal(fake_accepted(s->server), 0);
	start(s, &c);
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
	struct upstream_call c = call_of(s);

	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n";
	s->cancel_at_head = true;
	start(s, &c);
	assert_true(fake_run(&s->uv, &s->gone, PATIENCE_MS));
	assert_int_equal(s->heads, 1);
	assert_int_equal(s->body.n, 0);
	s->cancel_at_head = s->gone = false;
	s->cancel_at_data = true;
	start(s, &c);
	assert_true(fake_run(&s->uv, &s->gone, PATIENCE_MS));
	assert_body(s, "abc");
	assert_int_equal(s->dones, 0);
}

static void test_cancel_paused(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);

	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
	s->pause_at_data = true;
	start(s, &c);
	while (!s->body.n)
		fake_run(&s->uv, NULL, 2);
	fake_chunk(s->conn, SLICE_STR("def"));
	fake_run(&s->uv, NULL, 20);
	upstream_resume(s->req);
	upstream_cancel(s->req);
	assert_true(fake_run(&s->uv, &s->gone, PATIENCE_MS));
	assert_body(s, "abc");
	assert_int_equal(s->dones, 0);
}

/* Frees the pool with one exchange in each state: nothing is called, nothing leaks. */
static void test_free_while_running(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);

	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
	start(s, &c);
	while (!s->body.n)
		fake_run(&s->uv, NULL, 2);
	s->answer = NULL;
	start(s, &c);
	fake_run(&s->uv, NULL, 20);
	start(s, &c);
	upstream_free(s->up);
	s->up = NULL;
	fake_run(&s->uv, NULL, 20);
	assert_int_equal(s->dones, 0);
}

static void on_done_free(void *arg, enum upstream_result r)
{
	struct side *s = arg;

	on_done(arg, r);
	upstream_free(s->up);
	s->up = NULL;
}

static void test_free_inside_done(void **state)
{
	struct side *s = *state;
	struct upstream_call c = call_of(s);

	c.on_done = on_done_free;
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	start(s, &c);
	assert_int_equal(finish(s), UPSTREAM_OK);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_length),
		T(test_chunked),
		T(test_other_statuses),
		T(test_request),
		T(test_get_and_empty_post),
		T(test_large_body),
		T(test_connection_is_kept),
		T(test_cut),
		T(test_not_http),
		T(test_bad_chunking),
		T(test_max_body),
		T(test_no_redirects),
		T(test_never_posted_twice),
		T(test_get_is_asked_again),
		T(test_repeatable_post_is_asked_again),
		T(test_not_asked_again_within_an_answer),
		T(test_not_asked_again_later),
		T(test_body_is_kept_for_another_time),
		T(test_asked_again_with_time_to_connect),
		T(test_old_connection_is_not_used),
		T(test_nothing_read_stays),
		T(test_idle_connection_that_speaks),
		T(test_idle_connection_that_spoke_just_now),
		T(test_two_answers_to_one),
		T(test_idle_ones_are_limited),
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
