/* SPDX-License-Identifier: Apache-2.0
 *
 * The view of sealway top (top.h): totals with rates, then a line per node and
 * per worker.  Text of the broker is shown through fault_safe, so that no name
 * can move the cursor.
 */
#include <stdio.h>
#include <string.h>

#include "client/cli/top.h"
#include "client/fault.h"

#define LINE_MAX_BYTES 512
#define NAME_MAX_BYTES 40

struct view {
	struct buf *out;
	unsigned rows, columns, at;
};

/* One line, cut at the window's edge. */
static void line(struct view *v, const char *text)
{
	size_t n = strlen(text);

	if (v->at >= v->rows)
		return;
	v->at++;
	buf_add(v->out, text, n < v->columns ? n : v->columns);
	buf_str(v->out, "\n");
}

static long long number(const json_t *o, const char *name)
{
	return (long long)json_integer_value(json_object_get(o, name));
}

static const char *text_of(const json_t *o, const char *name, char out[NAME_MAX_BYTES])
{
	fault_safe(out, NAME_MAX_BYTES, slice_str(json_string_value(json_object_get(o, name))));
	return out;
}

/* Per second between two samples; a broker that was restarted counts anew. */
static double rate(const json_t *before, const json_t *now, const char *name)
{
	const json_t *was = json_object_get(before, "counts"), *is = json_object_get(now, "counts");
	long long ms = number(now, "ms") - number(before, "ms"), n = number(is, name) - number(was, name);

	return before && ms > 0 && n > 0 ? (double)n * 1000.0 / (double)ms : 0.0;
}

static void totals(struct view *v, const json_t *before, const json_t *now)
{
	const json_t *c = json_object_get(now, "counts");
	char text[LINE_MAX_BYTES];

	snprintf(text, sizeof(text), "requests %lld (%.1f/s)   units %lld (%.1f/s)   locks %lld (%.1f/s)",
		 number(c, "requests"), rate(before, now, "requests"), number(c, "units"),
		 rate(before, now, "units"), number(c, "locks"), rate(before, now, "locks"));
	line(v, text);
	snprintf(text, sizeof(text), "in flight %lld   streams %lld   queued %lld   ledger backlog %lld%s%s",
		 number(c, "inflight"), number(c, "streams"), number(c, "queued"), number(c, "backlog"),
		 json_is_true(json_object_get(now, "database_writable")) ? ""
									 : "   DATABASE CANNOT BE WRITTEN",
		 json_is_true(json_object_get(now, "draining")) ? "   DRAINING" : "");
	line(v, text);
	snprintf(text, sizeof(text), "gateway threads %lld   stacks bought %lld   node faults %lld",
		 number(now, "gateways"), number(c, "purchases"), number(c, "faults"));
	line(v, text);
}

static void node(const json_t *n, char out[LINE_MAX_BYTES])
{
	char state[NAME_MAX_BYTES];

	snprintf(out, LINE_MAX_BYTES, "%-16lld  %-9s  %7lld  %5lld  %6lld  %6lld  %15lld", number(n, "node"),
		 text_of(n, "state", state), number(n, "running"), number(n, "locks"), number(n, "models"),
		 number(n, "faults"), number(n, "workers_refused"));
}

static void worker(const json_t *w, char out[LINE_MAX_BYTES])
{
	char name[NAME_MAX_BYTES];

	snprintf(out, LINE_MAX_BYTES, "%-16s  %5lld  %8lld  %8lld  %10lld  %8lld%s",
		 text_of(w, "worker", name), number(w, "tasks"), number(w, "capacity"), number(w, "gateways"),
		 number(w, "refused_by"), number(w, "failures"),
		 json_is_true(json_object_get(w, "draining")) ? "  draining" : "");
}

static void table(struct view *v, const char *heading, const json_t *list,
		  void (*row)(const json_t *o, char out[LINE_MAX_BYTES]))
{
	char text[LINE_MAX_BYTES];
	const json_t *o;
	size_t i;

	line(v, "");
	line(v, heading);
	json_array_foreach(list, i, o)
	{
		row(o, text);
		line(v, text);
	}
}

void top_view(struct buf *out, const json_t *before, const json_t *now, unsigned rows, unsigned columns)
{
	struct view v = { .out = out, .rows = rows, .columns = columns };

	totals(&v, before, now);
	table(&v, "worker            tasks  capacity  gateways  refused by  failures",
	      json_object_get(now, "workers"), worker);
	table(&v, "node              state      running  locks  models  faults  refused workers",
	      json_object_get(now, "nodes"), node); /* the longest list comes last */
}
