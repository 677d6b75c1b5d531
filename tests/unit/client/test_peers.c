/* SPDX-License-Identifier: Apache-2.0
 *
 * The allow-list as the command line changes it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/peers.h"
#include "tests/unit/tempdir.h"

#define KEY "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
#define SECOND "AgIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="

static char dir[TEMPDIR_ROOM], path[80];

static int setup(void **state)
{
	(void)state;
	tempdir_make(dir);
	snprintf(path, sizeof(path), "%s/peers", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tempdir_remove(dir);
	return 0;
}

static void write_list(const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void lists_with_a_mistake(void **state)
{
	(void)state;
	write_list("gateway " KEY " a\n");
	assert_true(peers_taken(dir));
	write_list("gateway " KEY " a\nhello\n");
	assert_false(peers_taken(dir));
	assert_int_equal(unlink(path), 0);
	assert_false(peers_taken(dir));
}

/* A line with a mistake, too: nobody else could put it right. */
static void a_line_is_taken_out(void **state)
{
	(void)state;
	write_list("gateway " KEY " a\r\nworker " SECOND " b\nworker " KEY "\nking 123 arthur\nhello\n");
	assert_int_equal(peers_remove(dir, "a"), 1);
	assert_false(peers_taken(dir));
	assert_int_equal(peers_remove(dir, "nobody"), 0);
	assert_int_equal(peers_remove(dir, ""), 0); /* which is not the name of who has none */
	assert_int_equal(peers_remove(dir, SECOND), 1);
	assert_int_equal(peers_remove(dir, "arthur"), 1);
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
	assert_int_equal(unlink(path), 0);
}

/* The last line of a file that somebody wrote may have no end. */
static void a_line_is_put_on(void **state)
{
	uint8_t key[32] = { 1 };
	char roles[64];

	(void)state;
	assert_true(peers_add(dir, "gateway", "a", key)); /* the file is made */
	assert_false(peers_add(dir, "worker", "a", key));
	assert_true(peers_taken(dir));
	write_list("worker " KEY " a");
	assert_true(peers_add(dir, "gateway", "b", key));
	assert_true(peers_add(dir, "worker", "c", key));
	assert_true(peers_taken(dir));
	peers_roles(dir, key, roles, sizeof(roles));
	assert_string_equal(roles, "gateway,worker");
	assert_int_equal(unlink(path), 0);
}

/* The directory may be one that others can read: keys are made in the present one. */
static void a_lock_that_is_never_given_back(void **state)
{
	uint8_t key[32] = { 1 };
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_false(peers_add(dir, "gateway", "a", key));
	close(fd);
	assert_true(peers_add(dir, "gateway", "a", key));
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_with_a_mistake),
		cmocka_unit_test(a_line_is_taken_out),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test(a_line_is_put_on),
		cmocka_unit_test(a_lock_that_is_never_given_back),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
