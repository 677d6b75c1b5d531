/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates that are made within a test.
 */
#ifndef SEALWAY_TESTS_UNIT_NET_FAKE_CERT_H
#define SEALWAY_TESTS_UNIT_NET_FAKE_CERT_H

#include <openssl/x509.h>

/* Of key, signed by issuer; without issuer by itself.  san NULL: an authority's.  The times are from now. */
X509 *fake_cert(EVP_PKEY *key, const char *cn, const char *san, X509 *issuer, EVP_PKEY *issuer_key,
		long from_s, long to_s);

#define FAKE_FILE 64
/* Writes cert to a new file, whose name goes to path. */
void fake_cert_write(X509 *cert, char path[FAKE_FILE]);

#endif
