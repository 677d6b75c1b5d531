/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes that libzmq holds (zcount.h).  It frees messages on any of its threads.
 */
#include "common/zcount.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/zsock_priv.h"

#define OVERHEAD 128 /* of a message: its place in the pipe, and the allocator's */
/* Shorter frames may lie with others in what libzmq has received at once, which would all stay for one. */
#define ALONE_BYTES 8192

struct zcount {
	_Atomic uint64_t bytes;
	_Atomic unsigned holders; /* messages are */
	struct zcount *whole;
};

struct counted {
	struct zcount *in;
	size_t n, room; /* bytes: used, and taken from the allocator */
	bool secret, shared;
	zmq_msg_t whole; /* shared: whose bytes they are */
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
	if (k->shared)
		zmq_msg_close(&k->whole);
	else
		free(data);
	free(k);
}

/* The message of data, which k is to free. */
static void count(struct zmsg *m, uint8_t *data, struct counted *k)
{
	zcount_hold(k->in);
	for (struct zcount *c = k->in; c; c = c->whole)
		atomic_fetch_add(&c->bytes, k->room + OVERHEAD);
	m->skip = 0;
	BUG_ON(zmq_msg_init_data(zsock_frame(m), data, k->n, free_counted, k) < 0);
}

void zmsg_take_counted(struct zmsg *m, struct buf *b, struct zcount *c)
{
	struct counted *k;

	if (!c || b->n <= ZSOCK_SMALL_FRAME) {
		zmsg_take_init(m, b);
		return;
	}
	k = mem_new(sizeof(*k));
	*k = (struct counted){ .in = c, .n = b->n, .room = b->cap, .secret = b->secret };
	count(m, b->p, k);
	*b = (struct buf){ .secret = b->secret };
}

void zmsg_share_counted(struct zmsg *m, struct zmsg *of, struct zcount *c)
{
	struct slice s = zmsg_slice(of);
	struct counted *k;

	if (s.n <= ALONE_BYTES) {
		struct buf copy = { .p = mem_grow(NULL, s.n + 1),
				    .cap = s.n + 1 }; /* no more than is counted */

		buf_add(&copy, s.p, s.n);
		zmsg_take_counted(m, &copy, c);
		return;
	}
	k = mem_new(sizeof(*k));
	*k = (struct counted){ .in = c, .n = s.n, .room = s.n, .shared = true };
	zmq_msg_init(&k->whole);
	zmq_msg_copy(&k->whole, zsock_frame(of));
	count(m, (uint8_t *)zmq_msg_data(&k->whole) + of->skip, k);
}
