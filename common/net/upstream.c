/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP client of upstream.h: libcurl's multi interface driven by libuv.
 * HTTP/1.1 only, one connection per exchange, kept for the next one.
 *
 * Invariants:
 * - Callbacks of curl run with in_curl > 0.  Nothing is added to, removed from
 *   or cleaned up in the multi handle then: what a caller asks for meanwhile
 *   (cancel, free) is marked and carried out by upstream_settle afterwards.
 * - A request is never posted twice: curl repeats one by itself when a kept
 *   connection turns out dead, and on_begin (upstream_curl.c) stops that once a
 *   byte of the body was handed over.  A sealed request is answered once
 *   (PROTOCOL 4.5).
 * - A body counts as whole only if its end was marked (Content-Length or
 *   chunked): a close-delimited one cannot be told from a cut one.
 * - Deadlines after the connect are ours: one timer per request looks at all.
 */
#include "common/net/upstream_impl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define IDLE_DEFAULT 64

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
	free(u);
}

/* --- deadlines, pausing, the end --- */

static void on_req_closed(uv_handle_t *h)
{
	struct upstream_req *r = h->data;
	struct upstream *u = r->up;

	free((char *)r->c.method);
	free((char *)r->c.url);
	free(r);
	upstream_unuse(u);
}

static void link_req(struct upstream_req *r, struct upstream_req **list)
{
	r->next = *list;
	if (r->next)
		r->next->link = &r->next;
	r->link = list;
	*list = r;
}

static void unlink_req(struct upstream_req *r)
{
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
}

/* Takes r out of curl and lets go of it.  Not from inside curl. */
static void req_close(struct upstream_req *r)
{
	if (!r->easy)
		return;
	curl_multi_remove_handle(r->up->multi, r->easy);
	curl_easy_cleanup(r->easy);
	r->easy = NULL;
	curl_slist_free_all(r->headers);
	unlink_req(r);
	uv_close((uv_handle_t *)&r->timer, on_req_closed);
}

static enum upstream_result judge(const struct upstream_req *r, CURLcode code)
{
	if (!r->begun)
		return r->refused ? UPSTREAM_REFUSED : UPSTREAM_CONNECT;
	if (r->late)
		return UPSTREAM_TIMEOUT;
	if (r->over)
		return UPSTREAM_INVALID;
	switch (code) {
	case CURLE_OK:
		return r->head && r->bounded ? UPSTREAM_OK : UPSTREAM_CUT;
	case CURLE_OPERATION_TIMEDOUT:
		return UPSTREAM_TIMEOUT;
	case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9 */
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_FILESIZE_EXCEEDED:
	case CURLE_OUT_OF_MEMORY: /* headers over curl's limits */
		return UPSTREAM_INVALID;
	default:
		return UPSTREAM_CUT;
	}
}

static void finish(struct upstream_req *r, CURLcode code)
{
	enum upstream_result result = judge(r, code);
	void (*done)(void *, enum upstream_result) = r->dead ? NULL : r->c.on_done;
	void *arg = r->c.arg;

	req_close(r);
	if (done)
		done(arg, result);
}

static uint64_t sooner(uint64_t a, uint64_t since, uint64_t ms)
{
	return ms && since + ms < a ? since + ms : a;
}

/* When the next deadline that counts now passes. */
static uint64_t next_deadline(const struct upstream_req *r)
{
	uint64_t at = sooner(UINT64_MAX, r->started, r->c.total_ms);

	if (r->head && !r->paused)
		at = sooner(at, r->progress, r->c.gap_ms);
	else if (r->begun && !r->head)
		at = sooner(at, r->began, r->c.first_byte_ms);
	return at;
}

/* Until the connection stands there is nothing to aim at but the future: the
 * timer then looks again within the shortest deadline. */
static uint64_t next_look(const struct upstream_req *r, uint64_t now)
{
	uint64_t at = next_deadline(r), shortest = 1000;

	shortest = sooner(shortest, 0, r->c.first_byte_ms);
	shortest = sooner(shortest, 0, r->c.gap_ms);
	if (at > now + shortest && (!r->head || r->paused))
		at = now + shortest;
	if (at == UINT64_MAX)
		return 60000;
	return at > now ? at - now : 0;
}

static void unhold(struct upstream_req *r)
{
	struct upstream *u = r->up;

	r->held = false;
	u->in_curl++;
	curl_easy_pause(r->easy, CURLPAUSE_CONT);
	u->in_curl--;
}

