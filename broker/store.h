/* SPDX-License-Identifier: Apache-2.0
 *
 * The durable truth behind the broker's memory.  Memory decides (under a lease
 * held in the store), the store remembers: every change is an op, given to the
 * store in the order it was decided, committed in groups, and reported back on
 * the loop once its commit holds.  Nothing here assumes one kind of database or
 * one writing process; ops never depend on what another process wrote meanwhile,
 * because a lease keeps others from the same rows.
 *
 * An op is not refused for reasons of content: memory has applied it already.
 * While the database cannot be written (full disk, read-only) ops wait and are
 * tried again, store_healthy says no, and the broker admits nothing new.
 */
#ifndef SEALWAY_BROKER_STORE_H
#define SEALWAY_BROKER_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/mem.h"
#include "proto/limits.h"

enum store_kind {
	OP_USER,         /* text: name */
	OP_JOURNAL,      /* text: who, why; also sets the user's balance */
	OP_TOKEN,        /* text: name, last four characters */
	OP_TOKEN_REVOKE, /* revoked says when */
	OP_TOKEN_USED,   /* last_used says when */
	OP_MODEL,        /* text: name */
	OP_NODE,         /* text: url, country, version */
	OP_NODE_KEY,     /* text: signature; blob: statement */
	OP_EVIDENCE,     /* blob: the bytes */
	OP_SUB,
	OP_PRICE,
	OP_LIMITS,
	OP_STACK,       /* text: who, why; a purchase: stack, journal and balance in one */
	OP_STACK_STATE, /* buy.stack.id and state */
	OP_LOCK,
	OP_LOCK_END, /* consumed or expired: id of the lock */
	OP_RESERVE,  /* ERR_EXISTS when the request id was settled before: nothing reserved */
	OP_MOVE,     /* a reservation's stack, node and units become those */
	OP_ATTEMPT,  /* a reservation's request is to be given to a worker once more */
	OP_PURGE, /* forgets settlements from before purge.before: the oldest PURGE_SPAN_S, at most PURGE_ROWS
		   */
	OP_SETTLE, /* ends the reservation, bills the stack, counts usage */
	OP_KINDS
};

struct row_user {
	uint64_t id;
	uint64_t balance; /* micro-USD; when loading only, changes go through journal rows */
	int64_t created;  /* Unix seconds, as all times here unless they say ms */
};

struct row_journal {
	uint64_t user;
	int64_t delta;    /* micro-USD */
	uint64_t balance; /* after it */
	uint64_t stack;   /* that was bought with it, or 0 */
	int64_t at;
};

struct row_token {
	uint64_t id, user;
	uint8_t hash[KEY_BYTES];             /* H(token); the token itself is nowhere */
	int64_t created, revoked, last_used; /* 0 = never */
};

struct row_model {
	uint64_t id;
};

enum node_state { NODE_ACTIVE = 1, NODE_DRAINING = 2, NODE_REMOVED = 3 };

struct row_node {
	uint64_t id;
	uint8_t sign_key[KEY_BYTES];
	uint64_t counter;    /* of the last full registration; 0 = none yet */
	uint32_t validity_s; /* a registration holds this long; 0 = without end (entered by hand) */
	enum node_state state;
	bool original; /* of the original network: no receipts, no statements */
	int64_t admitted, seen;
	uint64_t faults; /* settlements flagged against it */
};

#define NODE_KEYS 16 /* remembered of a node, the newest; older rows go */

struct row_node_key {
	uint64_t node;
	uint8_t key[KEY_BYTES]; /* X25519 */
	uint64_t counter;
	int64_t not_before, not_after; /* not_after 0 = open */
	int64_t added;
	int64_t superseded; /* when a successor's registration was acknowledged; 0 = current */
	bool dropped;       /* the node said that it does not have it */
};

struct row_evidence {
	uint64_t node;
	uint8_t hash[KEY_BYTES];
	int64_t at;
};

struct row_sub {
	uint64_t node, model;
	uint64_t price;                 /* micro-USD per million units */
	uint32_t max_concurrent;        /* 0 = unlimited */
	uint64_t max_units, lock_units; /* 0 = not declared */
	bool active;
};

struct row_price {
	uint64_t user, node, model; /* node 0: on every node */
	uint64_t price;
	bool removed;
};

struct row_limits { /* -1: the default holds; 0: none */
	uint64_t user;
	int64_t rate, concurrent, units; /* limit.h */
};

enum stack_state {
	STACK_OPEN = 1,
	STACK_LOCKED = 2 /* its node answered 423 for it: not used until an operator unlocks it */
};

struct row_stack {
	uint64_t id, user, node, model;
	enum stack_state state;
	uint64_t bought, spent; /* units */
	uint64_t price, paid;   /* fixed at purchase */
	int64_t created;
};

struct row_lock {
	uint64_t id, stack;
	uint8_t node_key[KEY_BYTES];
	uint64_t units;
	int64_t created_ms, expires_ms; /* Unix */
};

