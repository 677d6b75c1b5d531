/* SPDX-License-Identifier: Apache-2.0
 *
 * A TLS client over a raw socket: what it says is encrypted at once and sent
 * when the test wants, so that a test decides what comes in one segment, and
 * can send what no TLS library would.
 */
#ifndef SEALWAY_TESTS_UNIT_HTTPD_TLSCLIENT_H
#define SEALWAY_TESTS_UNIT_HTTPD_TLSCLIENT_H

#include <openssl/ssl.h>

#include "tests/unit/httpd/h2client.h"

struct pair {
	char cert[64], key[64]; /* paths of PEM files */
};

struct tlsc {
	struct rig *g;
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out;  /* from and to the socket */
	struct buf got; /* decrypted */
};

/* Writes a new certificate and its key to dir/name.{crt,key}; removes them. */
void pair_make(struct pair *p, const char *dir, const char *name);
void pair_remove(const struct pair *p);

/* Connects and says nothing yet; protocol by ALPN ("h2", "http/1.1"). */
void tlsc_connect(struct tlsc *t, struct rig *g, const char *protocol);

/* Shakes hands.  The client's last message waits for tlsc_flush. */
void tlsc_shake(struct tlsc *t);

/* Both. */
void tlsc_begin(struct tlsc *t, struct rig *g, const char *protocol);

/* The same, and sends it. */
void tlsc_open(struct tlsc *t, struct rig *g, const char *protocol);
void tlsc_close(struct tlsc *t);

/* Encrypts for the next flush. */
void tlsc_add(struct tlsc *t, const void *p, size_t n);

/* Adds a fatal alert; the client cannot say anything afterwards. */
void tlsc_add_fatal(struct tlsc *t);

/* Adds a record that does not verify. */
void tlsc_add_bad_record(struct tlsc *t);

/* Sends what was added. */
void tlsc_flush(struct tlsc *t);

/* Reads into got until the text is in it; false when closed or after ms. */
bool tlsc_expect(struct tlsc *t, const char *text, unsigned ms);

#endif
