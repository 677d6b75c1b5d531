/* SPDX-License-Identifier: Apache-2.0
 *
 * What is kept between exchanges (upstream_impl.h): for each origin the addresses
 * of its name, for ADDRESS_MS, and its idle connections, for IDLE_MS; for KEEP_MS
 * whether its name was found.  Names that nobody answers for would soon hold all
 * lookups: so they have places of their own.  An origin that finds no place, or whose
 * name server is silent, uses the addresses that it had, though they could not be reached
 * the last time; a new one waits for a place, looking again at each sweep.
 *
 * Invariants:
 * - An address is judged at every connect, also one that is remembered.
 * - An idle connection that says anything, its end included, is closed; the
 *   newest is used first, since its peer is the least likely to close it.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/net/upstream_impl.h"

#define IDLE_DEFAULT 64
#define IDLE_MS 4000 /* below the 5 s of common servers, so that a kept one is rarely dead */
#define ADDRESS_MS 60000
#define KEEP_MS 300000
#define SWEEP_MS 1000
#define NAMES_MS 60000
#define LATE_MS 500 /* a name server takes less */

static void origin_free(struct origin *o)
{
	map_del(o->up->origins, o->key);
	free(o->host);
	free(o);
}

static bool in_use(const struct origin *o, uint64_t now)
{
	return o->users || o->looking || (o->found_at && now - o->found_at < KEEP_MS);
}

void origin_unuse(struct origin *o)
{
	o->users--; /* the sweep frees it */
}

static void make_key(const struct target *t, uint8_t key[ORIGIN_KEY], char host[UPSTREAM_HOST_MAX + 1])
{
	uint8_t text[UPSTREAM_HOST_MAX + 3];

	for (size_t i = 0; i < t->host.n; i++)
		host[i] = (char)(t->host.p[i] >= 'A' && t->host.p[i] <= 'Z' ? t->host.p[i] | 0x20
									    : t->host.p[i]);
	host[t->host.n] = '\0';
	text[0] = t->tls;
	text[1] = (uint8_t)(t->port >> 8);
	text[2] = (uint8_t)t->port;
	memcpy(text + 3, host, t->host.n);
	crypto_generichash(key, ORIGIN_KEY, text, 3 + t->host.n, NULL, 0);
}

struct origin *origin_get(struct upstream *u, const struct target *t)
{
	char host[UPSTREAM_HOST_MAX + 1];
	uint8_t key[ORIGIN_KEY];
	struct origin *o;

	make_key(t, key, host);
	o = map_get(u->origins, key);
	if (!o) {
		o = mem_new(sizeof(*o));
		o->up = u;
		memcpy(o->key, key, sizeof(key));
		o->host = mem_strndup(host, strlen(host));
		o->port = t->port;
		o->tls = t->tls;
		TAILQ_INIT(&o->idle);
		map_put(u->origins, key, o);
	}
	o->users++;
	return o;
}

/* --- names --- */

void origin_forget(struct origin *o)
{
	o->stale = true;
	o->silent = o->silent && o->doubtful; /* one that only takes long is waited for */
}

/* Has o addresses that may be used before an answer comes? */
static bool has_old(const struct origin *o)
{
	return o->found.n && (!o->stale || o->silent);
}

static void go(struct upstream_req *r)
{
	r->to = r->origin->found;
	r->tried = 0;
	conn_try(r);
}

/* Those who wait; each may end, and whoever is told may free the pool. */
static void serve_waiting(struct origin *o)
{
	struct upstream *u = o->up;
	struct upstream_req *r;

	while (!u->closing && (r = o->waiting)) {
		upstream_move(r, &u->reqs);
		go(r);
	}
}

static void remember(struct origin *o, const struct addresses *found)
{
	o->found = *found;
	o->found_at = uv_now(o->up->uv);
	o->stale = false;
	for (unsigned i = 0; i < o->found.n; i++) {
		if (o->found.at[i].sa.sa_family == AF_INET)
			o->found.at[i].in.sin_port = htons(o->port);
		else
			o->found.at[i].in6.sin6_port = htons(o->port);
	}
}

/* Whoever asks for o learns no more than that there is no connection. */
static void say_not_found(const struct origin *o, bool unanswered)
{
	struct upstream *u = o->up;
	uint64_t now = uv_now(u->uv);

	if (now < u->names_due)
		return;
	u->names_due = now + NAMES_MS;
	log_warn("name.not_found", L_S("host", o->host),
		 L_S("why", unanswered ? "no name server answers" : "there is no such name"),
		 L_S("do", unanswered ? "look at the name servers of this machine, and the network to them"
				      : "correct the address that names it, or have the name made"));
}

