/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry in memory: nodes, their keys, models, and what each node asks for
 * each model.  Pure: no clock, no loop, no database.  Verbs that change
 * something hand back the op for the store.
 */
#ifndef SEALWAY_BROKER_NODE_H
#define SEALWAY_BROKER_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/alarm.h"
#include "broker/store.h"
#include "common/err.h"
#include "common/mem.h"
#include "proto/receipt.h"

/* When the breaker of a node opens, and for how long nothing new goes there then.
 * After that it is half-open: one trial decides. */
struct breaker {
	uint64_t failures; /* in a row */
	uint64_t open_ms;
	bool probed; /* the trial is a probe's; else the next request's */
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct registry;

struct model {
	uint64_t id;
	char *name;
	uint8_t hash[KEY_BYTES]; /* H(name), as in receipts */
	struct sub **subs;       /* active ones that are not aside, cheapest first */
	unsigned n, cap;
};

/* A node's offer of a model. */
struct sub {
	struct node *node;
	struct model *model;
	uint64_t price;          /* micro-USD per million units */
	uint32_t max_concurrent; /* 0 = no limit */
	uint64_t max_units;      /* per request; 0 = no limit */
	uint64_t lock_units;     /* 0 = not declared */
	bool active;
	bool aside;            /* not in the index: its node was met unready (model_sweep) */
	uint32_t running;      /* requests in hand */
	uint32_t locks;        /* given and not consumed */
	uint64_t shared_until; /* loop ms: until then nobody may have nearly all places (place.h) */
	struct sub *next_of_node;
};

struct node_key {
	uint8_t key[KEY_BYTES];
	uint64_t counter;
	int64_t not_before, not_after; /* not_after 0 = open */
	int64_t added, superseded;     /* superseded 0 = current */
	bool dropped;
	bool has_statement;
	uint8_t statement[STATEMENT_BYTES];
	char signature[133]; /* base64 and NUL, "" without statement */
};

/* What the probes of a node have brought (probe.c's). */
struct node_probe {
	struct alarm alarm;     /* the next one, or the deadline of the one under way */
	uint8_t rid[RID_BYTES]; /* of the one under way */
	uint64_t worker;        /* instance that was asked; 0 = none is under way */
	uint64_t avoid;         /* instance that brought nothing good last time */
	uint64_t asked_ms;      /* loop; 0 = never */
	int64_t at;             /* Unix seconds of the last outcome; 0 = none */
	bool reached;           /* what it was */
	uint32_t latency_us;
	unsigned failed; /* in a row */
};

/* blame.c's, of failures that are more than none. */
struct blame {
	uint8_t who[KEY_BYTES];
	bool several;
	unsigned held; /* failures that were not counted */
};

struct node {
	struct row_node row;
	char *url, *country, *version;
	struct node_key keys[NODE_KEYS];
	unsigned n_keys;
	struct sub *subs; /* by next_of_node */
	struct buf evidence;
	uint8_t evidence_hash[KEY_BYTES];
	int64_t evidence_at;
	unsigned failures;   /* in a row, of requests and probes */
	struct blame blame;  /* whose */
	uint64_t open_until; /* breaker, loop ms; 0 = closed */
	uint64_t trial_from; /* half-open: no request before this, loop ms; UINT64_MAX = none at all */
	uint64_t seen_ms;    /* row.seen, loop ms: clocks are set; 0 = before our own start */
	uint64_t back_ms;    /* start of its life, loop ms: what was given to it before says nothing of it */
	struct node_probe probe;
	bool registering; /* a registration of it is being checked or committed */
};

/* An empty registry. */
struct registry *registry_new(void);

/* Frees everything in it; NULL is fine. */
void registry_free(struct registry *r);

/* --- looking up; NULL when there is none --- */

struct node *registry_node(const struct registry *r, uint64_t id);
struct node *registry_node_by_key(const struct registry *r, const uint8_t sign_key[KEY_BYTES]);
struct model *registry_model(const struct registry *r, struct slice name);
struct model *registry_model_by_id(const struct registry *r, uint64_t id);
struct sub *node_sub(const struct node *n, uint64_t model);
/* The same, of offers that were withdrawn, too: for what was given before. */
struct sub *node_sub_ever(const struct node *n, uint64_t model);

/* Walks all (map_next's rules). */
struct node *registry_next_node(const struct registry *r, size_t *pos);
struct model *registry_next_model(const struct registry *r, size_t *pos);

/* The key that locks are given for, NULL when there is none valid at now. */
const struct node_key *node_current_key(const struct node *n, int64_t now);

/* A key that the node has or had, NULL for a stranger's. */
const struct node_key *node_find_key(const struct node *n, const uint8_t key[KEY_BYTES]);

/* Whether requests under a lock given for k are still sent. */
bool node_key_accepted(const struct node_key *k, int64_t now);

/* Its breaker. */
enum breaker_state node_breaker(const struct node *n, uint64_t now_ms);

/* Whether new work may be chosen for it: active, heard of within its validity,
 * with a current key, breaker closed, or half-open with its one trial to give
 * (node_try). */
bool node_ready(const struct node *n, int64_t now, uint64_t now_ms);

/* It registered, or somebody vouched for it. */
void node_seen(struct node *n, int64_t now, uint64_t now_ms);

/* --- the index --- */

/* What readiness depends on besides the node. */
struct node_view {
	int64_t now;
	uint64_t now_ms;
	bool originals; /* nodes of the original network may be used */
};

/* Sets aside what is unready until the first `want` offers of the index are ready, or
 * wait for a request as a trial.  What node_wake has not brought back is not met again. */
void model_sweep(struct model *m, const struct node_view *v, unsigned want);

/* Something happened to the node that may have made it ready: its offers are back in
 * the index. */
void node_wake(struct node *n);

/* --- changing --- */

/* Notes how an exchange with the node went; opens and closes the breaker (br may be
 * NULL when ok). */
void node_note(struct node *n, bool ok, const struct breaker *br, uint64_t now_ms);

/* An open breaker half-opens now. */
void node_half_open(struct node *n, const struct breaker *br, uint64_t now_ms);

/* New work was chosen for it: of a half-open breaker that was the trial; if nothing
 * comes of it there is another after open_ms. */
void node_try(struct node *n, const struct breaker *br, uint64_t now_ms);

/* The model of that name, made (with an op) when there is none; *op NULL else. */
struct model *registry_model_add(struct registry *r, struct slice name, struct store_op **op);

/* A new node.  ERR_EXISTS when id or key is taken, ERR_RANGE for id 0 or over ID_MAX.
 * Texts may be empty.  Its op comes from node_op. */
enum err registry_node_add(struct registry *r, const struct row_node *row, struct slice url,
			   struct slice country, struct slice version, struct node **out) MUST_USE;

/* How many nodes there are, removed ones included. */
size_t registry_count(const struct registry *r);

/* The smallest id that no node has. */
uint64_t registry_free_id(const struct registry *r);

/* Replaces a text of the node (owned copy). */
void node_set_text(char **at, struct slice text);

/* An op with the node's row as it is now. */
struct store_op *node_op(const struct node *n) MUST_USE;

/* Makes k the node's current key; the one before is superseded at now.  Fills
 * ops[0] (new) and ops[1] (old one, or NULL).  A known key is updated in place. */
void node_set_key(struct node *n, const struct node_key *k, int64_t now, struct store_op *ops[2]);

/* The node said that it lacks key: nothing is given for it any more.  NULL when
 * it was unknown or dropped before. */
struct store_op *node_drop_key(struct node *n, const uint8_t key[KEY_BYTES]) MUST_USE;

/* Sets an offer; NULL when it is just as it was. */
struct store_op *node_set_sub(struct node *n, struct model *m, const struct row_sub *row) MUST_USE;

/* Replaces the evidence. */
struct store_op *node_set_evidence(struct node *n, struct slice bytes, const uint8_t hash[KEY_BYTES],
				   int64_t now) MUST_USE;

/* Replays an op of store_load; ERR_FORMAT when it does not fit. */
enum err registry_apply(struct registry *r, const struct store_op *op) MUST_USE;

#endif
