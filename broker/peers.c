/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is on the bus (peers.h).  A peer is known by its instance; its routing id
 * changes when it reconnects.  A worker that comes up at the endpoint of another
 * instance replaces it at once: two cannot be bound there.  What the other one said
 * before it ended may still wait to be read, behind the HELLO of the new one.
 */
#include "broker/peers.h"

#include <stdlib.h>
#include <string.h>

#include "broker/blame.h"
#include "broker/broker.h"
#include "broker/greetings.h"
#include "broker/intro.h"
#include "broker/metrics.h"
#include "broker/news.h"
#include "broker/probe.h"
#include "broker/refusal.h"
#include "broker/router.h"
#include "broker/silence.h"
#include "broker/task.h"
#include "broker/trust.h"
#include "broker/version.h"
#include "common/log.h"

#define LIVES_MAX 512 /* of one key: a stolen one must not take all places */
#define LAST_WORDS_MS 50

struct peers *peers_new(void)
{
	struct peers *s = mem_new(sizeof(*s));

	s->routes = map_new(ROUTE_BYTES);
	s->instances = map_new(sizeof(uint64_t));
	s->greetings = greetings_new();
	return s;
}

static void party_free(struct party *p)
{
	map_free(p->topics);
	refusal_free(p);
	zcount_drop(p->unread);
	free(p->name);
	free(p->version);
	free(p->endpoint);
	free(p);
}

void peers_free(struct peers *s)
{
	struct party *p;
	size_t pos = 0;

	if (!s)
		return;
	while ((p = map_next(s->instances, &pos)) != NULL)
		party_free(p);
	map_free(s->routes);
	map_free(s->instances);
	greetings_free(s->greetings);
	free(s);
}

struct party *peers_by_route(const struct broker *b, struct slice route)
{
	return route.n == ROUTE_BYTES ? map_get(b->peers->routes, route.p) : NULL;
}

struct party *peers_by_instance(const struct broker *b, uint64_t instance, enum role role)
{
	struct party *p = map_get(b->peers->instances, &instance);

	return p && p->role == role ? p : NULL;
}

bool peers_room(const struct broker *b, const struct party *p, bool work)
{
	return greetings_room(b->peers->greetings, p->unread, work);
}

const char *peers_role(enum role role)
{
	return role == ROLE_GATEWAY ? "gateway" : "worker";
}

static void count(struct broker *b, enum role role, int by)
{
	b->peers->n += (unsigned)by;
	stat_inc(role == ROLE_GATEWAY ? &metrics.gateways : &metrics.workers, by);
}

/* --- coming --- */

/* Of one key, or of all peers without one, once in ten seconds: they may say it as often as they like. */
static void refused(const struct broker *b, const uint8_t *key, const struct hello *h, const char *why)
{
	static const uint8_t nobody[KEY_BYTES];

	stat_inc(&metrics.dropped, 1);
	if (news(key ? key : nobody, broker_ms(b)))
		log_warn("peer_refused", L_S("role", peers_role(h->role)), L_S("why", why));
}

/* Peers that proved this key: processes of one host may share it, threads of a gateway do. */
static unsigned lives_of(const struct broker *b, const uint8_t *key)
{
	unsigned n = 0;

	for (int role = ROLE_GATEWAY; role < ROLE_MAX; role++) {
		for (const struct party *p = b->peers->list[role]; p; p = p->next)
			n += p->has_key && memcmp(p->key, key, KEY_BYTES) == 0;
	}
	return n;
}

/* Every gateway opens a socket for it, each time that it is introduced. */
static bool endpoint_ok(const struct hello *h)
{
	char text[ENDPOINT_BYTES_MAX + 1] = { 0 };

	if (h->endpoint.n > 0)
		memcpy(text, h->endpoint.p, h->endpoint.n);
	return strncmp(text, "inproc:", 7) != 0 && zsock_check(text, h->key.n != 0, true) == ERR_OK;
}

/* What would make a HELLO somebody else's. */
static const char *hello_fault(const struct broker *b, struct slice route, const uint8_t *key,
			       const struct hello *h)
{
	const struct party *p = map_get(b->peers->instances, &h->instance);

	if (route.n != ROUTE_BYTES || route.p[0] != 0)
		return "it chose its own routing id";
	if (h->instance == 0)
		return "no instance";
	if (!msg_text_ok(h->name) || !msg_text_ok(h->version) || !msg_text_ok(h->endpoint))
		return "its name, version or endpoint is not text";
	if (h->role == ROLE_WORKER && !endpoint_ok(h))
		return "its endpoint is none that gateways could connect to";
	if (p && (p->role != h->role || p->has_key != (key != NULL) ||
		  (key && memcmp(p->key, key, KEY_BYTES) != 0)))
		return "the instance is another peer's";
	if (key && h->key.n && memcmp(h->key.p, key, KEY_BYTES) != 0)
		return "its endpoint's key is not the one it proved";
	if (!p && b->peers->n >= PEERS_MAX)
		return "too many peers";
	if (!p && key && lives_of(b, key) >= LIVES_MAX)
		return "its key has too many peers already";
	if (key && !greetings_allow(b->peers->greetings, key, p == NULL, broker_ms(b)))
		return "its key says HELLO too often";
	return NULL;
}

