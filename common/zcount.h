/* SPDX-License-Identifier: Apache-2.0
 *
 * How much waits in libzmq for peers that do not read.  A pipe is limited by messages, which may be large: so
 * their bytes are counted from when they are handed over until libzmq has let go of them.
 */
#ifndef SEALWAY_COMMON_ZCOUNT_H
#define SEALWAY_COMMON_ZCOUNT_H

#include <stdint.h>

#include "common/zsock.h"

struct zcount;

/* One with a single holder; what is counted is counted in whole (NULL: none), too, which has to stay. */
struct zcount *zcount_new(struct zcount *whole);

/* One more holder; gives c.  NULL is fine. */
struct zcount *zcount_hold(struct zcount *c);

/* One less.  NULL is fine. */
void zcount_drop(struct zcount *c);

uint64_t zcount_bytes(const struct zcount *c);

/* As zmsg_take_init, counted in c (NULL: nowhere).  What fits into a frame itself is not. */
void zmsg_take_counted(struct zmsg *m, struct buf *b, struct zcount *c);

/* A frame of the bytes of another, which stays the caller's and may be closed first; counted in c (NULL:
 * nowhere). */
void zmsg_share_counted(struct zmsg *m, struct zmsg *of, struct zcount *c);

#endif
