/* SPDX-License-Identifier: Apache-2.0
 *
 * A node's places (max_concurrent of a model), when there are more requests than places:
 * whoever asks most often must not get each one that becomes free.
 */
#ifndef SEALWAY_BROKER_PLACE_H
#define SEALWAY_BROKER_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/node.h"

/* Whether one more request of a user who has own requests at once (anywhere) may have
 * a place at s now.  A refusal of one who has few makes those who have many leave the last
 * places free for a while. */
bool place_for(struct sub *s, uint64_t own, uint64_t now_ms);

#endif
