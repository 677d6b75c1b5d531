/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of checks: request id not seen, envelope, key known (425), room
 * under the model's limit (429; before the guard, so that the request may come
 * again), decryption, the guard (425), then everything that only the plaintext
 * can show.  What is wrong inside the plaintext is said to nobody in the clear
 * beyond the 400.  A plain request has neither envelope nor guard: its request
 * id, bound to the body by the authorisation, is answered once.
 */
#include "node/request.h"

#include <string.h>

#include "node/answer.h"
#include "node/limit.h"
#include "node/open.h"

struct request {
	struct envelope envelope;
	struct nodekey *nodekey;
	uint8_t key[SEAL_KEY];
	struct buf plain;
	struct task_opts task;
};

static void request_free(struct request *q)
{
	envelope_free(&q->envelope);
	buf_free(&q->plain);
	json_decref(q->task.body);
	mem_wipe(q->key, sizeof(q->key));
}

/* Room for one more answer by the model of that name. */
static enum err find_model(struct node *n, struct request *q, struct slice name, const char **param)
{
	q->task.model = models_find(&n->models, name);
	if (!q->task.model) {
		*param = "model_name";
		return ERR_BODY;
	}
	return q->task.model->running < q->task.model->max_concurrent ? ERR_OK : ERR_RATE;
}

static enum err admit(struct node *n, struct request *q, struct slice body, const char **param)
{
	uint64_t now = uv_now(n->uv);
	enum err e = envelope_parse(body, &q->envelope, param);

	if (e != ERR_OK)
		return e;
	q->nodekey = keys_find(n->keys, q->envelope.node_key, now);
	if (!q->nodekey)
		return ERR_KEY_UNKNOWN;
	return find_model(n, q, buf_slice(&q->envelope.model), param);
}

static enum err check_plain(struct node *n, struct request *q, const struct authz *a, const char **param)
{
	struct agreement agreed = { q->task.endpoint, buf_slice(&q->envelope.model), q->envelope.stream };

	if (json_request_of(buf_slice(&q->plain), &q->task.body) != ERR_OK)
		return ERR_BODY;
	if (q->envelope.stack != a->stack) {
		*param = "stack_small_id";
		return ERR_BODY;
	}
	if (limit_agree(q->task.body, &agreed, &q->task.include_usage) != ERR_OK)
		return ERR_BODY;
	return limit_apply(q->task.body, q->task.endpoint, n->engine, a->units, q->task.model->max_units,
			   &q->task.bounds);
}

static enum err take_sealed(struct node *n, struct request *q, struct hreq *r, const struct authz *a,
			    const char **param)
{
	enum err e = admit(n, q, hreq_body(r), param);

	if (e == ERR_OK)
		e = envelope_open(&q->envelope, q->nodekey, q->key, &q->plain, param);
	if (e == ERR_OK)
		e = check_plain(n, q, a, param);
	if (e != ERR_OK)
		return e;
	q->task.stream = q->envelope.stream;
	q->task.key = q->key;
	q->task.node_key = nodekey_public(q->nodekey);
	q->task.plain_hash = q->envelope.plain_hash;
	return ERR_OK;
}

/* The stack that a worker names beside the authorisation has to be the same. */
static bool stack_agrees(const struct hreq *r, const struct authz *a)
{
	struct slice named = hreq_header(r, "x-stack-small-id");
	uint64_t stack;

	if (hreq_header_count(r, "x-stack-small-id") > 1)
		return false;
	return !named.p || (slice_u64(named, ID_MAX, &stack) == ERR_OK && stack == a->stack);
}

static enum err take_plain(struct node *n, struct request *q, struct hreq *r, const struct authz *a,
			   const char **param)
{
	struct agreement own = { .endpoint = (enum endpoint)endpoint_kind(q->task.endpoint) };
	enum err e;

	if (json_request_of(hreq_body(r), &q->task.body) != ERR_OK || !stack_agrees(r, a))
		return ERR_BODY;
	own.model = json_text(json_object_get(q->task.body, "model"));
	if (!own.model.p || json_member_bool(q->task.body, "stream", &own.stream) != ERR_OK)
		return ERR_BODY;
	e = find_model(n, q, own.model, param);
	if (e != ERR_OK)
		return e;
	if (limit_agree(q->task.body, &own, &q->task.include_usage) != ERR_OK)
		return ERR_BODY;
	q->task.stream = own.stream;
	q->task.plain_hash = a->body_hash; /* auth_check has compared it with the body */
	return limit_apply(q->task.body, own.endpoint, n->engine, a->units, q->task.model->max_units,
			   &q->task.bounds);
}

void request_take(struct node *n, struct hreq *r, enum endpoint ep, const struct authz *a)
{
	struct request q = { .plain.secret = true, .task = { .endpoint = ep, .stack = a->stack } };
	const char *param = NULL;
	enum err e = ERR_ANSWERED;

	memcpy(q.task.rid, a->rid, RID_BYTES);
	if (!tasks_find(n->tasks, a->rid) && !receipts_get(n->receipts, a->rid, uv_now(n->uv)))
		e = endpoint_confidential(ep) ? take_sealed(n, &q, r, a, &param)
					      : take_plain(n, &q, r, a, &param);
	if (e == ERR_OK) {
		hreq_drop_body(r);
		tasks_start(n->tasks, r, &q.task);
	} else {
		answer_error(r, e, param, a->rid);
	}
	request_free(&q);
}
