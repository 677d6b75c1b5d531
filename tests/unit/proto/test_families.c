/* SPDX-License-Identifier: Apache-2.0
 *
 * What holds for every message alike: it comes back as it was, nothing is
 * missing or left over, each has one spelling, and refusals write nothing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proto/mp.h"
#include "tests/unit/proto/families.h"

static struct slice made(const struct family *f, bool full, struct buf *b)
{
	buf_reset(b);
	f->sample(full, b);
	return buf_slice(b);
}

/* recode on memory of exactly that size, so that sanitizers see each byte too far. */
static enum err recode_exact(const struct family *f, struct slice s, struct buf *out)
{
	uint8_t *p = malloc(s.n ? s.n : 1);
	enum err e;

	if (s.n)
		memcpy(p, s.p, s.n);
	buf_reset(out);
	e = f->recode(slice_of(p, s.n), out);
	free(p);
	return e;
}

static void fail_at(const struct family *f, const char *what, size_t at)
{
	fail_msg("%s: %s at %zu", f->name, what, at);
}

static void test_round_trip(void **state)
{
	struct buf b = { .n = 0 }, out = { .n = 0 };

	(void)state;
	for (size_t i = 0; i < N_FAMILIES; i++)
		for (int full = 0; full < 2; full++) {
			struct slice s = made(&FAMILIES[i], full, &b);

			if (recode_exact(&FAMILIES[i], s, &out) != ERR_OK)
				fail_at(&FAMILIES[i], "refused", (size_t)full);
			if (!slice_eq(s, buf_slice(&out)))
				fail_at(&FAMILIES[i], "changed", (size_t)full);
		}
	buf_free(&b);
	buf_free(&out);
}

/* Each number of MSG_TYPES has a family, and peek names it. */
static void test_all_types(void **state)
{
	static const int TYPES[] = {
#define X(name, number, text) name,
		MSG_TYPES(X)
#undef X
	};
	struct buf b = { .n = 0 };

	(void)state;
	for (size_t t = 0; t < sizeof(TYPES) / sizeof(TYPES[0]); t++) {
		bool found = false;

		for (size_t i = 0; i < N_FAMILIES; i++)
			found = found || FAMILIES[i].type == TYPES[t];
		assert_true(found);
	}
	for (size_t i = 0; i < N_FAMILIES; i++) {
		struct slice s = made(&FAMILIES[i], true, &b);
		size_t head = family_head(&FAMILIES[i]);
		enum msg_type type;

		if (FAMILIES[i].type == 0)
			continue;
		assert_int_equal(msg_peek(slice_of(s.p + head, s.n - head), &type), ERR_OK);
		assert_int_equal(type, FAMILIES[i].type);
	}
	buf_free(&b);
}

static void test_cut_and_longer(void **state)
{
	struct buf b = { .n = 0 }, out = { .n = 0 };

	(void)state;
	for (size_t i = 0; i < N_FAMILIES; i++)
		for (int full = 0; full < 2; full++) {
			const struct family *f = &FAMILIES[i];
			struct slice s = made(f, full, &b);
			/* a chunk's payload may be of any length; its header may not */
			bool payload = f->type == MSG_CHUNK && f->sample == chunk_sample && full;
			size_t most = payload ? s.n - 200 : s.n;

			for (size_t n = 0; n < most; n++)
				if (recode_exact(f, slice_of(s.p, n), &out) == ERR_OK)
					fail_at(f, "cut and accepted", n);
			if (payload)
				continue;
			buf_add(&b, "\xc0", 1);
			if (recode_exact(f, buf_slice(&b), &out) == ERR_OK)
				fail_at(f, "longer and accepted", b.n);
		}
	buf_free(&b);
	buf_free(&out);
}

/* Errors of later versions are read as ERR_INTERNAL, and come back as that. */
static bool has_error(const struct family *f)
{
	return f->type == MSG_REFUSE || f->type == MSG_RETURN || f->type == MSG_SETTLE ||
	       f->type == MSG_CHUNK || f->type == MSG_ADMIN_REPLY;
}

/* Long messages are not tried with all values, but with all type bytes and neighbours. */
static bool worth_trying(size_t n, uint8_t was, uint8_t v)
{
	return n < 300 || (v >= 0xc0 && v < 0xe0) || (uint8_t)(v - was + 1) <= 2 || (v ^ was) == 0x10 ||
	       v == 0x80;
}

