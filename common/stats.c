/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry of a process's counters and its Prometheus text (stats.h).
 * The registry is written before other threads start and only read after.
 */
#include "common/stats.h"

#include <string.h>

static struct stat_value *first, **last = &first;
static struct stat_hist *first_hist, **last_hist = &first_hist;

#define BUCKET0_US 100

void stat_add(struct stat_value *s)
{
	s->next = NULL;
	*last = s;
	last = &s->next;
}

void stat_hist_add(struct stat_hist *h)
{
	h->next = NULL;
	*last_hist = h;
	last_hist = &h->next;
}

void stat_observe(struct stat_hist *h, uint64_t us)
{
	unsigned i = 0;

	while (i < STAT_BUCKETS - 1 && us > (uint64_t)BUCKET0_US << i)
		i++;
	atomic_fetch_add_explicit(&h->bucket[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum_us, us, memory_order_relaxed);
}

/* HELP and TYPE stand once before all samples of a name. */
static bool new_name(const char *name, const char *before)
{
	return !before || strcmp(name, before) != 0;
}

static void head(struct buf *out, const char *name, const char *help, const char *type)
{
	buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_hist(struct buf *out, const struct stat_hist *h)
{
	uint64_t total = 0;
	const char *sep = *h->labels ? "," : "";

	for (unsigned i = 0; i < STAT_BUCKETS; i++) {
		total += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
		if (i < STAT_BUCKETS - 1)
			buf_fmt(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", h->name, h->labels, sep,
				(double)((uint64_t)BUCKET0_US << i) / 1e6, (unsigned long long)total);
		else
			buf_fmt(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", h->name, h->labels, sep,
				(unsigned long long)total);
	}
	buf_fmt(out, "%s_sum%s%s%s %.6f\n", h->name, *sep ? "{" : "", h->labels, *sep ? "}" : "",
		(double)atomic_load_explicit(&h->sum_us, memory_order_relaxed) / 1e6);
	buf_fmt(out, "%s_count%s%s%s %llu\n", h->name, *sep ? "{" : "", h->labels, *sep ? "}" : "",
		(unsigned long long)total);
}

void stats_write(struct buf *out)
{
	const char *before = NULL;

	for (struct stat_value *s = first; s; before = s->name, s = s->next) {
		if (new_name(s->name, before))
			head(out, s->name, s->help, s->kind == STAT_COUNTER ? "counter" : "gauge");
		buf_fmt(out, "%s%s%s%s %lld\n", s->name, *s->labels ? "{" : "", s->labels, *s->labels ? "}" : "",
			(long long)atomic_load_explicit(&s->value, memory_order_relaxed));
	}
	before = NULL;
	for (struct stat_hist *h = first_hist; h; before = h->name, h = h->next) {
		if (new_name(h->name, before))
			head(out, h->name, h->help, "histogram");
		write_hist(out, h);
	}
}
