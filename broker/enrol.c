/* SPDX-License-Identifier: Apache-2.0
 *
 * Full registrations (enrol.h; PROTOCOL sections 4.5, 4.9 and 8).  The counter
 * of the registration and that of the key only grow; a key that another one
 * followed does not come back.
 */
#include "broker/enrol.h"

#include <string.h>

#include "broker/probe.h"
#include "common/hash.h"
#include "common/log.h"

#define SKEW_S 300
#define VALIDITY_MAX_S (30 * 86400)
#define OFFERS_MAX 1024 /* models that a node has ever offered */

/* X25519 keys as they travel: canonical, and not the all-zero point. */
static bool key_usable(const uint8_t key[KEY_BYTES])
{
	uint8_t any = 0;

	for (int i = 0; i < KEY_BYTES; i++)
		any |= key[i];
	return any && !(key[KEY_BYTES - 1] & 0x80);
}

static bool statement_ok(const struct registration *r, const struct node *n, int64_t now)
{
	const struct node_key *known;
	struct statement st;

	if (statement_decode(r->statement, &st) != ERR_OK || st.node != r->node || !key_usable(st.node_key))
		return false;
	if (st.not_before > (uint64_t)now + SKEW_S || st.not_after <= (uint64_t)now)
		return false;
	known = n ? node_find_key(n, st.node_key) : NULL;
	if (known)
		return !known->superseded && st.counter >= known->counter;
	for (unsigned i = 0; n && i < n->n_keys; i++) {
		if (st.counter <= n->keys[i].counter)
			return false;
	}
	return true;
}

static bool models_ok(const struct registration *r)
{
	for (unsigned i = 0; i < r->n_models; i++) {
		if (!msg_text_ok(r->models[i].name))
			return false;
		for (unsigned k = 0; k < i; k++) {
			if (slice_eq(r->models[i].name, r->models[k].name))
				return false;
		}
	}
	return true;
}

/* Offers that a node has made are remembered, withdrawn ones too: not without end. */
static bool offers_ok(const struct broker *b, const struct node *n, const struct registration *r)
{
	unsigned known = 0, fresh = 0;

	for (const struct sub *s = n ? n->subs : NULL; s; s = s->next_of_node)
		known++;
	for (unsigned i = 0; n && i < r->n_models; i++) {
		const struct model *m = registry_model(b->registry, r->models[i].name);

		fresh += !m || !node_sub_ever(n, m->id);
	}
	return known + fresh <= OFFERS_MAX;
}

enum err enrol_check(const struct broker *b, const struct registration_msg *m, struct registration *r,
		     const struct node *n, const char **param)
{
	uint8_t digest[HASH_BYTES];
	size_t bare;

	*param = "registration";
	if (registration_decode(m->registration, r) != ERR_OK || r->node == 0 || r->node != m->node ||
	    !slice_eq(r->address, m->address) || r->validity_s == 0 || r->validity_s > VALIDITY_MAX_S ||
	    !msg_text_ok(r->version) || !models_ok(r) || !offers_ok(b, n, r) ||
	    !statement_ok(r, n, broker_now()))
		return ERR_BODY;
	if (n && r->counter <= n->row.counter)
		return ERR_BODY; /* a replay */
	*param = "country";
	if (!msg_text_ok(m->country))
		return ERR_BODY;
	*param = "public_address";
	if (url_check(m->address, b->networks, &bare) != ERR_OK)
		return ERR_BODY;
	*param = "evidence";
	hash(digest, m->evidence);
	if (memcmp(digest, r->evidence_hash, HASH_BYTES) != 0)
		return ERR_BODY;
	*param = NULL;
	return ERR_OK;
}

static enum err newcomer(struct broker *b, const struct registration_msg *m, const struct registration *r,
			 const uint8_t sign_key[KEY_BYTES], struct node **n, const char **param)
{
	struct row_node row = { .id = r->node, .state = NODE_ACTIVE, .admitted = broker_now() };

	memcpy(row.sign_key, sign_key, KEY_BYTES);
	*param = "node_small_id";
	if (registry_node_add(b->registry, &row, m->address, m->country, r->version, n) != ERR_OK)
		return ERR_BODY;
	log_info("node_admitted", L_U("node", r->node), L_S("by", "open registration"));
	return ERR_OK;
}

