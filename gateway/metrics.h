/* SPDX-License-Identifier: Apache-2.0
 *
 * What the gateway counts.  Labels are names of ours: routes and outcomes.
 */
#ifndef SEALWAY_GATEWAY_METRICS_H
#define SEALWAY_GATEWAY_METRICS_H

#include "common/stats.h"
#include "gateway/routes.h"

#define OUTCOMES(X)               /* outcome, label, meaning */                                              \
	X(OUT_OK, "ok")           /* answered to the end */                                                  \
	X(OUT_REFUSED, "refused") /* 4xx */                                                                  \
	X(OUT_FAILED, "failed")   /* 5xx */                                                                  \
	X(OUT_CUT, "cut")         /* failed after its 200 */                                                 \
	X(OUT_GONE, "gone")       /* the client left first */

enum outcome {
#define X(id, label) id,
	OUTCOMES(X)
#undef X
		OUT_COUNT
};

struct metrics {
	struct stat_value inflight, streams, workers, links; /* gauges */
	struct stat_value chunks, bytes_in, bytes_out, dropped, faults, credits, cancels;
};

extern struct metrics metrics;

/* Puts everything into the registry; once, before threads start. */
void metrics_register(void);

/* Counts a finished request and its duration. */
void metrics_request(enum route_id route, enum outcome out, uint64_t us);

/* Counts the time from a request to its first byte of answer. */
void metrics_first_byte(uint64_t us);

/* The outcome of a whole answer with this status. */
enum outcome metrics_outcome(int status);

#endif
