/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters, gauges and latency histograms of one process, written in the
 * Prometheus text format (version 0.0.4).  Atomic, so that any thread may
 * count.  Label values are names of ours, never text from outside.
 */
#ifndef SEALWAY_COMMON_STATS_H
#define SEALWAY_COMMON_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/mem.h"

enum stat_kind { STAT_COUNTER, STAT_GAUGE };

struct stat_value {
	const char *name;   /* "sealway_gateway_requests_total" */
	const char *labels; /* "endpoint=\"completions\",outcome=\"ok\"" or "" */
	const char *help;
	enum stat_kind kind;
	_Atomic int64_t value;
	struct stat_value *next; /* registry */
};

#define STAT_BUCKETS 22 /* 2^0 .. 2^20 times 100 us, and +Inf: 0.1 ms to 105 s */

struct stat_hist {
	const char *name; /* "..._seconds" */
	const char *labels;
	const char *help;
	_Atomic uint64_t bucket[STAT_BUCKETS];
	_Atomic uint64_t sum_us;
	struct stat_hist *next; /* registry */
};

/* Puts a statically allocated stat into the process's registry; main thread,
 * before other threads start.  Same names with other labels go next to each
 * other in the order they were added. */
void stat_add(struct stat_value *s);

/* The same for a histogram. */
void stat_hist_add(struct stat_hist *h);

static inline void stat_inc(struct stat_value *s, int64_t by)
{
	atomic_fetch_add_explicit(&s->value, by, memory_order_relaxed);
}

static inline void stat_set(struct stat_value *s, int64_t v)
{
	atomic_store_explicit(&s->value, v, memory_order_relaxed);
}

/* Counts one observation in microseconds. */
void stat_observe(struct stat_hist *h, uint64_t us);

/* Appends everything registered, in the Prometheus text format. */
void stats_write(struct buf *out);

#endif
