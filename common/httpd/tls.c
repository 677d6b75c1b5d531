/* SPDX-License-Identifier: Apache-2.0
 *
 * The TLS context of a listener: 1.2 or newer, forward secrecy over elliptic curves
 * only, h2 and http/1.1 offered by ALPN, no renegotiation, no compression.  Errors of the
 * operator's files are told with the file's name and OpenSSL's reason, never
 * with their contents.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/httpd/internal.h"
#include "common/log.h"
#include "common/tls_groups.h"

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

enum err tls_open(SSL_CTX **out, const char *cert, const char *key)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

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
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		return refuse(ctx, "key", key);
	if (SSL_CTX_check_private_key(ctx) != 1)
		return refuse(ctx, "key does not match certificate", key);
	h2o_ssl_register_alpn_protocols(ctx, h2o_alpn_protocols);
	*out = ctx;
	return ERR_OK;
}

enum err httpd_check_tls(const char *cert, const char *key)
{
	SSL_CTX *ctx = NULL;
	enum err e = *cert ? tls_open(&ctx, cert, key) : ERR_OK;

	SSL_CTX_free(ctx);
	return e;
}
