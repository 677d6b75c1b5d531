/* SPDX-License-Identifier: Apache-2.0
 *
 * The world of test_worker_model.c: what its brokers, gateways and requests are like now.  model_broker.c and
 * model_gateway.c play the two sides of the worker's sockets, model_node.h its nodes.
 */
#ifndef SEALWAY_TESTS_UNIT_WORKER_MODEL_WORLD_H
#define SEALWAY_TESTS_UNIT_WORKER_MODEL_WORLD_H

#include "tests/unit/model/bus.h"
#include "tests/unit/clock.h"
#include "tests/unit/model/chance.h"
#include "tests/unit/worker/model_node.h"
#include "worker/worker.h"

#define JOBS 40
#define BROKERS 2
#define GATEWAYS 3

struct request {
	struct node_job n;
	unsigned broker, gateway;
	bool wanted;                /* a RECEIPT_WANTED, not a WORK */
	bool given, posted, unsaid; /* unsaid: POSTED could not be said */
	unsigned returns, dups, answerings;
	struct buf settle;
	bool untold, acked;
	bool late;      /* it came while the broker took the worker for dead */
	bool said_now;  /* since a WELCOME, that it is in hand or over */
	bool owes_stop; /* its node has to be told to stop */
	bool cancelled; /* somebody who may has cancelled it */
	bool disturbed; /* or its gateway went away: it need not get all of it */
	/* published */
	uint32_t seq;
	bool head, ended, gap;
	enum err error;
	uint64_t sent, granted;
	/* at the gateway */
	uint32_t next;
	uint64_t took;
};

struct broker {
	struct zsock *z;
	struct bus_queue in, out; /* in: of the worker */
	uint64_t member; /* grows when it takes the worker for dead */
	bool connected, mute, welcomed;
	bool owed_hello; /* something could not be said: all of it has to be said anew */
	bool names[GATEWAYS], heard[GATEWAYS];
	uint64_t epoch;
};

struct gateway {
	uint64_t topic;
	uint8_t key[KEY_BYTES];
	bool wants;                       /* it lives and subscribes */
	bool allowed, fresh, dead, known; /* its pipe; dead: gone, which has not been noticed */
	struct bus_queue pipe;
	size_t room;
	uint64_t said; /* when it last subscribed */
};

struct world {
	uv_loop_t uv;
	struct worker worker;
	struct zsock *pub;
	struct request job[JOBS];
	unsigned n;
	struct broker broker[BROKERS];
	unsigned n_dealers;
	struct gateway gateway[GATEWAYS];
	bool curve, quiet, small_queue;
	bool calm; /* gateways stay */
	unsigned probes, probed;
	/* of all rounds */
	unsigned jobs, wholes, errors, stopped, returned, untold, gaps, undisturbed;
};
extern struct world world;

/* ms, of the loop. */
uint64_t world_now(void);

/* Ends the test, saying why and what is known of j, when all is not well. */
void world_check(const struct request *j, bool well, const char *why);

/* The last request of that id and attempt (0: any), or NULL; known: it has to be there. */
struct request *world_find(const uint8_t *rid, uint32_t attempt);
struct request *world_known(const uint8_t *rid, uint32_t attempt);

/* Any of them; NULL while there is none. */
struct request *world_any(void);

/* Somebody who may is about to cancel that attempt (0: all). */
void world_cancel(const uint8_t *rid, uint32_t attempt);

/* The gateway with that topic, or NULL. */
struct gateway *world_gateway(uint64_t topic);

/* model_gateway.c: a frame that the worker publishes; what it allows and takes away; a turn; a grant. */
enum err model_published(struct slice frame);
void model_gateway_allowed(struct zsock *z, uint64_t topic, const uint8_t *key);
void model_gateway_denied(struct zsock *z, uint64_t topic);
void model_gateway_turn(struct gateway *g);
void model_gateway_grants(struct gateway *g, struct request *j, uint32_t attempt, uint32_t bytes);

/* model_broker.c: a message that the worker sends; a turn. */
enum err model_broker_told(struct broker *b, struct slice bytes);
void model_broker_turn(struct broker *b);

#endif
