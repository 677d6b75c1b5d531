/* SPDX-License-Identifier: Apache-2.0
 *
 * Settlements that a broker has not acknowledged yet.  Each is sent at once and
 * then again after 1 s, doubling to 10 s, until SETTLED comes; a broker's death
 * changes nothing (ARCHITECTURE, When something dies).
 */
#ifndef SEALWAY_WORKER_SETTLE_H
#define SEALWAY_WORKER_SETTLE_H

#include <uv.h>

#include "proto/settle.h"

struct settle_book;

/* Sends one encoded message to broker number `to`. */
typedef void (*settle_send_fn)(void *arg, unsigned to, struct slice bytes);

/* An empty book, which sends through send with arg, again and again until SETTLED comes. */
struct settle_book *settle_book_new(uv_loop_t *uv, settle_send_fn send, void *arg);

/* Frees the book and what is in it; NULL is fine. */
void settle_book_free(struct settle_book *b);

/* Puts a settlement in (copied) and sends it.  One for the same request that is
 * there already stays, unless the new one has a later attempt. */
void settle_put(struct settle_book *b, unsigned to, const struct settle *m);

/* SETTLED came.  True when it ended a settlement. */
bool settle_done(struct settle_book *b, const struct settled *m);

/* Whether a request waits to be acknowledged. */
bool settle_waits(const struct settle_book *b, const uint8_t rid[RID_BYTES]);

/* The same; then it is sent again at once. */
bool settle_again(struct settle_book *b, const uint8_t rid[RID_BYTES]);

/* Sends everything for broker `to` again, at once. */
void settle_resend(struct settle_book *b, unsigned to);

/* How many wait; with `to`, of one broker. */
size_t settle_count(const struct settle_book *b);
size_t settle_count_for(const struct settle_book *b, unsigned to);

#endif
