/* SPDX-License-Identifier: Apache-2.0
 *
 * Static counters: one per route and outcome, made by the preprocessor, so that
 * no label is ever built from anything that came from outside.
 */
#include "gateway/metrics.h"

#define CELL(route, outcome)                                                                                 \
	{ .name = "sealway_gateway_requests_total",                                                          \
	  .labels = "endpoint=\"" route "\",outcome=\"" outcome "\"",                                        \
	  .help = "Requests by endpoint and outcome.",                                                       \
	  .kind = STAT_COUNTER },
#define ROW(route)                                                                                           \
	{                                                                                                    \
		CELL(route, "ok")                                                                            \
		CELL(route, "refused") CELL(route, "failed") CELL(route, "cut") CELL(route, "gone")          \
	}

static struct stat_value requests[ROUTE_COUNT][OUT_COUNT] = {
#define X(id, method, path, name, endpoint) [id] = ROW(name),
	ROUTES(X)
#undef X
		[ROUTE_NONE] = ROW("other"),
};

#define DURATION(route)                                                                                      \
	{                                                                                                    \
		.name = "sealway_gateway_request_seconds", .labels = "endpoint=\"" route "\"",               \
		.help = "Time from a request's head to the end of its answer."                               \
	}

static struct stat_hist durations[ROUTE_COUNT] = {
#define X(id, method, path, text, endpoint) [id] = DURATION(text),
	ROUTES(X)
#undef X
		[ROUTE_NONE] = DURATION("other"),
};

static struct stat_hist first_byte = {
	.name = "sealway_gateway_first_byte_seconds",
	.labels = "",
	.help = "Time from a request to the head of its answer.",
};

#define GAUGE(text, about)                                                                                   \
	{                                                                                                    \
		.name = "sealway_gateway_" text, .labels = "", .help = about, .kind = STAT_GAUGE             \
	}
#define COUNTER(text, about)                                                                                 \
	{                                                                                                    \
		.name = "sealway_gateway_" text, .labels = "", .help = about, .kind = STAT_COUNTER           \
	}

struct metrics metrics = {
	.inflight = GAUGE("inflight", "Requests waiting for an answer or streaming."),
	.streams = GAUGE("streams_open", "Answers on their way to a client."),
	.workers = GAUGE("workers", "Workers introduced, summed over threads."),
	.links = GAUGE("broker_links", "Threads that a broker has welcomed."),
	.chunks = COUNTER("chunks_total", "Frames taken from workers."),
	.bytes_in = COUNTER("bytes_in_total", "Bytes of request bodies forwarded."),
	.bytes_out = COUNTER("bytes_out_total", "Bytes of answers written to clients."),
	.dropped = COUNTER("dropped_total", "Messages dropped as stale, unknown or malformed."),
	.faults = COUNTER("worker_faults_total", "Answers ended because a worker broke the rules."),
	.credits = COUNTER("credits_total", "Credit messages sent to workers."),
	.cancels = COUNTER("cancels_total", "Cancel messages sent."),
};

void metrics_register(void)
{
	struct stat_value *all = (struct stat_value *)&metrics;

	for (unsigned r = 0; r < ROUTE_COUNT; r++)
		for (unsigned o = 0; o < OUT_COUNT; o++)
			stat_add(&requests[r][o]);
	for (unsigned i = 0; i < sizeof(metrics) / sizeof(*all); i++)
		stat_add(&all[i]);
	for (unsigned r = 0; r < ROUTE_COUNT; r++)
		stat_hist_add(&durations[r]);
	stat_hist_add(&first_byte);
}

void metrics_request(enum route_id route, enum outcome out, uint64_t us)
{
	stat_inc(&requests[route][out], 1);
	stat_observe(&durations[route], us);
}

void metrics_first_byte(uint64_t us)
{
	stat_observe(&first_byte, us);
}

enum outcome metrics_outcome(int status)
{
	if (status < 400)
		return OUT_OK;
	return status < 500 ? OUT_REFUSED : OUT_FAILED;
}
