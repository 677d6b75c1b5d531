/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain requests from WORK to SETTLE: what the client gets of a good answer, how a
 * bad one ends, and which refusals are left to the broker.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/b64.h"
#include "tests/unit/worker/task_side.h"

#define PIECE "{\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}"
#define USAGE "{\"id\":\"x\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":16}}"
#define IMAGES "{\"created\":1,\"data\":[{\"url\":\"y\"}]}"
#define DONE "data: [DONE]\n\n"

static uint8_t outcome; /* of the receipt */

static int setup_plain(void **state)
{
	static const uint8_t zero[KEY_BYTES];
	int r = side_setup(state);
	struct side *s = *state;

	s->w.endpoint = EP_PLAIN_CHAT;
	s->w.hold = true;
	outcome = 0;
	memcpy(s->w.node_key, zero, KEY_BYTES);
	memcpy(s->w.plain_hash, s->w.body_hash, KEY_BYTES);
	return r;
}

/* bare, signed; with the receipt behind it when last.  shown: what the client gets. */
static void object(struct side *s, const char *bare, bool last, struct buf *wire, struct buf *shown)
{
	struct node_side *n = &s->node;
	struct buf receipt = { 0 };
	uint8_t digest[HASH_BYTES];
	char signature[SIGN_B64];
	size_t at = wire->n;

	hash(digest, slice_str(bare));
	hash_add(n->transcript, slice_of(digest, sizeof(digest)));
	n->objects++;
	sign_hash(n->key, digest, signature);
	buf_add(wire, bare, strlen(bare) - 1);
	buf_str(wire, ",\"response_hash\":\"");
	b64_encode(wire, slice_of(digest, sizeof(digest)));
	buf_str(wire, "\",\"signature\":\"");
	buf_add(wire, signature, sizeof(signature));
	buf_str(wire, "\"");
	if (shown) {
		buf_add(shown, wire->p + at, wire->n - at);
		buf_str(shown, "}");
	}
	if (last) {
		if (!n->receipt.unix_s)
			node_side_receipt(n, &s->w, outcome);
		node_side_receipt_json(n, &receipt);
		buf_str(wire, ",");
		buf_add(wire, receipt.p + 1, receipt.n - 2);
		buf_free(&receipt);
	}
	buf_str(wire, "}");
}

static void event(struct side *s, const char *bare, bool last, struct buf *want)
{
	struct buf wire = { 0 };

	buf_str(&wire, "data: ");
	if (want)
		buf_str(want, "data: ");
	object(s, bare, last, &wire, want);
	buf_str(&wire, "\n\n");
	if (want)
		buf_str(want, "\n\n");
	fake_chunk(s->conn, buf_slice(&wire));
	buf_free(&wire);
}

static void begin(struct side *s)
{
	side_post(s);
	fake_say(s->conn, SSE_HEAD);
}

static void say_done(struct side *s)
{
	fake_chunk(s->conn, SLICE_STR(DONE));
	fake_say(s->conn, LAST);
}

/* --- good ones --- */

static void stream(struct side *s, bool show)
{
	struct buf want = { 0 };

	s->w.show_usage = show;
	begin(s);
	side_pass(s);
	assert_int_equal(s->got.heads, 1);
	assert_int_equal(s->answering, 1);
	event(s, PIECE, false, &want);
	event(s, USAGE, true, show ? &want : NULL);
	side_pass(s);
	assert_null(s->got.body.n ? memmem(s->got.body.p, s->got.body.n, "[DONE]", 6) : NULL);
	say_done(s);
	buf_str(&want, DONE);
	side_wait_end(s);
	assert_null(memmem(s->got.body.p, s->got.body.n, "receipt", 7));
	side_assert_complete(s, &want);
	assert_int_equal(s->settle.chunks, 2);
	assert_false(s->settle.untold);
}

static void test_stream(void **state)
{
	stream(*state, false);
}

static void test_stream_with_usage(void **state)
{
	stream(*state, true);
}

static void whole(struct side *s, const char *bare, struct buf *want)
{
	struct buf wire = { 0 };

	s->w.stream = false;
	object(s, bare, s->w.receipt_required, &wire, want);
	side_post(s);
	fake_say(s->conn, JSON_HEAD);
	fake_chunk(s->conn, buf_slice(&wire));
	fake_say(s->conn, LAST);
	side_wait_end(s);
	buf_free(&wire);
}

