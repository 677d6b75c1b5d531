/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 as attackers speak it.  The first tests would abort the process
 * through an assert in libh2o 2.2.5 if the guard let their frames through.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/httpd/h2client.h"

#define CANCEL 8

static void alive(struct rig *g)
{
	struct h2 c;

	h2_open(&c, g, 65535);
	h2_request(&c, 1, "/hi", END_STREAM);
	assert_true(h2_wait(&c, DATA, 1, END_STREAM, 2000));
	h2_close(&c);
}

/* A connection whose writes are stuck in a full socket: eight large answers
 * under way to a client that does not read. */
static void stuck(struct h2 *c, struct rig *g)
{
	int small = 32768;

	h2_open(c, g, 3); /* the window of every later stream: one answer of /hi */
	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	rig_narrow(g);
	h2_send_u32(c, WINDOW_UPDATE, 0, 1u << 30);
	for (uint32_t id = 1; id < 16; id += 2) {
		h2_request(c, id, "/big", END_STREAM);
		h2_send_u32(c, WINDOW_UPDATE, id, 4u << 20);
	}
	rig_turn(g, 50);
}

/* What was gathered in c->out. */
static void send_twice(struct h2 *c)
{
	for (int i = 0; i < 2; i++) {
		rig_send(c->g, c->fd, c->out.p, c->out.n);
		rig_turn(c->g, 20);
	}
}

/* Reads a little, so that one write ends and another gets stuck. */
static void trickle(struct h2 *c)
{
	static char sink[8192];

	for (int i = 0; i < 4; i++) {
		(void)!recv(c->fd, sink, sizeof(sink), 0);
		rig_turn(c->g, 1);
	}
}

/* A finished stream whose bytes are in a stuck write and whose window is
 * exactly used up gets more window: libh2o asserts that this cannot be.  One
 * stream a step, because nobody knows in which step the write changes. */
static void window_update_for_a_finished_stream(void **state)
{
	struct rig g = { 0 };
	struct h2 c;

	(void)state;
	rig_open(&g);
	stuck(&c, &g);
	for (uint32_t id = 101; id < 261; id += 2)
		h2_request(&c, id, "/hi", END_STREAM);
	for (uint32_t id = 101; id < 261; id += 2) {
		trickle(&c);
		h2_send_u32(&c, WINDOW_UPDATE, id, 5);
		rig_turn(&g, 1);
	}
	alive(&g);
	rig_close_h2(&g, &c);
}

/* A stream begun with no window, reset, opened: the same assert by another way. */
static void reset_then_opened(void **state)
{
	struct rig g = { 0 };
	struct h2 c;

	(void)state;
	rig_open(&g);
	stuck(&c, &g);
	h2_add_window(&c.out, 0);
	for (uint32_t id = 101; id < 141; id += 2)
		h2_add_request(&c.out, id, "/stream", END_STREAM);
	h2_flush(&c);
	rig_turn(&g, 50);
	for (uint32_t id = 101; id < 141; id += 2) {
		h2_add_u32(&c.out, RST_STREAM, id, CANCEL);
		h2_add_u32(&c.out, WINDOW_UPDATE, id, 5);
	}
	send_twice(&c);
	alive(&g);
	rig_close_h2(&g, &c);
}

/* SETTINGS opens the windows of all streams at once. */
static void settings_open_finished_streams(void **state)
{
	struct rig g = { 0 };
	struct buf b = { 0 };
	struct h2 c;

	(void)state;
	rig_open(&g);
	stuck(&c, &g);
	for (uint32_t id = 101; id < 261; id += 2)
		h2_request(&c, id, "/hi", END_STREAM);
	h2_add_window(&b, 0);
	h2_add_window(&b, 70000);
	for (int i = 0; i < 80; i++) {
		trickle(&c);
		rig_send(&g, c.fd, b.p, b.n);
		rig_turn(&g, 1);
	}
	alive(&g);
	buf_free(&b);
	rig_close_h2(&g, &c);
}