/* Any byte changed to anything: refused, or another message with one spelling. */
static void test_one_spelling(void **state)
{
	struct buf b = { .n = 0 }, out = { .n = 0 }, again = { .n = 0 };

	(void)state;
	for (size_t i = 0; i < N_FAMILIES; i++) {
		const struct family *f = &FAMILIES[i];
		struct slice s = made(f, i % 2, &b);

		for (size_t at = 0; at < s.n; at++) {
			uint8_t was = b.p[at];

			for (unsigned v = 0; v < 256; v++) {
				if (!worth_trying(s.n, was, (uint8_t)v))
					continue;
				b.p[at] = (uint8_t)v;
				if (recode_exact(f, s, &out) != ERR_OK || slice_eq(s, buf_slice(&out)))
					continue;
				if (!has_error(f))
					fail_at(f, "two spellings", at);
				assert_int_equal(recode_exact(f, buf_slice(&out), &again), ERR_OK);
				assert_true(slice_eq(buf_slice(&out), buf_slice(&again)));
			}
			b.p[at] = was;
		}
	}
	buf_free(&b);
	buf_free(&out);
	buf_free(&again);
}

static void test_version_and_type(void **state)
{
	struct buf b = { .n = 0 }, out = { .n = 0 };

	(void)state;
	for (size_t i = 0; i < N_FAMILIES; i++) {
		const struct family *f = &FAMILIES[i];
		struct slice s = made(f, true, &b);
		size_t at = family_head(f);

		if (f->type == 0)
			continue;
		at += b.p[at] == 0xdc ? 3 : 1;
		b.p[at] = PROTO_VERSION + 1;
		assert_int_equal(recode_exact(f, s, &out), ERR_VERSION);
		b.p[at] = 0;
		assert_int_equal(recode_exact(f, s, &out), ERR_VERSION);
		b.p[at] = 0xc0;
		assert_int_equal(recode_exact(f, s, &out), ERR_FORMAT);
		b.p[at] = PROTO_VERSION;
		for (unsigned t = 0; t < 0x80; t++) {
			b.p[at + 1] = (uint8_t)t;
			assert_int_equal(recode_exact(f, s, &out) == ERR_OK, (int)t == f->type);
		}
	}
	buf_free(&b);
	buf_free(&out);
}

/* The request id is there exactly where the grammar says so. */
static void test_request_id(void **state)
{
	struct buf b = { .n = 0 }, c = { .n = 0 }, out = { .n = 0 };

	(void)state;
	for (size_t i = 0; i < N_FAMILIES; i++) {
		const struct family *f = &FAMILIES[i];
		struct slice s = made(f, true, &b);
		size_t at = family_head(f), rid = f->rid ? 18 : 1;

		if (f->type == 0 || f->type == MSG_CHUNK)
			continue;
		at += b.p[0] == 0xdc ? 5 : 3;
		assert_int_equal(b.p[at], f->rid ? 0xc4 : 0xc0);
		buf_reset(&c);
		buf_add(&c, s.p, at);
		if (f->rid)
			buf_add(&c, "\xc0", 1);
		else
			buf_add(&c,
				"\xc4\x10"
				"0123456789abcdef",
				18);
		buf_add(&c, s.p + at + rid, s.n - at - rid);
		assert_int_equal(recode_exact(f, buf_slice(&c), &out), ERR_FORMAT);
	}
	buf_free(&b);
	buf_free(&c);
	buf_free(&out);
}

/* The bytes of the element that starts at p (no more than n of them). */
static size_t element(const uint8_t *p, size_t n)
{
	uint8_t c = p[0];
	size_t count = 0, at = 1;

	assert_true(n > 0);
	if (c < 0x80 || c == 0xc0 || c == 0xc2 || c == 0xc3)
		return 1;
	if (c >= 0xa0 && c < 0xc0)
		return 1 + (c & 0x1fu);
	if (c == 0xc4 || c == 0xd9)
		return 2 + (size_t)p[1];
	if (c == 0xc5 || c == 0xda)
		return 3 + ((size_t)p[1] << 8 | p[2]);
	if (c >= 0xcc && c <= 0xcf)
		return 1 + ((size_t)1 << (c - 0xcc));
	if (c == 0xdc) {
		count = (size_t)p[1] << 8 | p[2];
		at = 3;
	} else {
		assert_true(c >= 0x90 && c < 0xa0);
		count = c & 0x0f;
	}
	for (; count > 0; count--)
		at += element(p + at, n - at);
	return at;
}

