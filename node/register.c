/* SPDX-License-Identifier: Apache-2.0
 *
 * One target per gateway, each with a timer of its own: after an acknowledgement
 * it waits for the interval, after a failure for a time that doubles up to
 * BACKOFF_MAX_MS.  They begin one after the other, since all lead to one broker, which
 * takes one registration of a node at a time; where two meet all the same, the second
 * is not worth a word.
 */
#include "node/register.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/log.h"
#include "common/net/upstream.h"
#include "node/counts.h"
#include "node/json.h"
#include "node/register_body.h"
#include "node/register_conf.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 10000
#define APART_MS 20
#define MEETINGS_MAX 3         /* in a row, until it is told */
#define WITHDRAW_MS 2000       /* a node that ends waits for its gateways no longer */
#define REFUSAL_BYTES_MAX 4096 /* of an answer's body that are looked at */

/* Why a registration failed; what is the same again is not told again. */
struct failure {
	int status;
	char result[16], code[40], param[64]; /* code and param as the gateway gave them */
};

struct target {
	struct registrar *r;
	char *url;
	uv_timer_t timer;
	struct upstream_req *call;
	struct buf body, answer;
	int status;
	uint64_t key_counter; /* of the statement sent */
	uint64_t count;       /* of the registration sent */
	uint64_t backoff_ms;
	bool again; /* asked for while a call runs */
	bool known; /* this gateway took one */
	bool failing;
	unsigned met; /* how often in a row another one was under way */
	struct failure last;
};

struct registrar {
	struct registrar_opts o;
	char *address;
	struct upstream *up;
	struct buf evidence;
	uint64_t acknowledged; /* key counter */
	unsigned n;
	struct target targets[GATEWAYS_MAX];
	unsigned handles;
	bool withdrawn;
	unsigned left; /* of targets that have not answered to that */
	void (*done)(void *arg);
	void *arg;
	uv_timer_t late;
};

static void on_timer(uv_timer_t *timer);

static void wait_ms(struct target *t, uint64_t ms)
{
	uv_timer_start(&t->timer, on_timer, ms, 0);
}

static void end_withdrawal(struct registrar *r)
{
	void (*done)(void *) = r->done;

	uv_timer_stop(&r->late);
	r->done = NULL;
	if (done)
		done(r->arg);
}

static void on_late(uv_timer_t *timer)
{
	end_withdrawal(timer->data);
}

/* The last word to this gateway was said, or cannot be. */
static void withdrawn(struct target *t)
{
	struct registrar *r = t->r;

	if (t->again) { /* that was the one before */
		wait_ms(t, 0);
		return;
	}
	if (--r->left == 0)
		end_withdrawal(r);
}

static void succeeded(struct target *t)
{
	struct registrar *r = t->r;

	if (t->failing || !t->known)
		log_info("registered", L_S("gateway", t->url));
	t->failing = false;
	t->met = 0;
	t->known = true;
	t->backoff_ms = BACKOFF_MIN_MS;
	if (t->key_counter > r->acknowledged)
		r->acknowledged = t->key_counter;
	keys_acknowledged(r->o.keys, t->key_counter, t->count, uv_now(r->o.uv));
	wait_ms(t, t->again ? 0 : r->o.interval_s * 1000);
}

static void copy_member(const json_t *error, const char *name, char *out, size_t cap)
{
	const char *s = json_string_value(json_object_get(error, name));

	snprintf(out, cap, "%s", s ? s : "");
}

static void failure_of(const struct target *t, const char *result, struct failure *f)
{
	json_t *answer = NULL, *error;

	memset(f, 0, sizeof(*f));
	f->status = t->status;
	snprintf(f->result, sizeof(f->result), "%s", result);
	if (json_object_of(buf_slice(&t->answer), &answer) != ERR_OK)
		return;
	error = json_object_get(answer, "error");
	copy_member(error, "code", f->code, sizeof(f->code));
	copy_member(error, "param", f->param, sizeof(f->param));
	json_decref(answer);
}

static bool is_refused(const struct failure *f)
{
	return f->status == 400 && strcmp(f->param, "registration") == 0;
}

/* Its address. */
static bool is_not_allowed(const struct failure *f)
{
	return f->status == 400 && strcmp(f->param, "public_address") == 0;
}

/* What to do about it, owned; empty where the status says enough. */
static char *advice(const struct target *t)
{
	char key[B64_LEN(32) + 1] = "", text[256] = "";

	b64_put(key, sign_key_public(t->r->o.sign), 32);
	if (t->status == 404)
		snprintf(text, sizeof(text),
			 "admit this node: sealway node admit %s --id %llu; if it is admitted, under another "
			 "number, set node_id to that",
			 key, (unsigned long long)t->r->o.node);
	else if (is_not_allowed(&t->last))
		snprintf(text, sizeof(text),
			 "a public_address that is private, or without TLS, has to be inside the broker's "
			 "node_networks");
	else if (is_refused(&t->last))
		snprintf(text, sizeof(text),
			 "compare the clocks here and at the broker: it takes a key whose time is now, and "
			 "only newer registrations than the last (of another process with this key, maybe)");
	return mem_strndup(text, strlen(text));
}

static void say_failed(const struct target *t)
{
	const struct failure *f = &t->last;
	char *todo = advice(t);

	log_warn("registration_failed", L_S("gateway", t->url), L_S("result", f->result),
		 L_I("status", f->status), L_S("code", f->code), L_S("param", f->param), L_S("do", todo));
	free(todo);
}

/* Once, as long as it is the same. */
static void tell(struct target *t, const struct failure *now)
{
	if (!t->failing || memcmp(now, &t->last, sizeof(*now)) != 0) {
		t->last = *now;
		say_failed(t);
	}
	t->failing = true;
}

