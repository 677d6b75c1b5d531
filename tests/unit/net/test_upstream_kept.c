/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP client's kept connections: which are used again, and what becomes of
 * a request whose connection dies under it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/net/upstream_side.h"

/* One whole answer, after which its connection is kept. */
static void keep_one(struct side *s)
{
	assert_int_equal(side_get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false), UPSTREAM_OK);
}

/* Starts c, for which the kept connection dies before any answer. */
static void start_on_dying(struct side *s, const struct upstream_call *c)
{
	keep_one(s);
	s->hang_up_next = true;
	side_start(s, c);
}

/* A POST whose caller says that it may be repeated. */
static struct upstream_call repeatable_call(struct side *s)
{
	struct upstream_call c = side_call(s);

	c.repeatable = true;
	return c;
}

static struct upstream_call get_call(struct side *s)
{
	struct upstream_call c = side_call(s);

	c.method = "GET";
	c.body = slice_of(NULL, 0);
	return c;
}

/* The request ends so, when that many have reached the server. */
static void ends(struct side *s, enum upstream_result want, unsigned requests)
{
	assert_int_equal(side_finish(s), want);
	assert_int_equal(s->requests, requests);
}

static void test_connection_is_kept(void **state)
{
	struct side *s = *state;

	keep_one(s);
	assert_int_equal(side_get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny", false), UPSTREAM_OK);
	side_assert_body(s, "y");
	assert_int_equal(fake_accepted(s->server), 1);
}

/* A kept connection that dies under a second request: posted once, never again. */
static void test_never_posted_twice(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);

	start_on_dying(s, &c);
	ends(s, UPSTREAM_CUT, 2);
	fake_run(&s->uv, NULL, 100);
	assert_int_equal(s->requests, 2);
}

/* What changes nothing at the peer is asked once more when a kept connection was dead. */
static void test_get_is_asked_again(void **state)
{
	struct side *s = *state;
	struct upstream_call c = get_call(s);

	start_on_dying(s, &c);
	ends(s, UPSTREAM_OK, 3);
	assert_int_equal(fake_accepted(s->server), 2);
	s->requests = 1; /* the second one again: and no third time */
	s->answer = NULL;
	s->hang_up = true;
	side_start(s, &c);
	ends(s, UPSTREAM_CUT, 3);
}

/* So is a POST whose caller says that it may be, with its body. */
static void test_repeatable_post_is_asked_again(void **state)
{
	struct side *s = *state;
	struct upstream_call c = repeatable_call(s);

	start_on_dying(s, &c);
	ends(s, UPSTREAM_OK, 3);
	assert_true(slice_eq(fake_body(buf_slice(&s->request)), c.body));
	s->answer = "HTTP/1.1 200"; /* something came: no more */
	s->hang_up = true;
	s->hang_up_next = false;
	side_start(s, &c);
	ends(s, UPSTREAM_CUT, 4);
}

/* Whatever of an answer has come, it is that one's: no other may go on where it was cut. */
static void test_not_asked_again_within_an_answer(void **state)
{
	static const char *const begun[] = { "", "5\r\n", "5\r\nabc", "5\r\nabcde", "5\r\nabcde\r\n" };
	static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
	struct side *s = *state;
	struct upstream_call c = repeatable_call(s);
	char answer[128];

	for (unsigned i = 0; i < sizeof(begun) / sizeof(begun[0]); i++) {
		keep_one(s);
		snprintf(answer, sizeof(answer), "%s%s", head, begun[i]);
		s->answer = answer;
		s->hang_up = true;
		side_start(s, &c);
		ends(s, UPSTREAM_CUT, 2 * (i + 1));
		assert_int_equal(fake_accepted(s->server), i + 1);
	}
}

/* A peer that worked on it and then gave up may be what the request does to it: once is enough. */
static void test_not_asked_again_later(void **state)
{
	struct side *s = *state;
	struct upstream_call c = repeatable_call(s);

	s->late_ms = 1000;
	start_on_dying(s, &c);
	ends(s, UPSTREAM_CUT, 2);
}

