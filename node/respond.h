/* SPDX-License-Identifier: Apache-2.0
 *
 * The signed side of one answer: every object is given the response's
 * unguessable id, hashed and signed; the last one carries the receipt.  A sealed
 * answer's objects are padded and encrypted, each under a nonce of its own, with
 * usage beside the last one (PROTOCOL section 4.5-4.8); those of a plain one stay
 * as they are, with hash and signature behind their members (section 7).
 */
#ifndef SEALWAY_NODE_RESPOND_H
#define SEALWAY_NODE_RESPOND_H

#include <jansson.h>

#include "common/seal/seal.h"
#include "common/sign.h"
#include "node/engine.h"
#include "proto/receipt.h"

struct response;

struct response_opts {
	const struct sign_key *sign; /* outlives the response */
	enum endpoint endpoint;
	bool stream;
	const uint8_t *rid;        /* RID_BYTES; this and the following are copied */
	const uint8_t *key;        /* derived key of the request; NULL for a plain one */
	const uint8_t *node_key;   /* public half; with key */
	const uint8_t *plain_hash; /* of a plain request: H(body) */
	struct slice model;        /* clear model_name */
	uint64_t stack;
	uint64_t unix_s; /* `created` */
};

/* How an answer ended. */
struct ending {
	uint8_t outcome; /* of the receipt: 0 complete, 1 stopped early */
	struct usage used;
	uint64_t unix_s;
};

/* A receipt as it travels. */
struct receipt_text {
	char receipt[(RECEIPT_BYTES + 2) / 3 * 4];
	char signature[SIGN_B64];
};

/* A response that has sent nothing yet. */
struct response *response_new(const struct response_opts *o);

/* Wipes and frees; NULL is fine. */
void response_free(struct response *r);

/* A new object of this response: id, created, and but for images object and model; the caller adds
 * what it holds. */
json_t *response_object(const struct response *r);

/* Puts into o, an object of r, what an engine's object has besides: system_fingerprint and the like.
 * Not what o has, nor usage, nor names that a plain answer's objects get behind their own. */
void response_adopt(const struct response *r, json_t *o, const json_t *engine);

/* Appends plain as it travels, sealed or signed, as JSON; end is NULL but for the
 * last object.  ERR_LIMIT when nonces or numbers are used up, or the last one is
 * out already. */
enum err response_put(struct response *r, const json_t *plain, const struct ending *end,
		      struct buf *out) MUST_USE;

/* Ends a response whose last object was not sent, so that it has a receipt. */
void response_close(struct response *r, const struct ending *end);

/* The receipt; the response has ended. */
const struct receipt_text *response_receipt(const struct response *r);

/* Objects put so far. */
uint32_t response_chunks(const struct response *r);

#endif
