/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions that the broker answers from its memory, with the JSON text that
 * goes to the client.
 */
#ifndef SEALWAY_PROTO_QUERY_H
#define SEALWAY_PROTO_QUERY_H

#include "proto/msg.h"
#include "proto/quota.h"

enum query_kind {
	QUERY_MODELS = 1,
	QUERY_OPEN_ROUTER = 2,
	QUERY_ATTESTATION = 3,
	QUERY_MODEL = 4,
	QUERY_KIND_MAX
};

/* [v, QUERY, rid, kind, token_hash | nil, number, model] */
struct query {
	uint8_t rid[RID_BYTES];
	enum query_kind kind;
	bool has_token;
	uint8_t token_hash[KEY_BYTES];
	uint64_t number;    /* ATTESTATION: node_small_id */
	struct slice model; /* MODEL: its name, 0..256 bytes */
};

/* [v, ANSWER, rid, body, quota]: to REGISTER and QUERY; refusals are REFUSE (job.h). */
struct answer {
	uint8_t rid[RID_BYTES];
	struct slice body; /* JSON text, may be empty */
	struct quota quota;
};

/* Appends the message to out. */
void query_encode(const struct query *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err query_decode(struct slice bytes, struct query *out) MUST_USE;
/* Appends the message to out. */
void answer_encode(const struct answer *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err answer_decode(struct slice bytes, struct answer *out) MUST_USE;

#endif
