/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS: versions, ALPN, a certificate made for the test, wrong files.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/unit/httpd/tlsclient.h"
#include "tests/unit/tempdir.h"

static char dir[TEMPDIR_ROOM];
static struct pair good, other;
static struct httpd_tls *tls;

static int setup(void **state)
{
	(void)state;
	tempdir_make(dir);
	pair_make(&good, dir, "good");
	pair_make(&other, dir, "other");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pair_remove(&good);
	pair_remove(&other);
	tempdir_remove(dir);
	return 0;
}

static void up(struct rig *g)
{
	assert_int_equal(httpd_tls_open(&tls, good.cert, good.key), ERR_OK);
	g->o.tls = tls;
	rig_open(g);
}

static void down(struct rig *g)
{
	rig_close(g);
	httpd_tls_free(tls);
}

static int curl(struct rig *g, struct buf *out, const char *options, const char *path)
{
	char command[512];

	snprintf(command, sizeof(command), "curl -sk -m 5 %s https://127.0.0.1:%u%s", options,
		 httpd_port(g->h), path);
	return rig_run(g, command, out, 10000);
}

static void both_protocols_by_alpn(void **state)
{
	struct rig g = { 0 };
	struct buf out = { 0 };

	(void)state;
	up(&g);
	assert_int_equal(curl(&g, &out, "-w '%{http_version}'", "/hi"), 0);
	assert_int_equal(rig_count(&out, "hi\n2"), 1);
	assert_int_equal(curl(&g, &out, "--http1.1 -w '%{http_version}' -d body", "/echo"), 0);
	assert_int_equal(rig_count(&out, "body1.1"), 1);
	assert_int_equal(curl(&g, &out, "--tls-max 1.2 -w '%{http_version}'", "/hi"), 0);
	assert_int_equal(rig_count(&out, "hi\n2"), 2);
	assert_int_equal(curl(&g, &out, "-w '%{size_download}' -o /dev/null", "/big"), 0);
	assert_int_equal(rig_count(&out, "4194304"), 1);
	assert_int_equal(curl(&g, &out, "--http1.1 -w '%{size_download}' -o /dev/null", "/big"), 0);
	assert_int_equal(rig_count(&out, "4194304"), 2);
	assert_int_equal(curl(&g, &out, "--http1.1 -H 'Host:'", "/hi"), 0);
	assert_int_equal(rig_count(&out, "malformed request head"), 1);
	buf_reset(&out);
	assert_int_equal(curl(&g, &out, "-Z", "'/hi?[1-20]'"), 0);
	assert_int_equal(rig_count(&out, "hi\n"), 20);
	buf_free(&out);
	down(&g);
}

static void old_versions_are_refused(void **state)
{
	struct rig g = { 0 };
	struct buf out = { 0 };

	(void)state;
	up(&g);
	assert_int_equal(curl(&g, &out, "--tlsv1.0 --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0", "/hi"), 35);
	assert_int_equal(curl(&g, &out, "--tls-max 1.2 --ciphers AES256-SHA", "/hi"), 35);
	assert_int_equal(g.seen, 0);
	buf_free(&out);
	down(&g);
}

/* At 8192 bits a handshake takes the thread 120 ms, and the client may send any number as its share. */
static void only_curves_are_agreed_on(void **state)
{
	static const char *const curves[] = { "X25519", "P-256", "X448", "P-521", "P-384" };
	static const char *const fields[] = { "ffdhe2048", "ffdhe3072", "ffdhe8192" };
	struct rig g = { 0 };
	struct buf out = { 0 };
	char option[32];

	(void)state;
	up(&g);
	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
		snprintf(option, sizeof(option), "--curves %s", curves[i]);
		assert_int_equal(curl(&g, &out, option, "/hi"), 0);
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		snprintf(option, sizeof(option), "--curves %s", fields[i]);
		assert_int_equal(curl(&g, &out, option, "/hi"), 35);
	}
	assert_int_equal(g.seen, sizeof(curves) / sizeof(curves[0]));
	buf_free(&out);
	down(&g);
}

/* Half a handshake, no handshake, clear text: gone after the head's deadline
 * or at once, and others are served meanwhile. */
