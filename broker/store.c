/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue between the loop and the database (store.h).  The writer thread
 * takes what has gathered, at most GROUP_MAX ops or GROUP_MS of work, into one
 * transaction.  Ops that somebody waits for begin it at once, and the group
 * grows by itself while a commit runs; settlements, for which no client waits,
 * wait for company: they go along with the next of the others, or at the latest
 * when the loop's tick comes.  The commit survives a killed process: ops that
 * need no more are reported at once.  Durable ones go on to the sync thread,
 * one sync for all that have gathered there, so that reservations never wait
 * for the disk behind settlements.
 *
 * An op the database refuses by content means that memory and database differ:
 * the process ends, and the next life starts from the database.
 */
#include "broker/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "broker/store_backend.h"
#include "common/log.h"

#define GROUP_MAX 256
#define GROUP_MS 2
#define LAZY_MS 2 /* a settlement's wait for company */
#define RETRY_MS 200
#define CLOSE_TRIES 10

struct list {
	struct store_op *head, **tail;
	unsigned n;
	bool due; /* of a thread's list: it is to be taken now */
};

struct store {
	struct backend *backend;
	uv_async_t wake;
	uv_timer_t tick;  /* runs while lazy ops are out */
	unsigned lazies;  /* of them, not reported yet: the loop's */
	unsigned handles; /* open ones, while closing */
	pthread_t writer, syncer;
	pthread_mutex_t mutex; /* everything up to closing */
	pthread_cond_t writes, syncs;
	struct list queued;    /* for the writer */
	struct list committed; /* for the syncer */
	struct list done;      /* for the loop */
	bool writing;          /* the writer holds ops */
	bool ticked;           /* while it held or was to take some: sync them without further wait */
	bool closing, writer_done, waking;
	atomic_bool failing, began; /* began: since the loop last looked */
	atomic_uint backlog;
	void (*on_failing)(void *arg);
	void *on_failing_arg;
};

static void list_init(struct list *l)
{
	*l = (struct list){ .tail = &l->head };
}

static void list_add(struct list *l, struct store_op *op)
{
	op->next = NULL;
	*l->tail = op;
	l->tail = &op->next;
	l->n++;
}

static struct store_op *list_pop(struct list *l)
{
	struct store_op *op = l->head;

	if (!op)
		return NULL;
	l->head = op->next;
	if (!l->head)
		l->tail = &l->head;
	l->n--;
	return op;
}

/* Moves all of from behind to. */
static void list_join(struct list *to, struct list *from)
{
	if (!from->head)
		return;
	*to->tail = from->head;
	to->tail = from->tail;
	to->n += from->n;
	to->due |= from->due;
	list_init(from);
}

struct store_op *store_op_new(enum store_kind kind)
{
	struct store_op *op = mem_new(sizeof(*op));

	op->kind = kind;
	return op;
}

void store_op_free(struct store_op *op)
{
	if (!op)
		return;
	if (op->lost)
		op->lost(op->arg);
	for (unsigned i = 0; i < STORE_TEXTS; i++)
		free(op->text[i]);
	buf_free(&op->blob);
	free(op);
}

bool store_op_durable(const struct store_op *op)
{
	if (op->durable)
		return true;
	switch (op->kind) {
	case OP_TOKEN_USED:
	case OP_LOCK:
	case OP_LOCK_END:
	case OP_RESERVE:
	case OP_MOVE:
	case OP_ATTEMPT:
	case OP_PURGE:
		return false;
	default:
		return true;
	}
}

/* Whether op may wait for company: nobody waits for its answer. */
static bool lazy(const struct store_op *op)
{
	return op->kind == OP_SETTLE || op->kind == OP_TOKEN_USED;
}

/* Hands ops to the loop; one wake-up for as many as gather until it comes. */
static void report(struct store *s, struct list *ops)
{
	bool wake;

	pthread_mutex_lock(&s->mutex);
	list_join(&s->done, ops);
	wake = !s->waking && s->done.head;
	s->waking = s->waking || wake;
	pthread_mutex_unlock(&s->mutex);
	if (wake)
		uv_async_send(&s->wake);
}

/* Waits until from is due (or for the end) and takes up to max of it. */
static void take(struct store *s, pthread_cond_t *cond, struct list *from, const bool *end, struct list *out,
		 unsigned max)
{
	while (!from->due && !*end)
		pthread_cond_wait(cond, &s->mutex);
	while (from->head && out->n < max)
		list_add(out, list_pop(from));
	from->due = from->head != NULL;
}

static void take_queued(struct store *s, struct list *out)
{
	pthread_mutex_lock(&s->mutex);
	take(s, &s->writes, &s->queued, &s->closing, out, GROUP_MAX);
	s->writing = out->head != NULL;
	pthread_mutex_unlock(&s->mutex);
}

