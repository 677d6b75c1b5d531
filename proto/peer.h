/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker introduces workers and gateway threads to each other, in an order
 * that leaves no slow joiner: PEER to the worker, PEER_OK back, INTRO to the
 * gateway, which subscribes, HEARD from the worker; only then jobs.
 */
#ifndef SEALWAY_PROTO_PEER_H
#define SEALWAY_PROTO_PEER_H

#include "proto/msg.h"

/* [v, PEER, nil, topic, key | nil, present]: broker -> worker.  present false:
 * that gateway thread is gone; forget it and cancel its work. */
struct peer {
	uint64_t topic;
	struct slice key; /* the gateway's CURVE key (32), or empty on ipc */
	bool present;
};

/* [v, PEER_OK, nil, topic] worker -> broker; the same shape as HEARD. */
/* [v, HEARD, nil, topic, present] worker -> broker: its subscription came / went. */
struct heard {
	uint64_t topic;
	bool present;
};

/* [v, INTRO, nil, worker instance, endpoint, key | nil, present]: broker -> gateway. */
struct intro {
	uint64_t worker;
	struct slice endpoint;
	struct slice key; /* the worker's CURVE server key (32), or empty */
	bool present;     /* false: gone; streams of it will not go on */
};

/* Appends the message to out. */
void peer_encode(const struct peer *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err peer_decode(struct slice bytes, struct peer *out) MUST_USE;
/* Appends the message to out. */
void peer_ok_encode(uint64_t topic, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err peer_ok_decode(struct slice bytes, uint64_t *topic) MUST_USE;
/* Appends the message to out. */
void heard_encode(const struct heard *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err heard_decode(struct slice bytes, struct heard *out) MUST_USE;
/* Appends the message to out. */
void intro_encode(const struct intro *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err intro_decode(struct slice bytes, struct intro *out) MUST_USE;

#endif
