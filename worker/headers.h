/* SPDX-License-Identifier: Apache-2.0
 *
 * What a call to a node carries in its head (PROTOCOL section 7).
 */
#ifndef SEALWAY_WORKER_HEADERS_H
#define SEALWAY_WORKER_HEADERS_H

#include "common/net/upstream.h"
#include "common/sign.h"
#include "proto/receipt.h"
#include "proto/work.h"

#define AUTH_SECONDS 60 /* how long an X-Sealway-Auth is good for */
#define HEADERS_MAX 6

/* The two secrets of a worker; each signs one thing only. */
struct headers_keys {
	struct sign_key *request; /* X-Signature */
	struct sign_key *auth;	  /* X-Sealway-Auth */
};

/* Headers of one call, with the memory that their values point into.  Secret:
 * wipe with headers_wipe once the call was started. */
struct headers {
	struct upstream_header h[HEADERS_MAX];
	size_t n;
	char rid[2 * RID_BYTES + 1];
	char user[24], stack[24];
	char signature[SIGN_B64];
	char auth[4 * ((AUTH_BYTES + 2) / 3) + 1 + SIGN_B64];
};

/* For posting w's body at now (Unix seconds). */
void headers_post(struct headers *out, const struct headers_keys *k, const struct work *w, uint64_t now);

/* For a call without a body about a request: stop-streamer and receipts. */
void headers_about(struct headers *out, const struct headers_keys *k, const struct authz *a);

/* Wipes what can be used against a node. */
void headers_wipe(struct headers *h);

/* address + path as one URL in out.  ERR_FORMAT unless address is http:// or
 * https://, a host and nothing a path could hide in. */
enum err headers_url(struct slice address, const char *path, struct buf *out) MUST_USE;

#endif
