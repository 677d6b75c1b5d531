/* SPDX-License-Identifier: Apache-2.0
 *
 * Model lists in OpenAI's and OpenRouter's shape, one model, and a node's
 * statement and evidence (PROTOCOL sections 1 and 4.9).  A model is there while a
 * node that serves it is ready.
 */
#include "broker/models.h"

#include <string.h>

#include "broker/meter.h"
#include "broker/metrics.h"
#include "broker/router.h"
#include "common/b64.h"
#include "proto/query.h"

#define EVIDENCE_BYTES_PER_S (32u << 20)

/* The cheapest ready offer of m, NULL when it is not servable now. */
static const struct sub *servable(const struct broker *b, struct model *m)
{
	int64_t now = broker_now();
	const struct node_view v = { now, broker_ms(b), b->conf.accept_unsigned_usage };

	model_sweep(m, &v, 1);
	for (unsigned i = 0; i < m->n; i++) {
		const struct node *n = m->subs[i]->node;

		if (node_ready(n, now, broker_ms(b)) && (!n->row.original || b->conf.accept_unsigned_usage))
			return m->subs[i];
	}
	return NULL;
}

static void add_name(struct buf *out, const char *member, const char *name)
{
	buf_fmt(out, "\"%s\":\"", member);
	buf_json(out, slice_str(name));
	buf_str(out, "\"");
}

void models_price_text(uint64_t price, struct buf *out)
{
	uint64_t whole = price / UINT64_C(1000000000000), rest = price % UINT64_C(1000000000000);

	buf_fmt(out, "%llu.%012llu", (unsigned long long)whole, (unsigned long long)rest);
	while (out->p[out->n - 1] == '0')
		out->n--;
	if (out->p[out->n - 1] == '.')
		out->n--;
}

static void put_openai(const struct sub *s, struct buf *out)
{
	buf_str(out, "{");
	add_name(out, "id", s->model->name);
	buf_fmt(out, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"sealway\"}",
		(long long)s->node->row.admitted);
}

/* ,"member":n, or null for a limit that the node does not declare. */
static void add_limit(struct buf *out, const char *member, uint64_t n)
{
	if (n)
		buf_fmt(out, "\"%s\":%llu", member, (unsigned long long)n);
	else
		buf_fmt(out, "\"%s\":null", member);
}

static void add_pricing(struct buf *out, uint64_t price)
{
	buf_str(out, ",\"pricing\":{\"prompt\":\"");
	models_price_text(price, out);
	buf_str(out, "\",\"completion\":\"");
	models_price_text(price, out);
	buf_str(out, "\",\"request\":\"0\",\"image\":\"0\",\"web_search\":\"0\",\"internal_reasoning\":\"0\","
		     "\"input_cache_read\":\"0\",\"input_cache_write\":\"0\"}");
}

/* The Models API's object.  What a registration does not say is null or empty:
 * nothing here is a guess about a model. */
static void put_open_router(const struct sub *s, struct buf *out)
{
	buf_str(out, "{");
	add_name(out, "id", s->model->name);
	buf_str(out, ",");
	add_name(out, "canonical_slug", s->model->name);
	buf_str(out, ",");
	add_name(out, "name", s->model->name);
	buf_fmt(out, ",\"created\":%lld,\"description\":\"\",", (long long)s->node->row.admitted);
	add_limit(out, "context_length", s->max_units);
	buf_str(out, ",\"architecture\":{\"modality\":null,\"input_modalities\":[\"text\"],"
		     "\"output_modalities\":[],\"tokenizer\":\"Other\",\"instruct_type\":null}");
	add_pricing(out, s->price);
	buf_str(out, ",\"top_provider\":{");
	add_limit(out, "context_length", s->max_units);
	buf_str(out, ",\"max_completion_tokens\":null,\"is_moderated\":false},"
		     "\"per_request_limits\":null,\"supported_parameters\":[]}");
}

static void put_list(const struct broker *b, void (*put)(const struct sub *s, struct buf *out),
		     struct buf *out)
{
	struct model *m;
	const struct sub *s;
	const char *comma = "";
	size_t pos = 0;

	while ((m = registry_next_model(b->registry, &pos)) != NULL) {
		s = servable(b, m);
		if (!s)
			continue;
		buf_str(out, comma);
		put(s, out);
		comma = ",";
	}
}

