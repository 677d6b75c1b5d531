/* SPDX-License-Identifier: Apache-2.0
 *
 * The guard in front of msgpack-c, the sticky reader, the writer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proto/mp.h"

#define MP(s) slice_of("" s, sizeof(s) - 1)

static enum err try_array(struct slice s)
{
	uint8_t *p = malloc(s.n ? s.n : 1);
	struct mp_reader r;
	enum err e;

	if (s.n)
		memcpy(p, s.p, s.n);
	e = mp_reader_init(&r, slice_of(p, s.n));
	if (e == ERR_OK)
		mp_reader_fini(&r);
	free(p);
	return e;
}

static void test_guard(void **state)
{
	static const struct slice GOOD[] = {
		{ (const uint8_t *)"\x90", 1 },
		{ (const uint8_t *)"\x91\x7f", 2 },
		{ (const uint8_t *)"\x92\xc2\xc3", 3 },
		{ (const uint8_t *)"\x91\xcc\x80", 3 },
		{ (const uint8_t *)"\x91\xcd\x01\x00", 4 },
		{ (const uint8_t *)"\x91\xce\x00\x01\x00\x00", 6 },
		{ (const uint8_t *)"\x91\xcf\x00\x00\x00\x01\x00\x00\x00\x00", 10 },
		{ (const uint8_t *)"\x91\x81\xa1k\x01", 5 },
		{ (const uint8_t *)"\x91\x91\x91\x91\x91\x91\x91\x90", 8 }, /* 8 deep */
	};
	static const struct slice BAD[] = {
		{ NULL, 0 },
		{ (const uint8_t *)"\xc0", 1 }, /* no array */
		{ (const uint8_t *)"\x80", 1 }, /* a map */
		{ (const uint8_t *)"\x91", 1 },
		{ (const uint8_t *)"\x90\x00", 2 },
		{ (const uint8_t *)"\x91\x91\x91\x91\x91\x91\x91\x91\x90", 9 }, /* 9 deep */
		{ (const uint8_t *)"\xdd\xff\xff\xff\xff", 5 },                 /* gigabytes */
		{ (const uint8_t *)"\xdf\xff\xff\xff\xff", 5 },
		{ (const uint8_t *)"\x91\xdf\x80\x00\x00\x00", 6 }, /* twice that overflows 32 bits */
		{ (const uint8_t *)"\xdc\x00\x01\xc0", 4 },         /* a longer spelling each: */
		{ (const uint8_t *)"\x91\xcc\x7f", 3 },
		{ (const uint8_t *)"\x91\xcd\x00\xff", 4 },
		{ (const uint8_t *)"\x91\xce\x00\x00\xff\xff", 6 },
		{ (const uint8_t *)"\x91\xcf\x00\x00\x00\x00\xff\xff\xff\xff", 10 },
		{ (const uint8_t *)"\x91\xd9\x01x", 4 },
		{ (const uint8_t *)"\x91\xda\x00\x01x", 5 },
		{ (const uint8_t *)"\x91\xdb\x00\x00\x00\x01x", 7 },
		{ (const uint8_t *)"\x91\xc5\x00\x01x", 5 },
		{ (const uint8_t *)"\x91\xc6\x00\x00\x00\x01x", 7 },
		{ (const uint8_t *)"\x91\xde\x00\x00", 4 },
		{ (const uint8_t *)"\x91\xdd\x00\x00\x00\x00", 6 },
		{ (const uint8_t *)"\x91\xc4\x02x", 4 }, /* one byte short */
		{ (const uint8_t *)"\x91\xc6\xff\xff\xff\xff", 6 },
		{ (const uint8_t *)"\x91\xa2x", 3 },
		{ (const uint8_t *)"\x91\xcf\x00\x00", 4 },
		{ (const uint8_t *)"\x91\xc1", 2 }, /* types that no message has: */
		{ (const uint8_t *)"\x91\xff", 2 },
		{ (const uint8_t *)"\x91\xe0", 2 },
		{ (const uint8_t *)"\x91\xca\x00\x00\x00\x00", 6 },
		{ (const uint8_t *)"\x91\xcb\x00\x00\x00\x00\x00\x00\x00\x00", 10 },
		{ (const uint8_t *)"\x91\xd0\x01", 3 },
		{ (const uint8_t *)"\x91\xd3\x00\x00\x00\x00\x00\x00\x00\x01", 10 },
		{ (const uint8_t *)"\x91\xd4\x01x", 4 },
		{ (const uint8_t *)"\x91\xc7\x00\x01", 4 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++)
		assert_int_equal(try_array(GOOD[i]), ERR_OK);
	for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
		assert_int_equal(try_array(BAD[i]), ERR_FORMAT);
}

