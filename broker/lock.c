/* SPDX-License-Identifier: Apache-2.0
 *
 * Locks (lock.h).  Everything is decided in one turn, so that a second lock of
 * the same user sees the stack that the first is buying, whatever the disk does.
 */
#include "broker/lock.h"

#include <stdlib.h>
#include <string.h>

#include "broker/choose.h"
#include "broker/meter.h"
#include "broker/metrics.h"
#include "broker/router.h"
#include "common/b64.h"
#include "common/hash.h"
#include "common/log.h"
#include "proto/lock.h"

/* An answer that waits for its commit. */
struct waiting {
	struct waiting *next, **prev; /* among b->lock_answers */
	bool refused;
	struct broker *broker;
	uint64_t gateway;
	uint64_t node, stack;
	uint8_t rid[RID_BYTES], node_key[KEY_BYTES];
	char digest[65]; /* of the purchase, or "" */
	struct quota quota;
};

static void on_expired(void *arg, struct alarm *a)
{
	struct lock *k = (struct lock *)((char *)a - offsetof(struct lock, alarm));
	struct broker *b = arg;
	struct node *n = registry_node(b->registry, k->stack->node);
	struct sub *s = n ? node_sub_ever(n, k->stack->model) : NULL;

	if (s && s->locks)
		s->locks--;
	log_debug("lock_ended", L_U("lock", k->id), L_U("units", k->units));
	broker_keep(b, ledger_lock_end(b->ledger, k));
}

void lock_watch(struct broker *b, struct lock *k)
{
	int64_t left = k->expires_ms - clock_unix_ms();
	struct node *n = registry_node(b->registry, k->stack->node);
	struct sub *s = n ? node_sub_ever(n, k->stack->model) : NULL;

	/* a clock set back meanwhile must not keep units for longer than any lock may last */
	if (left > LOCK_SECONDS_MAX * 1000)
		left = LOCK_SECONDS_MAX * 1000;
	if (s)
		s->locks++;
	alarm_set(b->alarms, &k->alarm, broker_ms(b) + (left > 0 ? (uint64_t)left : 0), on_expired);
}

void lock_drop_key(struct broker *b, uint64_t node, const uint8_t key[KEY_BYTES])
{
	struct lock *k;
	size_t pos = 0;

	while ((k = ledger_next_lock(b->ledger, &pos)) != NULL) {
		if (k->stack->node != node || memcmp(k->node_key, key, KEY_BYTES) != 0)
			continue;
		alarm_off(b->alarms, &k->alarm);
		on_expired(b, &k->alarm);
	}
}

/* --- answering --- */

/* H over what the ledger says about the purchase. */
static void entry_digest(const struct stack *st, char out[65])
{
	uint8_t entry[8 * 8], h[HASH_BYTES];
	const uint64_t fields[8] = { st->id,     st->user->id, st->node, st->model,
				     st->bought, st->price,    st->paid, (uint64_t)st->created };

	for (int i = 0; i < 8; i++)
		put_be64(entry + 8 * i, fields[i]);
	hash_label(h, "sealway-stack-entry-v1", slice_of(entry, sizeof(entry)));
	hex_put(out, h, sizeof(h));
}

/* Not from the lock: another request of the user may have used it up while the disk wrote, and its own
 * lock, if it had one, serves this client as well. */
static enum err fill(const struct broker *b, const struct waiting *w, struct locked *out)
{
	const struct node *n = registry_node(b->registry, w->node);
	const struct node_key *key = n ? node_find_key(n, w->node_key) : NULL;

	if (!key)
		return ERR_NO_NODE;
	memcpy(out->rid, w->rid, RID_BYTES);
	out->node = n->row.id;
	out->stack = w->stack;
	memcpy(out->node_key, w->node_key, KEY_BYTES);
	out->sign_key = slice_of(n->row.sign_key, KEY_BYTES);
	if (key->has_statement) {
		out->statement = slice_of(key->statement, STATEMENT_BYTES);
		out->signature = slice_str(key->signature);
	}
	out->digest = slice_str(w->digest);
	out->quota = w->quota;
	return ERR_OK;
}

