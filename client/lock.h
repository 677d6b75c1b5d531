/* SPDX-License-Identifier: Apache-2.0
 *
 * The answer to POST /v1/nodes/lock (PROTOCOL section 6) and the check of its key
 * statement (section 4.9).
 */
#ifndef SEALWAY_CLIENT_LOCK_H
#define SEALWAY_CLIENT_LOCK_H

#include "client/fault.h"
#include "proto/receipt.h"

#define SIGNATURE_TEXT 133 /* base64 of section 4.7 and a NUL */
#define CLOCK_SKEW_S 300   /* how far this machine's clock may be off */

struct node_lock {
	uint64_t node, stack;        /* small ids */
	uint8_t node_key[KEY_BYTES]; /* X25519: what the request is sealed to */
	bool own;                    /* the node made a statement: everything below is set */
	uint8_t sign_key[KEY_BYTES];
	uint8_t statement[STATEMENT_BYTES];
	char signature[SIGNATURE_TEXT];
};

/* The body of the lock request.  units 0: the model's own default. */
void lock_body(struct buf *out, const char *model, uint64_t units, unsigned seconds);

/* Reads and checks a lock answer: the statement is signed by the node signing
 * key, names this node and this key, and is valid at now (Unix seconds).  A node
 * without a statement is refused unless allow_foreign.  Whether the signing key
 * is the right one is pins.h's question. */
bool lock_read(struct slice json, bool allow_foreign, uint64_t now, struct node_lock *out, struct fault *f);

/* The same check for a statement by itself. */
bool lock_check_statement(const struct node_lock *l, uint64_t now, struct fault *f);

#endif
