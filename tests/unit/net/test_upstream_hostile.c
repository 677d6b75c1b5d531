/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node can do to the process that calls it: a name whose DNS server
 * never answers, and transfer codings that make much out of little.  The
 * resolver is replaced for one name; everything runs on one loop.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/net/upstream.h"
#include "tests/unit/net/fake_server.h"

#define SLOW_NAME "slow.invalid"
#define SLOW_US 2500000
#define LONGEST_TURN_MS 1000

/* Stands before libc's. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	(void)service;
	(void)hints;
	(void)out;
	if (name && strcmp(name, SLOW_NAME) == 0)
		usleep(SLOW_US);
	return EAI_NONAME;
}

struct side {
	uv_loop_t uv;
	struct upstream *up;
	struct fake_server *server;
	const char *answer;
	char url[64];
	bool done;
	enum upstream_result result;
	size_t got;
	uv_timer_t tick;
	uint64_t last, longest; /* ms between two turns of the loop */
};

static void on_request(void *arg, struct fake_conn *c, struct slice request)
{
	struct side *s = arg;

	(void)request;
	fake_say(c, s->answer);
}

static void on_head(void *arg, int status, const char *type)
{
	(void)arg;
	(void)status;
	(void)type;
}

static void on_data(void *arg, struct slice data)
{
	struct side *s = arg;

	s->got += data.n;
}

static void on_done(void *arg, enum upstream_result r)
{
	struct side *s = arg;

	s->done = true;
	s->result = r;
}

static void on_tick(uv_timer_t *t)
{
	struct side *s = t->data;
	uint64_t now = uv_hrtime() / 1000000;

	if (s->last && now - s->last > s->longest)
		s->longest = now - s->last;
	s->last = now;
}

static int setup(void **state)
{
	struct side *s = mem_new(sizeof(*s));
	struct fake_events ev = { on_request, NULL, s };
	struct upstream_opts o = { .ca_file = "" };

	uv_loop_init(&s->uv);
	s->server = fake_open(&s->uv, &ev);
	s->up = upstream_new(&s->uv, &o);
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u/", fake_port(s->server));
	uv_timer_init(&s->uv, &s->tick);
	s->tick.data = s;
	uv_timer_start(&s->tick, on_tick, 10, 10);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct side *s = *state;

	upstream_free(s->up);
	fake_close(s->server);
	uv_close((uv_handle_t *)&s->tick, NULL);
	uv_run(&s->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->uv), 0);
	free(s);
	return 0;
}

static struct upstream_req *start(struct side *s, const char *url)
{
	struct upstream_call c = {
		.method = "POST",
		.url = url,
		.body = SLICE_STR("{}"),
		.connect_ms = 300,
		.first_byte_ms = 2000,
		.gap_ms = 2000,
		.on_head = on_head,
		.on_data = on_data,
		.on_done = on_done,
		.arg = s,
	};

	return upstream_start(s->up, &c);
}

/* The deadline ends the exchange; the loop's other work goes on meanwhile. */
static void test_slow_name_deadline(void **state)
{
	struct side *s = *state;

	start(s, "http://" SLOW_NAME "/");
	assert_true(fake_run(&s->uv, &s->done, 2000));
	assert_int_equal(s->result, UPSTREAM_CONNECT);
	fake_run(&s->uv, &(bool){ false }, 50);
	assert_true(s->longest < LONGEST_TURN_MS);
}

static void test_slow_name_cancel(void **state)
{
	struct side *s = *state;
	struct upstream_req *r = start(s, "http://" SLOW_NAME "/");

	fake_run(&s->uv, &(bool){ false }, 50);
	upstream_cancel(r);
	fake_run(&s->uv, &(bool){ false }, 50);
	assert_false(s->done);
	assert_true(s->longest < LONGEST_TURN_MS);
}

/* Nobody asked for a coding, so there is none but chunked: a few KB of gzip, or
 * of gzip in gzip, would otherwise be megabytes or terabytes here. */
static void test_no_transfer_codings(void **state)
{
	static const char *const codings[] = { "gzip, chunked", "deflate, chunked", "gzip, gzip, chunked",
					       "gzip",          "chunked, chunked", "chunked, gzip",
					       "br, chunked",   "identity, chunked" };
	struct side *s = *state;
	char answer[256];

	for (size_t i = 0; i < sizeof(codings) / sizeof(codings[0]); i++) {
		snprintf(answer, sizeof(answer),
			 "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: %s\r\n\r\n"
			 "2\r\nok\r\n0\r\n\r\n",
			 codings[i]);
		s->answer = answer;
		s->done = false;
		start(s, s->url);
		assert_true(fake_run(&s->uv, &s->done, 3000));
		assert_int_equal(s->result, UPSTREAM_INVALID);
		assert_int_equal(s->got, 0);
	}
}

static void test_two_transfer_codings(void **state)
{
	struct side *s = *state;

	s->answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "2\r\nok\r\n0\r\n\r\n";
	start(s, s->url);
	assert_true(fake_run(&s->uv, &s->done, 3000));
	assert_int_equal(s->result, UPSTREAM_INVALID);
}

static void test_chunked_in_any_case(void **state)
{
	struct side *s = *state;

	s->answer = "HTTP/1.1 200 OK\r\ntransfer-encoding:  Chunked \r\n\r\n2\r\nok\r\n0\r\n\r\n";
	start(s, s->url);
	assert_true(fake_run(&s->uv, &s->done, 3000));
	assert_int_equal(s->result, UPSTREAM_OK);
	assert_int_equal(s->got, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_slow_name_deadline),   T(test_slow_name_cancel),    T(test_no_transfer_codings),
		T(test_two_transfer_codings), T(test_chunked_in_any_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
