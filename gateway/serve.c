/* SPDX-License-Identifier: Apache-2.0
 *
 * From a request's path to its verb (PROTOCOL section 1), and the way that all
 * verbs share to the broker.
 */
#include "gateway/serve.h"

#include "gateway/conf.h"
#include "gateway/link.h"
#include "gateway/stream.h"

/* 200 only while a broker can be reached: a balancer in front then takes
 * another gateway. */
static void serve_health(struct call *c)
{
	if (link_up(c->gw->link))
		call_answer(c, 200, SLICE_STR("{\"message\":\"ok\"}"));
	else
		call_refuse(c, ERR_NO_BROKER, NULL);
}

static void (*const verbs[ROUTE_NONE])(struct call *c) = {
	[ROUTE_COMPLETIONS] = serve_confidential,
	[ROUTE_CHAT] = serve_confidential,
	[ROUTE_EMBEDDINGS] = serve_confidential,
	[ROUTE_IMAGES] = serve_confidential,
	[ROUTE_PLAIN_COMPLETIONS] = serve_plain,
	[ROUTE_PLAIN_CHAT] = serve_plain,
	[ROUTE_PLAIN_EMBEDDINGS] = serve_plain,
	[ROUTE_PLAIN_IMAGES] = serve_plain,
	[ROUTE_LOCK] = serve_lock,
	[ROUTE_REGISTER] = serve_register,
	[ROUTE_ATTESTATION] = serve_attestation,
	[ROUTE_MODELS] = serve_models,
	[ROUTE_MODEL] = serve_model,
	[ROUTE_OPEN_ROUTER] = serve_open_router,
	[ROUTE_HEALTH] = serve_health,
	[ROUTE_OPENAPI] = serve_openapi,
	[ROUTE_DOCS] = serve_docs,
};

void serve_request(void *arg, struct hreq *r)
{
	struct call *c = call_new(arg, r);
	enum err e = route_find(hreq_method(r), hreq_path(r), &c->route);

	if (e != ERR_OK)
		call_refuse(c, e, NULL);
	else if (slice_is(hreq_method(r), "OPTIONS"))
		call_preflight(c);
	else
		verbs[c->route.id](c);
}

struct pending *serve_send(struct call *c, enum pending_kind kind, struct buf *head, const struct slice *body)
{
	struct gw *gw = c->gw;
	struct pending *p;

	if (!inflight_room(gw->inflight)) {
		buf_free(head);
		call_refuse(c, ERR_UNAVAILABLE, NULL);
		return NULL;
	}
	if (link_send(gw->link, head, body) != ERR_OK) {
		call_refuse(c, ERR_NO_BROKER, NULL);
		return NULL;
	}
	p = inflight_add(gw->inflight, c, kind);
	p->order = link_order(gw->link);
	hreq_drop_body(c->http);
	stream_watch(p);
	return p;
}
