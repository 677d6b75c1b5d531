/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the server is there and works.  A node whose engine is gone would answer
 * health checks, be picked, and fail request after request; so it says itself that it
 * is not well, from the first connection that fails until the server answers.
 *
 * A server that refuses is another matter.  A 500 may be its own fault or the request's
 * (llama.cpp answers so to much that it does not support), and what one user asks must
 * not take the node from all others.  So it is tried with a short request of ours, of
 * the same kind and for the same model: only when it refuses that as well is it ill,
 * until it does not any more.  One that is slow, or too busy, is well.  Where no such
 * request can be made (images), or what one model does says nothing of the others, it is
 * asked which models it has.
 */
#include "common/log.h"
#include "node/counts.h"
#include "node/json.h"
#include "node/openai.h"
#include "node/openai_error.h"

#define LOOK_MS 1000   /* between two looks */
#define TRIAL_MS 10000 /* for one; over it, it says nothing */

static void well(struct openai *e)
{
	if (!e->away)
		return;
	e->away = false;
	count_engine(true);
	log_info("engine_back");
	uv_timer_stop(&e->look);
}

static void on_look(uv_timer_t *t);

/* True the first time. */
static bool not_well(struct openai *e)
{
	if (e->away)
		return false;
	e->away = true;
	count_engine(false);
	uv_timer_start(&e->look, on_look, LOOK_MS, LOOK_MS);
	return true;
}

void openai_answers(struct openai *e)
{
	well(e);
}

void openai_gone(struct openai *e)
{
	if (not_well(e))
		log_warn("engine_away",
			 L_S("do", "start the engine; until then health checks of this node fail"));
}

static void ill(struct openai *e, int status)
{
	if (not_well(e))
		log_warn("engine_ill", L_I("status", status),
			 L_S("do",
			     "look at the engine: it refuses the shortest request, too (401: "
			     "engine_key_file; 404: the names in models; 503: it may be loading); until "
			     "it does not, health checks of this node fail"));
}

/* Not every server lists its models, or does so for everybody. */
static bool is_well(const struct openai *e, int status)
{
	enum err r = status / 100 == 2 ? ERR_OK : openai_status_error(status);

	if (e->trial.n == 0)
		return status < 500;
	return r != ERR_ENGINE && r != ERR_UNAVAILABLE;
}

static void on_head(void *arg, int status, const char *content_type)
{
	struct openai *e = arg;

	(void)content_type;
	if (is_well(e, status))
		well(e);
	else
		ill(e, status);
}

static void on_done(void *arg, enum upstream_result result)
{
	struct openai *e = arg;

	e->looking = NULL;
	if (result == UPSTREAM_CONNECT)
		openai_gone(e);
}

static void look(struct openai *e)
{
	struct upstream_header h[2] = { { "Content-Type", SLICE_STR("application/json") },
					{ "Authorization", buf_slice(&e->auth) } };
	struct upstream_call c = { .method = e->trial.n ? "POST" : "GET",
				   .headers = h,
				   .n_headers = e->auth.n ? 2 : 1,
				   .body = buf_slice(&e->trial),
				   .connect_ms = e->o.connect_ms,
				   .total_ms = e->o.connect_ms + TRIAL_MS,
				   .max_body = e->o.max_answer,
				   .repeatable = true,
				   .on_head = on_head,
				   .on_done = on_done,
				   .arg = e };
	struct buf url = { 0 };

	buf_str(&url, e->url);
	buf_str(&url, e->trial.n ? endpoint_path(e->trial_path) : "/v1/models");
	buf_add(&url, "", 1);
	c.url = (const char *)url.p;
	e->looked_ms = uv_now(e->o.uv);
	e->looking = upstream_start(e->up, &c);
	buf_free(&url);
}

static void on_look(uv_timer_t *t)
{
	struct openai *e = t->data;

	if (!e->looking)
		look(e);
}

/* The shortest request of that kind; an image would take long. */
static json_t *trial_of(enum endpoint ep)
{
	json_t *o = json_object(), *message;

	switch (ep) {
	case EP_COMPLETIONS:
		json_put(o, "prompt", json_string("Hi"));
		break;
	case EP_CHAT:
		message = json_object();
		json_put(message, "role", json_string("user"));
		json_put(message, "content", json_string("Hi"));
		json_put(o, "messages", json_array());
		json_array_append_new(json_object_get(o, "messages"), message);
		break;
	case EP_EMBEDDINGS:
		json_put(o, "input", json_string("Hi"));
		return o;
	default:
		json_decref(o);
		return NULL;
	}
	json_put(o, "max_tokens", json_integer(1));
	return o;
}

void openai_doubt(struct openai *e, enum endpoint ep, json_t *model)
{
	json_t *trial;

	if (e->looking || (e->looked_ms && uv_now(e->o.uv) - e->looked_ms < LOOK_MS))
		return;
	buf_reset(&e->trial);
	trial = e->o.many_models ? NULL : trial_of(ep);
	if (trial) {
		json_object_set(trial, "model", model);
		json_append(&e->trial, trial, 17);
		json_decref(trial);
		e->trial_path = openai_path(ep);
	}
	look(e);
}

void openai_watch_open(struct openai *e)
{
	uv_timer_init(e->o.uv, &e->look);
	e->look.data = e;
}

void openai_watch_stop(struct openai *e)
{
	if (e->looking)
		upstream_cancel(e->looking);
	e->looking = NULL;
	uv_timer_stop(&e->look);
	buf_free(&e->trial);
}
