/* SPDX-License-Identifier: Apache-2.0
 *
 * See clock.h.  The names are the C library's: the dynamic linker prefers a program's
 * symbols to a library's, so what libuv and libh2o call comes here.
 */
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/clock.h"

#define SECOND UINT64_C(1000000000)

static uint64_t stopped_at, skipped; /* ns */

static uint64_t real(clockid_t id)
{
	struct timespec t;

	syscall(SYS_clock_gettime, id, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static uint64_t now(clockid_t id)
{
	return (stopped_at ? stopped_at : real(id)) + skipped;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	t->tv_sec = (time_t)(now(id) / SECOND);
	t->tv_nsec = (long)(now(id) % SECOND);
	return 0;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	(void)zone;
	t->tv_sec = (time_t)(now(CLOCK_REALTIME) / SECOND);
	t->tv_usec = (suseconds_t)(now(CLOCK_REALTIME) % SECOND / 1000);
	return 0;
}

void clock_stop(void)
{
	stopped_at = 1000 * SECOND;
	skipped = 0;
}

void clock_skip(uint64_t ms)
{
	skipped += ms * (SECOND / 1000);
}
