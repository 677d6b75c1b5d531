/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers that go wrong after the node's 200: cut, malformed, with a receipt that does
 * not fit; and foreign nodes, of which less is asked.
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

/* --- streams that go wrong --- */

/* Cut, and the node has a receipt about it. */
static void test_cut_with_receipt(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	side_begin_stream(s, &want);
	node_side_count(&s->node); /* one more than ever came */
	node_side_receipt(&s->node, &s->w, 1);
	s->has_receipt = true;
	fake_hang_up(s->conn);
	side_assert_stream_error(s, &want);
	side_assert_settled_by_receipt(s, SETTLE_STOPPED, false);
	assert_int_equal(s->settle.error, ERR_NODE);
	assert_int_equal(s->fetches, 1);
}

static void test_cut_without_receipt(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	side_begin_stream(s, &want);
	fake_hang_up(s->conn);
	side_assert_stream_error(s, &want);
	side_assert_settled_without(s, SETTLE_LOST, ERR_UNAVAILABLE);
	assert_int_equal(s->fetches, 4); /* 503 each time: it may still come */
}

/* The receipt fetched is for another request: as good as none. */
static void test_cut_with_foreign_receipt(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	side_begin_stream(s, &want);
	node_side_receipt(&s->node, &s->w, 1);
	s->node.receipt.plain_hash[0] ^= 1;
	s->has_receipt = true;
	fake_hang_up(s->conn);
	side_assert_stream_error(s, &want);
	side_assert_settled_without(s, SETTLE_LOST, ERR_NODE);
}

/* Ends cleanly, but with no receipt. */
static void test_no_receipt(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	side_begin_stream(s, &want);
	fake_say(s->conn, LAST);
	side_assert_stream_error(s, &want);
	side_assert_settled_without(s, SETTLE_LOST, ERR_UNAVAILABLE);
}

static void test_empty_stream(void **state)
{
	struct side *s = *state;

	side_post(s);
	fake_say(s->conn, SSE_HEAD LAST);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
	side_assert_settled_without(s, SETTLE_LOST, ERR_UNAVAILABLE);
}

static void bad_event(struct side *s, const char *text)
{
	struct buf want = { 0 };

	node_side_receipt(&s->node, &s->w, 1);
	side_begin_stream(s, &want);
	s->has_receipt = true;
	fake_chunk(s->conn, slice_str(text));
	side_assert_stream_error(s, &want); /* not a byte of it goes on */
	assert_true(fake_run(&s->uv, &s->conn_gone, PATIENCE_MS));
	side_assert_settled_by_receipt(s, SETTLE_STOPPED, false);
}

static void test_bad_object(void **state)
{
	bad_event(*state, "data: {\"ciphertext\":\"x\"}\n\n");
}

static void test_error_event(void **state)
{
	bad_event(*state, "event: error\ndata: {\"error\":{}}\n\n");
}

static void test_done_from_ours(void **state)
{
	bad_event(*state, "data: [DONE]\n\n");
}

static void test_line_too_long(void **state)
{
	struct side *s = *state;
	struct buf b = { 0 };

	buf_str(&b, "data: ");
	while (b.n < s->conf.max_event + 10)
		buf_str(&b, "xxxxxxxxxxxxxxxx");
	buf_add(&b, "", 1);
	bad_event(s, (char *)b.p);
	buf_free(&b);
}

static void test_half_event_at_end(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	side_begin_stream(s, &want);
	fake_chunk(s->conn, SLICE_STR("data: {\"cip"));
	fake_say(s->conn, LAST);
	side_assert_stream_error(s, &want);
	side_assert_settled_without(s, SETTLE_LOST, ERR_UNAVAILABLE);
}

static void test_object_after_receipt(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	side_begin_stream(s, &want);
	side_last_event(s, 0, &want);
	side_pass(s);
	side_event(s, "", false, NULL);
	side_assert_stream_error(s, &want);
	side_wait_settled(s);
	assert_int_equal(s->settle.outcome, SETTLE_COMPLETE); /* the node did its work and has said so */
	assert_int_equal(s->settle.error, ERR_NODE);
}

