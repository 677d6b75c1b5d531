/* SPDX-License-Identifier: Apache-2.0
 *
 * What TLS adds to the ways of breaking libh2o 2.2.5: after some errors it
 * does not write any more, after its goodbye it does not read, and a read of
 * no bytes is no error.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/httpd/tlsclient.h"
#include "tests/unit/tempdir.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define RECORD_OVERHEAD 22 /* of TLS 1.3 with a tag of 16 bytes */
#define READ_SIZE 8192     /* what libh2o offers to libuv */

static const char *const protocols[] = { "http/1.1", "h2" };
static char dir[TEMPDIR_ROOM];
static struct pair pair;

static int make_pair(void **state)
{
	(void)state;
	tempdir_make(dir);
	pair_make(&pair, dir, "a");
	return 0;
}

static int remove_pair(void **state)
{
	(void)state;
	pair_remove(&pair);
	tempdir_remove(dir);
	return 0;
}

static int setup(void **state)
{
	struct rig *g = mem_new(sizeof(*g));

	assert_int_equal(httpd_tls_open(&g->o.tls, pair.cert, pair.key), ERR_OK);
	rig_open(g);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	rig_close(g);
	httpd_tls_free(g->o.tls);
	free(g);
	return 0;
}

/* Nobody is connected any more, and the server serves. */
static void alive_alone(struct rig *g)
{
	struct tlsc t;

	for (int i = 0; i < 200 && httpd_conns(g->h) > 0; i++)
		rig_turn(g, 10);
	assert_int_equal(httpd_conns(g->h), 0);
	tlsc_open(&t, g, "http/1.1");
	tlsc_add(&t, GET("/hi"), strlen(GET("/hi")));
	tlsc_flush(&t);
	assert_true(tlsc_expect(&t, "hi\n", 2000));
	tlsc_close(&t);
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

static void ask(struct tlsc *t, uint32_t id, const char *path)
{
	struct buf b = { 0 };

	h2_add_request(&b, id, path, END_STREAM);
	tlsc_add(t, b.p, b.n);
	buf_free(&b);
}

/* A first request in either protocol. */
static void ask_in(struct tlsc *t, const char *protocol, const char *path)
{
	if (!strcmp(protocol, "h2")) {
		greet(t);
		ask(t, 1, path);
	} else {
		char text[128];
		int n = snprintf(text, sizeof(text), GET("%s"), path);

		tlsc_add(t, text, (size_t)n);
	}
}

static void flush(struct tlsc *t)
{
	tlsc_flush(t);
	rig_turn(t->g, 20);
}

/* Answers in a write that does not end, and more behind it. */
static void stuck(struct tlsc *t, struct rig *g)
{
	struct buf b = { 0 };
	int small = 4096;

	tlsc_open(t, g, "h2");
	setsockopt(t->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	rig_narrow(g);
	greet(t);
	for (uint32_t id = 1; id < 16; id += 2)
		ask(t, id, "/big");
	tlsc_flush(t);
	rig_turn(g, 50);
	h2_add(&b, PING, 0, 0, "12345678", 8);
	tlsc_add(t, b.p, b.n);
	ask(t, 21, "/stream");
	flush(t);
	buf_free(&b);
}

/* The client reads on, so that a write that was under way ends, to the end of its connection. */
static void read_on(struct tlsc *t)
{
	struct buf in = { 0 };

	assert_true(rig_closed(t->g, t->fd, &in, 5000));
	buf_free(&in);
	tlsc_close(t);
}

/* libh2o had more to write when the write ended, TLS refused, and libuv
 * asserts that a write has buffers. */
static void a_bad_record_while_a_write_is_under_way(void **state)
{
	struct rig *g = *state;
	struct tlsc t;

	stuck(&t, g);
	tlsc_add_bad_record(&t);
	flush(&t);
	read_on(&t);
	alive_alone(g);
	assert_int_equal(g->gone, 1);
}

/* The same, and the answer begins after the record. */
static void an_answer_after_a_bad_record(void **state)
{
	struct rig *g = *state;
	struct tlsc t;

	stuck(&t, g);
	ask(&t, 23, "/hold");
	tlsc_flush(&t);
	assert_true(rig_until(g, &g->seen, 10, 1000));
	tlsc_add_bad_record(&t);
	tlsc_flush(&t);
	if (g->held != NULL)
		hreq_respond(g->held, 200, NULL, 0, SLICE_STR("late"));
	rig_turn(g, 20);
	read_on(&t);
	alive_alone(g);
}

/* TLS has to answer a request for new keys, and does so with the next write. */
static void new_keys_while_a_write_is_under_way(void **state)
{
	struct rig *g = *state;
	struct tlsc t;

	stuck(&t, g);
	assert_int_equal(SSL_key_update(t.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
	assert_int_equal(SSL_do_handshake(t.ssl), 1);
	flush(&t);
	for (int i = 0; i < 3; i++) {
		buf_reset(&t.got);
		assert_true(tlsc_expect(&t, "xxxx", 1000));
	}
	tlsc_close(&t);
	alive_alone(g);
}

/* A fatal alert is no error to libh2o, but TLS does not write after it. */
static void a_fatal_alert_in_a_stream(void **state)
{
	struct rig *g = *state;
	struct tlsc t;

	tlsc_open(&t, g, "h2");
	ask_in(&t, "h2", "/stream");
	tlsc_flush(&t);
	assert_true(rig_until(g, &g->seen, 1, 1000));
	rig_turn(g, 20);
	tlsc_add_fatal(&t);
	flush(&t);
	if (g->held != NULL)
		hreq_write(g->held, SLICE_STR("more"));
	assert_true(rig_until(g, &g->gone, 1, 1000));
	read_on(&t);
	alive_alone(g);
}

/* The request before it, in the same segment, is answered when TLS is broken already. */
static void a_fatal_alert_behind_a_request(void **state)
{
	struct rig *g = *state;
	struct tlsc t;

	for (int i = 0; i < 2; i++) {
		tlsc_open(&t, g, protocols[i]);
		ask_in(&t, protocols[i], "/hi");
		tlsc_add_fatal(&t);
		tlsc_flush(&t);
		read_on(&t);
	}
	alive_alone(g);
}

/* What comes with the end of the handshake is decoded by libh2o without a look at errors. */
static void a_bad_record_behind_the_handshake(void **state)
{
	struct rig *g = *state;
	struct tlsc t;

	for (int i = 0; i < 2; i++) {
		tlsc_begin(&t, g, protocols[i]);
		ask_in(&t, protocols[i], "/hi");
		tlsc_add_bad_record(&t);
		tlsc_flush(&t);
		read_on(&t);
	}
	alive_alone(g);
}

/* Who has said goodbye and talks on is not listened to: nothing would ever take it out of memory. */
static void goodbye_is_the_end(void **state)
{
	static const char junk[65536];
	struct rig *g = *state;
	struct tlsc t;

	for (int i = 0; i < 2; i++) {
		tlsc_open(&t, g, protocols[i]);
		SSL_shutdown(t.ssl);
		flush(&t);
		for (int k = 0; k < 16; k++)
			(void)!send(t.fd, junk, sizeof(junk), MSG_NOSIGNAL);
		alive_alone(g);
		tlsc_close(&t);
	}
}

/* One record that fills libh2o's buffer exactly, all of a request or a part. */
static void full_reads_are_fine_on_http1(void **state)
{
	static char text[12000];
	struct rig *g = *state;
	struct tlsc t;
	int n = snprintf(text, sizeof(text),
			 "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n");

	memset(text + n, 'b', 9997);
	memcpy(text + n + 9997, "end", 3);
	tlsc_open(&t, g, "http/1.1");
	for (unsigned i = 1; i <= 2; i++) { /* h2o begins to read anew for each */
		tlsc_add(&t, text, READ_SIZE - RECORD_OVERHEAD);
		flush(&t);
		tlsc_add(&t, text + READ_SIZE - RECORD_OVERHEAD,
			 (size_t)n + 10000 - (READ_SIZE - RECORD_OVERHEAD));
		tlsc_flush(&t);
		assert_true(tlsc_expect(&t, "end", 2000));
		assert_int_equal(g->seen, i);
		buf_reset(&t.got);
	}
	tlsc_close(&t);
}

static void full_reads_are_fine_on_http2(void **state)
{
	static const char zeros[READ_SIZE];
	struct buf b = { 0 };
	struct rig *g = *state;
	struct tlsc t;

	tlsc_open(&t, g, "h2");
	greet(&t);
	flush(&t);
	h2_add_request(&b, 1, "/echo", 0);
	h2_add(&b, DATA, END_STREAM, 1, zeros, READ_SIZE - RECORD_OVERHEAD - 9 - b.n);
	tlsc_add(&t, b.p, b.n);
	assert_int_equal(BIO_pending(t.out), READ_SIZE);
	tlsc_flush(&t);
	assert_true(rig_until(g, &g->seen, 1, 1000));
	rig_turn(g, 20);
	buf_reset(&b);
	h2_add_request(&b, 3, "/hi", END_STREAM);
	tlsc_add(&t, b.p, b.n);
	tlsc_flush(&t);
	assert_true(tlsc_expect(&t, "hi\n", 2000));
	buf_free(&b);
	tlsc_close(&t);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_bad_record_while_a_write_is_under_way),
		T(an_answer_after_a_bad_record),
		T(new_keys_while_a_write_is_under_way),
		T(a_fatal_alert_in_a_stream),
		T(a_fatal_alert_behind_a_request),
		T(a_bad_record_behind_the_handshake),
		T(goodbye_is_the_end),
		T(full_reads_are_fine_on_http1),
		T(full_reads_are_fine_on_http2),
	};

	return cmocka_run_group_tests(tests, make_pair, remove_pair);
}
