/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking things up in the registry, and what a node's state allows (node.h;
 * keys by PROTOCOL 4.5).
 */
#include "broker/node.h"

#include <stdlib.h>
#include <string.h>

#include "broker/node_priv.h"
#include "common/hash.h"

#define KEY_SKEW_S 300 /* a node's clock may be ahead by this much */

struct registry *registry_new(void)
{
	struct registry *r = mem_new(sizeof(*r));

	r->nodes = map_new(sizeof(uint64_t));
	r->node_keys = map_new(KEY_BYTES);
	r->models = map_new(sizeof(uint64_t));
	r->model_names = map_new(HASH_BYTES);
	return r;
}

static void node_free(struct node *n)
{
	struct sub *s;

	while ((s = n->subs) != NULL) {
		n->subs = s->next_of_node;
		free(s);
	}
	free(n->url);
	free(n->country);
	free(n->version);
	buf_free(&n->evidence);
	free(n);
}

static void model_free(struct model *m)
{
	free(m->subs);
	free(m->name);
	free(m);
}

void registry_free(struct registry *r)
{
	size_t pos;
	void *v;

	if (!r)
		return;
	for (pos = 0; (v = map_next(r->nodes, &pos)) != NULL;)
		node_free(v);
	for (pos = 0; (v = map_next(r->models, &pos)) != NULL;)
		model_free(v);
	map_free(r->nodes);
	map_free(r->node_keys);
	map_free(r->models);
	map_free(r->model_names);
	free(r);
}

struct node *registry_node(const struct registry *r, uint64_t id)
{
	return map_get(r->nodes, &id);
}

struct node *registry_node_by_key(const struct registry *r, const uint8_t sign_key[KEY_BYTES])
{
	return map_get(r->node_keys, sign_key);
}

struct model *registry_model(const struct registry *r, struct slice name)
{
	uint8_t h[HASH_BYTES];

	hash(h, name);
	return map_get(r->model_names, h);
}

struct model *registry_model_by_id(const struct registry *r, uint64_t id)
{
	return map_get(r->models, &id);
}

size_t registry_count(const struct registry *r)
{
	return map_count(r->nodes);
}

struct node *registry_next_node(const struct registry *r, size_t *pos)
{
	return map_next(r->nodes, pos);
}

struct model *registry_next_model(const struct registry *r, size_t *pos)
{
	return map_next(r->models, pos);
}

struct sub *node_sub_ever(const struct node *n, uint64_t model)
{
	struct sub *s = n->subs;

	while (s && s->model->id != model)
		s = s->next_of_node;
	return s;
}

struct sub *node_sub(const struct node *n, uint64_t model)
{
	struct sub *s = node_sub_ever(n, model);

	return s && s->active ? s : NULL;
}

const struct node_key *node_current_key(const struct node *n, int64_t now)
{
	for (unsigned i = n->n_keys; i-- > 0;) {
		const struct node_key *k = &n->keys[i];

		if (k->superseded || k->dropped)
			continue;
		if (k->not_before > now + KEY_SKEW_S || (k->not_after && k->not_after <= now))
			return NULL;
		return k;
	}
	return NULL;
}

const struct node_key *node_find_key(const struct node *n, const uint8_t key[KEY_BYTES])
{
	for (unsigned i = n->n_keys; i-- > 0;) {
		if (memcmp(n->keys[i].key, key, KEY_BYTES) == 0)
			return &n->keys[i];
	}
	return NULL;
}

bool node_key_accepted(const struct node_key *k, int64_t now)
{
	return !k->dropped && (!k->superseded || now < k->superseded + KEY_OVERLAP_S);
}

enum breaker_state node_breaker(const struct node *n, uint64_t now_ms)
{
	if (!n->open_until)
		return BREAKER_CLOSED;
	return now_ms < n->open_until ? BREAKER_OPEN : BREAKER_HALF_OPEN;
}

void node_seen(struct node *n, int64_t now, uint64_t now_ms)
{
	n->row.seen = now;
	n->seen_ms = now_ms;
}

/* Its last registration has run out. */
static bool is_over(const struct node *n, int64_t now, uint64_t now_ms)
{
	if (!n->row.validity_s)
		return false;
	if (n->seen_ms)
		return now_ms - n->seen_ms > n->row.validity_s * UINT64_C(1000);
	return now > n->row.seen + (int64_t)n->row.validity_s;
}

bool node_ready(const struct node *n, int64_t now, uint64_t now_ms)
{
	if (n->row.state != NODE_ACTIVE || !n->url[0])
		return false;
	if (n->open_until && (now_ms < n->open_until || now_ms < n->trial_from))
		return false;
	if (is_over(n, now, now_ms))
		return false;
	return node_current_key(n, now) != NULL;
}

/* Failures of what was under way when it opened change nothing: they would keep it
 * open for ever. */
void node_note(struct node *n, bool ok, const struct breaker *br, uint64_t now_ms)
{
	if (ok) {
		if (n->open_until)
			node_wake(n);
		n->failures = 0;
		n->open_until = n->trial_from = 0;
		return;
	}
	if (n->failures < br->failures)
		n->failures++;
	if (n->failures < br->failures || node_breaker(n, now_ms) == BREAKER_OPEN)
		return;
	n->open_until = now_ms + br->open_ms;
	n->trial_from = br->probed ? UINT64_MAX : 0;
}

void node_half_open(struct node *n, const struct breaker *br, uint64_t now_ms)
{
	if (node_breaker(n, now_ms) != BREAKER_OPEN)
		return;
	n->open_until = now_ms;
	n->trial_from = br->probed ? UINT64_MAX : 0;
}

void node_try(struct node *n, const struct breaker *br, uint64_t now_ms)
{
	if (n->open_until)
		n->trial_from = now_ms + br->open_ms;
}
