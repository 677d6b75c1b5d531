/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients that take their answers, but next to nothing of them: as many as there may be connections would
 * keep out everybody else for as long as they like.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/clock.h"
#include "tests/unit/httpd/tlsclient.h"
#include "tests/unit/tempdir.h"

#define ROOM (1u << 30)
#define NARROW 2304

/* A second, in which the window of a stream or of the connection (0) opens by n. */
static void second(struct h2 *c, uint32_t id, uint32_t n)
{
	h2_send_u32(c, WINDOW_UPDATE, id, n);
	rig_turn(c->g, 3);
	clock_skip(1000);
	rig_turn(c->g, 3);
	rig_closed(c->g, c->fd, &c->in, 1);
}

/* Seconds until stream 1 is reset, which gets n bytes more in each; 0 when it is not. */
static unsigned reset_after(struct h2 *c, uint32_t id, uint32_t n, unsigned most)
{
	for (unsigned s = 1; s <= most; s++) {
		second(c, id, n);
		if (h2_frames(c, RST_STREAM, 1, 0) > 0)
			return s;
	}
	return 0;
}

static void whole_answers_through_a_crack(void **state)
{
	struct rig g = { .o.stall_ms = 10000 };
	struct h2 c, quick;

	(void)state;
	rig_open_h2(&g, &c, 100);
	h2_request(&c, 1, "/big", END_STREAM);
	assert_in_range(reset_after(&c, 1, 100, 20), 10, 13);
	assert_true(h2_data(&c, 1) > 900);
	h2_open(&quick, &g, 100);
	h2_request(&quick, 1, "/big", END_STREAM);
	assert_int_equal(reset_after(&quick, 1, 300, 30), 0);
	h2_close(&quick);
	rig_close_h2(&g, &c);
}

/* A stream of which 60,000 bytes are there, and some have been sent. */
static void open_stream(struct rig *g, struct h2 *c)
{
	rig_open_h2(g, c, 100);
	h2_request(c, 1, "/stream", END_STREAM);
	assert_true(h2_wait(c, HEADERS, 1, END_HEADERS, 2000));
	hreq_write(g->held, slice_of(g->body, 60000));
}

/* More is to come of these, nobody knows when: a byte is enough. */
static void streams_under_way_may_be_slow(void **state)
{
	struct rig g = { .o.stall_ms = 10000 };
	struct h2 c;

	(void)state;
	open_stream(&g, &c);
	assert_int_equal(reset_after(&c, 1, 20, 20), 0);
	hreq_end(g.held);
	assert_in_range(reset_after(&c, 1, 20, 20), 10, 13);
	rig_close_h2(&g, &c);
}

/* Of one that broke off, all that there will be is there. */
static void broken_streams_through_a_crack(void **state)
{
	struct rig g = { .o.stall_ms = 10000 };
	struct h2 c;

	(void)state;
	open_stream(&g, &c);
	hreq_abort(g.held);
	assert_in_range(reset_after(&c, 1, 20, 20), 10, 13);
	rig_close_h2(&g, &c);
}

/* Streams share what the connection takes: each of these gets half of it. */
static void slow_together(void **state)
{
	struct rig g = { .o.stall_ms = 10000 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, ROOM);
	h2_request(&c, 1, "/big", END_STREAM);
	h2_request(&c, 3, "/big", END_STREAM);
	rig_turn(&g, 10);
	assert_int_equal(reset_after(&c, 0, 400, 40), 0);
	assert_int_equal(h2_frames(&c, RST_STREAM, 3, 0), 0);
	assert_true(reset_after(&c, 0, 10, 200) > 0);
	rig_close_h2(&g, &c);
}

/* Nothing for just not too long, then much, and so on. */
static void pauses_are_fine(void **state)
{
	struct rig g = { .o.stall_ms = 10000 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 100);
	h2_request(&c, 1, "/big", END_STREAM);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(reset_after(&c, 0, 1, 8), 0);
		second(&c, 1, 5000);
	}
	assert_in_range(reset_after(&c, 0, 1, 20), 9, 13);
	rig_close_h2(&g, &c);
}

