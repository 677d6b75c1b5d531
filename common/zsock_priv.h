/* SPDX-License-Identifier: Apache-2.0
 *
 * What the zsock_*.c files and zauth.c share.  Not for anybody else.
 */
#ifndef SEALWAY_COMMON_ZSOCK_PRIV_H
#define SEALWAY_COMMON_ZSOCK_PRIV_H

#include <zmq.h>

#include "common/zlane.h"
#include "common/zsock.h"
#include "common/zstray.h"

/* A REP socket, for zauth.c.  Messages of up to ZSOCK_ROOM frames; longer ones are
 * cut to that and still handed over, because REP owes an answer to each. */
#define ZSOCK_REP ((enum zsock_type)100)
#define ZSOCK_ROOM 8

#define ZSOCK_ZAP_ENDPOINT "inproc://zeromq.zap.01"

#define ZSOCK_SMALL_FRAME 33 /* bytes: libzmq keeps these inside the message itself */
#define ZSOCK_TOPICS_MAX 16  /* subscriptions of one XSUB */

/* In front of a user frame on its way from XSUB to XPUB, behind the 1 or 0: no
 * topic of ours starts so.  Its length includes that byte. */
#define ZSOCK_UPSTREAM_MARK "\xffsw-up\x00\xff"
#define ZSOCK_UPSTREAM_HEAD 9

struct zctx {
	void *z;
};

/* A subscription of an XSUB; libzmq counts how often it was made. */
struct zsock_topic {
	uint8_t name[ZSOCK_TOPIC_BYTES];
	unsigned sent;
};

struct zsock {
	struct zsock_opts o;
	void *z; /* NULL once closed */
	uv_poll_t poll;
	uv_prepare_t prepare;
	uv_idle_t idle;
	uv_timer_t again; /* XSUB: repeats subscriptions */
	unsigned open;    /* uv handles */
	bool dirty;
	bool suspect; /* XPUB: pipes and frames may be out of step until the batch ends */
	struct zlanes lanes;
	bool sender_has_key; /* XPUB: of the frame that its owner is looking at */
	uint8_t sender[32];
	struct zstrays strays; /* XPUB */
	uint64_t cuts;
	struct zsock_topic topics[ZSOCK_TOPICS_MAX];
	size_t n_topics;
	uint64_t dropped, taken; /* taken: frames since the last EAGAIN */
	char endpoint[ZSOCK_ENDPOINT_MAX + 1];
};

static inline zmq_msg_t *zsock_frame(struct zmsg *m)
{
	_Static_assert(sizeof(zmq_msg_t) <= sizeof(m->z), "a zmsg holds a zmq_msg_t");
	return (zmq_msg_t *)(void *)m->z;
}

/* zmq_msg_recv without waiting: below 0 for nothing. */
int zsock_receive(struct zsock *z, struct zmsg *m);

/* Bytes of a frame of z, at most. */
uint64_t zsock_max_msg(const struct zsock *z);

/* Something was done with z outside its receiving: look again before the loop blocks. */
void zsock_mark_dirty(struct zsock *z);

/* One message that came in on an XPUB. */
void zsock_pub_deliver(struct zsock *z, struct zmsg *parts, size_t n);

/* The timer of an XSUB: repeats its subscriptions. */
void zsock_on_again(uv_timer_t *h);

#endif
