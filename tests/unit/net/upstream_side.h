/* SPDX-License-Identifier: Apache-2.0
 *
 * The two sides of an exchange in the tests of the HTTP client: the server that
 * says what it is told to, and what the client saw.
 */
#ifndef SEALWAY_TESTS_UNIT_NET_UPSTREAM_SIDE_H
#define SEALWAY_TESTS_UNIT_NET_UPSTREAM_SIDE_H

#include "common/net/upstream_impl.h"
#include "tests/unit/net/fake_server.h"

#define PATIENCE_MS 5000

struct side {
	uv_loop_t uv;
	struct upstream *up;
	struct fake_server *server;
	char url[64];
	/* what the server does */
	const char *answer;
	bool hang_up;           /* after the answer */
	bool hang_up_next;      /* on the second request, before any answer */
	unsigned late_ms;       /* so long after it came */
	struct fake_conn *conn; /* of the last request */
	struct buf request;
	unsigned requests;
	bool gone;
	/* what the client saw */
	struct upstream_req *req;
	unsigned heads, dones;
	int status;
	char type[128];
	struct buf body;
	bool done;
	enum upstream_result result;
	bool pause_at_data, cancel_at_head, cancel_at_data;
	unsigned asked;
	bool allow;
};

/* Of a test of its own, for cmocka: with a loop, a server and a pool. */
int side_setup(void **state);
/* Nothing may be left. */
int side_teardown(void **state);

/* A POST with all callbacks and deadlines of seconds. */
struct upstream_call side_call(struct side *s);
void side_start(struct side *s, const struct upstream_call *c);
/* Waits for the end. */
enum upstream_result side_finish(struct side *s);
/* Both, with side_call's; the server says answer, and hangs up then or not. */
enum upstream_result side_get(struct side *s, const char *answer, bool hang_up);
void side_assert_body(struct side *s, const char *want);
/* What side_call has for the end. */
void side_on_done(void *arg, enum upstream_result r);

#endif
