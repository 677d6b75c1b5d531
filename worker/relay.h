/* SPDX-License-Identifier: Apache-2.0
 *
 * One ConfidentialComputeResponse object (PROTOCOL section 3) of a node: is it
 * what it must be, and what of it does the client get?  Pure: bytes in, bytes
 * out.
 */
#ifndef SEALWAY_WORKER_RELAY_H
#define SEALWAY_WORKER_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"
#include "proto/receipt.h"
#include "worker/usage.h"

struct relay_object {
	/* As the node sent them, without escapes; empty when absent. */
	struct slice ciphertext, nonce, response_hash, signature, receipt, receipt_signature;
	uint8_t hash[KEY_BYTES];            /* response_hash decoded, if it is there */
	uint8_t receipt_raw[RECEIPT_BYTES]; /* receipt decoded, if it is there */
	bool has_usage;
	uint64_t usage[USAGE_MEMBERS]; /* each at most USAGE_MAX */
};

/* What an object must hold besides ciphertext and nonce. */
struct relay_rules {
	bool ours;               /* response_hash and signature are required */
	const uint8_t *sign_key; /* 32: every signature must claim this key */
	bool verify;             /* also verify each signature over response_hash */
};

/* Reads one object.  ERR_NODE for anything that is not as PROTOCOL section 3
 * has it; *out is written only on success and borrows from json and scratch
 * (which is emptied first, and may be used again after out). */
enum err relay_parse(struct slice json, const struct relay_rules *rules, struct buf *scratch,
		     struct relay_object *out) MUST_USE;

/* Appends the object for the client: the known members only, in a fixed order,
 * usage complete. */
void relay_build(const struct relay_object *o, struct buf *out);

#endif
