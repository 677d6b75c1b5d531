/* SPDX-License-Identifier: Apache-2.0
 *
 * The fixed byte layouts of PROTOCOL section 4.8 (receipt), 4.9 (key
 * statement) and section 7 (X-Sealway-Auth).  Integers big-endian.  Signing is
 * the caller's, with these labels (common/sign.h).
 */
#ifndef SEALWAY_PROTO_RECEIPT_H
#define SEALWAY_PROTO_RECEIPT_H

#include "proto/msg.h"

#define RECEIPT_BYTES 183
#define RECEIPT_LABEL "sealway-receipt-v1"
#define STATEMENT_BYTES 65
#define STATEMENT_LABEL "sealway-key-v1"
#define AUTH_BYTES 81
#define AUTH_LABEL "sealway-auth-v1"
#define REGISTER_LABEL "sealway-register-v1"

struct receipt {
	uint8_t outcome;  /* 0 complete, 1 stopped early */
	uint8_t endpoint; /* 1..4 */
	uint8_t rid[RID_BYTES];
	uint64_t stack;
	uint8_t node_key[KEY_BYTES];
	uint8_t plain_hash[KEY_BYTES];
	uint8_t model_hash[KEY_BYTES]; /* H(model name) */
	uint8_t transcript[KEY_BYTES]; /* H(all response_hashes in order) */
	uint32_t chunks;
	uint64_t prompt, completion; /* units */
	uint64_t unix_s;
};

struct statement {
	uint64_t node;
	uint8_t node_key[KEY_BYTES];
	uint64_t counter;
	uint64_t not_before, not_after; /* Unix seconds */
};

struct authz {
	uint8_t rid[RID_BYTES];
	uint64_t node, stack, units;
	uint8_t body_hash[KEY_BYTES];
	uint64_t not_after; /* Unix seconds */
};

/* Writes the layout to out. */
void receipt_encode(const struct receipt *m, uint8_t out[RECEIPT_BYTES]);
/* ERR_FORMAT: length, version, outcome, endpoint or numbers over ID_MAX. */
enum err receipt_decode(struct slice bytes, struct receipt *out) MUST_USE;
/* Writes the layout to out. */
void statement_encode(const struct statement *m, uint8_t out[STATEMENT_BYTES]);
/* ERR_FORMAT: length, version, id over ID_MAX, not_after before not_before. */
enum err statement_decode(struct slice bytes, struct statement *out) MUST_USE;
/* Writes the layout to out. */
void authz_encode(const struct authz *m, uint8_t out[AUTH_BYTES]);
/* ERR_FORMAT: length, version, numbers over ID_MAX. */
enum err authz_decode(struct slice bytes, struct authz *out) MUST_USE;

#endif
