/* SPDX-License-Identifier: Apache-2.0
 *
 * A job that the broker has admitted, reserved and given to a worker, and what
 * the worker says about it.  Everything carries attempt and broker epoch;
 * stale ones are dropped.
 */
#ifndef SEALWAY_PROTO_WORK_H
#define SEALWAY_PROTO_WORK_H

#include "proto/msg.h"
#include "proto/quota.h"

/* [v, WORK, rid, epoch, attempt, topic, endpoint, stream, user, stack, units, model,
 *  node, address, sign_key, node_key, plain_hash, body_hash, receipt_required,
 *  show_usage, hold, quota] + body */
struct work {
	uint8_t rid[RID_BYTES];
	uint64_t epoch;
	uint32_t attempt; /* from 1 */
	uint64_t topic;   /* where to publish */
	enum endpoint endpoint;
	bool stream;
	uint64_t user; /* opaque number for X-User-Id */
	uint64_t stack;
	uint64_t units; /* reserved */
	struct slice model;
	uint64_t node;               /* node_small_id */
	struct slice address;        /* URL without path */
	uint8_t sign_key[KEY_BYTES]; /* the node's registered signing key */
	uint8_t node_key[KEY_BYTES]; /* X25519 key the request was sealed to */
	uint8_t plain_hash[KEY_BYTES];
	uint8_t body_hash[KEY_BYTES];
	bool receipt_required; /* false: a foreign node whose unsigned usage is accepted */
	bool show_usage;       /* plain streams: the client gets the usage object */
	bool hold;             /* plain: what another node may still answer is told to the broker alone */
	struct quota quota;    /* goes on in HEAD, or an ERROR instead of it */
};

/* [v, POSTED, rid, epoch, attempt]: said before the first byte goes to the node. */
/* [v, ANSWERING, rid, epoch, attempt]: to a WORK with hold: the node has said 200, the body may go. */
/* [v, RETURN, rid, epoch, attempt, error]: never posted; the broker may give it to another worker. */
/* [v, INFLIGHT, rid, epoch, attempt, node, stack, user, units, topic, posted]: re-announced after a
 * WELCOME, and when it is given once more; epoch and attempt are those of the WORK. */
struct work_ref {
	uint8_t rid[RID_BYTES];
	uint64_t epoch;
	uint32_t attempt;
};

struct work_return {
	struct work_ref ref;
	enum err error;
};

struct inflight {
	struct work_ref ref;
	uint64_t node, stack, user, units, topic;
	bool posted;
};

/* [v, RECEIPT_WANTED, rid, epoch, attempt, node, stack, units, address, sign_key]: the worker that had
 * it died; ask the node for its receipt and SETTLE with that (outcome, or SETTLE_LOST); not at all
 * while the node says that it is not done, or nothing.  attempt 0: it is not known which one. */
struct receipt_wanted {
	struct work_ref ref;
	uint64_t node, stack, units;
	struct slice address;
	uint8_t sign_key[KEY_BYTES];
};

/* Appends the message to out. */
void work_encode(const struct work *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err work_decode(struct slice bytes, struct work *out) MUST_USE;
/* Appends the message to out. */
void posted_encode(const struct work_ref *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err posted_decode(struct slice bytes, struct work_ref *out) MUST_USE;
/* Appends the message to out. */
void answering_encode(const struct work_ref *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err answering_decode(struct slice bytes, struct work_ref *out) MUST_USE;
/* Appends the message to out. */
void return_encode(const struct work_return *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err return_decode(struct slice bytes, struct work_return *out) MUST_USE;
/* Appends the message to out. */
void inflight_encode(const struct inflight *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err inflight_decode(struct slice bytes, struct inflight *out) MUST_USE;
/* Appends the message to out. */
void receipt_wanted_encode(const struct receipt_wanted *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err receipt_wanted_decode(struct slice bytes, struct receipt_wanted *out) MUST_USE;

#endif
