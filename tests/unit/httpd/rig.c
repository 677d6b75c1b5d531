/* SPDX-License-Identifier: Apache-2.0
 *
 * See rig.h.  Paths: /hi answers "hi\n"; /echo the body; /none 204; /over
 * 413 when the body was over the limit; /hold waits for the test; /stream
 * begins an answer of unknown length and waits; /length announces 10 bytes and
 * waits; /big answers 4 MiB; everything else is 404.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/unit/httpd/rig.h"

static void on_gone(void *arg, struct hreq *r)
{
	struct rig *g = arg;

	g->gone++;
	if (g->held == r)
		g->held = NULL;
}

static void on_taken(void *arg, struct hreq *r, size_t n)
{
	struct rig *g = arg;

	(void)r;
	g->taken += n;
	g->takes++;
}

static void respond_big(struct hreq *r)
{
	size_t n = 4u << 20;
	uint8_t *p = malloc(n);

	assert_non_null(p);
	memset(p, 'x', n);
	hreq_respond(r, 200, NULL, 0, slice_of(p, n));
	free(p);
}

static void hold(struct rig *g, struct hreq *r)
{
	g->held = r;
	g->begun = false;
	hreq_on_gone(r, on_gone, g);
	hreq_on_taken(r, on_taken, g);
}

static void note(struct rig *g, struct hreq *r)
{
	struct slice p = hreq_path(r), b = hreq_body(r);

	g->seen++;
	snprintf(g->path, sizeof(g->path), "%.*s", (int)p.n, (const char *)p.p);
	if (b.n > 0 && b.n <= sizeof(g->body))
		memcpy(g->body, b.p, b.n);
}

static void on_request(void *arg, struct hreq *r)
{
	const struct hheader sse = { "content-type", SLICE_STR("text/event-stream") };
	const struct hheader text = { "content-type", SLICE_STR("text/plain") };
	struct rig *g = arg;

	note(g, r);
	if (hreq_over_limit(r)) {
		assert_null(hreq_body(r).p);
		hreq_respond(r, 413, NULL, 0, SLICE_STR("over"));
	} else if (slice_is(hreq_path(r), "/hi")) {
		hreq_respond(r, 200, &text, 1, SLICE_STR("hi\n"));
	} else if (slice_is(hreq_path(r), "/echo")) {
		hreq_respond(r, 200, &text, 1, hreq_body(r));
	} else if (slice_is(hreq_path(r), "/none")) {
		hreq_respond(r, 204, NULL, 0, SLICE_STR(""));
	} else if (slice_is(hreq_path(r), "/big")) {
		respond_big(r);
	} else if (slice_is(hreq_path(r), "/room")) {
		if (httpd_room(g->h, 4u << 20))
			respond_big(r);
		else
			hreq_respond(r, 503, NULL, 0, SLICE_STR("no room"));
	} else if (slice_is(hreq_path(r), "/hold")) {
		hold(g, r);
	} else if (slice_is(hreq_path(r), "/stream")) {
		hold(g, r);
		hreq_begin(r, 200, &sse, 1, UINT64_MAX);
	} else if (slice_is(hreq_path(r), "/length")) {
		hold(g, r);
		hreq_begin(r, 200, &text, 1, 10);
	} else {
		hreq_respond(r, 404, NULL, 0, SLICE_STR("no"));
	}
}

static void fill_defaults(struct rig *g)
{
	struct httpd_opts *o = &g->o;

	o->listen = o->listen != NULL ? o->listen : "127.0.0.1:0";
	o->max_body = o->max_body ? o->max_body : 65536;
	o->body_budget = o->body_budget ? o->body_budget : 64u << 20;
	o->head_ms = o->head_ms ? o->head_ms : 5000;
	o->body_ms = o->body_ms ? o->body_ms : 5000;
	o->idle_ms = o->idle_ms ? o->idle_ms : 5000;
	o->stall_ms = o->stall_ms ? o->stall_ms : 5000;
	o->max_conns = o->max_conns ? o->max_conns : 100;
	o->on_request = on_request;
	o->arg = g;
}

void rig_open(struct rig *g)
{
	signal(SIGPIPE, SIG_IGN);
	log_init("test", LOG_ERROR, false);
	fill_defaults(g);
	assert_int_equal(uv_loop_init(&g->loop), 0);
	assert_int_equal(httpd_open(&g->h, &g->loop, &g->o), ERR_OK);
	assert_true(httpd_port(g->h) > 0);
}

void rig_close(struct rig *g)
{
	httpd_close(g->h);
	uv_run(&g->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&g->loop), 0);
}

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

static void turn_once(struct rig *g)
{
	uv_run(&g->loop, UV_RUN_NOWAIT);
	usleep(200);
}

void rig_turn(struct rig *g, unsigned ms)
{
	uint64_t end = now_ms() + ms;

	while (now_ms() < end)
		turn_once(g);
}

bool rig_until(struct rig *g, const unsigned *what, unsigned n, unsigned ms)
{
	uint64_t end = now_ms() + ms;

	while (*what < n && now_ms() < end)
		turn_once(g);
	return *what >= n;
}

void rig_nobody_left(struct rig *g, unsigned ms)
{
	for (unsigned i = 0; i < ms && httpd_conns(g->h) > 0; i += 10)
		rig_turn(g, 10);
	assert_int_equal(httpd_conns(g->h), 0);
}

static void on_drained(void *arg)
{
	struct rig *g = arg;

	assert_false(g->drained);
	g->drained = true;
}

void rig_drain(struct rig *g)
{
	httpd_drain(g->h, on_drained, g);
}

bool rig_drained(struct rig *g, unsigned ms)
{
	for (unsigned i = 0; i < ms && !g->drained; i += 5)
		rig_turn(g, 5);
	return g->drained;
}

int rig_connect(struct rig *g)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(httpd_port(g->h)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	if (g->room)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &g->room, sizeof(g->room));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

int rig_open_client(struct rig *g)
{
	rig_open(g);
	return rig_connect(g);
}

void rig_narrow(struct rig *g)
{
	int small = 4096;

	rig_turn(g, 5); /* accept */
	for (int fd = 3; fd < 256; fd++) {
		struct sockaddr_in us = { 0 }, peer;
		socklen_t n = sizeof(us), m = sizeof(peer);

		if (getsockname(fd, (struct sockaddr *)&us, &n) == 0 &&
		    ntohs(us.sin_port) == httpd_port(g->h) &&
		    getpeername(fd, (struct sockaddr *)&peer, &m) == 0)
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	}
}

