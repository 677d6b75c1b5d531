/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's counters (metrics.h), one table.
 */
#include "worker/metrics.h"

#define S(member, kind_, name_, help_)                                                                       \
	.member = { .name = "sealway_worker_" name_, .labels = "", .help = help_, .kind = kind_ }
#define OUTCOME(number, text)                                                                                \
	[number] = { .name = "sealway_worker_requests_total",                                                \
		     .labels = "outcome=\"" text "\"",                                                       \
		     .help = "Requests that ended, by outcome.",                                             \
		     .kind = STAT_COUNTER }

struct metrics metrics = {
	S(tasks, STAT_GAUGE, "tasks", "Requests in hand."),
	S(paused, STAT_GAUGE, "paused", "Requests whose node waits for the client."),
	S(queue_bytes, STAT_GAUGE, "queue_bytes", "Bytes that wait for a gateway."),
	S(answer_bytes, STAT_GAUGE, "answer_bytes", "Bytes of whole answers, collected or waiting for their clients."),
	S(settling, STAT_GAUGE, "settlements_open", "Settlements that the broker has not acknowledged."),
	S(brokers, STAT_GAUGE, "brokers", "Brokers that answer."),
	.requests = {
		OUTCOME(SETTLE_COMPLETE, "complete"),
		OUTCOME(SETTLE_STOPPED, "stopped"),
		OUTCOME(SETTLE_FAILED, "failed"),
		OUTCOME(SETTLE_LOST, "lost"),
	},
	S(returned, STAT_COUNTER, "returned_total", "Requests given back to the broker unposted."),
	S(objects, STAT_COUNTER, "chunks_total", "Objects relayed."),
	S(bytes, STAT_COUNTER, "bytes_total", "Payload bytes published."),
	S(units, STAT_COUNTER, "units_total", "Units by the receipts seen."),
	S(stops, STAT_COUNTER, "stops_total", "Calls that stop a node's stream."),
	S(fetches, STAT_COUNTER, "receipt_fetches_total", "Receipts asked for at nodes."),
	S(probes, STAT_COUNTER, "probes_total", "Health checks of nodes."),
	S(probes_failed, STAT_COUNTER, "probes_failed_total", "Health checks that a node did not answer with 200."),
	.first_byte = { .name = "sealway_worker_first_byte_seconds",
			.labels = "",
			.help = "From posting to the node's status line." },
	.whole = { .name = "sealway_worker_answer_seconds", .labels = "", .help = "From posting to the node's end." },
};

void metrics_init(void)
{
	struct stat_value *const all[] = { &metrics.tasks,        &metrics.paused,       &metrics.queue_bytes,
					   &metrics.answer_bytes, &metrics.settling,     &metrics.brokers,
					   &metrics.returned,     &metrics.objects,      &metrics.bytes,
					   &metrics.units,        &metrics.stops,        &metrics.fetches,
					   &metrics.probes,       &metrics.probes_failed };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		stat_add(all[i]);
	for (int i = SETTLE_COMPLETE; i < SETTLE_OUTCOME_MAX; i++)
		stat_add(&metrics.requests[i]);
	stat_hist_add(&metrics.first_byte);
	stat_hist_add(&metrics.whole);
}
