/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening the objects of one answer, in order (PROTOCOL sections 3 and 4): what each
 * must prove before its plaintext leaves this file.
 */
#ifndef SEALWAY_CLIENT_OPEN_RESPONSE_H
#define SEALWAY_CLIENT_OPEN_RESPONSE_H

#include "client/seal_request.h"
#include "common/hash.h"

#define OBJECTS_MAX (4u << 20) /* of an answer: their hashes are kept for the receipt */

/* The receipt that came with the last object, and what it is about. */
struct proof {
	uint8_t receipt[RECEIPT_BYTES];
	char signature[SIGNATURE_TEXT];
	struct buf hashes; /* all response hashes, KEY_BYTES each, in order */
	struct receipt decoded;
};

struct opener {
	/* set by the caller, borrowed */
	const struct sealed *sealed;
	const struct node_lock *lock;
	enum sealway_kind kind;
	const char *model;
	uint64_t now;            /* Unix seconds when the request was made */
	uint64_t (*clock)(void); /* Unix seconds at the answer; NULL: the system's */
	/* state; all zero to begin with */
	struct seal_order order;
	struct proof proof;
	uint32_t objects;
	bool ended; /* own nodes: the final object came and everything about it was right */
};

/* Opens the next object: appends its plaintext, without padding, to plain.
 * False with f set at the first thing that is wrong; nothing is appended then.
 * The final object of an own node passes only with a receipt that verifies. */
bool open_object(struct opener *o, struct slice json, struct buf *plain, struct fault *f);

/* After the last byte: false with f set unless the answer is complete. */
bool open_finish(const struct opener *o, struct fault *f);

/* Frees what o owns. */
void open_free(struct opener *o);

#endif
