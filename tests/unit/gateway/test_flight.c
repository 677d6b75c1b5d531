/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules for frames: order, identity, credit, lengths; without sockets.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "gateway/flight.h"

static uint8_t bytes[FLIGHT_WINDOW_MAX];

static struct chunk frame(enum chunk_kind kind, uint32_t seq)
{
	return (struct chunk){ .kind = kind, .seq = seq, .worker = 9, .epoch = 3, .attempt = 1 };
}

static struct chunk data(uint32_t seq, size_t n)
{
	struct chunk c = frame(CHUNK_DATA, seq);

	memset(bytes, 'x', n);
	if (n >= 2)
		bytes[n - 1] = bytes[n - 2] = '\n';
	c.payload = slice_of(bytes, n);
	return c;
}

static enum flight_do apply(struct flight *f, struct chunk c, enum err want)
{
	enum err why = ERR_OK;
	enum flight_do what = flight_apply(f, &c, &why);

	assert_int_equal(why, want);
	return what;
}

static struct flight opened(bool stream, uint64_t length)
{
	struct chunk head = frame(CHUNK_HEAD, 0);
	struct flight f;

	flight_init(&f, stream);
	head.length = length;
	assert_int_equal(apply(&f, head, ERR_OK), FLIGHT_BEGIN);
	return f;
}

static void a_stream(void **state)
{
	struct flight f = opened(true, 0);

	(void)state;
	assert_int_equal(apply(&f, data(1, 10), ERR_OK), FLIGHT_WRITE);
	assert_int_equal(apply(&f, data(2, 10), ERR_OK), FLIGHT_WRITE);
	assert_int_equal(apply(&f, frame(CHUNK_END, 3), ERR_OK), FLIGHT_END);
	assert_int_equal(f.state, FLIGHT_OVER);
	assert_false(f.fault);
	assert_int_equal(apply(&f, data(4, 10), ERR_OK), FLIGHT_DROP);
}

static void a_whole_answer(void **state)
{
	struct flight f = opened(false, 30);

	(void)state;
	assert_int_equal(apply(&f, data(1, 10), ERR_OK), FLIGHT_WRITE);
	assert_int_equal(apply(&f, data(2, 20), ERR_OK), FLIGHT_WRITE);
	assert_int_equal(apply(&f, frame(CHUNK_END, 3), ERR_OK), FLIGHT_END);
}

static void lengths_are_kept(void **state)
{
	struct flight f = opened(false, 30);
	struct chunk head = frame(CHUNK_HEAD, 0);

	(void)state;
	assert_int_equal(apply(&f, data(1, 31), ERR_INTERNAL), FLIGHT_BREAK);
	assert_true(f.fault);
	f = opened(false, 30);
	apply(&f, data(1, 29), ERR_OK);
	assert_int_equal(apply(&f, frame(CHUNK_END, 2), ERR_INTERNAL), FLIGHT_BREAK);
	flight_init(&f, false); /* a whole answer without a length */
	assert_int_equal(apply(&f, head, ERR_INTERNAL), FLIGHT_REFUSE);
	assert_true(f.fault);
}

static void gaps_and_repeats(void **state)
{
	static const uint32_t wrong[] = { 0, 1, 3, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct flight f = opened(true, 0);

		apply(&f, data(1, 10), ERR_OK);
		assert_int_equal(apply(&f, data(wrong[i], 10), ERR_INTERNAL), FLIGHT_BREAK);
		assert_true(f.fault);
		assert_int_equal(f.state, FLIGHT_OVER);
	}
}

/* Of an answer without its head: refused, and so is whatever else comes of it. */
static void beginning_lost(bool stream, struct chunk begins)
{
	struct flight f;

	flight_init(&f, stream);
	assert_int_equal(apply(&f, begins, ERR_INTERNAL), FLIGHT_REFUSE);
	assert_true(f.fault);
	assert_int_equal(f.worker, 9); /* so that it can be told */
	assert_int_equal(apply(&f, data(begins.seq + 1, 10), ERR_OK), FLIGHT_DROP);
	assert_int_equal(apply(&f, frame(CHUNK_END, begins.seq + 2), ERR_OK), FLIGHT_DROP);
}

