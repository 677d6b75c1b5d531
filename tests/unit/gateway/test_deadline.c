/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadline lists with a clock of the test's own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "gateway/deadline.h"

struct world {
	struct deadlines d;
	struct deadline e[8];
	struct deadline *fired[32];
	size_t n;
	uint64_t now;
	enum { NOTHING, REARM, TAKE_NEXT } act;
};

static const uint64_t MS[DL_COUNT] = {
	[DL_CONTROL] = 100, [DL_HEAD] = 200, [DL_GAP] = 50,
	[DL_WHOLE] = 1000,  [DL_ALIVE] = 15, [DL_RETRY] = 0,
};

static void on_due(void *arg, struct deadline *e)
{
	struct world *w = arg;

	assert_false(deadline_armed(e));
	assert_true(w->n < 32);
	w->fired[w->n++] = e;
	if (w->act == REARM)
		deadline_arm(&w->d, e, e->kind, w->now);
	if (w->act == TAKE_NEXT)
		deadline_disarm(&w->e[1]);
}

static int start(void **state)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	deadlines_init(&w.d, MS);
	*state = &w;
	return 0;
}

static size_t at(struct world *w, uint64_t now)
{
	w->n = 0;
	w->now = now;
	deadlines_expire(&w->d, now, on_due, w);
	return w->n;
}

static void fires_when_due(void **state)
{
	struct world *w = *state;

	deadline_arm(&w->d, &w->e[0], DL_CONTROL, 1000);
	assert_int_equal(at(w, 1099), 0);
	assert_int_equal(at(w, 1100), 1);
	assert_ptr_equal(w->fired[0], &w->e[0]);
	assert_int_equal(at(w, 5000), 0); /* once */
}

static void kinds_do_not_mix(void **state)
{
	struct world *w = *state;

	deadline_arm(&w->d, &w->e[0], DL_WHOLE, 0);
	deadline_arm(&w->d, &w->e[1], DL_GAP, 0);
	deadline_arm(&w->d, &w->e[2], DL_HEAD, 0);
	assert_int_equal(at(w, 50), 1);
	assert_ptr_equal(w->fired[0], &w->e[1]);
	assert_int_equal(at(w, 200), 1);
	assert_ptr_equal(w->fired[0], &w->e[2]);
	assert_int_equal(at(w, 1000), 1);
}

static void arming_again_moves(void **state)
{
	struct world *w = *state;

	deadline_arm(&w->d, &w->e[0], DL_GAP, 0);
	deadline_arm(&w->d, &w->e[1], DL_GAP, 10);
	deadline_arm(&w->d, &w->e[0], DL_GAP, 40);
	assert_int_equal(at(w, 60), 1);
	assert_ptr_equal(w->fired[0], &w->e[1]);
	deadline_arm(&w->d, &w->e[0], DL_HEAD, 60); /* another kind */
	assert_int_equal(at(w, 90), 0);
	assert_int_equal(at(w, 260), 1);
}

static void taken_out_never_fires(void **state)
{
	struct world *w = *state;

	deadline_arm(&w->d, &w->e[0], DL_GAP, 0);
	deadline_disarm(&w->e[0]);
	deadline_disarm(&w->e[0]); /* no effect */
	assert_false(deadline_armed(&w->e[0]));
	assert_int_equal(at(w, 1000), 0);
}

static void a_callback_may_take_another_out(void **state)
{
	struct world *w = *state;

	w->act = TAKE_NEXT;
	for (int i = 0; i < 3; i++)
		deadline_arm(&w->d, &w->e[i], DL_GAP, 0);
	assert_int_equal(at(w, 50), 2);
	assert_ptr_equal(w->fired[0], &w->e[0]);
	assert_ptr_equal(w->fired[1], &w->e[2]);
}

static void arming_with_no_wait_ends(void **state)
{
	struct world *w = *state;

	w->act = REARM;
	deadline_arm(&w->d, &w->e[0], DL_RETRY, 0);
	deadline_arm(&w->d, &w->e[1], DL_RETRY, 0);
	assert_int_equal(at(w, 0), 2); /* each once, then the next round */
	assert_int_equal(at(w, 0), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(fires_when_due, start),
		cmocka_unit_test_setup(kinds_do_not_mix, start),
		cmocka_unit_test_setup(arming_again_moves, start),
		cmocka_unit_test_setup(taken_out_never_fires, start),
		cmocka_unit_test_setup(a_callback_may_take_another_out, start),
		cmocka_unit_test_setup(arming_with_no_wait_ends, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
