/* SPDX-License-Identifier: Apache-2.0
 *
 * power.h.  SQLite writes through pwrite64 and ftruncate64 and syncs through
 * fdatasync (its unix VFS, mmap_size 0); a lock around them is what halts
 * writing.  The directory entry of a file counts as safe with its first sync,
 * which is when SQLite syncs the directory.
 */
#include "tests/unit/broker/power.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECTOR 512
#define FILES 8

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at);
int ftruncate64(int fd, off_t n);

struct bytes {
	uint8_t *p;
	size_t n;
};

/* What is safe of a file. */
struct safe {
	char path[192];
	struct bytes is;
};

static pthread_mutex_t halt;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct safe files[FILES];
static bool on;
static int failing;
static unsigned fails_after;
static void (*on_sync)(void *arg, bool db);
static void *on_sync_arg;
static unsigned most_unsynced;
static _Thread_local unsigned unsynced; /* pages of the database */
static _Thread_local bool writes_log;

static void make_halt(void) /* recursive: a hook makes images */
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&halt, &a);
}

static void stop_writing(void)
{
	pthread_once(&once, make_halt);
	pthread_mutex_lock(&halt);
}

static void go_on(void)
{
	pthread_mutex_unlock(&halt);
}

static struct bytes read_all(int fd)
{
	struct bytes b = { 0 };
	struct stat st;
	ssize_t got;

	if (fstat(fd, &st) != 0)
		abort();
	b.p = malloc((size_t)st.st_size + 1);
	while (b.p && b.n < (size_t)st.st_size &&
	       (got = pread(fd, b.p + b.n, (size_t)st.st_size - b.n, (off_t)b.n)) > 0)
		b.n += (size_t)got;
	return b;
}

static struct bytes read_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct bytes b = { 0 };

	if (fd < 0)
		return b;
	b = read_all(fd);
	close(fd);
	return b;
}

static struct safe *file_of(const char *path, bool make)
{
	for (int i = 0; i < FILES; i++) {
		if (make && !files[i].path[0])
			snprintf(files[i].path, sizeof(files[i].path), "%s", path);
		if (strcmp(files[i].path, path) == 0)
			return &files[i];
	}
	if (make)
		abort();
	return NULL;
}

enum kind { OTHER, LOG, DATABASE };

static enum kind kind_of(int fd, char path[192])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, 191);
	if (n < 4)
		abort();
	path[n] = 0;
	if (strcmp(path + n - 4, "-wal") == 0)
		return LOG;
	return strcmp(path + n - 3, ".db") == 0 ? DATABASE : OTHER;
}

/* Of threads that only copy the log: neither the writer nor who closes the database. */
static void count_write(int fd)
{
	char path[192];
	enum kind kind = kind_of(fd, path);

	writes_log |= kind == LOG || syscall(SYS_gettid) == getpid();
	if (kind == DATABASE && !writes_log && ++unsynced > most_unsynced)
		most_unsynced = unsynced;
}

/* --- in place of the C library's --- */

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	ssize_t r;

	stop_writing();
	if (failing && fails_after == 0) {
		errno = failing;
		r = -1;
	} else {
		fails_after -= failing != 0;
		if (on)
			count_write(fd);
		r = syscall(SYS_pwrite64, fd, p, n, at);
	}
	go_on();
	return r;
}

int ftruncate64(int fd, off_t n)
{
	int r;

	stop_writing();
	r = (int)syscall(SYS_ftruncate, fd, n);
	go_on();
	return r;
}

static void sync_file(int fd)
{
	char path[192];
	enum kind kind = kind_of(fd, path);
	struct safe *f;

	if (kind == OTHER)
		return; /* a directory, a rollback journal of the first moments */
	if (kind == DATABASE)
		unsynced = 0;
	if (on_sync)
		on_sync(on_sync_arg, kind == DATABASE);
	f = file_of(path, true);
	free(f->is.p);
	f->is = read_all(fd);
}

int fdatasync(int fd)
{
	stop_writing();
	if (on)
		sync_file(fd);
	go_on();
	return 0;
}

/* --- the test's side --- */

void power_on(const char *path)
{
	char wal[192];

	snprintf(wal, sizeof(wal), "%s-wal", path);
	stop_writing();
	file_of(path, true)->is = read_path(path);
	file_of(wal, true)->is = read_path(wal);
	on = true;
	go_on();
}

void power_hook(void (*hook)(void *arg, bool db), void *arg)
{
	stop_writing();
	on_sync = hook;
	on_sync_arg = arg;
	go_on();
}

unsigned power_most_unsynced(void)
{
	unsigned n;

	stop_writing();
	n = most_unsynced;
	most_unsynced = 0;
	go_on();
	return n;
}

void power_fail(int error, unsigned after)
{
	stop_writing();
	failing = error;
	fails_after = after;
	go_on();
}

void power_off(void)
{
	stop_writing();
	on = false;
	on_sync = NULL;
	for (int i = 0; i < FILES; i++) {
		free(files[i].is.p);
		files[i] = (struct safe){ 0 };
	}
	go_on();
}

/* What of now survives, given what is safe. */
static struct bytes survives(struct bytes now, struct bytes safe, enum power_cut cut, unsigned *seed)
{
	struct bytes out = { 0 };
	size_t most = now.n > safe.n ? now.n : safe.n;

	out.p = calloc(1, most + 1);
	if (!out.p)
		abort();
	if (cut != CUT_TEARS) {
		out.n = cut == CUT_PROCESS ? now.n : safe.n;
		if (out.n)
			memcpy(out.p, cut == CUT_PROCESS ? now.p : safe.p, out.n);
		return out;
	}
	out.n = now.n == safe.n || rand_r(seed) % 2 ? now.n : safe.n;
	for (size_t at = 0; at < out.n; at += SECTOR) {
		size_t n = out.n - at < SECTOR ? out.n - at : SECTOR;
		const struct bytes *from = rand_r(seed) % 2 ? &now : &safe;

		/* beyond the end of that one it was never given its bytes: zeros */
		if (at < from->n)
			memcpy(out.p + at, from->p + at, n < from->n - at ? n : from->n - at);
	}
	return out;
}

static void image_file(const char *path, const char *to, enum power_cut cut, unsigned *seed)
{
	struct bytes now = read_path(path), out;
	const struct safe *f = file_of(path, false);
	FILE *file;

	out = survives(now, f ? f->is : (struct bytes){ 0 }, cut, seed);
	file = fopen(to, "w");
	if (!file || fwrite(out.p, 1, out.n, file) != out.n || fclose(file) != 0)
		abort();
	free(now.p);
	free(out.p);
}

void power_image(const char *path, const char *to, enum power_cut cut, unsigned seed)
{
	char from_wal[192], to_wal[192];

	snprintf(from_wal, sizeof(from_wal), "%s-wal", path);
	snprintf(to_wal, sizeof(to_wal), "%s-wal", to);
	stop_writing();
	image_file(path, to, cut, &seed);
	image_file(from_wal, to_wal, cut, &seed);
	go_on();
}
