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
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"
#include "gateway/workers.h"
#include "tests/unit/openfiles.h"
#include "tests/unit/said.h"
#include "tests/unit/tempdir.h"

struct side {
	uv_loop_t uv;
	struct zctx *ctx;
	struct workers *w;
	unsigned gone, frames;
	size_t longest;
};

static void on_frame(void *arg, uint64_t worker, struct slice bytes)
{
	struct side *s = arg;

	(void)worker;
	s->frames++;
	s->longest = bytes.n > s->longest ? bytes.n : s->longest;
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

/* The broker introduces a worker as often as that says PEER_OK. */
static void test_complaints_are_few(void **state)
{
	static char text[1 << 16];
	struct side s;
	struct said said;
	unsigned n = 0;

	(void)state;
	begin(&s, 1);
	introduce(&s, 1, true);
	said_begin(&said);
	for (uint64_t i = 0; i < 5000; i++)
		introduce(&s, 2, true);
	said_end(&said, text, sizeof(text));
	for (const char *p = text; (p = strstr(p, "worker.too_many")) != NULL; p++)
		n++;
	assert_int_equal(n, 20);
	end(&s);
}

static void on_sub(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	(void)arg;
	(void)n;
	if (zmsg_slice(&parts[0]).p[0] == 1)
		zsock_allow(z, slice_of(zmsg_slice(&parts[0]).p + 1, ZSOCK_TOPIC_BYTES));
}

/* Under the gateway's topic. */
static void publish_once(struct side *s, struct zsock *pub, size_t n)
{
	uint8_t *b = mem_new(n);
	struct zmsg m;

	put_be64(b, 7);
	zmsg_copy_init(&m, slice_of(b, n));
	free(b);
	if (zsock_send(pub, &m, 1) != ERR_OK)
		zmsg_close(&m);
	for (int i = 0; i < 5; i++) {
		uv_run(&s->uv, UV_RUN_NOWAIT);
		usleep(1000);
	}
}

/* Until it has been heard. */
static void publish(struct side *s, struct zsock *pub, size_t n, unsigned frames)
{
	for (int i = 0; i < 400 && s->frames < frames; i++)
		publish_once(s, pub, n);
	assert_true(s->frames >= frames);
}

/* A worker may say no more in one frame than a chunk is: all else would be memory taken for nothing. */
static void test_a_worker_whose_frames_are_too_long(void **state)
{
	struct zsock_opts o = { .type = ZSOCK_XPUB, .on_msg = on_sub };
	char dir[TEMPDIR_ROOM], endpoint[96];
	struct intro m = { .worker = 1, .present = true };
	struct zsock *pub;
	struct side s;

	(void)state;
	tempdir_make(dir);
	begin(&s, 1);
	snprintf(endpoint, sizeof(endpoint), "ipc://%s/s", dir);
	pub = zsock_open(s.ctx, &s.uv, &o);
	assert_int_equal(zsock_bind(pub, endpoint, false), ERR_OK);
	m.endpoint = slice_str(endpoint);
	workers_intro(s.w, &m);
	publish(&s, pub, CHUNK_BYTES_MAX + 512, 1);
	assert_int_equal(s.longest, CHUNK_BYTES_MAX + 512);
	for (int i = 0; i < 20; i++)
		publish_once(&s, pub, 2 * CHUNK_BYTES_MAX);
	assert_int_equal(s.longest, CHUNK_BYTES_MAX + 512);
	zsock_close(pub);
	end(&s);
	tempdir_drop(dir, "s");
	tempdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_more_than_its_share),
		cmocka_unit_test(test_no_descriptor_left),
		cmocka_unit_test(test_complaints_are_few),
		cmocka_unit_test(test_a_worker_whose_frames_are_too_long),
	};

	log_init("test", LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
