/* SPDX-License-Identifier: Apache-2.0
 *
 * The data directory: made 0700, locked against a second `up`, entered.  Keys
 * are made on the first run and kept.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/keys.h"
#include "client/cli/up.h"
#include "common/b64.h"
#include "common/file.h"
#include "common/keys.h"

#define DIR_BYTES_MAX 480 /* SQLite takes paths of 512 bytes with all that it appends */

static bool said(const char *what, const char *path)
{
	fprintf(stderr, "sealway up: cannot %s %s: %s\n", what, path, strerror(errno));
	return false;
}

/* Ours alone: what is in there decides whom we trust. */
static bool enter(struct up *u)
{
	struct stat st;

	if (!keys_dir(u->o.dir))
		return false;
	if (!realpath(u->o.dir, u->dir) || stat(u->dir, &st) || chdir(u->dir))
		return said("use", u->o.dir);
	if (strlen(u->dir) > DIR_BYTES_MAX) {
		fprintf(stderr,
			"sealway up: the path %s is too long: a data directory's has at most %d bytes\n",
			u->dir, DIR_BYTES_MAX);
		return false;
	}
	if (st.st_uid != geteuid() || (st.st_mode & 022)) {
		fprintf(stderr, "sealway up: %s must belong to you and be writable by nobody else\n", u->dir);
		return false;
	}
	return !chmod(u->dir, 0700) || said("protect", u->dir);
}

/* False when another one holds the lock: said. */
static bool hold(int fd, int how, const char *dir)
{
	char pid[32] = "";
	ssize_t n;

	if (!flock(fd, how | LOCK_NB))
		return true;
	n = read(fd, pid, sizeof(pid) - 1);
	pid[n > 0 ? n : 0] = '\0';
	pid[strspn(pid, "0123456789")] = '\0'; /* the directory may be somebody else's */
	fprintf(stderr, "sealway up: another sealway up uses %s (process %s)\n", dir, *pid ? pid : "unknown");
	return false;
}

bool up_is_free(const char *dir)
{
	char path[PATH_MAX];
	bool ok = true;
	int fd;

	snprintf(path, sizeof(path), "%s/lock", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		ok = hold(fd, LOCK_SH, dir);
		close(fd);
	}
	return ok;
}

static bool lock(struct up *u)
{
	int fd = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char pid[32] = "";
	ssize_t n;

	if (fd < 0)
		return said("open", "lock");
	if (!hold(fd, LOCK_EX, u->dir)) {
		close(fd);
		return false;
	}
	u->lock_fd = fd;
	n = snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	return (!ftruncate(u->lock_fd, 0) && write(u->lock_fd, pid, (size_t)n) == n) || said("write", "lock");
}

static bool make_key(const struct up *u, const char *name)
{
	char path[64], pub[64];

	snprintf(path, sizeof(path), "keys/%s.key", name);
	snprintf(pub, sizeof(pub), "keys/%s.pub", name);
	if (access(path, F_OK))
		return key_new_sign("keys", name) == ERR_OK || said("make", path);
	if (!access(pub, F_OK))
		return true;
	fprintf(stderr,
		"sealway up: %s/%s is there without its .pub: put that back, or remove the .key, and a new "
		"pair is "
		"made\n",
		u->dir, path);
	return false;
}

static bool make_keys(const struct up *u)
{
	char name[32];

	if (!make_key(u, "proxy-request") || !make_key(u, "proxy-auth"))
		return false;
	for (unsigned i = 1; i <= u->o.count[UP_NODE]; i++) {
		snprintf(name, sizeof(name), "node-%u", i);
		if (!make_key(u, name))
			return false;
	}
	return true;
}

void up_clear_run(void)
{
	DIR *d = opendir("run");
	const struct dirent *e;

	while (d && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

bool up_setup(struct up *u)
{
	static const char *const dirs[] = { "keys", "conf", "run", "log" };

	if (!enter(u) || !lock(u))
		return false;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (!keys_dir(dirs[i]))
			return false;
	up_clear_run(); /* what a killed run left behind */
	return make_keys(u);
}

bool up_write(const char *path, struct slice text)
{
	return file_put(path, text) == ERR_OK || said("write", path);
}

bool up_write_pins(const struct up *u)
{
	struct buf text = { 0 };
	char path[64];
	uint8_t key[32];
	bool ok = true;

	buf_str(&text, "# the nodes of this machine, written by sealway up\n");
	for (unsigned i = 1; ok && i <= u->o.count[UP_NODE]; i++) {
		snprintf(path, sizeof(path), "keys/node-%u.pub", i);
		ok = key_load_public(path, key) == ERR_OK;
		buf_fmt(&text, "%s %u ", u->url, i);
		b64_encode(&text, slice_of(key, sizeof(key)));
		buf_str(&text, "\n");
	}
	ok = ok && up_write("known_nodes", buf_slice(&text));
	buf_free(&text);
	return ok;
}
