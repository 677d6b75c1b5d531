/* SPDX-License-Identifier: Apache-2.0
 *
 * Time of a test's own, for libuv and libh2o, too: a deadline costs a test nothing.
 */
#ifndef SEALWAY_TESTS_UNIT_HTTPD_CLOCK_H
#define SEALWAY_TESTS_UNIT_HTTPD_CLOCK_H

#include <stdint.h>

/* From now on time passes only where it is skipped. */
void clock_stop(void);

/* So many ms pass at once. */
void clock_skip(unsigned ms);

/* Seconds of the machine's clock, which goes on. */
double clock_real(void);

#endif
