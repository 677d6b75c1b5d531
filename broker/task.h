/* SPDX-License-Identifier: Apache-2.0
 *
 * A request from admission to settlement.  One function changes its state; the
 * table says what may follow what.
 */
#ifndef SEALWAY_BROKER_TASK_H
#define SEALWAY_BROKER_TASK_H

#include "broker/broker.h"
#include "broker/peers.h"
#include "proto/job.h"
#include "proto/msg.h"
#include "proto/settle.h"

#define ANY_ATTEMPT 0 /* given to somebody, and not known which attempt it was */

#define B(state) (1u << (state))

#define TASK_STATES(X) /* state, name in logs, states it may enter next */                                   \
	X(TASK_COMMITTING, "committing", B(TASK_QUEUED) | B(TASK_SETTLING))                                  \
	X(TASK_QUEUED, "queued", B(TASK_ASSIGNED) | B(TASK_POSTED) | B(TASK_ORPHANED) | B(TASK_SETTLING))    \
	X(TASK_ASSIGNED, "assigned",                                                                         \
	  B(TASK_POSTED) | B(TASK_QUEUED) | B(TASK_ORPHANED) | B(TASK_COMMITTING) | B(TASK_SETTLING))        \
	X(TASK_POSTED, "posted", B(TASK_ORPHANED) | B(TASK_COMMITTING) | B(TASK_SETTLING))                   \
	X(TASK_UNCLAIMED, "unclaimed",                                                                       \
	  B(TASK_ASSIGNED) | B(TASK_POSTED) | B(TASK_ORPHANED) | B(TASK_SETTLING))                           \
	X(TASK_ORPHANED, "orphaned", B(TASK_ASSIGNED) | B(TASK_POSTED) | B(TASK_SETTLING))                   \
	X(TASK_SETTLING, "settling", 0)

enum task_state {
#define X(name, text, next) name,
	TASK_STATES(X)
#undef X
		TASK_STATE_COUNT
};

#undef B

struct task {
	struct broker *broker;
	uint8_t rid[RID_BYTES];
	enum task_state state;
	struct reservation *res; /* NULL once settled */
	struct user *user;
	struct node *node;
	struct sub *sub; /* counts it as running; NULL when the node no longer offers the model */
	uint64_t topic;  /* gateway thread; 0 = nobody waits (after a restart) */
	enum endpoint endpoint;
	bool stream;
	uint8_t model_hash[KEY_BYTES];
	bool has_plain_hash; /* not after a restart: it is never stored */
	uint8_t plain_hash[KEY_BYTES], body_hash[KEY_BYTES];
	bool has_body;
	struct zmsg body; /* kept until posted; of plain requests until the node's 200 */
	uint32_t attempt; /* from 1; ANY_ATTEMPT before it was given to anybody, and when unclaimed */
	uint32_t least;   /* with ANY_ATTEMPT: earlier ones are stale all the same */
	uint32_t doubted; /* another one whose worker was lost, and may have posted it; 0: none */
	struct party *worker;
	uint64_t avoid; /* instance that gave it back */
	bool returned_once;
	bool posted;        /* a node may have seen it */
	bool sought;        /* its worker lives, but the node is out of its reach */
	bool cut_off;       /* its worker was away meanwhile: what failed may be that worker's network */
	bool show_usage;    /* plain: the client asked for the usage object */
	bool moved;         /* plain: this is the second node */
	bool answered;      /* the gateway has been told the end, or is gone */
	enum err give_up;   /* while committing: end it at the commit, telling this */
	uint64_t settle_to; /* worker instance that waits for SETTLED */
	uint64_t since_ms;  /* of the state */
	uint64_t given_ms;  /* loop: when it last may have gone to its node; 0 = in an earlier life of ours */
	uint64_t deadline_ms; /* for dispatch */
	uint64_t holder;      /* instance that had it when it was lost; 0: not known */
	uint64_t back_by;     /* loop: until then such a one may come back, and with a receipt */
	uint64_t asked;       /* orphaned: instance asked last */
	uint64_t asked_ms;    /* orphaned: when it was asked first */
	struct alarm alarm;
	struct task *next_of_worker, **prev_of_worker;
	struct task *next_of_user, *prev_of_user; /* queue.c */
	bool in_queue;
	bool metered;       /* its units count against its user's minute */
	struct quota quota; /* told beside the answer */
};

/* JOB from a gateway: checks, reserves, and sends it on after the commit.  Takes
 * the body frame. */
void task_admit(struct broker *b, struct party *from, struct slice msg, struct zmsg *body);

/* CANCEL from its gateway. */
void task_cancel(struct broker *b, struct party *from, struct slice msg);

