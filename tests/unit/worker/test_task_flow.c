/* SPDX-License-Identifier: Apache-2.0
 *
 * A slow client holds its own node; a client that went away stops it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/map.h"
#include "tests/unit/worker/task_side.h"
#include "worker/task_impl.h"

/* --- credits --- */

/* Until so many bytes have come, however slow the machine is; the caller checks that there are no more. */
static void until_got(struct side *s, size_t n)
{
	for (int i = 0; i < 100 && s->got.body.n < n; i++)
		side_pass(s);
}

static void test_credit(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };
	size_t held;

	s->auto_credit = false;
	side_post(s);
	fake_say(s->conn, SSE_HEAD);
	while (want.n < 400000)
		side_event(s, "", false, &want);
	side_last_event(s, 0, &want);
	fake_say(s->conn, LAST);
	until_got(s, CREDIT_INITIAL);
	fake_run(&s->uv, NULL, 300);
	assert_int_equal(s->got.body.n, CREDIT_INITIAL); /* not a byte more */
	assert_false(s->is_settled);                     /* the node is not even read to its end */
	held = s->got.datas;
	fake_run(&s->uv, NULL, 100);
	assert_int_equal(s->got.datas, held);
	side_grant(s, 1);
	until_got(s, CREDIT_INITIAL + 1);
	assert_int_equal(s->got.body.n, CREDIT_INITIAL + 1);
	side_grant(s, 100000);
	until_got(s, CREDIT_INITIAL + 100001);
	side_pass(s); /* and not a byte more */
	assert_int_equal(s->got.body.n, CREDIT_INITIAL + 100001);
	assert_false(s->got.ended);
	side_grant(s, UINT32_MAX);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_OK);
	side_assert_settled_by_receipt(s, SETTLE_COMPLETE, true);
	side_assert_got(s, &want);
}

/* An error does not overtake what was good before it. */
static void test_error_waits_its_turn(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	s->auto_credit = false;
	side_post(s);
	fake_say(s->conn, SSE_HEAD);
	while (want.n < CREDIT_INITIAL + 1000)
		side_event(s, "", false, &want);
	fake_hang_up(s->conn);
	fake_run(&s->uv, NULL, 200);
	assert_false(s->got.ended);
	side_grant(s, 100000);
	side_assert_stream_error(s, &want);
}

/* --- the client goes away --- */

static void test_cancel(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	side_begin_stream(s, &want);
	side_cancel_from_gateway(s);
	assert_true(fake_run(&s->uv, &s->has_stop, PATIENCE_MS));
	assert_true(slice_is(fake_header(buf_slice(&s->stop), "X-Request-Id"),
			     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"));
	assert_true(fake_header(buf_slice(&s->stop), "X-Sealway-Auth").n > 0);
	side_event(s, "", false, NULL);
	side_last_event(s, 1, NULL);
	fake_say(s->conn, LAST);
	side_assert_settled_by_receipt(s, SETTLE_STOPPED, true);
	assert_int_equal(s->settle.error, ERR_CLOSED);
	assert_int_equal(s->settle.chunks, 3);
	assert_false(s->got.ended);
	side_assert_got(s, &want); /* nothing after the cancel */
	assert_int_equal(tasks_count(s->tasks), 0);
	assert_int_equal(s->stops, 1);
}

/* Cancelled while the client's slowness had stopped the node's stream. */
static void test_cancel_when_paused(void **state)
{
	struct side *s = *state;

	s->auto_credit = false;
	side_post(s);
	fake_say(s->conn, SSE_HEAD);
	for (int i = 0; i < 600; i++)
		side_event(s, "", false, NULL);
	fake_run(&s->uv, NULL, 200);
	assert_int_equal(s->got.body.n, CREDIT_INITIAL);
	side_last_event(s, 1, NULL);
	fake_say(s->conn, LAST);
	side_cancel_from_gateway(s);
	side_assert_settled_by_receipt(s, SETTLE_STOPPED, true);
	assert_int_equal(s->settle.chunks, 601);
}

static void test_cancel_before_head(void **state)
{
	struct side *s = *state;
	struct cancel c = { .attempt = 0 };

	s->w.stream = false;
	side_post(s);
	memcpy(c.rid, s->w.rid, RID_BYTES);
	tasks_cancel(s->tasks, &c);
	tasks_cancel(s->tasks, &c);
	assert_true(fake_run(&s->uv, &s->has_stop, PATIENCE_MS));
	node_side_receipt(&s->node, &s->w, 1);
	s->has_receipt = true;
	/* The node does not end: after stop_s the receipt is fetched. */
	side_assert_settled_by_receipt(s, SETTLE_STOPPED, false);
	assert_int_equal(s->stops, 1);
	assert_true(s->conn_gone);
}

/* Of embeddings and images a node has nothing to answer with once it is told to stop: no failure of its. */
static void test_cancel_of_what_comes_whole(void **state)
{
	struct side *s = *state;
	struct cancel c = { .attempt = 0 };

	s->w.stream = false;
	side_post(s);
	memcpy(c.rid, s->w.rid, RID_BYTES);
	tasks_cancel(s->tasks, &c);
	assert_true(fake_run(&s->uv, &s->has_stop, PATIENCE_MS));
	fake_say(s->conn, "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}");
	side_assert_settled_without(s, SETTLE_FAILED, ERR_CLOSED);
}

static void test_cancel_stale(void **state)
{
	struct side *s = *state;
	struct cancel c = { .attempt = 2 };
	struct buf want = { 0 };

	side_begin_stream(s, &want);
	memcpy(c.rid, s->w.rid, RID_BYTES);
	tasks_cancel(s->tasks, &c); /* of another attempt */
	c.attempt = 1;
	c.rid[0] ^= 1;
	tasks_cancel(s->tasks, &c); /* of another request */
	side_last_event(s, 0, &want);
	fake_say(s->conn, LAST);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_OK);
	assert_int_equal(s->stops, 0);
	side_assert_got(s, &want);
}

/* The gateway dies: after the grace time the node is stopped. */
static void test_gateway_dies(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	side_begin_stream(s, &want);
	zsock_close(s->gateway);
	s->gateway = NULL;
	assert_true(fake_run(&s->uv, &s->has_stop, PATIENCE_MS));
	assert_false(s->heard);
	side_last_event(s, 1, NULL);
	fake_say(s->conn, LAST);
	side_assert_settled_by_receipt(s, SETTLE_STOPPED, true);
	assert_int_equal(tasks_count(s->tasks), 0);
	buf_free(&want);
}

/* A stream that is settled, and of which the client has not taken all. */
static void wait_for_client(struct side *s, struct buf *want)
{
	s->conf.stream_s = 1;
	s->auto_credit = false;
	side_post(s);
	fake_say(s->conn, SSE_HEAD);
	while (want->n < CREDIT_INITIAL + 5000)
		side_event(s, "", false, want);
	side_assert_settled_without(s, SETTLE_LOST, ERR_UNAVAILABLE);
}

/* The gateway's CANCEL was lost with a connection that came back: its answer is not kept for ever. */
static void test_lost_cancel(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	wait_for_client(s, &want);
	fake_run(&s->uv, NULL, 2000); /* the node's time was up, and now the client's */
	assert_false(s->got.ended);
	assert_int_equal(tasks_count(s->tasks), 0);
	buf_free(&want);
}

/* A stream may last an hour; its request, of many MB perhaps, is not kept that long. */
static void test_body_is_let_go(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };
	struct task *t;

	side_post(s);
	t = map_get(s->tasks->map, s->w.rid);
	assert_non_null(t);
	assert_true(zmsg_slice(&t->body).n > 0);
	fake_say(s->conn, SSE_HEAD);
	side_event(s, "", false, &want);
	side_pass(s);
	assert_int_equal(zmsg_slice(&t->body).n, 0);
	side_last_event(s, 0, &want);
	fake_say(s->conn, LAST);
	side_wait_end(s);
	side_assert_got(s, &want);
}

