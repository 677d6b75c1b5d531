/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests from WORK to SETTLE that go well or are refused: what the client gets, what
 * the broker is told, what the node is asked, and what work is not taken at all.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/worker/task_side.h"

/* --- answers that are as they should be --- */

static void test_stream(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };
	size_t bytes;

	side_post(s);
	assert_int_equal(s->posted, 1);
	assert_true(slice_is(fake_body(buf_slice(&s->post)), "{\"sealed\":\"body\"}"));
	assert_true(slice_is(fake_header(buf_slice(&s->post), "X-Request-Id"),
			     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"));
	assert_true(fake_header(buf_slice(&s->post), "X-Sealway-Auth").n > 0);
	fake_say(s->conn, SSE_HEAD);
	side_pass(s);
	assert_int_equal(s->got.heads, 1); /* at once, before any chunk */
	assert_int_equal(s->got.length, 0);
	side_event(s, "", false, &want);
	side_pass(s);
	assert_int_equal(s->got.body.n, want.n); /* each as it comes */
	side_event(s, "", false, &want);
	side_last_event(s, 0, &want);
	fake_say(s->conn, LAST);
	bytes = want.n;
	side_assert_complete(s, &want);
	assert_int_equal(s->settle.error, ERR_OK);
	assert_int_equal(s->settle.chunks, 3);
	assert_int_equal(s->settle.bytes, bytes);
	side_acknowledge(s);
	assert_int_equal(s->fetches + s->stops, 0);
}

/* The same bytes one by one, with CRLF, comments and other fields between. */
static void test_stream_bytewise(void **state)
{
	struct side *s = *state;
	struct buf json = { 0 }, want = { 0 }, wire = { 0 };

	node_side_object(&s->node, ",\"usage\":{\"prompt_tokens\":1}", false, NULL, &json);
	buf_str(&wire, ": hello\r\n\r\nid: 1\r\ndata: ");
	buf_add(&wire, json.p, json.n);
	buf_str(&wire, "\r\n\r\n:\r\rretry: 5\r\r");
	side_post(s);
	fake_say(s->conn, SSE_HEAD);
	for (size_t i = 0; i < wire.n; i++) {
		fake_chunk(s->conn, slice_of(wire.p + i, 1));
		if (i % 50 == 0)
			fake_run(&s->uv, NULL, 1);
	}
	side_pass(s);
	assert_true(side_starts(buf_slice(&s->got.body), "data: {\"ciphertext\":"));
	assert_non_null(memmem(s->got.body.p, s->got.body.n, "\"usage\":{\"prompt_tokens\":1,", 27));
	assert_memory_equal(s->got.body.p + s->got.body.n - 2, "\n\n", 2);
	buf_reset(&s->got.body);
	side_last_event(s, 0, &want);
	fake_say(s->conn, LAST);
	side_assert_complete(s, &want);
	buf_free(&json);
	buf_free(&wire);
}

/* Many events in one packet travel in one frame. */
static void test_coalesced(void **state)
{
	struct side *s = *state;
	struct buf all = { 0 };

	side_post(s);
	fake_say(s->conn, SSE_HEAD);
	for (int i = 0; i < 20; i++) {
		buf_str(&all, "data: ");
		node_side_object(&s->node, "", false, NULL, &all);
		buf_str(&all, "\n\n");
	}
	side_pass(s);
	fake_chunk(s->conn, buf_slice(&all));
	side_pass(s);
	assert_int_equal(s->got.body.n, all.n);
	assert_in_range(s->got.datas, 1, 3);
	buf_free(&all);
}

static void whole(struct side *s, struct buf *json)
{
	s->w.stream = false;
	side_post(s);
	fake_say(s->conn, JSON_HEAD);
	side_pass(s);
	assert_int_equal(s->got.heads, 0); /* it could still be wrong */
	fake_chunk(s->conn, slice_of(json->p, 10));
	side_pass(s);
	fake_chunk(s->conn, slice_of(json->p + 10, json->n - 10));
	fake_say(s->conn, LAST);
	side_wait_end(s);
}

static void test_whole(void **state)
{
	struct side *s = *state;
	struct buf json = { 0 };

	s->w.stream = false;
	node_side_count(&s->node);
	node_side_receipt(&s->node, &s->w, 0);
	node_side_object(&s->node, "", true, NULL, &json);
	whole(s, &json);
	assert_int_equal(s->got.heads, 1);
	assert_int_equal(s->got.length, json.n);
	side_assert_complete(s, &json);
}

static void test_whole_without_receipt(void **state)
{
	struct side *s = *state;
	struct buf json = { 0 };

	node_side_object(&s->node, "", false, NULL, &json);
	whole(s, &json);
	assert_int_equal(s->got.heads, 0);
	assert_int_equal(s->got.error, ERR_NODE);
	assert_int_equal(s->got.body.n, 0);
	side_assert_settled_without(s, SETTLE_LOST, ERR_UNAVAILABLE);
	assert_int_equal(s->fetches, 4);
	buf_free(&json);
}

/* The node says that it has none: nobody need ask again. */
static void test_whole_and_never_a_receipt(void **state)
{
	struct side *s = *state;
	struct buf json = { 0 };

	s->has_none = true;
	node_side_object(&s->node, "", false, NULL, &json);
	whole(s, &json);
	side_assert_settled_without(s, SETTLE_LOST, ERR_NODE);
	assert_int_equal(s->fetches, 1);
	buf_free(&json);
}

static void test_whole_too_long(void **state)
{
	struct side *s = *state;
	struct buf junk = { 0 };

	for (int i = 0; i < 30001; i++)
		buf_str(&junk, "0123456789");
	s->w.stream = false;
	s->has_receipt = true;
	node_side_receipt(&s->node, &s->w, 1);
	side_post(s);
	fake_say(s->conn, JSON_HEAD);
	fake_chunk(s->conn, buf_slice(&junk));
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
	assert_int_equal(s->got.heads, 0);
	assert_true(fake_run(&s->uv, &s->conn_gone, PATIENCE_MS));
	side_assert_settled_by_receipt(s, SETTLE_STOPPED, false);
	buf_free(&junk);
}

/* --- refusals and failures before the 200 --- */

static void test_statuses(void **state)
{
	static const struct {
		const char *reply;
		enum err want;
		uint32_t retry_after;
	} rows[] = {
		{ "400 Bad", ERR_BODY, 0 },
		{ "401 No", ERR_STRANGER, 0 },
		{ "403 No", ERR_NODE, 0 },
		{ "404 No", ERR_NODE, 0 },
		{ "302 Found\r\nLocation: /x", ERR_NODE, 0 },
		{ "423 Locked", ERR_LOCKED, 0 },
		{ "425 Early", ERR_UNITS, 0 },
		{ "429 Many", ERR_RATE, 5 },
		{ "500 Oops", ERR_NODE, 0 },
		{ "503 Busy", ERR_UNAVAILABLE, 1 },
		{ "501 No", ERR_NODE, 0 },
		{ "201 Created", ERR_NODE, 0 },
	};
	struct side *s = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		side_next(s, rows[i].reply, "{}");
		side_post(s);
		side_wait_end(s);
		side_assert_settled_without(s, SETTLE_FAILED, rows[i].want);
		assert_int_equal(s->got.error, rows[i].want);
		assert_int_equal(s->got.retry_after, rows[i].retry_after);
		assert_int_equal(s->got.heads, 0);
		assert_false(s->settle.key_unknown);
		side_acknowledge(s);
	}
	assert_int_equal(s->fetches + s->stops, 0);
}

