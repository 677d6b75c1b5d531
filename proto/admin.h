/* SPDX-License-Identifier: Apache-2.0
 *
 * Operator's commands to the broker, over its admin socket (ipc, owner only).
 * Verbs and their JSON arguments are listed in proto/README.md.
 */
#ifndef SEALWAY_PROTO_ADMIN_H
#define SEALWAY_PROTO_ADMIN_H

#include "proto/msg.h"

/* [v, ADMIN, rid, verb, args] */
struct admin {
	uint8_t rid[RID_BYTES];
	struct slice verb; /* "user.add", 1..64 bytes */
	struct slice args; /* JSON object text, <= 2 MiB */
};

/* [v, ADMIN_REPLY, rid, error, body] */
struct admin_reply {
	uint8_t rid[RID_BYTES];
	enum err error;
	struct slice body; /* JSON object text; on errors {"message": "..."} */
};

/* Appends the message to out. */
void admin_encode(const struct admin *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err admin_decode(struct slice bytes, struct admin *out) MUST_USE;
/* Appends the message to out. */
void admin_reply_encode(const struct admin_reply *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err admin_reply_decode(struct slice bytes, struct admin_reply *out) MUST_USE;

#endif
