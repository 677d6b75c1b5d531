/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes that libzmq holds (zcount.h).  It frees messages on any of its threads.
 */
#include "common/zcount.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/zsock_priv.h"

#define OVERHEAD 128 /* of a message: its place in the pipe, and the allocator's */

struct zcount {
	_Atomic uint64_t bytes;
	_Atomic unsigned holders; /* messages are */
	struct zcount *whole;
};

struct counted {
	struct zcount *in;
	size_t n, room; /* bytes: used, and taken from the allocator */
	bool secret;
};

struct zcount *zcount_new(struct zcount *whole)
{
	struct zcount *c = mem_new(sizeof(*c));

	c->whole = zcount_hold(whole);
	atomic_store(&c->holders, 1);
	return c;
}

struct zcount *zcount_hold(struct zcount *c)
{
	if (c)
		atomic_fetch_add(&c->holders, 1);
	return c;
}

void zcount_drop(struct zcount *c)
{
	while (c && atomic_fetch_sub(&c->holders, 1) == 1) {
		struct zcount *whole = c->whole;

		free(c);
		c = whole;
	}
}

uint64_t zcount_bytes(const struct zcount *c)
{
	return atomic_load(&c->bytes);
}

static void free_counted(void *data, void *hint)
{
	struct counted *k = hint;

	for (struct zcount *c = k->in; c; c = c->whole)
		atomic_fetch_sub(&c->bytes, k->room + OVERHEAD);
	zcount_drop(k->in);
	if (k->secret)
		mem_wipe(data, k->n);
	free(data);
	free(k);
}

void zmsg_take_counted(struct zmsg *m, struct buf *b, struct zcount *c)
{
	struct counted *k;

	if (!c || b->n <= ZSOCK_SMALL_FRAME) {
		zmsg_take_init(m, b);
		return;
	}
	k = mem_new(sizeof(*k));
	*k = (struct counted){ zcount_hold(c), b->n, b->cap, b->secret };
	for (; c; c = c->whole)
		atomic_fetch_add(&c->bytes, k->room + OVERHEAD);
	m->skip = 0;
	BUG_ON(zmq_msg_init_data(zsock_frame(m), b->p, b->n, free_counted, k) < 0);
	*b = (struct buf){ .secret = b->secret };
}