/* POSTED, ANSWERING, RETURN from workers. */
void task_posted(struct broker *b, struct party *from, struct slice msg);
void task_answering(struct broker *b, struct party *from, struct slice msg);
void task_returned(struct broker *b, struct party *from, struct slice msg);

/* A worker has said that it posts it. */
void task_is_posted(struct broker *b, struct task *t);

/* INFLIGHT from workers (claim.c). */
void task_inflight(struct broker *b, struct party *from, struct slice msg);

/* Whether what is said of that attempt is about the one that counts, as far as is known (claim.c). */
bool task_may_be(const struct task *t, uint32_t attempt);

/* SETTLE from a worker (settle.c). */
void task_settle(struct broker *b, struct party *from, struct slice msg);

/* Whether another node may be asked for it: its worker leaves refusals to us (retry.c). */
bool task_may_move(const struct task *t);

/* Its node did not answer, and the worker that waits for SETTLED told nobody: moves
 * it to another one.  False when that cannot be; then nothing has changed. */
bool task_retry(struct broker *b, struct task *t) MUST_USE;

/* Ends a job that is neither at a node nor will be: nothing billed, unless an attempt that is in doubt
 * brings a receipt yet.  Tells the gateway why, unless e is ERR_OK. */
void task_release(struct broker *b, struct task *t, enum err e, uint32_t retry_after_s);

/* The database cannot be written: whoever waits for a commit is told so, and their jobs end with that commit.
 */
void task_refuse_waiting(struct broker *b);

/* Ends a job whose node or receipt is not to be had: nothing billed. */
void task_lose(struct broker *b, struct task *t);

/* Takes a job out of queue, alarm, worker and counts, and into TASK_SETTLING. */
void task_detach(struct broker *b, struct task *t);

/* Settles (job detached) with row (billed, flags, ...), answers after the commit. */
void task_commit(struct broker *b, struct task *t, struct row_settlement *row);

/* It has been at its worker for too long: cancelled there, and its receipt fetched. */
void task_overdue(void *arg, struct alarm *a);

/* Its worker is gone: to another if it was not posted, else its receipt is fetched. */
void task_worker_gone(struct broker *b, struct task *t);

/* Its gateway is gone. */
void task_gateway_gone(struct broker *b, struct task *t);

/* An earlier attempt than this one has it at the node, or may have: its worker may claim or settle it,
 * else its receipt is fetched (orphan.c). */
void task_disown(struct broker *b, struct task *t);

/* Asks a worker to fetch its receipt; false when there is none (orphan.c). */
bool task_ask(struct broker *b, struct task *t);

/* The node does not have its receipt; whoever had the request may, and is waited for (orphan.c). */
void task_wait_for_holder(struct broker *b, struct task *t);

/* The worker that has it could not ask the node for its receipt: rather another does (orphan.c). */
void task_seek(struct broker *b, struct task *t);

/* Starts fetching the receipt through any worker (orphan.c). */
void task_orphan(struct broker *b, struct task *t);

/* WAITING from a gateway: the client of a job of an earlier life is told, when no
 * worker claims it in time, and at once when it is not known (recover.c). */
void task_waiting(struct broker *b, struct party *from, struct slice msg);

/* Puts every loaded reservation into TASK_UNCLAIMED (recover.c). */
void task_recover(struct broker *b);

/* Gives queued jobs to workers as far as there are any (assign.c). */
void task_pump(struct broker *b);

/* Gives a job to a worker or queues it (assign.c). */
void task_dispatch(struct broker *b, struct task *t);

/* Gives it to a worker once more, as the next attempt (assign.c). */
void task_dispatch_again(struct broker *b, struct task *t);

/* The worker gets, or loses, the job. */
void task_attach(struct task *t, struct party *worker);
void task_unattach(struct task *t);

/* The only way to another state. */
void task_state(struct broker *b, struct task *t, enum task_state to);

/* Whether any task still needs this life of the broker: what is unclaimed or
 * orphaned waits in the store just as well. */
bool task_moving(const struct broker *b);

/* The name of a state (static). */
const char *task_state_name(enum task_state s);

/* By request id; NULL. */
struct task *task_find(const struct broker *b, const uint8_t rid[RID_BYTES]);

/* A zeroed job in the table. */
struct task *task_new(struct broker *b, const uint8_t rid[RID_BYTES], enum task_state state);

/* Takes it out of the table and frees it. */
void task_free(struct broker *b, struct task *t);

/* Frees the body and gives its bytes back to the budget. */
void task_drop_body(struct broker *b, struct task *t);

#endif
