/* SPDX-License-Identifier: Apache-2.0
 *
 * The set of introduced workers: how many there may be, and a process without a
 * descriptor left.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/resource.h>

#include "common/log.h"
#include "gateway/workers.h"
#include "tests/unit/openfiles.h"

struct side {
	uv_loop_t uv;
	struct zctx *ctx;
	struct workers *w;
	unsigned gone;
};

static void on_frame(void *arg, uint64_t worker, struct slice bytes)
{
	(void)arg;
	(void)worker;
	(void)bytes;
}

static void on_gone(void *arg, uint64_t worker)
{
	(void)worker;
	((struct side *)arg)->gone++;
}

static bool busy(void *arg, uint64_t worker)
{
	(void)arg;
	(void)worker;
	return false;
}

static void begin(struct side *s, size_t max)
{
	struct workers_opts o = {
		.topic = 7, .max = max, .frame = on_frame, .gone = on_gone, .busy = busy, .arg = s
	};

	*s = (struct side){ .gone = 0 };
	uv_loop_init(&s->uv);
	s->ctx = zctx_new();
	s->w = workers_open(s->ctx, &s->uv, &o);
}

static void end(struct side *s)
{
	workers_close(s->w);
	uv_run(&s->uv, UV_RUN_DEFAULT);
	zctx_free(s->ctx);
	assert_int_equal(uv_loop_close(&s->uv), 0);
}

static void introduce(struct side *s, uint64_t worker, bool present)
{
	char endpoint[64];
	struct intro m = { .worker = worker, .present = present };

	snprintf(endpoint, sizeof(endpoint), "ipc:///nowhere/worker-%u", (unsigned)worker);
	m.endpoint = slice_str(endpoint);
	workers_intro(s->w, &m);
}

static void test_no_more_than_its_share(void **state)
{
	struct side s;

	(void)state;
	begin(&s, 2);
	for (uint64_t i = 1; i <= 3; i++)
		introduce(&s, i, true);
	assert_int_equal(workers_count(s.w), 2);
	introduce(&s, 1, false);
	assert_int_equal(s.gone, 1);
	introduce(&s, 3, true);
	assert_int_equal(workers_count(s.w), 2);
	end(&s);
}

/* It goes on with those it has. */
static void test_no_descriptor_left(void **state)
{
	struct rlimit before, few;
	struct side s;

	(void)state;
	begin(&s, 1000);
	introduce(&s, 1, true);
	assert_int_equal(workers_count(s.w), 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = open_files() + 4;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (uint64_t i = 2; i <= 40; i++)
		introduce(&s, i, true);
	assert_in_range(workers_count(s.w), 1, 20);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	introduce(&s, 41, true);
	assert_in_range(workers_count(s.w), 2, 21);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_more_than_its_share),
		cmocka_unit_test(test_no_descriptor_left),
	};

	log_init("test", LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
