/* SPDX-License-Identifier: Apache-2.0
 *
 * Files for what an answer brings: whole, or as they were before there was one.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/keep.h"
#include "tests/unit/tempfile.h"

/* Bytes in the file; -1: there is none. */
static long size(void)
{
	struct stat st;

	return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

static void kept(void **state)
{
	struct keep k;

	(void)state;
	assert_true(keep_open(&k, path, 0600));
	assert_true(keep_write(&k, SLICE_STR("a long one")));
	assert_int_equal(size(), 10);
	assert_true(keep_open(&k, path, 0600));
	assert_int_equal(size(), 10);
	keep_close(&k);
	assert_int_equal(size(), 10);
	assert_true(keep_open(&k, path, 0600));
	assert_true(keep_write(&k, SLICE_STR("short")));
	assert_int_equal(size(), 5);
}

static void not_written(void **state)
{
	struct keep k;

	(void)state;
	assert_true(keep_open(&k, path, 0600));
	assert_int_equal(size(), 0);
	keep_close(&k);
	assert_int_equal(size(), -1);
}

/* The disk is full after four bytes. */
static bool write_too_much(void)
{
	struct rlimit was, four;
	struct keep k;
	bool ok;

	assert_true(keep_open(&k, path, 0600));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	four = was;
	four.rlim_cur = 4;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &four), 0);
	ok = keep_write(&k, SLICE_STR("five5"));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	return ok;
}

static void half_is_not_left(void **state)
{
	struct keep k;

	(void)state;
	assert_false(write_too_much());
	assert_int_equal(size(), -1);
	assert_true(keep_open(&k, path, 0600));
	assert_true(keep_write(&k, SLICE_STR("what was there before")));
	assert_false(write_too_much());
	assert_int_equal(size(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(kept, tempfile_setup, tempfile_teardown),
		cmocka_unit_test_setup_teardown(not_written, tempfile_setup, tempfile_teardown),
		cmocka_unit_test_setup_teardown(half_is_not_left, tempfile_setup, tempfile_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
