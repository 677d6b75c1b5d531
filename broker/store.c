/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue between the loop and the database (store.h).  The writer thread
 * takes what has gathered, at most GROUP_MAX ops or GROUP_MS of work, into one
 * transaction; nothing is held back to wait for company, the group grows by
 * itself while a commit runs.  The commit survives a killed process: ops that
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
#define RETRY_MS 200
#define CLOSE_TRIES 10

struct list {
	struct store_op *head, **tail;
	unsigned n;
};

struct store {
	struct backend *backend;
	uv_async_t wake;
	pthread_t writer, syncer;
	pthread_mutex_t mutex; /* everything up to closing */
	pthread_cond_t writes, syncs;
	struct list queued;    /* for the writer */
	struct list committed; /* for the syncer */
	struct list done;      /* for the loop */
	bool closing, writer_done, waking;
	atomic_bool failing;
	atomic_uint backlog;
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
	case OP_PURGE:
		return false;
	default:
		return true;
	}
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

/* Waits for ops (or the end) and takes up to max of them. */
static void take(struct store *s, pthread_cond_t *cond, struct list *from, const bool *end, struct list *out,
		 unsigned max)
{
	pthread_mutex_lock(&s->mutex);
	while (!from->head && !*end)
		pthread_cond_wait(cond, &s->mutex);
	while (from->head && out->n < max)
		list_add(out, list_pop(from));
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
		rest = (struct list){ last->next, group->tail, group->n - n };
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
	if (!atomic_exchange(&s->failing, true))
		log_error("store_failing", L_S("step", what),
			  L_S("effect", "nothing is admitted until the database can be written again"));
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

	list_init(&now);
	list_init(&later);
	while ((op = list_pop(group)) != NULL)
		list_add(store_op_durable(op) ? &later : &now, op);
	if (later.head) {
		pthread_mutex_lock(&s->mutex);
		list_join(&s->committed, &later);
		pthread_cond_signal(&s->syncs);
		pthread_mutex_unlock(&s->mutex);
	}
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
		take(s, &s->writes, &s->queued, &s->closing, &group, GROUP_MAX);
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
		take(s, &s->syncs, &s->committed, &s->writer_done, &group, UINT32_MAX);
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

static void on_wake(uv_async_t *h)
{
	struct store *s = h->data;
	struct store_op *op;
	struct list ready;

	list_init(&ready);
	pthread_mutex_lock(&s->mutex);
	list_join(&ready, &s->done);
	s->waking = false;
	pthread_mutex_unlock(&s->mutex);
	while ((op = list_pop(&ready)) != NULL) {
		atomic_fetch_sub(&s->backlog, 1);
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
	s->wake.data = s;
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
	bool first;

	atomic_fetch_add(&s->backlog, 1);
	pthread_mutex_lock(&s->mutex);
	first = s->queued.head == NULL;
	list_add(&s->queued, op);
	if (first)
		pthread_cond_signal(&s->writes);
	pthread_mutex_unlock(&s->mutex);
}

bool store_healthy(const struct store *s)
{
	return !atomic_load_explicit(&s->failing, memory_order_relaxed);
}

unsigned store_backlog(const struct store *s)
{
	return atomic_load_explicit(&s->backlog, memory_order_relaxed);
}

static void on_closed(uv_handle_t *h)
{
	struct store *s = h->data;
	struct store_op *op;

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
}