static void on_req_timer(uv_timer_t *t)
{
	struct upstream_req *r = t->data;
	struct upstream *u = r->up;
	uint64_t now = uv_now(u->uv);

	if (!r->dead && now >= next_deadline(r)) {
		r->late = true;
		finish(r, CURLE_OPERATION_TIMEDOUT);
		return;
	}
	uv_timer_start(&r->timer, on_req_timer, next_look(r, now), 0);
	if (r->held && !r->paused && !r->dead)
		unhold(r);
	upstream_settle(u);
}

/* What could not be done inside curl: ends requests that are through or
 * cancelled.  It runs after every event of every socket, so it looks at those
 * alone and never at all that are open. */
void upstream_settle(struct upstream *u)
{
	struct upstream_req *r;
	CURLMsg *m;
	int left;

	if (u->in_curl || u->closing)
		return;
	while (u->cancelled)
		req_close(u->cancelled);
	while (!u->closing && (m = curl_multi_info_read(u->multi, &left))) {
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
		finish(r, m->data.result);
	}
}

/* --- starting --- */

static void enter(struct upstream_req *r)
{
	struct upstream *u = r->up;

	link_req(r, &u->reqs);
	uv_timer_init(u->uv, &r->timer);
	r->timer.data = r;
	u->users++;
}

static void on_start(uv_timer_t *t)
{
	struct upstream_req *r = t->data;

	uv_update_time(r->up->uv);
	r->started = uv_now(r->up->uv);
	BUG_ON(curl_multi_add_handle(r->up->multi, r->easy));
	uv_timer_start(&r->timer, on_req_timer, next_look(r, r->started), 0);
}

struct upstream_req *upstream_start(struct upstream *u, const struct upstream_call *c)
{
	struct upstream_req *r = mem_new(sizeof(*r));

	r->up = u;
	r->c = *c;
	r->c.method = mem_strndup(c->method, strlen(c->method));
	r->c.url = mem_strndup(c->url, strlen(c->url));
	r->tls = strncasecmp(c->url, "https://", 8) == 0;
	upstream_curl_open(r);
	enter(r);
	/* By the timer, because a caller may be inside a callback of another request. */
	uv_timer_start(&r->timer, on_start, 0, 0);
	return r;
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
	r->progress = uv_now(r->up->uv);
	if (r->started)
		uv_timer_start(&r->timer, on_req_timer, 0, 0);
}

/* curl cannot send it again either: on_begin stops that. */
bool upstream_sent(const struct upstream_req *r)
{
	return r->sent > 0 && r->sent == r->c.body.n;
}

void upstream_cancel(struct upstream_req *r)
{
	if (r->dead)
		return;
	r->dead = true;
	r->c.body = slice_of(NULL, 0);
	r->sent = 0;
	if (!r->up->in_curl) {
		req_close(r);
		return;
	}
	unlink_req(r);
	link_req(r, &r->up->cancelled);
}

/* --- the pool --- */

static void curl_start_once(void)
{
	static bool started;

	if (started)
		return;
	BUG_ON(curl_global_init(CURL_GLOBAL_DEFAULT));
	started = true;
}

struct upstream *upstream_new(uv_loop_t *uv, const struct upstream_opts *o)
{
	struct upstream *u = mem_new(sizeof(*u));
	const char *ca = o->ca_file ? o->ca_file : "";

	curl_start_once();
	u->uv = uv;
	u->o = *o;
	u->ca_file = mem_strndup(ca, strlen(ca));
	u->o.ca_file = u->ca_file;
	u->multi = curl_multi_init();
	BUG_ON(!u->multi);
	curl_multi_setopt(u->multi, CURLMOPT_MAXCONNECTS, (long)(o->max_idle ? o->max_idle : IDLE_DEFAULT));
	curl_multi_setopt(u->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	upstream_uv_open(u);
	return u;
}

void upstream_free(struct upstream *u)
{
	if (!u || u->closing)
		return;
	BUG_ON(u->in_curl); /* from on_head or on_data: our caller's bug */
	while (u->cancelled)
		req_close(u->cancelled);
	while (u->reqs) {
		u->reqs->dead = true;
		req_close(u->reqs);
	}
	u->closing = true;
	curl_multi_cleanup(u->multi);
	upstream_uv_close(u);
}
