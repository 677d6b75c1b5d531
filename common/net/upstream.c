/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP client of upstream.h: libcurl's multi interface driven by libuv.
 * HTTP/1.1 only, one connection per exchange, kept for the next one.
 *
 * Invariants:
 * - Callbacks of curl run with in_curl > 0.  Nothing is added to, removed from
 *   or cleaned up in the multi handle then: what a caller asks for meanwhile
 *   (cancel, free) is marked and carried out by settle() afterwards.
 * - A request is never posted twice: curl repeats one by itself when a kept
 *   connection turns out dead, and on_begin() stops that once a byte of the
 *   body was handed over.  A sealed request is answered once (PROTOCOL 4.5).
 * - A body counts as whole only if its end was marked (Content-Length or
 *   chunked): a close-delimited one cannot be told from a cut one.
 * - Deadlines after the connect are ours: one timer per request looks at all.
 */
#include "common/net/upstream.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define TYPE_MAX 96
#define IDLE_DEFAULT 64
#define IDLE_SECONDS 5L /* below the keep-alive time of common servers, so that a kept one is rarely dead */

struct watch { /* one socket of curl's */
	uv_poll_t poll;
	struct upstream *up;
	curl_socket_t fd;
};

struct upstream {
	uv_loop_t *uv;
	CURLM *multi;
	uv_timer_t timer; /* curl's own */
	struct upstream_req *reqs;
	struct upstream_opts o;
	char *ca_file;
	unsigned in_curl;
	unsigned users; /* libuv handles not closed yet */
	bool closing;
};

struct upstream_req {
	struct upstream *up;
	struct upstream_req *next, **link;
	CURL *easy; /* NULL once taken out of the multi handle */
	struct curl_slist *headers;
	uv_timer_t timer; /* deadlines, and resuming */
	struct upstream_call c;
	size_t sent;                   /* bytes of the body handed to curl */
	uint64_t began, progress, got; /* ms; ms; body bytes */
	uint64_t started;
	int status;
	char type[TYPE_MAX];
	bool begun;      /* connected: bytes may have gone out */
	bool head;       /* on_head was called */
	bool bounded;    /* the body's end is marked */
	bool paused;     /* asked for */
	bool held;       /* curl stopped reading */
	bool refused;    /* allow_address said no */
	bool late, over; /* a deadline passed; over max_body */
	bool dead;       /* cancelled: no more callbacks */
};

const char *upstream_result_name(enum upstream_result r)
{
	static const char *const names[] = { "ok", "refused", "connect", "timeout", "cut", "invalid" };

	return (unsigned)r < sizeof(names) / sizeof(names[0]) ? names[r] : "?";
}

static void settle(struct upstream *u);

/* --- sockets and curl's timer on libuv --- */

static void on_handle_closed(struct upstream *u)
{
	if (--u->users > 0)
		return;
	free(u->ca_file);
	free(u);
}

static void on_watch_closed(uv_handle_t *h)
{
	struct watch *w = h->data;
	struct upstream *u = w->up;

	free(w);
	on_handle_closed(u);
}

static void on_timer_closed(uv_handle_t *h)
{
	on_handle_closed(h->data);
}

static void drive(struct upstream *u, curl_socket_t fd, int events)
{
	int running;

	u->in_curl++;
	curl_multi_socket_action(u->multi, fd, events, &running);
	u->in_curl--;
	settle(u);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	struct watch *w = p->data;
	int flags = 0;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	drive(w->up, w->fd, flags);
}

static void on_timeout(uv_timer_t *t)
{
	drive(t->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *m, long ms, void *arg)
{
	struct upstream *u = arg;

	(void)m;
	if (u->closing)
		return 0;
	if (ms < 0)
		uv_timer_stop(&u->timer);
	else
		uv_timer_start(&u->timer, on_timeout, (uint64_t)ms, 0);
	return 0;
}

static struct watch *watch_new(struct upstream *u, curl_socket_t fd)
{
	struct watch *w = mem_new(sizeof(*w));

	w->up = u;
	w->fd = fd;
	w->poll.data = w;
	BUG_ON(uv_poll_init(u->uv, &w->poll, fd));
	u->users++;
	curl_multi_assign(u->multi, fd, w);
	return w;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *mine)
{
	struct upstream *u = arg;
	struct watch *w = mine;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w)
			uv_close((uv_handle_t *)&w->poll, on_watch_closed);
		curl_multi_assign(u->multi, fd, NULL);
		return 0;
	}
	if (!w)
		w = watch_new(u, fd);
	uv_poll_start(&w->poll,
		      (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0),
		      on_poll);
	return 0;
}

