/* SPDX-License-Identifier: Apache-2.0
 *
 * What a finished request costs (PROTOCOL section 2, Units; 4.8): pure
 * functions of what was reserved, what the worker said and what the node signed.
 */
#ifndef SEALWAY_BROKER_JUDGE_H
#define SEALWAY_BROKER_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/store.h"
#include "proto/receipt.h"
#include "proto/settle.h"

/* What a receipt has to say to belong to a request.  NULL: not known, not compared. */
struct receipt_claim {
	const uint8_t *rid;
	uint64_t stack;
	uint32_t endpoint;
	const uint8_t *node_key;
	const uint8_t *model_hash;
	const uint8_t *plain_hash; /* NULL after a restart */
	const uint8_t *transcript; /* NULL when the worker saw none */
	uint32_t chunks;           /* objects behind the transcript; 0 without one */
};

/* Whether r is the receipt of that request.  Its signature is another matter. */
bool judge_receipt(const struct receipt *r, const struct receipt_claim *claim);

struct judge_case {
	uint64_t reserved;
	enum settle_outcome outcome;
	bool original;               /* node of the original network */
	bool accept_unsigned;        /* configured */
	bool has_receipt;            /* one came */
	bool receipt_good;           /* and it belongs to the request and verifies */
	uint64_t prompt, completion; /* of the good receipt */
	bool has_usage;
	uint64_t usage_prompt, usage_completion; /* of the usage member */
};

/* Fills outcome, billed, prompt, completion and flags of row.  Never bills above
 * the reservation; numbers beyond it are recorded as what was billed. */
void judge(const struct judge_case *c, struct row_settlement *row);

/* Flags that speak against the node. */
#define JUDGE_FAULTS (SETTLE_NO_RECEIPT | SETTLE_BAD_RECEIPT | SETTLE_NODE_LOST)

#endif
