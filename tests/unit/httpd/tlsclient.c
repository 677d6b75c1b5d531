/* SPDX-License-Identifier: Apache-2.0
 *
 * See tlsclient.h.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/httpd/tlsclient.h"

static const uint8_t bad_record[5 + 32] = { 0x17, 3, 3, 0, 32, 'z' };

void pair_make(struct pair *p, const char *dir, const char *name)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	FILE *f;

	snprintf(p->cert, sizeof(p->cert), "%s/%s.crt", dir, name);
	snprintf(p->key, sizeof(p->key), "%s/%s.key", dir, name);
	assert_true(key != NULL && x != NULL);
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const uint8_t *)"localhost",
				   -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	f = fopen(p->cert, "w");
	assert_true(f != NULL && PEM_write_X509(f, x) == 1);
	fclose(f);
	f = fopen(p->key, "w");
	assert_true(f != NULL && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
	fclose(f);
	X509_free(x);
	EVP_PKEY_free(key);
}

void pair_remove(const struct pair *p)
{
	unlink(p->cert);
	unlink(p->key);
}

/* What has come, if anything; false when the peer has closed. */
static bool take(struct tlsc *t, unsigned ms)
{
	struct buf in = { 0 };
	bool closed = rig_closed(t->g, t->fd, &in, ms);

	if (in.n > 0)
		BIO_write(t->in, in.p, (int)in.n);
	buf_free(&in);
	return !closed;
}

void tlsc_connect(struct tlsc *t, struct rig *g, const char *protocol)
{
	uint8_t alpn[16];
	size_t n = strlen(protocol);

	memset(t, 0, sizeof(*t));
	t->g = g;
	t->fd = rig_connect(g);
	t->ctx = SSL_CTX_new(TLS_client_method());
	t->ssl = SSL_new(t->ctx);
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	SSL_set_bio(t->ssl, t->in, t->out);
	alpn[0] = (uint8_t)n;
	memcpy(alpn + 1, protocol, n);
	SSL_set_alpn_protos(t->ssl, alpn, (unsigned)n + 1);
}

void tlsc_shake(struct tlsc *t)
{
	for (int i = 0; SSL_connect(t->ssl) != 1; i++) {
		assert_true(i < 500);
		tlsc_flush(t);
		assert_true(take(t, 2));
	}
}

void tlsc_begin(struct tlsc *t, struct rig *g, const char *protocol)
{
	tlsc_connect(t, g, protocol);
	tlsc_shake(t);
}

void tlsc_open(struct tlsc *t, struct rig *g, const char *protocol)
{
	tlsc_begin(t, g, protocol);
	tlsc_flush(t);
	rig_turn(g, 20);
}

void tlsc_close(struct tlsc *t)
{
	close(t->fd);
	SSL_free(t->ssl);
	SSL_CTX_free(t->ctx);
	buf_free(&t->got);
}

void tlsc_add(struct tlsc *t, const void *p, size_t n)
{
	assert_int_equal(SSL_write(t->ssl, p, (int)n), (int)n);
}

void tlsc_add_fatal(struct tlsc *t)
{
	char c;

	BIO_write(t->in, bad_record, sizeof(bad_record));
	while (SSL_read(t->ssl, &c, 1) == 1)
		;
}

void tlsc_add_bad_record(struct tlsc *t)
{
	BIO_write(t->out, bad_record, sizeof(bad_record));
}

void tlsc_flush(struct tlsc *t)
{
	char *p;
	long n = BIO_get_mem_data(t->out, &p);

	rig_send(t->g, t->fd, p, (size_t)n);
	(void)BIO_reset(t->out);
}

bool tlsc_expect(struct tlsc *t, const char *text, unsigned ms)
{
	char tmp[4096];
	int n;

	for (unsigned spent = 0;; spent += 2) {
		bool open = take(t, 2);

		while ((n = SSL_read(t->ssl, tmp, sizeof(tmp))) > 0)
			buf_add(&t->got, tmp, (size_t)n);
		if (rig_count(&t->got, text) > 0)
			return true;
		if (!open || spent > ms)
			return false;
	}
}