/* Body bytes for a stream that is being answered make h2o reset it. */
static void data_after_the_end(void **state)
{
	struct rig g = { 0 };
	struct h2 c;

	(void)state;
	rig_open(&g);
	stuck(&c, &g);
	h2_add_window(&c.out, 0);
	h2_add_request(&c.out, 101, "/stream", END_STREAM);
	h2_flush(&c);
	rig_turn(&g, 50);
	h2_add(&c.out, DATA, 0, 101, "x", 1);
	h2_add_u32(&c.out, WINDOW_UPDATE, 101, 5);
	send_twice(&c);
	alive(&g);
	rig_close_h2(&g, &c);
}

static void rapid_reset(void **state)
{
	struct rig g = { 0 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 65535);
	for (uint32_t id = 1; id < 3000; id += 2) {
		h2_add_request(&c.out, id, "/hold", END_STREAM);
		h2_add_u32(&c.out, RST_STREAM, id, CANCEL);
	}
	h2_flush(&c);
	assert_true(rig_closed(&g, c.fd, &c.in, 2000));
	assert_true(rig_until(&g, &g.gone, g.seen, 1000));
	assert_true(g.seen >= 90 && g.seen <= 110);
	alive(&g);
	rig_close_h2(&g, &c);
}

/* Made the server reset: a window update of nothing, or one too many. */
static void made_to_reset(void **state)
{
	struct rig g = { 0 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 65535);
	h2_request(&c, 1, "/hold", END_STREAM);
	assert_true(rig_until(&g, &g.seen, 1, 1000));
	h2_send_u32(&c, WINDOW_UPDATE, 1, 0);
	assert_true(rig_closed(&g, c.fd, &c.in, 1000));
	assert_true(rig_until(&g, &g.gone, 1, 1000));
	h2_close(&c);
	alive(&g);
	rig_close(&g);
}

/* Honest cancelling, between finished requests, goes on for ever. */
static void cancelling_now_and_then_is_fine(void **state)
{
	struct rig g = { 0 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 65535);
	for (uint32_t i = 0; i < 150; i++) {
		h2_request(&c, 1 + i * 4, "/hold", END_STREAM);
		assert_true(rig_until(&g, &g.gone, i, 1000));
		h2_send_u32(&c, RST_STREAM, 1 + i * 4, CANCEL);
		h2_request(&c, 3 + i * 4, "/hi", END_STREAM);
	}
	assert_true(h2_wait(&c, DATA, 3 + 149 * 4, END_STREAM, 2000));
	rig_close_h2(&g, &c);
}

static void flood(uint8_t type, uint8_t flags, uint32_t id, const char *payload, size_t n, bool reading)
{
	struct rig g = { 0 };
	struct buf b = { 0 };
	struct h2 c;

	rig_open_h2(&g, &c, 65535);
	h2_request(&c, 1, "/hold", 0);
	for (int i = 0; i < 20000; i++)
		h2_add(&b, type, flags, id, payload, n);
	if (reading) {
		rig_send(&g, c.fd, b.p, b.n / 2);
		rig_closed(&g, c.fd, &c.in, 10);
		rig_send(&g, c.fd, b.p, b.n / 2);
	} else {
		rig_send(&g, c.fd, b.p, b.n);
	}
	assert_true(rig_closed(&g, c.fd, &c.in, 2000));
	alive(&g);
	buf_free(&b);
	rig_close_h2(&g, &c);
}

static void floods_end_the_connection(void **state)
{
	(void)state;
	flood(PING, 0, 0, "12345678", 8, true);
	flood(PING, 0, 0, "12345678", 8, false);
	flood(SETTINGS, 0, 0, "", 0, true);
	flood(SETTINGS, 0, 0, "", 0, false);
	flood(PRIORITY, 0, 3, "\0\0\0\1\1", 5, true);
	flood(RST_STREAM, 0, 1, "\0\0\0\1", 4, true);
	flood(DATA, 0, 1, "", 0, true);
	flood(200, 0, 0, "new", 3, true);
	flood(CONTINUATION, 0, 1, "", 0, true);
}

