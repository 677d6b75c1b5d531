/* SPDX-License-Identifier: Apache-2.0
 *
 * The scripted server of the tests (fake_server.h).
 */
#include "tests/unit/net/fake_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct fake_server {
	uv_loop_t *uv;
	uv_tcp_t tcp;
	struct fake_events ev;
	struct fake_conn *conns;
	unsigned accepted;
	uint16_t port;
};

struct fake_conn {
	struct fake_server *server;
	struct fake_conn *next;
	uv_tcp_t tcp;
	struct buf in;
	bool closing;
};

struct said {
	uv_write_t req;
	char bytes[];
};

static void on_alloc(uv_handle_t *h, size_t n, uv_buf_t *out)
{
	(void)h;
	*out = uv_buf_init(mem_new(n), (unsigned)n);
}

static void on_conn_closed(uv_handle_t *h)
{
	struct fake_conn *c = h->data;

	buf_free(&c->in);
	free(c);
}

static void forget(struct fake_conn *c)
{
	struct fake_conn **at = &c->server->conns;

	c->closing = true;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
}

static void drop(struct fake_conn *c)
{
	if (c->closing)
		return;
	forget(c);
	uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
}

struct slice fake_body(struct slice request)
{
	const uint8_t *end = memmem(request.p, request.n, "\r\n\r\n", 4);

	return end ? slice_of(end + 4, request.n - (size_t)(end + 4 - request.p)) : slice_of(NULL, 0);
}

struct slice fake_header(struct slice request, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i + n + 4 < request.n; i++) {
		const uint8_t *v = request.p + i + 2 + n + 2, *end;

		if (memcmp(request.p + i, "\r\n", 2) != 0 ||
		    strncasecmp((const char *)request.p + i + 2, name, n) != 0 || request.p[i + 2 + n] != ':')
			continue;
		end = memmem(v, request.n - (size_t)(v - request.p), "\r\n", 2);
		return slice_of(v, (size_t)(end - v));
	}
	return slice_of(NULL, 0);
}

static void take(struct fake_conn *c)
{
	struct slice in = buf_slice(&c->in), length, body = fake_body(in);
	uint64_t want = 0;

	if (!body.p)
		return;
	length = fake_header(in, "Content-Length");
	if (length.n && slice_u64(length, UINT32_MAX, &want))
		abort();
	if (body.n < want)
		return;
	c->server->ev.request(c->server->ev.arg, c, in);
	buf_reset(&c->in);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct fake_conn *c = s->data;

	if (n > 0) {
		buf_add(&c->in, b->base, (size_t)n);
		take(c);
	} else if (n < 0) {
		if (c->server->ev.gone && !c->closing)
			c->server->ev.gone(c->server->ev.arg, c);
		drop(c);
	}
	free(b->base);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct fake_server *s = listener->data;
	struct fake_conn *c = mem_new(sizeof(*c));

	if (status)
		abort();
	c->server = s;
	c->next = s->conns;
	s->conns = c;
	s->accepted++;
	uv_tcp_init(s->uv, &c->tcp);
	c->tcp.data = c;
	if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0)
		abort();
	uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

struct fake_server *fake_open(uv_loop_t *uv, const struct fake_events *ev)
{
	struct fake_server *s = mem_new(sizeof(*s));
	struct sockaddr_in addr;
	int n = sizeof(addr);

	s->uv = uv;
	s->ev = *ev;
	uv_tcp_init(uv, &s->tcp);
	s->tcp.data = s;
	uv_ip4_addr("127.0.0.1", 0, &addr);
	if (uv_tcp_bind(&s->tcp, (struct sockaddr *)&addr, 0) ||
	    uv_listen((uv_stream_t *)&s->tcp, 16, on_connection))
		abort();
	uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&addr, &n);
	s->port = ntohs(addr.sin_port);
	return s;
}

uint16_t fake_port(const struct fake_server *s)
{
	return s->port;
}

unsigned fake_accepted(const struct fake_server *s)
{
	return s->accepted;
}

struct fake_conn *fake_newest(const struct fake_server *s)
{
	return s->conns;
}

static void on_server_closed(uv_handle_t *h)
{
	free(h->data);
}

void fake_close(struct fake_server *s)
{
	while (s->conns)
		drop(s->conns);
	uv_close((uv_handle_t *)&s->tcp, on_server_closed);
}

static void on_said(uv_write_t *req, int status)
{
	(void)status;
	free(req->data);
}

void fake_say_bytes(struct fake_conn *c, struct slice bytes)
{
	struct said *w = mem_new(sizeof(*w) + bytes.n);
	uv_buf_t b = uv_buf_init(w->bytes, (unsigned)bytes.n);

	memcpy(w->bytes, bytes.p, bytes.n);
	w->req.data = w;
	if (uv_write(&w->req, (uv_stream_t *)&c->tcp, &b, 1, on_said))
		abort();
}

void fake_say(struct fake_conn *c, const char *text)
{
	fake_say_bytes(c, slice_str(text));
}

void fake_chunk(struct fake_conn *c, struct slice bytes)
{
	struct buf b = { 0 };

	buf_fmt(&b, "%zx\r\n", bytes.n);
	buf_add(&b, bytes.p, bytes.n);
	buf_str(&b, "\r\n");
	fake_say_bytes(c, buf_slice(&b));
	buf_free(&b);
}

void fake_send_buffer(struct fake_conn *c, int bytes)
{
	uv_send_buffer_size((uv_handle_t *)&c->tcp, &bytes);
}

size_t fake_unsent(const struct fake_conn *c)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
}

static void on_shut(uv_shutdown_t *req, int status)
{
	struct fake_conn *c = req->handle->data;

	(void)status;
	free(req);
	drop(c);
}

void fake_hang_up(struct fake_conn *c)
{
	uv_shutdown_t *req = mem_new(sizeof(*req));

	uv_read_stop((uv_stream_t *)&c->tcp);
	if (uv_shutdown(req, (uv_stream_t *)&c->tcp, on_shut))
		free(req);
}

void fake_deafen(struct fake_conn *c)
{
	uv_read_stop((uv_stream_t *)&c->tcp);
}

void fake_reset(struct fake_conn *c)
{
	forget(c);
	if (uv_tcp_close_reset(&c->tcp, on_conn_closed))
		abort();
}

static void on_deadline(uv_timer_t *t)
{
	*(bool *)t->data = true;
}

bool fake_run(uv_loop_t *uv, const bool *flag, uint64_t ms)
{
	static const bool never;
	bool late = false;
	uv_timer_t t;

	if (!flag)
		flag = &never;
	uv_timer_init(uv, &t);
	t.data = &late;
	uv_update_time(uv);
	uv_timer_start(&t, on_deadline, ms, 0);
	while (!*flag && !late)
		uv_run(uv, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&t, NULL);
	uv_run(uv, UV_RUN_NOWAIT);
	return *flag;
}