static void a_lost_beginning(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct chunk late = frame(CHUNK_HEAD, 1);

		late.length = stream ? 0 : 20;
		beginning_lost(stream, late);
		beginning_lost(stream, data(0, 10));
		beginning_lost(stream, data(1, 10));
		beginning_lost(stream, frame(CHUNK_END, 0));
		beginning_lost(stream, frame(CHUNK_END, 1));
	}
}

static void errors(void **state)
{
	struct chunk e = frame(CHUNK_ERROR, 0);
	struct flight f;

	(void)state;
	e.error = ERR_ANSWERED;
	flight_init(&f, true);
	assert_int_equal(apply(&f, e, ERR_ANSWERED), FLIGHT_REFUSE);
	assert_false(f.fault); /* the worker has ended it itself */
	f = opened(true, 0);
	e.seq = 1;
	assert_int_equal(apply(&f, e, ERR_ANSWERED), FLIGHT_BREAK);
	assert_false(f.fault);
	f = opened(true, 0);
	e.error = ERR_OK;
	assert_int_equal(apply(&f, e, ERR_INTERNAL), FLIGHT_BREAK);
	f = opened(true, 0);
	assert_int_equal(apply(&f, frame(CHUNK_HEAD, 1), ERR_INTERNAL), FLIGHT_BREAK); /* twice */
}

static void others_do_not_continue_it(void **state)
{
	struct flight f = opened(true, 0);
	struct chunk c = data(1, 10);

	(void)state;
	c.worker = 8;
	assert_int_equal(apply(&f, c, ERR_OK), FLIGHT_DROP);
	c = data(1, 10);
	c.epoch = 2;
	assert_int_equal(apply(&f, c, ERR_OK), FLIGHT_DROP);
	c = data(1, 10);
	c.attempt = 2;
	assert_int_equal(apply(&f, c, ERR_OK), FLIGHT_DROP);
	c = frame(CHUNK_ERROR, 1);
	c.error = ERR_NODE;
	c.attempt = 0;
	assert_int_equal(apply(&f, c, ERR_OK), FLIGHT_DROP);
	assert_int_equal(apply(&f, data(1, 10), ERR_OK), FLIGHT_WRITE); /* undisturbed */
}

static void beyond_credit_is_a_fault(void **state)
{
	struct flight f = opened(true, 0);

	(void)state;
	assert_int_equal(apply(&f, data(1, CREDIT_INITIAL), ERR_OK), FLIGHT_WRITE);
	assert_int_equal(apply(&f, data(2, 1), ERR_INTERNAL), FLIGHT_BREAK);
	assert_true(f.fault);
	f = opened(true, 0);
	apply(&f, data(1, CREDIT_INITIAL), ERR_OK);
	assert_int_equal(apply(&f, data(2, 0), ERR_OK), FLIGHT_WRITE); /* empty costs nothing */
	flight_granted(&f, 5);
	assert_int_equal(apply(&f, data(3, 5), ERR_OK), FLIGHT_WRITE);
	assert_int_equal(apply(&f, data(4, 1), ERR_INTERNAL), FLIGHT_BREAK);
}

static void grants(void **state)
{
	struct flight f = opened(true, 0);

	(void)state;
	assert_int_equal(flight_grant(&f, 0), 0);
	apply(&f, data(1, FLIGHT_GRANT_STEP - 1), ERR_OK);
	assert_int_equal(flight_grant(&f, 0), 0); /* not worth a message */
	apply(&f, data(2, 1), ERR_OK);
	assert_int_equal(flight_grant(&f, 1), 0); /* a byte still waits */
	assert_int_equal(flight_grant(&f, 0), FLIGHT_GRANT_STEP);
	assert_int_equal(flight_grant(&f, 0), FLIGHT_GRANT_STEP); /* asking changes nothing */
	flight_granted(&f, FLIGHT_GRANT_STEP);
	assert_int_equal(flight_grant(&f, 0), 0);
	apply(&f, data(3, 40000), ERR_OK);
	assert_int_equal(flight_grant(&f, 40000), 0);
	assert_int_equal(flight_grant(&f, 1000000), 0); /* comments wait, too */
	assert_int_equal(flight_grant(&f, 20000), 20000);
	assert_int_equal(flight_grant(&f, 0), 40000);
}

