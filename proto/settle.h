/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a request, worker -> broker, repeated until acknowledged; the
 * broker counts a request id once.  The receipt is checked by the broker
 * against the registered key before it commits.
 */
#ifndef SEALWAY_PROTO_SETTLE_H
#define SEALWAY_PROTO_SETTLE_H

#include "proto/msg.h"

enum settle_outcome {
	SETTLE_COMPLETE = 1, /* the node's answer came to its end */
	SETTLE_STOPPED = 2,  /* cancelled after the node's 200, or cut; billed by receipt if there is one */
	SETTLE_FAILED = 3,   /* before the node's 200, or refused by it: billed zero */
	SETTLE_LOST = 4,     /* posted, then neither answer nor receipt to be had */
	SETTLE_OUTCOME_MAX
};

/* [v, SETTLE, rid, epoch, attempt, node, outcome, error, receipt | nil, receipt_signature | nil,
 *  transcript | nil, has_usage, prompt, completion, key_unknown, chunks, bytes, untold] */
struct settle {
	uint8_t rid[RID_BYTES];
	uint64_t epoch;
	uint32_t attempt;
	uint64_t node;
	enum settle_outcome outcome;
	enum err error;          /* what the client was told, ERR_OK for a clean end; of SETTLE_LOST
				  * ERR_UNAVAILABLE: the node could not be asked for its receipt, or is not done;
				  * ERR_STRANGER: the node answered 401, it does not know this worker */
	struct slice receipt;    /* raw bytes (183) or empty */
	struct slice signature;  /* base64 text (132) or empty */
	struct slice transcript; /* H(all response hashes in order) as the worker saw them (32), or empty */
	bool has_usage;          /* the clear usage member, for foreign nodes */
	uint64_t prompt, completion;
	bool key_unknown; /* the node said it does not have this key */
	uint32_t chunks;  /* objects relayed, for the record */
	uint64_t bytes;
	bool untold; /* WORK had hold, and nobody has told the client: another node may answer */
};

/* [v, SETTLED, rid, attempt]: committed (or known before); stop repeating. */
struct settled {
	uint8_t rid[RID_BYTES];
	uint32_t attempt;
};

/* Appends the message to out. */
void settle_encode(const struct settle *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err settle_decode(struct slice bytes, struct settle *out) MUST_USE;
/* Appends the message to out. */
void settled_encode(const struct settled *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err settled_decode(struct slice bytes, struct settled *out) MUST_USE;

#endif
