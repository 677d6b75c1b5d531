/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients that leave, stop reading or reset: the handler hears of it once and
 * soon, and the connection goes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/httpd/h2client.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static void nobody_left(struct rig *g)
{
	for (int i = 0; i < 200 && httpd_conns(g->h) > 0; i++)
		rig_turn(g, 10);
	assert_int_equal(httpd_conns(g->h), 0);
}

static void http1_leaving_before_the_answer(void **state)
{
	struct rig g = { 0 };
	int fd;

	(void)state;
	rig_open(&g);
	fd = rig_connect(&g);
	rig_say(&g, fd, GET("/hold"));
	assert_true(rig_until(&g, &g.seen, 1, 2000));
	rig_turn(&g, 150);
	assert_int_equal(g.gone, 0);
	close(fd);
	assert_true(rig_until(&g, &g.gone, 1, 1000));
	nobody_left(&g);
	assert_int_equal(g.gone, 1);
	rig_close(&g);
}

static void http1_leaving_at_once(void **state)
{
	struct rig g = { 0 };
	int fd;

	(void)state;
	rig_open(&g);
	fd = rig_connect(&g);
	rig_say(&g, fd, GET("/hold"));
	close(fd);
	assert_true(rig_until(&g, &g.gone, 1, 1000));
	nobody_left(&g);
	rig_close(&g);
}

static void http1_leaving_a_stream(void **state)
{
	struct buf in = { 0 };
	struct rig g = { 0 };
	int fd;

	(void)state;
	rig_open(&g);
	fd = rig_connect(&g);
	rig_say(&g, fd, "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
	assert_true(rig_expect(&g, fd, &in, "\r\n\r\n", 2000));
	rig_turn(&g, 100);
	close(fd);
	assert_true(rig_until(&g, &g.gone, 1, 1000));
	nobody_left(&g);
	buf_free(&in);
	rig_close(&g);
}

static void answered_in_time_is_not_gone(void **state)
{
	struct buf in = { 0 };
	struct rig g = { 0 };
	int fd;

	(void)state;
	rig_open(&g);
	fd = rig_connect(&g);
	for (int i = 0; i < 3; i++) {
		rig_say(&g, fd, GET("/hold"));
		assert_true(rig_until(&g, &g.seen, (unsigned)i + 1, 2000));
		rig_turn(&g, 90); /* the watch is armed, then taken off again */
		hreq_respond(g.held, 200, NULL, 0, SLICE_STR("late"));
		g.held = NULL;
		assert_true(rig_expect(&g, fd, &in, "late", 2000));
		buf_reset(&in);
	}
	close(fd);
	nobody_left(&g);
	assert_int_equal(g.gone, 0);
	buf_free(&in);
	rig_close(&g);
}

static int connect_small(struct rig *g)
{
	int fd = rig_connect(g), n = 4096;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n, sizeof(n));
	return fd;
}

static void fill(struct rig *g)
{
	static const char block[65536];

	for (int i = 0; i < 200 && g->held != NULL; i++)
		hreq_write(g->held, slice_of(block, sizeof(block)));
}

static void http1_not_reading_a_stream(void **state)
{
	struct rig g = { .o.stall_ms = 300 };
	int fd;

	(void)state;
	rig_open(&g);
	fd = connect_small(&g);
	rig_say(&g, fd, GET("/stream"));
	assert_true(rig_until(&g, &g.seen, 1, 2000));
	fill(&g);
	assert_true(rig_until(&g, &g.gone, 1, 3000));
	nobody_left(&g);
	close(fd);
	rig_close(&g);
}

static void http1_not_reading_a_whole_answer(void **state)
{
	struct rig g = { .o.stall_ms = 300 };
	int fd;

	(void)state;
	rig_open(&g);
	fd = connect_small(&g);
	rig_say(&g, fd, GET("/big"));
	assert_true(rig_until(&g, &g.seen, 1, 2000));
	assert_int_equal(httpd_conns(g.h), 1);
	nobody_left(&g);
	close(fd);
	rig_close(&g);
}

/* Slow, but moving: not a stall. */
static void http1_reading_slowly_is_fine(void **state)
{
	struct rig g = { .o.stall_ms = 300 };
	char tmp[65536];
	int fd;

	(void)state;
	rig_open(&g);
	fd = connect_small(&g);
	rig_say(&g, fd, GET("/big"));
	for (int i = 0; i < 12; i++) {
		for (int k = 0; k < 3; k++)
			(void)!recv(fd, tmp, sizeof(tmp), 0);
		rig_turn(&g, 100);
	}
	assert_int_equal(httpd_conns(g.h), 1);
	close(fd);
	rig_close(&g);
}

static void h2_reset_and_leaving(void **state)
{
	struct rig g = { 0 };
	struct h2 c;

	(void)state;
	rig_open(&g);
	h2_open(&c, &g, 65535);
	h2_request(&c, 1, "/hold", END_STREAM);
	assert_true(rig_until(&g, &g.seen, 1, 2000));
	h2_send_u32(&c, RST_STREAM, 1, 8);
	assert_true(rig_until(&g, &g.gone, 1, 1000));
	h2_request(&c, 3, "/stream", END_STREAM);
	assert_true(h2_wait(&c, HEADERS, 3, END_HEADERS, 2000)); /* headers without a body byte */
	close(c.fd);
	assert_true(rig_until(&g, &g.gone, 2, 1000));
	nobody_left(&g);
	buf_free(&c.in);
	rig_close(&g);
}

/* A closed window stalls its own stream only. */
static void h2_stalled_stream_is_reset_alone(void **state)
{
	struct rig g = { .o.stall_ms = 300 };
	struct h2 c;

	(void)state;
	rig_open(&g);
	h2_open(&c, &g, 10);
	h2_request(&c, 1, "/stream", END_STREAM);
	assert_true(h2_wait(&c, HEADERS, 1, END_HEADERS, 2000));
	hreq_write(g.held, SLICE_STR("more than ten bytes"));
	assert_true(h2_wait(&c, RST_STREAM, 1, 0, 3000));
	assert_int_equal(g.gone, 1);
	assert_int_equal(h2_data(&c, 1), 10);
	h2_request(&c, 3, "/hi", END_STREAM);
	assert_true(h2_wait(&c, DATA, 3, END_STREAM, 2000));
	h2_close(&c);
	rig_close(&g);
}

static void h2_stalled_whole_answer_is_reset(void **state)
{
	struct rig g = { .o.stall_ms = 300 };
	struct h2 c;

	(void)state;
	rig_open(&g);
	h2_open(&c, &g, 10);
	h2_request(&c, 1, "/big", END_STREAM);
	assert_true(h2_wait(&c, RST_STREAM, 1, 0, 3000));
	assert_int_equal(h2_data(&c, 1), 10);
	h2_close(&c);
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(http1_leaving_before_the_answer),
		cmocka_unit_test(http1_leaving_at_once),
		cmocka_unit_test(http1_leaving_a_stream),
		cmocka_unit_test(answered_in_time_is_not_gone),
		cmocka_unit_test(http1_not_reading_a_stream),
		cmocka_unit_test(http1_not_reading_a_whole_answer),
		cmocka_unit_test(http1_reading_slowly_is_fine),
		cmocka_unit_test(h2_reset_and_leaving),
		cmocka_unit_test(h2_stalled_stream_is_reset_alone),
		cmocka_unit_test(h2_stalled_whole_answer_is_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
