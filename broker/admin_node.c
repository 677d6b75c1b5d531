/* SPDX-License-Identifier: Apache-2.0
 *
 * node.list {}, node.show {node}, node.drain {node, on?}, node.remove {node},
 * model.list {}.
 */
#include "broker/admin.h"
#include "broker/probe.h"
#include "broker/refusal.h"
#include "common/b64.h"
#include "common/log.h"
#include "common/sign.h"

const char *admin_node_state(const struct broker *b, const struct node *n)
{
	if (n->row.state == NODE_REMOVED)
		return "removed";
	if (n->row.state == NODE_DRAINING)
		return "draining";
	if (!n->url[0])
		return "admitted";
	if (n->open_until)
		return "failing";
	return node_ready(n, broker_now(), broker_ms(b)) ? "ready" : "silent";
}

static json_t *models_json(const struct node *n)
{
	json_t *list = json_array();

	for (const struct sub *s = n->subs; s; s = s->next_of_node) {
		if (!s->active)
			continue;
		json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
						      s->model->name, "price", (json_int_t)s->price,
						      "max_concurrent", (json_int_t)s->max_concurrent,
						      "max_units", (json_int_t)s->max_units, "lock_units",
						      (json_int_t)s->lock_units, "running",
						      (json_int_t)s->running, "locks", (json_int_t)s->locks));
	}
	return list;
}

/* What is known of a node's health; last_probe 0: it was never asked. */
static json_t *health_json(const struct broker *b, const struct node *n)
{
	static const char *const names[] = { "closed", "open", "half_open" };

	return json_pack("{s:s, s:I, s:I, s:b, s:f, s:I}", "breaker", names[node_breaker(n, broker_ms(b))],
			 "failures", (json_int_t)n->failures, "last_probe", (json_int_t)n->probe.at,
			 "reached", n->probe.reached, "latency_ms", (double)n->probe.latency_us / 1000,
			 "workers_refused", (json_int_t)refusal_count(b, n->row.id));
}

static json_t *node_json(const struct broker *b, const struct node *n)
{
	char account[67];

	sign_address(n->row.sign_key, account);
	return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:o, s:o}", "node",
			 (json_int_t)n->row.id, "account", account, "address", n->url, "state",
			 admin_node_state(b, n), "country", n->country, "version", n->version, "original",
			 n->row.original, "seen", (json_int_t)n->row.seen, "faults",
			 (json_int_t)n->row.faults, "health", health_json(b, n), "models", models_json(n));
}

void admin_node_list(struct admin_call *c, const json_t *args)
{
	const struct broker *b = admin_broker(c);
	json_t *list = json_array();
	const struct node *n;
	size_t pos = 0;

	(void)args;
	while ((n = registry_next_node(b->registry, &pos)) != NULL)
		json_array_append_new(list, node_json(b, n));
	admin_ok(c, json_pack("{s:o}", "nodes", list));
}

static json_t *keys_json(const struct node *n)
{
	json_t *list = json_array();
	char text[B64_LEN(KEY_BYTES)];

	for (unsigned i = n->n_keys; i-- > 0;) {
		const struct node_key *k = &n->keys[i];

		b64_put(text, k->key, KEY_BYTES);
		json_array_append_new(list, json_pack("{s:s#, s:I, s:I, s:I, s:I, s:b}", "public_key", text,
						      sizeof(text), "counter", (json_int_t)k->counter,
						      "not_before", (json_int_t)k->not_before, "not_after",
						      (json_int_t)k->not_after, "superseded",
						      (json_int_t)k->superseded, "dropped", k->dropped));
	}
	return list;
}

/* The names of those workers that it does not know. */
static json_t *refused_json(const struct broker *b, const struct node *n)
{
	json_t *list = json_array();

	for (const struct party *p = b->peers->list[ROLE_WORKER]; p; p = p->next) {
		if (refusal_of(p, n->row.id))
			json_array_append_new(list, json_string(p->name));
	}
	return list;
}

void admin_node_show(struct admin_call *c, const json_t *args)
{
	const struct broker *b = admin_broker(c);
	const struct node *n = arg_node(c, args);
	char key[B64_LEN(KEY_BYTES)];
	json_t *body;

	if (!n)
		return;
	b64_put(key, n->row.sign_key, KEY_BYTES);
	body = node_json(b, n);
	json_object_set_new(body, "signing_key", json_stringn(key, sizeof(key)));
	json_object_set_new(body, "admitted", json_integer((json_int_t)n->row.admitted));
	json_object_set_new(body, "validity_s", json_integer(n->row.validity_s));
	json_object_set_new(body, "counter", json_integer((json_int_t)n->row.counter));
	json_object_set_new(body, "evidence_bytes", json_integer((json_int_t)n->evidence.n));
	json_object_set_new(body, "evidence_time", json_integer((json_int_t)n->evidence_at));
	json_object_set_new(body, "refuses", refused_json(b, n));
	json_object_set_new(body, "keys", keys_json(n));
	admin_ok(c, body);
}

static void set_state(struct admin_call *c, struct node *n, enum node_state state)
{
	struct broker *b = admin_broker(c);

	n->row.state = state;
	if (state == NODE_REMOVED)
		probe_forget(b, n);
	else
		probe_here(b, n, true);
	log_info("node_state", L_U("node", n->row.id), L_S("state", admin_node_state(b, n)));
	admin_commit(c, node_op(n),
		     json_pack("{s:I, s:s}", "node", (json_int_t)n->row.id, "state", admin_node_state(b, n)));
}

void admin_node_drain(struct admin_call *c, const json_t *args)
{
	const json_t *on = json_object_get(args, "on");
	struct node *n = arg_node(c, args);

	if (n)
		set_state(c, n, json_is_false(on) ? NODE_ACTIVE : NODE_DRAINING);
}

void admin_node_remove(struct admin_call *c, const json_t *args)
{
	struct node *n = arg_node(c, args);

	if (n)
		set_state(c, n, NODE_REMOVED);
}

static json_t *offer_json(const struct broker *b, const struct sub *s)
{
	return json_pack("{s:I, s:I, s:s}", "node", (json_int_t)s->node->row.id, "price",
			 (json_int_t)s->price, "state", admin_node_state(b, s->node));
}

/* The offers that the index does not hold just now, behind those that it does. */
static void add_aside(const struct broker *b, json_t *by_name)
{
	const struct node *n;
	size_t pos = 0;

	while ((n = registry_next_node(b->registry, &pos)) != NULL) {
		for (const struct sub *s = n->subs; s; s = s->next_of_node) {
			if (s->active && s->aside)
				json_array_append_new(json_object_get(by_name, s->model->name),
						      offer_json(b, s));
		}
	}
}

void admin_model_list(struct admin_call *c, const json_t *args)
{
	const struct broker *b = admin_broker(c);
	json_t *list = json_array(), *by_name = json_object(), *offers;
	const struct model *m;
	size_t pos = 0;

	(void)args;
	while ((m = registry_next_model(b->registry, &pos)) != NULL) {
		offers = json_array();
		for (unsigned i = 0; i < m->n; i++)
			json_array_append_new(offers, offer_json(b, m->subs[i]));
		json_object_set(by_name, m->name, offers);
		json_array_append_new(list, json_pack("{s:s, s:o}", "name", m->name, "offers", offers));
	}
	add_aside(b, by_name);
	json_decref(by_name);
	admin_ok(c, json_pack("{s:o}", "models", list));
}
