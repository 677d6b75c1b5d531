/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 connections near their end: libh2o 2.2.5 closes one only when the
 * write under way has ended, which the client decides, and until then neither
 * reads it nor resets its streams.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/httpd/h2client.h"

#define TOO_LONG_S 20 /* for a test whose fault is a loop without end */

/* Eight large answers under way to a client that does not read. */
static void stuck(struct h2 *c, struct rig *g)
{
	int small = 4096;

	h2_open(c, g, 1u << 30);
	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	rig_narrow(g);
	h2_send_u32(c, WINDOW_UPDATE, 0, 1u << 30);
	for (uint32_t id = 1; id < 16; id += 2)
		h2_request(c, id, "/big", END_STREAM);
	rig_turn(g, 50);
}

/* A frame that ends the connection once GOAWAY is written. */
static void break_it(struct h2 *c)
{
	h2_send(c, PUSH_PROMISE, END_HEADERS, 401, "\0\0\0\2", 4);
	rig_turn(c->g, 10);
}

/* A slow upload on a connection that is closing cannot be reset; it was tried for ever. */
static void an_overdue_upload_on_a_closing_connection(void **state)
{
	struct rig g = { .o = { .body_ms = 200 } };
	struct h2 c;

	(void)state;
	rig_open(&g);
	stuck(&c, &g);
	h2_request(&c, 101, "/echo", 0);
	h2_send(&c, DATA, 0, 101, "x", 1);
	break_it(&c);
	alarm(TOO_LONG_S);
	rig_nobody_left(&g, 2000);
	alarm(0);
	rig_close_h2(&g, &c);
}

/* Once it has sent its own GOAWAY, libh2o consumes nothing of a CONTINUATION and looks again, for ever: it is
 * not to send it in a drain, where what was begun is served. */
static void half_a_head_at_goaway(uint8_t first_flags, bool trailer)
{
	static const uint8_t block[] = { 0x82, 0x86, 0x84, 0x01, 0x01, 'a' };
	struct rig g = { 0 };
	struct h2 c;

	rig_open_h2(&g, &c, 65535);
	h2_request(&c, 1, "/hold", END_STREAM);
	assert_true(rig_until(&g, &g.seen, 1, 1000));
	if (trailer) {
		h2_request(&c, 3, "/echo", 0);
		h2_send(&c, DATA, 0, 3, "x", 1);
	}
	h2_send(&c, HEADERS, first_flags, 3, block, trailer ? 0 : 3);
	rig_turn(&g, 10);
	httpd_drain(g.h, NULL, NULL);
	assert_true(h2_wait(&c, GOAWAY, 0, 0, 1000));
	rig_turn(&g, 1200); /* the second GOAWAY */
	alarm(TOO_LONG_S);
	h2_send(&c, CONTINUATION, END_HEADERS, 3, block + 3, trailer ? 0 : 3);
	assert_true(h2_wait(&c, DATA, 3, END_STREAM, 2000));
	assert_int_equal(g.seen, 2);
	alarm(0);
	rig_close_h2(&g, &c);
}

static void continuation_after_goaway(void **state)
{
	(void)state;
	half_a_head_at_goaway(END_STREAM, false);
	half_a_head_at_goaway(END_STREAM, true);
}

/* Finished answers in a write that does not end: no stream of them can be reset. */
static void finished_answers_nobody_reads(void **state)
{
	struct rig g = { .o = { .stall_ms = 300 } };
	struct h2 c;
	unsigned seen;

	(void)state;
	rig_open_h2(&g, &c, 65535);
	rig_narrow(&g);
	for (uint32_t id = 1, n = 0; n < 1000; n++) {
		seen = g.seen;
		for (int i = 0; i < 80; i++, id += 2)
			h2_add_request(&c.out, id, "/hi", END_STREAM);
		h2_flush(&c);
		if (g.seen == seen)
			break;
	}
	assert_true(g.seen > 0);
	rig_nobody_left(&g, 3000);
	rig_close_h2(&g, &c);
}

/* Whose connection is closing gets until the next look at it. */
static void broken_with_answers_nobody_reads(void **state)
{
	struct rig g = { .o = { .stall_ms = 1u << 30, .idle_ms = 1u << 30 } };
	struct h2 c;

	(void)state;
	rig_open(&g);
	stuck(&c, &g);
	h2_request(&c, 101, "/stream", END_STREAM);
	rig_turn(&g, 10);
	break_it(&c);
	assert_int_equal(httpd_conns(g.h), 1);
	rig_nobody_left(&g, 3000);
	assert_int_equal(g.gone, 1);
	rig_close_h2(&g, &c);
}

/* The client says that it will say no more, and does not read either. */
static void half_closed_with_answers_nobody_reads(void **state)
{
	struct rig g = { .o = { .stall_ms = 1u << 30, .idle_ms = 1u << 30 } };
	struct h2 c;

	(void)state;
	rig_open(&g);
	stuck(&c, &g);
	shutdown(c.fd, SHUT_WR);
	rig_nobody_left(&g, 3000);
	rig_close_h2(&g, &c);
}

static size_t memory(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* What comes on a closing connection is not kept. */
static void talking_on_a_closing_connection(void **state)
{
	static const char junk[65536];
	struct rig g = { 0 };
	size_t before;
	struct h2 c;

	(void)state;
	rig_open(&g);
	stuck(&c, &g);
	break_it(&c);
	before = memory();
	for (int i = 0; i < 400; i++) {
		(void)!send(c.fd, junk, sizeof(junk), MSG_NOSIGNAL);
		uv_run(&g.loop, UV_RUN_NOWAIT);
		assert_true(memory() < before + (4u << 20));
	}
	rig_close_h2(&g, &c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_overdue_upload_on_a_closing_connection),
		cmocka_unit_test(continuation_after_goaway),
		cmocka_unit_test(finished_answers_nobody_reads),
		cmocka_unit_test(broken_with_answers_nobody_reads),
		cmocka_unit_test(half_closed_with_answers_nobody_reads),
		cmocka_unit_test(talking_on_a_closing_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