static void failed(struct target *t, const char *result)
{
	struct failure now;

	failure_of(t, result, &now);
	if (is_refused(&now))
		keys_refused(t->r->o.keys, t->key_counter);
	t->met = t->status == 429 ? t->met + 1 : 0;
	if (t->met == 0 || t->met > MEETINGS_MAX)
		tell(t, &now);
	t->backoff_ms = t->backoff_ms ? t->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (t->backoff_ms > BACKOFF_MAX_MS)
		t->backoff_ms = BACKOFF_MAX_MS;
	wait_ms(t, t->backoff_ms);
}

static void on_head(void *arg, int status, const char *content_type)
{
	struct target *t = arg;

	(void)content_type;
	t->status = status;
}

static void on_data(void *arg, struct slice data)
{
	struct target *t = arg;

	if (t->answer.n + data.n <= REFUSAL_BYTES_MAX)
		buf_add(&t->answer, data.p, data.n);
}

static void on_done(void *arg, enum upstream_result result)
{
	struct target *t = arg;
	bool ok = result == UPSTREAM_OK && t->status == 200;

	t->call = NULL;
	buf_reset(&t->body);
	count_registration(ok);
	if (t->r->withdrawn)
		withdrawn(t);
	else if (ok)
		succeeded(t);
	else
		failed(t, upstream_result_name(result));
}

static void write_body(struct target *t)
{
	static const struct models none;
	struct registrar *r = t->r;
	struct register_body b = { .node = r->o.node,
				   .address = r->address,
				   .country = r->o.country,
				   .validity_s = r->o.validity_s,
				   .key = keys_current(r->o.keys),
				   .models = r->o.models,
				   .evidence = buf_slice(&r->evidence) };

	if (r->withdrawn) {
		b.models = &none;
		b.validity_s = 1;
	}
	b.counter = t->count = keys_count(r->o.keys, uv_now(r->o.uv));
	t->key_counter = nodekey_counter(b.key);
	register_body_write(&b, r->o.sign, &t->body);
}

static void on_timer(uv_timer_t *timer)
{
	static const struct upstream_header h[] = { { "Content-Type",
						      { (const uint8_t *)"application/json", 16 } } };
	struct target *t = timer->data;
	struct upstream_call c = { .method = "POST", .url = t->url, .headers = h, .n_headers = 1 };

	if (t->call) {
		t->again = true;
		return;
	}
	t->again = false;
	t->status = 0;
	buf_reset(&t->answer);
	write_body(t);
	c.body = buf_slice(&t->body);
	c.connect_ms = 5000;
	c.total_ms = 15000;
	c.max_body = 65536;
	c.on_head = on_head;
	c.on_data = on_data;
	c.on_done = on_done;
	c.arg = t;
	t->call = upstream_start(t->r->up, &c);
}

static void release(struct registrar *r)
{
	if (--r->handles > 0)
		return;
	for (unsigned i = 0; i < r->n; i++) {
		free(r->targets[i].url);
		buf_free(&r->targets[i].body);
		buf_free(&r->targets[i].answer);
	}
	buf_free(&r->evidence);
	free(r->address);
	free(r);
}

static void on_target_closed(uv_handle_t *h)
{
	release(((struct target *)h->data)->r);
}

static void on_late_closed(uv_handle_t *h)
{
	release(h->data);
}

static void add_target(struct registrar *r, char *url)
{
	struct target *t = &r->targets[r->n++];

	t->r = r;
	t->url = url;
	t->timer.data = t;
	uv_timer_init(r->o.uv, &t->timer);
	r->handles++;
}

enum err registrar_open(struct registrar **out, const struct registrar_opts *o)
{
	struct registrar *r = mem_new(sizeof(*r));
	struct upstream_opts uo = { .ca_file = o->ca_file, .max_idle = 4 };
	struct register_conf c = { .n = 0 };
	enum err e = register_conf_read(o->gateways, o->evidence_file, &c);

	if (e != ERR_OK) {
		free(r);
		return e;
	}
	r->o = *o;
	r->address = mem_strndup(o->address, strlen(o->address));
	r->up = upstream_new(o->uv, &uo);
	uv_timer_init(o->uv, &r->late);
	r->late.data = r;
	r->handles = 1;
	r->evidence = c.evidence;
	for (unsigned i = 0; i < c.n; i++)
		add_target(r, c.urls[i]);
	registrar_now(r);
	*out = r;
	return ERR_OK;
}

void registrar_now(struct registrar *r)
{
	for (unsigned i = 0; i < r->n && !r->withdrawn; i++)
		wait_ms(&r->targets[i], (uint64_t)i * APART_MS);
}

void registrar_withdraw(struct registrar *r, void (*done)(void *arg), void *arg)
{
	if (r->withdrawn)
		return;
	r->withdrawn = true;
	r->done = done;
	r->arg = arg;
	for (unsigned i = 0; i < r->n; i++) {
		struct target *t = &r->targets[i];

		uv_timer_stop(&t->timer);
		if (!t->known && !t->call)
			continue;
		t->again = t->call != NULL;
		r->left++;
		if (!t->call)
			wait_ms(t, 0);
	}
	uv_timer_start(&r->late, on_late, r->left ? WITHDRAW_MS : 0, 0);
}

bool registrar_acknowledged(const struct registrar *r)
{
	return r->n == 0 || r->acknowledged > 0;
}

void registrar_close(struct registrar *r)
{
	if (!r)
		return;
	upstream_free(r->up);
	r->up = NULL;
	for (unsigned i = 0; i < r->n; i++)
		uv_close((uv_handle_t *)&r->targets[i].timer, on_target_closed);
	uv_close((uv_handle_t *)&r->late, on_late_closed);
}
