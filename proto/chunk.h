/* SPDX-License-Identifier: Apache-2.0
 *
 * Worker -> gateway, one ZeroMQ frame on XPUB:
 *   topic (8, big-endian) | header length (2, big-endian) |
 *   msgpack [v, CHUNK, rid, epoch, attempt, seq, kind, ...] | payload
 * A request's frames are numbered from 0 without gaps: one HEAD, then DATA,
 * then END or ERROR.  ERROR may come at any time, also first.
 *
 * The payload of DATA is what the client gets, byte for byte: on streams whole
 * or partial SSE events ("data: {...}\n\n", several when coalesced); on whole
 * answers pieces of the JSON object.
 */
#ifndef SEALWAY_PROTO_CHUNK_H
#define SEALWAY_PROTO_CHUNK_H

#include "proto/msg.h"
#include "proto/quota.h"

#define CHUNK_TOPIC_BYTES 8
#define CHUNK_PREFIX_BYTES 10

enum chunk_kind { CHUNK_HEAD = 1, CHUNK_DATA = 2, CHUNK_END = 3, CHUNK_ERROR = 4 };

/* header: [v, CHUNK, rid, epoch, attempt, seq, kind, worker, length, error, retry_after_s, quota] */
struct chunk {
	uint64_t topic;
	uint8_t rid[RID_BYTES];
	uint64_t epoch;
	uint32_t attempt;
	uint32_t seq;
	enum chunk_kind kind;
	uint64_t worker;        /* instance that serves it (credits go there) */
	uint64_t length;        /* HEAD of a whole answer: bytes that follow; else 0 */
	enum err error;         /* ERROR; else ERR_OK */
	uint32_t retry_after_s; /* ERROR; 0 = none */
	struct quota quota;     /* of the WORK; HEAD and ERROR, else none */
	struct slice payload;   /* DATA; at most CHUNK_BYTES_MAX */
};

/* [v, CREDIT, rid, attempt, bytes]: gateway -> worker on XSUB, as one frame that starts with the byte
 * CREDIT_MARK (ZeroMQ takes frames starting with 0 or 1 for subscriptions).  CANCEL (job.h) goes
 * the same way with the same mark. */
#define CREDIT_MARK 0x53
struct credit {
	uint8_t rid[RID_BYTES];
	uint32_t attempt;
	uint32_t bytes; /* more that may be published */
};

/* Appends the whole frame. */
void chunk_encode(const struct chunk *m, struct buf *out);

/* out->payload borrows from frame. */
enum err chunk_decode(struct slice frame, struct chunk *out) MUST_USE;

/* Appends the message to out. */
void credit_encode(const struct credit *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err credit_decode(struct slice bytes, struct credit *out) MUST_USE;

#endif
