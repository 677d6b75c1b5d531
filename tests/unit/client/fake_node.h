/* SPDX-License-Identifier: Apache-2.0
 *
 * A node and a gateway for tests of the client: makes lock answers, sealed
 * objects and receipts, right ones and wrong ones.
 */
#ifndef SEALWAY_TESTS_FAKE_NODE_H
#define SEALWAY_TESTS_FAKE_NODE_H

#include "client/open_response.h"
#include "common/sign.h"

#define FAKE_NODE_ID 7
#define FAKE_STACK 42
#define FAKE_NOW UINT64_C(1760000000)
#define FAKE_MODEL "demo"

struct fake_node {
	struct sign_key *sign;
	uint8_t secret[SEAL_KEY], pub[SEAL_KEY];
	struct node_lock lock; /* what a client reads of fake_lock_json */
	/* the answer under way */
	struct sealed sealed;
	struct seal_nonces nonces;
	struct buf hashes;
	uint32_t objects;
};

/* A node with keys of its own, and a request sealed to it. */
void fake_node_init(struct fake_node *n);

/* Frees it. */
void fake_node_fini(struct fake_node *n);

/* Signs a statement for the lock (changed or not by the caller). */
void fake_statement(struct fake_node *n, const struct statement *st);

/* The right statement. */
struct statement fake_statement_of(const struct fake_node *n);

/* The lock answer as JSON. */
void fake_lock_json(const struct fake_node *n, struct buf *out);

/* What a test may spoil about an object. */
struct fake_object {
	const char *text; /* plaintext JSON */
	bool final;
	uint64_t prompt, completion;              /* clear usage of a final one */
	void (*spoil_receipt)(struct receipt *r); /* before it is signed */
	const struct sign_key *signer;            /* of response_hash; NULL: the node's */
	const struct sign_key *receipt_signer;    /* NULL: the node's */
	bool no_hash, no_signature, no_receipt, no_usage, receipt_early, wrong_hash;
};

/* The next object of the answer as JSON. */
void fake_object(struct fake_node *n, const struct fake_object *o, struct buf *out);

/* An opener for the answer. */
struct opener fake_opener(struct fake_node *n);

#endif
