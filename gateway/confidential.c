/* SPDX-License-Identifier: Apache-2.0
 *
 * The main job (PROTOCOL section 2): head and body are checked here, in the
 * order of refusals; whose stack it is and what it costs is the broker's.  The
 * body goes on byte for byte.
 */
#include "gateway/serve.h"

#include <string.h>

#include "gateway/api.h"
#include "gateway/conf.h"
#include "gateway/metrics.h"

#define HTTP_1_0 0x100

enum err serve_may_stream(const struct call *c, bool stream, struct scan_fault *fault)
{
	if (!stream || hreq_version(c->http) > HTTP_1_0)
		return ERR_OK;
	*fault = (struct scan_fault){ "stream", "streaming needs HTTP/1.1 or HTTP/2" };
	return ERR_BODY; /* a cut looks like a clean end there */
}

static enum err check_body(const struct call *c, struct scan *s, struct scan_fault *fault)
{
	enum err e = scan_confidential(hreq_body(c->http), endpoint_streams(c->route.ep), s, fault);

	return e == ERR_OK ? serve_may_stream(c, s->stream, fault) : e;
}

static void send_job(struct call *c, const struct scan *s, const uint8_t token_hash[32])
{
	struct slice body = hreq_body(c->http);
	size_t bytes = body.n;
	struct buf head = { .p = NULL };
	struct pending *p;
	struct job job;

	api_job(&job, c->route.ep, s, body);
	memcpy(job.rid, c->rid, RID_BYTES);
	memcpy(job.token_hash, token_hash, sizeof(job.token_hash));
	job.topic = c->gw->topic;
	job.deadline_ms = (uint32_t)c->gw->conf->dispatch_ms;
	job_encode(&job, &head);
	p = serve_send(c, PENDING_JOB, &head, &body);
	if (!p)
		return;
	flight_init(&p->flight, s->stream);
	stat_inc(&metrics.bytes_in, (int64_t)bytes);
}

void serve_confidential(struct call *c)
{
	uint8_t token_hash[32];
	struct scan_fault fault;
	struct scan s;
	enum err e = call_check(c, c->gw->conf->max_body, token_hash);

	if (e != ERR_OK) {
		call_refuse(c, e, NULL);
		return;
	}
	e = check_body(c, &s, &fault);
	if (e != ERR_OK)
		call_refuse(c, e, &(struct refusal){ .param = slice_str(fault.param), .what = fault.what });
	else
		send_job(c, &s, token_hash);
}