static void bad_handshakes_end(void **state)
{
	struct rig g = { .o.head_ms = 300 };
	struct buf in = { 0 };
	int fd;

	(void)state;
	up(&g);
	fd = rig_connect(&g);
	assert_true(rig_closed(&g, fd, &in, 2000));
	close(fd);
	fd = rig_connect(&g);
	rig_send(&g, fd, "\x16\x03\x01\x02", 4);
	assert_true(rig_closed(&g, fd, &in, 2000));
	close(fd);
	fd = rig_connect(&g);
	rig_say(&g, fd, "GET /hi HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_true(rig_closed(&g, fd, &in, 2000));
	close(fd);
	assert_int_equal(g.seen, 0);
	for (int i = 0; i < 100 && httpd_conns(g.h) > 0; i++)
		rig_turn(&g, 10);
	assert_int_equal(httpd_conns(g.h), 0);
	buf_free(&in);
	down(&g);
}

static void leaving_a_tls_stream_is_noticed(void **state)
{
	struct rig g = { 0 };
	struct buf out = { 0 };

	(void)state;
	up(&g);
	assert_int_equal(curl(&g, &out, "-m 0.3 --http1.1", "/stream"), 28);
	assert_true(rig_until(&g, &g.gone, 1, 1000));
	assert_int_equal(curl(&g, &out, "-m 0.3", "/hold"), 28);
	assert_true(rig_until(&g, &g.gone, 2, 1000));
	for (int i = 0; i < 100 && httpd_conns(g.h) > 0; i++)
		rig_turn(&g, 10);
	assert_int_equal(httpd_conns(g.h), 0);
	buf_free(&out);
	down(&g);
}

static void wrong_files_are_refused(void **state)
{
	struct httpd_tls *t = NULL;

	(void)state;
	log_init("test", LOG_ERROR, false);
	assert_int_equal(httpd_tls_open(&t, good.cert, other.key), ERR_CONFIG);
	assert_int_equal(httpd_tls_open(&t, good.cert, good.cert), ERR_CONFIG);
	assert_int_equal(httpd_tls_open(&t, good.key, good.key), ERR_CONFIG);
	assert_int_equal(httpd_tls_open(&t, "/nonexistent", good.key), ERR_CONFIG);
	assert_int_equal(httpd_tls_open(&t, good.cert, "/nonexistent"), ERR_CONFIG);
	assert_null(t);
	httpd_tls_free(NULL);
}

static void copy(const char *from, const char *to)
{
	char command[200];

	snprintf(command, sizeof(command), "cp %s %s", from, to);
	assert_int_equal(system(command), 0);
}

/* Whether a new client is shown that certificate. */
static bool shows(struct rig *g, const struct pair *p)
{
	FILE *f = fopen(p->cert, "r");
	X509 *want = PEM_read_X509(f, NULL, NULL, NULL), *have;
	struct tlsc t;
	bool same;

	fclose(f);
	tlsc_open(&t, g, "http/1.1");
	have = SSL_get1_peer_certificate(t.ssl);
	same = X509_cmp(have, want) == 0;
	X509_free(have);
	X509_free(want);
	tlsc_close(&t);
	return same;
}

static void a_new_certificate_is_for_new_connections(void **state)
{
	static const char ask[] = "GET /hi HTTP/1.1\r\nHost: a\r\n\r\n";
	struct rig g = { 0 };
	struct pair p;
	struct tlsc t;

	(void)state;
	pair_make(&p, dir, "now");
	assert_int_equal(httpd_tls_open(&tls, p.cert, p.key), ERR_OK);
	g.o.tls = tls;
	rig_open(&g);
	tlsc_open(&t, &g, "http/1.1");
	assert_true(shows(&g, &p) && !shows(&g, &other));
	copy(other.cert, p.cert); /* its key is not there yet */
	assert_int_equal(httpd_tls_reload(tls), ERR_CONFIG);
	assert_false(shows(&g, &other));
	copy(other.key, p.key);
	assert_int_equal(httpd_tls_reload(tls), ERR_OK);
	assert_true(shows(&g, &other));
	pair_remove(&p);
	assert_int_equal(httpd_tls_reload(tls), ERR_CONFIG);
	assert_true(shows(&g, &other));
	tlsc_add(&t, ask, sizeof(ask) - 1);
	tlsc_flush(&t);
	assert_true(tlsc_expect(&t, "hi\n", 1000));
	tlsc_close(&t);
	down(&g);
}

static int freed;

static void on_freed(void *parent, void *p, CRYPTO_EX_DATA *all, int index, long n, void *arg)
{
	(void)parent, (void)p, (void)all, (void)index, (void)n, (void)arg;
	freed++;
}

/* A client that has connected and said nothing yet: its SSL is made when it does, and the context that it is
 * made of was gone. */
static void who_has_not_begun_lives_through_a_new_certificate(void **state)
{
	struct rig g = { 0 };
	struct tlsc t, silent;

	(void)state;
	assert_true(CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, NULL, NULL, on_freed) >= 0);
	up(&g);
	tlsc_connect(&t, &g, "http/1.1");
	tlsc_connect(&silent, &g, "http/1.1");
	rig_turn(&g, 20);
	assert_int_equal(httpd_tls_reload(tls), ERR_OK);
	assert_int_equal(freed, 0);
	tlsc_shake(&t);
	tlsc_close(&t);
	rig_turn(&g, 20);
	assert_int_equal(freed, 1); /* t's own */
	tlsc_close(&silent);
	for (int i = 0; i < 100 && freed < 3; i++)
		rig_turn(&g, 10);
	assert_int_equal(freed, 3);
	down(&g);
}

/* The threads of a gateway: who met one of them comes back to another without a whole handshake. */
static void servers_share_tickets(void **state)
{
	struct rig g = { 0 }, second = { 0 };
	struct buf out = { 0 };
	char command[300];

	(void)state;
	up(&g);
	second.o.tls = tls;
	rig_open(&second);
	snprintf(command, sizeof(command),
		 "openssl s_client -connect 127.0.0.1:%u -tls1_2 -sess_out %s/ticket </dev/null 2>&1",
		 httpd_port(g.h), dir);
	assert_int_equal(rig_run(&g, command, &out, 5000), 0);
	assert_int_equal(rig_count(&out, "\nNew, TLSv1.2"), 1);
	snprintf(command, sizeof(command),
		 "openssl s_client -connect 127.0.0.1:%u -tls1_2 -sess_in %s/ticket </dev/null 2>&1; rm "
		 "%s/ticket",
		 httpd_port(second.h), dir, dir);
	assert_int_equal(rig_run(&second, command, &out, 5000), 0);
	assert_int_equal(rig_count(&out, "\nReused, TLSv1.2"), 1);
	buf_free(&out);
	rig_close(&second);
	down(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_protocols_by_alpn),
		cmocka_unit_test(old_versions_are_refused),
		cmocka_unit_test(bad_handshakes_end),
		cmocka_unit_test(leaving_a_tls_stream_is_noticed),
		cmocka_unit_test(wrong_files_are_refused),
		cmocka_unit_test(only_curves_are_agreed_on),
		cmocka_unit_test(a_new_certificate_is_for_new_connections),
		cmocka_unit_test(who_has_not_begun_lives_through_a_new_certificate),
		cmocka_unit_test(servers_share_tickets),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
