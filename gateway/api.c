/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs and locks: HTTP body <-> message.  Members that are unknown are ignored
 * here and, on confidential endpoints, forwarded with the untouched body.
 */
#include "gateway/api.h"

#include <string.h>

#include "common/b64.h"
#include "common/hash.h"
#include "common/jscan.h"

void api_job(struct job *job, enum endpoint ep, const struct scan *s, struct slice body)
{
	memset(job, 0, sizeof(*job));
	job->endpoint = ep;
	job->stack = s->stack;
	memcpy(job->node_key, s->node_key, KEY_BYTES);
	memcpy(job->plain_hash, s->plain_hash, KEY_BYTES);
	job->model = slice_of(s->model, s->model_n);
	job->has_units = s->has_units;
	job->units = s->units;
	job->stream = s->stream;
	hash(job->body_hash, body);
}

void api_job_plain(struct job *job, enum endpoint ep, const struct scan_plain *s, struct slice body)
{
	api_job(job, ep, &s->base, body);
	memcpy(job->plain_hash, job->body_hash, KEY_BYTES);
	job->input_units = s->input_units;
	job->has_max_units = s->has_max_units;
	job->max_units = s->max_units;
	job->show_usage = s->show_usage;
}

static enum err fail(struct scan_fault *fault, const char *param, const char *what)
{
	fault->param = param;
	fault->what = what;
	return ERR_BODY;
}

enum lock_member { L_MODEL, L_TOKENS, L_TIMEOUT, L_COUNT };

static const char *const lock_names[L_COUNT] = { "model", "max_num_tokens", "timeout" };

static bool given(const struct jval *v)
{
	return v->type != J_NONE && v->type != J_NULL;
}

/* An optional integer from 1 to max. */
static bool optional(const struct jval *v, uint64_t max, uint64_t *out)
{
	if (!given(v))
		return true;
	return v->type == J_NUMBER && jval_u64(v, max, out) == ERR_OK && *out >= 1;
}

enum err api_lock(struct slice body, struct lock_ask *out, struct buf *model, struct scan_fault *fault)
{
	struct jscan_fault jf = { .member = -1 };
	struct jval v[L_COUNT];
	uint64_t units = 0, timeout = LOCK_SECONDS_DEFAULT;

	*fault = (struct scan_fault){ NULL, NULL };
	if (jscan_object(body, lock_names, L_COUNT, v, &jf) != ERR_OK)
		return fail(fault, jf.member >= 0 && jf.member < L_COUNT ? lock_names[jf.member] : NULL,
			    jf.what);
	if (v[L_MODEL].type != J_STRING)
		return fail(fault, "model", "must be a string");
	jval_text(&v[L_MODEL], model);
	if (model->n < 1 || model->n > MODEL_BYTES_MAX || memchr(model->p, 0, model->n))
		return fail(fault, "model", "must have 1 to 256 bytes and no NUL character");
	if (!optional(&v[L_TOKENS], ID_MAX, &units))
		return fail(fault, "max_num_tokens", "must be a positive integer or null");
	if (!optional(&v[L_TIMEOUT], LOCK_SECONDS_MAX, &timeout))
		return fail(fault, "timeout", "must be an integer from 1 to 600 or null");
	*out = (struct lock_ask){
		.model = buf_slice(model),
		.has_units = given(&v[L_TOKENS]),
		.units = units,
		.timeout_s = (uint32_t)timeout,
	};
	return ERR_OK;
}

/* ,"name":"text" or ,"name":null */
static void text_member(struct buf *out, const char *name, struct slice text)
{
	buf_fmt(out, ",\"%s\":", name);
	if (!text.n) {
		buf_str(out, "null");
		return;
	}
	buf_str(out, "\"");
	buf_json(out, text);
	buf_str(out, "\"");
}

/* ,"name":"base64" or ,"name":null */
static void b64_member(struct buf *out, const char *name, struct slice bytes)
{
	struct buf text = { .p = NULL };

	b64_encode(&text, bytes);
	text_member(out, name, buf_slice(&text));
	buf_free(&text);
}

void api_locked(struct buf *out, const struct locked *m)
{
	char key[B64_LEN(KEY_BYTES)];

	b64_put(key, m->node_key, KEY_BYTES);
	buf_fmt(out, "{\"public_key\":\"%.*s\",\"node_small_id\":%llu,\"stack_small_id\":%llu",
		(int)sizeof(key), key, (unsigned long long)m->node, (unsigned long long)m->stack);
	text_member(out, "stack_entry_digest", m->digest);
	b64_member(out, "node_signing_key", m->sign_key);
	b64_member(out, "key_statement", m->statement);
	text_member(out, "key_signature", m->signature);
	buf_str(out, "}");
}
