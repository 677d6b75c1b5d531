/* SPDX-License-Identifier: Apache-2.0
 *
 * Binary heap from 1 (alarm.h): the parent of place i is i / 2.
 */
#include "broker/alarm.h"

#include <stdlib.h>

#include "common/mem.h"

struct alarms {
	struct alarm **heap; /* [0] unused */
	size_t n, cap;
	void *arg;
};

struct alarms *alarms_new(void *arg)
{
	struct alarms *s = mem_new(sizeof(*s));

	s->arg = arg;
	return s;
}

void alarms_free(struct alarms *s)
{
	if (!s)
		return;
	free(s->heap);
	free(s);
}

static void put(struct alarms *s, size_t i, struct alarm *a)
{
	s->heap[i] = a;
	a->place = i;
}

static void sift_up(struct alarms *s, struct alarm *a)
{
	size_t i = a->place;

	for (; i > 1 && s->heap[i / 2]->when > a->when; i /= 2)
		put(s, i, s->heap[i / 2]);
	put(s, i, a);
}

static void sift_down(struct alarms *s, struct alarm *a)
{
	size_t i = a->place, child;

	while ((child = 2 * i) <= s->n) {
		if (child < s->n && s->heap[child + 1]->when < s->heap[child]->when)
			child++;
		if (s->heap[child]->when >= a->when)
			break;
		put(s, i, s->heap[child]);
		i = child;
	}
	put(s, i, a);
}

void alarm_set(struct alarms *s, struct alarm *a, uint64_t when, void (*fire)(void *arg, struct alarm *a))
{
	alarm_off(s, a);
	if (s->n + 2 > s->cap) {
		s->cap = s->cap ? s->cap * 2 : 64;
		s->heap = mem_grow(s->heap, s->cap * sizeof(struct alarm *));
	}
	a->when = when;
	a->fire = fire;
	put(s, ++s->n, a);
	sift_up(s, a);
}

void alarm_off(struct alarms *s, struct alarm *a)
{
	struct alarm *last;
	size_t hole = a->place;

	if (!hole)
		return;
	a->place = 0;
	last = s->heap[s->n--];
	if (last == a)
		return;
	put(s, hole, last);
	sift_up(s, last);
	sift_down(s, last);
}

void alarms_run(struct alarms *s, uint64_t now)
{
	while (s->n && s->heap[1]->when <= now) {
		struct alarm *a = s->heap[1];

		alarm_off(s, a);
		a->fire(s->arg, a);
	}
}

uint64_t alarms_next(const struct alarms *s)
{
	return s->n ? s->heap[1]->when : UINT64_MAX;
}
