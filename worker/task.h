/* SPDX-License-Identifier: Apache-2.0
 *
 * The requests that this worker has in hand: from WORK to the settlement and to
 * the last byte published.  Each has two sides that end on their own: the node's
 * (a state, below) and the gateway's (publication).
 */
#ifndef SEALWAY_WORKER_TASK_H
#define SEALWAY_WORKER_TASK_H

#include "common/net/upstream.h"
#include "common/zsock.h"
#include "worker/conf.h"
#include "worker/headers.h"
#include "worker/publish.h"
#include "worker/receipts.h"
#include "worker/settle.h"

#define TASK_B(s) (1u << (s))
#define TASK_STATES(X) /* state of the node's side, name in logs, states it may enter next */ \
	X(TASK_POSTED, "posted", \
	  TASK_B(TASK_RELAYING) | TASK_B(TASK_STOPPING) | TASK_B(TASK_FETCHING) | TASK_B(TASK_OVER)) \
	X(TASK_RELAYING, "relaying", TASK_B(TASK_STOPPING) | TASK_B(TASK_FETCHING) | TASK_B(TASK_OVER)) \
	X(TASK_STOPPING, "stopping", TASK_B(TASK_FETCHING) | TASK_B(TASK_OVER)) \
	X(TASK_FETCHING, "fetching", TASK_B(TASK_OVER)) \
	X(TASK_OVER, "over", 0)

/* posted: waits for the node's 200.  relaying: its answer comes.  stopping: the
 * client is gone, the node was told, its receipt is awaited.  fetching: asks the
 * node for the receipt of an answer that broke off.  over: settlement is in the
 * book. */
enum task_state {
#define X(name, text, next) name,
	TASK_STATES(X)
#undef X
	TASK_STATE_COUNT
};

struct tasks;

struct tasks_opts {
	uv_loop_t *uv;
	const struct worker_conf *conf;
	uint64_t instance; /* of this worker's life, in every chunk */
	struct upstream *upstream;
	struct publish *publish;
	struct receipts *receipts;
	struct settle_book *settles;
	const struct headers_keys *keys;
	/* Sends one message to broker number `to`. */
	enum err (*send)(void *arg, unsigned to, struct slice bytes);
	void *arg;
};

/* A table of requests on uv's thread. */
struct tasks *tasks_new(const struct tasks_opts *o);

/* Drops everything in hand, without a word to anyone; NULL is fine. */
void tasks_free(struct tasks *t);

/* A request from broker number `from`; takes the body frame.  Posts it, or gives
 * it back (RETURN) when it cannot be served. */
void tasks_work(struct tasks *t, unsigned from, const struct work *m, struct zmsg *body);

/* The client of a request is gone (by the broker's word). */
void tasks_cancel(struct tasks *t, const struct cancel *m);

/* The same, and credits, by the gateway's: only for requests of its own topics. */
void tasks_gateway_cancel(struct tasks *t, const struct cancel *m);
void tasks_credit(struct tasks *t, const struct credit *m);

/* The queue of a topic is empty again: its streams go on. */
void tasks_room(struct tasks *t, uint64_t topic);

/* Nobody hears topic any more: its requests are cancelled. */
void tasks_lost(struct tasks *t, uint64_t topic);

/* Broker `from` had taken us for dead, and its gateways have broken off what we had begun to answer: what of
 * that is in hand is cancelled. */
void tasks_forgotten(struct tasks *t, unsigned from);

/* Takes no new work; what comes is given back. */
void tasks_drain(struct tasks *t);

/* Whether a request is in hand. */
bool tasks_has(const struct tasks *t, const uint8_t rid[RID_BYTES]);

/* How many are in hand; how many INFLIGHT messages tasks_announce sends. */
size_t tasks_count(const struct tasks *t);
size_t tasks_count_for(const struct tasks *t, unsigned to);

/* Says INFLIGHT to broker `to` for each that is not settled. */
void tasks_announce(struct tasks *t, unsigned to);

#endif
