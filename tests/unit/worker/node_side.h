/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes what a node would say: objects with their hashes and signatures, and the
 * receipt over them.  Every part can be spoilt before it is used.
 */
#ifndef SEALWAY_TESTS_UNIT_WORKER_NODE_SIDE_H
#define SEALWAY_TESTS_UNIT_WORKER_NODE_SIDE_H

#include "common/hash.h"
#include "common/mem.h"
#include "common/sign.h"
#include "proto/receipt.h"
#include "proto/work.h"

struct node_side {
	struct sign_key *key;
	struct hash_state *transcript;
	unsigned objects;
	struct receipt receipt; /* filled by node_side_receipt, may be changed before signing */
};

/* A node with signing key number seed. */
void node_side_init(struct node_side *n, uint8_t seed);
void node_side_fini(struct node_side *n);

/* A WORK for that node; slices are static. */
struct work node_side_work(const struct node_side *n, uint8_t rid, bool stream);

/* Fills n->receipt for w after the objects made so far. */
void node_side_receipt(struct node_side *n, const struct work *w, uint8_t outcome);

/* Appends one object: number n->objects, with `extra` members (",\"usage\":...") in it and,
 * if sealed, n->receipt and its signature by `by` (NULL: the node's own key); without `extra`
 * a sealed one has the usage that the receipt says. */
void node_side_object(struct node_side *n, const char *extra, bool sealed, const struct sign_key *by,
		      struct buf *out);

/* The object for the transcript only: call before node_side_receipt for the last one. */
void node_side_count(struct node_side *n);

/* Receipt and signature as the node's /v1/receipts answers. */
void node_side_receipt_json(struct node_side *n, struct buf *out);

#endif
