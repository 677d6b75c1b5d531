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

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/httpd/h2client.h"

#define TOO_LONG_S 20 /* for a test whose fault is a loop without end */

static void nobody_left(struct rig *g, unsigned ms)
{
	for (unsigned i = 0; i < ms && httpd_conns(g->h) > 0; i += 10)
		rig_turn(g, 10);
	assert_int_equal(httpd_conns(g->h), 0);
}

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
	nobody_left(&g, 2000);
	alarm(0);
	h2_close(&c);
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_overdue_upload_on_a_closing_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
