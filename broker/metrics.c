/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and help texts of the broker's metrics (metrics.h).
 */
#include "broker/metrics.h"

#include "proto/settle.h"

#define COUNTER(n, h)                                                                                        \
	{                                                                                                    \
		.name = "sealway_broker_" n "_total", .labels = "", .help = h, .kind = STAT_COUNTER          \
	}
#define GAUGE(n, h)                                                                                          \
	{                                                                                                    \
		.name = "sealway_broker_" n, .labels = "", .help = h, .kind = STAT_GAUGE                     \
	}

#define PROBE(result)                                                                                        \
	{                                                                                                    \
		.name = "sealway_broker_probes_total", .labels = "result=\"" result "\"",                    \
		.help = "Health checks of nodes, by what came of them; lost ones say nothing of the node.",  \
		.kind = STAT_COUNTER                                                                         \
	}

struct metrics metrics = {
	.jobs = COUNTER("jobs", "Requests admitted."),
	.dispatched = COUNTER("dispatched", "Requests given to a worker, again included."),
	.returned = COUNTER("returned", "Requests that a worker gave back."),
	.retried = COUNTER("retried", "Plain requests that went to a second node."),
	.orphaned = COUNTER("orphaned", "Posted requests whose worker went away."),
	.locks = COUNTER("locks", "Locks given."),
	.purchases = COUNTER("purchases", "Stacks bought."),
	.registrations = COUNTER("registrations", "Registrations of nodes accepted."),
	.dropped = COUNTER("dropped",
			   "Messages dropped: malformed, from strangers, stale or not for the peer to say."),
	.unsent = COUNTER("unsent", "Messages that a peer could not take."),
	.units_billed = COUNTER("units_billed", "Units billed."),
	.node_faults = COUNTER("node_faults", "Settlements flagged against a node."),
	.stacks_locked = COUNTER("stacks_locked", "Stacks that their node answered 423 for."),
	.breakers_opened = COUNTER("breakers_opened", "Nodes taken out of the rotation by failures."),
	.probes_ok = PROBE("ok"),
	.probes_failed = PROBE("failed"),
	.probes_lost = PROBE("lost"),
	.nodes_failing = GAUGE("nodes_failing", "Nodes whose breaker is not closed."),
	.probes_inflight = GAUGE("probes_inflight", "Probes under way."),
	.refusals = GAUGE("workers_refused",
			  "Workers that a node does not know (401), counted once for each such node."),
	.probe = { .name = "sealway_broker_probe_seconds",
		   .labels = "",
		   .help = "Time that nodes take to answer a probe." },
	.inflight = GAUGE("inflight", "Requests between admission and settlement."),
	.queued = GAUGE("queued", "Requests that wait for a worker."),
	.gateways = GAUGE("gateways", "Gateway threads connected."),
	.workers = GAUGE("workers", "Workers connected."),
	.backlog = GAUGE("store_backlog", "Changes that wait for the database."),
	.commit = { .name = "sealway_broker_commit_seconds",
		    .labels = "",
		    .help = "Time until a reservation is committed." },
};

static const char *const outcome_labels[SETTLE_OUTCOME_MAX] = {
	"outcome=\"released\"", "outcome=\"complete\"", "outcome=\"stopped\"",
	"outcome=\"failed\"",   "outcome=\"lost\"",
};

static struct stat_value settled[SETTLE_OUTCOME_MAX];

static struct stat_value refused[ERR_COUNT];

#define X(name, status, code, type, reason, text) "error=\"" #name "\"",
static const char *const error_labels[ERR_COUNT] = { ERRORS(X) };
#undef X

void metrics_register(void)
{
	struct stat_value *all[] = { &metrics.jobs,
				     &metrics.dispatched,
				     &metrics.returned,
				     &metrics.orphaned,
				     &metrics.retried,
				     &metrics.locks,
				     &metrics.purchases,
				     &metrics.registrations,
				     &metrics.dropped,
				     &metrics.unsent,
				     &metrics.units_billed,
				     &metrics.node_faults,
				     &metrics.inflight,
				     &metrics.queued,
				     &metrics.gateways,
				     &metrics.workers,
				     &metrics.backlog,
				     &metrics.stacks_locked,
				     &metrics.breakers_opened,
				     &metrics.probes_ok,
				     &metrics.probes_failed,
				     &metrics.probes_lost,
				     &metrics.nodes_failing,
				     &metrics.probes_inflight,
				     &metrics.refusals };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		stat_add(all[i]);
	for (unsigned i = 0; i < SETTLE_OUTCOME_MAX; i++) {
		settled[i] = (struct stat_value){ .name = "sealway_broker_settled_total",
						  .labels = outcome_labels[i],
						  .help = "Requests settled, by outcome.",
						  .kind = STAT_COUNTER };
		stat_add(&settled[i]);
	}
	for (unsigned i = 0; i < ERR_COUNT; i++) {
		refused[i] = (struct stat_value){ .name = "sealway_broker_refused_total",
						  .labels = error_labels[i],
						  .help = "Requests refused, by error.",
						  .kind = STAT_COUNTER };
		if (err_status((enum err)i) >= 400 && i < ERR_FORMAT)
			stat_add(&refused[i]);
	}
	stat_hist_add(&metrics.commit);
	stat_hist_add(&metrics.probe);
}

void metrics_refused(enum err e)
{
	if ((unsigned)e < ERR_COUNT)
		stat_inc(&refused[e], 1);
}

void metrics_settled(unsigned outcome)
{
	if (outcome < SETTLE_OUTCOME_MAX)
		stat_inc(&settled[outcome], 1);
}
