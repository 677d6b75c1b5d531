/* SPDX-License-Identifier: Apache-2.0
 *
 * One object of a plain answer (PROTOCOL sections 3 and 7): an OpenAI object that
 * the node has signed as it stands.  Is it whole and the node's own, and what of
 * it does the client get?  Pure: bytes in, bytes out.
 */
#ifndef SEALWAY_WORKER_PLAIN_H
#define SEALWAY_WORKER_PLAIN_H

#include "common/mem.h"
#include "common/sign.h"
#include "proto/receipt.h"
#include "worker/usage.h"

struct plain_object {
	struct slice shown;      /* for the client: the node's bytes, without receipt and its signature */
	uint8_t hash[KEY_BYTES]; /* response_hash */
	bool has_receipt;
	uint8_t receipt[RECEIPT_BYTES];
	uint8_t receipt_signature[SIGN_B64];
	bool has_usage;
	bool only_usage; /* has usage, and choices is empty: the object that include_usage asks for */
	uint64_t usage[USAGE_MEMBERS];
};

/* Reads one object: strict JSON, no error member, response_hash over its bytes,
 * signed by sign_key.  tokens: a usage member counts tokens (not of images).
 * ERR_NODE for anything else; *out is written only on success and borrows from
 * json and scratch (which is emptied first, and may be used again after out). */
enum err plain_parse(struct slice json, const uint8_t sign_key[KEY_BYTES], bool tokens, struct buf *scratch,
		     struct plain_object *out) MUST_USE;

/* Appends the object json without those of the n members (found by a scan of it;
 * n is at most 4) that are there, each with one comma and the space beside it. */
void plain_without(struct slice json, const struct jval *members, size_t n, struct buf *out);

#endif
