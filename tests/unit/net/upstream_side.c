/* SPDX-License-Identifier: Apache-2.0
 *
 * Both sides of an exchange (upstream_side.h), on one loop.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/net/upstream_side.h"

static void on_request(void *arg, struct fake_conn *c, struct slice request)
{
	struct side *s = arg;

	s->conn = c;
	s->requests++;
	buf_reset(&s->request);
	buf_add(&s->request, request.p, request.n);
	if (s->hang_up_next && s->requests == 2) {
		s->req->began -= s->late_ms;
		s->req->started -= s->late_ms;
		fake_hang_up(c);
		return;
	}
	if (s->answer)
		fake_say(c, s->answer);
	if (s->hang_up)
		fake_hang_up(c);
}

static void on_gone(void *arg, struct fake_conn *c)
{
	struct side *s = arg;

	s->gone |= c == s->conn;
}

static bool allow(void *arg, const struct sockaddr *sa, bool tls)
{
	struct side *s = arg;

	assert_false(tls);
	assert_int_equal(sa->sa_family, AF_INET);
	s->asked++;
	return s->allow;
}

static void on_head(void *arg, int status, const char *type)
{
	struct side *s = arg;

	s->heads++;
	s->status = status;
	snprintf(s->type, sizeof(s->type), "%s", type);
	if (s->cancel_at_head)
		upstream_cancel(s->req);
}

static void on_data(void *arg, struct slice data)
{
	struct side *s = arg;

	assert_int_equal(s->heads, 1);
	assert_false(s->done);
	buf_add(&s->body, data.p, data.n);
	if (s->pause_at_data)
		upstream_pause(s->req);
	if (s->cancel_at_data)
		upstream_cancel(s->req);
}

void side_on_done(void *arg, enum upstream_result r)
{
	struct side *s = arg;

	s->dones++;
	s->done = true;
	s->result = r;
	s->req = NULL;
}

int side_setup(void **state)
{
	struct side *s = mem_new(sizeof(*s));
	struct fake_events ev = { on_request, on_gone, s };
	struct upstream_opts o = { .ca_file = "", .allow_address = allow, .arg = s };

	uv_loop_init(&s->uv);
	s->server = fake_open(&s->uv, &ev);
	s->up = upstream_new(&s->uv, &o);
	s->allow = true;
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u/path?q=1", fake_port(s->server));
	*state = s;
	return 0;
}

int side_teardown(void **state)
{
	struct side *s = *state;

	upstream_free(s->up);
	fake_close(s->server);
	uv_run(&s->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->uv), 0); /* no handle is left behind */
	buf_free(&s->request);
	buf_free(&s->body);
	free(s);
	return 0;
}

struct upstream_call side_call(struct side *s)
{
	return (struct upstream_call){ .method = "POST",
				       .url = s->url,
				       .body = SLICE_STR("{\"a\":1}"),
				       .connect_ms = 2000,
				       .first_byte_ms = 2000,
				       .gap_ms = 2000,
				       .total_ms = 4000,
				       .on_head = on_head,
				       .on_data = on_data,
				       .on_done = side_on_done,
				       .arg = s };
}

void side_start(struct side *s, const struct upstream_call *c)
{
	unsigned dones = s->dones;

	s->done = false;
	s->heads = 0;
	buf_reset(&s->body);
	s->req = upstream_start(s->up, c);
	assert_non_null(s->req);
	assert_int_equal(s->dones, dones); /* never from inside */
}

enum upstream_result side_finish(struct side *s)
{
	assert_true(fake_run(&s->uv, &s->done, PATIENCE_MS));
	fake_run(&s->uv, NULL, 10);
	return s->result;
}

enum upstream_result side_get(struct side *s, const char *answer, bool hang_up)
{
	struct upstream_call c = side_call(s);

	s->answer = answer;
	s->hang_up = hang_up;
	side_start(s, &c);
	return side_finish(s);
}

void side_assert_body(struct side *s, const char *want)
{
	assert_int_equal(s->body.n, strlen(want));
	assert_memory_equal(s->body.p ? (char *)s->body.p : "", want, s->body.n);
}
