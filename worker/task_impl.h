/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the task files: task.c (table and states), post.c (the exchange with
 * the node), take.c and take_plain.c (its objects), room.c (memory for whole answers), flow.c (towards the
 * gateway), finish.c (stop, fetch, settle).  Nobody else includes this, but tests that look inside.
 *
 * A task is freed only by flow_run, which runs once per loop turn, so that no
 * callback ever finds it gone under its feet.
 */
#ifndef SEALWAY_WORKER_TASK_IMPL_H
#define SEALWAY_WORKER_TASK_IMPL_H

#include "common/hash.h"
#include "common/net/sse.h"
#include "worker/relay.h"
#include "worker/task.h"

#define NODE_ERROR_BYTES_MAX 65536 /* of a node's refusal, all that is looked at */

struct tasks {
	struct tasks_opts o;
	struct map *map; /* rid -> task */
	struct task *dirty;
	uv_check_t check;
	uv_idle_t idle; /* active while there is something dirty: the loop must not block */
	unsigned open;
	bool draining;
	uint64_t answer_bytes; /* of whole answers, collected or waiting for their clients */
	uint64_t unknown_due;  /* loop time before which nobody is told again that a node does not know us */
};

struct task {
	struct tasks *all;
	struct work w; /* model and address point into own */
	struct buf own;
	unsigned broker;
	uint8_t model_hash[HASH_BYTES];
	struct zmsg body;

	/* the node's side */
	enum task_state state;
	uv_timer_t timer; /* end of stopping, later of publishing what is left */
	struct upstream_req *up, *stop_call;
	struct receipt_fetch *fetch;
	uint64_t posted_us;
	int status;
	bool stopped;   /* we told the node to stop */
	bool elsewhere; /* plain: it did not answer in a way that lets another node try */
	bool untold;    /* and that was left to the broker to say */

	/* its answer */
	struct sse *sse;
	struct buf whole, scratch;
	size_t counted; /* in answer_bytes */
	struct hash_state *transcript;
	uint32_t objects;
	bool done_line; /* [DONE] of a foreign node, or of a plain stream */
	bool has_usage;
	uint64_t prompt, completion;
	bool has_receipt, receipt_good, receipt_fetched;
	bool undecided; /* the node could not be asked for it, or did not know yet */
	uint8_t receipt[RECEIPT_BYTES];
	char receipt_signature[SIGN_B64];
	struct receipt said; /* the receipt read, when good */

	/* the gateway's side */
	bool publishing, head_sent, ending, paused;
	enum err error; /* what the client is told, with ending */
	uint32_t seq;
	uint64_t credit;
	struct buf out;
	size_t out_at; /* bytes of out already sent */
	uint64_t sent;
	uint64_t moved; /* ms: when payload last went out, or the HEAD */

	bool is_dirty;
	struct task *next_dirty;
};

/* Enters a state that the table allows, and says so in the log. */
void task_enter(struct task *t, enum task_state s);

/* Frees t; only flow_run calls it. */
void task_free(struct task *t);

/* post.c: posts the request; t is in TASK_POSTED. */
void task_post(struct task *t);
/* The exchange is over: e is what the client is told, ERR_OK for a whole answer. */
void task_end(struct task *t, enum err e);
/* Lets go of the exchange with the node, if it is still there. */
void task_hang_up(struct task *t);

/* room.c: what t holds of a whole answer has changed: counts it against the budget. */
void room_count(struct task *t);
/* Whether the budget has room for n more bytes of t's answer; others may have to give way. */
bool room_for(struct task *t, size_t n) MUST_USE;

/* take.c: one object of the node's: checks it, notes what it says and appends
 * what the client gets to out.  ERR_NODE when it may not go on. */
enum err take_object(struct task *t, struct slice json, struct buf *out) MUST_USE;
/* An event of the stream: take_object behind the rules for streams. */
enum err take_event(void *arg, struct slice type, struct slice data);
/* The answer has come to its end as HTTP has it: was it whole? */
enum err take_end(struct task *t) MUST_USE;
/* take_plain.c: the same three of a plain answer; take.c calls them. */
enum err plain_take_whole(struct task *t, struct slice json, struct buf *out) MUST_USE;
enum err plain_take_event(struct task *t, struct slice type, struct slice data) MUST_USE;
enum err plain_take_end(struct task *t) MUST_USE;
/* Notes a receipt; whether it holds is in t->receipt_good. */
void take_receipt(struct task *t, struct slice raw, struct slice signature, bool fetched);

/* flow.c: there is something to do for t this loop turn. */
void flow_mark(struct task *t);
/* Handles all marked tasks. */
void flow_run(struct tasks *all);
/* Bytes of the node were taken: marks t, and stops reading when they are more
 * than may go out. */
void flow_took(struct task *t);
/* Publishes HEAD; length as in chunk.h. */
void flow_head(struct task *t, uint64_t length);
/* Nothing more comes: END, or ERROR, once what is in out has been sent. */
void flow_end(struct task *t, enum err error);
/* Drops what is left and tells the client why. */
void flow_forsake(struct task *t, enum err why);
/* Drops what is left for the gateway. */
void flow_close(struct task *t);

/* finish.c: the node's side is through; e is what the client is told. */
void finish_node(struct task *t, enum err e);
/* The client is gone: stops the node and waits for its receipt. */
void finish_stop(struct task *t);

#endif
