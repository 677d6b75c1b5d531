/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 without TLS (prior knowledge) by nghttp2: --per-conn lanes share one
 * connection.  An answer is complete by END_STREAM alone.
 */
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/load/load.h"

#define WINDOW (16 << 20)

struct conn {
	struct run *run;
	uv_tcp_t tcp;
	uv_connect_t connect;
	uv_prepare_t flush; /* one write per loop turn */
	nghttp2_session *h2;
	struct lane *waiting; /* lanes that want to send once connected */
	bool up, dead, dirty;
	bool leaving;      /* GOAWAY came: new streams go to next */
	struct conn *next; /* its successor */
	unsigned index;
	bool failed; /* never connected */
	char authority[64], length[16], bearer[256];
};

struct stream {
	struct lane *lane;
	int32_t id;
	size_t sent;
	bool ok;
};

struct write {
	uv_write_t w;
	char data[];
};

static struct conn *last_conn; /* the one that still has room */
static unsigned last_used;

static void on_written(uv_write_t *w, int status)
{
	(void)status;
	free(w);
}

static void queue(struct conn *c, const uint8_t *p, size_t n)
{
	struct write *w = mem_new(sizeof(*w) + n);
	uv_buf_t b = uv_buf_init(w->data, (unsigned)n);

	memcpy(w->data, p, n);
	if (uv_write(&w->w, (uv_stream_t *)&c->tcp, &b, 1, on_written) != 0)
		free(w);
}

static void flush(struct conn *c)
{
	static struct buf out;
	const uint8_t *p;
	ssize_t n;
	uv_buf_t b;
	int done;

	buf_reset(&out);
	while ((n = nghttp2_session_mem_send(c->h2, &p)) > 0)
		buf_add(&out, p, (size_t)n);
	c->dirty = false;
	if (!out.n)
		return;
	b = uv_buf_init((char *)out.p, (unsigned)out.n);
	done = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
	if (done < 0)
		done = 0;
	if ((size_t)done < out.n)
		queue(c, out.p + done, out.n - (size_t)done);
}

static void on_prepare(uv_prepare_t *h)
{
	struct conn *c = h->data;

	if (c->up && c->dirty)
		flush(c);
}

static ssize_t on_source(nghttp2_session *h2, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
			 nghttp2_data_source *src, void *arg)
{
	struct stream *s = src->ptr;
	const struct buf *b = &s->lane->x.body->json;
	size_t n = b->n - s->sent < len ? b->n - s->sent : len;

	(void)h2;
	(void)id;
	(void)arg;
	memcpy(buf, b->p + s->sent, n);
	s->sent += n;
	if (s->sent == b->n)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static nghttp2_nv nv(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0 };
}

