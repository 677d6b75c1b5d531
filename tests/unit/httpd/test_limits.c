/* SPDX-License-Identifier: Apache-2.0
 *
 * What one client, or all of them together, can make the server hold or wait
 * for: heads, bodies, connections, time.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/httpd/h2client.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* Broken heads are answered 400 and nothing behind them is looked at. */
static void smuggling_shapes_end_the_connection(void **state)
{
	static const char *const bad[] = {
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
		"chunked\r\n\r\n0\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
		"chunked\r\n\r\n0\r\n\r\n",
		"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET /hi HTTP/1.1\r\n\r\n",
		"GET /hi HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET /hi HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
		"GET /hi HTTP/1.1\nHost: a\n\n",
		"GET /hi HTTP/1.3\r\nHost: a\r\n\r\n",
		"\x16\x03\x01 nonsense\r\n\r\n",
	};
	struct rig g = { 0 };

	(void)state;
	rig_open(&g);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf in = { 0 };
		int fd = rig_connect(&g);

		rig_say(&g, fd, bad[i]);
		rig_say(&g, fd, GET("/hi"));
		assert_true(rig_closed(&g, fd, &in, 2000));
		if (rig_count(&in, "HTTP/1.1 400 Bad Request\r\n") != 1 || rig_count(&in, "HTTP/1.1 ") != 1)
			fail_msg("%s: %.*s", bad[i], (int)in.n, (const char *)in.p);
		buf_free(&in);
		close(fd);
	}
	assert_int_equal(g.seen, 0);
	rig_close(&g);
}

static void large_heads_are_refused(void **state)
{
	static char line[70000];
	struct rig g = { 0 };
	struct buf in = { 0 };
	int fd;

	(void)state;
	fd = rig_open_client(&g);
	memset(line, 'a', sizeof(line) - 1);
	rig_say(&g, fd, "GET /hi HTTP/1.1\r\nHost: a\r\nX-Long: ");
	rig_say(&g, fd, line);
	rig_say(&g, fd, "\r\n\r\n");
	assert_true(rig_closed(&g, fd, &in, 2000));
	assert_int_equal(rig_count(&in, "HTTP/1.1 400"), 1);
	assert_int_equal(g.seen, 0);
	buf_free(&in);
	close(fd);
	rig_close(&g);
}

static void post(struct rig *g, int fd, size_t n, bool chunked)
{
	static char block[1 << 20];
	char head[200];

	snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\nHost: a\r\n%s%zu\r\n%s",
		 chunked ? "Transfer-Encoding: chunked\r\nX-Length: " : "Content-Length: ", n,
		 chunked ? "\r\n" : "\r\n");
	rig_say(g, fd, head);
	if (chunked) {
		snprintf(head, sizeof(head), "%zx\r\n", n);
		rig_say(g, fd, head);
	}
	rig_send(g, fd, block, n);
	if (chunked)
		rig_say(g, fd, "\r\n0\r\n\r\n");
}

static void http1_bodies_over_the_limit_reach_the_handler(void **state)
{
	struct rig g = { .o.max_body = 1000 };

	(void)state;
	rig_open(&g);
	for (int chunked = 0; chunked < 2; chunked++) {
		struct buf in = { 0 };
		int fd = rig_connect(&g);

		post(&g, fd, 1000, chunked);
		assert_true(rig_expect(&g, fd, &in, "HTTP/1.1 200", 2000));
		post(&g, fd, 1001, chunked);
		assert_true(rig_expect(&g, fd, &in, "HTTP/1.1 413", 2000));
		assert_true(rig_expect(&g, fd, &in, "\r\n\r\nover", 2000));
		post(&g, fd, 2000, chunked);
		assert_true(rig_expect(&g, fd, &in, "HTTP/1.1 413", 2000));
		buf_free(&in);
		close(fd);
	}
	rig_close(&g);
}

/* Sends bytes of text one by one, pause between; returns after how many ms the
 * server ended the connection, or 0 if it did not. */
