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

/* A server with a client that asks for that. */
static int asking(struct rig *g, const char *request)
{
	int fd = rig_open_client(g);

	rig_say(g, fd, request);
	return fd;
}

/* The same, and it takes little at once. */
static int asking_small(struct rig *g, const char *request)
{
	int fd = rig_open_client(g), n = 4096;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n, sizeof(n));
	rig_say(g, fd, request);
	return fd;
}

/* Its request is forgotten, and then its connection. */
static void it_has_left(struct rig *g)
{
	assert_true(rig_until(g, &g->gone, 1, 1000));
	rig_nobody_left(g, 2000);
}

static void http1_leaving_before_the_answer(void **state)
{
	struct rig g = { 0 };
	int fd;

	(void)state;
	fd = asking(&g, GET("/hold"));
	assert_true(rig_until(&g, &g.seen, 1, 2000));
	rig_turn(&g, 150);
	assert_int_equal(g.gone, 0);
	close(fd);
	it_has_left(&g);
	assert_int_equal(g.gone, 1);
	rig_close(&g);
}

static void http1_leaving_at_once(void **state)
{
	struct rig g = { 0 };
	int fd;

	(void)state;
	fd = asking(&g, GET("/hold"));
	close(fd);
	it_has_left(&g);
	rig_close(&g);
}

static void http1_leaving_a_stream(void **state)
{
	struct buf in = { 0 };
	struct rig g = { 0 };
	int fd;

	(void)state;
	fd = asking(&g, "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
	assert_true(rig_expect(&g, fd, &in, "\r\n\r\n", 2000));
	rig_turn(&g, 100);
	close(fd);
	it_has_left(&g);
	buf_free(&in);
	rig_close(&g);
}

static void answered_in_time_is_not_gone(void **state)
{
	struct buf in = { 0 };
	struct rig g = { 0 };
	int fd;

	(void)state;
	fd = rig_open_client(&g);
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
	rig_nobody_left(&g, 2000);
	assert_int_equal(g.gone, 0);
	buf_free(&in);
	rig_close(&g);
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
	fd = asking_small(&g, GET("/stream"));
	assert_true(rig_until(&g, &g.seen, 1, 2000));
	fill(&g);
	assert_true(rig_until(&g, &g.gone, 1, 3000));
	rig_nobody_left(&g, 2000);
	close(fd);
	rig_close(&g);
}

static void http1_not_reading_a_whole_answer(void **state)
{
	struct rig g = { .o.stall_ms = 300 };
	int fd;

	(void)state;
	fd = asking_small(&g, GET("/big"));
	assert_true(rig_until(&g, &g.seen, 1, 2000));
	assert_int_equal(httpd_conns(g.h), 1);
	rig_nobody_left(&g, 2000);
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
	fd = asking_small(&g, GET("/big"));
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
	rig_open_h2(&g, &c, 65535);
	h2_request(&c, 1, "/hold", END_STREAM);
	assert_true(rig_until(&g, &g.seen, 1, 2000));
	h2_send_u32(&c, RST_STREAM, 1, 8);
	assert_true(rig_until(&g, &g.gone, 1, 1000));
	h2_request(&c, 3, "/stream", END_STREAM);
	assert_true(h2_wait(&c, HEADERS, 3, END_HEADERS, 2000)); /* headers without a body byte */
	close(c.fd);
	assert_true(rig_until(&g, &g.gone, 2, 1000));
	rig_nobody_left(&g, 2000);
	buf_free(&c.in);
	rig_close(&g);
}

/* A closed window stalls its own stream only. */
static void h2_stalled_stream_is_reset_alone(void **state)
{
	struct rig g = { .o.stall_ms = 300 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 10);
	h2_request(&c, 1, "/stream", END_STREAM);
	assert_true(h2_wait(&c, HEADERS, 1, END_HEADERS, 2000));
	hreq_write(g.held, SLICE_STR("more than ten bytes"));
	assert_true(h2_wait(&c, RST_STREAM, 1, 0, 3000));
	assert_int_equal(g.gone, 1);
	assert_int_equal(h2_data(&c, 1), 10);
	h2_request(&c, 3, "/hi", END_STREAM);
	assert_true(h2_wait(&c, DATA, 3, END_STREAM, 2000));
	rig_close_h2(&g, &c);
}

static void h2_stalled_whole_answer_is_reset(void **state)
{
	struct rig g = { .o.stall_ms = 300 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 10);
	h2_request(&c, 1, "/big", END_STREAM);
	assert_true(h2_wait(&c, RST_STREAM, 1, 0, 3000));
	assert_int_equal(h2_data(&c, 1), 10);
	rig_close_h2(&g, &c);
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