static void submit(struct conn *c, struct lane *l)
{
	struct run *r = c->run;
	struct stream *s = mem_new(sizeof(*s));
	nghttp2_data_provider body = { .source.ptr = s, .read_callback = on_source };
	char length[24];
	nghttp2_nv h[] = { nv(":method", "POST"),
			   nv(":scheme", "http"),
			   nv(":authority", c->authority),
			   nv(":path", r->o.path),
			   nv("content-type", "application/json"),
			   nv("content-length", length),
			   nv("authorization", c->bearer) };

	s->lane = l;
	snprintf(length, sizeof(length), "%zu", l->x.body->json.n);
	h[5] = nv("content-length", length);
	s->id = nghttp2_submit_request(c->h2, NULL, h, r->o.token ? 7 : 6, &body, s);
	c->dirty = true;
	if (s->id < 0) {
		free(s);
		lane_done(l, "no stream");
	}
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *f, const uint8_t *name, size_t nn,
		     const uint8_t *value, size_t vn, uint8_t flags, void *arg)
{
	struct stream *s = nghttp2_session_get_stream_user_data(h2, f->hd.stream_id);
	struct conn *c = arg;

	(void)flags;
	(void)vn;
	if (s && nn == 7 && memcmp(name, ":status", 7) == 0)
		xfer_head(c->run, &s->lane->x, atoi((const char *)value));
	return 0;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	struct stream *s = nghttp2_session_get_stream_user_data(h2, id);
	struct conn *c = arg;

	(void)flags;
	if (s)
		xfer_bytes(c->run, &s->lane->x, p, n);
	return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *f, void *arg)
{
	struct conn *c = arg;
	struct stream *s;

	if (f->hd.type == NGHTTP2_GOAWAY)
		c->leaving = true; /* as servers do after so many requests */
	if (!(f->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
	    (f->hd.type != NGHTTP2_DATA && f->hd.type != NGHTTP2_HEADERS))
		return 0;
	s = nghttp2_session_get_stream_user_data(h2, f->hd.stream_id);
	if (s)
		s->ok = true;
	return 0;
}

static int on_stream_close(nghttp2_session *h2, int32_t id, uint32_t error, void *arg)
{
	struct stream *s = nghttp2_session_get_stream_user_data(h2, id);

	(void)arg;
	if (s) {
		struct lane *l = s->lane;
		bool ok = s->ok && error == 0;

		free(s);
		if (error == NGHTTP2_REFUSED_STREAM &&
		    !l->x.first) /* RFC 9113 8.7: nothing was done with it */
			h2_send(l);
		else
			lane_done(l, ok ? NULL : "stream reset");
	}
	return 0;
}

static void die(struct conn *c, const char *why)
{
	if (c->dead)
		return;
	c->dead = true;
	c->up = false;
	uv_prepare_stop(&c->flush);
	uv_close((uv_handle_t *)&c->tcp, NULL);
	for (unsigned i = 0; i < c->run->open_lanes; i++) {
		struct lane *l = &c->run->lanes[i];

		if (l->via == c && l->busy)
			lane_done(l, why);
	}
}

static void on_alloc(uv_handle_t *h, size_t n, uv_buf_t *out)
{
	struct conn *c = h->data;

	(void)n;
	*out = uv_buf_init(c->run->read, sizeof(c->run->read));
}

static void on_read(uv_stream_t *t, ssize_t n, const uv_buf_t *b)
{
	struct conn *c = t->data;

	if (n > 0 && nghttp2_session_mem_recv(c->h2, (uint8_t *)b->base, (size_t)n) < 0)
		n = -1;
	c->dirty = true;
	if (n < 0)
		die(c, "cut off");
	else if (c->leaving && !nghttp2_session_want_read(c->h2) && !nghttp2_session_want_write(c->h2))
		die(c, "cut off");
}

static void on_connected(uv_connect_t *req, int status)
{
	struct conn *c = req->data;
	struct lane *l, *next;

	if (status < 0) {
		c->failed = true;
		die(c, "cannot connect");
		return;
	}
	c->up = true;
	uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
	for (l = c->waiting, c->waiting = NULL; l; l = next) {
		next = l->next;
		submit(c, l);
	}
}

static void make_session(struct conn *c)
{
	static const nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
							   { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW } };
	nghttp2_session_callbacks *cb;

	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_client_new(&c->h2, cb, c);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(c->h2, 0, settings, 2);
	nghttp2_session_set_local_window_size(c->h2, 0, 0, WINDOW);
	c->dirty = true;
}

static struct conn *conn_new(struct run *r, unsigned index)
{
	struct conn *c = mem_new(sizeof(*c));

	c->run = r;
	c->index = index;
	snprintf(c->authority, sizeof(c->authority), "%s:%u", r->o.host, r->o.port);
	snprintf(c->bearer, sizeof(c->bearer), "Bearer %s", r->o.token ? r->o.token : "");
	make_session(c);
	uv_prepare_init(r->uv, &c->flush);
	c->flush.data = c;
	uv_prepare_start(&c->flush, on_prepare);
	c->connect.data = c;
	tcp_connect(r, &c->tcp, &c->connect, index, on_connected);
	c->tcp.data = c;
	return c;
}

void h2_open(struct lane *l, unsigned index)
{
	if (!last_conn || last_used == l->run->o.per_conn) {
		last_conn = conn_new(l->run, index);
		last_used = 0;
	}
	last_used++;
	l->via = last_conn;
}

void h2_send(struct lane *l)
{
	struct conn *c = l->via;

	if (c->failed) {
		lane_done(l, "no connection");
		return;
	}
	while (c->leaving || c->dead) {
		if (!c->next)
			c->next = conn_new(c->run, c->index);
		c = l->via = c->next;
	}
	if (c->up) {
		submit(c, l);
	} else {
		l->next = c->waiting;
		c->waiting = l;
	}
}