static void twice(struct buf *b, struct slice s)
{
	buf_add(b, s.p, s.n);
	buf_add(b, s.p, s.n);
}

/* Every element in turn is left out, doubled, and replaced by values of all types. */
static void test_elements(void **state)
{
	static const struct slice OTHERS[] = {
		{ (const uint8_t *)"\xc0", 1 },
		{ (const uint8_t *)"\x00", 1 },
		{ (const uint8_t *)"\x01", 1 },
		{ (const uint8_t *)"\xc2", 1 },
		{ (const uint8_t *)"\xc3", 1 },
		{ (const uint8_t *)"\xa0", 1 },
		{ (const uint8_t *)"\xa1\x00", 2 },
		{ (const uint8_t *)"\xa1x", 2 },
		{ (const uint8_t *)"\xc4\x00", 2 },
		{ (const uint8_t *)"\xc4\x01x", 3 },
		{ (const uint8_t *)"\x90", 1 },
		{ (const uint8_t *)"\x80", 1 },
		{ (const uint8_t *)"\xff", 1 },
		{ (const uint8_t *)"\xcf\x00\x20\x00\x00\x00\x00\x00\x00", 9 }, /* 2^53 */
		{ (const uint8_t *)"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9 },
		{ (const uint8_t *)"\xca\x00\x00\x00\x00", 5 },
	};
	struct buf b = { .n = 0 }, c = { .n = 0 }, out = { .n = 0 };

	(void)state;
	for (size_t i = 0; i < N_FAMILIES; i++) {
		const struct family *f = &FAMILIES[i];
		struct slice s = made(f, true, &b);

		if (f->type == MSG_CHUNK || f->type == 0)
			continue;
		for (size_t at = b.p[0] == 0xdc ? 3 : 1, next; at < s.n; at = next) {
			next = at + element(s.p + at, s.n - at);
			for (size_t k = 0; k < sizeof(OTHERS) / sizeof(OTHERS[0]) + 2; k++) {
				buf_reset(&c);
				buf_add(&c, s.p, at);
				if (k < sizeof(OTHERS) / sizeof(OTHERS[0]))
					buf_add(&c, OTHERS[k].p, OTHERS[k].n);
				else if (k > sizeof(OTHERS) / sizeof(OTHERS[0]))
					twice(&c, slice_of(s.p + at, next - at));
				buf_add(&c, s.p + next, s.n - next);
				if (recode_exact(f, buf_slice(&c), &out) != ERR_OK)
					continue;
				if (k >= sizeof(OTHERS) / sizeof(OTHERS[0]))
					fail_at(f, "missing or doubled", at);
				if (!has_error(f) && !slice_eq(buf_slice(&c), buf_slice(&out)))
					fail_at(f, "replaced and changed", at);
			}
		}
	}
	buf_free(&b);
	buf_free(&c);
	buf_free(&out);
}

/* The array's own count says one more or one less than there is. */
static void test_count(void **state)
{
	struct buf b = { .n = 0 }, out = { .n = 0 };

	(void)state;
	for (size_t i = 0; i < N_FAMILIES; i++) {
		const struct family *f = &FAMILIES[i];
		struct slice s = made(f, true, &b);
		size_t at = family_head(f);

		at += b.p[at] == 0xdc ? 2 : 0;
		for (int d = -1; d <= 1; d++) {
			b.p[at] = (uint8_t)(b.p[at] + d);
			assert_int_equal(recode_exact(f, s, &out) == ERR_OK, d == 0);
			b.p[at] = (uint8_t)(b.p[at] - d);
		}
	}
	buf_free(&b);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),       cmocka_unit_test(test_all_types),
		cmocka_unit_test(test_cut_and_longer),   cmocka_unit_test(test_one_spelling),
		cmocka_unit_test(test_version_and_type), cmocka_unit_test(test_request_id),
		cmocka_unit_test(test_elements),         cmocka_unit_test(test_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
