/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory of a test's own.  Each helper fails the test when it cannot do its work.
 */
#ifndef SEALWAY_TESTS_UNIT_TEMPDIR_H
#define SEALWAY_TESTS_UNIT_TEMPDIR_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEMPDIR_ROOM 64 /* bytes, with the end; short enough for the path of a socket in it */

/* Makes an empty directory that only we may read, and writes its path to dir. */
static inline void tempdir_make(char dir[TEMPDIR_ROOM])
{
	strcpy(dir, "/tmp/sealway-test.XXXXXX");
	assert_non_null(mkdtemp(dir));
}

/* Removes the file, or empty directory, of that name, if there is one. */
static inline void tempdir_drop(const char *dir, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	remove(path);
}

/* Removes the directory, in which nothing may be left. */
static inline void tempdir_remove(const char *dir)
{
	assert_int_equal(rmdir(dir), 0);
}

#endif