static void test_whole(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	whole(s, USAGE, &want); /* not held back: there is nothing else */
	assert_int_equal(s->got.length, want.n);
	side_assert_complete(s, &want);
}

static void test_whole_images(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	s->w.endpoint = EP_PLAIN_IMAGES;
	whole(s, IMAGES, &want);
	side_assert_complete(s, &want);
}

/* An object over several data lines stays the same bytes. */
static void test_lines(void **state)
{
	struct side *s = *state;
	struct buf wire = { 0 }, shown = { 0 }, want = { 0 };

	begin(s);
	object(s, "{\"id\":\"x\",\n \"choices\":[{}]}", false, &wire, &shown);
	buf_str(&want, "data: {\"id\":\"x\",\n");
	fake_chunk(s->conn, SLICE_STR("data: {\"id\":\"x\",\r\ndata: "));
	fake_chunk(s->conn, slice_of(wire.p + 11, wire.n - 11));
	fake_chunk(s->conn, SLICE_STR("\r\n\r\n"));
	buf_str(&want, "data: ");
	buf_add(&want, shown.p + 11, shown.n - 11);
	buf_str(&want, "\n\n");
	event(s, USAGE, true, NULL);
	say_done(s);
	buf_str(&want, DONE);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_OK);
	side_assert_got(s, &want);
	buf_free(&wire);
	buf_free(&shown);
}

static void test_foreign(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	s->w.receipt_required = false;
	begin(s);
	event(s, PIECE, false, &want);
	event(s, USAGE, false, NULL);
	say_done(s);
	buf_str(&want, DONE);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_OK);
	side_assert_settled_without(s, SETTLE_COMPLETE, ERR_OK);
	assert_true(s->settle.has_usage && s->settle.prompt == 7 && s->settle.completion == 16);
	side_assert_got(s, &want);
}

static void test_foreign_images(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	s->w.receipt_required = false;
	s->w.endpoint = EP_PLAIN_IMAGES;
	whole(s, IMAGES, &want);
	side_assert_settled_without(s, SETTLE_COMPLETE, ERR_OK);
	assert_true(s->settle.has_usage && s->settle.prompt == 0 && s->settle.completion == s->w.units);
	side_assert_got(s, &want);
}

/* --- bad ones --- */

static void assert_broken(struct side *s)
{
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
	assert_null(s->got.body.n ? memmem(s->got.body.p, s->got.body.n, "[DONE]", 6) : NULL);
	side_wait_settled(s);
	assert_false(s->settle.untold);
	assert_int_not_equal(s->settle.outcome, SETTLE_COMPLETE);
}

static void test_an_object_that_is_not_signed(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	begin(s);
	event(s, PIECE, false, &want);
	fake_chunk(s->conn, SLICE_STR("data: " PIECE "\n\n"));
	assert_broken(s);
	side_assert_got(s, &want);
}

static void test_an_event_of_another_type(void **state)
{
	struct side *s = *state;

	begin(s);
	fake_chunk(s->conn, SLICE_STR("event: error\ndata: {\"error\":1}\n\n"));
	assert_broken(s);
}

static void test_no_receipt(void **state)
{
	struct side *s = *state;

	begin(s);
	event(s, PIECE, false, NULL);
	event(s, USAGE, false, NULL);
	say_done(s);
	assert_broken(s);
}

static void test_behind_the_receipt(void **state)
{
	struct side *s = *state;

	begin(s);
	event(s, USAGE, true, NULL);
	event(s, PIECE, false, NULL);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
}

static void test_behind_done(void **state)
{
	struct side *s = *state;

	s->w.receipt_required = false;
	begin(s);
	event(s, USAGE, false, NULL);
	fake_chunk(s->conn, SLICE_STR(DONE DONE));
	assert_broken(s);
}

static void test_an_object_behind_done(void **state)
{
	struct side *s = *state;

	s->w.receipt_required = false;
	begin(s);
	event(s, USAGE, false, NULL);
	fake_chunk(s->conn, SLICE_STR(DONE));
	event(s, PIECE, false, NULL);
	assert_broken(s);
}

