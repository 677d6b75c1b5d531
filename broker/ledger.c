/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger's tables, and the part about people: users, balances, tokens,
 * prices (ledger.h).
 */
#include "broker/ledger.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "broker/ledger_priv.h"
#include "common/hash.h"

#define TOKEN_USE_NOTED_S 60

struct ledger *ledger_new(void)
{
	struct ledger *l = mem_new(sizeof(*l));

	l->users = map_new(sizeof(uint64_t));
	l->user_names = map_new(HASH_BYTES);
	l->tokens = map_new(KEY_BYTES);
	l->stacks = map_new(sizeof(uint64_t));
	l->kinds = map_new(3 * sizeof(uint64_t));
	l->locks = map_new(sizeof(uint64_t));
	l->reservations = map_new(RID_BYTES);
	return l;
}

static void user_free(struct user *u)
{
	struct price *p;

	while ((p = u->prices) != NULL) {
		u->prices = p->next;
		free(p);
	}
	map_free(u->price_index);
	free(u->name);
	free(u);
}

static void token_free(struct token *t)
{
	free(t->name);
	free(t->last4);
	free(t);
}

void ledger_free(struct ledger *l)
{
	size_t pos;
	void *v;

	if (!l)
		return;
	for (pos = 0; (v = map_next(l->users, &pos)) != NULL;)
		user_free(v);
	for (pos = 0; (v = map_next(l->tokens, &pos)) != NULL;)
		token_free(v);
	for (pos = 0; (v = map_next(l->stacks, &pos)) != NULL;)
		free(v);
	for (pos = 0; (v = map_next(l->locks, &pos)) != NULL;)
		free(v);
	for (pos = 0; (v = map_next(l->reservations, &pos)) != NULL;)
		free(v);
	for (pos = 0; (v = map_next(l->kinds, &pos)) != NULL;)
		room_free(v);
	map_free(l->users);
	map_free(l->user_names);
	map_free(l->tokens);
	map_free(l->stacks);
	map_free(l->kinds);
	map_free(l->locks);
	map_free(l->reservations);
	free(l);
}

uint64_t ledger_new_id(void)
{
	uint64_t id;

	do {
		randombytes_buf(&id, sizeof(id));
		id &= ID_MAX;
	} while (id == 0);
	return id;
}

struct user *ledger_user(const struct ledger *l, uint64_t id)
{
	return map_get(l->users, &id);
}

struct user *ledger_user_named(const struct ledger *l, struct slice name)
{
	uint8_t h[HASH_BYTES];

	hash(h, name);
	return map_get(l->user_names, h);
}

struct token *ledger_token(const struct ledger *l, const uint8_t hash_of[KEY_BYTES])
{
	struct token *t = map_get(l->tokens, hash_of);

	return t && !t->revoked ? t : NULL;
}

struct token *ledger_token_named(const struct ledger *l, const struct user *u, struct slice name)
{
	struct token *t;
	size_t pos = 0;

	while ((t = ledger_next_token(l, &pos)) != NULL) {
		if (t->user == u && !t->revoked && slice_is(name, t->name))
			return t;
	}
	return NULL;
}

struct user *ledger_next_user(const struct ledger *l, size_t *pos)
{
	return map_next(l->users, pos);
}

struct token *ledger_next_token(const struct ledger *l, size_t *pos)
{
	return map_next(l->tokens, pos);
}

/* Names are shown on terminals and typed in shells. */
static bool name_ok(struct slice name)
{
	static const char more[] = "._-@+";

	if (name.n == 0 || name.n > NAME_BYTES_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];
		bool plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');

		if (!plain && (c == 0 || !strchr(more, c)))
			return false;
	}
	return true;
}

struct user *ledger_put_user(struct ledger *l, uint64_t id, struct slice name, int64_t created)
{
	struct user *u = mem_new(sizeof(*u));
	uint8_t h[HASH_BYTES];

	u->id = id;
	u->name = mem_strndup(name.p, name.n);
	u->created = created;
	for (int i = 0; i < LIMITS; i++)
		u->own.v[i] = LIMIT_UNSET;
	hash(h, name);
	map_put(l->users, &u->id, u);
	map_put(l->user_names, h, u);
	return u;
}

enum err ledger_user_add(struct ledger *l, struct slice name, int64_t now, struct user **out,
			 struct store_op **op)
{
	uint64_t id;

	if (!name_ok(name))
		return ERR_RANGE;
	if (ledger_user_named(l, name))
		return ERR_EXISTS;
	do {
		id = ledger_new_id();
	} while (ledger_user(l, id));
	*out = ledger_put_user(l, id, name, now);
	*op = store_op_new(OP_USER);
	(*op)->u.user = (struct row_user){ .id = id, .created = now };
	(*op)->text[0] = mem_strndup(name.p, name.n);
	return ERR_OK;
}

