/* SPDX-License-Identifier: Apache-2.0
 *
 * The clients of test_model.c: their sockets and TLS, and how they misbehave
 * (model.h).
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
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/httpd/model.h"

#define NARROW 4096

unsigned dice(unsigned n)
{
	return n ? (unsigned)rand() % n : 0;
}

size_t dice_size(size_t n)
{
	return dice((unsigned)(dice(3) ? n / 16 + 1 : n));
}

void client_must(const struct client *c, bool well, const char *why)
{
	if (!well)
		fail_msg("client %u (HTTP/%s%s, fate %d, step %u): %s", c->id, c->h2 ? "2" : "1",
			 c->ssl ? ", TLS" : "", (int)c->fate, c->steps, why);
}

/* --- answers --- */

bool bodiless(const struct ask *a, int status)
{
	return strcmp(a->method, "HEAD") == 0 || status == 204 || status == 304;
}

void answer_head(struct ask *a, int status, uint64_t length)
{
	must(a, a->got_status == 0, "two heads");
	a->got_status = status;
	a->length = length;
}

void answer_bytes(struct ask *a, const uint8_t *p, size_t n)
{
	must(a, a->got_status != 0, "bytes before the head");
	must(a, !n || !bodiless(a, a->got_status), "a body that may not be");
	if (!a->begun && a->got_status == 503 && !a->seen)
		return; /* the server's own words */
	must(a, a->got + n <= a->written, "more than was written");
	must(a, memcmp(a->payload.p + a->got, p, n) == 0, "other bytes than were written");
	a->got += n;
}

void answer_end(struct ask *a)
{
	must(a, a->got_status != 0, "an end before the head");
	must(a, !a->whole, "two ends");
	a->whole = true;
}

/* --- the socket --- */

static void connect_to(struct client *c, uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };
	int small = NARROW, on = 1;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	if (c->narrow)
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	assert_int_equal(connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

void client_open(struct client *c, uint16_t port, SSL_CTX *ctx)
{
	const char *protocol = c->h2 ? "\2h2" : "\10http/1.1";

	connect_to(c, port);
	if (ctx) {
		c->ssl = SSL_new(ctx);
		SSL_set_bio(c->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
		SSL_set_alpn_protos(c->ssl, (const uint8_t *)protocol, (unsigned)strlen(protocol));
		SSL_set_connect_state(c->ssl);
	}
	if (c->h2)
		h2_say_hello(c);
}

void client_close(struct client *c, bool reset)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	if (c->fd < 0)
		return;
	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(c->fd);
	c->fd = -1;
	SSL_free(c->ssl);
	c->ssl = NULL;
	buf_free(&c->out);
	buf_free(&c->wire);
	buf_free(&c->in);
}

/* --- out --- */

static void flush_ssl(struct client *c)
{
	char *p;
	long n = BIO_get_mem_data(SSL_get_wbio(c->ssl), &p);

	buf_add(&c->wire, p, (size_t)n);
	(void)BIO_reset(SSL_get_wbio(c->ssl));
}

static bool in_handshake(const struct client *c)
{
	return c->ssl && !SSL_is_init_finished(c->ssl);
}

static void move_out(struct client *c)
{
	size_t n = 1 + dice(c->ssl && c->piece_out < 500 ? 500 : c->piece_out);

	n = n < c->out.n ? n : c->out.n;
	if (n == 0 || c->wire.n > 50000 || in_handshake(c))
		return;
	if (c->ssl) {
		assert_int_equal(SSL_write(c->ssl, c->out.p, (int)n), (int)n);
		flush_ssl(c);
	} else {
		buf_add(&c->wire, c->out.p, n);
	}
	buf_consume(&c->out, n);
	c->moved += n;
}

/* Which requests the server may have, and which it will. */
static void note_progress(struct client *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		struct ask *a = c->ask[i];

		if (!a->said_to || a->said_to > c->moved)
			continue;
		a->asked = a->asked || !c->h2;
		a->complete = a->asked && !c->wire.n;
	}
}

