/* SPDX-License-Identifier: Apache-2.0
 *
 * The map against a plain array as its model, with growth, deletion while
 * walking, and reuse of deleted places.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/map.h"

#define KEYS 3000

static int values[KEYS];

static void key_of(unsigned i, uint8_t key[16])
{
	memset(key, 0, 16);
	memcpy(key + 12, &i, sizeof(i));
}

static void test_put_get_del(void **state)
{
	struct map *m = map_new(3);
	int a, b;

	(void)state;
	assert_null(map_get(m, "abc"));
	assert_null(map_del(m, "abc"));
	assert_null(map_put(m, "abc", &a));
	assert_ptr_equal(map_get(m, "abc"), &a);
	assert_null(map_get(m, "abd"));
	assert_ptr_equal(map_put(m, "abc", &b), &a);
	assert_int_equal(map_count(m), 1);
	assert_ptr_equal(map_get(m, "abcdef"), &b); /* three bytes are the key */
	assert_ptr_equal(map_del(m, "abc"), &b);
	assert_null(map_del(m, "abc"));
	assert_null(map_get(m, "abc"));
	assert_int_equal(map_count(m), 0);
	map_free(m);
	map_free(NULL);
}

static void test_key_sizes(void **state)
{
	(void)state;
	for (size_t n = 1; n <= 64; n++) {
		struct map *m = map_new(n);
		uint8_t key[64] = { 0 }, other[64] = { 0 };
		int v;

		other[n - 1] = 1;
		map_put(m, key, &v);
		assert_ptr_equal(map_get(m, key), &v);
		assert_null(map_get(m, other));
		map_free(m);
	}
}

static void check_all(struct map *m, const bool *in, size_t count)
{
	size_t pos = 0, seen = 0;
	uint8_t key[16];

	assert_int_equal(map_count(m), count);
	for (unsigned i = 0; i < KEYS; i++) {
		key_of(i, key);
		assert_ptr_equal(map_get(m, key), in[i] ? &values[i] : NULL);
	}
	for (int *v; (v = map_next(m, &pos)) != NULL; seen++)
		assert_true(in[v - values]);
	assert_int_equal(seen, count);
	assert_null(map_next(m, &pos));
}

static void test_random_against_model(void **state)
{
	struct map *m = map_new(16);
	static bool in[KEYS];
	size_t count = 0;
	uint8_t key[16];

	(void)state;
	srand(7);
	for (int step = 0; step < 200000; step++) {
		unsigned i = (unsigned)rand() % KEYS;
		/* long phases of mostly putting and mostly deleting */
		bool put = rand() % 10 < (step / 20000 % 2 ? 2 : 8);

		key_of(i, key);
		if (put)
			assert_ptr_equal(map_put(m, key, &values[i]), in[i] ? &values[i] : NULL);
		else
			assert_ptr_equal(map_del(m, key), in[i] ? &values[i] : NULL);
		count += (size_t)put - (size_t)in[i];
		in[i] = put;
		if (step % 20000 == 19999)
			check_all(m, in, count);
	}
	map_free(m);
}

static void test_delete_while_walking(void **state)
{
	struct map *m = map_new(16);
	size_t pos = 0, seen = 0;
	uint8_t key[16];

	(void)state;
	for (unsigned i = 0; i < KEYS; i++) {
		key_of(i, key);
		map_put(m, key, &values[i]);
	}
	for (int *v; (v = map_next(m, &pos)) != NULL; seen++) {
		if ((v - values) % 2)
			continue;
		key_of((unsigned)(v - values), key);
		assert_ptr_equal(map_del(m, key), v);
	}
	assert_int_equal(seen, KEYS);
	assert_int_equal(map_count(m), KEYS / 2);
	for (unsigned i = 0; i < KEYS; i++) {
		key_of(i, key);
		assert_ptr_equal(map_get(m, key), i % 2 ? &values[i] : NULL);
	}
	map_free(m);
}

/* A queue-like use: the table may not grow with what has passed through it. */
static void test_passing_through(void **state)
{
	struct map *m = map_new(16);
	size_t pos = 0, steps = 0;
	uint8_t key[16];

	(void)state;
	for (unsigned i = 0; i < 300000; i++) {
		key_of(i, key);
		assert_null(map_put(m, key, &values[0]));
		if (i >= 10) {
			key_of(i - 10, key);
			assert_non_null(map_del(m, key));
		}
	}
	assert_int_equal(map_count(m), 10);
	while (map_next(m, &pos))
		steps++;
	assert_int_equal(steps, 10);
	assert_true(pos <= 64); /* places in the table */
	map_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_get_del),          cmocka_unit_test(test_key_sizes),
		cmocka_unit_test(test_random_against_model), cmocka_unit_test(test_delete_while_walking),
		cmocka_unit_test(test_passing_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