static void reason_with(struct side *s, const char *status, const char *body, enum err want, bool key_unknown)
{
	side_next(s, status, body);
	side_post(s);
	side_wait_end(s);
	assert_int_equal(s->got.error, want);
	side_wait_settled(s);
	assert_int_equal(s->settle.key_unknown, key_unknown);
	side_acknowledge(s);
}

static void reason(struct side *s, const char *body, enum err want, bool key_unknown)
{
	reason_with(s, "425 Too Early", body, want, key_unknown);
}

static void test_reasons(void **state)
{
	struct side *s = *state;

	reason(s, "{\"error\":{\"reason\":\"key_rotated\"}}", ERR_KEY_ROTATED, false);
	reason(s, "{\"error\":{\"code\":\"x\",\"reason\":\"key_unknown\"}}", ERR_KEY_UNKNOWN, true);
	reason(s, "{\"error\":{\"reason\":\"already_answered\"}}", ERR_ANSWERED, false);
	reason(s, "{\"error\":{\"reason\":\"insufficient_units\"}}", ERR_UNITS, false);
	reason(s, "{\"error\":{\"reason\":\"<script>\"}}", ERR_UNITS, false);
	reason(s, "{\"error\":{\"reason\":null}}", ERR_UNITS, false);
	reason(s, "{\"error\":\"key_unknown\"}", ERR_UNITS, false);
	reason(s, "{\"reason\":\"key_unknown\"}", ERR_UNITS, false);
	reason(s, "not json", ERR_UNITS, false);
	reason(s, "", ERR_UNITS, false);
	reason(s, "{\"error\":{\"reason\":\"engine_failed\"}}", ERR_UNITS, false); /* of another status */
	reason_with(s, "500 Oh", "{\"error\":{\"reason\":\"engine_failed\"}}", ERR_ENGINE, false);
	reason_with(s, "500 Oh", "{\"error\":{\"reason\":\"key_unknown\"}}", ERR_NODE, false);
}

static void says_in_the_stream(struct side *s, const char *event, enum err want)
{
	side_post(s);
	fake_say(s->conn, SSE_HEAD);
	fake_chunk(s->conn, slice_str(event));
	side_wait_end(s);
	assert_int_equal(s->got.error, want);
}

static void test_an_engine_that_failed(void **state)
{
	says_in_the_stream(*state, "event: error\ndata: {\"error\":{\"reason\":\"engine_failed\"}}\n\n",
			   ERR_ENGINE);
}

static void test_another_error_in_the_stream(void **state)
{
	says_in_the_stream(*state, "event: error\ndata: {\"error\":{\"reason\":\"key_unknown\"}}\n\n",
			   ERR_NODE);
}

