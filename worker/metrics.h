/* SPDX-License-Identifier: Apache-2.0
 *
 * What a worker counts.  Label values are names of ours.
 */
#ifndef SEALWAY_WORKER_METRICS_H
#define SEALWAY_WORKER_METRICS_H

#include "common/stats.h"
#include "proto/settle.h"

struct metrics {
	struct stat_value tasks, paused, queue_bytes, answer_bytes, settling, brokers;
	struct stat_value requests[SETTLE_OUTCOME_MAX]; /* by outcome */
	struct stat_value returned, objects, bytes, units, stops, fetches, probes, probes_failed;
	struct stat_hist first_byte, whole;
};

extern struct metrics metrics;

/* Puts them into the registry; once, at start. */
void metrics_init(void);

#endif
