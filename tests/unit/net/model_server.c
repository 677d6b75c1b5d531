/* SPDX-License-Identifier: Apache-2.0
 *
 * The server of the model test (model_server.h).
 */
#include "tests/unit/net/model_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"

struct model_server {
	uv_loop_t *uv;
	uv_tcp_t tcp;
	SSL_CTX *ctx;
	struct model_ask *(*find)(unsigned id);
	struct peer *peers;
	unsigned idle_ends, stillborn;
	uint16_t port;
};

/* One connection. */
struct peer {
	struct model_server *server;
	struct peer *next, **link;
	uv_tcp_t tcp;
	uv_timer_t timer;
	unsigned handles;
	bool closing;
	bool deaf;    /* reads no more */
	bool spoken;  /* said more than it was asked */
	bool updated; /* its keys, which the client says something to: it may find us gone */
	SSL *ssl;
	struct buf in; /* plaintext that is not worked through */
	unsigned exchanges;
	/* the request in progress */
	struct model_ask *ask;
	size_t want; /* bytes of its body still to come */
	size_t got;
	/* the answer in progress */
	struct model_reply *reply;
	struct buf out;
	size_t stop_at; /* where it is cut */
	bool early;     /* it does not wait for the body */
	bool begun, answering, writing;
	bool keep, announced;   /* the connection; or that it will be closed */
	unsigned pieces, delay; /* bytes at once, at most; ms in between */
};

struct said {
	uv_write_t req;
	struct peer *peer;
	bool piece;
	char bytes[];
};

unsigned model_dice(unsigned n)
{
	return n ? (unsigned)rand() % n : 0;
}

/* --- closing --- */

static void on_closed(uv_handle_t *h)
{
	struct peer *p = h->data;

	if (--p->handles > 0)
		return;
	SSL_free(p->ssl);
	buf_free(&p->in);
	buf_free(&p->out);
	free(p);
}

static void hang_up(struct peer *p, bool reset)
{
	if (p->closing)
		return;
	p->closing = true;
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	uv_close((uv_handle_t *)&p->timer, on_closed);
	if (!reset || uv_tcp_close_reset(&p->tcp, on_closed))
		uv_close((uv_handle_t *)&p->tcp, on_closed);
}

/* --- writing --- */

static void go_on(struct peer *p);
static void on_late(uv_timer_t *t);

static void on_written(uv_write_t *req, int status)
{
	struct said *w = req->data;
	struct peer *p = w->peer;
	bool piece = w->piece;

	free(w);
	if (!piece)
		return;
	p->writing = false;
	if (p->closing)
		return;
	if (status)
		hang_up(p, false);
	else if (p->delay)
		uv_timer_start(&p->timer, on_late, p->delay, 0);
	else
		go_on(p);
}

static void write_raw(struct peer *p, struct slice b, bool piece)
{
	struct said *w = mem_new(sizeof(*w) + b.n);
	uv_buf_t v = uv_buf_init(w->bytes, (unsigned)b.n);

	memcpy(w->bytes, b.p, b.n);
	w->req.data = w;
	w->peer = p;
	w->piece = piece;
	if (uv_write(&w->req, (uv_stream_t *)&p->tcp, &v, 1, on_written))
		abort();
}

/* What OpenSSL has to say. */
static void flush_tls(struct peer *p, bool piece)
{
	char *bytes;
	long n = BIO_get_mem_data(SSL_get_wbio(p->ssl), &bytes);

	if (n > 0 || piece)
		write_raw(p, slice_of(bytes, (size_t)n), piece);
	(void)BIO_reset(SSL_get_wbio(p->ssl));
}

static void encrypt(struct peer *p, struct slice b)
{
	if (SSL_write(p->ssl, b.p, (int)b.n) != (int)b.n)
		abort();
}

