/* SPDX-License-Identifier: Apache-2.0
 *
 * The layout of HDR histograms: values below 128 exactly, above it 128 buckets
 * for each doubling.
 */
#include "tests/bench/load/load.h"

static unsigned slot(uint64_t v)
{
	unsigned top, at;

	if (v < HIST_SUB)
		return (unsigned)v;
	top = 63 - (unsigned)__builtin_clzll(v); /* at least 7 */
	at = (top - 6) * HIST_SUB + (unsigned)(v >> (top - 7)) - HIST_SUB;
	return at < HIST_N ? at : HIST_N - 1;
}

/* The largest value of a bucket. */
static uint64_t upper(unsigned at)
{
	unsigned shift;

	if (at < HIST_SUB)
		return at;
	shift = at / HIST_SUB - 1;
	return ((uint64_t)(at % HIST_SUB + HIST_SUB + 1) << shift) - 1;
}

void hist_add(struct hist *h, uint64_t ns)
{
	h->count[slot(ns)]++;
	h->n++;
	h->sum += (double)ns;
	if (ns > h->max)
		h->max = ns;
}

uint64_t hist_at(const struct hist *h, double share)
{
	uint64_t want = (uint64_t)((double)h->n * share + 0.999999), seen = 0;

	for (unsigned i = 0; i < HIST_N && h->n; i++) {
		seen += h->count[i];
		if (seen && seen >= want)
			return upper(i) < h->max ? upper(i) : h->max;
	}
	return h->max;
}

void hist_json(const struct hist *h, struct buf *out)
{
	static const struct {
		const char *name;
		double share;
	} at[] = { { "p50", .5 },    { "p90", .9 },      { "p99", .99 },
		   { "p999", .999 }, { "p9999", .9999 }, { "max", 1 } };
	const char *comma = "";

	buf_fmt(out, "{\"n\":%llu,\"mean\":%.1f", (unsigned long long)h->n,
		h->n ? h->sum / (double)h->n / 1e3 : 0);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		buf_fmt(out, ",\"%s\":%.1f", at[i].name, (double)hist_at(h, at[i].share) / 1e3);
	buf_str(out, ",\"buckets\":[");
	for (unsigned i = 0; i < HIST_N; i++) {
		if (!h->count[i])
			continue;
		buf_fmt(out, "%s[%.2f,%llu]", comma, (double)upper(i) / 1e3, (unsigned long long)h->count[i]);
		comma = ",";
	}
	buf_str(out, "]}");
}
