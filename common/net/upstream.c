/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP client of upstream.h: HTTP/1.1, one connection per exchange, kept for
 * the next one.  Requests and their deadlines are here, the rest in the files
 * that upstream_impl.h names.
 *
 * Invariants:
 * - A POST is never sent twice, unless its caller says that it may be: a kept
 *   connection that turns out dead once a byte went out is a cut.  A sealed request
 *   is answered once (PROTOCOL 4.5).
 * - A body counts as whole only if its end was marked (Content-Length or
 *   chunked): a close-delimited one cannot be told from a cut one.
 * - One timer per request looks at all its deadlines.  It is set anew only if it
 *   would fire too late; what came meanwhile is looked at when it fires.
 */
#include "common/net/upstream_impl.h"

#include <stdlib.h>
#include <string.h>

const char *upstream_result_name(enum upstream_result r)
{
	static const char *const names[] = { "ok", "refused", "connect", "timeout", "cut", "invalid" };

	return (unsigned)r < sizeof(names) / sizeof(names[0]) ? names[r] : "?";
}

void upstream_unuse(struct upstream *u)
{
	if (--u->users > 0)
		return;
	free(u->ca_file);
	mem_wipe(u->buffer, sizeof(u->buffer));
	free(u);
}

/* --- the end --- */

static void on_req_closed(uv_handle_t *h)
{
	struct upstream_req *r = h->data;
	struct upstream *u = r->up;

	free((char *)r->c.method);
	free(r);
	upstream_unuse(u);
}

void upstream_move(struct upstream_req *r, struct upstream_req **list)
{
	if (r->link) {
		*r->link = r->next;
		if (r->next)
			r->next->link = r->link;
	}
	r->link = list;
	if (!list)
		return;
	r->next = *list;
	if (r->next)
		r->next->link = &r->next;
	*list = r;
}

/* Lets go of everything but the memory of r itself. */
static void req_close(struct upstream_req *r)
{
	r->dead = true;
	upstream_move(r, NULL);
	if (r->conn)
		conn_close(r->conn);
	r->conn = NULL;
	if (r->origin)
		origin_unuse(r->origin);
	answer_free(&r->answer);
	buf_free(&r->head);
	uv_close((uv_handle_t *)&r->timer, on_req_closed);
}

void upstream_finish(struct upstream_req *r, enum upstream_result result)
{
	void (*done)(void *, enum upstream_result) = r->c.on_done;
	void *arg = r->c.arg;

	req_close(r);
	if (done)
		done(arg, result);
}

/* --- deadlines, pausing --- */

static void sooner(uint64_t *at, uint64_t since, uint64_t ms)
{
	if (ms && since + ms < *at)
		*at = since + ms;
}

/* When the next deadline that counts now passes. */
static uint64_t next_deadline(const struct upstream_req *r)
{
	uint64_t at = UINT64_MAX;

	sooner(&at, r->started, r->c.total_ms);
	if (!r->begun)
		sooner(&at, r->set_out, r->c.connect_ms);
	else if (!r->got_head)
		sooner(&at, r->began, r->c.first_byte_ms);
	else if (!r->paused)
		sooner(&at, r->progress, r->c.gap_ms);
	return at;
}

static void on_req_timer(uv_timer_t *t);

static void look_at(struct upstream_req *r, uint64_t at)
{
	uint64_t now = uv_now(r->up->uv);

	r->look_at = at;
	uv_timer_start(&r->timer, on_req_timer, at > now ? at - now : 0, 0);
}

void upstream_arm(struct upstream_req *r)
{
	uint64_t at = next_deadline(r);

	if (r->attempt_until && r->attempt_until < at)
		at = r->attempt_until;
	if (at < r->look_at)
		look_at(r, at);
}

static void on_req_timer(uv_timer_t *t)
{
	struct upstream_req *r = t->data;
	uint64_t now = uv_now(r->up->uv);

	r->look_at = UINT64_MAX;
	if (now >= next_deadline(r)) {
		upstream_finish(r, r->begun ? UPSTREAM_TIMEOUT : UPSTREAM_CONNECT);
		return;
	}
	upstream_arm(r);
	if (r->attempt_until && now >= r->attempt_until && r->conn && !r->begun)
		conn_next(r);
	else if (r->resumed && !r->paused && r->conn && r->begun) {
		r->resumed = false;
		conn_resume(r->conn);
	}
}

void upstream_pause(struct upstream_req *r)
{
	r->paused = true;
}

void upstream_resume(struct upstream_req *r)
{
	if (!r->paused)
		return;
	r->paused = false;
	r->resumed = true;
	r->progress = uv_now(r->up->uv);
	if (r->started)
		look_at(r, 0);
}

/* --- starting --- */

static void on_start(uv_timer_t *t)
{
	struct upstream_req *r = t->data;

	uv_update_time(r->up->uv);
	r->started = r->set_out = uv_now(r->up->uv);
	r->look_at = UINT64_MAX;
	if (!r->origin) {
		upstream_finish(r, UPSTREAM_CONNECT);
		return;
	}
	upstream_arm(r);
	pool_connect(r);
}

/* Leaves r without an origin if it cannot be asked. */
static void write_request(struct upstream_req *r)
{
	struct target t;

	r->head.secret = true;
	r->answer.head_asked = strcmp(r->c.method, "HEAD") == 0;
	if (target_parse(slice_str(r->c.url), &t) && target_head(&t, &r->c, &r->head))
		r->origin = origin_get(r->up, &t);
	r->c.url = NULL; /* both were borrowed for the call */
	r->c.headers = NULL;
}

bool upstream_url(const char *url)
{
	struct target t;

	return target_parse(slice_str(url), &t);
}

struct upstream_req *upstream_start(struct upstream *u, const struct upstream_call *c)
{
	struct upstream_req *r = mem_new(sizeof(*r));

	r->up = u;
	r->c = *c;
	r->c.method = mem_strndup(c->method, strlen(c->method));
	write_request(r);
	upstream_move(r, &u->reqs);
	uv_timer_init(u->uv, &r->timer);
	r->timer.data = r;
	u->users++;
	/* By the timer, because a caller may be inside a callback of another request. */
	uv_timer_start(&r->timer, on_start, 0, 0);
	return r;
}

bool upstream_sent(const struct upstream_req *r)
{
	return r->got_head && r->sent > 0 && r->sent == r->c.body.n;
}

void upstream_cancel(struct upstream_req *r)
{
	if (!r->dead)
		req_close(r);
}

/* --- the pool --- */

struct upstream *upstream_new(uv_loop_t *uv, const struct upstream_opts *o)
{
	struct upstream *u = mem_new(sizeof(*u));
	const char *ca = o->ca_file ? o->ca_file : "";

	u->uv = uv;
	u->o = *o;
	u->ca_file = mem_strndup(ca, strlen(ca));
	u->o.ca_file = u->ca_file;
	pool_open(u);
	return u;
}

void upstream_free(struct upstream *u)
{
	size_t pos = 0;
	struct origin *o;

	if (!u || u->closing)
		return;
	BUG_ON(u->in_call); /* from on_head or on_data: our caller's bug */
	u->closing = true;
	while (u->reqs)
		req_close(u->reqs);
	while ((o = map_next(u->origins, &pos)))
		while (o->waiting)
			req_close(o->waiting);
	pool_close(u);
}