/* A caller frees the body once it is told that it may: not while it may be needed for a second time. */
static void test_body_is_kept_for_another_time(void **state)
{
	struct side *s = *state;
	struct upstream_call c = repeatable_call(s);

	start_on_dying(s, &c);
	while (s->requests < 2) {
		uv_run(&s->uv, UV_RUN_ONCE);
		assert_false(upstream_sent(s->req));
	}
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
	while (!s->heads)
		uv_run(&s->uv, UV_RUN_ONCE);
	assert_true(upstream_sent(s->req));
	fake_say(s->conn, "x");
	ends(s, UPSTREAM_OK, 3);
}

/* A connection that dies late has used up the time to connect of its own only. */
static void test_asked_again_with_time_to_connect(void **state)
{
	struct side *s = *state;
	struct upstream_call c = get_call(s);

	s->late_ms = 3000;
	start_on_dying(s, &c);
	ends(s, UPSTREAM_OK, 3);
}

/* Servers close theirs after 5 s; the sweep may be late. */
static void test_old_connection_is_not_used(void **state)
{
	struct side *s = *state;

	keep_one(s);
	TAILQ_FIRST(&s->up->idle)->idle_since -= 4000;
	keep_one(s);
	assert_int_equal(fake_accepted(s->server), 2);
}

/* Whatever an idle connection says, its end included, it carries no request any more. */
static void test_idle_connection_that_speaks(void **state)
{
	static const char *const said[] = { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny", "x", NULL };
	struct side *s = *state;

	for (unsigned i = 0; i < 3; i++) {
		keep_one(s);
		assert_int_equal(fake_accepted(s->server), i + 1);
		if (said[i])
			fake_say(s->conn, said[i]);
		else
			fake_hang_up(s->conn);
		fake_run(&s->uv, NULL, 20);
	}
	keep_one(s);
	assert_int_equal(fake_accepted(s->server), 4);
}

/* What an idle connection said may lie there still, unread, when the next request comes. */
static void test_idle_connection_that_spoke_just_now(void **state)
{
	struct side *s = *state;
	struct upstream_call c = side_call(s);

	keep_one(s);
	fake_say(s->conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
	side_start(s, &c);
	assert_int_equal(side_finish(s), UPSTREAM_OK);
	side_assert_body(s, "x");
	assert_int_equal(fake_accepted(s->server), 2);
	fake_reset(s->conn); /* a request is not given to a dead one, which would be its end */
	side_start(s, &c);
	assert_int_equal(side_finish(s), UPSTREAM_OK);
	assert_int_equal(fake_accepted(s->server), 3);
	assert_int_equal(s->requests, 3);
}

/* Bytes behind an answer are nobody's: the next request does not get them. */
static void test_two_answers_to_one(void **state)
{
	struct side *s = *state;

	assert_int_equal(side_get(s,
				  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
				  "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
				  false),
			 UPSTREAM_OK);
	side_assert_body(s, "x");
	assert_int_equal(side_get(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny", false), UPSTREAM_OK);
	side_assert_body(s, "y");
	assert_int_equal(fake_accepted(s->server), 2);
}

static void test_idle_ones_are_limited(void **state)
{
	struct side *s = *state;
	struct upstream_opts o = { .ca_file = "", .max_idle = 2 };
	struct upstream_call c = side_call(s);
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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, side_setup, side_teardown)
	const struct CMUnitTest tests[] = {
		T(test_connection_is_kept),
		T(test_never_posted_twice),
		T(test_get_is_asked_again),
		T(test_repeatable_post_is_asked_again),
		T(test_not_asked_again_within_an_answer),
		T(test_not_asked_again_later),
		T(test_body_is_kept_for_another_time),
		T(test_asked_again_with_time_to_connect),
		T(test_old_connection_is_not_used),
		T(test_idle_connection_that_speaks),
		T(test_idle_connection_that_spoke_just_now),
		T(test_two_answers_to_one),
		T(test_idle_ones_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