/* A receipt that does not fit: the client is told, the broker gets it to judge. */
static void bad_receipt(struct side *s, void (*spoil)(struct receipt *r))
{
	struct buf want = { 0 };

	side_begin_stream(s, &want);
	node_side_count(&s->node);
	node_side_receipt(&s->node, &s->w, 0);
	spoil(&s->node.receipt);
	side_event(s, "", true, NULL);
	side_assert_stream_error(s, &want);
	side_assert_settled_by_receipt(s, SETTLE_STOPPED, true);
	assert_int_equal(s->settle.error, ERR_NODE);
	assert_int_equal(s->fetches, 0);
}

#define BAD_RECEIPT(name, change)                                                                            \
	static void spoil_##name(struct receipt *r)                                                          \
	{                                                                                                    \
		change;                                                                                      \
	}                                                                                                    \
	static void test_receipt_##name(void **state)                                                        \
	{                                                                                                    \
		bad_receipt(*state, spoil_##name);                                                           \
	}
BAD_RECEIPT(rid, r->rid[3] ^= 1)
BAD_RECEIPT(stack, r->stack++)
BAD_RECEIPT(endpoint, r->endpoint = 1)
BAD_RECEIPT(node_key, r->node_key[9] ^= 1)
BAD_RECEIPT(plain_hash, r->plain_hash[0] ^= 1)
BAD_RECEIPT(model, r->model_hash[1] ^= 1)
BAD_RECEIPT(transcript, r->transcript[2] ^= 1)
BAD_RECEIPT(chunks, r->chunks--)

/* The clear usage beside the receipt has to be there and to say the same. */
static void bad_usage(struct side *s, const char *usage)
{
	struct buf want = { 0 };

	side_begin_stream(s, &want);
	node_side_count(&s->node);
	node_side_receipt(&s->node, &s->w, 0);
	side_event(s, usage, true, NULL);
	side_assert_stream_error(s, &want);
	side_assert_settled_by_receipt(s, SETTLE_STOPPED, true);
}

static void test_usage_missing(void **state)
{
	bad_usage(*state, ",\"usage\":null");
}

static void test_usage_prompt_differs(void **state)
{
	bad_usage(*state, ",\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":16}");
}

static void test_usage_completion_differs(void **state)
{
	bad_usage(*state, ",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":15}");
}

/* A chunk signed over another hash: the receipt would show it at the end, each
 * chunk's signature at once, if asked for. */
static void spoilt_chunk(struct side *s, bool verify)
{
	struct buf b = { 0 };
	char *at;

	s->conf.verify_chunks = verify;
	side_post(s);
	fake_say(s->conn, SSE_HEAD);
	buf_str(&b, "data: ");
	node_side_object(&s->node, "", false, NULL, &b);
	buf_str(&b, "\n\n");
	buf_add(&b, "", 1);
	at = strstr((char *)b.p, "response_hash") + strlen("response_hash\":\"");
	*at = *at == 'A' ? 'B' : 'A';
	fake_chunk(s->conn, slice_of(b.p, b.n - 1));
	side_pass(s);
	assert_int_equal(s->got.ended, verify);
	if (!verify)
		side_last_event(s, 0, NULL);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
	side_wait_settled(s);
	buf_free(&b);
}

static void test_spoilt_chunk(void **state)
{
	spoilt_chunk(*state, false);
}

static void test_spoilt_chunk_verified(void **state)
{
	spoilt_chunk(*state, true);
}

static void test_verified_stream(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	s->conf.verify_chunks = true;
	side_begin_stream(s, &want);
	side_last_event(s, 0, &want);
	fake_say(s->conn, LAST);
	side_assert_complete(s, &want);
}

/* The node begins a whole answer of one request more. */
static void next_whole(struct side *s)
{
	memcpy(s->before, s->w.rid, RID_BYTES);
	s->w.rid[0]++;
	s->w.stream = false;
	s->w.receipt_required = false;
	s->posts = 0;
	s->has_conn = false;
	buf_free(&s->got.body);
	memset(&s->got, 0, sizeof(s->got));
	side_post(s);
	fake_say(s->conn, JSON_HEAD);
}

/* All whole answers together have a budget; who does not fit is told to come again. */
static void test_answer_budget(void **state)
{
	struct side *s = *state;
	struct buf half = { 0 };

	while (half.n < 250000)
		buf_str(&half, "0123456789");
	next_whole(s);
	fake_chunk(s->conn, buf_slice(&half));
	side_pass(s);
	assert_false(s->got.ended);
	next_whole(s);
	fake_chunk(s->conn, buf_slice(&half));
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_UNAVAILABLE);
	side_assert_settled_without(s, SETTLE_STOPPED, ERR_UNAVAILABLE);
	buf_free(&half);
}

