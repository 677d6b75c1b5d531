/* SPDX-License-Identifier: Apache-2.0
 *
 * The signed part of a node's full registration (PROTOCOL section 8): a
 * msgpack map with exactly these keys, in this order.
 */
#ifndef SEALWAY_PROTO_REGISTRATION_H
#define SEALWAY_PROTO_REGISTRATION_H

#include "proto/msg.h"
#include "proto/receipt.h"

struct registration_model {
	struct slice name;       /* 1..256 bytes */
	uint64_t price;          /* micro-USD per million units */
	uint32_t max_concurrent; /* requests at a time */
	uint64_t max_units;      /* per request */
	uint64_t lock_units;     /* default of a lock */
};

/* {"node", "address", "counter", "statement", "statement_signature", "models": [[name, price,
 *  max_concurrent, max_units, lock_units], ...], "validity_s", "version", "evidence_hash"} */
struct registration {
	uint64_t node;
	struct slice address;
	uint64_t counter;                 /* grows with every registration of this node */
	struct slice statement;           /* STATEMENT_BYTES */
	struct slice statement_signature; /* base64 text */
	unsigned n_models;                /* 0..MODELS_PER_NODE_MAX */
	struct registration_model models[MODELS_PER_NODE_MAX];
	uint32_t validity_s;
	struct slice version;             /* software, <= 32 bytes */
	uint8_t evidence_hash[KEY_BYTES]; /* H(evidence), H("") when there is none */
};

/* Appends the message to out. */
void registration_encode(const struct registration *m, struct buf *out);
/* Borrows from bytes. */
enum err registration_decode(struct slice bytes, struct registration *out) MUST_USE;

#endif
