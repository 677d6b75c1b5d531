/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines that somebody else can have written to our log as often as he likes.
 */
#ifndef SEALWAY_COMMON_SELDOM_H
#define SEALWAY_COMMON_SELDOM_H

#include <stdbool.h>
#include <stdint.h>

/* One kind of line; all zero at first. */
struct seldom {
	uint64_t until; /* ms: end of the ten seconds that count */
	unsigned said;
	uint64_t held; /* meant, and not said since */
};

/* True for at most most lines in ten seconds.  *times is then how many this one stands for: those that were
 * held back since the last, and itself.  now in ms, of any origin. */
bool seldom(struct seldom *s, unsigned most, uint64_t now, uint64_t *times);

#endif