static enum err put_model(const struct broker *b, struct slice name, struct buf *out)
{
	struct model *m = registry_model(b->registry, name);
	const struct sub *s = m ? servable(b, m) : NULL;

	if (!s)
		return ERR_NOT_FOUND;
	put_openai(s, out);
	return ERR_OK;
}

static void add_b64(struct buf *out, const char *member, struct slice bytes)
{
	buf_fmt(out, ",\"%s\":", member);
	if (!bytes.n) {
		buf_str(out, "null");
		return;
	}
	buf_str(out, "\"");
	b64_encode(out, bytes);
	buf_str(out, "\"");
}

/* Anybody may ask, and evidence takes a millisecond per MiB to write: not all of this process's time. */
static bool evidence_allowed(struct broker *b, size_t bytes)
{
	uint64_t second = broker_ms(b) / 1000;

	if (b->evidence_second != second)
		b->evidence_bytes = 0;
	b->evidence_second = second;
	if (b->evidence_bytes && b->evidence_bytes + bytes > EVIDENCE_BYTES_PER_S)
		return false;
	b->evidence_bytes += bytes;
	return true;
}

static enum err put_attestation(struct broker *b, uint64_t id, struct buf *out)
{
	const struct node *n = registry_node(b->registry, id);
	const struct node_key *k = n ? node_current_key(n, broker_now()) : NULL;

	if (!k || n->row.state == NODE_REMOVED)
		return ERR_NOT_FOUND;
	if (!evidence_allowed(b, n->evidence.n))
		return ERR_RATE;
	buf_fmt(out, "{\"node_small_id\":%llu", (unsigned long long)n->row.id);
	add_b64(out, "node_signing_key", slice_of(n->row.sign_key, KEY_BYTES));
	add_b64(out, "public_key", slice_of(k->key, KEY_BYTES));
	add_b64(out, "key_statement", slice_of(k->statement, k->has_statement ? STATEMENT_BYTES : 0));
	if (k->has_statement)
		buf_fmt(out, ",\"key_signature\":\"%s\"", k->signature);
	else
		buf_str(out, ",\"key_signature\":null");
	add_b64(out, "evidence", buf_slice(&n->evidence));
	if (n->evidence.n)
		buf_fmt(out, ",\"evidence_time\":%lld}", (long long)n->evidence_at);
	else
		buf_str(out, ",\"evidence_time\":null}");
	return ERR_OK;
}

/* A user asks: one request of those per minute. */
static enum err metered(struct broker *b, const struct query *q, struct refuse *no)
{
	struct token *t = q->has_token ? ledger_token(b->ledger, q->token_hash) : NULL;

	return t ? meter_request(b, t->user, &no->quota, &no->retry_after_s) : ERR_AUTH;
}

static enum err answer_for(struct broker *b, const struct query *q, struct buf *out, struct refuse *no)
{
	enum err e;

	switch (q->kind) {
	case QUERY_MODELS:
		e = metered(b, q, no);
		if (e != ERR_OK)
			return e;
		buf_str(out, "{\"object\":\"list\",\"data\":[");
		put_list(b, put_openai, out);
		buf_str(out, "]}");
		return ERR_OK;
	case QUERY_MODEL:
		e = metered(b, q, no);
		return e == ERR_OK ? put_model(b, q->model, out) : e;
	case QUERY_OPEN_ROUTER:
		buf_str(out, "{\"data\":[");
		put_list(b, put_open_router, out);
		buf_str(out, "]}");
		return ERR_OK;
	case QUERY_ATTESTATION:
		e = put_attestation(b, q->number, out);
		no->retry_after_s = e == ERR_RATE ? 1 : 0;
		return e;
	default:
		return ERR_INTERNAL;
	}
}

void models_query(struct broker *b, struct party *from, struct slice msg)
{
	struct answer m = { 0 };
	struct buf body = { 0 }, out = { 0 };
	struct refuse no = { 0 };
	struct query q;

	if (query_decode(msg, &q) != ERR_OK) {
		stat_inc(&metrics.dropped, 1);
		return;
	}
	memcpy(no.rid, q.rid, RID_BYTES);
	no.error = answer_for(b, &q, &body, &no);
	if (no.error != ERR_OK) {
		router_refuse_with(b, from->instance, &no);
	} else {
		memcpy(m.rid, q.rid, RID_BYTES);
		m.quota = no.quota;
		m.body = buf_slice(&body);
		answer_encode(&m, &out);
		router_send(b, from, &out);
	}
	buf_free(&body);
}
