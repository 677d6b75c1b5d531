/* SPDX-License-Identifier: Apache-2.0
 *
 * Key files in a directory of the test's own: what is written, what is never
 * overwritten, which modes and contents are refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/b64.h"
#include "common/keys.h"
#include "common/sign.h"
#include "tests/unit/tempdir.h"

static char dir[TEMPDIR_ROOM];

static const char *in(const char *name)
{
	static char path[4][128];
	static unsigned next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static void write_file(const char *path, const char *text, size_t n, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static size_t files_in_dir(void)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
	closedir(d);
	return n;
}

static void empty_dir(void)
{
	DIR *d = opendir(dir);

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
	closedir(d);
}

static int setup(void **state)
{
	(void)state;
	tempdir_make(dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	empty_dir();
	tempdir_remove(dir);
	return 0;
}

static void test_pair_round_trip(void **state)
{
	uint8_t secret[32], pub[32], got[32];
	mode_t before = umask(077); /* as processes run */

	(void)state;
	randombytes_buf(secret, 32);
	randombytes_buf(pub, 32);
	assert_int_equal(key_save_pair(dir, "node", secret, pub), ERR_OK);
	umask(before);
	assert_int_equal(key_load(in("node.key"), got), ERR_OK);
	assert_memory_equal(got, secret, 32);
	assert_int_equal(key_load_public(in("node.pub"), got), ERR_OK);
	assert_memory_equal(got, pub, 32);
	assert_int_equal(mode_of(in("node.key")), 0600);
	assert_int_equal(mode_of(in("node.pub")), 0644);
	assert_int_equal(files_in_dir(), 2);
}

static void test_form_of_the_file(void **state)
{
	uint8_t secret[32] = { 1 }, pub[32] = { 2 };
	char text[64], want[B64_LEN(32)];
	ssize_t n;
	int fd;

	(void)state;
	assert_int_equal(key_save_pair(dir, "k", secret, pub), ERR_OK);
	fd = open(in("k.key"), O_RDONLY);
	n = read(fd, text, sizeof(text));
	close(fd);
	b64_put(want, secret, 32);
	assert_int_equal(n, 45);
	assert_memory_equal(text, want, 44);
	assert_int_equal(text[44], '\n');
}

static void test_never_overwritten(void **state)
{
	uint8_t a[32] = { 1 }, b[32] = { 2 }, got[32];

	(void)state;
	assert_int_equal(key_save_pair(dir, "k", a, a), ERR_OK);
	assert_int_equal(key_save_pair(dir, "k", b, b), ERR_EXISTS);
	assert_int_equal(key_new_sign(dir, "k"), ERR_EXISTS);
	assert_int_equal(key_new_curve(dir, "k"), ERR_EXISTS);
	assert_int_equal(key_load(in("k.key"), got), ERR_OK);
	assert_memory_equal(got, a, 32);
	assert_int_equal(key_load_public(in("k.pub"), got), ERR_OK);
	assert_memory_equal(got, a, 32);
	assert_int_equal(files_in_dir(), 2);
	/* also when what stands there is no good key, or a dangling link */
	write_file(in("odd.key"), "x", 1, 0644);
	assert_int_equal(key_save_pair(dir, "odd", b, b), ERR_EXISTS);
	assert_int_equal(symlink("/nonexistent/secret", in("link.key")), 0);
	assert_int_equal(key_save_pair(dir, "link", b, b), ERR_EXISTS);
	assert_int_equal(access(in("link.pub"), F_OK), -1);
	assert_int_equal(files_in_dir(), 4);
}

/* A public file alone (left by somebody) does not stop a new pair. */
static void test_stale_public_is_replaced(void **state)
{
	uint8_t secret[32] = { 1 }, pub[32] = { 2 }, got[32];

	(void)state;
	write_file(in("k.pub"), "old", 3, 0400);
	assert_int_equal(key_save_pair(dir, "k", secret, pub), ERR_OK);
	assert_int_equal(key_load_public(in("k.pub"), got), ERR_OK);
	assert_memory_equal(got, pub, 32);
}

/* Many programs make the same key at once: one wins, and the pair is its. */
static void test_race(void **state)
{
	int won = 0, status;
	uint8_t secret[32], pub[32];

	(void)state;
	for (uint8_t i = 1; i <= 8; i++) {
		if (fork() == 0) {
			memset(secret, i, 32);
			_exit(key_save_pair(dir, "race", secret, secret) == ERR_OK ? 0 : 1);
		}
	}
	for (int i = 0; i < 8; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status));
		won += WEXITSTATUS(status) == 0;
	}
	assert_int_equal(won, 1);
	assert_int_equal(key_load(in("race.key"), secret), ERR_OK);
	assert_int_equal(key_load_public(in("race.pub"), pub), ERR_OK);
	assert_memory_equal(secret, pub, 32);
	assert_int_equal(files_in_dir(), 2);
}

static void test_modes(void **state)
{
	uint8_t secret[32] = { 1 }, got[32] = { 9 };

	(void)state;
	assert_int_equal(key_save_pair(dir, "k", secret, secret), ERR_OK);
	for (mode_t bad = 1; bad <= 077; bad++) {
		assert_int_equal(chmod(in("k.key"), 0600 | bad), 0);
		assert_int_equal(key_load(in("k.key"), got), ERR_KEY);
	}
	assert_int_equal(got[0], 9);
	assert_int_equal(chmod(in("k.key"), 0400), 0);
	assert_int_equal(key_load(in("k.key"), got), ERR_OK);
	assert_int_equal(key_load_public(in("k.pub"), got), ERR_OK); /* 0644 is fine there */
}

