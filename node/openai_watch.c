/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the server is there.  A node whose engine is gone would answer health
 * checks, be picked, and fail request after request; so it says itself that it is
 * not well, from the first connection that fails until one stands.  A server that
 * is slow or answers with errors is there.
 */
#include "common/log.h"
#include "node/counts.h"
#include "node/openai.h"

#define LOOK_MS 1000

static void on_look(uv_timer_t *t);

void openai_heard(struct openai *e, enum upstream_result result)
{
	bool away = result == UPSTREAM_CONNECT;

	if (away == e->away)
		return;
	e->away = away;
	count_engine(!away);
	if (away) {
		log_warn("engine_away",
			 L_S("do", "start the engine; until then health checks of this node fail"));
		uv_timer_start(&e->look, on_look, LOOK_MS, LOOK_MS);
	} else {
		log_info("engine_back");
		uv_timer_stop(&e->look);
	}
}

static void on_head(void *arg, int status, const char *content_type)
{
	(void)status, (void)content_type;
	openai_heard(arg, UPSTREAM_OK);
}

static void on_done(void *arg, enum upstream_result result)
{
	struct openai *e = arg;

	e->looking = NULL;
	openai_heard(e, result);
}

static void on_look(uv_timer_t *t)
{
	struct openai *e = t->data;
	struct upstream_header h = { "Authorization", buf_slice(&e->auth) };
	struct upstream_call c = { .method = "GET",
				   .headers = &h,
				   .n_headers = e->auth.n ? 1 : 0,
				   .connect_ms = e->o.connect_ms,
				   .total_ms = e->o.connect_ms + LOOK_MS,
				   .max_body = e->o.max_answer,
				   .on_head = on_head,
				   .on_done = on_done,
				   .arg = e };
	struct buf url = { 0 };

	if (e->looking)
		return;
	buf_str(&url, e->url);
	buf_add(&url, "/v1/models", sizeof("/v1/models"));
	c.url = (const char *)url.p;
	e->looking = upstream_start(e->up, &c);
	buf_free(&url);
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
}
