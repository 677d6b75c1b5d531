/* SPDX-License-Identifier: Apache-2.0
 *
 * Health checks for a broker: what counts as reached, what does not, and that
 * each is answered once.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/net/fake_server.h"
#include "worker/probes.h"

#define PATIENCE_MS 5000

struct side {
	uv_loop_t uv;
	struct upstream *up;
	struct probes *probes;
	struct fake_server *server;
	char address[64];
	const char *answer; /* NULL: none */
	bool hang_up, refuse;
	unsigned asked, said;
	bool has_said;
	struct probed last;
};

static void on_request(void *arg, struct fake_conn *c, struct slice request)
{
	static const char line[] = "GET /health HTTP/1.1\r\n";
	struct side *s = arg;

	assert_memory_equal(request.p, line, strlen(line));
	assert_int_equal(fake_header(request, "X-Sealway-Auth").n, 0); /* whoever is there learns nothing */
	assert_int_equal(fake_header(request, "X-Request-Id").n, 0);
	s->asked++;
	if (s->hang_up)
		fake_hang_up(c);
	else if (s->answer)
		fake_say(c, s->answer);
}

static void on_probed(void *arg, unsigned to, const struct probed *m)
{
	struct side *s = arg;

	assert_int_equal(to, 3);
	assert_int_equal(m->node, 7);
	assert_int_equal(m->epoch, 5);
	assert_int_equal(m->rid[0], 0xaa);
	s->last = *m;
	s->said++;
	s->has_said = true;
}

static bool allow(void *arg, const struct sockaddr *sa, bool tls)
{
	(void)sa, (void)tls;
	return !((struct side *)arg)->refuse;
}

static int setup(void **state)
{
	struct side *s = mem_new(sizeof(*s));
	struct fake_events ev = { on_request, NULL, s };
	struct upstream_opts up = { .ca_file = "", .allow_address = allow, .arg = s };

	uv_loop_init(&s->uv);
	s->up = upstream_new(&s->uv, &up);
	s->probes = probes_new(s->up, on_probed, s);
	s->server = fake_open(&s->uv, &ev);
	snprintf(s->address, sizeof(s->address), "http://127.0.0.1:%u", fake_port(s->server));
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct side *s = *state;

	probes_free(s->probes);
	upstream_free(s->up);
	fake_close(s->server);
	uv_run(&s->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->uv), 0);
	free(s);
	return 0;
}

static void ask(struct side *s, const char *address, uint32_t timeout_ms)
{
	struct probe m = { .rid = { 0xaa },
			   .epoch = 5,
			   .node = 7,
			   .address = slice_str(address),
			   .timeout_ms = timeout_ms };

	probes_ask(s->probes, 3, &m);
}

static void expect(struct side *s, const char *address, enum probe_result want)
{
	s->has_said = false;
	s->said = 0;
	ask(s, address, 300);
	assert_true(s->has_said || fake_run(&s->uv, &s->has_said, PATIENCE_MS));
	fake_run(&s->uv, NULL, 10);
	assert_int_equal(s->said, 1);
	assert_int_equal(s->last.result, want);
	assert_int_equal(probes_count(s->probes), 0);
}

static void reached(void **state)
{
	struct side *s = *state;

	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
	expect(s, s->address, PROBE_REACHED);
	assert_true(s->last.latency_us > 0 && s->last.latency_us < 300000);
	expect(s, s->address, PROBE_REACHED); /* on a kept connection, too */
	assert_int_equal(s->asked, 2);
}

static void not_reached(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: /health\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{}", /* never whole */
		"SSH-2.0-OpenSSH_9.2\r\n",
		NULL, /* not a word */
	};
	struct side *s = *state;
	struct buf big = { 0 };

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		s->answer = answers[i];
		s->asked = 0;
		expect(s, s->address, PROBE_FAILED);
		assert_int_equal(s->asked, 1); /* no redirect is followed, nothing is tried twice */
	}
	buf_fmt(&big, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n%05000d%c", 0, 0);
	s->answer = (const char *)big.p;
	expect(s, s->address, PROBE_FAILED); /* more than a word about its health */
	s->hang_up = true;
	expect(s, s->address, PROBE_FAILED);
	s->hang_up = false;
	expect(s, "http://127.0.0.1:1", PROBE_FAILED);
	buf_free(&big);
}

static void addresses_that_are_refused(void **state)
{
	static const char *const bad[] = { "file:///etc/passwd", "ftp://127.0.0.1", "http://a@127.0.0.1",
					   "http://127.0.0.1/x?y=" };
	struct side *s = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect(s, bad[i], PROBE_FAILED);
	s->refuse = true; /* the same rules for addresses as for requests */
	expect(s, s->address, PROBE_FAILED);
	assert_int_equal(s->asked, 0);
}

static void bounded(void **state)
{
	struct side *s = *state;

	for (int i = 0; i < PROBES_MAX; i++)
		ask(s, s->address, 60000);
	assert_int_equal(probes_count(s->probes), PROBES_MAX);
	assert_int_equal(s->said, 0);
	ask(s, s->address, 60000);
	assert_int_equal(s->said, 1);
	assert_int_equal(s->last.result, PROBE_NOT_TRIED);
	assert_int_equal(probes_count(s->probes),
			 PROBES_MAX); /* and taking it apart while they run is no trouble */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(reached), T(not_reached), T(addresses_that_are_refused),
					    T(bounded) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
