/* SPDX-License-Identifier: Apache-2.0
 *
 * A listener when there are no descriptors: whoever comes is hung up on, nothing
 * spins, and service goes on once there are some again.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/httpd/rig.h"

#define FILES 256

static struct rlimit before;
static int taken[FILES];
static unsigned n_taken;

/* Every descriptor that the process may have is taken from here on. */
static void take_all(void)
{
	struct rlimit few;
	int fd;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){ FILES, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	while ((fd = dup(0)) >= 0)
		taken[n_taken++] = fd;
	assert_int_equal(errno, EMFILE);
}

static void give_back(void)
{
	while (n_taken)
		close(taken[--n_taken]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static bool faster; /* another thread takes each descriptor that is given up */

/* Stands before libc's. */
int open(const char *path, int flags, ...)
{
	if (faster) {
		taken[n_taken++] = dup(0);
		errno = EMFILE;
		return -1;
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0);
}

static bool no_memory; /* of the kernel's for one more socket */

/* Stands before libc's. */
int accept4(int fd, struct sockaddr *sa, socklen_t *n, int flags)
{
	if (no_memory) {
		errno = ENFILE;
		return -1;
	}
	return (int)syscall(SYS_accept4, fd, sa, n, flags);
}

static void count(uv_check_t *c)
{
	++*(unsigned *)c->data;
}

static void stop(uv_timer_t *t)
{
	*(bool *)t->data = true;
}

/* How often a loop that may block turns in so many ms. */
static unsigned turns(struct rig *g, unsigned ms)
{
	uv_check_t c;
	uv_timer_t t;
	unsigned n = 0;
	bool over = false;

	uv_check_init(&g->loop, &c);
	uv_timer_init(&g->loop, &t);
	c.data = &n;
	t.data = &over;
	uv_check_start(&c, count);
	uv_timer_start(&t, stop, ms, 0);
	while (!over)
		uv_run(&g->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&c, NULL);
	uv_close((uv_handle_t *)&t, NULL);
	uv_run(&g->loop, UV_RUN_NOWAIT);
	return n;
}

static void is_served(struct rig *g, int fd)
{
	struct buf in = { 0 };

	rig_say(g, fd, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(rig_expect(g, fd, &in, "404", 2000));
	buf_free(&in);
}

static void hung_up_on_when_there_are_none(void **state)
{
	struct rig g = { 0 };
	struct buf in = { 0 };
	int fd;

	(void)state;
	fd = rig_open_client(&g);
	take_all();
	assert_true(rig_closed(&g, fd, &in, 2000));
	close(fd);
	give_back();
	fd = rig_connect(&g);
	is_served(&g, fd);
	close(fd);
	rig_close(&g);
}

static void rests_when_not_even_one_is_left(void **state)
{
	struct rig g = { 0 };
	int first, second;

	(void)state;
	rig_open(&g);
	first = rig_connect(&g);
	second = rig_connect(&g);
	take_all();
	faster = true;
	assert_in_range(turns(&g, 250), 0, 50);
	faster = false;
	give_back();
	is_served(&g, second);
	close(first);
	close(second);
	rig_close(&g);
}

static void rests_when_the_spare_does_not_help(void **state)
{
	struct rig g = { 0 };
	int fd;

	(void)state;
	fd = rig_open_client(&g);
	no_memory = true;
	assert_in_range(turns(&g, 250), 0, 50);
	no_memory = false;
	is_served(&g, fd);
	close(fd);
	rig_close(&g);
}

static void nobody_before_it_is_said(void **state)
{
	struct rig g = { .o.later = true };
	struct sockaddr_in sa = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	rig_open(&g);
	sa.sin_port = htons(httpd_port(g.h));
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(fd);
	assert_int_equal(httpd_listen(g.h), ERR_OK);
	fd = rig_connect(&g);
	is_served(&g, fd);
	close(fd);
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(hung_up_on_when_there_are_none),
					    cmocka_unit_test(rests_when_not_even_one_is_left),
					    cmocka_unit_test(rests_when_the_spare_does_not_help),
					    cmocka_unit_test(nobody_before_it_is_said) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
