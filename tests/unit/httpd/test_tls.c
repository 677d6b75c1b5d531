/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS: versions, ALPN, a certificate made for the test, wrong files.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/httpd/tlsclient.h"
#include "tests/unit/tempdir.h"

static char dir[TEMPDIR_ROOM];
static struct pair good, other;

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
	g->o.tls_cert = good.cert;
	g->o.tls_key = good.key;
	rig_open(g);
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
	rig_close(&g);
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
	rig_close(&g);
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
	rig_close(&g);
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
	rig_close(&g);
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
	rig_close(&g);
}

static void wrong_files_are_refused(void **state)
{
	struct rig g = { 0 };
	struct httpd *h = NULL;
	struct httpd_opts o;

	(void)state;
	up(&g);
	o = g.o;
	o.listen = "127.0.0.1:0";
	o.tls_cert = good.cert;
	o.tls_key = other.key;
	assert_int_equal(httpd_open(&h, &g.loop, &o), ERR_CONFIG);
	o.tls_key = good.cert;
	assert_int_equal(httpd_open(&h, &g.loop, &o), ERR_CONFIG);
	o.tls_cert = good.key;
	o.tls_key = good.key;
	assert_int_equal(httpd_open(&h, &g.loop, &o), ERR_CONFIG);
	assert_null(h);
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_protocols_by_alpn),  cmocka_unit_test(old_versions_are_refused),
		cmocka_unit_test(bad_handshakes_end),      cmocka_unit_test(leaving_a_tls_stream_is_noticed),
		cmocka_unit_test(wrong_files_are_refused), cmocka_unit_test(only_curves_are_agreed_on),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
