/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/nodes/lock between gateway and broker (PROTOCOL section 6).
 */
#ifndef SEALWAY_PROTO_LOCK_H
#define SEALWAY_PROTO_LOCK_H

#include "proto/msg.h"
#include "proto/quota.h"

/* [v, LOCK, rid, token_hash, model, max_units | nil, timeout_s] */
struct lock_ask {
	uint8_t rid[RID_BYTES];
	uint8_t token_hash[KEY_BYTES];
	struct slice model;
	bool has_units;
	uint64_t units;     /* max_num_tokens */
	uint32_t timeout_s; /* 1..600 */
};

/* [v, LOCKED, rid, node, stack, node_key, sign_key, statement, signature, digest | nil, quota].  A refusal is a
 * REFUSE (job.h) instead. */
struct locked {
	uint8_t rid[RID_BYTES];
	uint64_t node;               /* node_small_id */
	uint64_t stack;              /* stack_small_id */
	uint8_t node_key[KEY_BYTES]; /* X25519 */
	struct slice sign_key;       /* 32 bytes */
	struct slice statement;      /* key statement, 65 bytes; empty for foreign nodes */
	struct slice signature;      /* over it, base64 text; empty for foreign nodes */
	struct slice digest;         /* stack_entry_digest text, empty = null */
	struct quota quota;
};

/* Appends the message to out. */
void lock_ask_encode(const struct lock_ask *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err lock_ask_decode(struct slice bytes, struct lock_ask *out) MUST_USE;
/* Appends the message to out. */
void locked_encode(const struct locked *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err locked_decode(struct slice bytes, struct locked *out) MUST_USE;

#endif
