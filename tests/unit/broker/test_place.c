/* SPDX-License-Identifier: Apache-2.0
 *
 * A node's places among those who ask: all for one alone, a share for each of several,
 * however often one of them asks.
 */
#include "tests/unit/broker/test.h"

#include "broker/place.h"

#define LONG_MS 10001

static bool place_asked(struct sub *s, uint64_t own, uint64_t now_ms)
{
	if (place_for(s, own, now_ms))
		return true;
	place_refused(s, own, now_ms);
	return false;
}

static void alone(void **state)
{
	struct sub s = { .max_concurrent = 4 };

	(void)state;
	for (; s.running < 4; s.running++)
		assert_true(place_asked(&s, s.running, 1));
	assert_false(place_asked(&s, 4, 1));
	s.running--;
	assert_true(place_asked(&s, 3, 1));
	s.max_concurrent = 0;
	s.running = 1000000;
	assert_true(place_asked(&s, 1000000, 1));
}

static void who_has_none_gets_the_next(void **state)
{
	(void)state;
	for (uint32_t max = 2; max <= 64; max *= 2) {
		struct sub s = { .max_concurrent = max, .running = max };

		assert_false(place_asked(&s, 0, 1));
		s.running--;
		assert_false(place_asked(&s, max - 1, 2));
		assert_true(place_asked(&s, 0, 3));
		assert_true(place_asked(&s, max - 1, LONG_MS)); /* nobody else has come since */
	}
}

/* One asks twenty times as often; each tenth time a request of somebody ends. */
static void asking_more_often_is_no_use(void **state)
{
	struct sub s = { .max_concurrent = 64 };
	uint64_t own[2] = { 0, 0 };

	(void)state;
	for (uint64_t ms = 1; ms < 20000; ms++) {
		unsigned who = ms % 20 == 0;

		if (place_asked(&s, own[who], ms)) {
			own[who]++;
			s.running++;
		}
		if (ms % 10 == 5 && s.running) {
			own[ms / 10 * 7919 % s.running >= own[0]]--;
			s.running--;
		}
	}
	assert_in_range(own[1], 24, 40);
	assert_in_range(s.running, 56, 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alone),
		cmocka_unit_test(who_has_none_gets_the_next),
		cmocka_unit_test(asking_more_often_is_no_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