static uint64_t drip(struct rig *g, const char *first, unsigned pause_ms, unsigned ms)
{
	struct buf in = { 0 };
	uint64_t start = now_ms(), ended = 0;
	int fd = rig_connect(g);

	rig_say(g, fd, first);
	while (ended == 0 && now_ms() - start < ms) {
		if (rig_closed(g, fd, &in, pause_ms))
			ended = now_ms() - start;
		else if (pause_ms > 0)
			rig_say(g, fd, "a");
	}
	close(fd);
	buf_free(&in);
	return ended;
}

static void slow_http1_clients_are_cut(void **state)
{
	struct rig g = { .o.head_ms = 400, .o.body_ms = 800, .o.idle_ms = 600 };
	uint64_t ms;

	(void)state;
	rig_open(&g);
	ms = drip(&g, "", 2000, 1900); /* says nothing */
	assert_in_range(ms, 300, 900);
	ms = drip(&g, "GET /hi HTTP/1.1\r\nX-A: ", 50, 3000);
	assert_in_range(ms, 300, 900);
	ms = drip(&g, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", 50, 3000);
	assert_in_range(ms, 700, 1400);
	ms = drip(&g, GET("/hi"), 2000, 1900); /* keep-alive */
	assert_in_range(ms, 500, 1100);
	assert_int_equal(g.seen, 1);
	rig_close(&g);
}

static uint64_t h2_drip(struct rig *g, struct h2 *c, uint32_t id, unsigned ms)
{
	uint64_t start = now_ms();

	while (now_ms() - start < ms) {
		if (rig_closed(g, c->fd, &c->in, 30) || h2_reset_code(c, id) >= 0)
			return now_ms() - start;
		h2_send(c, DATA, 0, id, "x", 1);
	}
	return 0;
}

/* A dripping body costs its own stream; the neighbour goes on. */
static void slow_http2_bodies_are_reset(void **state)
{
	struct rig g = { .o.head_ms = 400, .o.body_ms = 600, .o.idle_ms = 5000 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 65535);
	h2_request(&c, 1, "/stream", END_STREAM);
	h2_request(&c, 3, "/echo", 0);
	assert_in_range(h2_drip(&g, &c, 3, 3000), 500, 1300);
	assert_int_equal(h2_reset_code(&c, 3), 8);
	assert_non_null(g.held);
	hreq_write(g.held, SLICE_STR("still here"));
	hreq_end(g.held);
	assert_true(h2_wait(&c, DATA, 1, END_STREAM, 2000));
	rig_close_h2(&g, &c);
}

/* Pings keep a connection open in h2o's eyes, not in ours; an unfinished
 * header block or frame neither. */
static void idle_http2_is_cut(void **state)
{
	struct rig g = { .o.head_ms = 400, .o.body_ms = 5000, .o.idle_ms = 500 };
	uint64_t start;
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 65535);
	start = now_ms();
	while (!rig_closed(&g, c.fd, &c.in, 50) && now_ms() - start < 3000)
		h2_send(&c, PING, 0, 0, "12345678", 8);
	assert_in_range(now_ms() - start, 300, 1200);
	h2_close(&c);
	h2_open(&c, &g, 65535);
	h2_request(&c, 1, "/hi", END_STREAM);
	h2_send(&c, HEADERS, END_STREAM, 3, "\x82", 1);
	start = now_ms();
	assert_true(rig_closed(&g, c.fd, &c.in, 3000));
	assert_in_range(now_ms() - start, 300, 1200);
	rig_close_h2(&g, &c);
}

static void the_oldest_idle_connection_gives_way(void **state)
{
	struct rig g = { .o.max_conns = 3 };
	struct buf in = { 0 };
	int fd[4];

	(void)state;
	rig_open(&g);
	for (int i = 0; i < 3; i++) {
		fd[i] = rig_connect(&g);
		rig_say(&g, fd[i], i == 0 ? GET("/hold") : GET("/hi"));
		rig_turn(&g, 20);
	}
	rig_say(&g, fd[1], GET("/hi")); /* 2 is now idle for longer than 1 */
	rig_turn(&g, 20);
	fd[3] = rig_connect(&g);
	rig_say(&g, fd[3], GET("/hi"));
	assert_true(rig_expect(&g, fd[3], &in, "hi\n", 2000));
	assert_true(rig_closed(&g, fd[2], &in, 1000));
	buf_reset(&in);
	assert_false(rig_closed(&g, fd[1], &in, 50));
	assert_false(rig_closed(&g, fd[0], &in, 50));
	assert_int_equal(httpd_conns(g.h), 3);
	for (int i = 0; i < 4; i++)
		close(fd[i]);
	buf_free(&in);
	rig_close(&g);
}

