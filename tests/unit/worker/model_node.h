/* SPDX-License-Identifier: Apache-2.0
 *
 * common/net/upstream.h and the nodes behind it, played for test_worker_model.c: each request is answered as
 * its plan says, in any pieces and at any pace, until the worker lets go of it.  What the node has signed and
 * what its client should get of it is known.
 */
#ifndef SEALWAY_TESTS_UNIT_WORKER_MODEL_NODE_H
#define SEALWAY_TESTS_UNIT_WORKER_MODEL_NODE_H

#include "common/net/upstream.h"
#include "tests/unit/worker/node_side.h"

#define JOB_PORT 10000 /* the address of job n is http://node:1000n */

enum plan {
	PLAN_WELL,
	PLAN_EARLY,      /* whole, but the receipt says stopped */
	PLAN_BAD_EVENT,  /* an object that is none */
	PLAN_BAD_SIGN,   /* a receipt that does not verify */
	PLAN_NO_RECEIPT, /* ends without it */
	PLAN_MORE,       /* an object behind the receipt */
	PLAN_CUT,        /* in mid-answer, anywhere */
	PLAN_STALL,      /* the same, without a word */
	PLAN_INVALID,    /* not HTTP any more */
	PLAN_TYPE,       /* another content type */
	PLAN_REFUSE,     /* a status that is not 200 */
	PLAN_SILENT,     /* never says anything */
	PLAN_CONNECT,    /* no connection */
	PLAN_FORBIDDEN,  /* no address that may be asked */
	PLANS
};

enum fetch_plan { FETCH_TRUE, FETCH_BUSY, FETCH_DEAD, FETCH_STRANGER, FETCH_LIE, FETCH_PLANS };

/* A request as its node has it. */
struct node_job {
	unsigned number;
	struct work w;
	struct buf body;
	enum plan plan;
	enum fetch_plan fetch;
	unsigned total, at; /* objects to say; how many before the plan strikes */
	unsigned busy;      /* times that its receipt is not ready */
	struct node_side side;
	char signature[SIGN_B64]; /* of any object */
	struct buf wire, want;    /* all that was said, and what of it the client should get */
	size_t given;
	unsigned posts, stop_calls, said;
	bool may_post; /* the broker has been told; set by the test */
	int status;
	bool stopped, complete, whole, over;
	bool bad, cut;               /* the answer so far is none; nothing more of it may reach the client */
	enum upstream_result result; /* what the worker was told, once over; nothing when it let go */
	bool told, fetch_late;
	bool signed_for;
	uint8_t receipt[RECEIPT_BYTES];
};

/* The job of that number, or NULL; set by the test. */
extern struct node_job *(*node_find)(unsigned number);

/* A job for w (copied, slices and all but the address static), whose dice fall now. */
void node_job_init(struct node_job *j, unsigned number, const struct work *w);
void node_job_fini(struct node_job *j);

/* Lets the nodes go on: each exchange goes one step with a chance of 1 in `slow`. */
void node_turn(uint64_t now, unsigned slow);

/* Exchanges under way; of those about a job, whether the one with the answer is read. */
unsigned node_running(void);
bool node_is_read(const struct node_job *j);

/* Whether its receipt can be had for asking. */
bool node_gives_receipt(const struct node_job *j);

#endif