/* A second, in which the client reads n bytes.  How many it got: fewer at the end. */
static size_t second_of(struct rig *g, int fd, size_t n)
{
	uint8_t tmp[4096];
	size_t got = 0;

	for (unsigned ms = 0; got < n && ms < 1000; ms++) {
		ssize_t r = recv(fd, tmp, n - got, 0);

		if (r == 0)
			break;
		got += r > 0 ? (size_t)r : 0;
		rig_turn(g, 1);
	}
	clock_skip(1000);
	rig_turn(g, 2);
	return got;
}

/* The last of an answer is written, and has used up its stream's window: it is as slow as its connection. */
static void windows_of_just_the_answer(void **state)
{
	struct rig g = { .room = NARROW, .o = { .stall_ms = 10000, .idle_ms = 1000000 } };
	struct h2 c;
	size_t got = 0, n;

	(void)state;
	rig_open_h2(&g, &c, 60000);
	rig_narrow(&g);
	h2_request(&c, 1, "/stream", END_STREAM);
	assert_true(rig_until(&g, &g.seen, 1, 2000));
	hreq_write(g.held, slice_of(g.body, 60000));
	hreq_end(g.held);
	while (got <= 60000 && (n = second_of(&g, c.fd, 2000)) > 0)
		got += n;
	assert_true(got > 60000);
	rig_close_h2(&g, &c);
}

/* What TLS adds to 4 MiB is more than has to be taken of them in ten seconds. */
static void what_tls_adds_is_not_the_clients(void **state)
{
	struct rig g = { .room = NARROW, .o.stall_ms = 10000 };
	static const char ask[] = "GET /big HTTP/1.1\r\nHost: a\r\n\r\n";
	char dir[TEMPDIR_ROOM];
	struct httpd_tls *tls;
	struct pair pair;
	struct tlsc t;

	(void)state;
	tempdir_make(dir);
	pair_make(&pair, dir, "pair");
	assert_int_equal(httpd_tls_open(&tls, pair.cert, pair.key), ERR_OK);
	g.o.tls = tls;
	rig_open(&g);
	tlsc_open(&t, &g, "http/1.1");
	rig_narrow(&g);
	tlsc_add(&t, ask, sizeof(ask) - 1);
	tlsc_flush(&t);
	assert_true(rig_until(&g, &g.seen, 1, 2000));
	for (unsigned s = 0; s < 30; s++)
		assert_int_equal(second_of(&g, t.fd, 1000), 1000);
	tlsc_close(&t);
	rig_close(&g);
	httpd_tls_free(tls);
	pair_remove(&pair);
	tempdir_remove(dir);
}

static void http1_by_the_byte(void **state)
{
	struct rig g = { .room = NARROW, .o.stall_ms = 60000 };
	int fd;
	char tmp[100];

	(void)state;
	fd = rig_open_client(&g);
	rig_narrow(&g);
	rig_say(&g, fd, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_true(rig_until(&g, &g.seen, 1, 2000));
	for (unsigned s = 0; s < 300 && httpd_conns(g.h) > 0; s++) {
		(void)!recv(fd, tmp, sizeof(tmp), 0);
		clock_skip(1000);
		rig_turn(&g, 2);
	}
	rig_nobody_left(&g, 100);
	close(fd);
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_answers_through_a_crack),
		cmocka_unit_test(streams_under_way_may_be_slow),
		cmocka_unit_test(broken_streams_through_a_crack),
		cmocka_unit_test(slow_together),
		cmocka_unit_test(pauses_are_fine),
		cmocka_unit_test(windows_of_just_the_answer),
		cmocka_unit_test(what_tls_adds_is_not_the_clients),
		cmocka_unit_test(http1_by_the_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
