/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger's part about units: stacks, locks, reservations (PROTOCOL sections
 * 2 and 6; ledger.h).  Every change of stack->reserved stands beside the lock or
 * reservation that it counts.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/ledger_priv.h"

struct stack *ledger_stack(const struct ledger *l, uint64_t id)
{
	return map_get(l->stacks, &id);
}

struct lock *ledger_lock_by_id(const struct ledger *l, uint64_t id)
{
	return map_get(l->locks, &id);
}

struct reservation *ledger_reservation(const struct ledger *l, const uint8_t rid[RID_BYTES])
{
	return map_get(l->reservations, rid);
}

struct stack *ledger_next_stack(const struct ledger *l, size_t *pos)
{
	return map_next(l->stacks, pos);
}

struct lock *ledger_next_lock(const struct ledger *l, size_t *pos)
{
	return map_next(l->locks, pos);
}

struct reservation *ledger_next_reservation(const struct ledger *l, size_t *pos)
{
	return map_next(l->reservations, pos);
}

uint64_t stack_free(const struct stack *st)
{
	return st->bought - st->spent - st->reserved;
}

struct store_op *ledger_stack_state(struct stack *st, enum stack_state state)
{
	struct store_op *op;

	if (st->state == state)
		return NULL;
	st->state = state;
	room_state(st);
	op = store_op_new(OP_STACK_STATE);
	op->u.buy.stack.id = st->id;
	op->u.buy.stack.state = state;
	return op;
}

enum err ledger_cost(uint64_t units, uint64_t price, uint64_t *out)
{
	unsigned __int128 micro = (unsigned __int128)units * price + 999999;

	micro /= 1000000;
	if (micro > ID_MAX)
		return ERR_RANGE;
	*out = (uint64_t)micro;
	return ERR_OK;
}

struct stack *ledger_put_stack(struct ledger *l, struct user *u, const struct row_stack *r)
{
	struct stack *st = mem_new(sizeof(*st));

	*st = (struct stack){ .id = r->id,
			      .user = u,
			      .node = r->node,
			      .model = r->model,
			      .state = r->state,
			      .bought = r->bought,
			      .spent = r->spent,
			      .price = r->price,
			      .paid = r->paid,
			      .created = r->created };
	st->next_of_user = u->stacks;
	u->stacks = st;
	room_add(l, st);
	map_put(l->stacks, &st->id, st);
	return st;
}

/* A new stack of the user and what the journal says of it, in one op. */
static void add_stack(struct ledger *l, struct user *u, struct row_stack *row, const char *who,
		      const char *why, struct stack **out, struct store_op **op)
{
	row->user = u->id;
	row->state = STACK_OPEN;
	do {
		row->id = ledger_new_id();
	} while (ledger_stack(l, row->id));
	u->balance -= row->paid;
	*out = ledger_put_stack(l, u, row);
	*op = store_op_new(OP_STACK);
	(*op)->u.buy.stack = *row;
	(*op)->u.buy.journal = (struct row_journal){ .user = u->id,
						     .delta = -(int64_t)row->paid,
						     .balance = u->balance,
						     .stack = row->id,
						     .at = row->created };
	(*op)->text[0] = mem_strndup(who, strlen(who));
	(*op)->text[1] = mem_strndup(why, strlen(why));
}

enum err ledger_buy(struct ledger *l, struct user *u, uint64_t node, uint64_t model, uint64_t units,
		    uint64_t price, int64_t now, struct stack **out, struct store_op **op)
{
	struct row_stack row = {
		.node = node, .model = model, .bought = units, .price = price, .created = now
	};

	if (units == 0 || units > ID_MAX)
		return ERR_RANGE;
	if (ledger_cost(units, price, &row.paid) != ERR_OK || row.paid > u->balance)
		return ERR_BALANCE;
	add_stack(l, u, &row, "broker", "stack bought", out, op);
	return ERR_OK;
}

enum err ledger_grant(struct ledger *l, struct user *u, const struct row_stack *what, const char *why,
		      struct stack **out, struct store_op **op)
{
	struct row_stack row = {
		.node = what->node, .model = what->model, .bought = what->bought, .created = what->created
	};

	if (row.bought == 0 || row.bought > ID_MAX)
		return ERR_RANGE;
	add_stack(l, u, &row, "operator", why, out, op);
	return ERR_OK;
}

struct lock *ledger_put_lock(struct ledger *l, struct stack *st, const struct row_lock *r)
{
	struct lock *lock = mem_new(sizeof(*lock));

	lock->id = r->id;
	lock->stack = st;
	memcpy(lock->node_key, r->node_key, KEY_BYTES);
	lock->units = r->units;
	lock->created_ms = r->created_ms;
	lock->expires_ms = r->expires_ms;
	lock->next = st->locks;
	if (lock->next)
		lock->next->prev = &lock->next;
	lock->prev = &st->locks;
	st->locks = lock;
	st->reserved += lock->units;
	room_changed(st);
	st->user->n_locks++;
	map_put(l->locks, &lock->id, lock);
	return lock;
}

