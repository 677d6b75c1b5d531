/* SPDX-License-Identifier: Apache-2.0
 *
 * POST the four confidential paths and the four plain ones, POST /v1/stop-streamer, GET
 * /v1/receipts/{request id}, GET /health.  All but the last need a valid
 * X-Sealway-Auth, and one message says no to everything that is wrong with it.
 */
#include "node/routes.h"

#include <string.h>

#include "common/b64.h"
#include "node/answer.h"
#include "node/node.h"
#include "node/request.h"

#define RECEIPTS_PATH "/v1/receipts/"

enum route { ROUTE_NONE, ROUTE_HEALTH, ROUTE_ANSWER, ROUTE_STOP, ROUTE_RECEIPT };

static enum route route_of(struct slice path, enum endpoint *ep)
{
	const size_t n = sizeof(RECEIPTS_PATH) - 1;

	*ep = endpoint_of(path);
	if (*ep != EP_NONE)
		return ROUTE_ANSWER;
	if (slice_is(path, "/health"))
		return ROUTE_HEALTH;
	if (slice_is(path, "/v1/stop-streamer"))
		return ROUTE_STOP;
	return path.n > n && memcmp(path.p, RECEIPTS_PATH, n) == 0 ? ROUTE_RECEIPT : ROUTE_NONE;
}

static bool method_fits(enum route route, struct slice method)
{
	bool get = route == ROUTE_HEALTH || route == ROUTE_RECEIPT;

	return slice_is(method, get ? "GET" : "POST");
}

/* The request id that the request is about: of the path for receipts, else of
 * X-Request-Id; both must be the one that was signed. */
static enum err check_rid(enum route route, const struct hreq *r, const struct authz *a)
{
	struct slice header = hreq_header(r, "x-request-id"), path = hreq_path(r);
	uint8_t rid[RID_BYTES];

	if (route == ROUTE_RECEIPT) {
		struct slice tail =
			slice_of(path.p + sizeof(RECEIPTS_PATH) - 1, path.n - (sizeof(RECEIPTS_PATH) - 1));

		if (hex_decode_exact(tail, rid, RID_BYTES) != ERR_OK || !mem_same(rid, a->rid, RID_BYTES))
			return ERR_AUTH;
		if (!header.p)
			return ERR_OK;
	}
	if (hreq_header_count(r, "x-request-id") != 1 || hex_decode_exact(header, rid, RID_BYTES) != ERR_OK)
		return ERR_AUTH;
	return mem_same(rid, a->rid, RID_BYTES) ? ERR_OK : ERR_AUTH;
}

static enum err authorise(const struct node *n, enum route route, const struct hreq *r, struct authz *a)
{
	enum err e;

	if (hreq_header_count(r, "x-sealway-auth") != 1)
		return ERR_AUTH;
	e = auth_check(n->proxies, hreq_header(r, "x-sealway-auth"), n->conf.node_id, hreq_body(r),
		       loop_unix(), a);
	return e == ERR_OK ? check_rid(route, r, a) : e;
}

/* By this the node is picked or let be: without its engine it is of no use. */
static void serve_health(struct node *n, struct hreq *r)
{
	if (engine_reachable(n->engine))
		answer_json(r, SLICE_STR("{\"message\":\"ok\"}"));
	else
		answer_error(r, ERR_UNAVAILABLE, NULL, NULL);
}

static void serve_stop(struct node *n, struct hreq *r, const struct authz *a)
{
	struct task *t = tasks_find(n->tasks, a->rid);

	if (!t) {
		answer_error(r, ERR_NOT_FOUND, NULL, a->rid);
		return;
	}
	task_stop(t);
	answer_json(r, SLICE_STR("{\"message\":\"Success\"}"));
}

/* 503 while the answer still runs: its receipt is yet to come. */
static void serve_receipt(struct node *n, struct hreq *r, const struct authz *a)
{
	const struct receipt_text *t = receipts_get(n->receipts, a->rid, uv_now(n->uv));
	struct buf b = { 0 };

	if (!t) {
		answer_error(r, tasks_find(n->tasks, a->rid) ? ERR_UNAVAILABLE : ERR_NOT_FOUND, NULL, a->rid);
		return;
	}
	buf_fmt(&b, "{\"receipt\":\"%.*s\",\"receipt_signature\":\"%.*s\"}", (int)sizeof(t->receipt),
		t->receipt, (int)sizeof(t->signature), t->signature);
	answer_json(r, buf_slice(&b));
	buf_free(&b);
}

void routes_request(void *arg, struct hreq *r)
{
	struct node *n = arg;
	enum endpoint ep;
	enum route route = route_of(hreq_path(r), &ep);
	struct authz a;

	if (route == ROUTE_NONE)
		answer_error(r, ERR_NOT_FOUND, NULL, NULL);
	else if (!method_fits(route, hreq_method(r)))
		answer_error(r, ERR_METHOD, NULL, NULL);
	else if (route == ROUTE_HEALTH)
		serve_health(n, r);
	else if (hreq_over_limit(r))
		answer_error(r, ERR_TOO_LARGE, NULL, NULL);
	else if (authorise(n, route, r, &a) != ERR_OK)
		answer_error(r, ERR_AUTH, NULL, NULL);
	else if (route == ROUTE_STOP)
		serve_stop(n, r, &a);
	else if (route == ROUTE_RECEIPT)
		serve_receipt(n, r, &a);
	else
		request_take(n, r, ep, &a);
}