/* Whatever happens, an idle client leaves its worker room to go on. */
static void never_starves(void **state)
{
	struct flight f = opened(true, 0);
	uint32_t seq = 1, x = 12345;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t n = 1 + (x >> 8) % 9000, room = f.granted - f.received;

		x = x * 1103515245 + 12345;
		assert_true(room > CREDIT_INITIAL - FLIGHT_GRANT_STEP);
		assert_true(room <= CREDIT_INITIAL);
		assert_int_equal(apply(&f, data(seq++, n), ERR_OK), FLIGHT_WRITE);
		flight_granted(&f, flight_grant(&f, 0));
	}
}

/* A client that takes all of it at once, from t ms on in steps of step_ms, until n bytes more have come. */
static void take_fast(struct flight *f, uint32_t *seq, uint64_t *t, uint64_t step_ms, uint64_t n,
		      uint64_t *room)
{
	for (uint64_t end = f->received + n; f->received < end; *t += step_ms) {
		assert_int_equal(apply(f, data((*seq)++, FLIGHT_GRANT_STEP), ERR_OK), FLIGHT_WRITE);
		flight_widen(f, 0, *t, room);
		flight_granted(f, flight_grant(f, 0));
	}
}

static void the_window_grows_while_the_client_keeps_up(void **state)
{
	struct flight f = opened(true, 0);
	uint64_t room = 1 << 20, t = 1000;
	uint32_t seq = 1;

	(void)state;
	take_fast(&f, &seq, &t, 1, 2 * CREDIT_INITIAL, &room);
	assert_int_equal(f.window, 2 * CREDIT_INITIAL);
	assert_int_equal(f.granted - f.received, 2 * CREDIT_INITIAL);
	take_fast(&f, &seq, &t, 1, 2 << 20, &room);
	assert_int_equal(f.window, FLIGHT_WINDOW_MAX);
	assert_int_equal(room, (1 << 20) - (FLIGHT_WINDOW_MAX - CREDIT_INITIAL));
	assert_int_equal(apply(&f, data(seq++, FLIGHT_WINDOW_MAX), ERR_OK), FLIGHT_WRITE);
	assert_int_equal(flight_grant(&f, FLIGHT_WINDOW_MAX), 0); /* it takes no more */
	assert_int_equal(apply(&f, data(seq, 1), ERR_INTERNAL), FLIGHT_BREAK);
	flight_narrow(&f, &room);
	assert_int_equal(room, 1 << 20);
	flight_narrow(&f, &room); /* once */
	assert_int_equal(room, 1 << 20);
}

static void slow_clients_keep_a_small_window(void **state)
{
	struct flight f = opened(true, 0);
	uint64_t room = 1 << 20, t = 1;
	uint32_t seq = 1;

	(void)state;
	take_fast(&f, &seq, &t, FLIGHT_FAST_MS / (CREDIT_INITIAL / FLIGHT_GRANT_STEP) + 1, 2 << 20, &room);
	assert_int_equal(f.window, CREDIT_INITIAL);
	/* what comes at once, but is not taken; and comments of ours that wait count for nothing */
	f = opened(true, 0);
	flight_widen(&f, 0, t, &room);
	apply(&f, data(1, CREDIT_INITIAL), ERR_OK);
	flight_widen(&f, CREDIT_INITIAL, t, &room);
	flight_widen(&f, 2 * CREDIT_INITIAL, t, &room);
	flight_widen(&f, 1, t, &room);
	assert_int_equal(f.window, CREDIT_INITIAL);
	flight_widen(&f, 0, t, &room);
	flight_widen(&f, CREDIT_INITIAL, t, &room); /* less taken than before */
	assert_int_equal(f.window, 2 * CREDIT_INITIAL);
	assert_int_equal(room, (1 << 20) - CREDIT_INITIAL);
}

