/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the ledger share.
 */
#ifndef SEALWAY_BROKER_LEDGER_PRIV_H
#define SEALWAY_BROKER_LEDGER_PRIV_H

#include "broker/ledger.h"
#include "common/map.h"

struct ledger {
	struct map *users;        /* id */
	struct map *user_names;   /* H(name) */
	struct map *tokens;       /* hash */
	struct map *stacks;       /* id */
	struct map *kinds;        /* user, node, model: struct room */
	struct map *locks;        /* id */
	struct map *reservations; /* rid */
};

/* The open stacks of a kind, a heap by free units (ledger_room.c). */
struct room {
	struct stack **stacks;
	size_t n, size;
	unsigned locked; /* stacks that are not in it */
};

/* Enters a new stack. */
void room_add(struct ledger *l, struct stack *st);

/* The stack's free units have changed. */
void room_changed(struct stack *st);

/* The stack's state has changed from one to the other. */
void room_state(struct stack *st);

/* Whether st is where it belongs. */
bool room_sound(const struct stack *st);

/* Frees it, not the stacks. */
void room_free(struct room *h);

/* Puts a user into the maps; name is copied. */
struct user *ledger_put_user(struct ledger *l, uint64_t id, struct slice name, int64_t created);

/* Puts a token into the map; revoked ones too (they stay to be shown). */
struct token *ledger_put_token(struct ledger *l, struct user *u, const struct row_token *r, struct slice name,
			       const char *last4);

/* Sets, replaces or removes a price. */
void ledger_put_price(struct user *u, const struct row_price *r);

/* Gives a user its own limits.  ERR_FORMAT when they fit nobody. */
enum err ledger_put_limits(struct ledger *l, const struct row_limits *r) MUST_USE;

/* Puts a stack into maps and lists. */
struct stack *ledger_put_stack(struct ledger *l, struct user *u, const struct row_stack *r);

/* Puts a lock on its stack and counts its units. */
struct lock *ledger_put_lock(struct ledger *l, struct stack *st, const struct row_lock *r);

/* Puts a reservation into the map; units are the caller's to count. */
struct reservation *ledger_put_reservation(struct ledger *l, struct stack *st,
					   const struct row_reservation *r);

#endif
