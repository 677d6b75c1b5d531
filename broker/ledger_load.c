/* SPDX-License-Identifier: Apache-2.0
 *
 * Replaying the store into memory, and proving that memory adds up (ledger.h).
 */
#include <stdio.h>
#include <string.h>

#include "broker/ledger_priv.h"

static enum err apply_user(struct ledger *l, const struct store_op *op)
{
	const struct row_user *r = &op->u.user;
	struct user *u;

	if (!op->text[0] || ledger_user(l, r->id) || r->balance > ID_MAX)
		return ERR_FORMAT;
	u = ledger_put_user(l, r->id, slice_str(op->text[0]), r->created);
	u->balance = r->balance;
	return ERR_OK;
}

static enum err apply_token(struct ledger *l, const struct store_op *op)
{
	const struct row_token *r = &op->u.token;
	struct user *u = ledger_user(l, r->user);

	if (!u || !op->text[0] || !op->text[1])
		return ERR_FORMAT;
	(void)ledger_put_token(l, u, r, slice_str(op->text[0]), op->text[1]);
	return ERR_OK;
}

static enum err apply_price(struct ledger *l, const struct store_op *op)
{
	struct user *u = ledger_user(l, op->u.price.user);

	if (!u)
		return ERR_FORMAT;
	ledger_put_price(u, &op->u.price);
	return ERR_OK;
}

static enum err apply_stack(struct ledger *l, const struct store_op *op)
{
	const struct row_stack *r = &op->u.buy.stack;
	struct user *u = ledger_user(l, r->user);

	if (!u || r->bought > ID_MAX || r->spent > r->bought || ledger_stack(l, r->id) ||
	    (r->state != STACK_OPEN && r->state != STACK_LOCKED))
		return ERR_FORMAT;
	(void)ledger_put_stack(l, u, r);
	return ERR_OK;
}

static enum err apply_lock(struct ledger *l, const struct store_op *op)
{
	const struct row_lock *r = &op->u.lock;
	struct stack *st = ledger_stack(l, r->stack);

	if (!st || r->units > stack_free(st) || ledger_lock_by_id(l, r->id))
		return ERR_FORMAT;
	(void)ledger_put_lock(l, st, r);
	return ERR_OK;
}

static enum err apply_reservation(struct ledger *l, const struct store_op *op)
{
	const struct row_reservation *r = &op->u.reservation;
	struct stack *st = ledger_stack(l, r->stack);

	if (!st || r->units > stack_free(st) || ledger_reservation(l, r->rid))
		return ERR_FORMAT;
	st->reserved += r->units;
	room_changed(st);
	(void)ledger_put_reservation(l, st, r);
	return ERR_OK;
}

enum err ledger_apply(struct ledger *l, const struct store_op *op)
{
	switch (op->kind) {
	case OP_USER:
		return apply_user(l, op);
	case OP_TOKEN:
		return apply_token(l, op);
	case OP_LIMITS:
		return ledger_put_limits(l, &op->u.limits);
	case OP_PRICE:
		return apply_price(l, op);
	case OP_STACK:
		return apply_stack(l, op);
	case OP_LOCK:
		return apply_lock(l, op);
	case OP_RESERVE:
		return apply_reservation(l, op);
	default:
		return ERR_OK; /* the registry's */
	}
}

static void tell(void (*problem)(void *arg, const char *text), void *arg, const char *what, uint64_t id)
{
	char text[128];

	snprintf(text, sizeof(text), "memory: %s: %llu", what, (unsigned long long)id);
	problem(arg, text);
}

/* Sums claims afresh, per stack, and compares. */
bool ledger_check(const struct ledger *l, void (*problem)(void *arg, const char *text), void *arg)
{
	struct map *claims = map_new(sizeof(uint64_t)); /* stack -> sum of its reservations, plus 1 */
	const struct reservation *r;
	const struct stack *st;
	bool sound = true;
	size_t pos = 0;

	while ((r = ledger_next_reservation(l, &pos)) != NULL) {
		uintptr_t sum = (uintptr_t)map_get(claims, &r->stack->id);

		map_put(claims, &r->stack->id, (void *)((sum ? sum : 1) + r->units));
	}
	for (pos = 0; (st = ledger_next_stack(l, &pos)) != NULL;) {
		uintptr_t sum = (uintptr_t)map_get(claims, &st->id);
		uint64_t held = sum ? sum - 1 : 0;

		for (const struct lock *k = st->locks; k; k = k->next)
			held += k->units;
		if (held != st->reserved) {
			tell(problem, arg,
			     "reserved units are not the sum of locks and reservations of stack", st->id);
			sound = false;
		}
		if (!room_sound(st)) {
			tell(problem, arg, "index of free units does not have its place right of stack",
			     st->id);
			sound = false;
		}
		if (st->spent > st->bought || st->reserved > st->bought - st->spent) {
			tell(problem, arg, "more units claimed than bought of stack", st->id);
			sound = false;
		}
	}
	map_free(claims);
	return sound;
}