/* A header block may not jump to another stream, nor grow without end. */
static void header_blocks_are_watched(void **state)
{
	static const char filler[16000];
	struct rig g = { 0 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 65535);
	h2_request(&c, 1, "/hold", 0);
	h2_send(&c, HEADERS, END_STREAM, 3, "\x82\x86", 2);
	h2_send(&c, CONTINUATION, END_HEADERS, 1, "\x84", 1);
	assert_true(rig_closed(&g, c.fd, &c.in, 1000));
	h2_close(&c);
	h2_open(&c, &g, 65535);
	h2_send(&c, HEADERS, END_STREAM, 1, "\x82\x86", 2);
	for (int i = 0; i < 6; i++)
		h2_send(&c, CONTINUATION, 0, 1, filler, sizeof(filler));
	assert_true(rig_closed(&g, c.fd, &c.in, 1000));
	h2_close(&c);
	h2_open(&c, &g, 65535);
	h2_send(&c, HEADERS, END_STREAM, 1, "\x82\x86", 2);
	h2_send(&c, CONTINUATION, END_HEADERS, 1,
		"\x04\x03/hi\x01\x01"
		"a",
		8);
	assert_true(h2_wait(&c, DATA, 1, END_STREAM, 1000));
	assert_int_equal(g.seen, 1);
	rig_close_h2(&g, &c);
}

/* A field, and until the block has 8000 bytes: the same again, in a byte each. */
static void add_fields(struct buf *block)
{
	static const uint8_t field[] = "\x40\x03x-f\x01v"; /* into the dynamic table, number 62 */

	buf_add(block, field, sizeof(field) - 1);
	while (block->n < 8000)
		buf_add(block, "\xbe", 1);
}

/* One byte of a header block can name a field of the dynamic table: a few KB on
 * the wire would be hundreds of thousands of fields in memory, unseen by the
 * budget for bodies. */
static void too_many_fields(uint8_t flags)
{
	struct rig g = { 0 };
	struct buf block = { 0 };
	struct h2 c;

	rig_open_h2(&g, &c, 0);
	h2_add_request(&block, 1, "/hold", flags);
	buf_consume(&block, 9);
	add_fields(&block);
	h2_send(&c, HEADERS, flags | END_HEADERS, 1, block.p, block.n);
	assert_true(rig_closed(&g, c.fd, &c.in, 2000));
	assert_int_equal(g.seen, 0);
	alive(&g);
	buf_free(&block);
	rig_close_h2(&g, &c);
}

static void fields_are_counted(void **state)
{
	(void)state;
	too_many_fields(0);
	too_many_fields(END_STREAM);
}

/* Heads that wait for their bodies count as much as bodies do. */
static void long_fields_count(void **state)
{
	struct rig g = { .o = { .body_budget = 256 << 10 } };
	struct buf block = { 0 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 65535);
	h2_add_request(&block, 1, "/hold", 0);
	buf_consume(&block, 9);
	buf_add(&block, "\x00\x03x-f\x7f\xe1\x5d", 8); /* a value of 127 + 97 + (93 << 7) bytes */
	for (int i = 0; i < 127 + 97 + (93 << 7); i++)
		buf_add(&block, "v", 1);
	for (uint32_t id = 1; id < 61; id += 2)
		h2_add(&c.out, HEADERS, END_HEADERS, id, block.p, block.n);
	h2_flush(&c);
	assert_true(rig_closed(&g, c.fd, &c.in, 2000));
	alive(&g);
	buf_free(&block);
	rig_close_h2(&g, &c);
}