static void take_committed(struct store *s, struct list *out)
{
	pthread_mutex_lock(&s->mutex);
	take(s, &s->syncs, &s->committed, &s->writer_done, out, UINT32_MAX);
	pthread_mutex_unlock(&s->mutex);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Puts what the group did not get to back in front of the queue, in order. */
static void put_back(struct store *s, struct list *rest)
{
	pthread_mutex_lock(&s->mutex);
	list_join(rest, &s->queued);
	list_join(&s->queued, rest);
	s->queued.due = true;
	pthread_mutex_unlock(&s->mutex);
}

static void die(const struct store_op *op)
{
	log_error("store_refused_op", L_U("kind", (uint64_t)op->kind),
		  L_S("effect", "memory and database differ: stopping, to start again from the database"));
	_exit(70);
}

/* One transaction over the front of group; the rest goes back. */
static enum err try_group(struct store *s, struct list *group)
{
	uint64_t until = now_ms() + GROUP_MS;
	enum err e = backend_begin(s->backend);
	struct store_op *last = NULL;
	struct list rest;
	unsigned n = 0;

	for (struct store_op *op = group->head; op && e == ERR_OK; op = op->next) {
		e = backend_exec(s->backend, op);
		if (e == ERR_FORMAT)
			die(op);
		last = op;
		n++;
		if (op->next && n % 32 == 0 && now_ms() >= until)
			break;
	}
	if (e == ERR_OK)
		e = backend_commit(s->backend);
	if (e != ERR_OK) {
		backend_rollback(s->backend);
		return e;
	}
	if (last && last->next) {
		rest = (struct list){ .head = last->next, .tail = group->tail, .n = group->n - n };
		last->next = NULL;
		group->tail = &last->next;
		group->n = n;
		put_back(s, &rest);
	}
	return ERR_OK;
}

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 }, NULL);
}

static void note_failure(struct store *s, const char *what)
{
	if (atomic_exchange(&s->failing, true))
		return;
	log_error("store_failing", L_S("step", what),
		  L_S("effect", "nothing is admitted until the database can be written again"));
	atomic_store(&s->began, true);
	uv_async_send(&s->wake);
}

static void note_success(struct store *s)
{
	if (atomic_load_explicit(&s->failing, memory_order_relaxed) && atomic_exchange(&s->failing, false))
		log_info("store_recovered");
}

static bool closing(struct store *s)
{
	bool c;

	pthread_mutex_lock(&s->mutex);
	c = s->closing;
	pthread_mutex_unlock(&s->mutex);
	return c;
}

/* After a commit: durable ops to the syncer, the others to the loop. */
static void pass_on(struct store *s, struct list *group)
{
	struct list now, later;
	struct store_op *op;
	bool due;

	list_init(&now);
	list_init(&later);
	while ((op = list_pop(group)) != NULL) {
		later.due |= store_op_durable(op) && !lazy(op);
		list_add(store_op_durable(op) ? &later : &now, op);
	}
	pthread_mutex_lock(&s->mutex);
	s->writing = false;
	list_join(&s->committed, &later);
	s->committed.due |= s->ticked && s->committed.head;
	s->ticked = s->ticked && s->queued.head; /* the tick meant what is still queued, too */
	due = s->committed.due;
	pthread_mutex_unlock(&s->mutex);
	if (due)
		pthread_cond_signal(&s->syncs);
	if (now.head)
		report(s, &now);
}

