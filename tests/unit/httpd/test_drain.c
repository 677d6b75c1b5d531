/* SPDX-License-Identifier: Apache-2.0
 *
 * Ending a server: drain, cut, and what must not be lost.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/httpd/h2client.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static void nothing_open_drains_at_once(void **state)
{
	struct rig g = { 0 };

	(void)state;
	rig_open(&g);
	rig_drain(&g);
	assert_false(g.drained); /* never from inside the call */
	assert_true(rig_drained(&g, 200));
	rig_close(&g);
}

static void idle_connections_are_closed_at_once(void **state)
{
	struct rig g = { 0 };
	struct buf in = { 0 };
	int fd;

	(void)state;
	fd = rig_open_client(&g);
	rig_say(&g, fd, GET("/hi"));
	assert_true(rig_expect(&g, fd, &in, "hi\n", 1000));
	rig_drain(&g);
	assert_true(rig_closed(&g, fd, &in, 300));
	assert_true(rig_drained(&g, 300));
	close(fd);
	buf_free(&in);
	rig_close(&g);
}

static void requests_under_way_finish(void **state)
{
	struct rig g = { 0 };
	struct buf in = { 0 };
	struct hreq *slow;
	struct h2 c;
	int fd;

	(void)state;
	fd = rig_open_client(&g);
	rig_say(&g, fd, GET("/hold"));
	assert_true(rig_until(&g, &g.seen, 1, 1000));
	slow = g.held;
	h2_open(&c, &g, 65535);
	h2_request(&c, 1, "/stream", END_STREAM);
	assert_true(rig_until(&g, &g.seen, 2, 1000));
	rig_drain(&g);
	rig_turn(&g, 300);
	assert_false(g.drained);
	assert_true(h2_frames(&c, GOAWAY, 0, 0) > 0 || h2_wait(&c, GOAWAY, 0, 0, 1000));
	hreq_respond(slow, 200, NULL, 0, SLICE_STR("finished"));
	assert_true(rig_closed(&g, fd, &in, 1000));
	assert_int_equal(rig_count(&in, "Connection: close\r\n"), 1);
	assert_int_equal(rig_count(&in, "\r\n\r\nfinished"), 1);
	assert_false(g.drained);
	hreq_write(g.held, SLICE_STR("last"));
	hreq_end(g.held);
	assert_true(h2_wait(&c, DATA, 1, END_STREAM, 1000));
	assert_true(rig_drained(&g, 3000));
	assert_int_equal(g.gone, 0);
	close(fd);
	h2_close(&c);
	buf_free(&in);
	rig_close(&g);
}

/* Connected and asked before the drain, not accepted yet: still served. */
static void the_accept_queue_is_served(void **state)
{
	struct rig g = { .o.reuseport = true };
	struct buf in = { 0 };
	int fd[5];

	(void)state;
	rig_open(&g);
	for (int i = 0; i < 5; i++) {
		fd[i] = rig_connect(&g);
		assert_true(send(fd[i], GET("/hi"), sizeof(GET("/hi")) - 1, 0) > 0);
	}
	assert_int_equal(httpd_conns(g.h), 0);
	rig_drain(&g);
	for (int i = 0; i < 5; i++) {
		buf_reset(&in);
		assert_true(rig_closed(&g, fd[i], &in, 2000));
		assert_int_equal(rig_count(&in, "hi\n"), 1);
		close(fd[i]);
	}
	assert_true(rig_drained(&g, 2000));
	buf_free(&in);
	rig_close(&g);
}

static void new_connections_are_refused(void **state)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	struct rig g = { 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	rig_open(&g);
	sa.sin_port = htons(httpd_port(g.h));
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	rig_drain(&g);
	assert_true(rig_drained(&g, 300));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), -1);
	close(fd);
	rig_close(&g);
}

/* A close tells every open request once, before it returns, and never again. */
static void closing_cuts_everything(void **state)
{
	struct rig g = { 0 };
	struct h2 c;
	int fd[3];

	(void)state;
	rig_open(&g);
	for (int i = 0; i < 3; i++) {
		fd[i] = rig_connect(&g);
		rig_say(&g, fd[i], i == 0 ? GET("/hold") : i == 1 ? GET("/stream") : "GET /half");
	}
	h2_open(&c, &g, 65535);
	h2_request(&c, 1, "/hold", END_STREAM);
	h2_request(&c, 3, "/stream", END_STREAM);
	h2_request(&c, 5, "/echo", 0);
	assert_true(rig_until(&g, &g.seen, 4, 1000));
	rig_drain(&g);
	httpd_close(g.h);
	assert_int_equal(g.gone, 4);
	g.seen = 0;
	uv_run(&g.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&g.loop), 0);
	assert_int_equal(g.gone, 4);
	assert_int_equal(g.seen, 0);
	assert_false(g.drained);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	h2_close(&c);
}

static void bad_options_are_refused(void **state)
{
	static const char *const bad[] = {
		"",       "127.0.0.1", "127.0.0.1:", ":80",          "127.0.0.1:65536", "127.0.0.1:http",
		"::1:80", "[::1]",     "[::1:80",    "localhost:80", "300.0.0.1:80",    "[]:80"
	};
	struct rig g = { 0 };
	struct httpd_opts o;
	struct httpd *h = NULL;

	(void)state;
	rig_open(&g);
	o = g.o;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o.listen = bad[i];
		assert_int_equal(httpd_open(&h, &g.loop, &o), ERR_CONFIG);
	}
	o.listen = NULL;
	assert_int_equal(httpd_open(&h, &g.loop, &o), ERR_CONFIG);
	o.listen = "192.0.2.1:1"; /* not ours */
	assert_int_equal(httpd_open(&h, &g.loop, &o), ERR_IO);
	assert_null(h);
	httpd_close(NULL);
	rig_close(&g);
}

/* On a machine without IPv6 the address is refused, not taken for another. */
static void ipv6_listens(void **state)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct rig g = { 0 }, six = { .o.listen = "[::1]:0" };
	struct httpd *h = NULL;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	(void)state;
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		rig_open(&g);
		g.o.listen = "[::1]:0";
		assert_int_equal(httpd_open(&h, &g.loop, &g.o), ERR_IO);
		rig_close(&g);
		return;
	}
	rig_open(&six);
	sa.sin6_port = htons(httpd_port(six.h));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	rig_say(&six, fd, GET("/hi"));
	assert_true(rig_until(&six, &six.seen, 1, 1000));
	close(fd);
	rig_close(&six);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_open_drains_at_once),
		cmocka_unit_test(idle_connections_are_closed_at_once),
		cmocka_unit_test(requests_under_way_finish),
		cmocka_unit_test(the_accept_queue_is_served),
		cmocka_unit_test(new_connections_are_refused),
		cmocka_unit_test(closing_cuts_everything),
		cmocka_unit_test(bad_options_are_refused),
		cmocka_unit_test(ipv6_listens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
