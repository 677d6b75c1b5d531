/* SPDX-License-Identifier: Apache-2.0
 *
 * Names beside the loop (lookup.h).  The threads and the loop share a mailbox that
 * the last one to leave frees: a thread may outlive the loop.
 */
#define _GNU_SOURCE
#include "common/net/lookup.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct job {
	struct job *next;
	struct box *box;
	char *host;
	void *who;
	bool doubtful;
	struct addresses found;
};

struct box {
	pthread_mutex_t lock;
	struct job *answered;
	unsigned users;       /* the loop, and each thread */
	struct lookups *loop; /* NULL: gone */
};

struct lookups {
	uv_async_t ring;
	struct box *box;
	lookup_done done;
	void (*closed)(void *arg);
	void *arg;
	unsigned running, doubtful; /* doubtful: of those that run */
};

static void job_free(struct job *j)
{
	free(j->host);
	free(j);
}

/* With the lock held; lets go of it. */
static void leave(struct box *b)
{
	bool last = --b->users == 0;

	pthread_mutex_unlock(&b->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static void keep(struct addresses *to, const struct addrinfo *a)
{
	for (; a && to->n < ADDRESSES_MAX; a = a->ai_next) {
		if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
			continue;
		memcpy(&to->at[to->n++], a->ai_addr,
		       a->ai_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	}
}

/* The name server's own word.  All else (no answer, a refusal, no descriptor left here) says nothing of the
 * name. */
static bool leads_nowhere(int e)
{
	return e == EAI_NONAME || e == EAI_NODATA || e == EAI_ADDRFAMILY;
}

static void *look(void *arg)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found = NULL;
	struct job *j = arg;
	struct box *b = j->box;
	int e = getaddrinfo(j->host, NULL, &hints, &found);

	if (e == 0) {
		keep(&j->found, found);
		freeaddrinfo(found);
	}
	j->found.unanswered = e != 0 && !leads_nowhere(e);
	pthread_mutex_lock(&b->lock);
	if (b->loop) {
		j->next = b->answered;
		b->answered = j;
		uv_async_send(&b->loop->ring);
	} else {
		job_free(j);
	}
	leave(b);
	return NULL;
}

static void count_in(struct lookups *l, const struct job *j)
{
	l->running++;
	l->doubtful += j->doubtful;
}

static void count_out(struct lookups *l, const struct job *j)
{
	l->running--;
	l->doubtful -= j->doubtful;
}

static void on_ring(uv_async_t *a)
{
	struct lookups *l = a->data;
	struct box *b = l->box;
	struct job *j, *next;

	pthread_mutex_lock(&b->lock);
	j = b->answered;
	b->answered = NULL;
	pthread_mutex_unlock(&b->lock);
	for (; j; j = next) {
		next = j->next;
		count_out(l, j);
		if (!uv_is_closing((uv_handle_t *)a))
			l->done(j->who, &j->found);
		job_free(j);
	}
}

struct lookups *lookups_new(uv_loop_t *uv, lookup_done done, void (*closed)(void *arg), void *arg)
{
	struct lookups *l = mem_new(sizeof(*l));

	l->done = done;
	l->closed = closed;
	l->arg = arg;
	l->box = mem_new(sizeof(*l->box));
	l->box->loop = l;
	l->box->users = 1;
	BUG_ON(pthread_mutex_init(&l->box->lock, NULL));
	BUG_ON(uv_async_init(uv, &l->ring, on_ring));
	l->ring.data = l;
	uv_unref((uv_handle_t *)&l->ring);
	return l;
}

static bool run(struct job *j)
{
	pthread_attr_t detached;
	pthread_t thread;
	int e;

	BUG_ON(pthread_attr_init(&detached));
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	e = pthread_create(&thread, &detached, look, j);
	pthread_attr_destroy(&detached);
	return e == 0;
}

bool lookup_start(struct lookups *l, const char *host, bool doubtful, void *who)
{
	struct box *b = l->box;
	struct job *j;

	if (l->running >= LOOKUP_MAX || (doubtful && l->doubtful >= LOOKUP_DOUBTFUL_MAX))
		return false;
	j = mem_new(sizeof(*j));
	j->box = b;
	j->host = mem_strndup(host, strlen(host));
	j->who = who;
	j->doubtful = doubtful;
	pthread_mutex_lock(&b->lock);
	b->users++;
	pthread_mutex_unlock(&b->lock);
	if (run(j)) {
		count_in(l, j);
		return true;
	}
	pthread_mutex_lock(&b->lock);
	leave(b);
	job_free(j);
	return false;
}

static void on_closed(uv_handle_t *h)
{
	struct lookups *l = h->data;
	void (*closed)(void *) = l->closed;
	void *arg = l->arg;

	free(l);
	closed(arg);
}

void lookups_free(struct lookups *l)
{
	struct box *b = l->box;
	struct job *j, *next;

	pthread_mutex_lock(&b->lock);
	b->loop = NULL;
	j = b->answered;
	b->answered = NULL;
	leave(b);
	for (; j; j = next) {
		next = j->next;
		job_free(j);
	}
	l->box = NULL;
	uv_close((uv_handle_t *)&l->ring, on_closed);
}

bool lookup_literal(const char *host, struct addresses *out)
{
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, host, &out->at[0].in.sin_addr) == 1)
		out->at[0].sa.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, host, &out->at[0].in6.sin6_addr) == 1)
		out->at[0].sa.sa_family = AF_INET6;
	else
		return false;
	out->n = 1;
	return true;
}