enum err ledger_lock(struct ledger *l, struct stack *st, const uint8_t node_key[KEY_BYTES], uint64_t units,
		     int64_t now_ms, int64_t expires_ms, struct lock **out, struct store_op **op)
{
	struct row_lock row = {
		.stack = st->id, .units = units, .created_ms = now_ms, .expires_ms = expires_ms
	};

	if (units > stack_free(st))
		return ERR_UNITS;
	do {
		row.id = ledger_new_id();
	} while (ledger_lock_by_id(l, row.id));
	memcpy(row.node_key, node_key, KEY_BYTES);
	*out = ledger_put_lock(l, st, &row);
	*op = store_op_new(OP_LOCK);
	(*op)->u.lock = row;
	return ERR_OK;
}

/* Takes a lock's claim off its stack and frees it. */
static void lock_drop(struct ledger *l, struct lock *lock)
{
	BUG_ON(lock->alarm.place != 0);
	lock->stack->reserved -= lock->units;
	room_changed(lock->stack);
	lock->stack->user->n_locks--;
	*lock->prev = lock->next;
	if (lock->next)
		lock->next->prev = lock->prev;
	map_del(l->locks, &lock->id);
	free(lock);
}

struct store_op *ledger_lock_end(struct ledger *l, struct lock *lock)
{
	struct store_op *op = store_op_new(OP_LOCK_END);

	op->u.lock.id = lock->id;
	lock_drop(l, lock);
	return op;
}

/* Whether a serves need better than b. */
static bool lock_better(const struct lock *a, const struct lock *b, uint64_t need)
{
	bool covers = a->units >= need;

	if (covers != (b->units >= need))
		return covers;
	if (a->units != b->units)
		return covers ? a->units < b->units : a->units > b->units;
	return a->expires_ms < b->expires_ms;
}

struct lock *ledger_lock_match(const struct stack *st, const uint8_t node_key[KEY_BYTES], uint64_t need)
{
	struct lock *best = NULL;

	for (struct lock *k = st->locks; k; k = k->next) {
		if (memcmp(k->node_key, node_key, KEY_BYTES) == 0 && (!best || lock_better(k, best, need)))
			best = k;
	}
	return best;
}

struct reservation *ledger_put_reservation(struct ledger *l, struct stack *st,
					   const struct row_reservation *row)
{
	struct reservation *r = mem_new(sizeof(*r));

	memcpy(r->rid, row->rid, RID_BYTES);
	r->stack = st;
	r->node = row->node;
	memcpy(r->node_key, row->node_key, KEY_BYTES);
	r->endpoint = row->endpoint;
	r->units = row->units;
	r->epoch = row->epoch;
	r->created = row->created;
	r->attempt = row->attempt;
	map_put(l->reservations, r->rid, r);
	return r;
}

enum err ledger_reserve(struct ledger *l, struct stack *st, const struct reserve_ask *ask,
			struct reservation **out, struct store_op **op)
{
	struct row_reservation row = { .stack = st->id,
				       .node = st->node,
				       .endpoint = ask->endpoint,
				       .units = ask->units,
				       .epoch = ask->epoch,
				       .lock = ask->lock ? ask->lock->id : 0,
				       .created = ask->now,
				       .attempt = 1 };
	uint64_t covered = ask->lock ? ask->lock->units : 0;

	if (ask->units < covered)
		row.units = covered; /* a lock is taken whole */
	if (ledger_reservation(l, ask->rid))
		return ERR_EXISTS;
	if (row.units - covered > stack_free(st))
		return ERR_UNITS;
	memcpy(row.rid, ask->rid, RID_BYTES);
	memcpy(row.node_key, ask->node_key, KEY_BYTES);
	if (ask->lock)
		lock_drop(l, ask->lock);
	st->reserved += row.units;
	room_changed(st);
	*out = ledger_put_reservation(l, st, &row);
	*op = store_op_new(OP_RESERVE);
	(*op)->u.reservation = row;
	return ERR_OK;
}

struct store_op *ledger_attempt(struct reservation *r, uint32_t attempt)
{
	struct store_op *op = store_op_new(OP_ATTEMPT);

	r->attempt = attempt;
	op->u.reservation.attempt = attempt;
	memcpy(op->u.reservation.rid, r->rid, RID_BYTES);
	return op;
}

void ledger_unreserve(struct ledger *l, struct reservation *r)
{
	r->stack->reserved -= r->units;
	room_changed(r->stack);
	map_del(l->reservations, r->rid);
	free(r);
}

struct store_op *ledger_settle(struct ledger *l, struct reservation *r, const struct row_settlement *row)
{
	struct store_op *op = store_op_new(OP_SETTLE);
	struct row_settlement *s = &op->u.settlement;

	BUG_ON(row->billed > r->units);
	*s = *row;
	memcpy(s->rid, r->rid, RID_BYTES);
	s->user = r->stack->user->id;
	s->stack = r->stack->id;
	s->node = r->node;
	s->model = r->stack->model;
	s->endpoint = r->endpoint;
	s->units = r->units;
	r->stack->spent += row->billed;
	ledger_unreserve(l, r);
	return op;
}