static void test_no_connection(void **state)
{
	struct side *s = *state;

	s->w.address = SLICE_STR("http://127.0.0.1:1");
	side_work(s);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_UNAVAILABLE);
	side_assert_settled_without(s, SETTLE_FAILED, ERR_UNAVAILABLE);
}

static void test_inward_address(void **state)
{
	struct side *s = *state;

	s->allow = false;
	side_work(s);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_UNAVAILABLE);
	assert_int_equal(fake_accepted(s->server), 0);
	side_assert_settled_without(s, SETTLE_FAILED, ERR_UNAVAILABLE);
}

static void test_first_byte_late(void **state)
{
	struct side *s = *state;

	s->conf.first_byte_s = 1;
	side_post(s);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_TIMEOUT);
	side_assert_settled_without(s, SETTLE_FAILED, ERR_TIMEOUT);
}

static void test_dies_before_head(void **state)
{
	struct side *s = *state;

	side_post(s);
	fake_hang_up(s->conn);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
	side_assert_settled_without(s, SETTLE_FAILED, ERR_NODE);
}

static void test_wrong_type(void **state)
{
	struct side *s = *state;

	s->reply = JSON_HEAD; /* for a stream */
	side_post(s);
	side_wait_end(s);
	assert_int_equal(s->got.heads, 0);
	assert_int_equal(s->got.error, ERR_NODE);
	side_assert_settled_without(s, SETTLE_LOST, ERR_UNAVAILABLE);
}

/* --- work that is not taken --- */

static void assert_returned(struct side *s, enum err why)
{
	unsigned before = s->returned;

	side_work(s);
	assert_int_equal(s->returned, before + 1);
	assert_int_equal(s->return_error, why);
	assert_int_equal(s->posted, 0);
	side_pass(s);
	assert_int_equal(s->posts, 0);
}

static void test_unheard(void **state)
{
	struct side *s = *state;

	s->w.topic = TOPIC + 1;
	assert_returned(s, ERR_NO_WORKER);
}

static void test_bad_work(void **state)
{
	struct side *s = *state;

	s->w.address = SLICE_STR("ftp://x");
	assert_returned(s, ERR_UNAVAILABLE);
}

static void test_draining(void **state)
{
	struct side *s = *state;

	tasks_drain(s->tasks);
	assert_returned(s, ERR_NO_WORKER);
}

static void test_capacity(void **state)
{
	struct side *s = *state;

	side_work(s);
	s->w.rid[0] = 1;
	side_work(s);
	assert_int_equal(tasks_count(s->tasks), 2);
	s->w.rid[0] = 2;
	side_work(s);
	assert_int_equal(s->returned, 1);
	assert_int_equal(s->return_error, ERR_NO_WORKER);
	assert_int_equal(s->posted, 2);
	assert_int_equal(tasks_count_for(s->tasks, 2), 2);
	assert_int_equal(tasks_count_for(s->tasks, 1), 0);
	tasks_announce(s->tasks, 2);
	assert_int_equal(s->inflight, 2);
	tasks_announce(s->tasks, 1);
	assert_int_equal(s->inflight, 2);
}

static void test_twice(void **state)
{
	struct side *s = *state;

	side_post(s);
	side_work(s); /* while it runs: the broker hears that */
	assert_int_equal(s->posted, 1);
	assert_int_equal(s->inflight, 1);
	fake_say(s->conn, "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
	side_wait_end(s);
	side_wait_settled(s);
	assert_int_equal(s->returned, 0);
	s->posts = 0;
	s->w.attempt++;
	side_work(s); /* after it was settled, unacknowledged: the broker hears the end again */
	assert_int_equal(s->settled, 2);
	assert_int_equal(s->posted, 1);
	side_pass(s);
	assert_int_equal(s->posts, 0);
	/* and first, that nobody works at the attempt that it has now */
	assert_int_equal(s->returned, 1);
	assert_int_equal(s->return_attempt, s->w.attempt);
	assert_int_equal(s->settled_before_return, 1);
}

/* What nobody would know of is not posted. */
static void test_broker_gone(void **state)
{
	struct side *s = *state;

	s->broker_gone = true;
	side_work(s);
	fake_run(&s->uv, NULL, 100);
	assert_int_equal(fake_accepted(s->server), 0);
	assert_int_equal(tasks_count(s->tasks), 0);
	assert_int_equal(s->settled, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, side_setup, side_teardown)
	const struct CMUnitTest tests[] = {
		T(test_stream),
		T(test_stream_bytewise),
		T(test_coalesced),
		T(test_whole),
		T(test_whole_without_receipt),
		T(test_whole_and_never_a_receipt),
		T(test_whole_too_long),
		T(test_statuses),
		T(test_reasons),
		T(test_an_engine_that_failed),
		T(test_another_error_in_the_stream),
		T(test_no_connection),
		T(test_inward_address),
		T(test_first_byte_late),
		T(test_dies_before_head),
		T(test_wrong_type),
		T(test_unheard),
		T(test_bad_work),
		T(test_draining),
		T(test_capacity),
		T(test_twice),
		T(test_broker_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