/* The same behind a body. */
static void fields_of_trailers_are_counted(void **state)
{
	struct rig g = { 0 };
	struct buf block = { 0 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 65535);
	h2_request(&c, 1, "/hold", 0);
	h2_send(&c, DATA, 0, 1, "x", 1);
	add_fields(&block);
	h2_send(&c, HEADERS, END_STREAM | END_HEADERS, 1, block.p, block.n);
	assert_true(rig_closed(&g, c.fd, &c.in, 2000));
	assert_int_equal(g.seen, 0);
	alive(&g);
	buf_free(&block);
	rig_close_h2(&g, &c);
}

/* Trailers of an upload over the limit, which was answered already: the connection goes on, and so does the
 * compression of fields. */
static void trailers_behind_the_answer(void **state)
{
	static const char block[16384];
	struct rig g = { .o.max_body = 1000 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 65535);
	h2_request(&c, 1, "/echo", 0);
	h2_send(&c, DATA, 0, 1, block, sizeof(block));
	assert_true(h2_wait(&c, DATA, 1, END_STREAM, 2000));
	h2_add_request(&c.out, 3, "/hi", END_STREAM); /* in the same read, and before them */
	h2_add(&c.out, HEADERS, END_STREAM | END_HEADERS, 1, "\x40\1a\3/hi", 7);
	h2_flush(&c);
	assert_true(h2_wait(&c, DATA, 3, END_STREAM, 2000));
	h2_send(&c, HEADERS, END_STREAM | END_HEADERS, 5, "\x82\x86\x84\1\1a\xbe", 7); /* that field again */
	assert_true(h2_wait(&c, DATA, 5, END_STREAM, 2000));
	assert_int_equal(h2_frames(&c, GOAWAY, 0, 0), 0);
	h2_send(&c, HEADERS, END_STREAM | END_HEADERS, 1, "\xff\xff\xff\xff\xff\xff", 6);
	assert_true(rig_closed(&g, c.fd, &c.in, 2000));
	alive(&g);
	rig_close_h2(&g, &c);
}

/* Frames split at every byte are put together again. */
static void split_reads(void **state)
{
	struct rig g = { 0 };
	struct buf b = { 0 };
	struct h2 c;

	(void)state;
	rig_open_h2(&g, &c, 65535);
	h2_add_request(&b, 1, "/echo", 0);
	h2_add(&b, 77, 0, 0, "unknown", 7);
	h2_add(&b, DATA, 0, 1, "ab", 2);
	h2_add_u32(&b, WINDOW_UPDATE, 1, 100);
	h2_add(&b, PING, 0, 0, "pingpong", 8);
	h2_add(&b, DATA, END_STREAM, 1, "cd", 2);
	for (size_t i = 0; i < b.n; i++)
		rig_send(&g, c.fd, b.p + i, 1);
	assert_true(h2_wait(&c, DATA, 1, END_STREAM, 2000));
	assert_int_equal(h2_data(&c, 1), 4);
	assert_int_equal(h2_frames(&c, PING, 0, ACK), 1);
	buf_free(&b);
	rig_close_h2(&g, &c);
}

/* Mostly frames that are legal where they stand, so that a connection lives
 * long enough to get into odd states; now and then nonsense. */