static void on_found(void *who, const struct addresses *found)
{
	struct origin *o = who;

	o->looking = false;
	if (!found->n)
		say_not_found(o, found->unanswered);
	o->doubtful = found->n == 0;
	o->silent = found->unanswered;
	if (!o->silent || !o->found.n)
		remember(o, found);
	serve_waiting(o);
}

static void ask(struct origin *o)
{
	o->asked_at = uv_now(o->up->uv);
	o->looking = lookup_start(o->up->lookups, o->host, o->doubtful, o);
}

static void look_up(struct upstream_req *r)
{
	struct origin *o = r->origin;
	struct addresses literal;

	upstream_move(r, &o->waiting);
	if (o->looking) {
		if (o->silent && o->found.n)
			serve_waiting(o);
		return;
	}
	if (uv_now(r->up->uv) - o->found_at >= KEEP_MS)
		o->found.n = 0;
	if (lookup_literal(o->host, &literal)) {
		on_found(o, &literal);
		return;
	}
	ask(o);
	if (has_old(o) ? !o->looking || o->silent : !o->looking && o->doubtful)
		serve_waiting(o);
}

/* What came on it since the loop last looked is still to be read: it would answer the next request. */
static struct conn *take_idle(struct origin *o)
{
	struct conn *c;

	while ((c = TAILQ_LAST(&o->idle, conn_list)) && uv_now(o->up->uv) - c->idle_since < IDLE_MS) {
		pool_take(c);
		if (conn_silent(c))
			return c;
		conn_close(c);
	}
	return NULL;
}

void pool_connect(struct upstream_req *r)
{
	struct origin *o = r->origin;
	struct conn *c = r->again ? NULL : take_idle(o);

	if (c) {
		conn_use(c, r);
	} else if (o->found.n && !o->stale && uv_now(r->up->uv) - o->found_at < ADDRESS_MS) {
		go(r);
	} else {
		look_up(r);
	}
}

/* --- idle connections --- */

void pool_take(struct conn *c)
{
	TAILQ_REMOVE(&c->up->idle, c, of_pool);
	TAILQ_REMOVE(&c->origin->idle, c, of_origin);
	c->up->n_idle--;
}

static void drop(struct conn *c)
{
	pool_take(c);
	conn_close(c);
}

void pool_keep(struct conn *c)
{
	struct upstream *u = c->up;

	if (u->n_idle >= (u->o.max_idle ? u->o.max_idle : IDLE_DEFAULT))
		drop(TAILQ_FIRST(&u->idle));
	c->idle_since = uv_now(u->uv);
	TAILQ_INSERT_TAIL(&u->idle, c, of_pool);
	TAILQ_INSERT_TAIL(&c->origin->idle, c, of_origin);
	u->n_idle++;
}

/* One whose name server takes long, and whose requests need not wait for it. */
static struct origin *late(const struct upstream *u)
{
	uint64_t now = uv_now(u->uv);
	struct origin *o;
	size_t pos = 0;

	while ((o = map_next(u->origins, &pos)))
		if (o->waiting && o->looking && has_old(o) && now - o->asked_at >= LATE_MS)
			return o;
	return NULL;
}

static void on_sweep(uv_timer_t *t)
{
	struct upstream *u = t->data;
	uint64_t now = uv_now(u->uv);
	struct conn *c;
	struct origin *o;
	size_t pos = 0;

	while ((c = TAILQ_FIRST(&u->idle)) && now - c->idle_since >= IDLE_MS)
		drop(c);
	while ((o = map_next(u->origins, &pos)))
		if (!in_use(o, now))
			origin_free(o);
		else if (o->waiting && !o->looking)
			ask(o);
	while (!u->closing && (o = late(u))) {
		o->silent = true;
		serve_waiting(o);
	}
}

static void on_closed(void *arg)
{
	upstream_unuse(arg);
}

static void on_timer_closed(uv_handle_t *h)
{
	upstream_unuse(h->data);
}

void pool_open(struct upstream *u)
{
	u->origins = map_new(ORIGIN_KEY);
	TAILQ_INIT(&u->idle);
	u->lookups = lookups_new(u->uv, on_found, on_closed, u);
	u->users++;
	uv_timer_init(u->uv, &u->sweep);
	u->sweep.data = u;
	u->users++;
	uv_timer_start(&u->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
	uv_unref((uv_handle_t *)&u->sweep);
}

/* No request is left. */
void pool_close(struct upstream *u)
{
	struct origin *o;
	size_t pos = 0;

	while (!TAILQ_EMPTY(&u->idle))
		drop(TAILQ_FIRST(&u->idle));
	while ((o = map_next(u->origins, &pos)))
		origin_free(o);
	map_free(u->origins);
	tls_client_free(u->tls);
	lookups_free(u->lookups);
	uv_close((uv_handle_t *)&u->sweep, on_timer_closed);
}
