/* SPDX-License-Identifier: Apache-2.0
 *
 * One HTTP request being served: its identity, its headers, and every way to
 * answer it.  Whatever ends a call frees it, counts it and writes its access
 * line; exactly one of the ending functions is called.
 */
#ifndef SEALWAY_GATEWAY_CALL_H
#define SEALWAY_GATEWAY_CALL_H

#include "common/httpd/httpd.h"
#include "gateway/errors.h"
#include "gateway/guard.h"
#include "gateway/routes.h"
#include "gateway/gw.h"
#include "proto/quota.h"

struct call {
	struct gw *gw;
	struct hreq *http;
	struct route route;
	uint8_t rid[RID_BYTES];
	char shown[GUARD_SHOWN_MAX + 1]; /* X-Request-Id of the answer */
	uint64_t began;                  /* ns, monotonic */
	uint64_t bytes;                  /* written to the client */
	int status;                      /* once an answer began */
	struct quota quota;              /* of the user, for the head of the answer */
};

/* A call for a request that just came in: draws its request id. */
struct call *call_new(struct gw *gw, struct hreq *r);

/* Checks the head in PROTOCOL's order: 401 (when token_hash is not NULL; then it
 * is filled), 415, 413 (max: bytes of body this route takes).  For routes with
 * a body. */
enum err call_check(const struct call *c, uint64_t max, uint8_t token_hash[32]) MUST_USE;

/* 401 only, for routes without a body. */
enum err call_check_token(const struct call *c, uint8_t token_hash[32]) MUST_USE;

/* Ends the call with a whole JSON answer. */
void call_answer(struct call *c, int status, struct slice json);

/* Ends the call with 200 and a document that is the same for everybody and
 * outlives all calls: static bytes, which are not copied.  policy:
 * its Content-Security-Policy, or NULL. */
void call_document(struct call *c, struct slice type, const char *policy, struct slice body);

/* Ends the call with an error; why may be NULL. */
void call_refuse(struct call *c, enum err e, const struct refusal *why);

/* Ends an OPTIONS call: 204 with the CORS headers. */
void call_preflight(struct call *c);

/* Starts 200: an SSE stream, or a JSON object of length bytes. */
void call_begin(struct call *c, bool stream, uint64_t length);

/* Writes a piece of the answer that call_begin started. */
void call_write(struct call *c, struct slice s);

/* Ends the call cleanly after call_begin. */
void call_end(struct call *c);

/* Ends the call after call_begin with a cut; on streams after an error event
 * for e (sep: a blank line comes first, because an event is unfinished). */
void call_break(struct call *c, bool stream, bool sep, enum err e);

/* Ends the call because its client is gone: nothing is sent. */
void call_gone(struct call *c);

#endif