/* --- one request: curl's callbacks --- */

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct upstream_req *r = arg;
	struct upstream *u = r->up;

	(void)purpose;
	if (u->o.allow_address && !u->o.allow_address(u->o.arg, &a->addr)) {
		r->refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* Connected, about to send.  A second time means that curl repeats itself. */
static int on_begin(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct upstream_req *r = arg;

	(void)ip, (void)local_ip, (void)port, (void)local_port;
	if (r->dead || r->sent)
		return CURL_PREREQFUNC_ABORT;
	r->begun = true;
	r->began = uv_now(r->up->uv);
	return CURL_PREREQFUNC_OK;
}

static size_t on_read(char *to, size_t size, size_t n, void *arg)
{
	struct upstream_req *r = arg;
	size_t left = r->c.body.n - r->sent;

	if (r->dead)
		return CURL_READFUNC_ABORT;
	n *= size;
	if (n > left)
		n = left;
	if (n)
		memcpy(to, r->c.body.p + r->sent, n);
	r->sent += n;
	return n;
}

/* The value of header name on this line, without white space around it. */
static bool header_is(struct slice line, const char *name, struct slice *value)
{
	size_t n = strlen(name);

	if (line.n <= n || line.p[n] != ':' || strncasecmp((const char *)line.p, name, n) != 0)
		return false;
	line = slice_of(line.p + n + 1, line.n - n - 1);
	while (line.n && (line.p[0] == ' ' || line.p[0] == '\t'))
		line = slice_of(line.p + 1, line.n - 1);
	while (line.n && strchr(" \t\r\n", line.p[line.n - 1]) && line.p[line.n - 1])
		line.n--;
	*value = line;
	return true;
}

static void take_type(struct upstream_req *r, struct slice v)
{
	size_t n = 0;

	while (n < v.n && n < TYPE_MAX - 1 && !strchr("; \t", v.p[n])) {
		r->type[n] = v.p[n] >= 'A' && v.p[n] <= 'Z' ? (char)(v.p[n] | 0x20) : (char)v.p[n];
		n++;
	}
	r->type[n] = '\0';
}

static void take_header(struct upstream_req *r, struct slice line)
{
	struct slice v;

	if (header_is(line, "content-type", &v))
		take_type(r, v);
	else if (header_is(line, "content-length", &v))
		r->bounded = true;
	else if (header_is(line, "transfer-encoding", &v) && v.n >= 7 &&
		 strncasecmp((const char *)v.p + v.n - 7, "chunked", 7) == 0)
		r->bounded = true;
}

static void take_status(struct upstream_req *r)
{
	long status = 0;

	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	r->status = (int)status;
	r->type[0] = '\0';
	r->bounded = status == 204 || status == 304 || strcmp(r->c.method, "HEAD") == 0;
}

static void head_ends(struct upstream_req *r)
{
	if (r->status >= 100 && r->status < 200)
		return; /* an interim answer; the real one follows */
	r->head = true;
	r->progress = uv_now(r->up->uv);
	if (r->c.on_head)
		r->c.on_head(r->c.arg, r->status, r->type);
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct upstream_req *r = arg;
	struct slice line = slice_of(p, n *= size);

	if (r->dead)
		return 0;
	if (r->head)
		return n; /* trailers mean nothing here */
	if (n >= 5 && memcmp(p, "HTTP/", 5) == 0)
		take_status(r);
	else if (n <= 2 && (n == 0 || p[0] == '\r' || p[0] == '\n'))
		head_ends(r);
	else
		take_header(r, line);
	return r->dead ? 0 : n;
}

static size_t on_write(char *p, size_t size, size_t n, void *arg)
{
	struct upstream_req *r = arg;

	n *= size;
	if (r->dead)
		return 0;
	if (r->paused) {
		r->held = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	r->got += n;
	if (r->c.max_body && r->got > r->c.max_body) {
		r->over = true;
		return 0;
	}
	r->progress = uv_now(r->up->uv);
	if (r->c.on_data && n)
		r->c.on_data(r->c.arg, slice_of(p, n));
	return r->dead ? 0 : n;
}

/* --- one request: deadlines, pausing, the end --- */

static void on_req_closed(uv_handle_t *h)
{
	struct upstream_req *r = h->data;
	struct upstream *u = r->up;

	free((char *)r->c.method);
	free((char *)r->c.url);
	free(r);
	on_handle_closed(u);
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
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
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
	settle(u);
}

/* What could not be done inside curl: ends requests that are through or
 * cancelled, and the pool itself. */
static void settle(struct upstream *u)
{
	struct upstream_req *r, *next;
	CURLMsg *m;
	int left;

	if (u->in_curl || u->closing)
		return;
	for (r = u->reqs; r; r = next) {
		next = r->next;
		if (r->dead)
			req_close(r);
	}
	while (!u->closing && (m = curl_multi_info_read(u->multi, &left))) {
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
		finish(r, m->data.result);
	}
}

/* --- starting --- */

static void set_headers(struct upstream_req *r)
{
	struct buf line = { .secret = true };
	bool typed = false;

	for (size_t i = 0; i < r->c.n_headers; i++) {
		typed |= strcasecmp(r->c.headers[i].name, "content-type") == 0;
		buf_reset(&line);
		buf_fmt(&line, "%s: ", r->c.headers[i].name);
		buf_add(&line, r->c.headers[i].value.p, r->c.headers[i].value.n);
		buf_add(&line, "", 1);
		r->headers = curl_slist_append(r->headers, (char *)line.p);
		BUG_ON(!r->headers);
	}
	if (!typed)
		r->headers = curl_slist_append(r->headers, "Content-Type:"); /* not curl's form type */
	r->headers = curl_slist_append(r->headers, "Expect:");
	BUG_ON(!r->headers);
	r->c.headers = NULL;
	buf_free(&line);
	curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
}

static void set_method(struct upstream_req *r)
{
	CURL *e = r->easy;

	if (strcmp(r->c.method, "GET") == 0) {
		curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
		return;
	}
	if (strcmp(r->c.method, "HEAD") == 0) {
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
		return;
	}
	curl_easy_setopt(e, CURLOPT_POST, 1L);
	if (strcmp(r->c.method, "POST") != 0)
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->c.method);
	curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->c.body.n);
	if (r->c.body.n == 0)
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, "");
}

