/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that are put into place, and what is left when that fails.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "tests/unit/tempfile.h"

static void is_put(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(file_put(path, SLICE_STR("long text")), ERR_OK);
	assert_int_equal(file_put(path, SLICE_STR("text")), ERR_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void nothing_is_left_of_a_failure(void **state)
{
	(void)state;
	assert_int_equal(mkdir(path, 0700), 0);
	errno = 0;
	assert_int_equal(file_put(path, SLICE_STR("a secret")), ERR_IO);
	assert_int_equal(errno, EISDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(is_put, tempfile_setup, tempfile_teardown),
		cmocka_unit_test_setup_teardown(nothing_is_left_of_a_failure, tempfile_setup,
						tempfile_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