static void on_committed(void *arg, enum err result)
{
	struct waiting *w = arg;
	struct broker *b = w->broker;
	const struct party *p = peers_by_instance(b, w->gateway, ROLE_GATEWAY);
	struct locked m = { 0 };
	struct buf msg = { 0 };

	(void)result;
	*w->prev = w->next;
	if (w->next)
		w->next->prev = w->prev;
	if (!p || w->refused) {
		; /* nobody to tell: the lock ends by the clock */
	} else if (fill(b, w, &m) != ERR_OK) {
		router_refuse(b, w->gateway, w->rid, ERR_UNAVAILABLE, NULL, 1);
	} else {
		locked_encode(&m, &msg);
		router_send(b, p, &msg);
	}
	free(w);
}

void lock_refuse_waiting(struct broker *b)
{
	for (struct waiting *w = b->lock_answers; w; w = w->next) {
		if (!w->refused)
			router_refuse(b, w->gateway, w->rid, ERR_UNAVAILABLE, NULL, 1);
		w->refused = true;
	}
}

static void wait_add(struct broker *b, struct waiting *w)
{
	w->broker = b;
	w->next = b->lock_answers;
	w->prev = &b->lock_answers;
	if (w->next)
		w->next->prev = &w->next;
	b->lock_answers = w;
}

static void give(struct broker *b, const struct party *from, const struct lock_ask *m, struct choice *c,
		 const struct quota *quota)
{
	const struct node_key *key = node_current_key(c->sub->node, c->now);
	int64_t now = clock_unix_ms();
	struct waiting *w = mem_new(sizeof(*w));
	struct store_op *op;
	struct lock *k;

	/* choose_node and choose_stack have made sure of both in this turn */
	BUG_ON(!key || ledger_lock(b->ledger, c->stack, key->key, c->units, now,
				   now + (int64_t)m->timeout_s * 1000, &k, &op) != ERR_OK);
	lock_watch(b, k);
	wait_add(b, w);
	w->gateway = from->instance;
	w->node = c->stack->node;
	w->stack = c->stack->id;
	memcpy(w->node_key, key->key, KEY_BYTES);
	memcpy(w->rid, m->rid, RID_BYTES);
	w->quota = *quota;
	if (c->buy) {
		entry_digest(c->stack, w->digest);
		store_submit(b->store, c->buy);
		op->durable = true; /* the answer promises the stack as well */
	}
	stat_inc(&metrics.locks, 1);
	log_debug("locked", L_RID(m->rid), L_U("node", c->sub->node->row.id), L_U("stack", c->stack->id),
		  L_U("units", c->units));
	op->lost = free;
	broker_commit(b, op, on_committed, w);
}

/* no gets what is told beside the error. */
static enum err check(struct broker *b, const struct lock_ask *m, struct choice *c, struct refuse *no)
{
	struct pick_ask ask = { .has_units = m->has_units, .units = m->units };
	struct token *t = ledger_token(b->ledger, m->token_hash);
	enum err e;

	if (!t)
		return ERR_AUTH;
	e = meter_lock(b, t->user, &no->quota, &no->retry_after_s);
	if (e != ERR_OK)
		return e;
	if ((m->has_units && (m->units == 0 || m->units > b->conf.lock_max_units)))
		return ERR_BODY;
	e = broker_admits(b);
	if (e != ERR_OK)
		return e;
	c->user = t->user;
	c->model = registry_model(b->registry, m->model);
	if (!c->model)
		return ERR_NO_NODE;
	broker_keep(b, ledger_token_used(t, broker_now()));
	e = choose_node(b, &ask, c);
	if (e == ERR_RANGE) /* more than any node takes in one request */
		return ERR_BODY;
	return e == ERR_OK ? choose_stack(b, c) : e;
}

void lock_ask(struct broker *b, struct party *from, struct slice msg)
{
	struct choice c = { .now = broker_now() };
	struct refuse no = { 0 };
	struct lock_ask m;

	if (lock_ask_decode(msg, &m) != ERR_OK) {
		stat_inc(&metrics.dropped, 1);
		return;
	}
	no.error = check(b, &m, &c, &no);
	if (no.error == ERR_OK) {
		give(b, from, &m, &c, &no.quota);
		return;
	}
	if (no.error == ERR_BODY)
		no.param = SLICE_STR("max_num_tokens");
	if (!no.retry_after_s && (err_status(no.error) == 503 || no.error == ERR_RATE))
		no.retry_after_s = 1;
	memcpy(no.rid, m.rid, RID_BYTES);
	router_refuse_with(b, from->instance, &no);
}
