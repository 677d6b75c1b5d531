/* SPDX-License-Identifier: Apache-2.0
 *
 * What the user of the server may do with a request: begin, write, end or cut
 * an answer.  Nothing here enters h2o; stream.c does, at the end of the turn.
 * Framing headers are ours, so that no caller can make an answer mean two
 * things; no value can end its own line.
 */
#include <stdio.h>
#include <string.h>

#include "common/httpd/internal.h"

const char *answer_reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} all[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 304, "Not Modified" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 402, "Payment Required" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 409, "Conflict" },
		{ 413, "Content Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 423, "Locked" },
		{ 425, "Too Early" },
		{ 429, "Too Many Requests" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].status == status)
			return all[i].text;
	return "Status";
}

/* Framing is ours; a value that would end its line early is not sent at all. */
static bool may_send(const struct hheader *h)
{
	static const char *const ours[] = { "content-length", "transfer-encoding", "connection", "date",
					    "server" };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strcmp(h->name, ours[i]) == 0)
			return false;
	for (size_t i = 0; i < h->value.n; i++)
		if (h->value.p[i] == '\r' || h->value.p[i] == '\n' || h->value.p[i] == 0)
			return false;
	return true;
}

static void add_header(h2o_req_t *req, const char *name, struct slice value)
{
	h2o_iovec_t n = h2o_strdup(&req->pool, name, strlen(name));
	h2o_iovec_t v = h2o_strdup(&req->pool, value.n > 0 ? (const char *)value.p : "", value.n);

	h2o_add_header_by_str(&req->pool, &req->res.headers, n.base, n.len, 1, NULL, v.base, v.len);
}

/* How the end of the body will be known. */
static void choose_framing(struct hreq *r, uint64_t length)
{
	h2o_req_t *req = r->req;

	r->body_less = req->res.status == 204 || req->res.status == 304 ||
		       h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"));
	r->left = r->body_less ? UINT64_MAX : length;
	req->res.content_length = req->res.status == 204 || length == UINT64_MAX ? SIZE_MAX : length;
	if (length != UINT64_MAX || r->body_less || req->version >= 0x200)
		return;
	if (req->version == 0x101) {
		r->chunked = true;
		h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_TRANSFER_ENCODING, NULL,
			       H2O_STRLIT("chunked"));
	} else {
		req->http1_is_persistent = 0; /* HTTP/1.0: the end of the connection is the end of the body */
	}
}

void hreq_begin(struct hreq *r, int status, const struct hheader *h, size_t nh, uint64_t length)
{
	BUG_ON(status < 200 || status > 599 || r->begun);
	if (r->aborted)
		return;
	r->begun = true;
	r->req->res.status = status;
	r->req->res.reason = answer_reason(status);
	for (size_t i = 0; i < nh; i++)
		if (may_send(&h[i]))
			add_header(r->req, h[i].name, h[i].value);
	choose_framing(r, length);
	stream_dirty(r);
}

void hreq_write(struct hreq *r, struct slice s)
{
	if (!r->begun || r->ended || r->aborted || r->body_less)
		return;
	if (r->left != UINT64_MAX) {
		s.n = s.n < r->left ? s.n : (size_t)r->left;
		r->left -= s.n;
	}
	if (s.n == 0)
		return;
	buf_add(&r->pend, s.p, s.n);
	stream_dirty(r);
}

size_t hreq_pending(const struct hreq *r)
{
	return r->pend.n + r->fly.n;
}

void hreq_on_taken(struct hreq *r, void (*taken)(void *arg, struct hreq *r, size_t n), void *arg)
{
	r->taken = taken;
	r->taken_arg = arg;
}

void hreq_end(struct hreq *r)
{
	if (r->ended || r->aborted)
		return;
	if (!r->begun || (r->left != UINT64_MAX && r->left > 0)) {
		hreq_abort(r); /* less than was announced: not clean */
		return;
	}
	r->ended = true;
	stream_dirty(r);
}

void hreq_abort(struct hreq *r)
{
	if (r->ended || r->aborted)
		return;
	r->aborted = true;
	stream_dirty(r);
}

void hreq_respond(struct hreq *r, int status, const struct hheader *h, size_t nh, struct slice body)
{
	hreq_begin(r, status, h, nh, body.n);
	hreq_write(r, body);
	r->counted = r->pend.n;
	r->h->answers += r->counted;
	hreq_end(r);
}

void hreq_respond_static(struct hreq *r, int status, const struct hheader *h, size_t nh, struct slice body)
{
	hreq_begin(r, status, h, nh, body.n);
	r->left = 0; /* nothing will be written: it is all there */
	if (!r->body_less)
		r->fixed = body;
	hreq_end(r);
}

void answer_refuse(struct hreq *r, enum err e)
{
	const struct hheader type = { "content-type", SLICE_STR("application/json") };
	struct buf b = { 0 };

	buf_fmt(&b,
		"{\"error\":{\"code\":\"%s\",\"type\":\"%s\",\"message\":\"%s\",\"param\":null,\"reason\":"
		"null}}",
		err_code(e), err_type(e), e == ERR_BODY ? "malformed request head" : err_text(e));
	r->req->http1_is_persistent = 0;
	hreq_respond(r, err_status(e), &type, 1, buf_slice(&b));
	buf_free(&b);
}
