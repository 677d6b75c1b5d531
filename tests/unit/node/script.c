/* SPDX-License-Identifier: Apache-2.0
 *
 * See script.h.
 */
#include "tests/unit/node/script.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/node/unit.h"

static void on_alloc(uv_handle_t *h, size_t want, uv_buf_t *out)
{
	static char room[65536];

	(void)h, (void)want;
	*out = uv_buf_init(room, sizeof(room));
}

static void take_connection(struct script *s);

static void on_conn_closed(uv_handle_t *h)
{
	struct script *s = h->data;

	s->open = false;
	if (s->waiting && !uv_is_closing((uv_handle_t *)&s->listener))
		take_connection(s);
}

static void hang_up(struct script *s)
{
	uv_timer_stop(&s->timer);
	if (s->open && !uv_is_closing((uv_handle_t *)&s->conn))
		uv_close((uv_handle_t *)&s->conn, on_conn_closed);
}

static void on_timer(uv_timer_t *t)
{
	struct script *s = t->data;
	const char *piece = s->pieces[s->next];
	uv_buf_t b;

	if (!piece) {
		uv_timer_stop(t);
		if (!s->hold)
			hang_up(s);
		return;
	}
	b = uv_buf_init((char *)piece, (unsigned)strlen(piece));
	assert_int_equal(uv_try_write((uv_stream_t *)&s->conn, &b, 1), b.len);
	s->next++;
}

static bool complete(const struct script *s)
{
	struct buf text = { 0 };
	const char *end, *length;
	bool yes = false;

	buf_add(&text, s->asked.p, s->asked.n);
	buf_add(&text, "", 1);
	end = strstr((char *)text.p, "\r\n\r\n");
	length = strstr((char *)text.p, "Content-Length: ");
	if (end && strncmp((char *)text.p, "GET ", 4) == 0)
		yes = true;
	else if (end && length)
		yes = text.n - 1 >= (size_t)(end + 4 - (char *)text.p) + (size_t)atol(length + 16);
	buf_free(&text);
	return yes;
}

static void on_read(uv_stream_t *c, ssize_t n, const uv_buf_t *b)
{
	struct script *s = c->data;

	if (n < 0) {
		s->gone = true;
		hang_up(s);
		return;
	}
	buf_add(&s->asked, b->base, (size_t)n);
	if (complete(s) && !uv_is_active((uv_handle_t *)&s->timer))
		uv_timer_start(&s->timer, on_timer, 1, 2);
}

static void take_connection(struct script *s)
{
	s->waiting = false;
	uv_tcp_init(s->listener.loop, &s->conn);
	s->conn.data = s;
	assert_int_equal(uv_accept((uv_stream_t *)&s->listener, (uv_stream_t *)&s->conn), 0);
	uv_tcp_nodelay(&s->conn, 1);
	s->open = true;
	s->gone = false;
	s->next = 0;
	buf_reset(&s->asked);
	uv_read_start((uv_stream_t *)&s->conn, on_alloc, on_read);
}

/* One after the other. */
static void on_connection(uv_stream_t *l, int status)
{
	struct script *s = l->data;

	assert_int_equal(status, 0);
	if (s->open)
		s->waiting = true;
	else
		take_connection(s);
}

void script_open(struct script *s, uv_loop_t *uv)
{
	struct sockaddr_in a;
	int n = sizeof(a);

	*s = (struct script){ .next = 0 };
	uv_tcp_init(uv, &s->listener);
	uv_timer_init(uv, &s->timer);
	s->listener.data = s->timer.data = s;
	uv_ip4_addr("127.0.0.1", 0, &a);
	assert_int_equal(uv_tcp_bind(&s->listener, (struct sockaddr *)&a, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&s->listener, 8, on_connection), 0);
	uv_tcp_getsockname(&s->listener, (struct sockaddr *)&a, &n);
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u/v1/", ntohs(a.sin_port));
}

void script_set(struct script *s, const char *const *pieces)
{
	s->pieces = pieces;
}

struct slice script_body(const struct script *s)
{
	for (size_t i = 0; i + 4 <= s->asked.n; i++) {
		if (memcmp(s->asked.p + i, "\r\n\r\n", 4) == 0)
			return slice_of(s->asked.p + i + 4, s->asked.n - i - 4);
	}
	return slice_of(NULL, 0);
}

void script_close(struct script *s)
{
	hang_up(s);
	uv_close((uv_handle_t *)&s->listener, NULL);
	uv_close((uv_handle_t *)&s->timer, NULL);
	buf_free(&s->asked);
}
