/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates of the tests (fake_cert.h).
 */
#include "tests/unit/net/fake_cert.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

static void add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	if (!ext)
		abort();
	X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
}

X509 *fake_cert(EVP_PKEY *key, const char *cn, const char *san, X509 *issuer, EVP_PKEY *issuer_key,
		long from_s, long to_s)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), issuer ? 2 : 1);
	X509_gmtime_adj(X509_getm_notBefore(x), from_s);
	X509_gmtime_adj(X509_getm_notAfter(x), to_s);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name);
	if (san)
		add_extension(x, NID_subject_alt_name, san);
	else
		add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
	if (X509_sign(x, issuer_key ? issuer_key : key, EVP_sha256()) <= 0)
		abort();
	return x;
}

void fake_cert_write(X509 *cert, char path[FAKE_FILE])
{
	FILE *f;

	snprintf(path, FAKE_FILE, "/tmp/sealway-ca-XXXXXX");
	f = fdopen(mkstemp(path), "w");
	if (!f || PEM_write_X509(f, cert) != 1 || fclose(f))
		abort();
}
