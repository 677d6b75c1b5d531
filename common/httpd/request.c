/* SPDX-License-Identifier: Apache-2.0
 *
 * One request as the user of the server sees it.  The struct lives in h2o's
 * request pool; its dispose hook is the one sign that fires however a request
 * ends, before or after an answer began.
 */
#define _GNU_SOURCE
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/httpd/internal.h"

struct handler {
	h2o_handler_t super; /* first: h2o hands it back */
	struct httpd *h;
};

static struct slice of_iovec(h2o_iovec_t v)
{
	return slice_of(v.base, v.len);
}

static void tell_gone(struct hreq *r)
{
	void (*gone)(void *, struct hreq *) = r->gone;

	r->gone = NULL;
	r->taken = NULL;
	if (gone != NULL && !r->ended && !r->aborted)
		gone(r->gone_arg, r);
}

static void unlink_if(h2o_linklist_t *l)
{
	if (h2o_linklist_is_linked(l))
		h2o_linklist_unlink(l);
}

/* h2o is done with the request, whatever the reason. */
static void on_dispose(void *p)
{
	struct hreq *r = p;
	bool clean = r->ended && r->finished, left = !r->ended && !r->aborted;

	tell_gone(r);
	stream_forget(r);
	unlink_if(&r->all);
	unlink_if(&r->timed);
	unlink_if(&r->same_conn);
	body_release(r);
	r->h->answers -= r->counted;
	r->h->nreqs--;
	buf_free(&r->pend);
	buf_free(&r->fly);
	if (r->conn->h1 == r) {
		watch_stop(r->conn);
		r->conn->h1 = NULL;
	}
	conn_request_done(r->conn, clean);
	if (left && r->req->version >= 0x200 && ++r->conn->resets >= RESETS_MAX)
		conn_cut(r->conn);
}

void request_kill(struct hreq *r)
{
	if (r->killed)
		return;
	tell_gone(r);
	r->aborted = true;
	r->killed = true;
	buf_reset(&r->pend);
	if (r->req->version < 0x200)
		conn_cut(r->conn);
	stream_dirty(r);
}

static struct hreq *request_new(struct httpd *h, h2o_req_t *req)
{
	struct hreq *r = h2o_mem_alloc_shared(&req->pool, sizeof(*r), on_dispose);

	memset(r, 0, sizeof(*r));
	r->req = req;
	r->h = h;
	r->conn = conn_of(req);
	r->at = uv_now(h->uv);
	r->left = UINT64_MAX;
	r->pend.secret = true;
	r->fly.secret = true;
	h->nreqs++;
	h2o_linklist_insert(&h->reqs, &r->all);
	h2o_linklist_insert(&r->conn->open_reqs, &r->same_conn);
	conn_request_open(r->conn);
	if (req->version < 0x200) {
		r->conn->h1 = r;
		watch_soon(r, &h->young);
	}
	return r;
}

/* The raw head is still at the start of the socket's input. */
static bool raw_head_ok(const struct hreq *r)
{
	const h2o_buffer_t *in = r->conn->sock->input;
	const char *end;

	if (r->req->version >= 0x200)
		return true;
	end = in->size > 0 ? memmem(in->bytes, in->size < HEAD_MAX ? in->size : HEAD_MAX, "\r\n\r\n", 4)
			   : NULL;
	return end != NULL && head_ok(slice_of(in->bytes, (size_t)(end - in->bytes) + 4));
}

/* The client knows from GOAWAY that nobody saw it, and may have asked elsewhere. */
static bool behind_the_last(const struct hreq *r)
{
	const h2o_http2_stream_t *s = H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, r->req);

	return r->req->version >= 0x200 && r->conn->parted && s->stream_id > r->conn->last_id;
}

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
	struct httpd *h = ((struct handler *)self)->h;
	struct hreq *r = request_new(h, req);

	if (!raw_head_ok(r)) {
		answer_refuse(r, ERR_BODY);
		return 0;
	}
	body_arrived(r);
	if (behind_the_last(r)) {
		request_kill(r);
		return 0;
	}
	if (h->o.max_requests && h->nreqs > h->o.max_requests) {
		h->pressed = true;
		request_kill(r); /* its answer would wait as the others do */
		return 0;
	}
	if (req->headers.size > FIELDS_MAX)
		conn_cut(r->conn);
	if (h->closing || r->conn->cut || h->held > h->o.body_budget) {
		answer_refuse(r, ERR_UNAVAILABLE);
		return 0;
	}
	r->over = req->entity.len > h->o.max_body;
	if (r->over)
		hreq_drop_body(r);
	h->o.on_request(h->o.arg, r);
	return 0;
}

void request_register(struct httpd *h, h2o_hostconf_t *host)
{
	struct handler *hd = (struct handler *)h2o_create_handler(&host->fallback_path, sizeof(*hd));

	hd->super.on_req = on_req;
	hd->h = h;
	host->fallback_path.error_log.emit_request_errors = 0; /* they print parts of the path */
}

struct slice hreq_method(const struct hreq *r)
{
	return of_iovec(r->req->method);
}

static size_t scheme_len(struct slice target)
{
	static const char *const schemes[] = { "http://", "https://" };
	size_t n;

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		n = strlen(schemes[i]);
		if (target.n >= n && strncasecmp((const char *)target.p, schemes[i], n) == 0)
			return n;
	}
	return 0;
}

/* A whole URL in the request line, as proxies are asked and some pass it on, is to be taken from everybody
 * (RFC 9112 3.2.2). */
static struct slice path_of_url(struct slice target)
{
	size_t at = scheme_len(target);
	const uint8_t *path;

	if (at == 0)
		return target;
	path = memchr(target.p + at, '/', target.n - at);
	return path != NULL ? slice_of(path, (size_t)(target.p + target.n - path)) : SLICE_STR("/");
}

struct slice hreq_path(const struct hreq *r)
{
	struct slice s = of_iovec(r->req->path);

	s.n = r->req->query_at < s.n ? r->req->query_at : s.n;
	return r->req->version < 0x200 ? path_of_url(s) : s;
}

struct slice hreq_header(const struct hreq *r, const char *name)
{
	ssize_t i;

	if (strcmp(name, "host") == 0)
		return of_iovec(r->req->authority);
	i = h2o_find_header_by_str(&r->req->headers, name, strlen(name), -1);
	return i >= 0 ? of_iovec(r->req->headers.entries[i].value) : slice_of(NULL, 0);
}

unsigned hreq_header_count(const struct hreq *r, const char *name)
{
	unsigned n = 0;
	ssize_t i = -1;

	while ((i = h2o_find_header_by_str(&r->req->headers, name, strlen(name), i)) >= 0)
		n++;
	return n;
}

struct slice hreq_body(const struct hreq *r)
{
	return r->over || r->dropped ? slice_of(NULL, 0) : of_iovec(r->req->entity);
}

bool hreq_over_limit(const struct hreq *r)
{
	return r->over;
}

unsigned hreq_version(const struct hreq *r)
{
	return (unsigned)r->req->version;
}

void hreq_on_gone(struct hreq *r, void (*gone)(void *arg, struct hreq *r), void *arg)
{
	r->gone = gone;
	r->gone_arg = arg;
}
