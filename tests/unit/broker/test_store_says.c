/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operator reads when the system refuses something to the store: the
 * reason, and what to do about that reason.
 */
#include "tests/unit/broker/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#include "broker/store.h"
#include "broker/store_read.h"
#include "tests/unit/broker/disk.h"
#include "tests/unit/said.h"

static uv_loop_t loop;
static bool no_locks;

/* Stands before libc's. */
int flock(int fd, int operation)
{
	if (no_locks) {
		errno = ENOLCK;
		return -1;
	}
	return (int)syscall(SYS_flock, fd, operation);
}

static struct said words;

/* So that the loop has what it needs, and the database is there. */
static int setup(void **state)
{
	struct store *s;
	uint64_t epoch;

	*state = (void *)disk_new();
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(store_open(&s, &loop, *state, &epoch), ERR_OK);
	store_close(s);
	return uv_run(&loop, UV_RUN_DEFAULT);
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(uv_loop_close(&loop), 0);
	disk_free();
	return 0;
}

static void locks_that_nobody_holds(void **state)
{
	struct store *s;
	uint64_t epoch;
	char text[2048];

	no_locks = true;
	said_begin(&words);
	assert_int_equal(store_open(&s, &loop, *state, &epoch), ERR_IO);
	said_end(&words, text, sizeof(text));
	no_locks = false;
	assert_non_null(strstr(text, strerror(ENOLCK)));
	assert_null(strstr(text, "another broker"));
}

/* So many descriptors and no more. */
static void leave(unsigned n, struct rlimit *before)
{
	struct rlimit few;
	int first = dup(0);

	close(first); /* lower ones are taken */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, before), 0);
	few = (struct rlimit){ (rlim_t)first + n, before->rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
}

static void too_few_files(void **state)
{
	struct store *s;
	struct rlimit before;
	uint64_t epoch;
	char text[4096];
	const char *todo;
	unsigned n = 0;
	enum err e;

	do {
		said_begin(&words);
		leave(n, &before);
		e = store_open(&s, &loop, *state, &epoch);
		setrlimit(RLIMIT_NOFILE, &before);
		said_end(&words, text, sizeof(text));
		assert_null(strstr(text, "not an error"));
		todo = strstr(text, "event=store_open ") && strstr(text, "event=store_log ")
			       ? "see the lines above"
			       : "limit of open files";
		if (e != ERR_OK && (!strstr(text, strerror(EMFILE)) || !strstr(text, todo)))
			fail_msg("with %u descriptors: %s", n, text);
	} while (e != ERR_OK && ++n < 20);
	assert_in_range(n, 4, 19);
	store_close(s);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void on_problem(void *arg, const char *text)
{
	assert_non_null(strstr(text, "cannot be "));
	++*(unsigned *)arg;
}

/* A ledger that cannot be looked at is not one that bills too much. */
static void too_few_files_to_check(void **state)
{
	struct rlimit before;
	unsigned n = 0, problems, worst = 0;
	bool sound;

	do {
		problems = 0;
		leave(n, &before);
		sound = store_check(*state, on_problem, &problems);
		setrlimit(RLIMIT_NOFILE, &before);
		assert_true(sound == (problems == 0));
		worst = problems > worst ? problems : worst;
	} while (!sound && ++n < 20);
	assert_in_range(n, 2, 19);
	assert_in_range(worst, 1, 20);
}

static void files_that_may_not_grow(void **state)
{
	struct rlimit before, small;
	struct store *s;
	uint64_t epoch;
	char text[2048];

	signal(SIGXFSZ, SIG_IGN);
	said_begin(&words);
	getrlimit(RLIMIT_FSIZE, &before);
	small = (struct rlimit){ 4096, before.rlim_max };
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(store_open(&s, &loop, *state, &epoch), ERR_IO);
	setrlimit(RLIMIT_FSIZE, &before);
	said_end(&words, text, sizeof(text));
	assert_non_null(strstr(text, strerror(EFBIG)));
	assert_non_null(strstr(text, "limit of file sizes"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(locks_that_nobody_holds), T(too_few_files),
					    T(too_few_files_to_check), T(files_that_may_not_grow) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
