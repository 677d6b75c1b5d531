/* SPDX-License-Identifier: Apache-2.0
 *
 * Chance in the model tests: whatever is random comes from one seed, and time (tests/unit/clock.h) passes
 * only where the test lets it, so that a round that went wrong can be seen again.
 */
#ifndef SEALWAY_TESTS_UNIT_MODEL_CHANCE_H
#define SEALWAY_TESTS_UNIT_MODEL_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/mem.h"

/* Everything random from here on follows from seed, also what libsodium gives, and the clock is where it
 * always begins: before there is a loop. */
void model_seed(uint64_t seed);

/* A number below n. */
unsigned dice(unsigned n);

/* True once in n times. */
static inline bool once_in(unsigned n)
{
	return dice(n) == 0;
}

/* Spoils the encoding of a message so that it is none any more: shorter, longer, or of another type. */
void model_spoil(struct buf *b);

/* Runs round at least `least` times, and for some two seconds, each with a seed of its own (rounds.h).
 * Returns how many there were. */
unsigned model_rounds(unsigned least, void (*round)(void));

/* Says the seed of the last round; for a test's teardown. */
int model_say_seed(void **state);

#endif
