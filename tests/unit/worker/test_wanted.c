/* SPDX-License-Identifier: Apache-2.0
 *
 * Receipts fetched for a broker whose worker died: whatever the node answers,
 * one settlement comes of it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/net/fake_server.h"
#include "tests/unit/worker/node_side.h"
#include "worker/wanted.h"

#define PATIENCE_MS 5000

struct side {
	uv_loop_t uv;
	struct headers_keys keys;
	struct upstream *up;
	struct receipts *receipts;
	struct settle_book *settles;
	struct wanted *wanted;
	struct fake_server *server;
	struct node_side node;
	struct work w;
	struct receipt_wanted ask;
	char address[64];
	/* node */
	unsigned asked, not_before; /* 503 until this many were asked */
	const char *answer;         /* instead of the receipt */
	bool unknown;               /* 404 */
	bool stranger;              /* 401 */
	bool hang_up;
	/* broker */
	unsigned settled;
	bool is_settled;
	struct settle settle;
	struct buf bytes;
};

static void answer(struct side *s, struct fake_conn *c)
{
	struct buf json = { 0 }, all = { 0 };

	if (s->answer)
		buf_str(&json, s->answer);
	else
		node_side_receipt_json(&s->node, &json);
	buf_fmt(&all, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", json.n);
	buf_add(&all, json.p, json.n);
	fake_say_bytes(c, buf_slice(&all));
	buf_free(&json);
	buf_free(&all);
}

static void on_request(void *arg, struct fake_conn *c, struct slice request)
{
	static const char line[] = "GET /v1/receipts/cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd HTTP/1.1\r\n";
	struct side *s = arg;

	assert_memory_equal(request.p, line, strlen(line));
	assert_true(fake_header(request, "X-Sealway-Auth").n > 0);
	s->asked++;
	if (s->hang_up)
		fake_hang_up(c);
	else if (s->unknown)
		fake_say(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	else if (s->stranger)
		fake_say(c, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
	else if (s->asked < s->not_before)
		fake_say(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
	else
		answer(s, c);
}

static void on_send(void *arg, unsigned to, struct slice bytes)
{
	struct side *s = arg;

	assert_int_equal(to, 1);
	buf_reset(&s->bytes);
	buf_add(&s->bytes, bytes.p, bytes.n);
	assert_int_equal(settle_decode(buf_slice(&s->bytes), &s->settle), ERR_OK);
	s->settled++;
	s->is_settled = true;
}

static void make_ask(struct side *s)
{
	s->w = node_side_work(&s->node, 0xcd, true);
	snprintf(s->address, sizeof(s->address), "http://127.0.0.1:%u", fake_port(s->server));
	s->ask.ref.epoch = s->w.epoch;
	s->ask.ref.attempt = s->w.attempt;
	s->ask.node = s->w.node;
	s->ask.stack = s->w.stack;
	s->ask.units = s->w.units;
	s->ask.address = slice_str(s->address);
	memcpy(s->ask.ref.rid, s->w.rid, RID_BYTES);
	memcpy(s->ask.sign_key, s->w.sign_key, KEY_BYTES);
	node_side_receipt(&s->node, &s->w, 1);
}

static int setup(void **state)
{
	struct side *s = mem_new(sizeof(*s));
	static const uint8_t a[32] = { 0xa }, b[32] = { 0xb };
	struct fake_events ev = { on_request, NULL, s };
	struct upstream_opts up = { .ca_file = "" };
	struct receipts_opts ro = { .uv = &s->uv, .keys = &s->keys, .connect_ms = 1000, .pace_ms = 2 };

	uv_loop_init(&s->uv);
	s->keys.request = sign_key_new(a);
	s->keys.auth = sign_key_new(b);
	s->up = ro.upstream = upstream_new(&s->uv, &up);
	s->receipts = receipts_new(&ro);
	s->settles = settle_book_new(&s->uv, on_send, s);
	s->wanted = wanted_new(s->receipts, s->settles, 2);
	s->server = fake_open(&s->uv, &ev);
	node_side_init(&s->node, 1);
	make_ask(s);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct side *s = *state;

	wanted_free(s->wanted);
	settle_book_free(s->settles);
	receipts_free(s->receipts);
	upstream_free(s->up);
	fake_close(s->server);
	uv_run(&s->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->uv), 0);
	sign_key_free(s->keys.request);
	sign_key_free(s->keys.auth);
	node_side_fini(&s->node);
	buf_free(&s->bytes);
	free(s);
	return 0;
}

static void run(struct side *s)
{
	wanted_get(s->wanted, 1, &s->ask);
	assert_int_equal(s->settled, 0); /* never from inside */
	assert_int_equal(wanted_count(s->wanted), 1);
	assert_true(fake_run(&s->uv, &s->is_settled, PATIENCE_MS));
	fake_run(&s->uv, NULL, 20);
	assert_int_equal(s->settled, 1);
	assert_int_equal(wanted_count(s->wanted), 0);
	assert_memory_equal(s->settle.rid, s->w.rid, RID_BYTES);
	assert_int_equal(s->settle.epoch, s->w.epoch);
	assert_int_equal(s->settle.attempt, s->w.attempt);
	assert_int_equal(s->settle.node, s->w.node);
	assert_int_equal(s->settle.transcript.n, 0); /* nobody saw the objects */
}

static void assert_lost(struct side *s)
{
	run(s);
	assert_int_equal(s->settle.outcome, SETTLE_LOST);
	assert_int_equal(s->settle.receipt.n, 0);
}

static void assert_receipt(struct side *s, enum settle_outcome outcome)
{
	uint8_t raw[RECEIPT_BYTES];

	receipt_encode(&s->node.receipt, raw);
	run(s);
	assert_int_equal(s->settle.outcome, outcome);
	assert_true(slice_eq(s->settle.receipt, slice_of(raw, sizeof(raw))));
	assert_int_equal(s->settle.signature.n, SIGN_B64);
}

static void test_stopped(void **state)
{
	assert_receipt(*state, SETTLE_STOPPED);
}

static void test_complete(void **state)
{
	struct side *s = *state;

	s->node.receipt.outcome = 0;
	assert_receipt(s, SETTLE_COMPLETE);
}

/* The node needs a moment to notice that its reader is gone. */
static void test_later(void **state)
{
	struct side *s = *state;

	s->not_before = 3;
	assert_receipt(s, SETTLE_STOPPED);
	assert_int_equal(s->asked, 3);
}

/* Nothing was to be learned of it: it is asked again, later. */
static void assert_undecided(struct side *s)
{
	wanted_get(s->wanted, 1, &s->ask);
	while (wanted_count(s->wanted))
		fake_run(&s->uv, NULL, 20);
	assert_int_equal(s->settled, 0);
}

static void test_not_yet(void **state)
{
	struct side *s = *state;

	s->not_before = 100;
	assert_undecided(s); /* it runs still: its units are not given back, the broker asks again */
	assert_int_equal(s->asked, 4);
	s->not_before = 0;
	assert_receipt(s, SETTLE_STOPPED);
}

/* A node that knows nothing of it will not know more later. */
static void test_unknown(void **state)
{
	struct side *s = *state;

	s->unknown = true;
	assert_lost(s);
	assert_int_equal(s->asked, 1);
}

/* A node that does not know us: others may ask it, and at once. */
static void test_stranger(void **state)
{
	struct side *s = *state;

	s->stranger = true;
	assert_lost(s);
	assert_int_equal(s->settle.error, ERR_STRANGER);
	assert_int_equal(s->asked, 1);
}

/* A node that cannot be reached keeps its receipts. */
static void test_node_gone(void **state)
{
	struct side *s = *state;
	struct slice address = s->ask.address;

	s->ask.address = SLICE_STR("http://127.0.0.1:1");
	assert_undecided(s);
	s->ask.address = address;
	assert_receipt(s, SETTLE_STOPPED);
}

static void test_node_hangs_up(void **state)
{
	struct side *s = *state;

	s->hang_up = true;
	assert_undecided(s);
	s->hang_up = false;
	assert_receipt(s, SETTLE_STOPPED);
}

static void test_bad_address(void **state)
{
	struct side *s = *state;

	s->ask.address = SLICE_STR("file:///etc/passwd");
	assert_lost(s);
	assert_int_equal(s->asked, 0);
}

static void test_wrong_request(void **state)
{
	struct side *s = *state;

	s->node.receipt.rid[0] ^= 1;
	assert_lost(s);
}

static void test_wrong_stack(void **state)
{
	struct side *s = *state;

	s->node.receipt.stack++;
	assert_lost(s);
}

static void test_wrong_key(void **state)
{
	struct side *s = *state;

	s->ask.sign_key[0] ^= 1;
	assert_lost(s);
}

static void test_nonsense(void **state)
{
	static const char *const bad[] = { "", "{}", "[]",
					   "{\"receipt\":\"AAEC\",\"receipt_signature\":\"AAEC\"}",
					   "{\"receipt\":null,\"receipt_signature\":null}" };
	struct side *s = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct settled done = { .attempt = 1 };

		s->answer = bad[i];
		s->settled = 0;
		s->is_settled = false;
		assert_lost(s);
		memcpy(done.rid, s->w.rid, RID_BYTES);
		assert_true(settle_done(s->settles, &done));
	}
}

/* Asked again while one runs, and while its settlement is not acknowledged. */
static void test_asked_again(void **state)
{
	struct side *s = *state;

	wanted_get(s->wanted, 1, &s->ask);
	run(s);
	assert_int_equal(s->asked, 1);
	wanted_get(s->wanted, 1, &s->ask);
	assert_int_equal(s->settled, 2); /* said again at once */
	assert_int_equal(wanted_count(s->wanted), 0);
}

static void test_bounded(void **state)
{
	struct side *s = *state;

	for (uint8_t i = 0; i < 5; i++) {
		s->ask.ref.rid[0] = i;
		wanted_get(s->wanted, 1, &s->ask);
	}
	assert_int_equal(wanted_count(s->wanted), 2); /* and taking it apart while they run is no trouble */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_stopped),       T(test_complete),    T(test_later),         T(test_not_yet),
		T(test_unknown),       T(test_node_gone),   T(test_node_hangs_up), T(test_bad_address),
		T(test_wrong_request), T(test_wrong_stack), T(test_wrong_key),     T(test_nonsense),
		T(test_asked_again),   T(test_bounded),     T(test_stranger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
