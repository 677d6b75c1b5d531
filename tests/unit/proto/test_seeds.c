/* SPDX-License-Identifier: Apache-2.0
 *
 * The seeds of the fuzz targets for messages are the samples of today: one of an
 * older form would be refused at its first bytes, and the target look at nothing
 * behind them.  SEALWAY_WRITE_SEEDS=1 writes them anew.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/proto/families.h"

/* The path of a family's seed, in the one folder that has any of its name. */
static void path_of(const struct family *f, bool full, char *path, size_t room)
{
	glob_t found = { .gl_pathc = 0 };
	char pattern[512];

	snprintf(pattern, sizeof(pattern), CORPUS "/proto_*/%s-full", f->name);
	if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc != 1)
		fail_msg("%s: no seed, or two, in " CORPUS "/proto_*", f->name);
	snprintf(path, room, "%.*s%s", (int)strlen(found.gl_pathv[0]) - 4, found.gl_pathv[0],
		 full ? "full" : "bare");
	globfree(&found);
}

static void write_seed(const char *path, struct slice s)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(s.p, 1, s.n, file), s.n);
	assert_int_equal(fclose(file), 0);
}

static void is_seed(const char *path, struct slice s)
{
	static uint8_t have[65536];
	FILE *file = fopen(path, "r");
	size_t n;

	if (!file)
		fail_msg("%s: cannot be read", path);
	n = fread(have, 1, sizeof(have), file);
	fclose(file);
	if (!slice_eq(slice_of(have, n), s))
		fail_msg("%s is not the sample of today: run this test once with SEALWAY_WRITE_SEEDS=1",
			 path);
}

static void test_seeds(void **state)
{
	struct buf b = { .n = 0 };
	char path[512];

	(void)state;
	for (size_t i = 0; i < 2 * N_FAMILIES; i++) {
		const struct family *f = &FAMILIES[i / 2];

		path_of(f, i % 2, path, sizeof(path));
		buf_reset(&b);
		f->sample(i % 2, &b);
		if (getenv("SEALWAY_WRITE_SEEDS"))
			write_seed(path, buf_slice(&b));
		else
			is_seed(path, buf_slice(&b));
	}
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_seeds) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
