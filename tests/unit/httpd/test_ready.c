/* SPDX-License-Identifier: Apache-2.0
 *
 * Ready files: whole or not there, for their owner only, and never in the place of
 * something that is no file.
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
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/httpd/admin.h"
#include "tests/unit/tempdir.h"

struct side {
	char dir[TEMPDIR_ROOM], path[80], tmp[80];
};

static int setup(void **state)
{
	struct side *s = calloc(1, sizeof(*s));

	tempdir_make(s->dir);
	snprintf(s->path, sizeof(s->path), "%s/ready", s->dir);
	snprintf(s->tmp, sizeof(s->tmp), "%s/ready.new", s->dir);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct side *s = *state;

	tempdir_drop(s->dir, "ready");
	tempdir_drop(s->dir, "ready.new");
	tempdir_remove(s->dir);
	free(s);
	return 0;
}

static void put(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void assert_ready(const struct side *s, const char *text)
{
	char got[64] = "";
	struct stat st;
	int fd = open(s->path, O_RDONLY);

	assert_true(fd >= 0 && read(fd, got, sizeof(got) - 1) >= 0 && fstat(fd, &st) == 0);
	close(fd);
	assert_string_equal(got, text);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_is_replaced(void **state)
{
	struct side *s = *state;

	assert_int_equal(ready_file_write(s->path, "one\n"), ERR_OK);
	assert_ready(s, "one\n");
	put(s->tmp, "what an earlier life left behind", 0644);
	assert_int_equal(ready_file_write(s->path, "two\n"), ERR_OK);
	assert_ready(s, "two\n");
}

static void test_an_earlier_life_is_forgotten(void **state)
{
	struct side *s = *state;

	assert_int_equal(ready_file_forget(""), ERR_OK);
	assert_int_equal(ready_file_forget(s->path), ERR_OK); /* there was none */
	assert_int_equal(ready_file_write(s->path, "one\n"), ERR_OK);
	assert_int_equal(ready_file_forget(s->path), ERR_OK);
	assert_int_not_equal(access(s->path, F_OK), 0);
}

static bool stays(const struct side *s, long pid)
{
	char text[64];

	snprintf(text, sizeof(text), "{\"pid\":%ld,\"listen\":\"127.0.0.1:8080\"}\n", pid);
	assert_int_equal(ready_file_write(s->path, text), ERR_OK);
	assert_int_equal(ready_file_forget(s->path), ERR_OK);
	return access(s->path, F_OK) == 0;
}

/* A second start by mistake fails at what the first one holds, and must not make that look unready. */
static void test_another_that_serves_keeps_its_own(void **state)
{
	struct side *s = *state;
	pid_t child = fork();
	siginfo_t ended;

	if (child == 0) {
		alarm(10); /* should the test fail */
		pause();
		_exit(0);
	}
	assert_true(child > 0);
	assert_true(stays(s, child));
	kill(child, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT), 0);
	assert_false(stays(s, child)); /* dead, and not waited for */
	waitpid(child, NULL, 0);
	assert_false(stays(s, child));
	assert_false(stays(s, getpid())); /* in a container it is the same at each start */
	assert_false(stays(s, 1));        /* is something else by now */
}

static void test_other_things_stay(void **state)
{
	struct side *s = *state;
	struct stat st;

	assert_int_equal(mkfifo(s->path, 0600), 0); /* a device needs root */
	assert_int_equal(ready_file_write(s->path, "one\n"), ERR_IO);
	assert_int_equal(ready_file_forget(s->path), ERR_IO);
	assert_true(lstat(s->path, &st) == 0 && S_ISFIFO(st.st_mode));
	assert_int_equal(unlink(s->path), 0);
	assert_int_equal(symlink("/dev/null", s->path), 0);
	assert_int_equal(ready_file_write(s->path, "one\n"), ERR_IO);
	assert_int_equal(ready_file_forget(s->path), ERR_IO);
	assert_true(lstat(s->path, &st) == 0 && S_ISLNK(st.st_mode));
}

static void test_no_such_directory(void **state)
{
	(void)state;
	assert_int_equal(ready_file_forget("/nonexistent/ready"), ERR_OK);
	assert_int_equal(ready_file_write("/nonexistent/ready", "one\n"), ERR_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_earlier_life_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_that_serves_keeps_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_things_stay, setup, teardown),
		cmocka_unit_test(test_no_such_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
