/* SPDX-License-Identifier: Apache-2.0
 *
 * Starts libsodium before main, in every program that links a file of ours
 * which needs it: the fast implementations are picked and guarded allocations
 * work from the first call on.  Included by .c files only.  Calling
 * sodium_init again is free, so that several includers do no harm.
 */
#ifndef SEALWAY_COMMON_SODIUM_START_H
#define SEALWAY_COMMON_SODIUM_START_H

#include <sodium.h>

#include "common/mem.h"

/* Runs before main; a machine without randomness cannot run us. */
__attribute__((constructor)) static void sodium_start(void)
{
	BUG_ON(sodium_init() < 0);
}

#endif
