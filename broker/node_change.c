/* SPDX-License-Identifier: Apache-2.0
 *
 * Changing the registry, with an op for each change (node.h).
 */
#include <stdlib.h>
#include <string.h>

#include "broker/node_priv.h"
#include "common/hash.h"
#include "proto/limits.h"

void node_set_text(char **at, struct slice text)
{
	char *old = *at;

	*at = mem_strndup(text.p, text.n);
	free(old);
}

static struct model *put_model(struct registry *r, uint64_t id, struct slice name)
{
	struct model *m = mem_new(sizeof(*m));

	m->id = id;
	m->name = mem_strndup(name.p, name.n);
	hash(m->hash, name);
	map_put(r->models, &m->id, m);
	map_put(r->model_names, m->hash, m);
	return m;
}

struct model *registry_model_add(struct registry *r, struct slice name, struct store_op **op)
{
	struct model *m = registry_model(r, name);
	uint64_t id;

	*op = NULL;
	if (m)
		return m;
	for (id = map_count(r->models) + 1; registry_model_by_id(r, id); id++)
		;
	m = put_model(r, id, name);
	*op = store_op_new(OP_MODEL);
	(*op)->u.model.id = id;
	(*op)->text[0] = mem_strndup(name.p, name.n);
	return m;
}

enum err registry_node_add(struct registry *r, const struct row_node *row, struct slice url,
			   struct slice country, struct slice version, struct node **out)
{
	struct node *n;

	if (row->id == 0 || row->id > ID_MAX)
		return ERR_RANGE;
	if (registry_node(r, row->id) || registry_node_by_key(r, row->sign_key))
		return ERR_EXISTS;
	n = mem_new(sizeof(*n));
	n->row = *row;
	node_set_text(&n->url, url);
	node_set_text(&n->country, country);
	node_set_text(&n->version, version);
	map_put(r->nodes, &n->row.id, n);
	map_put(r->node_keys, n->row.sign_key, n);
	*out = n;
	return ERR_OK;
}

uint64_t registry_free_id(const struct registry *r)
{
	uint64_t id = 1;

	while (registry_node(r, id))
		id++;
	return id;
}

struct store_op *node_op(const struct node *n)
{
	struct store_op *op = store_op_new(OP_NODE);

	op->u.node = n->row;
	op->text[0] = mem_strndup(n->url, strlen(n->url));
	op->text[1] = mem_strndup(n->country, strlen(n->country));
	op->text[2] = mem_strndup(n->version, strlen(n->version));
	return op;
}

static struct store_op *key_op(const struct node *n, const struct node_key *k)
{
	struct store_op *op = store_op_new(OP_NODE_KEY);
	struct row_node_key *r = &op->u.key;

	*r = (struct row_node_key){ .node = n->row.id,
				    .counter = k->counter,
				    .not_before = k->not_before,
				    .not_after = k->not_after,
				    .added = k->added,
				    .superseded = k->superseded,
				    .dropped = k->dropped };
	memcpy(r->key, k->key, KEY_BYTES);
	if (k->has_statement) {
		buf_add(&op->blob, k->statement, STATEMENT_BYTES);
		op->text[0] = mem_strndup(k->signature, strlen(k->signature));
	}
	return op;
}

/* Room behind the newest key; the oldest goes when all places are taken. */
static struct node_key *next_place(struct node *n)
{
	if (n->n_keys == NODE_KEYS) {
		memmove(&n->keys[0], &n->keys[1], (NODE_KEYS - 1) * sizeof(n->keys[0]));
		n->n_keys--;
	}
	return &n->keys[n->n_keys++];
}

/* The same, or that of same, which is no longer among the older ones then. */
static struct node_key *newest_place(struct node *n, struct node_key *same)
{
	if (!same)
		return next_place(n);
	memmove(same, same + 1, (size_t)(&n->keys[--n->n_keys] - same) * sizeof(*same));
	return &n->keys[n->n_keys++];
}

static struct node_key *find(struct node *n, const uint8_t key[KEY_BYTES])
{
	const struct node_key *k = node_find_key(n, key);

	return k ? &n->keys[k - n->keys] : NULL;
}

/* The one that is neither superseded nor dropped, whatever its dates. */
static struct node_key *standing(struct node *n)
{
	for (unsigned i = n->n_keys; i-- > 0;) {
		if (!n->keys[i].superseded && !n->keys[i].dropped)
			return &n->keys[i];
	}
	return NULL;
}

void node_set_key(struct node *n, const struct node_key *k, int64_t now, struct store_op *ops[2])
{
	struct node_key *same = find(n, k->key), *old = standing(n), *at;

	ops[1] = NULL;
	if (old && old != same) {
		old->superseded = now;
		ops[1] = key_op(n, old);
	}
	at = newest_place(n, same);
	*at = *k;
	at->added = now;
	at->superseded = 0;
	at->dropped = false;
	node_wake(n);
	ops[0] = key_op(n, at);
}

