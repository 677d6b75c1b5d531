/* SPDX-License-Identifier: Apache-2.0
 *
 * The plain endpoints (PROTOCOL section 2, Plain requests): head and body are
 * checked here as for sealed ones; the body that goes on is the compact form, which
 * is what nodes hash and the worker signs.  While it waits for the broker it
 * exists twice, within what body_budget allows a body (link.h bounds the copies).
 */
#include "gateway/serve.h"

#include <string.h>

#include "gateway/api.h"
#include "gateway/conf.h"
#include "gateway/metrics.h"
#include "gateway/scan_plain.h"

static void send_job(struct call *c, const struct scan_plain *s, const uint8_t token_hash[32])
{
	struct buf head = { .p = NULL }, body = { .secret = true };
	struct slice sent;
	struct pending *p;
	struct job job;

	scan_plain_body(hreq_body(c->http), s, &body);
	sent = buf_slice(&body);
	api_job_plain(&job, c->route.ep, s, sent);
	memcpy(job.rid, c->rid, RID_BYTES);
	memcpy(job.token_hash, token_hash, sizeof(job.token_hash));
	job.topic = c->gw->topic;
	job.deadline_ms = (uint32_t)c->gw->conf->dispatch_ms;
	job_encode(&job, &head);
	p = serve_send(c, PENDING_JOB, &head, &sent);
	if (p) {
		flight_init(&p->flight, s->base.stream);
		stat_inc(&metrics.bytes_in, (int64_t)sent.n);
	}
	buf_free(&body);
}

void serve_plain(struct call *c)
{
	uint8_t token_hash[32];
	struct scan_fault fault;
	struct scan_plain s;
	enum err e = call_check(c, c->gw->conf->max_body, token_hash);

	if (e != ERR_OK) {
		call_refuse(c, e, NULL);
		return;
	}
	e = scan_plain(hreq_body(c->http), c->route.ep, &s, &fault);
	if (e == ERR_OK)
		e = serve_may_stream(c, s.base.stream, &fault);
	if (e != ERR_OK)
		call_refuse(c, e, &(struct refusal){ .param = slice_str(fault.param), .what = fault.what });
	else
		send_job(c, &s, token_hash);
}
