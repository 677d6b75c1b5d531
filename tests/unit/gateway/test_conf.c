/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's settings: defaults of PROTOCOL section 9, and what only shows
 * when settings are looked at together.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/resource.h>

#include "gateway/conf.h"

static enum err load(struct gw_conf *c, int n, char **flags)
{
	char *argv[16] = { "sealway-gateway" };

	assert_true(n < 15);
	for (int i = 0; i < n; i++)
		argv[1 + i] = flags[i];
	*c = (struct gw_conf){ .threads = 0 };
	return conf_load(&gw_conf_spec, c, 1 + n, argv) == CONF_RUN ? ERR_OK : ERR_CONFIG;
}

#define LOAD(c, ...) load(c, sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *), (char *[]){ __VA_ARGS__ })

static void defaults(void **state)
{
	struct gw_conf c;

	(void)state;
	assert_int_equal(load(&c, 0, NULL), ERR_OK);
	assert_int_equal(c.max_body, 16 << 20);
	assert_int_equal(c.head_ms, 10000);
	assert_int_equal(c.body_ms, 120000);
	assert_int_equal(c.dispatch_ms, 30000);
	assert_int_equal(c.connect_ms, 5000);
	assert_int_equal(c.first_byte_ms, 120000);
	assert_int_equal(c.gap_ms, 60000);
	assert_int_equal(c.stream_ms, 3600000);
	assert_int_equal(c.keepalive_ms, 15000);
	assert_int_equal(c.drain_s, 30);
	assert_true(c.threads >= 1);
	conf_free(&gw_conf_spec, &c);
}

static void endpoints(void **state)
{
	static char *const bad[] = {
		"", "   ", "ipc", "http://a", "ipc:///a udp://b", "tcp:/x", "ipc:///a tcp://127.0.0.1:1"
	};
	struct gw_conf c;

	(void)state;
	assert_int_equal(LOAD(&c, "--brokers", "ipc:///a  tcp://127.0.0.1:1", "--insecure"), ERR_OK);
	conf_free(&gw_conf_spec, &c);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(LOAD(&c, "--brokers", bad[i]), ERR_CONFIG);
		conf_free(&gw_conf_spec, &c);
	}
}

static void pairs(void **state)
{
	struct gw_conf c;

	(void)state;
	assert_int_equal(LOAD(&c, "--tls-cert", "a.pem"), ERR_CONFIG);
	conf_free(&gw_conf_spec, &c);
	assert_int_equal(LOAD(&c, "--tls-key", "a.pem"), ERR_CONFIG);
	conf_free(&gw_conf_spec, &c);
	assert_int_equal(LOAD(&c, "--tls-cert", "a", "--tls-key", "b"), ERR_OK);
	conf_free(&gw_conf_spec, &c);
	assert_int_equal(LOAD(&c, "--curve-key", "a"), ERR_CONFIG);
	conf_free(&gw_conf_spec, &c);
	assert_int_equal(LOAD(&c, "--broker-key", "a"), ERR_CONFIG);
	conf_free(&gw_conf_spec, &c);
}

static void room_for_a_body(void **state)
{
	struct gw_conf c;

	(void)state;
	assert_int_equal(LOAD(&c, "--max-body", "8M", "--body-budget", "16M", "--threads", "3"), ERR_OK);
	assert_int_equal(c.threads, 3);
	conf_free(&gw_conf_spec, &c);
	assert_int_equal(LOAD(&c, "--max-body", "8M", "--body-budget", "15M"), ERR_CONFIG);
	conf_free(&gw_conf_spec, &c);
}

/* The last test: the limit cannot be raised again. */
static void descriptors_for_others(void **state)
{
	struct rlimit files = { 800, 800 };
	struct gw_conf c;

	(void)state;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	assert_int_equal(LOAD(&c, "--max-conns", "10000", "--threads", "2"), ERR_OK);
	assert_int_equal(c.max_conns, 300);
	conf_free(&gw_conf_spec, &c);
	assert_int_equal(LOAD(&c, "--max-conns", "300", "--threads", "2"), ERR_OK);
	assert_int_equal(c.max_conns, 300);
	conf_free(&gw_conf_spec, &c);
	assert_int_equal(LOAD(&c, "--max-conns", "20", "--threads", "2"), ERR_OK);
	assert_int_equal(c.max_conns, 20);
	conf_free(&gw_conf_spec, &c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(endpoints),
		cmocka_unit_test(pairs),
		cmocka_unit_test(room_for_a_body),
		cmocka_unit_test(descriptors_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
