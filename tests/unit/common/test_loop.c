/* SPDX-License-Identifier: Apache-2.0
 *
 * Signals and the main loop.  Every test has a process of its own, because what
 * they change is the process's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/loop.h"

#define LATE_MS 20000 /* nothing takes as long */
#define WANT(c)                                                                                              \
	do {                                                                                                 \
		if (!(c)) {                                                                                  \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #c);                      \
			_exit(99);                                                                           \
		}                                                                                            \
	} while (0)

struct seen {
	struct loop *loop;
	unsigned drains, cuts, reloads;
	bool goes_on; /* after drain, until it is cut */
};

static void on_drain(void *arg)
{
	struct seen *s = arg;

	s->drains++;
	if (!s->goes_on)
		loop_stop(s->loop);
}

static void on_cut(void *arg)
{
	struct seen *s = arg;

	s->cuts++;
	loop_stop(s->loop);
}

static void on_reload(void *arg)
{
	((struct seen *)arg)->reloads++;
}

/* Keeps the loop going, as a server's sockets do. */
static void on_late(uv_timer_t *t)
{
	(void)t;
	_exit(98);
}

static uv_timer_t late;

static void begin(struct seen *s, uint64_t drain_ms)
{
	struct loop_events ev = {
		.drain = on_drain, .cut = on_cut, .reload = on_reload, .drain_ms = drain_ms, .arg = s
	};

	log_init("test", LOG_ERROR, false);
	loop_harden();
	s->loop = loop_new(&ev);
	uv_timer_init(loop_uv(s->loop), &late);
	uv_timer_start(&late, on_late, LATE_MS, 0);
}

static void end(struct seen *s)
{
	uv_close((uv_handle_t *)&late, NULL);
	loop_free(s->loop);
}

