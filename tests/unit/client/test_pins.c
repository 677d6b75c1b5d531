/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of known nodes: pinned at first use, refused when changed, never
 * silently forgotten.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/pins.h"
#include "tests/unit/tempdir.h"

#define ORIGIN "https://gateway.example"

static char dir[TEMPDIR_ROOM], path[128];
static uint8_t one[KEY_BYTES] = { 1 }, two[KEY_BYTES] = { 2 };

static int setup(void **state)
{
	(void)state;
	tempdir_make(dir);
	snprintf(path, sizeof(path), "%s/a/b/known_nodes", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path); /* of which some tests have one of their own */
	tempdir_drop(dir, "a/b");
	tempdir_drop(dir, "a");
	tempdir_remove(dir);
	return 0;
}

static enum pins_found check(const char *origin, uint64_t node, const uint8_t key[KEY_BYTES], struct fault *f)
{
	*f = (struct fault){ 0 };
	return pins_check(path, origin, node, key, f);
}

static void write_file(const char *text)
{
	FILE *to = fopen(path, "w");

	assert_non_null(to);
	fputs(text, to);
	fclose(to);
}

static void first_use_then_the_same(void **state)
{
	struct fault f;
	struct stat st;
	uint8_t key[KEY_BYTES];

	(void)state;
	assert_int_equal(check(ORIGIN, 7, one, &f), PINS_NEW);
	assert_int_equal(check(ORIGIN, 7, one, &f), PINS_SAME);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(pins_look(path, ORIGIN, 7, key, &f), PINS_SAME);
	assert_memory_equal(key, one, KEY_BYTES);
}

static void a_change_is_refused(void **state)
{
	struct fault f;

	(void)state;
	assert_int_equal(check(ORIGIN, 7, one, &f), PINS_NEW);
	assert_int_equal(check(ORIGIN, 7, two, &f), PINS_ERROR);
	assert_int_equal(f.status, SEALWAY_VERIFY);
	assert_non_null(strstr(f.text, "not the one pinned"));
	assert_int_equal(check(ORIGIN, 7, one, &f), PINS_SAME); /* and the record stays */
}

static void others_are_others(void **state)
{
	struct fault f;

	(void)state;
	assert_int_equal(check(ORIGIN, 7, one, &f), PINS_NEW);
	assert_int_equal(check(ORIGIN, 8, two, &f), PINS_NEW);
	assert_int_equal(check(ORIGIN ":8443", 7, two, &f), PINS_NEW);
	assert_int_equal(check(ORIGIN, 7, one, &f), PINS_SAME);
	assert_int_equal(check(ORIGIN, 8, two, &f), PINS_SAME);
	assert_int_equal(check(ORIGIN, 77, two, &f), PINS_NEW); /* not a prefix match */
}

static void comments_stay_and_a_last_line_needs_no_end(void **state)
{
	struct fault f;
	char text[512] = "";
	FILE *from;

	(void)state;
	assert_int_equal(check(ORIGIN, 1, one, &f), PINS_NEW);
	write_file("# mine\n\n" ORIGIN " 7 AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	assert_int_equal(check(ORIGIN, 7, one, &f), PINS_SAME);
	assert_int_equal(check(ORIGIN, 8, one, &f), PINS_NEW);
	assert_int_equal(check(ORIGIN, 7, one, &f), PINS_SAME);
	from = fopen(path, "r");
	assert_true(fread(text, 1, sizeof(text) - 1, from) > 0);
	fclose(from);
	assert_memory_equal(text, "# mine\n", 7);
}

static void damage_is_no_first_use(void **state)
{
	static const char *const texts[] = {
		ORIGIN " 7\n",
		ORIGIN " x AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
		ORIGIN " 7 AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
		ORIGIN " 7 AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= more\n",
		"garbage\n",
	};
	struct fault f;

	(void)state;
	assert_int_equal(check(ORIGIN, 1, one, &f), PINS_NEW);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		write_file(texts[i]);
		assert_int_equal(check(ORIGIN, 9, one, &f), PINS_ERROR);
		assert_int_equal(f.status, SEALWAY_LOCAL);
		assert_non_null(strstr(f.text, "line 1"));
	}
	write_file("");
}