static void test_contents(void **state)
{
	static const char good[] = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
	static const char *const bad[] = {
		"",
		"\n",
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA", /* no padding */
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n\n",
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA= ",
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\r\n",
		" AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyB=", /* stray bits */
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHw==", /* 31 bytes */
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAh", /* 33 bytes */
		"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHy-=", /* URL alphabet */
		"\xc1QIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
		"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
	};
	uint8_t got[32] = { 9 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_file(in("k.key"), bad[i], strlen(bad[i]), 0600);
		assert_int_equal(key_load(in("k.key"), got), ERR_KEY);
		assert_int_equal(key_load_public(in("k.key"), got), ERR_KEY);
		write_file(in("public"), bad[i], strlen(bad[i]), 0644);
		assert_int_equal(key_load_public(in("public"), got), ERR_KEY);
	}
	assert_int_equal(got[0], 9);
	write_file(in("k.key"), good, 44, 0600); /* the newline may be missing */
	assert_int_equal(key_load(in("k.key"), got), ERR_OK);
	assert_int_equal(got[0], 1);
	assert_int_equal(got[31], 32);
}

/* By its name, or by its mode beside a .pub; a public file may be as private as it likes. */
static void test_a_secret_is_no_public_key(void **state)
{
	uint8_t secret[32] = { 1 }, pub[32] = { 2 }, got[32] = { 9 };

	(void)state;
	assert_int_equal(key_save_pair(dir, "k", secret, pub), ERR_OK);
	assert_true(key_is_secret(in("k.key")));
	assert_int_equal(key_load_public(in("k.key"), got), ERR_KEY);
	assert_int_equal(chmod(in("k.key"), 0644), 0);
	assert_int_equal(key_load_public(in("k.key"), got), ERR_KEY);
	assert_int_equal(chmod(in("k.key"), 0600), 0);
	assert_int_equal(rename(in("k.key"), in("k")), 0);
	assert_int_equal(key_load_public(in("k"), got), ERR_KEY);
	assert_int_equal(got[0], 9);
	assert_int_equal(chmod(in("k.pub"), 0600), 0);
	assert_int_equal(key_load_public(in("k.pub"), got), ERR_OK);
	assert_memory_equal(got, pub, 32);
	assert_int_equal(rename(in("k.pub"), in("alone")), 0);
	assert_int_equal(key_load_public(in("alone"), got), ERR_OK);
}

static void test_not_a_file(void **state)
{
	uint8_t got[32];

	(void)state;
	errno = 0;
	assert_int_equal(key_load(in("absent.key"), got), ERR_IO);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(key_load_public(in("absent.pub"), got), ERR_IO);
	assert_int_equal(key_load(dir, got), ERR_KEY);
	assert_int_equal(mkfifo(in("pipe.key"), 0600), 0);
	assert_int_equal(key_load(in("pipe.key"), got), ERR_KEY); /* and does not hang */
}

static void test_cannot_write(void **state)
{
	static const char *const names[] = { "", ".", "..", ".hidden", "a/b", "../x", "/x" };
	uint8_t k[32] = { 1 };

	(void)state;
	assert_int_equal(key_save_pair("/nonexistent/dir", "k", k, k), ERR_IO);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(key_save_pair(dir, names[i], k, k), ERR_CONFIG);
	/* the public half cannot be named: nothing stays behind */
	assert_int_equal(mkdir(in("k.pub"), 0700), 0);
	assert_int_equal(key_save_pair(dir, "k", k, k), ERR_IO);
	assert_int_equal(access(in("k.key"), F_OK), -1);
	assert_int_equal(files_in_dir(), 1);
	assert_int_equal(rmdir(in("k.pub")), 0);
}

static void test_new_pairs_match(void **state)
{
	uint8_t secret[32], pub[32], want[32];
	struct sign_key *k;

	(void)state;
	assert_int_equal(key_new_curve(dir, "curve"), ERR_OK);
	assert_int_equal(key_load(in("curve.key"), secret), ERR_OK);
	assert_int_equal(key_load_public(in("curve.pub"), pub), ERR_OK);
	crypto_scalarmult_base(want, secret);
	assert_memory_equal(pub, want, 32);
	assert_int_equal(key_new_sign(dir, "sign"), ERR_OK);
	assert_int_equal(key_load(in("sign.key"), secret), ERR_OK);
	assert_int_equal(key_load_public(in("sign.pub"), pub), ERR_OK);
	k = sign_key_new(secret);
	assert_memory_equal(sign_key_public(k), pub, 32);
	sign_key_free(k);
	assert_int_equal(key_new_sign(dir, "sign2"), ERR_OK);
	assert_int_equal(key_load(in("sign2.key"), want), ERR_OK);
	assert_memory_not_equal(want, secret, 32);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_pair_round_trip),
		CASE(test_form_of_the_file),
		CASE(test_never_overwritten),
		CASE(test_stale_public_is_replaced),
		CASE(test_race),
		CASE(test_modes),
		CASE(test_contents),
		CASE(test_a_secret_is_no_public_key),
		CASE(test_not_a_file),
		CASE(test_cannot_write),
		CASE(test_new_pairs_match),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
