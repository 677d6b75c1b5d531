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
 * a place at s now. */
bool place_for(const struct sub *s, uint64_t own, uint64_t now_ms);

/* The one of two that have no place for somebody at which others are to leave him the
 * next: where they do not already.  a may be NULL. */
struct sub *place_next(struct sub *a, struct sub *b, uint64_t now_ms);

/* He was refused, for s and, if it could have been another, all of them: if he has few,
 * those who have many leave the last places of s free for a while. */
void place_refused(struct sub *s, uint64_t own, uint64_t now_ms);

#endif
