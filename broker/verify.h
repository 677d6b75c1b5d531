/* SPDX-License-Identifier: Apache-2.0
 *
 * Signatures are checked (48 us each) on libuv's thread pool, in batches, so
 * that the loop stays free for admission.
 */
#ifndef SEALWAY_BROKER_VERIFY_H
#define SEALWAY_BROKER_VERIFY_H

#include <uv.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/sign.h"
#include "proto/limits.h"

#define VERIFY_CHECKS 3

struct verify_check {
	const char *label; /* NULL: over H(data) without a label */
	struct buf data;   /* owned */
	struct buf text;   /* owned: the signature, base64 */
	uint8_t key[KEY_BYTES];
};

struct verify_item {
	struct verify_check check[VERIFY_CHECKS];
	unsigned n;
	enum err result; /* the first check that failed, ERR_OK when none */
	void (*done)(void *arg, enum err result);
	void *arg;
	void (*lost)(void *arg); /* frees arg when done will never run (closed first); or NULL */
	struct verify_item *next;
};

struct verify;

/* Nothing runs yet; uv is the loop on which done is called. */
struct verify *verify_open(uv_loop_t *uv);

/* Takes item (from mem_new); done is called on the loop exactly once, never
 * from inside this call, and the item is freed.  ERR_LIMIT when too many wait:
 * the item stays the caller's. */
enum err verify_submit(struct verify *v, struct verify_item *item) MUST_USE;

/* Adds a check; data and text are copied. */
void verify_add(struct verify_item *item, const char *label, struct slice data, struct slice text,
		const uint8_t key[KEY_BYTES]);

/* Frees an item that was not taken; NULL is fine. */
void verify_item_free(struct verify_item *item);

/* No callback fires any more; frees itself when the pool is done.  NULL is fine. */
void verify_close(struct verify *v);

#endif