static void push(struct client *c)
{
	size_t n = 1 + dice(c->piece_out);
	ssize_t sent;

	n = n < c->wire.n ? n : c->wire.n;
	if (n > 0) {
		sent = send(c->fd, c->wire.p, n, MSG_NOSIGNAL);
		if (sent > 0)
			buf_consume(&c->wire, (size_t)sent);
	}
	note_progress(c);
}

/* --- in --- */

static void decrypt(struct client *c, const uint8_t *p, size_t n)
{
	uint8_t tmp[4096];
	int got;

	assert_int_equal(BIO_write(SSL_get_rbio(c->ssl), p, (int)n), (int)n);
	if (in_handshake(c))
		(void)SSL_do_handshake(c->ssl);
	while ((got = SSL_read(c->ssl, tmp, sizeof(tmp))) > 0)
		buf_add(&c->in, tmp, (size_t)got);
	flush_ssl(c);
}

/* The end of all: what is not whole is cut. */
static void ended(struct client *c, bool eof)
{
	if (!c->h2 && !c->garbled)
		h1_hear(c, eof);
	for (unsigned i = 0; i < c->n; i++)
		c->ask[i]->cut = c->ask[i]->cut || !c->ask[i]->whole;
	client_close(c, false);
}

static void pull(struct client *c)
{
	uint8_t tmp[65536];
	ssize_t n = recv(c->fd, tmp, 1 + dice(c->piece_in), 0);

	if (n > 0 && c->ssl)
		decrypt(c, tmp, (size_t)n);
	else if (n > 0)
		buf_add(&c->in, tmp, (size_t)n);
	if (c->garbled)
		buf_reset(&c->in);
	else if (c->h2)
		h2_hear(c);
	else
		h1_hear(c, false);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		ended(c, n == 0);
}

/* --- fates --- */

static void garble(struct client *c)
{
	uint8_t junk[64];

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)dice(256);
	buf_add(dice(2) ? &c->wire : &c->out, junk, sizeof(junk));
	c->garbled = true; /* nothing that it hears means anything any more */
	c->fate = DEAF;
	c->fate_at = c->steps + 100;
}

static void meet_fate(struct client *c)
{
	c->excused = true;
	switch (c->fate) {
	case HALF_CLOSE:
		if (c->ssl && dice(2))
			SSL_shutdown(c->ssl);
		shutdown(c->fd, SHUT_WR);
		c->shut = true;
		break;
	case DEAF:
		c->deaf = true;
		c->fate = dice(2) ? VANISH : RESET;
		c->fate_at = c->steps + 1 + dice(400);
		break;
	case GARBLE:
		garble(c);
		break;
	default:
		client_close(c, c->fate == RESET);
	}
}

static void leave(struct client *c)
{
	if (c->ssl && dice(2)) {
		SSL_shutdown(c->ssl);
		flush_ssl(c);
		(void)!send(c->fd, c->wire.p, c->wire.n, MSG_NOSIGNAL);
	}
	client_close(c, dice(4) == 0);
}

void client_step(struct client *c)
{
	c->steps++;
	if (c->fate != WELL && c->steps == c->fate_at)
		meet_fate(c);
	if (c->fd < 0)
		return;
	if (in_handshake(c)) {
		(void)SSL_do_handshake(c->ssl);
		flush_ssl(c);
	} else if (!c->shut && !c->garbled) {
		(c->h2 ? h2_say : h1_say)(c);
	}
	for (unsigned i = dice(4); i > 0 && !c->shut; i--) {
		move_out(c);
		push(c);
	}
	if (!c->deaf && dice(c->lazy) == 0)
		pull(c);
	if (c->fd >= 0 && (c->h2 ? h2_done : h1_done)(c) && !c->stays && (!c->lingers || dice(30) == 0))
		leave(c);
}
