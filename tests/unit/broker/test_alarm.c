/* SPDX-License-Identifier: Apache-2.0
 *
 * Alarms fire once, in order, and may be moved and taken out meanwhile.
 */
#include "tests/unit/broker/test.h"

#include <stdlib.h>

#include "broker/alarm.h"

static uint64_t fired[1000];
static unsigned n_fired;

static void note(void *arg, struct alarm *a)
{
	(void)arg;
	fired[n_fired++] = a->when;
}

static void fires_in_order(void **state)
{
	struct alarms *s = alarms_new(NULL);
	struct alarm a[500] = { 0 };

	(void)state;
	n_fired = 0;
	srand(7);
	for (int i = 0; i < 500; i++)
		alarm_set(s, &a[i], (uint64_t)(rand() % 1000), note);
	for (int i = 0; i < 500; i += 3)
		alarm_set(s, &a[i], (uint64_t)(rand() % 1000), note); /* moved */
	for (int i = 0; i < 500; i += 5)
		alarm_off(s, &a[i]);
	alarms_run(s, 2000);
	assert_int_equal(n_fired, 400);
	for (unsigned i = 1; i < n_fired; i++)
		assert_true(fired[i - 1] <= fired[i]);
	assert_true(alarms_next(s) == UINT64_MAX);
	alarms_free(s);
}

static void only_what_is_due(void **state)
{
	struct alarms *s = alarms_new(NULL);
	struct alarm a = { 0 }, b = { 0 };

	(void)state;
	n_fired = 0;
	alarm_set(s, &a, 10, note);
	alarm_set(s, &b, 20, note);
	alarms_run(s, 9);
	assert_int_equal(n_fired, 0);
	alarms_run(s, 10);
	assert_int_equal(n_fired, 1);
	assert_true(a.place == 0);
	assert_true(alarms_next(s) == 20);
	alarm_off(s, &a); /* off already */
	alarm_off(s, &b);
	alarms_run(s, 100);
	assert_int_equal(n_fired, 1);
	alarms_free(s);
}

static struct alarm again;

static void set_again(void *arg, struct alarm *a)
{
	struct alarms **s = arg;

	n_fired++;
	if (n_fired < 3)
		alarm_set(*s, a, a->when + 1, set_again);
}

static void may_set_itself(void **state)
{
	struct alarms *s;

	(void)state;
	n_fired = 0;
	s = alarms_new(&s);
	alarm_set(s, &again, 1, set_again);
	alarms_run(s, 10);
	assert_int_equal(n_fired, 3);
	alarms_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fires_in_order),
		cmocka_unit_test(only_what_is_due),
		cmocka_unit_test(may_set_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