static void a_place_that_cannot_be_written(void **state)
{
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(pins_check("/proc/nowhere/known_nodes", ORIGIN, 1, one, &f), PINS_ERROR);
	assert_int_equal(f.status, SEALWAY_LOCAL);
	assert_int_equal(check(ORIGIN, 1, one, &f), PINS_NEW); /* teardown expects the folders */
}

/* Many at once: every pin survives. */
/* Neither waited for nor replaced: of /dev/null, too, a file would be left. */
static void what_is_no_file_is_left_alone(void **state)
{
	struct fault f;
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/pipe", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(check(ORIGIN, 1, one, &f), PINS_ERROR);
	assert_int_equal(f.status, SEALWAY_LOCAL);
	assert_non_null(strstr(f.text, "not a regular file"));
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
}

static void a_lock_that_is_never_given_back(void **state)
{
	struct fault f;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	snprintf(path, sizeof(path), "%s/known_nodes", dir);
	assert_int_equal(check(ORIGIN, 1, one, &f), PINS_ERROR);
	assert_int_equal(f.status, SEALWAY_LOCAL);
	assert_non_null(strstr(f.text, "another program holds its lock"));
	close(fd);
	assert_int_equal(check(ORIGIN, 1, one, &f), PINS_NEW);
}

static void a_file_of_a_killed_process(void **state)
{
	char temp[160];
	struct fault f;
	FILE *to;

	(void)state;
	snprintf(path, sizeof(path), "%s/known_nodes", dir);
	snprintf(temp, sizeof(temp), "%s.%ld.new", path, (long)getpid());
	to = fopen(temp, "we");
	assert_non_null(to);
	fclose(to);
	assert_int_equal(check(ORIGIN, 1, one, &f), PINS_NEW);
	assert_int_equal(check(ORIGIN, 1, one, &f), PINS_SAME);
}

static bool full;

/* Stands before libc's. */
int mkdir(const char *name, mode_t mode)
{
	if (full) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_mkdirat, AT_FDCWD, name, mode);
}

static void a_directory_that_cannot_be_made(void **state)
{
	struct fault f;

	(void)state;
	full = true;
	assert_int_equal(check(ORIGIN, 1, one, &f), PINS_ERROR);
	assert_non_null(strstr(f.text, strerror(ENOSPC)));
	full = false;
	assert_int_equal(check(ORIGIN, 1, one, &f), PINS_NEW);
}

static void writers_side_by_side(void **state)
{
	struct fault f;
	uint8_t key[KEY_BYTES];
	int status;

	(void)state;
	for (uint64_t i = 1; i <= 8; i++)
		if (fork() == 0)
			_exit(check(ORIGIN, i, one, &f) == PINS_NEW ? 0 : 1);
	for (int i = 0; i < 8; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	for (uint64_t i = 1; i <= 8; i++) {
		f = (struct fault){ 0 };
		assert_int_equal(pins_look(path, ORIGIN, i, key, &f), PINS_SAME);
	}
}

static void default_place(void **state)
{
	char *p;

	(void)state;
	setenv("XDG_CONFIG_HOME", "/x", 1);
	p = pins_default_path();
	assert_string_equal(p, "/x/sealway/known_nodes");
	free(p);
	setenv("XDG_CONFIG_HOME", "relative", 1); /* not allowed by its specification */
	setenv("HOME", "/h", 1);
	p = pins_default_path();
	assert_string_equal(p, "/h/.config/sealway/known_nodes");
	free(p);
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("HOME");
	assert_null(pins_default_path());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(first_use_then_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(a_change_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(others_are_others, setup, teardown),
		cmocka_unit_test_setup_teardown(comments_stay_and_a_last_line_needs_no_end, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_is_no_first_use, setup, teardown),
		cmocka_unit_test_setup_teardown(a_place_that_cannot_be_written, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_file_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lock_that_is_never_given_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_of_a_killed_process, setup, teardown),
		cmocka_unit_test_setup_teardown(a_directory_that_cannot_be_made, setup, teardown),
		cmocka_unit_test_setup_teardown(writers_side_by_side, setup, teardown),
		cmocka_unit_test(default_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
