/* SPDX-License-Identifier: Apache-2.0
 *
 * Money and units in memory: users, tokens, stacks, locks, reservations.  Memory
 * decides; every verb that changes something hands back the op that makes the
 * store remember it, which the caller submits in the same turn.  Pure: no
 * clock, no loop, no database.  Restart replays the same ops (ledger_apply).
 *
 * For every stack at any instant: bought = free + reserved + spent, where
 * reserved is the sum of its locks and reservations.  For every user: the
 * journal sums to the balance.  No verb changes anything when it refuses.
 */
#ifndef SEALWAY_BROKER_LEDGER_H
#define SEALWAY_BROKER_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/alarm.h"
#include "broker/limit.h"
#include "broker/store.h"
#include "common/err.h"
#include "common/map.h"
#include "common/mem.h"

#define NAME_BYTES_MAX 64 /* of users and tokens */

struct ledger;

struct price {
	uint64_t node, model, price; /* node 0: every node */
	struct price *next;
};

struct user {
	uint64_t id;
	char *name;
	uint64_t balance; /* micro-USD */
	int64_t created;
	struct stack *stacks;    /* by next_of_user */
	struct price *prices;    /* newest first */
	struct map *price_index; /* node, model: the same; NULL while there is none */
	struct limits own;       /* LIMIT_UNSET: the default holds */
	struct limit_use use;    /* meter.c's */
	uint64_t n_locks;        /* on all its stacks */
};

struct token {
	uint64_t id;
	struct user *user;
	uint8_t hash[KEY_BYTES];
	char *name, *last4;
	int64_t created, revoked, last_used;
};

struct stack {
	uint64_t id;
	struct user *user;
	uint64_t node, model;
	enum stack_state state;
	uint64_t bought, reserved, spent; /* units; free is the rest */
	uint64_t price, paid;
	int64_t created;
	struct lock *locks; /* by next */
	struct stack *next_of_user;
	struct room *room; /* of its user, node and model */
	size_t room_place; /* in it, from 1; 0 = locked */
};

struct lock {
	uint64_t id;
	struct stack *stack;
	uint8_t node_key[KEY_BYTES];
	uint64_t units;
	int64_t created_ms, expires_ms; /* Unix */
	struct alarm alarm;             /* the caller's */
	struct lock *next, **prev;
};

struct reservation {
	uint8_t rid[RID_BYTES];
	struct stack *stack;
	uint64_t node;
	uint8_t node_key[KEY_BYTES];
	uint32_t endpoint;
	uint64_t units;
	uint64_t epoch;
	int64_t created;
	uint32_t attempt; /* the last one, from 1 */
	void *owner;      /* the caller's */
};

/* An empty ledger. */
struct ledger *ledger_new(void);

/* Frees everything in it; NULL is fine. */
void ledger_free(struct ledger *l);

/* --- looking up; NULL when there is none --- */

struct user *ledger_user(const struct ledger *l, uint64_t id);
struct user *ledger_user_named(const struct ledger *l, struct slice name);
/* NULL also for a revoked token. */
struct token *ledger_token(const struct ledger *l, const uint8_t hash[KEY_BYTES]);
/* By its name among the user's, revoked ones left out. */
struct token *ledger_token_named(const struct ledger *l, const struct user *u, struct slice name);
struct stack *ledger_stack(const struct ledger *l, uint64_t id);
struct lock *ledger_lock_by_id(const struct ledger *l, uint64_t id);
struct reservation *ledger_reservation(const struct ledger *l, const uint8_t rid[RID_BYTES]);

/* Walks all of one sort: *pos starts at 0; NULL at the end (map_next's rules). */
struct user *ledger_next_user(const struct ledger *l, size_t *pos);
struct token *ledger_next_token(const struct ledger *l, size_t *pos);
struct stack *ledger_next_stack(const struct ledger *l, size_t *pos);
struct lock *ledger_next_lock(const struct ledger *l, size_t *pos);
struct reservation *ledger_next_reservation(const struct ledger *l, size_t *pos);

/* Units of st that nothing has a claim on. */
uint64_t stack_free(const struct stack *st);

/* The open stack of the user for node and model with most free units, if it has so
 * many (UINT64_MAX: whatever it has); NULL.  Takes no longer for many stacks. */
struct stack *ledger_room(const struct ledger *l, const struct user *u, uint64_t node, uint64_t model,
			  uint64_t units);

/* How many stacks of the user the node has locked, of those for the model. */
unsigned ledger_locked(const struct ledger *l, const struct user *u, uint64_t node, uint64_t model);

/* What the user pays per million units: the override for the node, else the one
 * for every node, else list. */
uint64_t ledger_price(const struct user *u, uint64_t node, uint64_t model, uint64_t list);

/* Micro-USD for units at price, rounded up to 1; ERR_RANGE over ID_MAX. */
enum err ledger_cost(uint64_t units, uint64_t price, uint64_t *out) MUST_USE;

/* The lock that a request with this key on st uses: the smallest that covers
 * need, else the largest; of equals the one that expires first.  NULL: none. */
struct lock *ledger_lock_match(const struct stack *st, const uint8_t node_key[KEY_BYTES], uint64_t need);