static void set_key(struct broker *b, struct node *n, const struct registration *r, int64_t now)
{
	const struct node_key *before = node_current_key(n, now);
	struct node_key k = { .has_statement = true };
	struct store_op *ops[2];
	struct statement st;

	if (statement_decode(r->statement, &st) != ERR_OK || r->statement_signature.n >= sizeof(k.signature))
		return; /* enrol_check and the signature's check have seen both */
	if (before && before->has_statement &&
	    memcmp(before->statement, r->statement.p, STATEMENT_BYTES) == 0)
		return;
	memcpy(k.key, st.node_key, KEY_BYTES);
	k.counter = st.counter;
	k.not_before = (int64_t)st.not_before;
	k.not_after = (int64_t)st.not_after;
	memcpy(k.statement, r->statement.p, STATEMENT_BYTES);
	memcpy(k.signature, r->statement_signature.p, r->statement_signature.n);
	if (!before || memcmp(before->key, k.key, KEY_BYTES) != 0)
		log_info("node_key", L_U("node", n->row.id), L_U("counter", k.counter));
	node_set_key(n, &k, now, ops);
	broker_keep(b, ops[1]);
	broker_keep(b, ops[0]);
}

/* Nodes keep no X25519 key over a restart. */
static bool new_life(const struct node *n, const struct registration *r)
{
	struct statement st;

	return statement_decode(r->statement, &st) == ERR_OK && !node_find_key(n, st.node_key);
}

/* The offers of r, and an end to those it no longer makes. */
static void set_models(struct broker *b, struct node *n, const struct registration *r)
{
	for (unsigned i = 0; i < r->n_models; i++) {
		const struct registration_model *rm = &r->models[i];
		struct row_sub row = { .price = rm->price,
				       .max_concurrent = rm->max_concurrent,
				       .max_units = rm->max_units,
				       .lock_units = rm->lock_units,
				       .active = true };
		struct store_op *op;
		struct model *m = registry_model_add(b->registry, rm->name, &op);

		broker_keep(b, op);
		broker_keep(b, node_set_sub(n, m, &row));
	}
	for (struct sub *s = n->subs; s; s = s->next_of_node) {
		struct row_sub row = { .price = s->price,
				       .max_concurrent = s->max_concurrent,
				       .max_units = s->max_units,
				       .lock_units = s->lock_units };
		bool offered = false;

		for (unsigned i = 0; i < r->n_models && !offered; i++)
			offered = slice_is(r->models[i].name, s->model->name);
		if (!offered)
			broker_keep(b, node_set_sub(n, s->model, &row));
	}
}

enum err enrol_apply(struct broker *b, const struct registration_msg *m, const struct registration *r,
		     const uint8_t sign_key[KEY_BYTES], struct node *n, struct store_op **op,
		     const char **param)
{
	int64_t now = broker_now();
	size_t bare = m->address.n;
	enum err e = n ? ERR_OK : newcomer(b, m, r, sign_key, &n, param);

	if (e != ERR_OK || url_check(m->address, b->networks, &bare) != ERR_OK)
		return ERR_BODY;
	node_set_text(&n->url, slice_of(m->address.p, bare));
	node_set_text(&n->country, m->country);
	node_set_text(&n->version, r->version);
	n->row.counter = r->counter;
	n->row.validity_s = r->validity_s;
	node_seen(n, now, broker_ms(b));
	probe_here(b, n, new_life(n, r)); /* that it speaks does not say that it can be reached */
	broker_keep(b, node_op(n));       /* the row that the others refer to */
	set_key(b, n, r, now);
	set_models(b, n, r);
	if (m->evidence.n ? memcmp(n->evidence_hash, r->evidence_hash, KEY_BYTES) != 0 : n->evidence.n != 0)
		*op = node_set_evidence(n, m->evidence, r->evidence_hash, now);
	else
		*op = node_op(n);
	return ERR_OK;
}
