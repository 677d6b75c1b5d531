/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS of the HTTP client (upstream_impl.h), by OpenSSL on the socket itself.
 * Chain and host name are checked by OpenSSL within the handshake, for every
 * version of TLS, before a byte of ours goes out.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/net/upstream_impl.h"
#include "common/tls_groups.h"

struct tls_client {
	SSL_CTX *ctx; /* NULL: unusable */
};

/* Behind it stands an SSL. */
static SSL *ssl_of(const struct tls_conn *c)
{
	return (SSL *)c;
}

static void complain(const char *ca_file)
{
	char why[256];

	ERR_error_string_n(ERR_peek_last_error(), why, sizeof(why));
	ERR_clear_error();
	log_error("tls_trust", L_S("file", *ca_file ? ca_file : "of the system"), L_S("why", why),
		  L_S("do",
		      "name a readable file of PEM certificates; no node with https is reached meanwhile"));
}

static bool set_trust(SSL_CTX *ctx, const char *ca_file)
{
	if (*ca_file)
		return SSL_CTX_load_verify_file(ctx, ca_file) == 1;
	return SSL_CTX_set_default_verify_paths(ctx) == 1;
}

struct tls_client *tls_client_new(const char *ca_file)
{
	static const unsigned char http11[] = "\x08http/1.1";
	struct tls_client *t = mem_new(sizeof(*t));
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 || !set_trust(ctx, ca_file) ||
	    SSL_CTX_set1_groups_list(ctx, TLS_GROUPS) != 1 ||
	    SSL_CTX_set_alpn_protos(ctx, http11, sizeof(http11) - 1) != 0) {
		complain(ca_file);
		SSL_CTX_free(ctx);
		return t;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CLEANSE_PLAINTEXT);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	t->ctx = ctx;
	return t;
}

void tls_client_free(struct tls_client *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	free(t);
}

static bool set_host(SSL *ssl, const char *host)
{
	struct addresses literal;

	if (lookup_literal(host, &literal))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct tls_conn *tls_conn_new(struct tls_client *t, int fd, const char *host)
{
	SSL *ssl = t->ctx ? SSL_new(t->ctx) : NULL;

	if (ssl && SSL_set_fd(ssl, fd) == 1 && set_host(ssl, host)) {
		SSL_set_connect_state(ssl);
		return (struct tls_conn *)ssl;
	}
	SSL_free(ssl);
	ERR_clear_error();
	return NULL;
}

void tls_conn_free(struct tls_conn *c)
{
	if (!c)
		return;
	SSL_set_quiet_shutdown(ssl_of(c), 1);
	SSL_free(ssl_of(c));
}

static long outcome(SSL *ssl, int got, bool *wants_write)
{
	int e = SSL_get_error(ssl, got);

	*wants_write = e == SSL_ERROR_WANT_WRITE;
	if (e == SSL_ERROR_NONE)
		return got;
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return IO_AGAIN;
	ERR_clear_error();
	return e == SSL_ERROR_ZERO_RETURN ? IO_END : IO_ERROR;
}

int tls_shake(struct tls_conn *c, bool *wants_write)
{
	long r;

	ERR_clear_error(); /* of others on this thread: SSL_get_error would take it for ours */
	r = outcome(ssl_of(c), SSL_do_handshake(ssl_of(c)), wants_write);

	if (r == 1 && SSL_get_verify_result(ssl_of(c)) != X509_V_OK)
		return IO_ERROR;
	return r == IO_END ? IO_ERROR : (int)r;
}

long tls_read(struct tls_conn *c, void *to, size_t n, bool *wants_write)
{
	ERR_clear_error();
	return outcome(ssl_of(c), SSL_read(ssl_of(c), to, (int)n), wants_write);
}

long tls_write(struct tls_conn *c, struct slice data, bool *wants_write)
{
	int n = data.n < (1 << 30) ? (int)data.n : 1 << 30;

	ERR_clear_error();
	return outcome(ssl_of(c), SSL_write(ssl_of(c), data.p, n), wants_write);
}

bool tls_pending(const struct tls_conn *c)
{
	return SSL_pending(ssl_of(c)) > 0;
}
