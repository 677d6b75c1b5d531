/* SPDX-License-Identifier: Apache-2.0
 *
 * user.add {name}, user.list {}, user.show {user}, user.fund {user, micro_usd,
 * reason}, user.price {user, model, price | null, node?}, user.limit {user, rate?,
 * concurrent?, units_per_minute?: each a number, 0 for none, null for the default}.
 */
#include "broker/admin.h"

#include <string.h>

#include "broker/meter.h"
#include "common/log.h"

static json_t *user_json(const struct user *u)
{
	return json_pack("{s:s, s:I, s:I, s:I}", "user", u->name, "id", (json_int_t)u->id,
			 "balance_micro_usd", (json_int_t)u->balance, "created", (json_int_t)u->created);
}

/* Digits alone are the number of a user, perhaps of another one. */
static bool is_number(const char *name)
{
	return name && *name && !name[strspn(name, "0123456789")];
}

void admin_user_add(struct admin_call *c, const json_t *args)
{
	struct broker *b = admin_broker(c);
	const char *name = arg_text(args, "name");
	struct store_op *op;
	struct user *u;

	if (is_number(name)) {
		admin_fail(c, ERR_BODY, "name: not of digits alone: that is a user's number");
		return;
	}
	switch (ledger_user_add(b->ledger, slice_str(name), broker_now(), &u, &op)) {
	case ERR_OK:
		log_info("user_added", L_U("user", u->id));
		admin_commit(c, op, user_json(u));
		break;
	case ERR_EXISTS:
		admin_fail(c, ERR_EXISTS, "there is a user of that name");
		break;
	default:
		admin_fail(c, ERR_BODY, "name: 1 to %d letters, digits and ._-@+", NAME_BYTES_MAX);
	}
}

void admin_user_list(struct admin_call *c, const json_t *args)
{
	const struct broker *b = admin_broker(c);
	json_t *list = json_array();
	const struct user *u;
	size_t pos = 0;

	(void)args;
	while ((u = ledger_next_user(b->ledger, &pos)) != NULL)
		json_array_append_new(list, user_json(u));
	admin_ok(c, json_pack("{s:o}", "users", list));
}

static const char *const limit_names[LIMITS] = {
	[LIMIT_RATE] = "rate", [LIMIT_CONCURRENT] = "concurrent", [LIMIT_UNITS] = "units_per_minute"
};

/* The limits that hold; 0 = none. */
static void put_limits(const struct broker *b, const struct user *u, json_t *body)
{
	struct limits l = meter_limits(b, u);

	for (int i = 0; i < LIMITS; i++)
		json_object_set_new(body, limit_names[i], json_integer(l.v[i]));
	json_object_set_new(body, "running", json_integer((json_int_t)u->use.running));
}

void admin_user_show(struct admin_call *c, const json_t *args)
{
	const struct broker *b = admin_broker(c);
	const struct user *u = arg_user(c, args);
	json_t *body, *prices;

	if (!u)
		return;
	body = user_json(u);
	prices = json_array();
	for (const struct price *p = u->prices; p; p = p->next) {
		const struct model *m = registry_model_by_id(b->registry, p->model);

		json_array_append_new(prices, json_pack("{s:s, s:I, s:I}", "model", m ? m->name : "", "node",
							(json_int_t)p->node, "price", (json_int_t)p->price));
	}
	json_object_set_new(body, "prices", prices);
	put_limits(b, u, body);
	admin_ok(c, body);
}

void admin_user_fund(struct admin_call *c, const json_t *args)
{
	struct broker *b = admin_broker(c);
	const json_t *amount = json_object_get(args, "micro_usd");
	const char *reason;
	struct store_op *op;
	struct user *u = arg_user(c, args);

	if (!u)
		return;
	reason = arg_reason(c, args);
	if (!reason)
		return;
	if (!json_is_integer(amount) || json_integer_value(amount) == 0 ||
	    ledger_fund(b->ledger, u, json_integer_value(amount), "operator", reason, broker_now(), &op) !=
		    ERR_OK) {
		admin_fail(c, ERR_BODY,
			   "micro_usd: an integer, not 0, that keeps the balance within 0..2^53-1");
		return;
	}
	log_info("user_funded", L_U("user", u->id), L_I("micro_usd", json_integer_value(amount)),
		 L_U("balance", u->balance));
	admin_commit(c, op, json_pack("{s:s, s:I}", "user", u->name, "balance", (json_int_t)u->balance));
}

void admin_user_price(struct admin_call *c, const json_t *args)
{
	struct broker *b = admin_broker(c);
	const char *model = arg_text(args, "model");
	struct row_price row = { .removed = json_is_null(json_object_get(args, "price")) };
	const struct model *m = model ? registry_model(b->registry, slice_str(model)) : NULL;
	struct user *u = arg_user(c, args);

	if (!u)
		return;
	if (!m || (json_object_get(args, "node") &&
		   (!arg_u64(args, "node", ID_MAX, &row.node) || !registry_node(b->registry, row.node)))) {
		admin_fail(c, ERR_NOT_FOUND, "no such model or node");
		return;
	}
	if (!row.removed && !arg_u64(args, "price", ID_MAX, &row.price)) {
		admin_fail(c, ERR_BODY, "price: micro-USD per million units, or null to remove it");
		return;
	}
	row.model = m->id;
	admin_commit(c, ledger_set_price(b->ledger, u, &row), json_pack("{s:s}", "user", u->name));
}

/* Members that are absent stay as they are. */
static bool read_limits(const json_t *args, struct limits *own)
{
	uint64_t n;

	for (int i = 0; i < LIMITS; i++) {
		const json_t *v = json_object_get(args, limit_names[i]);

		if (json_is_null(v))
			own->v[i] = LIMIT_UNSET;
		else if (v && !arg_u64(args, limit_names[i], (uint64_t)LIMIT_MAX, &n))
			return false;
		else if (v)
			own->v[i] = (int64_t)n;
	}
	return true;
}

void admin_user_limit(struct admin_call *c, const json_t *args)
{
	struct broker *b = admin_broker(c);
	struct user *u = arg_user(c, args);
	struct limits own;
	struct store_op *op;
	json_t *body;

	if (!u)
		return;
	own = u->own;
	if (!read_limits(args, &own) || ledger_set_limits(b->ledger, u, &own, &op) != ERR_OK) {
		admin_fail(c, ERR_BODY,
			   "rate, concurrent, units_per_minute: 0 to %lld (0: no limit), or null for the "
			   "default",
			   (long long)LIMIT_MAX);
		return;
	}
	log_info("user_limited", L_U("user", u->id), L_I("rate", own.v[LIMIT_RATE]),
		 L_I("concurrent", own.v[LIMIT_CONCURRENT]), L_I("units", own.v[LIMIT_UNITS]));
	body = json_pack("{s:s}", "user", u->name);
	put_limits(b, u, body);
	admin_commit(c, op, body);
}
