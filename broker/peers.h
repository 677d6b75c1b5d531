/* SPDX-License-Identifier: Apache-2.0
 *
 * Gateways and workers on the bus: who is there, introduced to whom, alive or
 * silent (proto/hello.h, proto/peer.h).
 */
#ifndef SEALWAY_BROKER_PEERS_H
#define SEALWAY_BROKER_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/alarm.h"
#include "common/map.h"
#include "common/mem.h"
#include "proto/hello.h"

#define ROUTE_BYTES 5 /* of the routing ids that ZeroMQ makes itself; others are refused */

struct broker;
struct task;

struct party {
	uint8_t route[ROUTE_BYTES];
	enum role role;
	uint64_t instance; /* of a gateway also its topic */
	uint64_t member;   /* the how manieth that was taken in */
	bool has_key;
	uint8_t key[KEY_BYTES]; /* the CURVE key it proved to hold */
	struct zcount *unread;  /* what waits for peers of that key; NULL without */
	char *name, *version, *endpoint;
	bool has_server_key;
	uint8_t server_key[KEY_BYTES]; /* worker: of its endpoint */
	uint32_t capacity, load;
	bool draining;
	bool ended;   /* it will not come back; dropped once its last words have been read */
	bool foreign; /* it does not understand our WELCOME, and gets nothing to do */
	uint64_t heard_ms;
	uint64_t hello_ms;   /* its first HELLO since it said PING or came on this connection; 0: none */
	uint64_t probe_turn; /* worker: when it was asked to probe last (broker's probe_turns) */
	struct map *topics;  /* worker: instances of gateways that it hears */
	struct task *tasks;  /* worker: in hand, by next_of_worker */
	uint32_t n_tasks;
	unsigned failures;        /* worker: of its requests, in a row (trust.h) */
	uint64_t failed_ms;       /* the last one */
	struct refusal *refusals; /* worker: by nodes (refusal.c's) */
	unsigned n_refusals;
	struct party *next, **prev; /* all of one role */
};

struct peers {
	struct map *routes;    /* route -> peer */
	struct map *instances; /* instance -> peer */
	struct greetings *greetings;
	struct party *list[ROLE_MAX];
	unsigned n;
	uint64_t members;  /* taken in so far */
	uint64_t heard_ms; /* when anybody was heard last */
	uint64_t back_ms;  /* when somebody was heard again after nobody was */
	uint64_t since_ms; /* of those that were not, silence before this says nothing */
	bool deaf;         /* nobody has been heard for long, which was said */
	struct alarm sweep;
};

/* Nobody; silence_start is what looks after them. */
struct peers *peers_new(void);

/* Frees peers without telling anybody; NULL is fine. */
void peers_free(struct peers *p);

/* The peer behind a routing id, NULL for strangers. */
struct party *peers_by_route(const struct broker *b, struct slice route);

/* By instance and role; NULL. */
struct party *peers_by_instance(const struct broker *b, uint64_t instance, enum role role);

/* Whether nothing can be given to p: it will not come back, or would not understand it. */
static inline bool party_lost(const struct party *p)
{
	return p->ended || p->foreign;
}

/* Whether there is room for something more to wait for p to read it; work: for a request. */
bool peers_room(const struct broker *b, const struct party *p, bool work);

/* The name of a role in logs (static). */
const char *peers_role(enum role role);

/* HELLO: a new peer, or a known one on a new connection.  key: the CURVE key
 * behind the message, or NULL. */
void peers_hello(struct broker *b, struct slice route, const uint8_t *key, struct slice msg);

/* PING, BYE, PEER_OK and HEARD from a known peer. */
void peers_ping(struct broker *b, struct party *p, struct slice msg);
void peers_bye(struct broker *b, struct party *p, struct slice msg);
void peers_ok(struct broker *b, struct party *p, struct slice msg);
void peers_heard(struct broker *b, struct party *p, struct slice msg);

/* Forgets a peer: tells those it was introduced to, ends or moves its work. */
void peers_drop(struct broker *b, struct party *p, const char *why);

/* Drops peers whose key the allow-list no longer has in their role. */
void peers_recheck(struct broker *b);

/* A worker that hears topic, has room and is not avoid (instance, 0: none), the
 * least loaded one (trust.h adds to what it has); NULL.  One that the node refuses, or that alone has seen it
 * fail (blame.h), only when all that hear topic are such. */
struct party *peers_worker_for(const struct broker *b, uint64_t topic, uint64_t avoid, uint64_t node);

#define NOT_TO_ASK UINT64_MAX

/* The least busy worker that may ask the node something, or NULL.  One that leaves only if there is no other;
 * avoid (instance, 0: none), one that the node refuses and one that is silent, each only if there is not even
 * that.  busy says how much one has had, or NOT_TO_ASK. */
struct party *peers_to_ask(const struct broker *b, uint64_t avoid, uint64_t node,
			   uint64_t (*busy)(const struct party *p));

/* The same, for fetching a receipt. */
struct party *peers_any_worker(const struct broker *b, uint64_t avoid, uint64_t node);

#endif