static void busy_connections_do_not_give_way(void **state)
{
	struct rig g = { .o.max_conns = 2 };
	struct buf in = { 0 };
	int fd[3];

	(void)state;
	rig_open(&g);
	for (int i = 0; i < 2; i++) {
		fd[i] = rig_connect(&g);
		rig_say(&g, fd[i], GET("/hold"));
	}
	assert_true(rig_until(&g, &g.seen, 2, 1000));
	fd[2] = rig_connect(&g);
	assert_true(rig_closed(&g, fd[2], &in, 1000));
	assert_int_equal(g.gone, 0);
	assert_int_equal(httpd_conns(g.h), 2);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	buf_free(&in);
	rig_close(&g);
}

/* Over the budget the oldest upload is cut; the newer one completes. */
static void bodies_share_a_budget(void **state)
{
	static const char block[40000];
	struct rig g = { .o.max_body = 50000, .o.body_budget = 60000, .o.idle_ms = 400 };
	struct buf in = { 0 };
	int old, young;

	(void)state;
	rig_open(&g);
	old = rig_connect(&g);
	rig_say(&g, old, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 45000\r\n\r\n");
	rig_send(&g, old, block, sizeof(block));
	rig_turn(&g, 150);
	young = rig_connect(&g);
	rig_say(&g, young, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 45000\r\n\r\n");
	rig_send(&g, young, block, sizeof(block));
	assert_true(rig_closed(&g, old, &in, 1000));
	assert_int_equal(in.n, 0);
	rig_send(&g, young, block, 5000);
	assert_true(rig_expect(&g, young, &in, "HTTP/1.1 200", 1000));
	close(old);
	close(young);
	buf_free(&in);
	rig_close(&g);
}

static void http2_bodies_count_too(void **state)
{
	static const char block[16000];
	struct rig g = { .o.max_body = 50000, .o.body_budget = 100000 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 65535);
	h2_send_u32(&c, WINDOW_UPDATE, 0, 1 << 20);
	for (uint32_t id = 1; id < 40; id += 2) {
		h2_request(&c, id, "/echo", 0);
		h2_send(&c, DATA, 0, id, block, sizeof(block));
	}
	assert_true(rig_closed(&g, c.fd, &c.in, 1000));
	h2_close(&c);
	/* given back: the next one fits */
	h2_open(&c, &g, 1 << 20);
	h2_request(&c, 1, "/echo", 0);
	for (int i = 0; i < 3; i++)
		h2_send(&c, DATA, i == 2 ? END_STREAM : 0, 1, block, sizeof(block));
	assert_true(h2_wait(&c, DATA, 1, END_STREAM, 2000));
	assert_int_equal(h2_data(&c, 1), 48000);
	rig_close_h2(&g, &c);
}

/* Complete bodies in the handler's hands count until they are given back. */
static void held_bodies_count_until_dropped(void **state)
{
	static const char block[40000];
	struct rig g = { .o.max_body = 50000, .o.body_budget = 30000 };
	struct buf in = { 0 };
	struct h2 c;
	int fd;

	(void)state;
	g.o.body_budget = 70000;
	rig_open_h2(&g, &c, 1 << 20);
	h2_request(&c, 1, "/hold", 0);
	for (int i = 0; i < 4; i++)
		h2_send(&c, DATA, i == 3 ? END_STREAM : 0, 1, block, 10000);
	assert_true(rig_until(&g, &g.seen, 1, 1000));
	fd = rig_connect(&g);
	rig_say(&g, fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n");
	rig_send(&g, fd, block, sizeof(block));
	assert_true(rig_closed(&g, fd, &in, 1000)); /* 503 or cut */
	assert_int_equal(rig_count(&in, "HTTP/1.1 200"), 0);
	assert_int_equal(g.seen, 1);
	close(fd);
	hreq_drop_body(g.held);
	buf_reset(&in);
	fd = rig_connect(&g);
	rig_say(&g, fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n");
	rig_send(&g, fd, block, sizeof(block));
	assert_true(rig_expect(&g, fd, &in, "HTTP/1.1 200", 1000));
	close(fd);
	buf_free(&in);
	rig_close_h2(&g, &c);
}

/* Answers of clients that do not read fill a budget; who takes nothing goes, who takes little stays. */
static void waiting_answers_are_bounded(void **state)
{
	struct rig g = { .o.answer_budget = 9u << 20, .o.stall_ms = 60000 };
	struct h2 stuck, slow;

	(void)state;
	rig_open(&g);
	h2_open(&stuck, &g, 0);
	h2_open(&slow, &g, 1000);
	h2_request(&stuck, 1, "/room", END_STREAM);
	h2_request(&slow, 1, "/room", END_STREAM);
	assert_true(h2_wait(&stuck, HEADERS, 1, 0, 2000));
	assert_true(h2_wait(&slow, DATA, 1, 0, 2000));
	h2_request(&stuck, 3, "/room", END_STREAM);
	assert_true(h2_wait(&stuck, HEADERS, 3, 0, 2000));
	assert_true(h2_headers_hold(&stuck, 1, "\x88")); /* 200 in HPACK's static table */
	assert_false(h2_headers_hold(&stuck, 3, "\x88"));
	for (int i = 0; i < 12; i++) {
		bool room = httpd_room(g.h, 2u << 20); /* no: ends what has been stuck for 3 s */

		assert_true(room ? i > 5 : i < 11);
		rig_turn(&g, 500);
		h2_send_u32(&slow, WINDOW_UPDATE, 1, 500);
	}
	assert_true(h2_wait(&stuck, RST_STREAM, 1, 0, 2000));
	assert_false(h2_wait(&slow, RST_STREAM, 1, 0, 100));
	assert_true(h2_data(&slow, 1) > 3000);
	assert_true(httpd_room(g.h, 4u << 20));
	h2_close(&stuck);
	h2_close(&slow);
	rig_close(&g);
}

/* The same for answers of any size, by their number. */
static void open_requests_are_bounded(void **state)
{
	struct rig g = { .o.max_requests = 5, .o.stall_ms = 60000 };
	struct h2 stuck, good;

	(void)state;
	rig_open(&g);
	h2_open(&stuck, &g, 0);
	h2_open(&good, &g, 65535);
	for (uint32_t id = 1; id <= 15; id += 2)
		h2_request(&stuck, id, "/hi", END_STREAM);
	assert_true(h2_wait(&stuck, RST_STREAM, 15, 0, 2000));
	assert_int_equal(g.seen, 5);
	assert_int_equal(h2_reset_code(&stuck, 9), -1);
	assert_int_equal(h2_reset_code(&stuck, 11), 2); /* INTERNAL_ERROR: nobody shall ask again at once */
	rig_turn(&g, 4500);
	h2_request(&good, 1, "/hi", END_STREAM); /* too many still, but now the stuck ones go */
	assert_true(h2_wait(&good, RST_STREAM, 1, 0, 2000));
	assert_true(h2_wait(&stuck, RST_STREAM, 9, 0, 2000));
	h2_request(&good, 3, "/hi", END_STREAM);
	assert_true(h2_wait(&good, DATA, 3, END_STREAM, 2000));
	h2_close(&stuck);
	h2_close(&good);
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waiting_answers_are_bounded),
		cmocka_unit_test(open_requests_are_bounded),
		cmocka_unit_test(smuggling_shapes_end_the_connection),
		cmocka_unit_test(large_heads_are_refused),
		cmocka_unit_test(http1_bodies_over_the_limit_reach_the_handler),
		cmocka_unit_test(slow_http1_clients_are_cut),
		cmocka_unit_test(slow_http2_bodies_are_reset),
		cmocka_unit_test(idle_http2_is_cut),
		cmocka_unit_test(the_oldest_idle_connection_gives_way),
		cmocka_unit_test(busy_connections_do_not_give_way),
		cmocka_unit_test(bodies_share_a_budget),
		cmocka_unit_test(http2_bodies_count_too),
		cmocka_unit_test(held_bodies_count_until_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
