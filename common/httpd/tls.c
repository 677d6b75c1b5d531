/* SPDX-License-Identifier: Apache-2.0
 *
 * The TLS of listeners: 1.2 or newer, forward secrecy over elliptic curves only, h2 and
 * http/1.1 offered by ALPN, no renegotiation, no compression.  All threads of a process share one
 * context, so that the ticket that a client got from one of them is good at the others.  Errors of the
 * operator's files are told with the file's name and OpenSSL's reason, never
 * with their contents.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>

#include "common/httpd/internal.h"
#include "common/log.h"
#include "common/tls_groups.h"

struct httpd_tls {
	uv_mutex_t lock; /* around ctx */
	SSL_CTX *ctx;
	char *cert, *key; /* paths */
};

/* An alert is a goodbye or a broken connection: after either, h2o would keep what comes without looking at
 * it, and after a fatal one TLS does not write any more. */
static void on_info(const SSL *ssl, int where, int ret)
{
	const h2o_socket_t *sock = BIO_get_data(SSL_get_rbio(ssl)); /* as h2o sets it */
	struct conn *c = sock->on_close.data;

	(void)ret;
	if (where != SSL_CB_READ_ALERT)
		return;
	c->left = true;
	conn_cut(c);
}

static enum err refuse(SSL_CTX *ctx, const char *what, const char *file)
{
	char why[256] = "";

	ERR_error_string_n(ERR_peek_error(), why, sizeof(why));
	ERR_clear_error();
	log_error("tls_unusable", L_S("what", what), L_S("file", file), L_S("why", why));
	SSL_CTX_free(ctx);
	return ERR_CONFIG;
}

/* Nobody is asked for a pass phrase: OpenSSL would do so on the terminal, and wait. */
static int no_phrase(char *phrase, int size, int writing, void *arg)
{
	bool *wanted = arg;

	(void)phrase, (void)size, (void)writing;
	*wanted = true;
	return -1;
}

static enum err read_key(SSL_CTX *ctx, const char *key)
{
	bool wanted = false, ok;

	SSL_CTX_set_default_passwd_cb(ctx, no_phrase);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, &wanted);
	ok = SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1;
	SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
	if (ok)
		return ERR_OK;
	return refuse(ctx, wanted ? "key with a pass phrase; write it without one" : "key", key);
}

/* It is served all the same: which of the two is wrong, its dates or our clock, clients know better. */
static void look_at_dates(const SSL_CTX *ctx, const char *cert)
{
	const X509 *x = SSL_CTX_get0_certificate(ctx);
	const char *why = NULL;

	if (X509_cmp_current_time(X509_get0_notAfter(x)) < 0)
		why = "the certificate has run out";
	else if (X509_cmp_current_time(X509_get0_notBefore(x)) > 0)
		why = "the certificate is not valid yet";
	if (why != NULL)
		log_warn("tls_dates", L_S("file", cert), L_S("why", why),
			 L_S("do", "renew it, or set the clock; clients refuse it"));
}

/* Whoever offers none of ours gets no connection (RFC 7301): what it takes our answers for would be for
 * others to choose.  h2o's own list has drafts of HTTP/2, which would be agreed on and then not spoken. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *n,
			   const unsigned char *offered, unsigned offered_n, void *arg)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1\x08http/1.0";
	unsigned char *chosen = NULL;

	(void)ssl, (void)arg;
	if (SSL_select_next_proto(&chosen, n, ours, sizeof(ours) - 1, offered, offered_n) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* On an error there is no context any more. */
static enum err make_context(SSL_CTX **out, const char *cert, const char *key)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	enum err e;

	if (ctx == NULL)
		return refuse(ctx, "context", cert);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_info_callback(ctx, on_info);
	if (SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
		return refuse(ctx, "ciphers", cert);
	if (SSL_CTX_set1_groups_list(ctx, TLS_GROUPS) != 1)
		return refuse(ctx, "groups", cert);
	if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
		return refuse(ctx, "certificate", cert);
	e = read_key(ctx, key);
	if (e != ERR_OK)
		return e;
	if (SSL_CTX_check_private_key(ctx) != 1)
		return refuse(ctx, "key does not match certificate", key);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	look_at_dates(ctx, cert);
	*out = ctx;
	return ERR_OK;
}

enum err httpd_tls_open(struct httpd_tls **out, const char *cert, const char *key)
{
	SSL_CTX *ctx = NULL;
	enum err e = make_context(&ctx, cert, key);
	struct httpd_tls *t;

	if (e != ERR_OK)
		return e;
	t = mem_new(sizeof(*t));
	BUG_ON(uv_mutex_init(&t->lock) != 0);
	t->ctx = ctx;
	t->cert = mem_strndup(cert, strlen(cert));
	t->key = mem_strndup(key, strlen(key));
	*out = t;
	return ERR_OK;
}

enum err httpd_tls_reload(struct httpd_tls *t)
{
	SSL_CTX *ctx = NULL, *before;
	enum err e = make_context(&ctx, t->cert, t->key);

	if (e != ERR_OK)
		return e;
	uv_mutex_lock(&t->lock);
	before = t->ctx;
	t->ctx = ctx;
	uv_mutex_unlock(&t->lock);
	SSL_CTX_free(before); /* connections that stand hold it until they end */
	return ERR_OK;
}

void httpd_tls_free(struct httpd_tls *t)
{
	if (t == NULL)
		return;
	SSL_CTX_free(t->ctx);
	uv_mutex_destroy(&t->lock);
	free(t->cert);
	free(t->key);
	free(t);
}

SSL_CTX *tls_hold(struct httpd_tls *t)
{
	SSL_CTX *ctx;

	uv_mutex_lock(&t->lock);
	ctx = t->ctx;
	BUG_ON(SSL_CTX_up_ref(ctx) != 1);
	uv_mutex_unlock(&t->lock);
	return ctx;
}

void tls_let_go(SSL_CTX *ctx)
{
	SSL_CTX_free(ctx);
}

enum err httpd_check_tls(const char *cert, const char *key)
{
	SSL_CTX *ctx = NULL;
	enum err e = *cert ? make_context(&ctx, cert, key) : ERR_OK;

	SSL_CTX_free(ctx);
	return e;
}
