/* SPDX-License-Identifier: Apache-2.0
 *
 * Making key files (keys.h): NAME.key (0600) and NAME.pub (0644), each one line
 * of base64.  Both are written and synced under other names first and named
 * afterwards; a secret that exists is never overwritten, also not when two
 * programs make it at the same moment: the naming itself refuses.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* renameat2 */
#endif

#include "common/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/b64.h"
#include "common/file.h"
#include "common/keys_refuse.h"
#include "common/sodium_start.h"

#define KEY_CHARS B64_LEN(32)
#define LINE_CHARS (KEY_CHARS + 1)

/* Owned "DIR/NAME.SUFFIX". */
static char *path_of(const char *dir, const char *name, const char *suffix)
{
	size_t n = strlen(dir) + strlen(name) + strlen(suffix) + 2;
	char *path = mem_new(n);

	snprintf(path, n, "%s/%s%s", dir, name, suffix);
	return path;
}

/* Writes key to a new file of a name nobody else uses, on disk when it returns.
 * Gives its owned path, NULL (errno) on failure. */
static char *write_temp(const char *dir, const char *name, const uint8_t key[32], mode_t mode)
{
	char line[LINE_CHARS + 1], suffix[24], *path;
	int fd, saved;
	bool good;

	snprintf(suffix, sizeof(suffix), ".%08x%08x.tmp", randombytes_random(), randombytes_random());
	path = path_of(dir, name, suffix);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		free(path);
		return NULL;
	}
	sodium_bin2base64(line, sizeof(line), key, 32, sodium_base64_VARIANT_ORIGINAL);
	line[KEY_CHARS] = '\n';
	good = fchmod(fd, mode) == 0 && file_write(fd, slice_of(line, LINE_CHARS)) && fsync(fd) == 0;
	saved = errno;
	mem_wipe(line, sizeof(line));
	if (close(fd) != 0 && good) {
		saved = errno;
		good = false;
	}
	if (!good) {
		unlink(path);
		free(path);
		errno = saved;
		return NULL;
	}
	return path;
}

/* Gives temp its name unless there is such a file already (EEXIST). */
static int place_new(const char *temp, const char *path)
{
	if (renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	return link(temp, path); /* a file system without that flag; temp is unlinked by the caller */
}

static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r, saved;

	if (fd < 0)
		return -1;
	r = fsync(fd);
	saved = errno;
	close(fd);
	errno = saved;
	return r;
}

struct pair {
	const char *dir;
	char *key, *pub;           /* final paths */
	char *key_temp, *pub_temp; /* NULL until written */
};

/* Names the two written files: the secret first, which decides who wins. */
static enum err place_pair(const struct pair *p)
{
	if (place_new(p->key_temp, p->key) != 0)
		return errno == EEXIST
			       ? key_refuse(ERR_EXISTS, p->key, "exists already and is not overwritten")
			       : key_refuse_io(p->key, "rename");
	if (rename(p->pub_temp, p->pub) != 0) {
		enum err e = key_refuse_io(p->pub, "rename");

		unlink(p->key); /* made by this call: no half pair stays */
		return e;
	}
	return sync_dir(p->dir) == 0 ? ERR_OK : key_refuse_io(p->dir, "fsync");
}

static enum err save(struct pair *p, const char *name, const uint8_t secret[32], const uint8_t pub[32])
{
	struct stat st;

	/* Early, so that a directory that is complete needs no right to write. */
	if (lstat(p->key, &st) == 0)
		return key_refuse(ERR_EXISTS, p->key, "exists already and is not overwritten");
	p->key_temp = write_temp(p->dir, name, secret, 0600);
	if (!p->key_temp)
		return key_refuse_io(p->key, "write");
	p->pub_temp = write_temp(p->dir, name, pub, 0644);
	if (!p->pub_temp)
		return key_refuse_io(p->pub, "write");
	return place_pair(p);
}

static void drop_temp(char *path)
{
	int saved = errno;

	if (path)
		unlink(path); /* gone already when it was renamed */
	free(path);
	errno = saved;
}

enum err key_save_pair(const char *dir, const char *name, const uint8_t secret[32], const uint8_t pub[32])
{
	struct pair p = { .dir = dir };
	enum err e;

	if (!*name || *name == '.' || strchr(name, '/'))
		return key_refuse(ERR_CONFIG, dir, "a key's name has no slash and does not begin with a dot");
	p.key = path_of(dir, name, ".key");
	p.pub = path_of(dir, name, ".pub");
	e = save(&p, name, secret, pub);
	drop_temp(p.key_temp);
	drop_temp(p.pub_temp);
	free(p.key);
	free(p.pub);
	return e;
}

enum err key_new_curve(const char *dir, const char *name)
{
	uint8_t secret[32], pub[32];
	enum err e;

	crypto_box_keypair(pub, secret);
	e = key_save_pair(dir, name, secret, pub);
	mem_wipe(secret, sizeof(secret));
	return e;
}

enum err key_new_sign(const char *dir, const char *name)
{
	uint8_t seed[32], pub[32], both[64];
	enum err e;

	randombytes_buf(seed, sizeof(seed));
	crypto_sign_seed_keypair(pub, both, seed);
	e = key_save_pair(dir, name, seed, pub);
	mem_wipe(seed, sizeof(seed));
	mem_wipe(both, sizeof(both));
	return e;
}
