/* SPDX-License-Identifier: Apache-2.0
 *
 * Which node a lock (or a plain request) gets (docs/ARCHITECTURE.md, One
 * request).  A pure function of what it is given: no clock, no tables.
 */
#ifndef SEALWAY_BROKER_PICK_H
#define SEALWAY_BROKER_PICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define PICK_LOOK_MAX 16 /* rows looked at: the cheapest ones of the model's index */

struct pick_ask {
	bool has_units;
	uint64_t units; /* wanted; without has_units each node's own default counts */
};

/* A node that serves the model, in the order of the index. */
struct pick_row {
	uint64_t price;          /* to this user, micro-USD per million units */
	uint64_t lock_units;     /* default when nothing is asked */
	uint64_t max_units;      /* per request; 0 = no limit */
	uint64_t room;           /* largest free amount on one of the user's stacks there */
	uint32_t outstanding;    /* requests in hand and locks given: breaks ties */
	uint32_t running;        /* requests in hand */
	uint32_t max_concurrent; /* 0 = no limit */
	bool ready;              /* active, heard of in time, current key, breaker closed */
};

/* Units that row would reserve for ask. */
uint64_t pick_units(const struct pick_ask *ask, const struct pick_row *row);

/* The best of rows -> *best.  A stack with room goes before any purchase, then
 * price, then least outstanding, then order.  ERR_NO_NODE when none is ready,
 * ERR_RATE when those that are have no room for more work, ERR_RANGE when none
 * allows that many units.  Looks at no more than PICK_LOOK_MAX rows. */
enum err pick(const struct pick_ask *ask, const struct pick_row *rows, size_t n, size_t *best) MUST_USE;

#endif
