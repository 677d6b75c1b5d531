/* SPDX-License-Identifier: Apache-2.0
 *
 * How often a random test goes round.  Each round has a seed of its own, counted up from 1 or
 * SEALWAY_SEED; with SEALWAY_LONG=1 it goes on for two minutes.
 */
#ifndef SEALWAY_TESTS_UNIT_ROUNDS_H
#define SEALWAY_TESTS_UNIT_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct rounds {
	unsigned n; /* that there were */
	unsigned next;
	uint64_t end; /* ms */
};

/* The machine's own clock in ms, also where the test has stopped the others' (clock.h). */
static inline uint64_t rounds_ms(void)
{
	struct timespec t;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static inline struct rounds rounds_begin(unsigned ms)
{
	const char *seed = getenv("SEALWAY_SEED");

	return (struct rounds){ .next = seed ? (unsigned)strtoul(seed, NULL, 10) : 1,
				.end = rounds_ms() + (getenv("SEALWAY_LONG") ? 120000 : ms) };
}

/* Whether there is another round, of which there are at least `least`; its seed. */
static inline bool rounds_next(struct rounds *r, unsigned least, unsigned *seed)
{
	if (r->n >= least && rounds_ms() >= r->end)
		return false;
	r->n++;
	*seed = r->next++;
	return true;
}

#endif