/* One whole answer more, whose client takes only what it has to. */
static void another(struct side *s)
{
	struct buf json = { 0 };

	buf_str(&json, "{\"ciphertext\":\"");
	while (json.n < 250000)
		buf_str(&json, "QUJD");
	buf_str(&json, "\",\"nonce\":\"QUJDQUJDQUJDQUJD\"}");
	s->auto_credit = false;
	next_whole(s);
	fake_chunk(s->conn, buf_slice(&json));
	fake_say(s->conn, LAST);
	buf_free(&json);
}

static void waits(struct side *s)
{
	for (int k = 0; k < 100 && s->got.body.n < CREDIT_INITIAL; k++)
		side_pass(s);
	assert_int_equal(s->got.body.n, CREDIT_INITIAL);
	assert_false(s->got.ended);
}

/* So does what has come whole and waits for a client that does not take it. */
static void test_answer_budget_of_what_waits(void **state)
{
	struct side *s = *state;

	another(s);
	waits(s);
	another(s);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_UNAVAILABLE);
	assert_int_equal(s->before_error, ERR_OK);
}

/* But not for long: clients that take nothing must not keep others out. */
static void test_what_is_not_taken_gives_way(void **state)
{
	struct side *s = *state;

	another(s);
	waits(s);
	((struct task *)map_get(s->tasks->map, s->w.rid))->moved -= 3001;
	another(s);
	waits(s);
	assert_int_equal(s->before_error, ERR_UNAVAILABLE);
	assert_true(s->tasks->answer_bytes < 260000);
}

/* Who takes it slowly is not who takes nothing. */
static void test_what_is_taken_stays(void **state)
{
	struct side *s = *state;

	another(s);
	waits(s);
	((struct task *)map_get(s->tasks->map, s->w.rid))->moved -= 3001;
	side_grant(s, 1);
	for (int k = 0; k < 100 && s->got.body.n == CREDIT_INITIAL; k++)
		side_pass(s);
	assert_int_equal(s->got.body.n, CREDIT_INITIAL + 1);
	another(s);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_UNAVAILABLE);
	assert_int_equal(s->before_error, ERR_OK);
}

/* Nor may a few that come and never end. */
static void test_a_much_larger_one_gives_way(void **state)
{
	struct side *s = *state;
	static uint8_t bytes[200000];

	s->conf.answer_budget = sizeof(bytes) + 1000;
	next_whole(s);
	fake_chunk(s->conn, slice_of(bytes, sizeof(bytes)));
	side_pass(s);
	next_whole(s);
	fake_chunk(s->conn, slice_of(bytes, 20000));
	for (int k = 0; k < 100 && !s->before_error; k++)
		side_pass(s);
	assert_int_equal(s->before_error, ERR_UNAVAILABLE);
	assert_false(s->got.ended);
	assert_int_equal(s->tasks->answer_bytes, 20000);
}

