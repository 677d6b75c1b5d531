/* SPDX-License-Identifier: Apache-2.0
 *
 * Where there is room: per user, node and model a heap of the open stacks, the
 * one with most free units on top, so that finding one does not depend on how
 * many used-up ones the user has gathered.  room_changed belongs to every change
 * of a stack's free units or state.
 */
#include <stdlib.h>

#include "broker/ledger_priv.h"

struct kind {
	uint64_t user, node, model;
};

static void place(struct room *h, size_t i, struct stack *st)
{
	h->stacks[i] = st;
	st->room_place = i + 1;
}

static void move_up(struct room *h, size_t i)
{
	struct stack *st = h->stacks[i];

	while (i > 0 && stack_free(h->stacks[(i - 1) / 2]) < stack_free(st)) {
		place(h, i, h->stacks[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	place(h, i, st);
}

static void move_down(struct room *h, size_t i)
{
	struct stack *st = h->stacks[i];
	size_t child;

	while ((child = 2 * i + 1) < h->n) {
		if (child + 1 < h->n && stack_free(h->stacks[child + 1]) > stack_free(h->stacks[child]))
			child++;
		if (stack_free(h->stacks[child]) <= stack_free(st))
			break;
		place(h, i, h->stacks[child]);
		i = child;
	}
	place(h, i, st);
}

static void put(struct room *h, struct stack *st)
{
	if (h->n == h->size) {
		h->size = h->size ? 2 * h->size : 4;
		h->stacks = mem_grow(h->stacks, h->size * sizeof(struct stack *));
	}
	place(h, h->n++, st);
	move_up(h, h->n - 1);
}

static void take(struct room *h, struct stack *st)
{
	size_t i = st->room_place - 1;

	st->room_place = 0;
	h->n--;
	if (i == h->n)
		return;
	place(h, i, h->stacks[h->n]);
	room_changed(h->stacks[i]);
}

void room_add(struct ledger *l, struct stack *st)
{
	struct kind k = { st->user->id, st->node, st->model };
	struct room *h = map_get(l->kinds, &k);

	if (!h) {
		h = mem_new(sizeof(*h));
		map_put(l->kinds, &k, h);
	}
	st->room = h;
	if (st->state == STACK_OPEN)
		put(h, st);
	else
		h->locked++;
}

void room_changed(struct stack *st)
{
	size_t i;

	if (st->room_place == 0)
		return;
	i = st->room_place - 1;
	move_up(st->room, i);
	move_down(st->room, st->room_place - 1);
}

void room_state(struct stack *st)
{
	if (st->state == STACK_OPEN) {
		st->room->locked--;
		put(st->room, st);
	} else {
		st->room->locked++;
		take(st->room, st);
	}
}

void room_free(struct room *h)
{
	free(h->stacks);
	free(h);
}

bool room_sound(const struct stack *st)
{
	const struct room *h = st->room;
	size_t i = st->room_place - 1;

	if (st->state != STACK_OPEN)
		return st->room_place == 0;
	return st->room_place != 0 && i < h->n && h->stacks[i] == st &&
	       (i == 0 || stack_free(h->stacks[(i - 1) / 2]) >= stack_free(st));
}

static const struct room *room_of(const struct ledger *l, const struct user *u, uint64_t node, uint64_t model)
{
	struct kind k = { u->id, node, model };

	return map_get(l->kinds, &k);
}

struct stack *ledger_room(const struct ledger *l, const struct user *u, uint64_t node, uint64_t model,
			  uint64_t units)
{
	const struct room *h = room_of(l, u, node, model);

	if (!h || h->n == 0)
		return NULL;
	return units == UINT64_MAX || stack_free(h->stacks[0]) >= units ? h->stacks[0] : NULL;
}

unsigned ledger_locked(const struct ledger *l, const struct user *u, uint64_t node, uint64_t model)
{
	const struct room *h = room_of(l, u, node, model);

	return h ? h->locked : 0;
}
