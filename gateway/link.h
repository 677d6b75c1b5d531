/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop thread's line to the broker: one DEALER, HELLO until WELCOME, PING
 * each interval, and the verdict when the broker is gone.  Messages that are
 * not about the line itself go to the owner.
 */
#ifndef SEALWAY_GATEWAY_LINK_H
#define SEALWAY_GATEWAY_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/zsock.h"
#include "proto/msg.h"

struct link;

struct link_opts {
	const char *brokers; /* endpoints, space separated; one at a time is connected */
	bool insecure;       /* see zsock_connect */
	struct zcurve curve;
	const char *name;            /* for people, at most 64 bytes */
	uint64_t topic;              /* our instance */
	uint64_t heartbeat_ms;       /* until a WELCOME names another */
	uint64_t window;             /* bytes of bodies that the broker has not confirmed to have read */
	uint32_t (*load)(void *arg); /* requests in flight, for the PING */
	/* Welcomed.  forgotten: by the same life of the broker as before, which has taken us for dead
	 * meanwhile and had the workers end what was ours. */
	void (*up)(void *arg, bool forgotten);
	/* Was up and is not: silent for three intervals, or another life of the broker.  What was sent
	 * with an order above confirmed may never have reached it. */
	void (*down)(void *arg, uint64_t confirmed);
	/* Every other message of the broker. */
	void (*msg)(void *arg, enum msg_type type, struct slice bytes);
	void *arg;
};

/* Opens the line on uv's thread; o's strings are copied.  ERR_CONFIG for an
 * endpoint that cannot be used, with a log line. */
enum err link_open(struct link **out, struct zctx *zctx, uv_loop_t *uv, const struct link_opts *o) MUST_USE;

/* Whether a broker has welcomed us and is not silent. */
bool link_up(const struct link *l);

/* The number of the last message sent with link_send. */
uint64_t link_order(const struct link *l);

/* Sends one encoded message, whose memory is taken, and a copy of body when
 * body is not NULL.  ERR_NO_BROKER when not up, when the line is full or the
 * window is used up; head is freed in any case. */
enum err link_send(struct link *l, struct buf *head, const struct slice *body) MUST_USE;

/* Says from now on that we take no new requests. */
void link_drain(struct link *l);

/* Says goodbye: nothing is in flight any more. */
void link_bye(struct link *l);

/* Closes the line; what libzmq has not sent yet is lost.  NULL is fine. */
void link_close(struct link *l);

#endif
