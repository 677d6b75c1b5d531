/* SPDX-License-Identifier: Apache-2.0
 *
 * Every HTTP request enters here.  serve.c finds the route; one file per verb
 * does the rest.  A verb takes the call: it ends it, or leaves it pending.
 */
#ifndef SEALWAY_GATEWAY_SERVE_H
#define SEALWAY_GATEWAY_SERVE_H

#include "gateway/inflight.h"
#include "gateway/scan.h"

/* httpd_opts.on_request; arg is the struct gw. */
void serve_request(void *arg, struct hreq *r);

/* Leaves c pending: sends head (taken) and a copy of body (may be NULL) to the
 * broker.  Full table or no broker: the call ends with 503 and NULL comes back. */
struct pending *serve_send(struct call *c, enum pending_kind kind, struct buf *head,
			   const struct slice *body);

/* Streams need a version of HTTP in which a cut is no end.  ERR_BODY with *fault. */
enum err serve_may_stream(const struct call *c, bool stream, struct scan_fault *fault) MUST_USE;

/* POST /v1/completions and the other plain ones (plain.c, PROTOCOL section 2). */
void serve_plain(struct call *c);

/* POST /v1/confidential/... (confidential.c, PROTOCOL section 2). */
void serve_confidential(struct call *c);

/* POST /v1/nodes/lock (lock.c, PROTOCOL section 6). */
void serve_lock(struct call *c);

/* POST /v1/nodes (register.c, PROTOCOL section 8). */
void serve_register(struct call *c);

/* GET /v1/models (query.c). */
void serve_models(struct call *c);

/* GET /v1/models/{model} (query.c). */
void serve_model(struct call *c);

/* GET /v1/open_router/models (query.c). */
void serve_open_router(struct call *c);

/* GET /v1/nodes/{node_small_id}/attestation (query.c). */
void serve_attestation(struct call *c);

/* GET /openapi.json (openapi.c). */
void serve_openapi(struct call *c);

/* GET /docs (openapi.c). */
void serve_docs(struct call *c);

#endif
