/* SPDX-License-Identifier: Apache-2.0
 *
 * The world of test_gateway_model.c: what its broker, workers, answers and clients are like now.
 * model_broker.c and model_workers.c play the two sides of the gateway's sockets, model_http.h its clients.
 */
#ifndef SEALWAY_TESTS_UNIT_GATEWAY_MODEL_WORLD_H
#define SEALWAY_TESTS_UNIT_GATEWAY_MODEL_WORLD_H

#include "gateway/conf.h"
#include "gateway/gw.h"
#include "proto/msg.h"
#include "tests/unit/gateway/model_http.h"
#include "tests/unit/model/bus.h"
#include "tests/unit/clock.h"
#include "tests/unit/model/chance.h"

#define CLIENTS 30
#define STREAMS 60
#define WORKERS 3

enum asks { ASK_JOB, ASK_LOCK, ASK_MODELS };

struct client {
	struct hreq http;
	enum asks asks;
	bool stream, asked, checked;
	bool refused, answered; /* the broker said so, and it has come */
	bool known;             /* to the broker of now */
	bool stalls;            /* reads nothing until it is quiet */
	uint8_t rid[RID_BYTES];
	unsigned attempts;
};

enum plan {
	PLAN_WELL,
	PLAN_ERROR,    /* ends with an error */
	PLAN_SILENT,   /* stops in the middle, without a word */
	PLAN_SKIP,     /* leaves a number out */
	PLAN_TWICE,    /* says a frame twice */
	PLAN_OVER,     /* more than was granted */
	PLAN_SHORT,    /* ends too early */
	PLAN_HEADLESS, /* begins in the middle */
	PLAN_HEADS,    /* two heads */
	PLANS
};

/* An answer as one worker says it. */
struct stream {
	struct client *c;
	unsigned worker;
	uint64_t instance, epoch;
	uint32_t attempt, seq;
	enum plan plan;
	struct buf text;
	size_t sent, strikes; /* after so many bytes the plan does */
	uint64_t credit, granted;
	bool head, over, ended, whole; /* whole: END was said behind all of it, with the numbers right */
};

struct worker {
	struct zsock *z;             /* the gateway's towards it, or NULL */
	uint64_t instance, known_as; /* its own; the one that the gateway was told */
	bool connected, up;
	struct bus_queue pipe;
	unsigned cancels;
};

struct world {
	uv_loop_t uv;
	struct gw_conf conf;
	struct gw gw;
	bool calm, quiet, closing;
	uint64_t swept;
	unsigned cancels; /* said to anybody */
	/* broker */
	struct zsock *bus;
	struct bus_queue in, out;
	bool connected, mute, welcomed;
	uint64_t epoch, member, instances, introduced;
	struct worker worker[WORKERS];
	struct client client[CLIENTS];
	unsigned n;
	struct client *asking;
	struct stream stream[STREAMS];
	unsigned n_streams;
	/* of all rounds */
	unsigned clients, wholes, cut, refused, left, strays;
};
extern struct world world;

/* ms, of the loop. */
uint64_t world_now(void);

/* Ends the test, saying why and what is known of c, when all is not well. */
void world_check(const struct client *c, bool well, const char *why);

/* The client whose request has that id, or NULL. */
struct client *world_find(const uint8_t *rid);

/* Nobody goes on with that answer. */
void world_stop(struct stream *s);

/* model_workers.c: a frame that the gateway sends to worker number `number`; a turn. */
enum err model_worker_told(unsigned number, struct slice f);
void model_worker_turn(unsigned number);

/* model_broker.c: it introduces k, or says that it is gone; a message that the gateway sends; a turn. */
void model_introduce(struct worker *k, bool present);
enum err model_broker_told(struct slice head);
void model_broker_turn(void);

#endif
