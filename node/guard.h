/* SPDX-License-Identifier: Apache-2.0
 *
 * The answered-once guard (PROTOCOL section 4.5): the set of H(derived key) of
 * all requests opened under one node key.
 */
#ifndef SEALWAY_NODE_GUARD_H
#define SEALWAY_NODE_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct guard;

/* An empty set that takes at most max entries (about 100 bytes each). */
struct guard *guard_new(size_t max);

/* Frees g; NULL is fine. */
void guard_free(struct guard *g);

/* Notes the derived key (32 bytes).  ERR_ANSWERED when it was there already,
 * ERR_LIMIT when the set is full (nothing may be answered then). */
enum err guard_enter(struct guard *g, const uint8_t key[32]) MUST_USE;

/* True from three quarters of max on: time for a new node key. */
bool guard_crowded(const struct guard *g);

#endif