static void test_foreign_without_done(void **state)
{
	struct side *s = *state;

	s->w.receipt_required = false;
	begin(s);
	event(s, USAGE, false, NULL);
	fake_say(s->conn, LAST);
	assert_broken(s);
}

/* A node that stopped early by itself has not answered. */
static void test_stopped_early(void **state)
{
	struct side *s = *state;

	begin(s);
	outcome = 1;
	event(s, USAGE, true, NULL);
	say_done(s);
	assert_broken(s);
}

static void test_usage_that_is_not_the_receipts(void **state)
{
	struct side *s = *state;

	begin(s);
	event(s, "{\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":15}}", true, NULL);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
	side_wait_settled(s);
}

/* --- refusals --- */

static const struct refusal {
	const char *line, *body;
	bool held;
	enum err error;
} refusals[] = {
	{ "400 Bad", "", false, ERR_BODY },
	{ "401 Bad", "", false, ERR_STRANGER },
	{ "404 Bad", "", false, ERR_NODE },
	{ "423 Locked", "", true, ERR_LOCKED },
	{ "425 Early", "", true, ERR_UNITS },
	{ "425 Early", "{\"error\":{\"reason\":\"key_unknown\"}}", true, ERR_KEY_UNKNOWN },
	{ "425 Early", "{\"error\":{\"reason\":\"already_answered\"}}", false, ERR_ANSWERED },
	{ "429 Busy", "", true, ERR_RATE },
	{ "500 Oops", "", false, ERR_NODE },
	{ "502 Oops", "", true, ERR_NODE },
	{ "503 Busy", "", true, ERR_UNAVAILABLE },
	{ "504 Late", "", false, ERR_NODE },
};

static void refuse(struct side *s, unsigned i, bool hold)
{
	const struct refusal *r = &refusals[i];

	side_next(s, r->line, r->body);
	s->w.hold = hold;
	side_post(s);
	side_wait_settled(s);
	side_pass(s);
	if (s->settle.untold != (hold && r->held))
		fail_msg("%s %s: %d", r->line, r->body, s->settle.untold);
	assert_int_equal(s->got.ended, !s->settle.untold); /* told by one of the two, never by both */
	assert_int_equal(s->settle.outcome, SETTLE_FAILED);
	assert_int_equal(s->settle.error, r->error);
	assert_false(s->settle.key_unknown); /* there was no key */
	assert_int_equal(s->got.heads, 0);
	side_acknowledge(s);
}

static void test_refusals(void **state)
{
	struct side *s = *state;

	for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		refuse(s, i, true);
		refuse(s, i, false);
	}
	assert_int_equal(s->answering, 0);
	assert_int_equal(s->fetches + s->stops, 0);
}

static void test_no_connection(void **state)
{
	struct side *s = *state;

	s->w.address = SLICE_STR("http://127.0.0.1:1");
	side_work(s);
	side_wait_settled(s);
	side_pass(s);
	assert_true(s->settle.untold && s->settle.error == ERR_UNAVAILABLE && !s->got.ended);
}

/* The connection was there: the node may be at work. */
static void test_dies_before_head(void **state)
{
	struct side *s = *state;

	side_post(s);
	fake_hang_up(s->conn);
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
	side_wait_settled(s);
	assert_false(s->settle.untold);
}

/* Nobody waits any more: then there is nothing to be told, or tried, elsewhere. */
static void test_client_gone_first(void **state)
{
	struct side *s = *state;

	side_post(s);
	side_cancel_from_gateway(s);
	side_pass(s);
	fake_say(s->conn, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
	side_wait_settled(s);
	assert_false(s->settle.untold);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup_plain, side_teardown)
	const struct CMUnitTest tests[] = {
		T(test_stream),
		T(test_stream_with_usage),
		T(test_whole),
		T(test_whole_images),
		T(test_lines),
		T(test_foreign),
		T(test_foreign_images),
		T(test_an_object_that_is_not_signed),
		T(test_an_event_of_another_type),
		T(test_no_receipt),
		T(test_behind_the_receipt),
		T(test_behind_done),
		T(test_an_object_behind_done),
		T(test_foreign_without_done),
		T(test_stopped_early),
		T(test_usage_that_is_not_the_receipts),
		T(test_refusals),
		T(test_no_connection),
		T(test_dies_before_head),
		T(test_client_gone_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
