/* SPDX-License-Identifier: Apache-2.0
 *
 * What the broker counts.  Labels are names of ours: error codes and outcomes.
 */
#ifndef SEALWAY_BROKER_METRICS_H
#define SEALWAY_BROKER_METRICS_H

#include "common/err.h"
#include "common/stats.h"

struct metrics {
	struct stat_value jobs, dispatched, returned, orphaned, retried, locks, purchases, registrations,
		dropped, unsent;
	struct stat_value units_billed, node_faults, stacks_locked, breakers_opened, probes_ok, probes_failed,
		probes_lost;
	struct stat_value inflight, queued, gateways, workers, backlog, nodes_failing, probes_inflight,
		refusals;        /* gauges */
	struct stat_hist commit; /* reservation committed */
	struct stat_hist probe;  /* a node's answer to a probe */
};

extern struct metrics metrics;

/* Puts everything into the registry; once. */
void metrics_register(void);

/* Counts a refusal by its error. */
void metrics_refused(enum err e);

/* Counts a settlement by its outcome (enum settle_outcome; 0 = released unused). */
void metrics_settled(unsigned outcome);

#endif
