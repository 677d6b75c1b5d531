/* SPDX-License-Identifier: Apache-2.0
 *
 * The hostile gateway's connections (hostile_gateway.h).
 */
#define _GNU_SOURCE /* memmem, strcasestr */
#include "hostile_gateway.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FLOOD_MAX (100u << 20)

struct conn {
	struct hostile *h;
	int fd;
	SSL *ssl;
	struct buf in;
	unsigned round; /* of the request that is coming */
};

void hostile_fail(const struct hostile *h, const char *why)
{
	fprintf(stderr, "gateway on port %d, call %u: %s\n", h->port, h->round, why);
	abort();
}

/* --- bytes --- */

static bool put(struct conn *c, struct slice b)
{
	while (b.n) {
		ssize_t n = c->ssl ? SSL_write(c->ssl, b.p, (int)b.n) : send(c->fd, b.p, b.n, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		b = slice_of(b.p + n, b.n - (size_t)n);
	}
	return true;
}

/* More bytes into c->in; false at their end, or when somebody else comes. */
static bool more(struct conn *c)
{
	struct pollfd p[2] = { { .fd = c->fd, .events = POLLIN }, { .fd = c->h->fd, .events = POLLIN } };
	ssize_t n;

	if (!c->ssl || !SSL_pending(c->ssl))
		poll(p, 2, -1);
	if (p[1].revents && !p[0].revents)
		return false;
	buf_reserve(&c->in, 16384);
	n = c->ssl ? SSL_read(c->ssl, c->in.p + c->in.n, 16384) : recv(c->fd, c->in.p + c->in.n, 16384, 0);
	c->in.n += n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* A request begins; of which call, is known now. */
static void mark(struct conn *c)
{
	if (c->round)
		return;
	pthread_mutex_lock(&c->h->lock);
	c->round = c->h->round;
	pthread_mutex_unlock(&c->h->lock);
}

static void rest(unsigned ms)
{
	if (ms)
		poll(NULL, 0, (int)ms);
}

/* In pieces, with time between them or without. */
static bool dribble(struct conn *c, unsigned *dice, struct slice b)
{
	static const unsigned sizes[] = { 1, 20, 1000, 20000, 1 << 20 };
	unsigned size = sizes[b.n > 3000 ? 2 + hostile_dice(dice, 3) : hostile_dice(dice, 5)];
	unsigned ms = b.n / size < 8 && hostile_dice(dice, 3) == 0 ? hostile_dice(dice, 3) : 0;

	while (b.n) {
		size_t n = 1 + hostile_dice(dice, size);

		n = n > b.n ? b.n : n;
		if (!put(c, slice_of(b.p, n)))
			return false;
		b = slice_of(b.p + n, b.n - n);
		rest(ms);
	}
	return true;
}

static void flood(struct conn *c)
{
	static char line[65536];
	size_t sent = 0;

	memset(line, 'x', sizeof(line));
	if (!put(c, SLICE_STR("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: "
			      "1000000000\r\n\r\ndata: ")))
		return;
	while (put(c, slice_of(line, sizeof(line))))
		if ((sent += sizeof(line)) > FLOOD_MAX)
			hostile_fail(c->h, "there is no limit to an event");
}

static void endless_head(struct conn *c)
{
	size_t sent = 0;

	if (!put(c, SLICE_STR("HTTP/1.1 200 OK\r\n")))
		return;
	while (put(c, SLICE_STR("X-Some: thing thing thing thing thing thing thing thing thing thing thing "
				"thing\r\n")))
		if ((sent += 80) > FLOOD_MAX)
			hostile_fail(c->h, "there is no limit to a head");
}

/* Waits for the client to give up, whoever else comes. */
static void stall(struct conn *c)
{
	char some[4096];

	while ((c->ssl ? SSL_read(c->ssl, some, sizeof(some)) : recv(c->fd, some, sizeof(some), 0)) > 0)
		;
}

/* Waits for the client to leave too, or to come anew. */
static void linger(struct conn *c)
{
	do
		c->in.n = 0;
	while (more(c));
}

/* --- exchanges --- */

/* Where the answer is cut: nowhere, or before its end. */
static size_t cut_at(unsigned *dice, const struct reply *r, const struct buf *out)
{
	const uint8_t *line;
	size_t at;

	if (r->d.evil != EVIL_FIN && r->d.evil != EVIL_RESET && r->d.evil != EVIL_STALL)
		return out->n;
	at = hostile_dice(dice, 4) ? hostile_dice(dice, (unsigned)out->n) : 0;
	line = at && hostile_dice(dice, 2) ? memmem(out->p + at, out->n - at, "\n", 1) : NULL;
	if (line && (size_t)(line + 1 - out->p) < out->n)
		at = (size_t)(line + 1 - out->p);
	return at < out->n - 3
		       ? at
		       : out->n - 3; /* libcurl does without the last LF, behind which there is nothing */
}

/* A close with bytes unread is a reset, which can take back what was said. */
static void leave(struct conn *c, unsigned *dice, const struct reply *r)
{
	if (r->d.evil == EVIL_RESET) {
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
		return;
	}
	if (c->ssl && hostile_dice(dice, 2))
		SSL_shutdown(c->ssl);
	if (!c->ssl && hostile_dice(dice, 2))
		return;
	shutdown(c->fd, SHUT_WR);
	linger(c);
}

static void record(struct hostile *h, const struct reply *r)
{
	if (r->d.round == h->round) {
		if (h->deeds == DEEDS_MAX)
			hostile_fail(h, "no end of requests for one call");
		h->deed[h->deeds++] = r->d;
	}
	h->done[r->d.evil]++;
}

/* True when the connection goes on. */
static bool answer(struct conn *c, struct slice body)
{
	struct hostile *h = c->h;
	struct buf out = { 0 };
	struct reply r;
	unsigned dice;
	size_t first, stop;
	bool keep, well = true;

	pthread_mutex_lock(&h->lock);
	hostile_decide(h, body, &r);
	r.d.round = c->round;
	dice = hostile_dice(&h->dice, 1u << 30) | 1;
	keep = hostile_dice(&dice, 6);
	first = hostile_http1(&dice, &r, &keep, &out);
	stop = cut_at(&dice, &r, &out);
	r.d.begun = stop >= first && first != SIZE_MAX;
	record(h, &r);
	pthread_mutex_unlock(&h->lock);
	c->round = 0;
	if (hostile_dice(&dice, 20) == 0)
		rest(hostile_dice(&dice, 5));
	if (r.d.evil == EVIL_FLOOD)
		flood(c);
	else if (r.d.evil == EVIL_HEAD)
		endless_head(c);
	else
		well = dribble(c, &dice, slice_of(out.p, stop));
	if (r.d.evil == EVIL_STALL)
		stall(c);
	buf_free(&out);
	buf_free(&r.body);
	if (well && keep && (r.d.evil == EVIL_NONE || (r.d.evil > EVIL_HEAD && r.d.evil != EVIL_FLOOD)) &&
	    hostile_dice(&dice, 12))
		return true;
	leave(c, &dice, &r);
	return false;
}

static size_t length_of(const char *head)
{
	const char *p = strcasestr(head, "\ncontent-length:");

	return p ? strtoul(p + 16, NULL, 10) : 0;
}

static bool serve_http1(struct conn *c)
{
	uint8_t *end;
	size_t head, n;
	bool on;

	while (!(end = c->in.n ? memmem(c->in.p, c->in.n, "\r\n\r\n", 4) : NULL))
		if (!more(c))
			return false;
		else
			mark(c);
	mark(c);
	head = (size_t)(end - c->in.p) + 4;
	c->in.p[head - 2] = '\0';
	if (!strstr((char *)c->in.p, "\r\nAuthorization: Bearer sk-test\r\n"))
		hostile_fail(c->h, "a request without the token");
	n = length_of((char *)c->in.p);
	while (c->in.n < head + n)
		if (!more(c))
			return false;
	if (c->in.n > head + n)
		hostile_fail(c->h, "more than a request");
	on = answer(c, slice_of(c->in.p + head, n));
	buf_reset(&c->in);
	return on;
}

static void serve(struct hostile *h, int fd)
{
	struct conn c = { .h = h, .fd = fd };
	uint8_t first;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (recv(fd, &first, 1, MSG_PEEK) == 1 && first == 0x16) {
		c.ssl = SSL_new(h->ctx);
		SSL_set_fd(c.ssl, fd);
		if (SSL_accept(c.ssl) != 1)
			goto end;
	}
	while (serve_http1(&c))
		;
end:
	SSL_free(c.ssl);
	buf_free(&c.in);
	close(fd);
}

/* --- the whole --- */

static bool over(struct hostile *h)
{
	bool yes;

	pthread_mutex_lock(&h->lock);
	yes = h->over;
	pthread_mutex_unlock(&h->lock);
	return yes;
}

static void *listens(void *arg)
{
	struct hostile *h = arg;
	int fd;

	while ((fd = accept(h->fd, NULL, NULL)) >= 0 && !over(h))
		serve(h, fd);
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* Of HTTP/2 the client's library takes some resets for ends. */
static int choose(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in,
		  unsigned in_n, void *arg)
{
	(void)ssl;
	if (memmem(in, in_n, "\2h2", 3))
		hostile_fail(arg, "HTTP/2 is offered");
	*out = in + 1;
	*n = *in;
	return SSL_TLSEXT_ERR_OK;
}

void hostile_open(struct hostile *h, SSL_CTX *ctx, unsigned seed)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct statement st;
	sigset_t pipe, old;
	socklen_t n = sizeof(a);

	memset(h, 0, sizeof(*h));
	h->dice = seed * 2654435761u | 1;
	h->ctx = ctx;
	SSL_CTX_set_alpn_select_cb(ctx, choose, h);
	pthread_mutex_init(&h->lock, NULL);
	fake_node_init(&h->node);
	st = fake_statement_of(&h->node);
	st.not_before = (uint64_t)time(NULL) - 10;
	st.not_after = st.not_before + 3600;
	fake_statement(&h->node, &st);
	h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(h->fd, (struct sockaddr *)&a, sizeof(a)) || listen(h->fd, 8) ||
	    getsockname(h->fd, (struct sockaddr *)&a, &n))
		abort();
	h->port = ntohs(a.sin_port);
	sigemptyset(&pipe); /* of our own: OpenSSL writes as it likes; the client may not need it */
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, &old);
	if (pthread_create(&h->thread, NULL, listens, h))
		abort();
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void hostile_close(struct hostile *h)
{
	pthread_mutex_lock(&h->lock);
	h->over = true;
	pthread_mutex_unlock(&h->lock);
	shutdown(h->fd, SHUT_RDWR);
	pthread_join(h->thread, NULL);
	close(h->fd);
	pthread_mutex_destroy(&h->lock);
	fake_node_fini(&h->node);
	buf_free(&h->nonces);
	buf_free(&h->earlier);
}