static void *write_main(void *arg)
{
	struct store *s = arg;
	struct list group;
	unsigned tries = 0;

	for (;;) {
		list_init(&group);
		take_queued(s, &group);
		if (!group.head)
			break;
		while (try_group(s, &group) != ERR_OK) {
			note_failure(s, "commit");
			if (closing(s) && ++tries > CLOSE_TRIES) {
				log_error("store_lost", L_U("ops", group.n));
				goto out;
			}
			pause_ms(RETRY_MS);
		}
		note_success(s);
		pass_on(s, &group);
	}
out:
	while ((group.head))
		store_op_free(list_pop(&group));
	pthread_mutex_lock(&s->mutex);
	s->writer_done = true;
	pthread_cond_signal(&s->syncs);
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

static void *sync_main(void *arg)
{
	struct store *s = arg;
	struct list group;

	for (;;) {
		list_init(&group);
		take_committed(s, &group);
		if (!group.head)
			return NULL;
		/* A failed sync leaves unknown which pages reached the disk, and trying again may
		 * falsely succeed: only a new life that reads the files back knows. */
		if (backend_sync(s->backend) != ERR_OK) {
			log_error("store_sync_failed",
				  L_S("effect", "stopping, to start again from the database"));
			_exit(70);
		}
		report(s, &group);
	}
}

/* The wait of those that wait for company is over. */
static void on_tick(uv_timer_t *h)
{
	struct store *s = h->data;
	bool queued, committed;

	pthread_mutex_lock(&s->mutex);
	s->queued.due = queued = s->queued.head != NULL;
	s->committed.due = committed = s->committed.head != NULL;
	s->ticked = queued || s->writing;
	pthread_mutex_unlock(&s->mutex);
	if (queued)
		pthread_cond_signal(&s->writes);
	if (committed)
		pthread_cond_signal(&s->syncs);
	uv_timer_start(&s->tick, on_tick, LAZY_MS, 0);
}

/* An op that may wait is out, or back. */
static void count_lazy(struct store *s, bool out)
{
	if (out && s->lazies++ == 0)
		uv_timer_start(&s->tick, on_tick, LAZY_MS, 0);
	else if (!out && --s->lazies == 0)
		uv_timer_stop(&s->tick);
}

static void on_wake(uv_async_t *h)
{
	struct store *s = h->data;
	struct store_op *op;
	struct list ready;

	if (atomic_exchange(&s->began, false) && s->on_failing)
		s->on_failing(s->on_failing_arg);
	list_init(&ready);
	pthread_mutex_lock(&s->mutex);
	list_join(&ready, &s->done);
	s->waking = false;
	pthread_mutex_unlock(&s->mutex);
	while ((op = list_pop(&ready)) != NULL) {
		atomic_fetch_sub(&s->backlog, 1);
		if (lazy(op))
			count_lazy(s, false);
		op->lost = NULL;
		if (op->done)
			op->done(op->arg, op->result);
		store_op_free(op);
	}
}

enum err store_open(struct store **out, uv_loop_t *uv, const char *path, uint64_t *epoch)
{
	struct backend *backend;
	enum err e = backend_open(&backend, path, epoch);
	struct store *s;

	if (e != ERR_OK)
		return e;
	s = mem_new(sizeof(*s));
	s->backend = backend;
	list_init(&s->queued);
	list_init(&s->committed);
	list_init(&s->done);
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->writes, NULL);
	pthread_cond_init(&s->syncs, NULL);
	BUG_ON(uv_async_init(uv, &s->wake, on_wake) != 0);
	BUG_ON(uv_timer_init(uv, &s->tick) != 0);
	s->wake.data = s->tick.data = s;
	s->handles = 2;
	BUG_ON(pthread_create(&s->writer, NULL, write_main, s) != 0);
	BUG_ON(pthread_create(&s->syncer, NULL, sync_main, s) != 0);
	*out = s;
	return ERR_OK;
}

enum err store_load(struct store *s, void (*row)(void *arg, const struct store_op *op), void *arg)
{
	return backend_load(s->backend, row, arg);
}

void store_submit(struct store *s, struct store_op *op)
{
	bool now;

	atomic_fetch_add(&s->backlog, 1);
	if (lazy(op))
		count_lazy(s, true);
	pthread_mutex_lock(&s->mutex);
	now = !s->queued.due && (!lazy(op) || s->queued.n + 1 >= GROUP_MAX);
	list_add(&s->queued, op);
	s->queued.due |= now;
	pthread_mutex_unlock(&s->mutex);
	if (now) /* not before: it would wake up into the locked mutex */
		pthread_cond_signal(&s->writes);
}

bool store_healthy(const struct store *s)
{
	return !atomic_load_explicit(&s->failing, memory_order_relaxed);
}

void store_on_failing(struct store *s, void (*failing)(void *arg), void *arg)
{
	s->on_failing = failing;
	s->on_failing_arg = arg;
}

unsigned store_backlog(const struct store *s)
{
	return atomic_load_explicit(&s->backlog, memory_order_relaxed);
}

static void on_closed(uv_handle_t *h)
{
	struct store *s = h->data;
	struct store_op *op;

	if (--s->handles)
		return;
	while ((op = list_pop(&s->done)) != NULL)
		store_op_free(op);
	while ((op = list_pop(&s->queued)) != NULL)
		store_op_free(op);
	pthread_mutex_destroy(&s->mutex);
	pthread_cond_destroy(&s->writes);
	pthread_cond_destroy(&s->syncs);
	free(s);
}

void store_close(struct store *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->mutex);
	s->closing = true;
	pthread_cond_signal(&s->writes);
	pthread_mutex_unlock(&s->mutex);
	pthread_join(s->writer, NULL);
	pthread_join(s->syncer, NULL);
	backend_close(s->backend);
	s->backend = NULL;
	uv_close((uv_handle_t *)&s->wake, on_closed);
	uv_close((uv_handle_t *)&s->tick, on_closed);
}