/* The broker takes the gateway thread back. */
static void test_peer_gone(void **state)
{
	struct side *s = *state;
	struct peer gone = { .topic = TOPIC, .present = false };
	struct buf want = { 0 };

	side_begin_stream(s, &want);
	assert_int_equal(publish_peer(s->pub, 2, &gone), ERR_OK);
	assert_true(fake_run(&s->uv, &s->has_stop, PATIENCE_MS));
	assert_true(fake_run(&s->uv, &s->got.ended,
			     PATIENCE_MS)); /* it may only be the broker that does not hear it */
	assert_int_equal(s->got.error, ERR_NO_BROKER);
	side_last_event(s, 1, NULL);
	fake_say(s->conn, LAST);
	side_assert_settled_by_receipt(s, SETTLE_STOPPED, true);
	buf_free(&want);
}

/* The broker had taken this worker for dead, so that its gateway has broken the stream off; the two have
 * found each other again by now.  Nothing of it is kept, whatever was left to send. */
static void test_taken_for_dead(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	side_begin_stream(s, &want);
	tasks_forgotten(s->tasks, 1);
	assert_int_equal(s->stops, 0); /* another broker's */
	tasks_forgotten(s->tasks, 2);
	assert_true(fake_run(&s->uv, &s->has_stop, PATIENCE_MS));
	side_last_event(s, 1, NULL);
	fake_say(s->conn, LAST);
	side_assert_settled_by_receipt(s, SETTLE_STOPPED, true);
	assert_int_equal(tasks_count(s->tasks), 0);
	assert_int_equal(s->got.error, ERR_INTERNAL); /* a gateway that listens all the same hears of it */
	buf_free(&want);
}

/* The same of an answer that is settled, and waits for its client. */
static void test_taken_for_dead_at_the_end(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	wait_for_client(s, &want);
	s->conf.stream_s = 3600;
	assert_int_equal(tasks_count(s->tasks), 1);
	tasks_forgotten(s->tasks, 2);
	side_pass(s);
	assert_int_equal(tasks_count(s->tasks), 0);
	buf_free(&want);
}

/* What has not begun is not broken off by its gateway. */
static void test_taken_for_dead_before_head(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	side_post(s);
	tasks_forgotten(s->tasks, 2);
	fake_say(s->conn, SSE_HEAD);
	side_event(s, "", false, &want);
	side_last_event(s, 0, &want);
	fake_say(s->conn, LAST);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_OK);
	assert_int_equal(s->stops, 0);
	side_assert_got(s, &want);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, side_setup, side_teardown)
	const struct CMUnitTest tests[] = {
		T(test_credit),
		T(test_error_waits_its_turn),
		T(test_cancel),
		T(test_cancel_when_paused),
		T(test_cancel_before_head),
		T(test_cancel_of_what_comes_whole),
		T(test_cancel_stale),
		T(test_gateway_dies),
		T(test_lost_cancel),
		T(test_body_is_let_go),
		T(test_peer_gone),
		T(test_taken_for_dead),
		T(test_taken_for_dead_at_the_end),
		T(test_taken_for_dead_before_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
