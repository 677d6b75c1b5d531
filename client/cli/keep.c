/* SPDX-License-Identifier: Apache-2.0
 *
 * Files for what an answer brings (keep.h).
 */
#include "client/cli/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"

static bool cannot(const struct keep *k)
{
	fprintf(stderr, "sealway: cannot write %s: %s\n", k->path, strerror(errno));
	return false;
}

bool keep_open(struct keep *k, const char *path, mode_t mode)
{
	*k = (struct keep){ .path = path, .fd = -1 };
	if (!path)
		return true;
	k->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	k->fresh = k->fd >= 0;
	if (k->fd < 0)
		k->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
	return k->fd >= 0 || cannot(k);
}

/* A pipe has nothing to cut. */
static bool cut(int fd)
{
	return ftruncate(fd, 0) == 0 || errno == EINVAL;
}

bool keep_write(struct keep *k, struct slice bytes)
{
	bool ok = cut(k->fd) && file_write(k->fd, bytes);

	if (!ok) {
		cannot(k);
		cut(k->fd);
	}
	if (close(k->fd) != 0 && ok)
		ok = cannot(k);
	k->fd = -1;
	if (!ok && k->fresh)
		unlink(k->path);
	return ok;
}

void keep_close(struct keep *k)
{
	if (k->fd < 0)
		return;
	close(k->fd);
	k->fd = -1;
	if (k->fresh)
		unlink(k->path);
}
