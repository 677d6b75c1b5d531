/* SPDX-License-Identifier: Apache-2.0
 *
 * Long frames in pieces (zpiece.h).  On the way out a piece is a view of the whole, which lives as long as
 * libzmq, on any of its threads, holds one of them.  On the way in they are copied together once all are
 * there, into just as much memory as they need.
 */
#include "common/zpiece.h"

#include <stdlib.h>
#include <string.h>

bool zpieces_go(const struct zsock *z, struct zmsg *m)
{
	return z->o.type == ZSOCK_DEALER && zmq_msg_size(zsock_frame(m)) >= ZPIECE_BYTES;
}

bool zpieces_come(const struct zsock *z, struct zmsg *m)
{
	return z->o.type == ZSOCK_ROUTER && zmq_msg_size(zsock_frame(m)) >= ZPIECE_BYTES;
}

static void let_go(void *data, void *hint)
{
	zmq_msg_t *whole = hint;

	(void)data;
	zmq_msg_close(whole);
	free(whole);
}

bool zpieces_next(struct zmsg *m, size_t *at, zmq_msg_t *out)
{
	zmq_msg_t *whole = mem_new(sizeof(*whole));
	size_t left = zmq_msg_size(zsock_frame(m)) - *at, n = left < ZPIECE_BYTES ? left : ZPIECE_BYTES;

	zmq_msg_init(whole);
	zmq_msg_copy(whole, zsock_frame(m)); /* of a frame so long libzmq counts who holds it */
	BUG_ON(zmq_msg_init_data(out, (uint8_t *)zmq_msg_data(whole) + *at, n, let_go, whole) < 0);
	*at += n;
	return n < ZPIECE_BYTES;
}

/* --- coming in --- */

struct heap {
	zmq_msg_t *m;
	size_t n, bytes;
};

static void add_piece(struct heap *h, struct zmsg *m)
{
	zmq_msg_init(&h->m[h->n]);
	zmq_msg_move(&h->m[h->n++], zsock_frame(m));
}

/* False: not what pieces look like, or too much. */
static bool read_pieces(struct zsock *z, struct heap *h, bool *more)
{
	struct zmsg next;
	size_t n = ZPIECE_BYTES;

	while (*more && n == ZPIECE_BYTES) {
		zmsg_init(&next);
		*more = zsock_receive(z, &next) >= 0 && zmq_msg_more(zsock_frame(&next));
		n = zmq_msg_size(zsock_frame(&next));
		h->bytes += n;
		if (n > ZPIECE_BYTES || h->bytes > zsock_max_msg(z)) {
			zmsg_close(&next);
			return false;
		}
		add_piece(h, &next);
	}
	return n < ZPIECE_BYTES;
}

static void join(struct zmsg *m, const struct heap *h)
{
	struct buf whole = { .p = mem_grow(NULL, h->bytes), .cap = h->bytes };

	for (size_t i = 0; i < h->n; i++)
		buf_add(&whole, zmq_msg_data(&h->m[i]), zmq_msg_size(&h->m[i]));
	zmsg_take_init(m, &whole);
}

bool zpieces_join(struct zsock *z, struct zmsg *m, bool *more)
{
	struct heap h = { .bytes = zmq_msg_size(zsock_frame(m)) };
	bool good;

	if (h.bytes > ZPIECE_BYTES || h.bytes > zsock_max_msg(z))
		return false;
	h.m = mem_grow(NULL, (zsock_max_msg(z) / ZPIECE_BYTES + 1) * sizeof(*h.m));
	add_piece(&h, m);
	good = read_pieces(z, &h, more);
	if (good)
		join(m, &h);
	for (size_t i = 0; i < h.n; i++)
		zmq_msg_close(&h.m[i]);
	free(h.m);
	return good;
}