/* Many elements: up to the limit in a zone, over it refused, before memory is reserved. */
static void test_many(void **state)
{
	struct buf b = { .n = 0 };
	struct mp_writer w;
	struct mp_reader r;

	(void)state;
	mp_writer_init(&w, &b);
	mp_put_array(&w, MP_ELEMENTS_MAX);
	for (unsigned i = 0; i < MP_ELEMENTS_MAX; i++)
		mp_put_u64(&w, i);
	assert_int_equal(mp_reader_init(&r, buf_slice(&b)), ERR_OK);
	for (unsigned i = 0; i < MP_ELEMENTS_MAX; i++)
		assert_int_equal(mp_u64(&r, UINT64_MAX), i);
	assert_int_equal(mp_done(&r), ERR_OK);
	mp_reader_fini(&r);
	buf_reset(&b);
	mp_put_array(&w, MP_ELEMENTS_MAX + 1);
	for (unsigned i = 0; i < MP_ELEMENTS_MAX + 1; i++)
		mp_put_nil(&w);
	assert_int_equal(mp_reader_init(&r, buf_slice(&b)), ERR_FORMAT);
	buf_free(&b);
}

static void test_values(void **state)
{
	static const uint64_t NUMBERS[] = { 0,          1,
					    127,        128,
					    255,        256,
					    65535,      65536,
					    UINT32_MAX, UINT32_MAX + 1ull,
					    ID_MAX,     ID_MAX + 1,
					    INT64_MAX,  INT64_MAX + 1ull,
					    UINT64_MAX };
	static const size_t SIZES[] = { 0, 1, 31, 32, 255, 256, 65535, 65536 };
	static uint8_t bytes[65536];
	struct buf b = { .n = 0 };
	struct mp_writer writer, *w = &writer;
	struct mp_reader r;

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	mp_writer_init(w, &b);
	mp_put_array(w, 15 + 16 + 4);
	for (size_t i = 0; i < 15; i++)
		mp_put_u64(w, NUMBERS[i]);
	for (size_t i = 0; i < 8; i++) {
		mp_put_bin(w, slice_of(bytes, SIZES[i]));
		mp_put_text(w, slice_of(bytes, SIZES[i]));
	}
	mp_put_bool(w, true);
	mp_put_bool(w, false);
	mp_put_nil(w);
	mp_put_map(w, 0);

	assert_int_equal(mp_reader_init(&r, buf_slice(&b)), ERR_OK);
	for (size_t i = 0; i < 15; i++)
		assert_true(mp_u64(&r, UINT64_MAX) == NUMBERS[i]);
	for (size_t i = 0; i < 8; i++) {
		struct slice bin = mp_bin(&r, 0, 65536), text = mp_text(&r, 0, 65536);

		assert_true(slice_eq(bin, slice_of(bytes, SIZES[i])));
		assert_true(slice_eq(text, slice_of(bytes, SIZES[i])));
		assert_true(bin.n == 0 || (bin.p > b.p && bin.p < b.p + b.n)); /* borrowed */
	}
	assert_true(mp_bool(&r));
	assert_false(mp_bool(&r));
	assert_false(r.bad);
	assert_int_equal(mp_done(&r), ERR_FORMAT); /* two are left */
	assert_true(mp_nil(&r));
	assert_false(mp_nil(&r)); /* a map; asking takes nothing */
	assert_false(r.bad);
	mp_reader_fini(&r);
	mp_reader_fini(&r);
	buf_free(&b);
}

static void sticky_front(struct mp_reader *r, unsigned wrong)
{
	uint8_t fixed[4] = { 7, 7, 7, 7 };

	if (wrong == 0)
		assert_int_equal(mp_u64(r, 9), 0); /* over */
	else if (wrong == 1)
		assert_false(mp_bool(r));
	else
		assert_int_equal(mp_u64(r, 10), 10);
	if (wrong == 2)
		assert_int_equal(mp_text(r, 0, 3).n, 0);
	else if (wrong == 3)
		assert_int_equal(mp_text(r, 5, 9).n, 0);
	else if (wrong == 4)
		assert_int_equal(mp_bin(r, 0, 9).n, 0);
	else
		assert_int_equal(mp_text(r, 4, 4).n, wrong < 2 ? 0 : 4);
	mp_fixed(r, fixed, wrong == 5 ? 3 : 4);
	assert_int_equal(fixed[0], wrong <= 5 ? 0 : 'b');
	if (wrong == 6)
		assert_int_equal(mp_u64(r, 9), 0);
	else
		assert_int_equal(mp_bool(r), wrong > 6);
}

