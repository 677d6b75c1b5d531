/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading key files (keys.h).  A secret that others may use is refused, not
 * taken with a warning.  Text of secrets is decoded in constant time by
 * libsodium, and wiped.  Making keys is in keys_new.c, so that processes which
 * only read them link nothing that makes key pairs.
 */
#include "common/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/b64.h"
#include "common/keys_refuse.h"
#include "common/log.h"
#include "common/sodium_start.h"

#define KEY_CHARS B64_LEN(32)
#define LINE_CHARS (KEY_CHARS + 1)

enum err key_refuse(enum err e, const char *path, const char *why)
{
	log_error("key_refused", L_S("file", path), L_S("why", why));
	return e;
}

enum err key_refuse_io(const char *path, const char *what)
{
	int saved = errno;

	log_error("key_file", L_S("file", path), L_S("failed", what), L_S("why", strerror(saved)));
	errno = saved;
	return ERR_IO;
}

static enum err check_file(int fd, const char *path, bool secret)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return key_refuse_io(path, "stat");
	if (!S_ISREG(st.st_mode))
		return key_refuse(ERR_KEY, path, "not a regular file");
	if (secret && (st.st_mode & 077))
		return key_refuse(ERR_KEY, path,
				  "group or others may use this secret key: run chmod 600 on it; if they may "
				  "have read it, make a new one");
	return ERR_OK;
}

/* Reads what there is, up to n bytes. */
static ssize_t read_all(int fd, char *out, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = read(fd, out + got, n - got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

static bool decode_line(const char *line, size_t n, uint8_t key[32])
{
	bool good = n == KEY_CHARS || (n == LINE_CHARS && line[KEY_CHARS] == '\n');
	uint8_t raw[32], ored = 0;
	size_t len;

	for (size_t i = 0; i < n; i++)
		ored |= (uint8_t)line[i];
	good = good && ored < 128; /* libsodium 1.0.18 takes such bytes for digits */
	good = good &&
	       sodium_base642bin(raw, sizeof(raw), line, KEY_CHARS, NULL, &len, NULL,
				 sodium_base64_VARIANT_ORIGINAL) == 0 &&
	       len == sizeof(raw);
	if (good)
		memcpy(key, raw, sizeof(raw));
	mem_wipe(raw, sizeof(raw));
	return good;
}

static enum err load_fd(int fd, const char *path, bool secret, uint8_t key[32])
{
	char line[LINE_CHARS + 1]; /* one more than allowed, to notice longer files */
	enum err e = check_file(fd, path, secret);
	ssize_t n;

	if (e)
		return e;
	n = read_all(fd, line, sizeof(line));
	if (n < 0)
		e = key_refuse_io(path, "read");
	else if (!decode_line(line, (size_t)n, key))
		e = key_refuse(ERR_KEY, path, "a key file is one line: base64 of 32 bytes");
	mem_wipe(line, sizeof(line));
	return e;
}

static enum err load(const char *path, bool secret, uint8_t key[32])
{
	/* O_NONBLOCK: a pipe in the file's place must not hang the start */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), saved;
	enum err e;

	if (fd < 0)
		return key_refuse_io(path, "open");
	e = load_fd(fd, path, secret, key);
	saved = errno;
	close(fd);
	errno = saved;
	return e;
}

enum err key_load(const char *path, uint8_t key[32])
{
	return load(path, true, key);
}

/* NAME.pub for a file NAME or NAME.anything; false when that is too long. */
static bool pub_beside(const char *path, char *out, size_t cap)
{
	const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
	size_t n = dot ? (size_t)(dot - path) : strlen(path);

	return (size_t)snprintf(out, cap, "%.*s.pub", (int)n, path) < cap;
}

bool key_is_secret(const char *path)
{
	const char *dot = strrchr(path, '.');
	char pub[PATH_MAX];
	struct stat st;

	if (dot && strcmp(dot, ".key") == 0)
		return true;
	if (dot && strcmp(dot, ".pub") == 0) /* of whatever mode: a copy may be private */
		return false;
	return stat(path, &st) == 0 && !(st.st_mode & 077) && pub_beside(path, pub, sizeof(pub)) &&
	       access(pub, F_OK) == 0;
}

enum err key_load_public(const char *path, uint8_t key[32])
{
	if (key_is_secret(path))
		return key_refuse(ERR_KEY, path, "is a secret key; give the .pub beside it");
	return load(path, false, key);
}
