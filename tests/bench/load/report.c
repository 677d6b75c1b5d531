/* SPDX-License-Identifier: Apache-2.0
 *
 * The result: one JSON object on standard output; times in microseconds.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "tests/bench/load/load.h"

static void put_hist(struct buf *out, const char *name, const struct hist *h)
{
	if (!h->n)
		return;
	buf_fmt(out, ",\"%s\":", name);
	hist_json(h, out);
}

static double own_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void put_wrongs(const struct run *r, struct buf *out)
{
	buf_fmt(out, ",\"wrong\":%llu,\"wrongs\":{", (unsigned long long)r->wrong_n);
	for (int i = 0; i < WRONG_KINDS && r->wrongs[i].n; i++)
		buf_fmt(out, "%s\"%s\":%llu", i ? "," : "", r->wrongs[i].what,
			(unsigned long long)r->wrongs[i].n);
	buf_str(out, "}");
}

void report(struct run *r)
{
	uint64_t end = now_ns() < r->to ? now_ns() : r->to;
	double s = end > r->from ? (double)(end - r->from) / 1e9 : 0;
	struct buf b = { 0 };

	buf_fmt(&b,
		"{\"seconds\":%.3f,\"requests\":%llu,\"rps\":%.1f,\"events\":%llu,\"events_per_s\":%.1f,"
		"\"mb_per_s\":%.2f,\"verified\":%u,\"samples\":%u,\"cpu_s\":%.3f",
		s, (unsigned long long)r->requests, s > 0 ? (double)r->finished_in_time / s : 0,
		(unsigned long long)r->events, s > 0 ? (double)r->events / s : 0,
		s > 0 ? (double)r->bytes / s / 1e6 : 0, r->verified, r->n_samples, own_cpu());
	buf_fmt(&b, ",\"answers\":%llu,\"all_events\":%llu", (unsigned long long)r->answers,
		(unsigned long long)r->all_events);
	put_wrongs(r, &b);
	put_hist(&b, "total", &r->total);
	put_hist(&b, "first", &r->first);
	put_hist(&b, "gap", &r->gap);
	put_hist(&b, "chunk", &r->chunk);
	put_hist(&b, "late", &r->late);
	buf_str(&b, "}\n");
	fwrite(b.p, 1, b.n, stdout);
	buf_free(&b);
}
