/* SPDX-License-Identifier: Apache-2.0
 *
 * Receipts of the last 15 minutes, for workers that did not see the end of an
 * answer (PROTOCOL section 4.8).
 */
#ifndef SEALWAY_NODE_RECEIPTS_H
#define SEALWAY_NODE_RECEIPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/respond.h"

#define RECEIPTS_KEEP_MS (15 * 60 * 1000)

struct receipts;

/* At most max are kept; then the oldest goes first. */
struct receipts *receipts_new(size_t max);

/* Frees r; NULL is fine. */
void receipts_free(struct receipts *r);

/* Keeps t under the request id (RID_BYTES), in place of an older one. */
void receipts_put(struct receipts *r, const uint8_t *rid, const struct receipt_text *t, uint64_t now_ms);

/* The receipt of a request, or NULL.  Valid until the next call. */
const struct receipt_text *receipts_get(struct receipts *r, const uint8_t *rid, uint64_t now_ms);

/* Drops what is older than 15 minutes; now and then. */
void receipts_expire(struct receipts *r, uint64_t now_ms);

/* How many are kept. */
size_t receipts_count(const struct receipts *r);

#endif
