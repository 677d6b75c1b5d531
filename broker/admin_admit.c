/* SPDX-License-Identifier: Apache-2.0
 *
 * node.admit {signing_key, node?} admits a node of ours, which then registers by
 * itself; with {url, node_key, models: [{name, price, ...}], country?} a node of
 * the original network is entered by hand.  With {node, readdress: url} an
 * admitted node moves.
 */
#include <inttypes.h>
#include <string.h>

#include "broker/admin.h"
#include "broker/probe.h"
#include "common/log.h"
#include "common/sign.h"

/* "" when url is good, else what is wrong with it. */
static const char *url_fault(const struct broker *b, const char *url, size_t *bare)
{
	switch (url_check(slice_str(url), b->networks, bare)) {
	case ERR_OK:
		return NULL;
	case ERR_RANGE:
		return "url: plain http and private addresses are only for what is inside node_networks";
	default:
		return "url: http(s)://host[:port], without user, path, query or fragment";
	}
}

static bool offer_of(const json_t *m, struct row_sub *row)
{
	uint64_t concurrent = 0;

	row->active = true;
	row->max_units = row->lock_units = 0;
	if (!arg_text(m, "name") || !arg_u64(m, "price", ID_MAX, &row->price))
		return false;
	if (json_object_get(m, "max_concurrent") && !arg_u64(m, "max_concurrent", UINT32_MAX, &concurrent))
		return false;
	row->max_concurrent = (uint32_t)concurrent;
	return (!json_object_get(m, "max_units") || arg_u64(m, "max_units", ID_MAX, &row->max_units)) &&
	       (!json_object_get(m, "lock_units") || arg_u64(m, "lock_units", ID_MAX, &row->lock_units));
}

static const char *models_fault(const json_t *models)
{
	struct row_sub row;
	const json_t *m;
	size_t i;

	if (json_array_size(models) == 0 || json_array_size(models) > MODELS_PER_NODE_MAX)
		return "models: 1 to 64 of them";
	json_array_foreach(models, i, m)
	{
		if (!offer_of(m, &row) || json_string_length(json_object_get(m, "name")) == 0 ||
		    json_string_length(json_object_get(m, "name")) > MODEL_BYTES_MAX)
			return "models: each needs a name of 1 to 256 bytes and a price; limits are integers";
	}
	return NULL;
}

static void set_models(struct broker *b, struct node *n, const json_t *models)
{
	struct row_sub row;
	const json_t *m;
	struct model *model;
	struct store_op *op;
	size_t i;

	json_array_foreach(models, i, m)
	{
		if (!offer_of(m, &row))
			continue; /* models_fault has looked */
		model = registry_model_add(b->registry, slice_str(arg_text(m, "name")), &op);
		broker_keep(b, op);
		broker_keep(b, node_set_sub(n, model, &row));
	}
}

static json_t *admitted_json(const struct node *n)
{
	char account[67];

	sign_address(n->row.sign_key, account);
	return json_pack("{s:I, s:s, s:s}", "node", (json_int_t)n->row.id, "address", account, "url", n->url);
}

/* A new node, or NULL after answering. */
static struct node *add(struct admin_call *c, const json_t *args, bool original, struct slice url)
{
	struct broker *b = admin_broker(c);
	struct slice country = slice_str(arg_text(args, "country"));
	struct row_node row = { .id = registry_free_id(b->registry),
				.state = NODE_ACTIVE,
				.original = original,
				.admitted = broker_now(),
				.seen = original ? broker_now() : 0 };
	struct node *n;

	if (!arg_key(args, "signing_key", row.sign_key)) {
		admin_fail(c, ERR_BODY, "signing_key: base64 of the node's 32-byte Ed25519 key");
		return NULL;
	}
	if (json_object_get(args, "node") && !arg_u64(args, "node", ID_MAX, &row.id))
		row.id = 0;
	n = registry_node_by_key(b->registry, row.sign_key);
	if (n && n->row.original != original) {
		admin_fail(c, ERR_EXISTS,
			   n->row.original ? "signing_key: it is that of node %" PRIu64
					     ", which was entered by hand: give its url, node_key and models"
					   : "signing_key: it is that of node %" PRIu64
					     ", which registers by itself: --readdress moves it",
			   n->row.id);
		return NULL;
	}
	if (n && (!json_object_get(args, "node") || n->row.id == row.id)) {
		n->row.state = NODE_ACTIVE; /* again: also brings a removed one back */
		return n;
	}
	if (registry_node_add(b->registry, &row, url, country, slice_of(NULL, 0), &n) != ERR_OK) {
		admin_fail(c, ERR_EXISTS,
			   "node: a free number from 1 to 2^53-1; signing_key: not another node's");
		return NULL;
	}
	log_info("node_admitted", L_U("node", n->row.id), L_S("by", "operator"));
	return n;
}

static void admit_original(struct admin_call *c, const json_t *args)
{
	struct broker *b = admin_broker(c);
	const json_t *models = json_object_get(args, "models");
	const char *url = arg_text(args, "url");
	struct node_key key = { .not_after = 0 };
	struct store_op *ops[2];
	const char *fault;
	struct node *n;
	size_t bare;

	fault = url_fault(b, url, &bare);
	if (!fault)
		fault = models_fault(models);
	if (!fault && !arg_key(args, "node_key", key.key))
		fault = "node_key: base64 of the node's 32-byte X25519 key";
	if (fault) {
		admin_fail(c, ERR_BODY, "%s", fault);
		return;
	}
	n = add(c, args, true, slice_of(url, bare));
	if (!n)
		return;
	node_set_text(&n->url, slice_of(url, bare));
	broker_keep(b, node_op(n));
	node_set_key(n, &key, broker_now(), ops);
	broker_keep(b, ops[1]);
	broker_keep(b, ops[0]);
	set_models(b, n, models);
	probe_here(b, n, true);
	admin_commit(c, node_op(n), admitted_json(n));
}

static void readdress(struct admin_call *c, const json_t *args)
{
	struct broker *b = admin_broker(c);
	const char *url = arg_text(args, "readdress");
	struct node *n = arg_node(c, args);
	const char *fault;
	size_t bare;

	if (!n)
		return;
	fault = url_fault(b, url, &bare);
	if (fault) {
		admin_fail(c, ERR_BODY, "%s", fault);
		return;
	}
	node_set_text(&n->url, slice_of(url, bare));
	node_seen(n, broker_now(), broker_ms(b));
	probe_here(b, n, true);
	admin_commit(c, node_op(n), admitted_json(n));
}

void admin_node_admit(struct admin_call *c, const json_t *args)
{
	struct node *n;

	if (arg_text(args, "readdress")) {
		readdress(c, args);
	} else if (arg_text(args, "url")) {
		admit_original(c, args);
	} else {
		n = add(c, args, false, slice_of(NULL, 0));
		if (!n)
			return;
		probe_here(admin_broker(c), n, true); /* one that was removed may be back */
		admin_commit(c, node_op(n), admitted_json(n));
	}
}