/* The largest is the first to go: it alone makes room enough. */
static void test_the_largest_gives_way_first(void **state)
{
	struct side *s = *state;
	static uint8_t bytes[200000];

	s->conf.capacity = 3;
	s->conf.answer_budget = sizeof(bytes) + 61000;
	next_whole(s);
	fake_chunk(s->conn, slice_of(bytes, 60000));
	side_pass(s);
	next_whole(s);
	fake_chunk(s->conn, slice_of(bytes, sizeof(bytes)));
	side_pass(s);
	assert_int_equal(s->tasks->answer_bytes, sizeof(bytes) + 60000);
	next_whole(s);
	fake_chunk(s->conn, slice_of(bytes, 20000));
	for (int k = 0; k < 100 && !s->before_error; k++)
		side_pass(s);
	assert_int_equal(s->before_error, ERR_UNAVAILABLE);
	assert_int_equal(s->tasks->answer_bytes, 80000);
}

/* --- foreign nodes --- */

static void test_foreign(void **state)
{
	static const char object[] =
		"data: {\"nonce\":\"AAECAwQFBgcICQoL\",\"ciphertext\":\"AAECAwQFBgcICQoLDA0ODw==\","
		"\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n";
	struct side *s = *state;

	s->w.receipt_required = false;
	side_post(s);
	fake_say(s->conn, SSE_HEAD);
	fake_chunk(s->conn, slice_str(object));
	fake_say(s->conn, LAST);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_OK);
	assert_null(memmem(s->got.body.p, s->got.body.n, "[DONE]", 6)); /* clients parse every data line */
	side_assert_settled_without(s, SETTLE_COMPLETE, ERR_OK);
	assert_true(s->settle.has_usage);
	assert_int_equal(s->settle.prompt, 3);
	assert_int_equal(s->settle.completion, 4);
	assert_int_equal(s->fetches, 0);
}

static void test_foreign_goes_on_after_done(void **state)
{
	struct side *s = *state;

	s->w.receipt_required = false;
	side_post(s);
	fake_say(s->conn, SSE_HEAD);
	fake_chunk(s->conn, SLICE_STR("data: [DONE]\n\ndata: {\"nonce\":\"AAECAwQFBgcICQoL\","
				      "\"ciphertext\":\"AAECAwQFBgcICQoLDA0ODw==\"}\n\n"));
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
	side_assert_settled_without(s, SETTLE_STOPPED, ERR_NODE);
}

/* A node that stood still for over a minute refuses what waited for it, as what was signed for it has run
 * out: that is no word about our key. */
static void test_refused_too_late(void **state)
{
	struct side *s = *state;
	struct task *t;

	side_post(s);
	t = map_get(s->tasks->map, s->w.rid);
	assert_non_null(t);
	t->posted_us -= (AUTH_SECONDS + 1) * UINT64_C(1000000);
	fake_say(s->conn, "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\n{}");
	side_wait_end(s);
	side_assert_settled_without(s, SETTLE_FAILED, ERR_TIMEOUT);
	assert_int_equal(s->got.error, ERR_TIMEOUT);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, side_setup, side_teardown)
	const struct CMUnitTest tests[] = {
		T(test_cut_with_receipt),
		T(test_cut_without_receipt),
		T(test_cut_with_foreign_receipt),
		T(test_no_receipt),
		T(test_empty_stream),
		T(test_bad_object),
		T(test_error_event),
		T(test_done_from_ours),
		T(test_line_too_long),
		T(test_half_event_at_end),
		T(test_object_after_receipt),
		T(test_usage_missing),
		T(test_usage_prompt_differs),
		T(test_usage_completion_differs),
		T(test_spoilt_chunk),
		T(test_spoilt_chunk_verified),
		T(test_verified_stream),
		T(test_answer_budget),
		T(test_answer_budget_of_what_waits),
		T(test_what_is_not_taken_gives_way),
		T(test_what_is_taken_stays),
		T(test_a_much_larger_one_gives_way),
		T(test_the_largest_gives_way_first),
		T(test_foreign),
		T(test_foreign_goes_on_after_done),
		T(test_receipt_rid),
		T(test_receipt_stack),
		T(test_receipt_endpoint),
		T(test_receipt_node_key),
		T(test_receipt_plain_hash),
		T(test_receipt_model),
		T(test_receipt_transcript),
		T(test_receipt_chunks),
		T(test_refused_too_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
