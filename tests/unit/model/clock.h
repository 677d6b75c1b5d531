/* SPDX-License-Identifier: Apache-2.0
 *
 * Time and chance of the model tests: libuv's clock stands still until the test moves it, so that an hour of
 * deadlines costs nothing, and whatever is random comes from one seed, so that a round that went wrong can be
 * seen again.
 */
#ifndef SEALWAY_TESTS_UNIT_MODEL_CLOCK_H
#define SEALWAY_TESTS_UNIT_MODEL_CLOCK_H

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

/* Moves the clock. */
void model_pass(uint64_t ms);

/* Real time in ms. */
uint64_t model_real_ms(void);

/* Spoils the encoding of a message so that it is none any more: shorter, longer, or of another type. */
void model_spoil(struct buf *b);

/* Runs round at least `least` times, and for some two seconds (SEALWAY_LONG=1: two minutes).  Each has a seed
 * of its own, counted up from 1 or SEALWAY_SEED.  Returns how many there were. */
unsigned model_rounds(unsigned least, void (*round)(void));

/* Says the seed of the last round; for a test's teardown. */
int model_say_seed(void **state);

#endif
