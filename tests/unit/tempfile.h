/* SPDX-License-Identifier: Apache-2.0
 *
 * The place of one file, which is not there yet, in a directory of a test's own.
 */
#ifndef SEALWAY_TESTS_UNIT_TEMPFILE_H
#define SEALWAY_TESTS_UNIT_TEMPFILE_H

#include "tests/unit/tempdir.h"

static char dir[TEMPDIR_ROOM], path[80];

/* For cmocka. */
static inline int tempfile_setup(void **state)
{
	(void)state;
	tempdir_make(dir);
	snprintf(path, sizeof(path), "%s/file", dir);
	return 0;
}

/* Nothing else may be left. */
static inline int tempfile_teardown(void **state)
{
	(void)state;
	tempdir_drop(dir, "file");
	tempdir_remove(dir);
	return 0;
}

#endif
