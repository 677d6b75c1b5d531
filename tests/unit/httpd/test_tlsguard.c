/* SPDX-License-Identifier: Apache-2.0
 *
 * What TLS adds to the ways of breaking libh2o 2.2.5: a read of no bytes is no
 * error.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/httpd/tlsclient.h"

#define RECORD_OVERHEAD 22 /* of TLS 1.3 with a tag of 16 bytes */
#define READ_SIZE 8192     /* what libh2o offers to libuv */

static char dir[] = "/tmp/httpd-tls-XXXXXX";
static struct pair pair;

static int setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	pair_make(&pair, dir, "a");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pair_remove(&pair);
	rmdir(dir);
	return 0;
}

static void up(struct rig *g)
{
	g->o.tls_cert = pair.cert;
	g->o.tls_key = pair.key;
	rig_open(g);
}

/* Preface, SETTINGS, all windows open. */
static void greet(struct tlsc *t)
{
	struct buf b = { 0 };

	buf_str(&b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	h2_add_window(&b, 1u << 30);
	h2_add_u32(&b, WINDOW_UPDATE, 0, 1u << 30);
	tlsc_add(t, b.p, b.n);
	buf_free(&b);
}

/* One record that fills libh2o's buffer exactly, all of a request or a part. */
static void full_reads_are_fine_on_http1(void **state)
{
	static char text[12000];
	struct rig g = { 0 };
	struct tlsc t;
	int n = snprintf(text, sizeof(text),
			 "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n");

	(void)state;
	memset(text + n, 'b', 9997);
	memcpy(text + n + 9997, "end", 3);
	up(&g);
	tlsc_open(&t, &g, "http/1.1");
	for (unsigned i = 1; i <= 2; i++) { /* h2o begins to read anew for each */
		tlsc_add(&t, text, READ_SIZE - RECORD_OVERHEAD);
		tlsc_flush(&t);
		rig_turn(&g, 20);
		tlsc_add(&t, text + READ_SIZE - RECORD_OVERHEAD,
			 (size_t)n + 10000 - (READ_SIZE - RECORD_OVERHEAD));
		tlsc_flush(&t);
		assert_true(tlsc_expect(&t, "end", 2000));
		assert_int_equal(g.seen, i);
		buf_reset(&t.got);
	}
	tlsc_close(&t);
	rig_close(&g);
}

static void full_reads_are_fine_on_http2(void **state)
{
	static const char zeros[READ_SIZE];
	struct buf b = { 0 };
	struct rig g = { 0 };
	struct tlsc t;

	(void)state;
	up(&g);
	tlsc_open(&t, &g, "h2");
	greet(&t);
	tlsc_flush(&t);
	rig_turn(&g, 20);
	h2_add_request(&b, 1, "/echo", 0);
	h2_add(&b, DATA, END_STREAM, 1, zeros, READ_SIZE - RECORD_OVERHEAD - 9 - b.n);
	tlsc_add(&t, b.p, b.n);
	assert_int_equal(BIO_pending(t.out), READ_SIZE);
	tlsc_flush(&t);
	assert_true(rig_until(&g, &g.seen, 1, 1000));
	rig_turn(&g, 20);
	buf_reset(&b);
	h2_add_request(&b, 3, "/hi", END_STREAM);
	tlsc_add(&t, b.p, b.n);
	tlsc_flush(&t);
	assert_true(tlsc_expect(&t, "hi\n", 2000));
	buf_free(&b);
	tlsc_close(&t);
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_reads_are_fine_on_http1),
		cmocka_unit_test(full_reads_are_fine_on_http2),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
