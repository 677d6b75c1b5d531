/* SPDX-License-Identifier: Apache-2.0
 *
 * Time of a test's own, for libuv and libh2o, too: a deadline costs a test nothing.
 */
#ifndef SEALWAY_TESTS_UNIT_CLOCK_H
#define SEALWAY_TESTS_UNIT_CLOCK_H

#include <stdint.h>

/* From now on time passes only where it is skipped.  It begins where it always does, so before there is
 * a loop. */
void clock_stop(void);

/* So many ms pass at once. */
void clock_skip(uint64_t ms);

#endif
