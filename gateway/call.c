/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers (PROTOCOL sections 3 and 5).  Every one carries X-Request-Id and the
 * CORS headers.  The access line names route, status, duration and bytes; no
 * text of the client's is in it, not even its X-Request-Id.
 */
#include "gateway/call.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "gateway/conf.h"
#include "gateway/cors.h"
#include "gateway/metrics.h"

#define HEADERS_MAX 16

struct headers {
	struct hheader h[HEADERS_MAX];
	size_t n;
	struct cors cors;
	char retry[16], quota[3][24];
};

static void add(struct headers *hs, const char *name, struct slice value)
{
	BUG_ON(hs->n == HEADERS_MAX);
	hs->h[hs->n++] = (struct hheader){ name, value };
}

/* What is left of the user's limit, when the broker told one. */
static void add_quota(struct headers *hs, const struct quota *q)
{
	static const char *const names[3] = { "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset" };
	const uint64_t values[3] = { q->limit, q->remaining, q->reset_s };

	for (int i = 0; i < 3 && q->limit; i++) {
		snprintf(hs->quota[i], sizeof(hs->quota[i]), "%llu", (unsigned long long)values[i]);
		add(hs, names[i], slice_str(hs->quota[i]));
	}
}

/* The headers of every answer. */
static void headers_init(struct headers *hs, const struct call *c)
{
	hs->n = 0;
	cors_decide(&hs->cors, c->gw->conf->cors_origin, hreq_header(c->http, "origin"),
		    hreq_header(c->http, "access-control-request-headers"));
	add(hs, "x-request-id", slice_str(c->shown));
	add_quota(hs, &c->quota);
	if (hs->cors.vary)
		add(hs, "vary", SLICE_STR("origin"));
	if (!hs->cors.origin.n)
		return;
	add(hs, "access-control-allow-origin", hs->cors.origin);
	add(hs, "access-control-expose-headers",
	    SLICE_STR("x-request-id, retry-after, ratelimit-limit, ratelimit-remaining, ratelimit-reset"));
}

struct call *call_new(struct gw *gw, struct hreq *r)
{
	struct call *c = mem_new(sizeof(*c));
	struct slice own = hreq_header(r, "x-request-id");

	c->gw = gw;
	c->http = r;
	c->began = uv_hrtime();
	randombytes_buf(c->rid, sizeof(c->rid));
	if (guard_shown(own, hreq_header_count(r, "x-request-id")))
		memcpy(c->shown, own.p, own.n);
	else
		log_rid(c->shown, c->rid);
	return c;
}

enum err call_check_token(const struct call *c, uint8_t token_hash[32])
{
	return guard_bearer(hreq_header(c->http, "authorization"),
			    hreq_header_count(c->http, "authorization"), token_hash);
}

enum err call_check(const struct call *c, uint64_t max, uint8_t token_hash[32])
{
	if (token_hash && call_check_token(c, token_hash) != ERR_OK)
		return ERR_AUTH;
	if (guard_media(hreq_header(c->http, "content-type"), hreq_header_count(c->http, "content-type")) !=
	    ERR_OK)
		return ERR_MEDIA;
	return hreq_over_limit(c->http) || hreq_body(c->http).n > max ? ERR_TOO_LARGE : ERR_OK;
}

/* The call is over: counts it, says so, frees it. */
static void finish(struct call *c, enum outcome out)
{
	static const char *const names[OUT_COUNT] = {
#define X(id, label) [id] = label,
		OUTCOMES(X)
#undef X
	};
	uint64_t us = (uv_hrtime() - c->began) / 1000;
	enum log_level level = out == OUT_FAILED || out == OUT_CUT ? LOG_INFO : LOG_DEBUG;

	metrics_request(c->route.id, out, us);
	stat_inc(&metrics.bytes_out, (int64_t)c->bytes);
	if (log_wants(level))
		LOG(level, "request", L_S("endpoint", route_name(c->route.id)), L_I("status", c->status),
		    L_S("outcome", names[out]), L_U("ms", us / 1000), L_U("bytes", c->bytes), L_RID(c->rid));
	free(c);
}

/* A whole answer of n bytes is on its way. */
static void responded(struct call *c, int status, size_t n)
{
	c->status = status;
	c->bytes = n;
	finish(c, metrics_outcome(status));
}

