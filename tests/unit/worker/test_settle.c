/* SPDX-License-Identifier: Apache-2.0
 *
 * Settlements until acknowledged: sent at once, again after 1 s, then 2 s; the
 * same bytes each time; once per request.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/net/fake_server.h"
#include "worker/settle.h"

struct side {
	uv_loop_t uv;
	struct settle_book *book;
	unsigned sent, sent_to[4];
	struct buf first, last;
	uint64_t at[8];
};

static void on_send(void *arg, unsigned to, struct slice bytes)
{
	struct side *s = arg;

	s->at[s->sent % 8] = uv_now(&s->uv);
	if (s->sent++ == 0)
		buf_add(&s->first, bytes.p, bytes.n);
	buf_reset(&s->last);
	buf_add(&s->last, bytes.p, bytes.n);
	s->sent_to[to]++;
}

static int setup(void **state)
{
	struct side *s = mem_new(sizeof(*s));

	uv_loop_init(&s->uv);
	s->book = settle_book_new(&s->uv, on_send, s);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct side *s = *state;

	settle_book_free(s->book);
	uv_run(&s->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->uv), 0);
	buf_free(&s->first);
	buf_free(&s->last);
	free(s);
	return 0;
}

static struct settle settlement(uint8_t rid, uint32_t attempt)
{
	struct settle m = {
		.epoch = 1, .attempt = attempt, .node = 5, .outcome = SETTLE_FAILED, .error = ERR_NODE
	};

	memset(m.rid, rid, sizeof(m.rid));
	return m;
}

static bool done(struct side *s, uint8_t rid, uint32_t attempt)
{
	struct settled m = { .attempt = attempt };

	memset(m.rid, rid, sizeof(m.rid));
	return settle_done(s->book, &m);
}

static void test_repeats(void **state)
{
	struct side *s = *state;
	struct settle m = settlement(1, 1);

	uv_update_time(&s->uv);
	settle_put(s->book, 0, &m);
	assert_int_equal(s->sent, 1);
	fake_run(&s->uv, NULL, 3600);
	assert_int_equal(s->sent, 3);
	assert_in_range(s->at[1] - s->at[0], 900, 1500);
	assert_in_range(s->at[2] - s->at[1], 1900, 2500);
	assert_true(slice_eq(buf_slice(&s->first), buf_slice(&s->last)));
	assert_true(done(s, 1, 1));
	assert_int_equal(settle_count(s->book), 0);
	fake_run(&s->uv, NULL, 300);
	assert_int_equal(s->sent, 3);
}

static void test_acknowledged(void **state)
{
	struct side *s = *state;
	struct settle m = settlement(1, 2);

	settle_put(s->book, 0, &m);
	assert_false(done(s, 2, 2)); /* another request */
	assert_false(done(s, 1, 1)); /* another attempt */
	assert_int_equal(settle_count(s->book), 1);
	assert_true(done(s, 1, 2));
	assert_false(done(s, 1, 2));
	assert_int_equal(settle_count(s->book), 0);
}

static void test_once_per_request(void **state)
{
	struct side *s = *state;
	struct settle m = settlement(1, 2), other;

	settle_put(s->book, 0, &m);
	other = m;
	other.outcome = SETTLE_LOST;
	settle_put(s->book, 0, &other); /* the same attempt: the first word stands */
	other.attempt = 1;
	settle_put(s->book, 0, &other); /* an older one */
	assert_int_equal(s->sent, 1);
	assert_int_equal(settle_count(s->book), 1);
	other.attempt = 3;
	settle_put(s->book, 0, &other);
	assert_int_equal(s->sent, 2);
	assert_int_equal(settle_count(s->book), 1);
	assert_false(done(s, 1, 2));
	assert_true(done(s, 1, 3));
}

static void test_resend(void **state)
{
	struct side *s = *state;
	struct settle m;
	uint8_t rid[RID_BYTES];

	for (uint8_t i = 1; i <= 5; i++) {
		m = settlement(i, 1);
		settle_put(s->book, i % 2, &m);
	}
	assert_int_equal(s->sent, 5);
	assert_int_equal(settle_count_for(s->book, 0), 2);
	assert_int_equal(settle_count_for(s->book, 1), 3);
	assert_int_equal(settle_count_for(s->book, 2), 0);
	settle_resend(s->book, 1);
	assert_int_equal(s->sent_to[0], 2);
	assert_int_equal(s->sent_to[1], 6);
	memset(rid, 4, sizeof(rid));
	assert_true(settle_again(s->book, rid));
	assert_int_equal(s->sent_to[0], 3);
	memset(rid, 9, sizeof(rid));
	assert_false(settle_again(s->book, rid));
	assert_int_equal(s->sent, 9);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_repeats),
		T(test_acknowledged),
		T(test_once_per_request),
		T(test_resend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