enum err ledger_fund(struct ledger *l, struct user *u, int64_t delta, const char *who, const char *why,
		     int64_t now, struct store_op **op)
{
	int64_t after;

	(void)l;
	if (__builtin_add_overflow((int64_t)u->balance, delta, &after) || after < 0 ||
	    (uint64_t)after > ID_MAX)
		return ERR_RANGE;
	u->balance = (uint64_t)after;
	*op = store_op_new(OP_JOURNAL);
	(*op)->u.journal =
		(struct row_journal){ .user = u->id, .delta = delta, .balance = u->balance, .at = now };
	(*op)->text[0] = mem_strndup(who, strlen(who));
	(*op)->text[1] = mem_strndup(why, strlen(why));
	return ERR_OK;
}

struct token *ledger_put_token(struct ledger *l, struct user *u, const struct row_token *r, struct slice name,
			       const char *last4)
{
	struct token *t = mem_new(sizeof(*t));

	t->id = r->id;
	t->user = u;
	memcpy(t->hash, r->hash, KEY_BYTES);
	t->name = mem_strndup(name.p, name.n);
	t->last4 = mem_strndup(last4, strlen(last4));
	t->created = r->created;
	t->revoked = r->revoked;
	t->last_used = r->last_used;
	map_put(l->tokens, t->hash, t);
	return t;
}

enum err ledger_token_add(struct ledger *l, struct user *u, const uint8_t hash_of[KEY_BYTES],
			  struct slice name, const char *last4, int64_t now, struct store_op **op)
{
	struct row_token r = { .id = ledger_new_id(), .user = u->id, .created = now };

	if (!name_ok(name))
		return ERR_RANGE;
	if (map_get(l->tokens, hash_of) || ledger_token_named(l, u, name))
		return ERR_EXISTS;
	memcpy(r.hash, hash_of, KEY_BYTES);
	(void)ledger_put_token(l, u, &r, name, last4);
	*op = store_op_new(OP_TOKEN);
	(*op)->u.token = r;
	(*op)->text[0] = mem_strndup(name.p, name.n);
	(*op)->text[1] = mem_strndup(last4, strlen(last4));
	return ERR_OK;
}

struct store_op *ledger_token_revoke(struct ledger *l, struct token *t, int64_t now)
{
	struct store_op *op = store_op_new(OP_TOKEN_REVOKE);

	(void)l;
	t->revoked = now;
	op->u.token = (struct row_token){ .id = t->id, .revoked = now };
	return op;
}

struct store_op *ledger_token_used(struct token *t, int64_t now)
{
	struct store_op *op;

	if (now - t->last_used < TOKEN_USE_NOTED_S)
		return NULL;
	t->last_used = now;
	op = store_op_new(OP_TOKEN_USED);
	op->u.token = (struct row_token){ .id = t->id, .last_used = now };
	return op;
}

struct price_key {
	uint64_t node, model;
};

static struct price *find_price(const struct user *u, uint64_t node, uint64_t model)
{
	struct price_key k = { node, model };

	return u->price_index ? map_get(u->price_index, &k) : NULL;
}

static void drop_price(struct user *u, struct price *p)
{
	struct price_key k = { p->node, p->model };
	struct price **at = &u->prices;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	map_del(u->price_index, &k);
	free(p);
}

void ledger_put_price(struct user *u, const struct row_price *r)
{
	struct price_key k = { r->node, r->model };
	struct price *p = find_price(u, r->node, r->model);

	if (p && !r->removed) {
		p->price = r->price;
	} else if (p) {
		drop_price(u, p);
	} else if (!r->removed) {
		p = mem_new(sizeof(*p));
		*p = (struct price){ r->node, r->model, r->price, u->prices };
		u->prices = p;
		if (!u->price_index)
			u->price_index = map_new(sizeof(k));
		map_put(u->price_index, &k, p);
	}
}

struct store_op *ledger_set_price(struct ledger *l, struct user *u, const struct row_price *p)
{
	struct store_op *op = store_op_new(OP_PRICE);

	(void)l;
	ledger_put_price(u, p);
	op->u.price = *p;
	op->u.price.user = u->id;
	return op;
}

uint64_t ledger_price(const struct user *u, uint64_t node, uint64_t model, uint64_t list)
{
	const struct price *p = find_price(u, node, model);

	if (!p)
		p = find_price(u, 0, model);
	return p ? p->price : list;
}
