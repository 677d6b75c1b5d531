/* SPDX-License-Identifier: Apache-2.0
 *
 * Health checks (probes.h) through the same HTTP client as everything else, so
 * that the same addresses are refused.  Nothing secret is sent: whoever answers
 * at the address learns that somebody asked.  Only 200 counts; the body is read
 * to its end, at most BODY_MAX bytes, and thrown away.
 */
#include "worker/probes.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/headers.h"
#include "worker/metrics.h"

#define BODY_MAX 4096

struct probes {
	struct upstream *upstream;
	probes_fn fn;
	void *arg;
	struct one *first;
	unsigned n;
};

struct one {
	struct probes *all;
	struct one *next, **link;
	struct upstream_req *up;
	unsigned broker;
	struct probed said;
	uint64_t began_ns;
	int status;
};

struct probes *probes_new(struct upstream *upstream, probes_fn fn, void *arg)
{
	struct probes *p = mem_new(sizeof(*p));

	p->upstream = upstream;
	p->fn = fn;
	p->arg = arg;
	return p;
}

static void drop(struct one *o)
{
	*o->link = o->next;
	if (o->next)
		o->next->link = o->link;
	o->all->n--;
	free(o);
}

void probes_free(struct probes *p)
{
	if (!p)
		return;
	while (p->first) {
		upstream_cancel(p->first->up);
		drop(p->first);
	}
	free(p);
}

unsigned probes_count(const struct probes *p)
{
	return p->n;
}

static void on_head(void *arg, int status, const char *type)
{
	struct one *o = arg;

	(void)type;
	o->status = status;
}

static void on_done(void *arg, enum upstream_result result)
{
	struct one *o = arg;
	struct probes *p = o->all;
	uint64_t us = (uv_hrtime() - o->began_ns) / 1000;
	struct probed said = o->said;
	unsigned to = o->broker;

	said.result = result == UPSTREAM_OK && o->status == 200 ? PROBE_REACHED : PROBE_FAILED;
	said.latency_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
	if (said.result == PROBE_FAILED) {
		stat_inc(&metrics.probes_failed, 1);
		log_info("probe.failed", L_U("node", said.node), L_U("status", (uint64_t)o->status),
			 L_S("result", upstream_result_name(result)));
	}
	drop(o);
	p->fn(p->arg, to, &said);
}

static void start(struct probes *p, unsigned from, const struct probe *m, const struct probed *said,
		  const char *url)
{
	struct one *o = mem_new(sizeof(*o));
	struct upstream_call call = {
		.method = "GET",
		.url = url,
		.connect_ms = m->timeout_ms,
		.first_byte_ms = m->timeout_ms,
		.total_ms = m->timeout_ms,
		.max_body = BODY_MAX,
		.on_head = on_head,
		.on_done = on_done,
		.arg = o,
	};

	o->all = p;
	o->broker = from;
	o->said = *said;
	o->began_ns = uv_hrtime();
	o->next = p->first;
	if (o->next)
		o->next->link = &o->next;
	o->link = &p->first;
	p->first = o;
	p->n++;
	o->up = upstream_start(p->upstream, &call);
}

void probes_ask(struct probes *p, unsigned from, const struct probe *m)
{
	struct probed said = { .epoch = m->epoch, .node = m->node, .result = PROBE_NOT_TRIED };
	struct buf url = { 0 };

	memcpy(said.rid, m->rid, RID_BYTES);
	if (p->n >= PROBES_MAX) {
		p->fn(p->arg, from, &said);
		return;
	}
	stat_inc(&metrics.probes, 1);
	if (headers_url(m->address, "/health", &url) == ERR_OK) {
		start(p, from, m, &said, (const char *)url.p);
	} else {
		said.result = PROBE_FAILED;
		p->fn(p->arg, from, &said);
	}
	buf_free(&url);
}