/* Nothing from the environment, nowhere but where the URL says. */
static void set_safety(CURL *e)
{
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(e, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_HTTP09_ALLOWED, 0L);
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, IDLE_SECONDS);
	curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
}

static void set_callbacks(struct upstream_req *r)
{
	CURL *e = r->easy;

	curl_easy_setopt(e, CURLOPT_PRIVATE, r);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, r);
	curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_begin);
	curl_easy_setopt(e, CURLOPT_PREREQDATA, r);
	curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(e, CURLOPT_READDATA, r);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, r);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
}

static void set_connection(struct upstream_req *r)
{
	CURL *e = r->easy;

	curl_easy_setopt(e, CURLOPT_URL, r->c.url);
	if (r->c.connect_ms)
		curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)r->c.connect_ms);
	if (*r->up->ca_file) {
		curl_easy_setopt(e, CURLOPT_CAINFO, r->up->ca_file);
		curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
	}
}

static void link_req(struct upstream_req *r)
{
	struct upstream *u = r->up;

	r->next = u->reqs;
	if (r->next)
		r->next->link = &r->next;
	r->link = &u->reqs;
	u->reqs = r;
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
	r->easy = curl_easy_init();
	BUG_ON(!r->easy);
	link_req(r);
	set_safety(r->easy);
	set_callbacks(r);
	set_connection(r);
	set_method(r);
	set_headers(r);
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

void upstream_cancel(struct upstream_req *r)
{
	if (r->dead)
		return;
	r->dead = true;
	r->c.body = slice_of(NULL, 0);
	r->sent = 0;
	if (!r->up->in_curl)
		req_close(r);
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
	curl_multi_setopt(u->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl_multi_setopt(u->multi, CURLMOPT_SOCKETDATA, u);
	curl_multi_setopt(u->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(u->multi, CURLMOPT_TIMERDATA, u);
	curl_multi_setopt(u->multi, CURLMOPT_MAXCONNECTS, (long)(o->max_idle ? o->max_idle : IDLE_DEFAULT));
	curl_multi_setopt(u->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	uv_timer_init(uv, &u->timer);
	u->timer.data = u;
	u->users = 1;
	return u;
}

void upstream_free(struct upstream *u)
{
	if (!u || u->closing)
		return;
	BUG_ON(u->in_curl); /* from on_head or on_data: our caller's bug */
	while (u->reqs) {
		u->reqs->dead = true;
		req_close(u->reqs);
	}
	u->closing = true;
	curl_multi_cleanup(u->multi);
	uv_close((uv_handle_t *)&u->timer, on_timer_closed);
}
