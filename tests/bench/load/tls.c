/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS of the load generator, by OpenSSL on memory: what it costs the generator is
 * the same for every system that is measured with it.
 */
#include <openssl/ssl.h>
#include <stdlib.h>

#include "tests/bench/load/load.h"

struct tls {
	SSL *ssl;
	BIO *from_peer, *to_peer; /* the SSL's */
	struct buf out;
};

static SSL_CTX *context(void)
{
	static SSL_CTX *ctx;

	if (!ctx) {
		ctx = SSL_CTX_new(TLS_client_method());
		BUG_ON(!ctx);
		SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	}
	return ctx;
}

static void drain(struct tls *t)
{
	char *p;
	long n = BIO_get_mem_data(t->to_peer, &p);

	buf_add(&t->out, p, (size_t)n);
	(void)BIO_reset(t->to_peer);
}

struct tls *tls_new(void)
{
	struct tls *t = mem_new(sizeof(*t));

	t->ssl = SSL_new(context());
	t->from_peer = BIO_new(BIO_s_mem());
	t->to_peer = BIO_new(BIO_s_mem());
	BUG_ON(!t->ssl || !t->from_peer || !t->to_peer);
	SSL_set_bio(t->ssl, t->from_peer, t->to_peer);
	SSL_set_connect_state(t->ssl);
	SSL_do_handshake(t->ssl);
	drain(t);
	return t;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	buf_free(&t->out);
	free(t);
}

bool tls_take(struct tls *t, const void *p, size_t n)
{
	int r;

	BIO_write(t->from_peer, p, (int)n);
	if (SSL_is_init_finished(t->ssl))
		return true;
	r = SSL_do_handshake(t->ssl);
	drain(t);
	return r == 1 || SSL_get_error(t->ssl, r) == SSL_ERROR_WANT_READ;
}

size_t tls_read(struct tls *t, void *to, size_t n)
{
	int got = SSL_read(t->ssl, to, (int)n);

	drain(t);
	return got > 0 ? (size_t)got : 0;
}

void tls_write(struct tls *t, struct slice plain)
{
	SSL_write(t->ssl, plain.p, (int)plain.n);
	drain(t);
}

struct buf *tls_out(struct tls *t)
{
	return &t->out;
}

bool tls_up(const struct tls *t)
{
	return SSL_is_init_finished(t->ssl);
}