static void sticky_array(struct mp_reader *r, unsigned wrong)
{
	if (wrong == 7)
		assert_int_equal(mp_array(r, 1), 0);
	else
		assert_int_equal(mp_array(r, 2), wrong > 7 ? 2 : 0);
	mp_u64(r, 9);
	if (wrong == 8)
		mp_leave(r); /* one is left */
	mp_u64(r, 9);
	if (wrong == 9)
		mp_u64(r, 9); /* one too many */
	if (wrong == 10)
		mp_fail(r);
	mp_leave(r);
}

/* One mismatch each; after it everything is zero and the end is an error. */
static void test_sticky(void **state)
{
	struct buf b = { .n = 0 };
	struct mp_writer w;

	(void)state;
	mp_writer_init(&w, &b);
	mp_put_array(&w, 5);
	mp_put_u64(&w, 10);
	mp_put_text(&w, SLICE_STR("text"));
	mp_put_bin(&w, SLICE_STR("bin!"));
	mp_put_bool(&w, true);
	mp_put_array(&w, 2);
	mp_put_u64(&w, 1);
	mp_put_u64(&w, 2);
	for (unsigned wrong = 0; wrong < 12; wrong++) {
		struct mp_reader r;

		assert_int_equal(mp_reader_init(&r, buf_slice(&b)), ERR_OK);
		sticky_front(&r, wrong);
		sticky_array(&r, wrong);
		if (wrong == 11)
			assert_false(mp_nil(&r)); /* the end is no error of its own */
		assert_int_equal(r.bad, wrong < 11);
		assert_int_equal(mp_done(&r), wrong < 11 ? ERR_FORMAT : ERR_OK);
		mp_reader_fini(&r);
	}
	buf_free(&b);
}

static void test_text(void **state)
{
	struct mp_reader r;

	(void)state;
	assert_int_equal(mp_reader_init(&r, MP("\x91\xa3"
					       "a\x00"
					       "b")),
			 ERR_OK);
	assert_int_equal(mp_text(&r, 0, 10).n, 0);
	assert_true(r.bad); /* a NUL inside */
	mp_reader_fini(&r);
	assert_int_equal(mp_reader_init(&r, MP("\x91\xa2\xc3\x28")), ERR_OK);
	assert_int_equal(mp_text(&r, 0, 10).n, 2); /* any other bytes are the reader's business */
	assert_int_equal(mp_done(&r), ERR_OK);
	mp_reader_fini(&r);
}

static void test_map(void **state)
{
	struct mp_reader r;

	(void)state;
	assert_int_equal(mp_reader_init_map(&r, MP("\x82\xa1"
						   "a\x01\xa1"
						   "b\x02")),
			 ERR_OK);
	mp_key(&r, "a");
	assert_int_equal(mp_u64(&r, 9), 1);
	mp_key(&r, "b");
	assert_int_equal(mp_u64(&r, 9), 2);
	assert_int_equal(mp_done(&r), ERR_OK);
	mp_key(&r, "c");
	assert_int_equal(mp_done(&r), ERR_FORMAT);
	mp_reader_fini(&r);
	assert_int_equal(mp_reader_init_map(&r, MP("\x82\xa1"
						   "b\x01\xa1"
						   "a\x02")),
			 ERR_OK); /* another order */
	mp_key(&r, "a");
	assert_true(r.bad);
	mp_reader_fini(&r);
	assert_int_equal(mp_reader_init_map(&r, MP("\x82\xa1"
						   "a\x01\xa1"
						   "b")),
			 ERR_FORMAT); /* a value is missing */
	assert_int_equal(mp_reader_init_map(&r, MP("\x90")), ERR_FORMAT);
	assert_int_equal(mp_reader_init(&r, MP("\x80")), ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guard),  cmocka_unit_test(test_many), cmocka_unit_test(test_values),
		cmocka_unit_test(test_sticky), cmocka_unit_test(test_text), cmocka_unit_test(test_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
