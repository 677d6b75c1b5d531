/* SPDX-License-Identifier: Apache-2.0
 *
 * Health checks of nodes (docs/ARCHITECTURE.md, When something dies): the broker has
 * a worker ask a node whether it is there.  The rid is the probe's own, drawn
 * for it; it names no request.
 */
#ifndef SEALWAY_PROTO_PROBE_H
#define SEALWAY_PROTO_PROBE_H

#include "proto/msg.h"

#define PROBE_MS_MAX 60000

/* [v, PROBE, rid, epoch, node, address, timeout_ms] */
struct probe {
	uint8_t rid[RID_BYTES];
	uint64_t epoch;
	uint64_t node;        /* node_small_id */
	struct slice address; /* URL without path */
	uint32_t timeout_ms;  /* 1..PROBE_MS_MAX, for everything: name, connection, answer */
};

enum probe_result {
	PROBE_REACHED = 1, /* it answered GET /health with 200 */
	PROBE_FAILED,      /* it did not */
	PROBE_NOT_TRIED,   /* the worker has too many at hand: says nothing about the node */
	PROBE_RESULT_MAX
};

/* [v, PROBED, rid, epoch, node, result, latency_us] */
struct probed {
	uint8_t rid[RID_BYTES];
	uint64_t epoch;
	uint64_t node;
	enum probe_result result;
	uint32_t latency_us; /* from asking to the end of the answer, or to giving up */
};

/* Appends the message to out. */
void probe_encode(const struct probe *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err probe_decode(struct slice bytes, struct probe *out) MUST_USE;
/* Appends the message to out. */
void probed_encode(const struct probed *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err probed_decode(struct slice bytes, struct probed *out) MUST_USE;

#endif