struct row_reservation {
	uint8_t rid[RID_BYTES];
	uint64_t stack, node;
	uint8_t node_key[KEY_BYTES];
	uint32_t endpoint;
	uint64_t units;
	uint64_t epoch;
	uint64_t lock; /* consumed by it, or 0 */
	int64_t created;
	uint32_t attempt; /* the last one; OP_RESERVE makes it 1 */
};

enum settle_flags {
	SETTLE_EXCESS = 1,      /* the node used more than was reserved: not billed */
	SETTLE_UNSIGNED = 2,    /* billed by a usage member without a receipt */
	SETTLE_NO_RECEIPT = 4,  /* one was due and did not come */
	SETTLE_BAD_RECEIPT = 8, /* one came and was not right */
	SETTLE_NODE_LOST = 16,  /* posted, then nothing was to be had */
	SETTLE_RELEASED = 32,   /* never reached a node as far as is known */
};

struct row_settlement {
	uint8_t rid[RID_BYTES]; /* stored as its public name (log_rid) */
	uint64_t user, stack, node, model;
	uint32_t endpoint;
	uint64_t units;  /* reserved */
	uint64_t billed; /* <= units */
	uint64_t prompt, completion;
	uint32_t outcome; /* enum settle_outcome */
	uint32_t error;   /* enum err told to the client */
	uint32_t flags;
	bool has_receipt;
	uint8_t receipt_hash[KEY_BYTES];
	uint32_t chunks;
	uint64_t bytes;
	int64_t at;
};

#define PURGE_ROWS 1000
#define PURGE_SPAN_S 300

struct row_purge {
	int64_t before; /* Unix seconds */
};

#define STORE_TEXTS 3

/* One change.  Allocated with store_op_new, owned by the store once submitted. */
struct store_op {
	enum store_kind kind;
	enum err result;
	bool durable; /* its callback waits for the disk whatever its kind: set before submitting */
	void (*done)(void *arg, enum err result); /* on the loop, after the commit; NULL if not wanted */
	void *arg;
	void (*lost)(void *arg); /* frees arg when done will never run (the store closed first); NULL: not its
				    own */
	struct store_op *next;   /* the store's */
	char *text[STORE_TEXTS]; /* owned */
	struct buf blob;         /* owned */
	union {
		struct row_user user;
		struct row_journal journal;
		struct row_token token;
		struct row_model model;
		struct row_node node;
		struct row_node_key key;
		struct row_evidence evidence;
		struct row_sub sub;
		struct row_price price;
		struct row_limits limits;
		struct {
			struct row_stack stack;
			struct row_journal journal;
		} buy;
		struct row_lock lock;
		struct row_reservation reservation;
		struct row_settlement settlement;
		struct row_purge purge;
	} u;
};

/* A zeroed op of that kind. */
struct store_op *store_op_new(enum store_kind kind) MUST_USE;

/* Frees an op that was not submitted; NULL is fine. */
void store_op_free(struct store_op *op);

/* Whether its callback waits for the disk (settlements, whatever moves money, and
 * ops that say so), or only for the commit, which outlives the process. */
bool store_op_durable(const struct store_op *op);

struct store;

/* Opens the database at path (created when absent), brings the schema up to
 * date and takes the lease: *epoch is larger than any before.  Says in the log
 * what is wrong: ERR_IO, ERR_EXISTS (another broker has it), ERR_VERSION (made
 * by newer software).  Callbacks will run on uv's thread. */
enum err store_open(struct store **out, uv_loop_t *uv, const char *path, uint64_t *epoch) MUST_USE;

/* Proves the ledger: structure, balances against the journal, units of every
 * stack.  problem is called for each finding; true when there is none.  Reads a
 * snapshot through a connection of its own: any thread, also while serving. */
bool store_check(const char *path, void (*problem)(void *arg, const char *text), void *arg) MUST_USE;

/* Calls row with everything that memory needs, as the ops that would make it,
 * parents before children.  Before the first submit.  ops are borrowed. */
enum err store_load(struct store *s, void (*row)(void *arg, const struct store_op *op), void *arg) MUST_USE;

/* Usage rows in order of user, model, day, newest day last; any thread, own
 * connection.  user 0 = all. */
struct usage_row {
	uint64_t user, model;
	int64_t day; /* Unix days */
	uint64_t requests, prompt, completion, billed;
};
enum err store_usage(const char *path, uint64_t user, void (*row)(void *arg, const struct usage_row *r),
		     void *arg) MUST_USE;

/* Takes op; its callback fires exactly once, never from inside this call. */
void store_submit(struct store *s, struct store_op *op);

/* False while commits fail: admit nothing that needs one. */
bool store_healthy(const struct store *s);

/* Calls failing on the loop each time that commits begin to fail.  What was submitted waits on, and is
 * committed once it can be; this is for telling those who wait for it. */
void store_on_failing(struct store *s, void (*failing)(void *arg), void *arg);

/* Ops submitted and not yet reported back. */
unsigned store_backlog(const struct store *s);

/* Commits what waits (callbacks of it do not fire any more), closes.  Gives up
 * on a database that cannot be written.  NULL is fine; run the loop once more. */
void store_close(struct store *s);

#endif
