/* SPDX-License-Identifier: Apache-2.0
 *
 * Circular lists with a sentinel per kind (deadline.h).
 */
#include "gateway/deadline.h"

#include <stddef.h>
#include <string.h>

void deadlines_init(struct deadlines *d, const uint64_t ms[DL_COUNT])
{
	memcpy(d->ms, ms, sizeof(d->ms));
	for (unsigned i = 0; i < DL_COUNT; i++) {
		d->head[i] = (struct deadline){ .kind = (enum deadline_kind)i };
		d->head[i].prev = d->head[i].next = &d->head[i];
	}
}

void deadline_disarm(struct deadline *e)
{
	if (!e->next)
		return;
	e->prev->next = e->next;
	e->next->prev = e->prev;
	e->prev = e->next = NULL;
}

void deadline_arm(struct deadlines *d, struct deadline *e, enum deadline_kind kind, uint64_t now)
{
	struct deadline *head = &d->head[kind];

	deadline_disarm(e);
	e->kind = kind;
	e->due = now + d->ms[kind];
	e->prev = head->prev;
	e->next = head;
	head->prev->next = e;
	head->prev = e;
}

/* The rounds per list are bounded by what was due at the start, so that an
 * entry armed again with nothing to wait cannot hold the loop. */
static void expire(struct deadline *head, uint64_t now, void (*fn)(void *, struct deadline *), void *arg)
{
	struct deadline *e;
	size_t due = 0;

	for (e = head->next; e != head && e->due <= now; e = e->next)
		due++;
	while (due-- && (e = head->next) != head && e->due <= now) {
		deadline_disarm(e);
		fn(arg, e);
	}
}

void deadlines_expire(struct deadlines *d, uint64_t now, void (*fn)(void *arg, struct deadline *e), void *arg)
{
	for (unsigned i = 0; i < DL_COUNT; i++)
		expire(&d->head[i], now, fn, arg);
}
