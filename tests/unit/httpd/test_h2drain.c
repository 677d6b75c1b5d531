/* SPDX-License-Identifier: Apache-2.0
 *
 * A drain of HTTP/2 connections: what was begun before the last GOAWAY is served,
 * and its answer is there to the last byte when the connection closes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>

#include "tests/unit/clock.h"
#include "tests/unit/httpd/tlsclient.h"
#include "tests/unit/tempdir.h"

#define BYTES 60000

static void drain_to_the_last_goaway(struct h2 *c)
{
	rig_drain(c->g);
	rig_turn(c->g, 5);
	clock_skip(1000);
	for (int i = 0; i < 400 && h2_frames(c, GOAWAY, 0, 0) < 2; i++)
		assert_false(rig_closed(c->g, c->fd, &c->in, 5));
	assert_int_equal(h2_frames(c, GOAWAY, 0, 0), 2);
}

/* Its bytes were thrown away from the last GOAWAY on, and the connection closed a moment later. */
static void an_upload_under_way_is_served(void **state)
{
	struct rig g = { 0 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 65535);
	h2_request(&c, 1, "/echo", 0);
	h2_send(&c, DATA, 0, 1, "be", 2);
	rig_turn(&g, 10);
	drain_to_the_last_goaway(&c);
	rig_turn(&g, 60);
	h2_send(&c, DATA, END_STREAM, 1, "gun", 3);
	assert_true(h2_wait(&c, DATA, 1, END_STREAM, 1000));
	assert_int_equal(h2_data(&c, 1), 5);
	assert_memory_equal(g.body, "begun", 5);
	assert_true(rig_drained(&g, 1000));
	rig_close_h2(&g, &c);
}

/* The client has not read the last GOAWAY when it sends these: no reason to take the others from it. */
static void streams_behind_the_last_goaway_are_let_go(void **state)
{
	struct rig g = { 0 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 65535);
	h2_request(&c, 1, "/hold", END_STREAM);
	assert_true(rig_until(&g, &g.seen, 1, 1000));
	drain_to_the_last_goaway(&c);
	h2_request(&c, 3, "/hi", END_STREAM);
	h2_request(&c, 5, "/echo", 0);
	h2_send(&c, DATA, 0, 5, "x", 1);
	h2_send_u32(&c, WINDOW_UPDATE, 5, 1);
	h2_send_u32(&c, RST_STREAM, 5, 8);
	h2_request(&c, 7, "/echo", 0);
	rig_turn(&g, 30);
	assert_int_equal(g.seen, 1);
	assert_non_null(g.held);
	hreq_respond(g.held, 200, NULL, 0, SLICE_STR("late"));
	assert_true(h2_wait(&c, DATA, 1, END_STREAM, 1000));
	assert_int_equal(h2_frames(&c, GOAWAY, 0, 0), 2);
	assert_true(rig_drained(&g, 1000)); /* whatever becomes of the last upload */
	rig_close_h2(&g, &c);
}

/* The connection was closed under the last write, or with bytes that the client had not taken. */
static void the_last_answer_is_read_slowly(void **state)
{
	static const uint8_t bytes[BYTES];
	struct rig g = { 0 };
	int small = 16384;
	uint8_t tmp[4096];
	ssize_t n;
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 1u << 30);
	setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	h2_send_u32(&c, WINDOW_UPDATE, 0, 1u << 30);
	h2_request(&c, 1, "/stream", END_STREAM);
	assert_true(rig_until(&g, &g.seen, 1, 1000));
	drain_to_the_last_goaway(&c);
	rig_narrow(&g);
	hreq_write(g.held, slice_of(bytes, BYTES));
	hreq_end(g.held);
	rig_turn(&g, 10);
	for (int turns = 0; h2_data(&c, 1) < BYTES / 2 && turns < 5000; turns++) {
		n = recv(c.fd, tmp, sizeof(tmp), 0);
		assert_true(n != 0);
		if (n > 0)
			buf_add(&c.in, tmp, (size_t)n);
		uv_run(&g.loop, UV_RUN_NOWAIT);
	}
	rig_turn(&g, 50);
	h2_send(&c, PING, 0, 0, "12345678", 8);
	assert_true(h2_wait(&c, DATA, 1, END_STREAM, 3000));
	assert_int_equal(h2_data(&c, 1), BYTES);
	assert_true(rig_drained(&g, 1000));
	rig_close_h2(&g, &c);
}

/* It has its answer, and always something to say before the end of our input is seen. */
static void a_client_that_goes_on_talking(void **state)
{
	struct rig g = { 0 };
	struct buf ping = { 0 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 65535);
	h2_request(&c, 1, "/hi", END_STREAM);
	assert_true(h2_wait(&c, DATA, 1, END_STREAM, 1000));
	h2_add(&ping, PING, 0, 0, "12345678", 8);
	drain_to_the_last_goaway(&c);
	for (int i = 0; i < 300 && !g.drained; i++) {
		(void)!send(c.fd, ping.p, ping.n, MSG_NOSIGNAL);
		uv_run(&g.loop, UV_RUN_NOWAIT);
		clock_skip(10);
	}
	assert_true(g.drained);
	buf_free(&ping);
	rig_close_h2(&g, &c);
}

/* Who has not said the preface yet hears SETTINGS first. */
static void a_connection_that_has_said_nothing(void **state)
{
	static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	char dir[TEMPDIR_ROOM];
	struct rig g = { 0 };
	struct pair p;
	struct tlsc t;

	(void)state;
	tempdir_make(dir);
	pair_make(&p, dir, "drain");
	assert_int_equal(httpd_tls_open(&g.o.tls, p.cert, p.key), ERR_OK);
	rig_open(&g);
	tlsc_open(&t, &g, "h2");
	rig_drain(&g);
	rig_turn(&g, 50);
	tlsc_add(&t, hello, sizeof(hello) - 1);
	tlsc_flush(&t);
	assert_true(tlsc_expect(&t, "\7", 1000)); /* a GOAWAY's type */
	assert_true(t.got.n > 9);
	assert_int_equal(t.got.p[3], SETTINGS);
	clock_skip(1000);
	assert_true(rig_drained(&g, 3000));
	tlsc_close(&t);
	rig_close(&g);
	httpd_tls_free(g.o.tls);
	pair_remove(&p);
	tempdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_upload_under_way_is_served),
		cmocka_unit_test(streams_behind_the_last_goaway_are_let_go),
		cmocka_unit_test(the_last_answer_is_read_slowly),
		cmocka_unit_test(a_client_that_goes_on_talking),
		cmocka_unit_test(a_connection_that_has_said_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