static void respond(struct call *c, struct headers *hs, int status, struct slice body)
{
	hreq_respond(c->http, status, hs->h, hs->n, body);
	responded(c, status, body.n);
}

void call_answer(struct call *c, int status, struct slice json)
{
	struct headers hs;

	headers_init(&hs, c);
	add(&hs, "content-type", SLICE_STR("application/json"));
	respond(c, &hs, status, json);
}

void call_document(struct call *c, struct slice type, const char *policy, struct slice body)
{
	struct headers hs;

	headers_init(&hs, c);
	add(&hs, "content-type", type);
	add(&hs, "cache-control", SLICE_STR("public, max-age=300"));
	add(&hs, "x-content-type-options", SLICE_STR("nosniff"));
	if (policy) {
		add(&hs, "content-security-policy", slice_str(policy));
		add(&hs, "referrer-policy", SLICE_STR("no-referrer"));
	}
	hreq_respond_static(c->http, 200, hs.h, hs.n, body);
	responded(c, 200, body.n);
}

void call_refuse(struct call *c, enum err e, const struct refusal *why)
{
	static const struct refusal nothing;
	struct headers hs;
	struct buf body = { .p = NULL };
	uint32_t retry = error_retry_after(e, why ? why->retry_after_s : 0);

	headers_init(&hs, c);
	add(&hs, "content-type", SLICE_STR("application/json"));
	if (retry) {
		snprintf(hs.retry, sizeof(hs.retry), "%u", retry);
		add(&hs, "retry-after", slice_str(hs.retry));
	}
	if (e == ERR_METHOD)
		add(&hs, "allow", slice_str(c->route.allow));
	if (e == ERR_AUTH)
		add(&hs, "www-authenticate", SLICE_STR("Bearer"));
	error_write(&body, e, why ? why : &nothing, c->shown);
	respond(c, &hs, err_status(e), buf_slice(&body));
	buf_free(&body);
}

void call_preflight(struct call *c)
{
	struct headers hs;

	headers_init(&hs, c);
	add(&hs, "allow", slice_str(c->route.allow));
	if (hs.cors.origin.n) {
		add(&hs, "access-control-allow-methods", SLICE_STR("GET, POST, OPTIONS"));
		add(&hs, "access-control-allow-headers", hs.cors.headers);
		add(&hs, "access-control-max-age", SLICE_STR("600"));
	}
	respond(c, &hs, 204, slice_of(NULL, 0));
}

void call_begin(struct call *c, bool stream, uint64_t length)
{
	struct headers hs;

	headers_init(&hs, c);
	if (stream) {
		add(&hs, "content-type", SLICE_STR("text/event-stream"));
		add(&hs, "cache-control", SLICE_STR("no-cache"));
		add(&hs, "x-accel-buffering",
		    SLICE_STR("no")); /* a proxy in front passes events on at once */
	} else {
		add(&hs, "content-type", SLICE_STR("application/json"));
	}
	c->status = 200;
	stat_inc(&metrics.streams, 1);
	metrics_first_byte((uv_hrtime() - c->began) / 1000);
	hreq_begin(c->http, 200, hs.h, hs.n, stream ? UINT64_MAX : length);
}

void call_write(struct call *c, struct slice s)
{
	c->bytes += s.n;
	hreq_write(c->http, s);
}

void call_end(struct call *c)
{
	stat_inc(&metrics.streams, -1);
	hreq_end(c->http);
	finish(c, OUT_OK);
}

void call_break(struct call *c, bool stream, bool sep, enum err e)
{
	static const struct refusal nothing;
	struct buf event = { .p = NULL };

	if (stream) {
		buf_str(&event, sep ? "\n\nevent: error\ndata: " : "event: error\ndata: ");
		error_write(&event, e, &nothing, c->shown);
		buf_str(&event, "\n\n");
		call_write(c, buf_slice(&event));
		buf_free(&event);
	}
	stat_inc(&metrics.streams, -1);
	hreq_abort(c->http);
	finish(c, OUT_CUT);
}

void call_gone(struct call *c)
{
	if (c->status)
		stat_inc(&metrics.streams, -1);
	finish(c, OUT_GONE);
}
