/* SPDX-License-Identifier: Apache-2.0
 *
 * ZeroMQ's context and frames (zsock.h).  A frame takes the memory of a buffer
 * over without a copy; buffers that held request data are wiped when the last
 * holder, which may be libzmq's own thread, lets go.
 */
#include "common/zsock.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/zsock_priv.h"

#define END_NS UINT64_C(1000000000) /* time for a context to end; it takes a few ms */

struct zctx *zctx_new(void)
{
	struct zctx *c = mem_new(sizeof(*c));

	c->z = zmq_ctx_new();
	BUG_ON(!c->z);
	/* A ROUTER counts its peers' ids up from rand(), which nobody seeds.  Who knows the next one can
	 * claim it, and libzmq ends the process when it comes to it. */
	srand(randombytes_random());
	zmq_ctx_set(c->z, ZMQ_IO_THREADS, 1);
	zmq_ctx_set(c->z, ZMQ_MAX_SOCKETS, ZCTX_SOCKETS_MAX);
	zmq_ctx_set(c->z, ZMQ_BLOCKY, 0);
	return c;
}

struct ending {
	void *z;
	uv_mutex_t lock; /* around what follows */
	uv_cond_t over;
	bool done, left; /* left: nobody waits for it any more */
};

static void ending_free(struct ending *e)
{
	uv_cond_destroy(&e->over);
	uv_mutex_destroy(&e->lock);
	free(e);
}

static void end_context(void *arg)
{
	struct ending *e = arg;
	bool left;

	while (zmq_ctx_term(e->z) < 0 && errno == EINTR)
		;
	uv_mutex_lock(&e->lock);
	e->done = true;
	left = e->left;
	uv_cond_signal(&e->over);
	uv_mutex_unlock(&e->lock);
	if (left)
		ending_free(e);
}

/* False: it goes on by itself. */
static bool wait_for_end(struct ending *e)
{
	uint64_t now = uv_hrtime(), until = now + END_NS;
	bool done;

	uv_mutex_lock(&e->lock);
	while (!e->done && (now = uv_hrtime()) < until)
		(void)uv_cond_timedwait(&e->over, &e->lock, until - now);
	done = e->done;
	e->left = !done;
	uv_mutex_unlock(&e->lock);
	return done;
}

/* Its thread may be waiting for a name server that is away. */
void zctx_free(struct zctx *c)
{
	struct ending *e;
	uv_thread_t t;

	if (!c)
		return;
	e = mem_new(sizeof(*e));
	e->z = c->z;
	free(c);
	BUG_ON(uv_mutex_init(&e->lock) != 0 || uv_cond_init(&e->over) != 0);
	if (uv_thread_create(&t, end_context, e) != 0) {
		end_context(e);
		ending_free(e);
	} else if (wait_for_end(e)) {
		uv_thread_join(&t);
		ending_free(e);
	} else {
		pthread_detach(t);
	}
}

void zmsg_init(struct zmsg *m)
{
	m->skip = 0;
	zmq_msg_init(zsock_frame(m));
}

void zmsg_copy_init(struct zmsg *m, struct slice s)
{
	m->skip = 0;
	BUG_ON(zmq_msg_init_size(zsock_frame(m), s.n) < 0);
	if (s.n > 0)
		memcpy(zmq_msg_data(zsock_frame(m)), s.p, s.n);
}

static void free_taken(void *data, void *hint)
{
	(void)hint;
	free(data);
}

/* hint is the size, as many bytes were in use. */
static void free_secret(void *data, void *hint)
{
	mem_wipe(data, (uintptr_t)hint);
	free(data);
}

void zmsg_take_init(struct zmsg *m, struct buf *b)
{
	if (b->n <= ZSOCK_SMALL_FRAME) {
		zmsg_copy_init(m, buf_slice(b));
		buf_free(b);
		return;
	}
	m->skip = 0;
	BUG_ON(zmq_msg_init_data(zsock_frame(m), b->p, b->n, b->secret ? free_secret : free_taken,
				 (void *)(uintptr_t)b->n) < 0); /* NOLINT: a number in a pointer's clothes */
	*b = (struct buf){ .secret = b->secret };
}

void zmsg_move(struct zmsg *dst, struct zmsg *src)
{
	zmsg_init(dst);
	zmq_msg_move(zsock_frame(dst), zsock_frame(src));
	dst->skip = src->skip;
	src->skip = 0;
}

struct slice zmsg_slice(struct zmsg *m)
{
	const uint8_t *p = zmq_msg_data(zsock_frame(m));

	return slice_of(p + m->skip, zmq_msg_size(zsock_frame(m)) - m->skip);
}

void zmsg_close(struct zmsg *m)
{
	zmq_msg_close(zsock_frame(m));
	zmsg_init(m);
}

bool zmsg_peer_key(struct zmsg *m, uint8_t key[32])
{
	const char *id = zmq_msg_gets(zsock_frame(m), "User-Id");

	return id && hex_decode_exact(slice_str(id), key, 32) == ERR_OK;
}

void zcurve_keypair(uint8_t public_key[32], uint8_t secret_key[32])
{
	char pub[41], sec[41]; /* Z85 and NUL */

	BUG_ON(zmq_curve_keypair(pub, sec) < 0);
	BUG_ON(!zmq_z85_decode(public_key, pub) || !zmq_z85_decode(secret_key, sec));
	mem_wipe(sec, sizeof(sec));
}

void zcurve_public(uint8_t public_key[32], const uint8_t secret_key[32])
{
	char pub[41], sec[41]; /* Z85 and NUL */

	BUG_ON(!zmq_z85_encode(sec, secret_key, 32));
	BUG_ON(zmq_curve_public(pub, sec) < 0);
	BUG_ON(!zmq_z85_decode(public_key, pub));
	mem_wipe(sec, sizeof(sec));
}