static void drop_ended(struct broker *b, struct party *p, const char *why)
{
	p->ended = true;
	peers_drop(b, p, why);
}

static void drop_soon(struct broker *b, struct party *p)
{
	p->ended = true;
	silence_sweep_within(b, LAST_WORDS_MS);
}

/* Others that the newcomer shows to be gone. */
static void replace(struct broker *b, const struct party *p)
{
	if (p->role != ROLE_WORKER || !p->endpoint[0])
		return;
	for (struct party *q = b->peers->list[ROLE_WORKER]; q; q = q->next) {
		if (q != p && strcmp(q->endpoint, p->endpoint) == 0 &&
		    (!p->has_key || memcmp(p->key, q->key, KEY_BYTES) == 0))
			drop_soon(b, q);
	}
}

static struct party *party_add(struct broker *b, const struct hello *h, const uint8_t *key)
{
	struct party *p = mem_new(sizeof(*p)), **list = &b->peers->list[h->role];

	p->role = h->role;
	p->instance = h->instance;
	p->member = ++b->peers->members;
	p->name = mem_strndup(h->name.p, h->name.n);
	p->version = mem_strndup(h->version.p, h->version.n);
	p->endpoint = mem_strndup(h->endpoint.p, h->endpoint.n);
	p->topics = map_new(sizeof(uint64_t));
	if (key) {
		p->has_key = true;
		memcpy(p->key, key, KEY_BYTES);
		p->unread = greetings_unread(b->peers->greetings, key);
	}
	if (h->key.n) {
		p->has_server_key = true;
		memcpy(p->server_key, h->key.p, KEY_BYTES);
	}
	p->next = *list;
	if (p->next)
		p->next->prev = &p->next;
	p->prev = list;
	*list = p;
	map_put(b->peers->instances, &p->instance, p);
	count(b, p->role, 1);
	log_info("peer_here", L_S("role", peers_role(p->role)), L_S("name", p->name),
		 L_S("version", p->version), L_U("instance", p->instance));
	return p;
}

static void set_route(struct broker *b, struct party *p, const uint8_t *route)
{
	struct party *before = map_get(b->peers->routes, route);

	if (before == p)
		return;
	if (before)
		drop_ended(b, before, "a new life on its connection");
	if (map_get(b->peers->routes, p->route) == p)
		map_del(b->peers->routes, p->route);
	memcpy(p->route, route, ROUTE_BYTES);
	map_put(b->peers->routes, p->route, p);
	p->hello_ms = 0; /* the WELCOME on the one before may have been lost */
}

/* The next one of p that no node has seen. */
static struct task *unposted(const struct party *p)
{
	struct task *t = p->tasks;

	while (t && t->posted)
		t = t->next_of_worker;
	return t;
}

/* What it could not read is for others; what it has posted it can read, and may yet settle. */
static void give_up_unread(struct broker *b, struct party *p)
{
	struct task *t;

	while ((t = unposted(p)) != NULL) {
		task_worker_gone(b, t);
		BUG_ON(unposted(p) == t); /* it was taken off this worker */
	}
	task_pump(b);
}

void peers_hello(struct broker *b, struct slice route, const uint8_t *key, struct slice msg)
{
	struct welcome w = { .epoch = b->epoch,
			     .instance = b->instance,
			     .interval_ms = (uint32_t)b->conf.heartbeat_ms };
	struct buf out = { 0 };
	struct hello h;
	struct party *p;
	const char *fault;
	bool fresh;

	if (hello_decode(msg, &h) != ERR_OK)
		return;
	fault = hello_fault(b, route, key, &h);
	if (fault) {
		refused(b, key, &h, fault);
		return;
	}
	p = map_get(b->peers->instances, &h.instance);
	fresh = p == NULL;
	if (fresh)
		p = party_add(b, &h, key);
	set_route(b, p, route.p);
	if (!p->hello_ms)
		p->hello_ms = broker_ms(b);
	if (version_foreign(b, p))
		give_up_unread(b, p);
	if (fresh)
		replace(b, p); /* reachable by now: it may get the other's work */
	p->capacity = h.capacity;
	silence_broken(b, p);
	w.member = p->member;
	welcome_encode(&w, &out);
	router_send(b, p, &out);
	intro_newcomer(b, p);
}

