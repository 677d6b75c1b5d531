/* SPDX-License-Identifier: Apache-2.0
 *
 * Billing decisions (judge.h).  A complete answer without a valid receipt is the
 * node's fault and costs the user nothing; so does whatever went wrong before
 * the node's 200.
 */
#include "broker/judge.h"

#include <string.h>

static bool same(const uint8_t *want, const uint8_t *have, size_t n)
{
	return !want || memcmp(want, have, n) == 0;
}

bool judge_receipt(const struct receipt *r, const struct receipt_claim *claim)
{
	return same(claim->rid, r->rid, RID_BYTES) && r->stack == claim->stack &&
	       r->endpoint == claim->endpoint && same(claim->node_key, r->node_key, KEY_BYTES) &&
	       same(claim->model_hash, r->model_hash, KEY_BYTES) &&
	       same(claim->plain_hash, r->plain_hash, KEY_BYTES) &&
	       same(claim->transcript, r->transcript, KEY_BYTES) &&
	       (!claim->transcript || r->chunks == claim->chunks);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Both numbers are limited before they are added. */
static void bill(struct row_settlement *row, uint64_t reserved, uint64_t prompt, uint64_t completion)
{
	row->prompt = min_u64(prompt, reserved);
	row->completion = min_u64(completion, reserved - row->prompt);
	row->billed = row->prompt + row->completion;
	if (row->prompt != prompt || row->completion != completion)
		row->flags |= SETTLE_EXCESS;
}

void judge(const struct judge_case *c, struct row_settlement *row)
{
	row->outcome = (uint32_t)c->outcome;
	row->billed = row->prompt = row->completion = 0;
	if (c->outcome == SETTLE_FAILED)
		return;
	if (c->outcome == SETTLE_LOST) {
		row->flags |= c->original ? SETTLE_RELEASED : SETTLE_NODE_LOST;
		return;
	}
	if (c->has_receipt && c->receipt_good) {
		bill(row, c->reserved, c->prompt, c->completion);
	} else if (c->original && !c->has_receipt) {
		if (c->has_usage && c->accept_unsigned) {
			row->flags |= SETTLE_UNSIGNED;
			bill(row, c->reserved, c->usage_prompt, c->usage_completion);
		}
	} else {
		row->flags |= c->has_receipt ? SETTLE_BAD_RECEIPT : SETTLE_NO_RECEIPT;
	}
}
