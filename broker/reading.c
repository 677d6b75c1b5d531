/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators' reads of the database, on two lanes of one thread each (admin.h): a
 * check of a large ledger takes seconds, short answers must not wait for it, and
 * receipts are verified on the same pool of four.
 */
#include <stdlib.h>

#include "broker/admin.h"

#define WAITING_MAX 64

struct lane {
	struct readings *all;
	uv_work_t work;
	struct reading *running, *head, **tail; /* head: waiting */
	unsigned waiting;
};

struct readings {
	uv_loop_t *uv;
	struct lane lanes[READING_LANES];
	bool closed;
};

struct readings *readings_new(uv_loop_t *uv)
{
	struct readings *all = mem_new(sizeof(*all));

	all->uv = uv;
	for (int i = 0; i < READING_LANES; i++) {
		struct lane *l = &all->lanes[i];

		l->all = all;
		l->work.data = l;
		l->tail = &l->head;
	}
	return all;
}

struct reading *reading_new(struct admin_call *c)
{
	struct reading *r = mem_new(sizeof(*r));
	const struct broker *b = admin_broker(c);

	r->call = c;
	r->path = mem_strndup(b->conf.database, slice_str(b->conf.database).n);
	r->list = json_array();
	return r;
}

void reading_free(struct reading *r)
{
	json_decref(r->list);
	free(r->path);
	free(r->text);
	free(r);
}

static void drop(struct reading *r)
{
	admin_drop(r->call);
	reading_free(r);
}

static void on_work(uv_work_t *w)
{
	struct lane *l = w->data;

	l->running->work(l->running);
}

static void free_when_idle(struct readings *all)
{
	for (int i = 0; i < READING_LANES; i++) {
		if (all->lanes[i].running)
			return;
	}
	free(all);
}

static void next(struct lane *l);

static void on_done(uv_work_t *w, int status)
{
	struct lane *l = w->data;
	struct reading *r = l->running;

	(void)status;
	l->running = NULL;
	if (l->all->closed) { /* what done would look at is gone */
		drop(r);
		free_when_idle(l->all);
		return;
	}
	r->done(r);
	next(l);
}

static void next(struct lane *l)
{
	struct reading *r = l->head;

	if (!r || l->running)
		return;
	l->head = r->next;
	if (!l->head)
		l->tail = &l->head;
	l->waiting--;
	l->running = r;
	BUG_ON(uv_queue_work(l->all->uv, &l->work, on_work, on_done) != 0);
}

void reading_start(struct reading *r, enum reading_lane lane, void (*work)(struct reading *r),
		   void (*done)(struct reading *r))
{
	struct lane *l = &admin_broker(r->call)->readings->lanes[lane];

	if (l->waiting >= WAITING_MAX) {
		admin_fail(
			r->call, ERR_UNAVAILABLE,
			"%u reads of the database wait for their turn already; try again when they are done",
			WAITING_MAX);
		reading_free(r);
		return;
	}
	r->work = work;
	r->done = done;
	*l->tail = r;
	l->tail = &r->next;
	l->waiting++;
	next(l);
}

void readings_close(struct readings *all)
{
	struct reading *r;

	if (!all)
		return;
	all->closed = true;
	for (int i = 0; i < READING_LANES; i++) {
		while ((r = all->lanes[i].head) != NULL) {
			all->lanes[i].head = r->next;
			drop(r);
		}
	}
	free_when_idle(all);
}
