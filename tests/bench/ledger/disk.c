/* SPDX-License-Identifier: Apache-2.0
 *
 * disk.h: fdatasync of the C library is replaced for this program, SQLite's
 * calls included, by one that counts, and that can stand in for another disk.
 */
#include "tests/bench/ledger/disk.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static unsigned model_us;
static atomic_ullong syncs, sync_ns;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

int fdatasync(int fd)
{
	uint64_t began = now_ns();
	int rc = 0;

	if (model_us)
		nanosleep(&(struct timespec){ .tv_nsec = (long)model_us * 1000 }, NULL);
	else
		rc = (int)syscall(SYS_fdatasync, fd);
	atomic_fetch_add(&syncs, 1);
	atomic_fetch_add(&sync_ns, now_ns() - began);
	return rc;
}

void disk_model(unsigned sync_us)
{
	model_us = sync_us;
}

int disk_probe(const char *dir, uint64_t *ns, size_t n)
{
	static const char block[4096];
	char path[256];
	int fd, ok = 1;

	snprintf(path, sizeof(path), "%s/probe", dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return 0;
	for (size_t i = 0; i < n && ok; i++) {
		uint64_t began;

		ok = pwrite(fd, block, sizeof(block), (off_t)(i * sizeof(block))) == sizeof(block);
		began = now_ns();
		ok = ok && fdatasync(fd) == 0;
		ns[i] = now_ns() - began;
	}
	close(fd);
	unlink(path);
	return ok;
}

void disk_syncs(uint64_t *n, uint64_t *ns)
{
	*n = atomic_load(&syncs);
	*ns = atomic_load(&sync_ns);
}
