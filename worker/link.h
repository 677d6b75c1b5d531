/* SPDX-License-Identifier: Apache-2.0
 *
 * The link to one broker: HELLO until WELCOME, PING every interval, death by
 * three silent intervals, and the messages in both directions.
 */
#ifndef SEALWAY_WORKER_LINK_H
#define SEALWAY_WORKER_LINK_H

#include "common/zsock.h"
#include "proto/hello.h"
#include "proto/job.h"
#include "proto/peer.h"
#include "proto/probe.h"
#include "proto/settle.h"
#include "proto/work.h"

#define LINKS_MAX 8

struct link;

/* What a broker says, decoded.  number is the link's.  Slices are borrowed. */
struct link_events {
	/* A request; the body frame is the callee's to zmsg_move away. */
	void (*work)(void *arg, unsigned number, const struct work *m, struct zmsg *body);
	void (*cancel)(void *arg, const struct cancel *m);
	void (*peer)(void *arg, unsigned number, const struct peer *m);
	void (*receipt_wanted)(void *arg, unsigned number, const struct receipt_wanted *m);
	void (*probe)(void *arg, unsigned number, const struct probe *m);
	void (*settled)(void *arg, const struct settled *m);
	/* After a WELCOME: announce what is in flight and unsettled.  forgotten: this broker had taken us for
	 * dead meanwhile, and told the gateways so. */
	void (*welcome)(void *arg, unsigned number, bool forgotten);
	/* For HELLO and PING. */
	uint32_t (*inflight)(void *arg, unsigned number); /* messages that welcome will send */
	uint32_t (*load)(void *arg);
	void *arg;
};

struct link_opts {
	struct zctx *zctx;
	uv_loop_t *uv;
	unsigned number;
	const char *endpoint;
	bool insecure;
	struct zcurve curve;
	uint64_t instance;	  /* of this worker's life */
	const char *advertise;	  /* XPUB endpoint */
	const uint8_t *key;	  /* CURVE public key of it, or NULL */
	uint32_t capacity;
	uint32_t interval_ms;	  /* until a WELCOME says otherwise */
	struct link_events ev;
};

/* Connects.  ERR_CONFIG with a log line. */
enum err link_open(const struct link_opts *o, struct link **out) MUST_USE;

/* Closes; NULL is fine. */
void link_close(struct link *l);

/* Sends one message.  ERR_AGAIN: the broker is not there; the link then says
 * HELLO again once it is, so that everything is announced anew. */
enum err link_send(struct link *l, struct slice bytes);

/* Whether the broker has welcomed us and is heard. */
bool link_up(const struct link *l);

/* The epoch of its lease, 0 before the first WELCOME. */
uint64_t link_epoch(const struct link *l);

/* Takes no new work from now on; said in every PING, the first at once. */
void link_drain(struct link *l);

/* Says goodbye: nothing is in flight any more. */
void link_bye(struct link *l);

#endif
