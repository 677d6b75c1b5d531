/* SPDX-License-Identifier: Apache-2.0
 *
 * The allow-list as the command line changes it: what it says of a list is what
 * the broker makes of it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/peers.h"
#include "common/zauth.h"

#define KEY "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
#define SECOND "AgIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="

static char dir[64], path[80];

static void write_list(const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* What a broker says to it. */
static bool broker_takes(void)
{
	struct zctx *c = zctx_new();
	struct zauth *a;
	uv_loop_t uv;
	bool taken;

	assert_int_equal(uv_loop_init(&uv), 0);
	a = zauth_open(c, &uv);
	taken = zauth_load(a, path) == ERR_OK;
	zauth_close(a);
	uv_run(&uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&uv), 0);
	zctx_free(c);
	return taken;
}

static void as_the_broker(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} lists[] = {
		{ "", true },
		{ "# nobody\n\n \t \r\n", true },
		{ "gateway " KEY " a\nworker " SECOND "\nbroker " KEY " b # c d e", true },
		{ "\tgateway\t" KEY "\ta\r\n", true },
		{ "gateway " KEY " a b\n", false },
		{ "gateways " KEY " a\n", false },
		{ "gateway\n", false },
		{ "gateway # " KEY "\n", false },
		{ "gateway " KEY "= a\n", false },
		{ "gateway a " KEY "\n", false },
		{ "gateway " KEY " a\nhello\nworker " SECOND " b\n", false },
	};
	char text[1200];

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		write_list(lists[i].text);
		assert_int_equal(peers_taken(dir), lists[i].good);
		assert_int_equal(broker_takes(), lists[i].good);
	}
	for (size_t n = 500; n < 1100; n += n < 520 ? 1 : 100) { /* long lines */
		snprintf(text, sizeof(text), "# %0*d\n", (int)n, 0);
		write_list(text);
		assert_int_equal(peers_taken(dir), broker_takes());
	}
	assert_int_equal(unlink(path), 0);
	assert_false(peers_taken(dir));
}

static void a_line_is_taken_out(void **state)
{
	(void)state;
	write_list("gateway " KEY " a\r\nworker " SECOND " b\nhello\n");
	assert_int_equal(peers_remove(dir, "a"), 1);
	assert_false(peers_taken(dir));
	assert_int_equal(peers_remove(dir, "nobody"), 0);
	assert_int_equal(peers_remove(dir, SECOND), 1);
	assert_int_equal(unlink(path), 0);
}

/* Two operators, or one and a script: no change undoes another. */
static void many_at_once(void **state)
{
	char name[16], line[256];
	uint8_t key[32] = { 1 };
	pid_t pids[8];
	int status, lines = 0;
	FILE *f;

	(void)state;
	write_list("gateway " KEY " old\n");
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "w%d", i);
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(i ? !peers_add(dir, "worker", name, key) : peers_remove(dir, "old") != 1);
		assert_true(pids[i] > 0);
	}
	for (int i = 0; i < 8; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		assert_null(strstr(line, "old"));
		lines++;
	}
	fclose(f);
	assert_int_equal(lines, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_broker),
		cmocka_unit_test(a_line_is_taken_out),
		cmocka_unit_test(many_at_once),
	};
	int failed;

	snprintf(dir, sizeof(dir), "/tmp/sealway-peers.XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/peers", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
