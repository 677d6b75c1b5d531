/* SPDX-License-Identifier: Apache-2.0
 *
 * The XPUB socket on which gateways hear their answers: one topic per gateway
 * thread, given only to the key that the broker named for it.  ZeroMQ is told
 * never to drop (NODROP); what a topic's pipe does not take waits in a bounded
 * queue here, in order.  The same socket brings credits and cancels.
 */
#ifndef SEALWAY_WORKER_PUBLISH_H
#define SEALWAY_WORKER_PUBLISH_H

#include "common/zauth.h"
#include "common/zsock.h"
#include "proto/chunk.h"
#include "proto/job.h"
#include "proto/peer.h"

struct publish;

struct publish_events {
	/* A topic's subscription came or went. */
	void (*heard)(void *arg, uint64_t topic, bool present);
	/* A gateway grants credit or cancels.  Sent by the peer of one of the topics: ask
	 * publish_sender_is before acting on a request of a topic. */
	void (*credit)(void *arg, const struct credit *m);
	void (*cancel)(void *arg, const struct cancel *m);
	/* The queue of a topic, full or waiting before, is empty again. */
	void (*room)(void *arg, uint64_t topic);
	/* A topic has not been heard for grace_ms. */
	void (*lost)(void *arg, uint64_t topic);
	void *arg;
};

struct publish_opts {
	struct zctx *zctx;
	uv_loop_t *uv;
	struct zauth *zauth; /* NULL without CURVE */
	const char *bind;
	bool insecure;
	struct zcurve curve;
	uint64_t queue_max; /* bytes waiting per topic */
	uint64_t grace_ms;  /* silence of a topic until it is lost */
	struct publish_events ev;
};

/* Binds.  ERR_CONFIG or ERR_IO with a log line. */
enum err publish_open(const struct publish_opts *o, struct publish **out) MUST_USE;

/* Closes; what waits is dropped.  NULL is fine. */
void publish_close(struct publish *p);

/* The endpoint really bound. */
const char *publish_endpoint(const struct publish *p);

/* Broker number from (0..31) names a gateway thread, or takes it back.  The topic
 * is forgotten when no broker names it any more: then lost is called for it.
 * ERR_LIMIT: too many topics; ERR_KEY: a key is needed, or it is another one. */
enum err publish_peer(struct publish *p, unsigned from, const struct peer *m) MUST_USE;

/* Whether topic's subscription has been seen and stands. */
bool publish_heard(const struct publish *p, uint64_t topic);

/* Inside credit and cancel: whether the sender is the peer of topic. */
bool publish_sender_is(const struct publish *p, uint64_t topic);

/* Sends one frame (taken; frame is empty afterwards).  ERR_AGAIN: taken, but
 * waiting: stop making more for this topic until room.  ERR_LIMIT: the queue
 * is full and the frame is lost; ERR_CLOSED: nobody has the topic. */
enum err publish_send(struct publish *p, uint64_t topic, struct buf *frame) MUST_USE;

/* Whether frames of topic are waiting. */
bool publish_waiting(const struct publish *p, uint64_t topic);

#endif