static void say(struct peer *p, struct slice b)
{
	p->writing = true;
	if (!p->ssl) {
		write_raw(p, b, true);
		return;
	}
	if (model_dice(20) == 0) {
		/* OpenSSL's client cannot answer that while a record of its own is stuck. */
		bool ask = !p->want && model_dice(2);

		SSL_key_update(p->ssl, ask ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
		p->updated = true;
	}
	encrypt(p, b);
	flush_tls(p, true);
}

/* --- answers --- */

static void put_chunks(struct peer *p, struct slice body)
{
	while (body.n) {
		size_t n = 1 + model_dice((unsigned)(model_dice(3) ? body.n : body.n / 8 + 1));

		n = n > body.n ? body.n : n;
		buf_fmt(&p->out, model_dice(6) ? "%zx\r\n" : "%zX ;x=\"0\"\r\n", n);
		buf_add(&p->out, body.p, n);
		buf_str(&p->out, "\r\n");
		body = slice_of(body.p + n, body.n - n);
	}
	buf_str(&p->out, model_dice(4) ? "0\r\n\r\n" : "0\r\nX-End: 1\r\nContent-Length: 3\r\n\r\n");
}

static void put_payload(struct model_reply *r, unsigned id, unsigned nth)
{
	static const unsigned sizes[] = { 0, 10, 3000, 70000, 400000 };
	size_t n = model_dice(sizes[model_dice(model_dice(4) ? 3 : 5)] + 1);

	buf_reserve(&r->payload, n + 1);
	for (size_t i = 0; i < n; i++)
		r->payload.p[i] = (uint8_t)(id * 131 + nth * 57 + i * 7 + (i >> 8) * 13);
	r->payload.n = n;
}

/* The text of an answer.  The body's framing is one of all that HTTP has. */
static void put_answer(struct peer *p, const char *method)
{
	static const int statuses[] = { 200, 200, 200, 200, 404, 500, 204, 304 };
	struct model_reply *r = p->reply;
	unsigned framing = model_dice(10), minor = framing != 8;
	bool bodiless;

	r->status = statuses[model_dice(8)];
	bodiless = strcmp(method, "HEAD") == 0 || r->status == 204 || r->status == 304;
	r->bounded = bodiless || framing != 9;
	for (unsigned n = model_dice(4) ? 0 : model_dice(4); n > 0; n--)
		buf_fmt(&p->out, "HTTP/1.1 10%u Wait\r\nX-Some: thing\r\n\r\n", model_dice(2) * 3);
	buf_fmt(&p->out, "HTTP/1.%u %d \r\nContent-Type: text/plain\r\n", minor, r->status);
	p->keep = minor && r->bounded && model_dice(6);
	p->announced = !minor || !r->bounded || (!p->keep && model_dice(4));
	if (p->announced && minor)
		buf_str(&p->out, "Connection: close\r\n");
	if (framing < 5 && r->status != 204)
		buf_str(&p->out, "Transfer-Encoding: chunked\r\n");
	else if (framing < 9 && r->status != 204)
		buf_fmt(&p->out, "Content-Length: %zu\r\n", r->payload.n);
	buf_str(&p->out, "\r\n");
	if (bodiless)
		buf_reset(&r->payload);
	else if (framing < 5)
		put_chunks(p, buf_slice(&r->payload));
	else
		buf_add(&p->out, r->payload.p, r->payload.n);
}

/* A line of the head that ends in LF alone. */
static void spoil(struct peer *p)
{
	p->reply->malformed = true;
	p->out.n = model_dice(40);
	buf_str(&p->out, "\n\r\r");
}

static enum model_cut any_cut(bool may_stall)
{
	if (model_dice(6))
		return CUT_NONE;
	if (model_dice(3))
		return CUT_FIN;
	return may_stall && model_dice(2) ? CUT_STALL : CUT_RESET;
}

/* Before the end: before everything, behind a line, or anywhere. */
static size_t any_place(const struct buf *out)
{
	size_t at = model_dice(3) ? model_dice((unsigned)out->n) : 0;
	const uint8_t *line = at && model_dice(2) ? memmem(out->p + at, out->n - at, "\r\n", 2) : NULL;

	if (line && (size_t)(line + 2 - out->p) < out->n)
		at = (size_t)(line + 2 - out->p);
	return at;
}

static void begin_answer(struct peer *p)
{
	static const unsigned pieces[] = { 1, 20, 1000, 20000, 1 << 20 };
	struct model_reply *r = p->reply;

	buf_reset(&p->out);
	put_payload(r, p->ask->id, p->ask->seen);
	put_answer(p, p->ask->method);
	if (model_dice(30) == 0)
		spoil(p);
	r->whole = p->out.n;
	r->cut = any_cut(p->ask->may_stall);
	p->stop_at = r->cut == CUT_NONE ? r->whole : any_place(&p->out);
	p->pieces = pieces[p->out.n > 5000 ? 2 + model_dice(3) : model_dice(5)];
	p->delay = p->out.n / p->pieces > 50 || model_dice(3) ? 0 : 1 + model_dice(2);
	p->begun = p->answering = true;
	go_on(p);
}

/* --- requests --- */

static void work(struct peer *p);

static void on_late(uv_timer_t *t)
{
	struct peer *p = t->data;

	if (p->answering) {
		go_on(p);
	} else if (!p->ask) {
		bool reset = model_dice(2);

		p->server->idle_ends++;
		if (p->reply)
			p->reply->lossy = reset || p->updated; /* the client may still read */
		else
			p->server->stillborn++;
		hang_up(p, reset);
	}
}

/* The answer is said as far as it is to be said. */
static void end_answer(struct peer *p)
{
	struct model_reply *r = p->reply;

	p->answering = false;
	if (r->cut == CUT_STALL)
		return;
	if (r->cut == CUT_NONE && p->keep && !p->deaf && !r->malformed) {
		work(p);
		return;
	}
	if (p->ssl && r->cut != CUT_RESET && model_dice(2)) {
		SSL_shutdown(p->ssl);
		flush_tls(p, false);
	}
	r->lossy = p->want || p->deaf || p->updated;
	p->server->idle_ends += !p->announced;
	hang_up(p, r->cut == CUT_RESET);
}

/* With an answer that nobody asked for right behind, at once. */
static void say_twice(struct peer *p, struct slice b)
{
	static const char evil[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
	struct buf both = { 0 };

	p->spoken = true;
	if (p->ssl) {
		encrypt(p, b); /* in records of their own */
		encrypt(p, slice_str(evil));
		p->writing = true;
		flush_tls(p, true);
		return;
	}
	buf_add(&both, b.p, b.n);
	buf_str(&both, evil);
	say(p, buf_slice(&both));
	buf_free(&both);
}

static void go_on(struct peer *p)
{
	struct model_reply *r = p->reply;
	size_t n = p->stop_at - r->said;
	struct slice piece;

	if (p->writing || !p->answering)
		return;
	if (n == 0) {
		end_answer(p);
		return;
	}
	n = n > p->pieces ? 1 + model_dice(p->pieces) : n;
	piece = slice_of(p->out.p + r->said, n);
	r->said += n;
	if (r->said == r->whole && p->keep && !r->malformed && model_dice(12) == 0)
		say_twice(p, piece);
	else
		say(p, piece);
}

static size_t number_behind(struct slice head, const char *what)
{
	const char *at = memmem(head.p, head.n, what, strlen(what));

	return at ? strtoul(at + strlen(what), NULL, 10) : 0;
}

static void fail(const char *why, unsigned id)
{
	fprintf(stderr, "server: %s (request %u)\n", why, id);
	abort();
}

static void take_head(struct peer *p, struct slice head)
{
	unsigned id = (unsigned)number_behind(head, " /");
	struct model_ask *a = p->server->find(id);

	if (!a || memcmp(head.p, a->method, strlen(a->method)) != 0)
		fail("this is no request", id);
	if (a->seen == 2)
		fail("asked a third time", id);
	if (p->spoken)
		fail("asked on a connection that had been spoken on", id);
	p->ask = a;
	p->reply = &a->reply[a->seen++];
	p->reply->reused = p->exchanges++ > 0;
	p->want = number_behind(head, "Content-Length: ");
	p->got = 0;
	p->begun = false;
	if (p->want != a->body.n)
		fail("not the length of its body", id);
	p->early = model_dice(p->want > 1 << 20 ? 2 : 4) == 0;
	if (p->early && model_dice(3) == 0) {
		p->deaf = true;
		uv_read_stop((uv_stream_t *)&p->tcp);
	}
}

static void take_body(struct peer *p)
{
	size_t n = p->in.n < p->want ? p->in.n : p->want;

	if (memcmp(p->in.p, p->ask->body.p + p->got, n) != 0)
		fail("not its body", p->ask->id);
	p->got += n;
	p->want -= n;
	buf_consume(&p->in, n);
}

/* Whatever may be done with what has come. */
static void work(struct peer *p)
{
	const uint8_t *end;
	size_t n;

	if (p->ask && p->want && p->in.n)
		take_body(p);
	if (p->ask && !p->want && !p->begun)
		begin_answer(p);
	if (p->ask && (p->want || p->answering || p->reply->cut != CUT_NONE))
		return;
	p->ask = NULL; /* both sides are through */
	uv_timer_stop(&p->timer);
	end = p->in.n ? memmem(p->in.p, p->in.n, "\r\n\r\n", 4) : NULL;
	if (!end) {
		if (p->exchanges && model_dice(6) == 0)
			uv_timer_start(&p->timer, on_late, model_dice(4), 0);
		return;
	}
	n = (size_t)(end + 4 - p->in.p);
	take_head(p, slice_of(p->in.p, n));
	buf_consume(&p->in, n);
	if (p->early)
		begin_answer(p);
	else
		work(p);
}

/* --- reading --- */

static void on_alloc(uv_handle_t *h, size_t n, uv_buf_t *out)
{
	(void)h;
	*out = uv_buf_init(mem_new(n), (unsigned)n);
}

static bool decrypt(struct peer *p, struct slice b)
{
	char plain[16384];
	int n;

	BIO_write(SSL_get_rbio(p->ssl), b.p, (int)b.n);
	while ((n = SSL_read(p->ssl, plain, sizeof(plain))) > 0)
		buf_add(&p->in, plain, (size_t)n);
	flush_tls(p, false);
	return SSL_get_error(p->ssl, n) == SSL_ERROR_WANT_READ;
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct peer *p = s->data;
	bool well = n >= 0;

	if (n > 0 && p->ssl)
		well = decrypt(p, slice_of(b->base, (size_t)n));
	else if (n > 0)
		buf_add(&p->in, b->base, (size_t)n);
	free(b->base);
	if (!well)
		hang_up(p, false);
	else if (n > 0)
		work(p);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct model_server *s = listener->data;
	struct peer *p = mem_new(sizeof(*p));

	if (status)
		abort();
	p->server = s;
	uv_tcp_init(s->uv, &p->tcp);
	uv_tcp_nodelay(&p->tcp, 1); /* else a reset takes back what was written */
	uv_timer_init(s->uv, &p->timer);
	p->handles = 2;
	p->tcp.data = p->timer.data = p;
	p->next = s->peers;
	p->link = &s->peers;
	if (p->next)
		p->next->link = &p->next;
	s->peers = p;
	if (uv_accept(listener, (uv_stream_t *)&p->tcp))
		abort();
	if (s->ctx) {
		p->ssl = SSL_new(s->ctx);
		SSL_set_bio(p->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
		SSL_set_accept_state(p->ssl);
	}
	uv_read_start((uv_stream_t *)&p->tcp, on_alloc, on_read);
	if (model_dice(25) == 0)
		uv_timer_start(&p->timer, on_late, model_dice(3), 0);
}

/* --- the whole --- */

struct model_server *model_open(uv_loop_t *uv, SSL_CTX *ctx, struct model_ask *(*find)(unsigned id))
{
	struct model_server *s = mem_new(sizeof(*s));
	struct sockaddr_in addr;
	int n = sizeof(addr), unread = 16 << 10; /* so that a body does not go out in one breath */

	s->uv = uv;
	s->ctx = ctx;
	s->find = find;
	uv_tcp_init(uv, &s->tcp);
	s->tcp.data = s;
	uv_ip4_addr("127.0.0.1", 0, &addr);
	if (uv_tcp_bind(&s->tcp, (struct sockaddr *)&addr, 0) ||
	    uv_recv_buffer_size((uv_handle_t *)&s->tcp, &unread) ||
	    uv_listen((uv_stream_t *)&s->tcp, 64, on_connection))
		abort();
	uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&addr, &n);
	s->port = ntohs(addr.sin_port);
	return s;
}

static void on_server_closed(uv_handle_t *h)
{
	free(h->data);
}

void model_close(struct model_server *s)
{
	while (s->peers)
		hang_up(s->peers, false);
	uv_close((uv_handle_t *)&s->tcp, on_server_closed);
}

uint16_t model_port(const struct model_server *s)
{
	return s->port;
}

unsigned model_idle_ends(const struct model_server *s)
{
	return s->idle_ends;
}

unsigned model_stillborn(const struct model_server *s)
{
	return s->stillborn;
}