void peers_ping(struct broker *b, struct party *p, struct slice msg)
{
	struct ping in, pong = { .instance = b->instance, .epoch = b->epoch, .draining = b->draining };
	struct buf out = { 0 };

	if (ping_decode(msg, &in) != ERR_OK || in.instance != p->instance) {
		stat_inc(&metrics.dropped, 1);
		return; /* without a PONG it will say HELLO again */
	}
	silence_broken(b, p);
	p->hello_ms = 0;
	p->foreign = false;
	p->load = in.load;
	p->draining = in.draining;
	pong_encode(&pong, &out);
	router_send(b, p, &out);
}

/* --- going --- */

static void forget(struct broker *b, struct party *p)
{
	*p->prev = p->next;
	if (p->next)
		p->next->prev = p->prev;
	map_del(b->peers->instances, &p->instance);
	if (map_get(b->peers->routes, p->route) == p)
		map_del(b->peers->routes, p->route);
	count(b, p->role, -1);
}

static void drop_worker(struct broker *b, struct party *p)
{
	struct task *t;

	while ((t = p->tasks) != NULL) {
		task_worker_gone(b, t);
		BUG_ON(p->tasks == t); /* it was taken off this worker */
	}
	probe_worker_gone(b, p);
	intro_worker_gone(b, p);
	task_pump(b);
}

static void drop_gateway(struct broker *b, const struct party *p)
{
	struct task *t;
	size_t pos = 0;

	intro_gateway_gone(b, p);
	while ((t = map_next(b->tasks, &pos)) != NULL) {
		if (t->topic == p->instance)
			task_gateway_gone(b, t);
	}
}

void peers_drop(struct broker *b, struct party *p, const char *why)
{
	forget(b, p);
	log_info("peer_gone", L_S("role", peers_role(p->role)), L_S("name", p->name),
		 L_U("instance", p->instance), L_S("why", why), L_U("tasks", p->n_tasks));
	if (p->role == ROLE_WORKER)
		drop_worker(b, p);
	else
		drop_gateway(b, p);
	party_free(p);
}

void peers_bye(struct broker *b, struct party *p, struct slice msg)
{
	struct bye m;

	if (bye_decode(msg, &m) == ERR_OK && m.instance == p->instance)
		drop_ended(b, p, "left");
}

void peers_recheck(struct broker *b)
{
	struct party *p, *next;

	for (int role = ROLE_GATEWAY; role < ROLE_MAX; role++) {
		unsigned want = role == ROLE_GATEWAY ? ZAUTH_GATEWAY : ZAUTH_WORKER;

		for (p = b->peers->list[role]; p; p = next) {
			next = p->next;
			if (!(zauth_roles(b->zauth, p->key) & want))
				drop_ended(b, p, "its key was revoked");
		}
	}
}

/* --- choosing --- */

/* Better to wait for a worker that has no room just now than to be refused. */
struct party *peers_worker_for(const struct broker *b, uint64_t topic, uint64_t avoid, uint64_t node)
{
	struct party *best[2] = { NULL, NULL }; /* the second is refused, or the next word is another's */
	uint64_t least[2] = { 0, 0 };
	const struct node *n = registry_node(b->registry, node);
	bool taken = false;

	for (struct party *p = b->peers->list[ROLE_WORKER]; p; p = p->next) {
		uint64_t busy;
		bool no;

		if (!party_works(b, p) || !map_get(p->topics, &topic) || !peers_room(b, p, true))
			continue;
		no = refusal_lasts(p, node, broker_ms(b)) || (n && blame_passes_over(b, n, p));
		taken = taken || !no;
		busy = (uint64_t)p->n_tasks + trust_handicap(b, p);
		if (p->n_tasks >= p->capacity || p->instance == avoid || (best[no] && busy >= least[no]))
			continue;
		best[no] = p;
		least[no] = busy;
	}
	return best[taken ? 0 : 1];
}

/* What speaks against p for asking a node, the worst first. */
static unsigned reluctance(const struct broker *b, const struct party *p, uint64_t avoid, uint64_t node)
{
	return (silence_of(b, p) ? 8u : 0u) | (refusal_lasts(p, node, broker_ms(b)) ? 4u : 0u) |
	       (p->instance == avoid ? 2u : 0u) | (p->draining ? 1u : 0u);
}

struct party *peers_to_ask(const struct broker *b, uint64_t avoid, uint64_t node,
			   uint64_t (*busy)(const struct party *p))
{
	struct party *best = NULL;
	unsigned least = 0;

	for (struct party *p = b->peers->list[ROLE_WORKER]; p; p = p->next) {
		unsigned r = reluctance(b, p, avoid, node);

		if (party_lost(p) || busy(p) == NOT_TO_ASK ||
		    (best && (r > least || (r == least && busy(p) >= busy(best)))))
			continue;
		best = p;
		least = r;
	}
	return best;
}

static uint64_t tasks_of(const struct party *p)
{
	return p->n_tasks;
}

struct party *peers_any_worker(const struct broker *b, uint64_t avoid, uint64_t node)
{
	return peers_to_ask(b, avoid, node, tasks_of);
}
