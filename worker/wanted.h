/* SPDX-License-Identifier: Apache-2.0
 *
 * Receipts that a broker wants because the worker that had the request died
 * (RECEIPT_WANTED, work.h): fetched at the node, then settled with.
 */
#ifndef SEALWAY_WORKER_WANTED_H
#define SEALWAY_WORKER_WANTED_H

#include "proto/work.h"
#include "worker/receipts.h"
#include "worker/settle.h"

struct wanted;

/* max: fetches at a time; what is over it is left to the broker's next asking. */
struct wanted *wanted_new(struct receipts *receipts, struct settle_book *settles, size_t max);

/* Drops what runs (before receipts_free); NULL is fine. */
void wanted_free(struct wanted *w);

/* Asks the node; broker number `from` gets a SETTLE, unless the node says that the
 * answer runs still: the broker asks again then.  A request already asked for or
 * settled here is not asked for twice. */
void wanted_get(struct wanted *w, unsigned from, const struct receipt_wanted *m);

/* How many run. */
size_t wanted_count(const struct wanted *w);

#endif