static void windows_share_their_room(void **state)
{
	struct flight f = opened(true, 0), g = opened(true, 0);
	uint64_t room = CREDIT_INITIAL + 1000, t = 1;
	uint32_t seq = 1;

	(void)state;
	take_fast(&f, &seq, &t, 1, 1 << 20, &room);
	assert_int_equal(f.window, 2 * CREDIT_INITIAL + 1000);
	assert_int_equal(room, 0);
	seq = 1;
	take_fast(&g, &seq, &t, 1, 1 << 20, &room);
	assert_int_equal(g.window, CREDIT_INITIAL);
	flight_narrow(&f, &room);
	take_fast(&g, &seq, &t, 1, 1 << 20, &room);
	assert_int_equal(g.window, 2 * CREDIT_INITIAL + 1000);
}

static void whole_answers_get_no_more_than_they_need(void **state)
{
	struct flight f = opened(false, 40000);

	(void)state;
	apply(&f, data(1, 30000), ERR_OK);
	assert_int_equal(flight_grant(&f, 0), 0);
	f = opened(false, 200000);
	apply(&f, data(1, 30000), ERR_OK);
	assert_int_equal(flight_grant(&f, 0), 30000);
}

static void ending_for_our_own_reasons(void **state)
{
	struct flight f;

	(void)state;
	flight_init(&f, true);
	assert_int_equal(flight_fail(&f), FLIGHT_REFUSE);
	assert_int_equal(f.state, FLIGHT_OVER);
	f = opened(true, 0);
	assert_int_equal(flight_fail(&f), FLIGHT_BREAK);
}

static void unfinished_events(void **state)
{
	struct flight f = opened(true, 0);
	struct chunk c = frame(CHUNK_DATA, 1);

	(void)state;
	assert_true(flight_between_events(&f));
	c.payload = SLICE_STR("data: {");
	apply(&f, c, ERR_OK);
	assert_false(flight_between_events(&f));
	c.seq = 2;
	c.payload = SLICE_STR("\n");
	apply(&f, c, ERR_OK);
	assert_false(flight_between_events(&f));
	c.seq = 3;
	c.payload = SLICE_STR("");
	apply(&f, c, ERR_OK);
	c.seq = 4;
	c.payload = SLICE_STR("\n"); /* one byte at a time */
	apply(&f, c, ERR_OK);
	assert_true(flight_between_events(&f));
	c.seq = 5;
	c.payload = SLICE_STR("data: {}\n");
	apply(&f, c, ERR_OK);
	assert_int_equal(apply(&f, frame(CHUNK_END, 6), ERR_INTERNAL),
			 FLIGHT_BREAK); /* it would be lost silently */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream),
		cmocka_unit_test(a_whole_answer),
		cmocka_unit_test(lengths_are_kept),
		cmocka_unit_test(gaps_and_repeats),
		cmocka_unit_test(a_lost_beginning),
		cmocka_unit_test(errors),
		cmocka_unit_test(others_do_not_continue_it),
		cmocka_unit_test(beyond_credit_is_a_fault),
		cmocka_unit_test(grants),
		cmocka_unit_test(never_starves),
		cmocka_unit_test(the_window_grows_while_the_client_keeps_up),
		cmocka_unit_test(slow_clients_keep_a_small_window),
		cmocka_unit_test(windows_share_their_room),
		cmocka_unit_test(whole_answers_get_no_more_than_they_need),
		cmocka_unit_test(ending_for_our_own_reasons),
		cmocka_unit_test(unfinished_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