struct store_op *node_drop_key(struct node *n, const uint8_t key[KEY_BYTES])
{
	struct node_key *k = find(n, key);

	if (!k || k->dropped)
		return NULL;
	k->dropped = true;
	return key_op(n, k);
}

static struct sub *sub_place(struct node *n, struct model *m)
{
	struct sub *s;

	for (s = n->subs; s; s = s->next_of_node) {
		if (s->model == m)
			return s;
	}
	s = mem_new(sizeof(*s));
	s->node = n;
	s->model = m;
	s->next_of_node = n->subs;
	n->subs = s;
	return s;
}

struct store_op *node_set_sub(struct node *n, struct model *m, const struct row_sub *row)
{
	struct sub *s = sub_place(n, m);
	struct store_op *op;

	if (s->active == row->active && s->price == row->price && s->max_concurrent == row->max_concurrent &&
	    s->max_units == row->max_units && s->lock_units == row->lock_units)
		return NULL;
	index_remove(m, s);
	s->price = row->price;
	s->max_concurrent = row->max_concurrent;
	s->max_units = row->max_units;
	s->lock_units = row->lock_units;
	s->active = row->active;
	if (s->active)
		index_insert(m, s);
	op = store_op_new(OP_SUB);
	op->u.sub = *row;
	op->u.sub.node = n->row.id;
	op->u.sub.model = m->id;
	return op;
}

struct store_op *node_set_evidence(struct node *n, struct slice bytes, const uint8_t hash_of[KEY_BYTES],
				   int64_t now)
{
	struct store_op *op = store_op_new(OP_EVIDENCE);

	buf_free(&n->evidence);
	buf_add(&n->evidence, bytes.p, bytes.n);
	memcpy(n->evidence_hash, hash_of, KEY_BYTES);
	n->evidence_at = now;
	op->u.evidence.node = n->row.id;
	op->u.evidence.at = now;
	memcpy(op->u.evidence.hash, hash_of, KEY_BYTES);
	buf_add(&op->blob, bytes.p, bytes.n);
	return op;
}

/* --- replaying --- */

static enum err apply_node(struct registry *r, const struct store_op *op)
{
	struct node *n;

	if (!op->text[0] || !op->text[1] || !op->text[2])
		return ERR_FORMAT;
	return registry_node_add(r, &op->u.node, slice_str(op->text[0]), slice_str(op->text[1]),
				 slice_str(op->text[2]), &n) == ERR_OK
		       ? ERR_OK
		       : ERR_FORMAT;
}

static enum err apply_key(struct registry *r, const struct store_op *op)
{
	const struct row_node_key *row = &op->u.key;
	struct node *n = registry_node(r, row->node);
	struct node_key *k;

	if (!n ||
	    (op->blob.n && (op->blob.n != STATEMENT_BYTES || !op->text[0] || strlen(op->text[0]) > 132)))
		return ERR_FORMAT;
	k = next_place(n);
	*k = (struct node_key){ .counter = row->counter,
				.not_before = row->not_before,
				.not_after = row->not_after,
				.added = row->added,
				.superseded = row->superseded,
				.dropped = row->dropped,
				.has_statement = op->blob.n != 0 };
	memcpy(k->key, row->key, KEY_BYTES);
	if (k->has_statement) {
		memcpy(k->statement, op->blob.p, STATEMENT_BYTES);
		strcpy(k->signature, op->text[0]);
	}
	return ERR_OK;
}

static enum err apply_evidence(struct registry *r, const struct store_op *op)
{
	struct node *n = registry_node(r, op->u.evidence.node);

	if (!n)
		return ERR_FORMAT;
	store_op_free(node_set_evidence(n, buf_slice(&op->blob), op->u.evidence.hash, op->u.evidence.at));
	return ERR_OK;
}

static enum err apply_sub(struct registry *r, const struct store_op *op)
{
	struct node *n = registry_node(r, op->u.sub.node);
	struct model *m = registry_model_by_id(r, op->u.sub.model);

	if (!n || !m)
		return ERR_FORMAT;
	store_op_free(node_set_sub(n, m, &op->u.sub));
	return ERR_OK;
}

enum err registry_apply(struct registry *r, const struct store_op *op)
{
	switch (op->kind) {
	case OP_MODEL:
		if (!op->text[0] || registry_model_by_id(r, op->u.model.id))
			return ERR_FORMAT;
		(void)put_model(r, op->u.model.id, slice_str(op->text[0]));
		return ERR_OK;
	case OP_NODE:
		return apply_node(r, op);
	case OP_NODE_KEY:
		return apply_key(r, op);
	case OP_EVIDENCE:
		return apply_evidence(r, op);
	case OP_SUB:
		return apply_sub(r, op);
	default:
		return ERR_OK; /* the ledger's */
	}
}