/* --- changing; *op is to be submitted in the same turn --- */

/* ERR_EXISTS for a taken name, ERR_RANGE for one that is not 1..64 bytes of
 * letters, digits and . _ - @ + */
enum err ledger_user_add(struct ledger *l, struct slice name, int64_t now, struct user **out,
			 struct store_op **op) MUST_USE;

/* Changes the balance by delta micro-USD; ERR_RANGE when it would go below zero
 * or over ID_MAX. */
enum err ledger_fund(struct ledger *l, struct user *u, int64_t delta, const char *who, const char *why,
		     int64_t now, struct store_op **op) MUST_USE;

/* ERR_EXISTS for a name or hash in use, ERR_RANGE as for users. */
enum err ledger_token_add(struct ledger *l, struct user *u, const uint8_t hash[KEY_BYTES], struct slice name,
			  const char *last4, int64_t now, struct store_op **op) MUST_USE;

/* From here on the token is nobody's. */
struct store_op *ledger_token_revoke(struct ledger *l, struct token *t, int64_t now) MUST_USE;

/* Notes a use; NULL when one was noted less than a minute ago. */
struct store_op *ledger_token_used(struct token *t, int64_t now) MUST_USE;

/* Sets or removes the user's own price. */
struct store_op *ledger_set_price(struct ledger *l, struct user *u, const struct row_price *p) MUST_USE;

/* Sets the user's own limits; ERR_RANGE for values outside LIMIT_UNSET..LIMIT_MAX. */
enum err ledger_set_limits(struct ledger *l, struct user *u, const struct limits *own,
			   struct store_op **op) MUST_USE;

/* Buys a stack from the balance.  ERR_BALANCE when it does not reach, also for
 * amounts whose price is beyond numbers; ERR_RANGE for 0 or over ID_MAX units. */
enum err ledger_buy(struct ledger *l, struct user *u, uint64_t node, uint64_t model, uint64_t units,
		    uint64_t price, int64_t now, struct stack **out, struct store_op **op) MUST_USE;

/* Opens or locks st: its units stay as they are, but new locks go elsewhere and
 * requests on it are refused.  NULL when that is its state already. */
struct store_op *ledger_stack_state(struct stack *st, enum stack_state state) MUST_USE;

/* A stack that costs nothing, given by an operator: bought for 0, and in the
 * journal with who and why.  ERR_RANGE for 0 or over ID_MAX units. */
enum err ledger_grant(struct ledger *l, struct user *u, const struct row_stack *what, const char *why,
		      struct stack **out, struct store_op **op) MUST_USE;

/* Reserves units of st for a key; ERR_UNITS when they are not free. */
enum err ledger_lock(struct ledger *l, struct stack *st, const uint8_t node_key[KEY_BYTES], uint64_t units,
		     int64_t now_ms, int64_t expires_ms, struct lock **out, struct store_op **op) MUST_USE;

/* Gives a lock's units back and frees it (its alarm is off). */
struct store_op *ledger_lock_end(struct ledger *l, struct lock *lock) MUST_USE;

struct reserve_ask {
	const uint8_t *rid;
	struct lock *lock; /* consumed (its alarm is off), or NULL */
	uint64_t units;    /* in all; what the lock does not cover comes from the stack */
	const uint8_t *node_key;
	uint32_t endpoint;
	uint64_t epoch;
	int64_t now;
};

/* Turns a lock, or free units, into a request's reservation.  ERR_UNITS when
 * the stack lacks the rest, ERR_EXISTS when the request id is in use. */
enum err ledger_reserve(struct ledger *l, struct stack *st, const struct reserve_ask *ask,
			struct reservation **out, struct store_op **op) MUST_USE;

/* Notes that a reservation's request is to be given to a worker once more, as attempt, or that this one is
 * the only one after all. */
struct store_op *ledger_attempt(struct reservation *r, uint32_t attempt) MUST_USE;

/* Moves a reservation, whole, to units of another stack (of the same user and
 * model).  ERR_UNITS when they are not free there. */
enum err ledger_move(struct ledger *l, struct reservation *r, struct stack *to, uint64_t units,
		     struct store_op **op) MUST_USE;

/* Ends a reservation: billed units (at most r->units, else it is our bug) are
 * spent, the rest is free again.  Fills the op's stack, user, node, model, units
 * from r; the caller fills the rest of row beforehand.  Frees r. */
struct store_op *ledger_settle(struct ledger *l, struct reservation *r,
			       const struct row_settlement *row) MUST_USE;

/* Forgets a reservation that the store did not take (ERR_EXISTS).  Frees r. */
void ledger_unreserve(struct ledger *l, struct reservation *r);

/* Replays an op of store_load.  ERR_FORMAT when it does not fit what is there. */
enum err ledger_apply(struct ledger *l, const struct store_op *op) MUST_USE;

/* Proves conservation over everything in memory; problem once per finding. */
bool ledger_check(const struct ledger *l, void (*problem)(void *arg, const char *text), void *arg) MUST_USE;

/* A random identifier 1..ID_MAX: nobody's yet, with the odds of 2^53. */
uint64_t ledger_new_id(void);

#endif