void rig_send(struct rig *g, int fd, const void *p, size_t n)
{
	const uint8_t *at = p;
	uint64_t end = now_ms() + 5000;

	while (n > 0 && now_ms() < end) {
		ssize_t w = send(fd, at, n, MSG_NOSIGNAL);

		if (w < 0 && errno != EAGAIN)
			return; /* the server cut us: what the test looks at shows it */
		if (w > 0) {
			at += w;
			n -= (size_t)w;
		}
		turn_once(g);
	}
}

void rig_say(struct rig *g, int fd, const char *text)
{
	rig_send(g, fd, text, strlen(text));
}

/* 1 bytes came, 0 nothing yet, -1 closed. */
static int read_some(int fd, struct buf *in)
{
	char tmp[65536];
	ssize_t n = recv(fd, tmp, sizeof(tmp), 0);

	if (n > 0)
		buf_add(in, tmp, (size_t)n);
	return n > 0 ? 1 : n < 0 && errno == EAGAIN ? 0 : -1;
}

bool rig_expect(struct rig *g, int fd, struct buf *in, const char *text, unsigned ms)
{
	uint64_t end = now_ms() + ms;

	while (rig_count(in, text) == 0) {
		int r = read_some(fd, in);

		if (r < 0 || now_ms() > end)
			return rig_count(in, text) > 0;
		if (r == 0)
			turn_once(g);
	}
	return true;
}

bool rig_closed(struct rig *g, int fd, struct buf *in, unsigned ms)
{
	uint64_t end = now_ms() + ms;

	for (;;) {
		int r = read_some(fd, in);

		if (r < 0)
			return true;
		if (now_ms() > end)
			return false;
		if (r == 0)
			turn_once(g);
	}
}

unsigned rig_count(const struct buf *b, const char *text)
{
	size_t n = strlen(text);
	unsigned c = 0;

	for (size_t i = 0; i + n <= b->n; i++)
		c += memcmp(b->p + i, text, n) == 0;
	return c;
}

int rig_run(struct rig *g, const char *command, struct buf *out, unsigned ms)
{
	uint64_t end = now_ms() + ms;
	int p[2], status = 0;
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(p[1], 1);
		dup2(p[1], 2);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	for (;;) {
		char tmp[4096];
		ssize_t n = read(p[0], tmp, sizeof(tmp));

		if (n > 0)
			buf_add(out, tmp, (size_t)n);
		if (n == 0)
			break;
		if (now_ms() > end) {
			kill(pid, SIGKILL);
			break;
		}
		turn_once(g);
	}
	close(p[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
