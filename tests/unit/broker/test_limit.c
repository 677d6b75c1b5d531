/* SPDX-License-Identifier: Apache-2.0
 *
 * A user's limits on a clock that the test turns.
 */
#include "tests/unit/broker/test.h"

#include "broker/limit.h"
#include "proto/limits.h"

static enum err request(struct limit_use *u, int64_t per_minute, uint64_t now, struct quota *q,
			uint32_t *retry)
{
	const struct limits l = { .v = { [LIMIT_RATE] = per_minute } };

	*q = (struct quota){ 0 };
	*retry = 0;
	return limit_request(u, &l, now, q, retry);
}

static enum err job(struct limit_use *u, int64_t units_per_minute, uint64_t units, uint64_t now,
		    uint32_t *retry)
{
	const struct limits l = { .v = { [LIMIT_UNITS] = units_per_minute } };
	struct quota q = { 0 };

	*retry = 0;
	return limit_job(u, &l, units, now, &q, retry);
}

static void burst_then_steady(void **state)
{
	struct limit_use u = { 0 };
	struct quota q;
	uint32_t retry;

	(void)state;
	for (int i = 0; i < 6; i++) {
		assert_int_equal(request(&u, 6, 1000, &q, &retry), ERR_OK);
		assert_true(q.limit == 6 && q.remaining == 5u - (unsigned)i &&
			    q.reset_s == 10u * (unsigned)(i + 1));
	}
	assert_int_equal(request(&u, 6, 1000, &q, &retry), ERR_RATE);
	assert_true(retry == 10 && q.remaining == 0 && q.reset_s == 60);
	assert_int_equal(request(&u, 6, 10999, &q, &retry), ERR_RATE); /* 1 ms early */
	assert_int_equal(retry, 1);
	assert_int_equal(request(&u, 6, 11000, &q, &retry), ERR_OK);
	assert_int_equal(request(&u, 6, 11000, &q, &retry), ERR_RATE);
	/* asking all the time does not keep a bucket empty: 600 s give 60 */
	int got = 0;
	for (uint64_t now = 11001; now <= 611000; now += 7)
		got += request(&u, 6, now, &q, &retry) == ERR_OK;
	assert_in_range(got, 59, 60);
	assert_int_equal(request(&u, 6, UINT64_C(1) << 62, &q, &retry),
			 ERR_OK); /* an age later: full, no more */
	assert_true(q.remaining == 5);
}

static void clock_back_and_new_limits(void **state)
{
	struct limit_use u = { 0 };
	struct quota q;
	uint32_t retry;

	(void)state;
	assert_int_equal(request(&u, 2, 5000, &q, &retry), ERR_OK);
	assert_int_equal(request(&u, 2, 1000, &q, &retry),
			 ERR_OK); /* earlier than before: nothing is given */
	assert_int_equal(request(&u, 2, 1000, &q, &retry), ERR_RATE);
	assert_int_equal(request(&u, 0, 1000, &q, &retry), ERR_OK); /* no limit, nothing told */
	assert_true(q.limit == 0 && q.remaining == 0 && q.reset_s == 0);
	u = (struct limit_use){ 0 };
	assert_int_equal(request(&u, LIMIT_MAX, 0, &q, &retry), ERR_OK);
	assert_true(q.limit == (uint64_t)LIMIT_MAX && q.remaining == (uint64_t)LIMIT_MAX - 1 &&
		    q.reset_s == 1);
	assert_int_equal(request(&u, 3, 0, &q, &retry), ERR_OK); /* lowered: what is left is cut to it */
	assert_true(q.remaining == 2);
}

static void concurrency(void **state)
{
	const struct limits l = { .v = { [LIMIT_CONCURRENT] = 2 } };
	struct limit_use u = { .running = 1 };
	struct quota q = { 0 };
	uint32_t retry = 0;

	(void)state;
	assert_int_equal(limit_job(&u, &l, 5, 0, &q, &retry), ERR_OK);
	u.running = 2;
	assert_int_equal(limit_job(&u, &l, 5, 0, &q, &retry), ERR_RATE);
	assert_true(retry == 1 && q.limit == 2 && q.remaining == 0 && q.reset_s == 1);
}

static void units(void **state)
{
	const struct limits l = { .v = { [LIMIT_UNITS] = 1000 } };
	struct limit_use u = { 0 };
	uint32_t retry;

	(void)state;
	assert_int_equal(job(&u, 1000, 600, 0, &retry), ERR_OK);
	assert_int_equal(job(&u, 1000, 600, 0, &retry), ERR_RATE);
	assert_int_equal(retry, 12);      /* 200 of 1000 per 60 s */
	limit_units_back(&u, &l, 300, 0); /* 300 of them were not used */
	assert_int_equal(job(&u, 1000, 600, 0, &retry), ERR_OK);
	limit_units_back(&u, &l, UINT64_MAX, 0); /* never above full */
	assert_int_equal(job(&u, 1000, 1000, 0, &retry), ERR_OK);
	assert_int_equal(job(&u, 1000, 1, 0, &retry), ERR_RATE);
	/* more than a minute's worth: from a full bucket only, and paid off after it */
	assert_int_equal(job(&u, 1000, 5000, 59999, &retry), ERR_RATE);
	assert_int_equal(job(&u, 1000, 5000, 60000, &retry), ERR_OK);
	assert_int_equal(job(&u, 1000, 1, 60000 + 4 * 60000, &retry), ERR_RATE);
	assert_int_equal(job(&u, 1000, 1, 60000 + 4 * 60000 + 60, &retry), ERR_OK);
	/* the largest numbers there are */
	u = (struct limit_use){ 0 };
	assert_int_equal(job(&u, 1, ID_MAX, 0, &retry), ERR_OK);
	assert_int_equal(job(&u, 1, 1, 0, &retry), ERR_RATE);
	assert_int_equal(retry, UINT32_MAX);
	limit_units_back(&u, &(struct limits){ .v = { [LIMIT_UNITS] = 1 } }, ID_MAX, 0);
	assert_int_equal(job(&u, 1, 1, 0, &retry), ERR_OK);
}

static void own_before_default(void **state)
{
	const struct limits own = { .v = { LIMIT_UNSET, 0, 7 } }, all = { .v = { 10, 20, 30 } };
	struct limits l = limits_of(&own, &all);

	(void)state;
	assert_true(l.v[0] == 10 && l.v[1] == 0 && l.v[2] == 7);
}

static void shares(void **state)
{
	uint64_t used = 0, a = 0, b = 0;

	(void)state;
	while (limit_share(a, used, 100)) /* one flood gets half */
		a++, used++;
	assert_int_equal(a, 50);
	while (limit_share(b, used, 100)) /* a second one half of the rest */
		b++, used++;
	assert_int_equal(b, 25);
	assert_true(limit_share(0, used, 100)); /* and somebody new finds room */
	assert_false(limit_share(0, 100, 100));
	assert_false(limit_share(0, 101, 100));
	assert_true(limit_share(0, 0, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(burst_then_steady),  cmocka_unit_test(clock_back_and_new_limits),
		cmocka_unit_test(concurrency),        cmocka_unit_test(units),
		cmocka_unit_test(own_before_default), cmocka_unit_test(shares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
