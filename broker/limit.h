/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits of one user: requests per minute, requests at once, units per minute.
 * Token buckets that hold one minute's worth, in memory only.  Pure: the caller
 * brings the clock (ms, any origin).  0 as a limit means that there is none.
 */
#ifndef SEALWAY_BROKER_LIMIT_H
#define SEALWAY_BROKER_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "proto/quota.h"

#define LIMIT_MAX INT64_C(1000000000000) /* x 60,000 ms x 2 fits 63 bits */
#define LIMIT_UNSET (-1)                 /* of a user's own: the default holds */

enum limit { LIMIT_RATE, LIMIT_CONCURRENT, LIMIT_UNITS, LIMITS };

struct limits {
	int64_t v[LIMITS];
};

struct bucket {
	bool begun;     /* else full */
	int64_t left;   /* tokens x 60,000; below zero is a debt */
	uint64_t at_ms; /* of left */
};

/* What a user has of everything right now. */
struct limit_use {
	struct bucket rate, units;
	uint64_t running; /* admitted and not over */
	uint64_t waiting; /* of those, not yet given to a worker */
	uint64_t bytes;   /* of bodies that the broker holds */
};

/* What holds for a user with those limits of its own. */
struct limits limits_of(const struct limits *own, const struct limits *defaults);

/* Takes one request.  ERR_RATE: *retry_s says when there is one again.  *q tells
 * what is left, in both cases; left alone when there is no limit. */
enum err limit_request(struct limit_use *u, const struct limits *l, uint64_t now_ms, struct quota *q,
		       uint32_t *retry_s) MUST_USE;

/* Whether one more may run with units reserved; takes the units.  One that needs
 * more than a minute's units waits for a full bucket and leaves a debt.  ERR_RATE
 * sets *q to the limit that it hit, and *retry_s. */
enum err limit_job(struct limit_use *u, const struct limits *l, uint64_t units, uint64_t now_ms,
		   struct quota *q, uint32_t *retry_s) MUST_USE;

/* Gives units back that were taken and not used. */
void limit_units_back(struct limit_use *u, const struct limits *l, uint64_t units, uint64_t now_ms);

/* Whether somebody who holds own of the used places may have another of max: at
 * most as much as is left free.  One flood so gets half of what there is, two get
 * two thirds, and a newcomer always finds room. */
bool limit_share(uint64_t own, uint64_t used, uint64_t max);

#endif
