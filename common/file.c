/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing files (file.h).
 */
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_TRIES 150 /* 3 s: others hold it for the time of a write */
#define LOCK_PAUSE_MS 20

bool file_write(int fd, struct slice s)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		s.p += n;
		s.n -= (size_t)n;
	}
	return true;
}

bool file_may_put(const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0 || S_ISREG(st.st_mode))
		return true;
	errno = EEXIST;
	return false;
}

enum err file_put(const char *path, struct slice text)
{
	struct buf temp = { 0 };
	const char *name;
	int fd, e;
	bool ok;

	buf_fmt(&temp, "%s.new%c", path, 0);
	name = (const char *)temp.p;
	unlink(name); /* what an earlier life left has rights of its own, and may be somebody else's */
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	ok = fd >= 0 && file_write(fd, text);
	if (fd >= 0)
		ok = close(fd) == 0 && ok;
	ok = ok && rename(name, path) == 0;
	e = errno;
	if (!ok && fd >= 0)
		unlink(name); /* the text may be a token, and is nobody's there */
	buf_free(&temp);
	errno = e;
	return ok ? ERR_OK : ERR_IO;
}

bool file_lock(int fd)
{
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB); i++) {
		if (errno != EWOULDBLOCK || i == LOCK_TRIES)
			return false;
		poll(NULL, 0, LOCK_PAUSE_MS);
	}
	return true;
}
