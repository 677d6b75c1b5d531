/* SPDX-License-Identifier: Apache-2.0
 *
 * How often the peers of one key may say HELLO.  All others hear of every new peer: without a limit, one key
 * that comes and goes would keep them all busy with it.
 */
#ifndef SEALWAY_BROKER_GREETINGS_H
#define SEALWAY_BROKER_GREETINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/limits.h"

struct greetings;

/* Of nobody yet. */
struct greetings *greetings_new(void);

/* Frees it; NULL is fine. */
void greetings_free(struct greetings *g);

/* Whether a HELLO of key may be answered now (ms); fresh: of a peer that was not there before. */
bool greetings_allow(struct greetings *g, const uint8_t key[KEY_BYTES], bool fresh, uint64_t now);

#endif
