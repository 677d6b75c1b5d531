/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of POST /v1/nodes (PROTOCOL section 8).  Pure.
 */
#ifndef SEALWAY_NODE_REGISTER_BODY_H
#define SEALWAY_NODE_REGISTER_BODY_H

#include "common/sign.h"
#include "node/keys.h"
#include "node/models.h"

struct register_body {
	uint64_t node;
	const char *address, *country;
	uint64_t counter; /* grows with every registration */
	uint64_t validity_s;
	const struct nodekey *key;
	const struct models *models;
	struct slice evidence; /* empty: none */
};

/* Appends the signed JSON. */
void register_body_write(const struct register_body *b, const struct sign_key *sign, struct buf *out);

#endif
