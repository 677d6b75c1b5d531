/* SPDX-License-Identifier: Apache-2.0
 *
 * What the peers of one key may take.  HELLOs: all others hear of every new peer, and one key that comes and
 * goes would keep them busy.  Memory: what is sent to a peer that does not read waits in libzmq.
 */
#ifndef SEALWAY_BROKER_GREETINGS_H
#define SEALWAY_BROKER_GREETINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/zcount.h"
#include "proto/limits.h"

struct greetings;

/* Of nobody yet. */
struct greetings *greetings_new(void);

/* Frees it; NULL is fine. */
void greetings_free(struct greetings *g);

/* Whether a HELLO of key may be answered now (ms); fresh: of a peer that was not there before. */
bool greetings_allow(struct greetings *g, const uint8_t key[KEY_BYTES], bool fresh, uint64_t now);

/* Where it is counted what waits for peers of key (zcount.h), held once more for the caller. */
struct zcount *greetings_unread(struct greetings *g, const uint8_t key[KEY_BYTES]);

/* Whether there is room for more in c, one of those; NULL is a peer without a key.  work: for a request,
 * which can wait or be another's.  What else peers are told finds room when there is none for work. */
bool greetings_room(const struct greetings *g, const struct zcount *c, bool work);

#endif