/* What the process of fn ended with: its status, or minus the signal's number. */
static int ended(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(2 * LATE_MS / 1000);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* --- what the processes do --- */

static void few_files(void)
{
	const struct rlimit few = { 32, 32 };
	struct seen s = { 0 };

	if (setrlimit(RLIMIT_NOFILE, &few) != 0)
		_exit(96);
	begin(&s, 0);
}

static void stop_early(void)
{
	loop_harden();
	raise(SIGTERM);
	_exit(97); /* not reached */
}

static void drain(void)
{
	struct seen s = { 0 };

	begin(&s, 0);
	raise(SIGTERM);
	WANT(loop_run(s.loop) == 0);
	WANT(s.drains == 1 && s.cuts == 0);
	end(&s);
}

static void send_int(uv_timer_t *t)
{
	struct seen *s = t->data;

	WANT(s->drains == 1);
	raise(SIGINT);
	uv_close((uv_handle_t *)t, NULL);
}

static void cut_by_signal(void)
{
	struct seen s = { .goes_on = true };
	uv_timer_t t;

	begin(&s, 0);
	uv_timer_init(loop_uv(s.loop), &t);
	t.data = &s;
	uv_timer_start(&t, send_int, 50, 0);
	raise(SIGTERM);
	WANT(loop_run(s.loop) == 1);
	WANT(s.drains == 1 && s.cuts == 1);
	end(&s);
}

static void cut_by_deadline(void)
{
	struct seen s = { .goes_on = true };

	begin(&s, 50);
	raise(SIGINT);
	WANT(loop_run(s.loop) == 1);
	WANT(s.drains == 1 && s.cuts == 1);
	end(&s);
}

static void send_term(uv_timer_t *t)
{
	raise(SIGTERM);
	uv_close((uv_handle_t *)t, NULL);
}

static void reload(void)
{
	struct seen s = { 0 };
	uv_timer_t t;

	begin(&s, 0);
	uv_timer_init(loop_uv(s.loop), &t);
	uv_timer_start(&t, send_term, 50, 0);
	raise(SIGHUP);
	WANT(loop_run(s.loop) == 0);
	WANT(s.reloads == 1 && s.drains == 1);
	end(&s);
}

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void *wait_for_held(void *arg)
{
	pthread_mutex_lock(&held);
	pthread_mutex_unlock(&held);
	return arg;
}

static void send_all(void)
{
	WANT(kill(getpid(), SIGTERM) == 0);
	WANT(kill(getpid(), SIGINT) == 0);
	WANT(kill(getpid(), SIGHUP) == 0);
}

/* Not to the thread, but to the process: any thread that had them unblocked would take them. */
static void signals_after_the_end(void)
{
	struct seen s = { 0 };
	pthread_t other;

	pthread_mutex_lock(&held);
	begin(&s, 0);
	WANT(pthread_create(&other, NULL, wait_for_held, NULL) == 0);
	raise(SIGTERM);
	WANT(loop_run(s.loop) == 0);
	send_all();
	end(&s);
	send_all();
	usleep(20000);
	pthread_mutex_unlock(&held);
	WANT(pthread_join(other, NULL) == 0);
	_exit(42);
}

/* A socket as systemd has it for sd_notify, named in the environment. */
static int listen_to_notes(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	char name[40];

	snprintf(name, sizeof(name), "@sealway-test-%ld", (long)getpid());
	memcpy(at.sun_path + 1, name + 1, strlen(name) - 1);
	WANT(fd >= 0 && bind(fd, (struct sockaddr *)&at,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) == 0);
	WANT(setenv("NOTIFY_SOCKET", name, 1) == 0);
	return fd;
}

static void want_note(int fd, const char *want)
{
	char got[200] = "";

	WANT(recv(fd, got, sizeof(got) - 1, 0) > 0);
	WANT(strcmp(got, want) == 0);
}

/* The deadline is the setting's, whatever the unit has for TimeoutStopSec. */
static void tells_systemd(void)
{
	struct seen s = { 0 };
	int notes = listen_to_notes();

	begin(&s, 600000);
	loop_ready(s.loop);
	raise(SIGTERM);
	WANT(loop_run(s.loop) == 0);
	want_note(notes, "READY=1");
	want_note(notes, "STOPPING=1\nEXTEND_TIMEOUT_USEC=615000000");
	end(&s);
}

/* --- */

static void test_systemd_waits_for_the_drain_deadline(void **state)
{
	(void)state;
	assert_int_equal(ended(tells_systemd), 0);
}

static void test_too_few_files_end_it_in_order(void **state)
{
	(void)state;
	assert_int_equal(ended(few_files), 1);
}

static void test_sigterm_before_the_loop_ends_the_process_cleanly(void **state)
{
	(void)state;
	assert_int_equal(ended(stop_early), 0);
}

static void test_sigterm_drains(void **state)
{
	(void)state;
	assert_int_equal(ended(drain), 0);
}

static void test_a_second_signal_cuts(void **state)
{
	(void)state;
	assert_int_equal(ended(cut_by_signal), 0);
}

static void test_the_drain_deadline_cuts(void **state)
{
	(void)state;
	assert_int_equal(ended(cut_by_deadline), 0);
}

static void test_sighup_reloads(void **state)
{
	(void)state;
	assert_int_equal(ended(reload), 0);
}

static void test_signals_after_the_end_change_nothing(void **state)
{
	(void)state;
	assert_int_equal(ended(signals_after_the_end), 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_few_files_end_it_in_order),
		cmocka_unit_test(test_sigterm_before_the_loop_ends_the_process_cleanly),
		cmocka_unit_test(test_sigterm_drains),
		cmocka_unit_test(test_a_second_signal_cuts),
		cmocka_unit_test(test_the_drain_deadline_cuts),
		cmocka_unit_test(test_systemd_waits_for_the_drain_deadline),
		cmocka_unit_test(test_sighup_reloads),
		cmocka_unit_test(test_signals_after_the_end_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
