/* SPDX-License-Identifier: Apache-2.0
 *
 * Receipts of nodes (PROTOCOL section 4.8): checking one against what the
 * worker knows, and fetching one from the node that has it.
 */
#ifndef SEALWAY_WORKER_RECEIPTS_H
#define SEALWAY_WORKER_RECEIPTS_H

#include "proto/receipt.h"
#include "worker/headers.h"

/* What a receipt must say.  Members that are NULL or 0 are not known (a
 * receipt fetched for a dead worker) and not compared. */
struct receipt_facts {
	const uint8_t *rid, *sign_key;
	uint64_t stack;
	uint8_t endpoint;
	const uint8_t *node_key, *plain_hash, *model_hash, *transcript;
	uint32_t chunks; /* compared when transcript is known */
};

/* Checks raw (RECEIPT_BYTES) and signature text; *out on success only.  ERR_NODE
 * for anything that does not fit or verify. */
enum err receipt_check(const struct receipt_facts *f, struct slice raw, struct slice signature,
		       struct receipt *out) MUST_USE;

struct receipts;
struct receipt_fetch;

/* The outcome of a fetch: raw is empty when no receipt was to be had.  Borrowed
 * for the call; not checked beyond its shape. */
typedef void (*receipt_fn)(void *arg, struct slice raw, struct slice signature);

struct receipts_opts {
	uv_loop_t *uv;
	struct upstream *upstream;
	const struct headers_keys *keys;
	uint64_t connect_ms;
	uint64_t pace_ms; /* wait before the first try; the later ones wait 5, 15 and 30 times that */
};

#define RECEIPTS_PACE_MS 100

/* No fetch yet; o is copied, what it points to is borrowed. */
struct receipts *receipts_new(const struct receipts_opts *o);

/* Cancels what runs, without callbacks. */
void receipts_free(struct receipts *r);

/* Asks address for the receipt of a->rid, several times over some seconds (a node
 * makes it only once it has noticed that its reader is gone).  fn is called exactly
 * once, never from inside this call; then the fetch is gone. */
struct receipt_fetch *receipts_get(struct receipts *r, struct slice address, const struct authz *a,
				   receipt_fn fn, void *arg);

/* Ends a fetch; fn is not called. */
void receipts_cancel(struct receipt_fetch *f);

/* In the callback: whether the node may have the receipt all the same: it did not answer, or said that it
 * could not now, because the request still runs, say. */
bool receipts_undecided(const struct receipt_fetch *f);

/* In the callback: whether the node does not know us (401): another worker may get it. */
bool receipts_stranger(const struct receipt_fetch *f);

#endif