static void random_frame(struct buf *b, unsigned first, unsigned *next_id)
{
	static const char *const paths[] = { "/hi", "/stream", "/hold", "/echo", "/big", "/length" };
	uint32_t opened = (*next_id - first) / 2,
		 id = first + 2 * (opened > 0 ? (uint32_t)rand() % opened : 0);
	uint8_t junk[64];

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)rand();
	if (rand() % 400 == 0) {
		h2_add(b, (uint8_t)(rand() % 11), (uint8_t)rand(), (uint32_t)rand() % 200, junk,
		       (size_t)rand() % 64);
		return;
	}
	switch (opened == 0 ? 0 : rand() % 12) {
	case 0:
	case 1:
	case 2:
		h2_add_request(b, *next_id, paths[rand() % 6], rand() % 3 ? END_STREAM : 0);
		*next_id += 2;
		break;
	case 3:
	case 4:
	case 5:
		h2_add_u32(b, WINDOW_UPDATE, id,
			   rand() % 3 ? 1 + (uint32_t)rand() % 5 : 1 + (uint32_t)rand() % 50000);
		break;
	case 6:
		h2_add_u32(b, RST_STREAM, id, (uint32_t)rand() % 14);
		break;
	case 7:
	case 8:
		h2_add(b, DATA, rand() % 3 ? 0 : END_STREAM, id, junk, (size_t)rand() % 64);
		break;
	case 9:
		h2_add_window(b, rand() % 4 ? (uint32_t)rand() % 8 : (uint32_t)rand() % 100000);
		break;
	case 10:
		put_be32(junk, id + 2 * (1 + (uint32_t)rand() % 5) + (rand() % 2 ? 0x80000000u : 0));
		h2_add(b, PRIORITY, 0, id, junk, 5);
		break;
	default:
		h2_add(b, PING, (uint8_t)(rand() % 2), 0, junk, 8);
	}
}

static void answer_at_random(struct rig *g)
{
	static const char block[5000];
	struct hreq *r = g->held;

	if (r == NULL)
		return;
	if (slice_is(hreq_path(r), "/hold") && !g->begun)
		hreq_begin(r, 200, NULL, 0, UINT64_MAX);
	g->begun = true;
	hreq_write(r, slice_of(block, (size_t)rand() % sizeof(block)));
	if (rand() % 3 == 0)
		return;
	g->held = NULL;
	if (rand() % 2)
		hreq_end(r);
	else
		hreq_abort(r);
}

/* Whatever the frames: the process lives and the server still serves. */
static void random_frames(void **state)
{
	const char *seed = getenv("SEED"), *rounds = getenv("ROUNDS");
	struct rig g = { .o.stall_ms = 300, .o.head_ms = 300, .o.body_ms = 300 };
	int n = rounds != NULL ? atoi(rounds) : 60;

	(void)state;
	srand(seed != NULL ? (unsigned)atoi(seed) : 1);
	rig_open(&g);
	for (int i = 0; i < n; i++) {
		struct buf b = { 0 };
		struct h2 c;
		unsigned first = 1, next_id;

		if (i % 3 == 0) {
			stuck(&c, &g);
			first = 101;
		} else {
			h2_open(&c, &g, (uint32_t)(rand() % 2 ? rand() % 64 : 65535));
		}
		next_id = first;
		for (int k = 0; k < 12; k++) {
			buf_reset(&b);
			for (int f = rand() % 30; f >= 0; f--)
				random_frame(&b, first, &next_id);
			rig_send(&g, c.fd, b.p, b.n);
			answer_at_random(&g);
			if (i % 3 == 0)
				trickle(&c);
			else if (rand() % 3 == 0)
				rig_closed(&g, c.fd, &c.in, (unsigned)rand() % 3);
		}
		buf_free(&b);
		h2_close(&c);
	}
	g.held = NULL;
	rig_turn(&g, 50);
	alive(&g);
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(window_update_for_a_finished_stream),
		cmocka_unit_test(reset_then_opened),
		cmocka_unit_test(settings_open_finished_streams),
		cmocka_unit_test(data_after_the_end),
		cmocka_unit_test(rapid_reset),
		cmocka_unit_test(made_to_reset),
		cmocka_unit_test(cancelling_now_and_then_is_fine),
		cmocka_unit_test(floods_end_the_connection),
		cmocka_unit_test(header_blocks_are_watched),
		cmocka_unit_test(fields_are_counted),
		cmocka_unit_test(long_fields_count),
		cmocka_unit_test(fields_of_trailers_are_counted),
		cmocka_unit_test(trailers_behind_the_answer),
		cmocka_unit_test(split_reads),
		cmocka_unit_test(random_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
