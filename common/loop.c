/* SPDX-License-Identifier: Apache-2.0
 *
 * The main loop: signals, drain deadline, sd_notify and its watchdog (loop.h).
 * sd_notify is one datagram to $NOTIFY_SOCKET, so no library is needed for it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* SCHED_BATCH */
#endif

#include "common/loop.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/sanitized.h"
#include "common/standard.h"

#define FILES_MIN 64 /* to serve a handful of people */
#define CUT_MS 15000 /* from the drain deadline to the end, at the very most */

struct loop {
	uv_loop_t uv;
	struct loop_events ev;
	uv_poll_t signals; /* of signal_fd */
	int signal_fd;
	uv_timer_t drain, watchdog;
	bool draining, cut, stopped;
};

static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0;
	int fd;

	if (n == 0 || n >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, n);
	if (to.sun_path[0] == '@') /* abstract socket */
		to.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		log_debug("notify.failed", L_S("why", strerror(errno)));
	close(fd);
}

static void cut(struct loop *l)
{
	if (l->cut)
		return;
	l->cut = true;
	log_warn("loop.cut");
	if (l->ev.cut)
		l->ev.cut(l->ev.arg);
	else
		loop_stop(l);
}

static void on_drain_deadline(uv_timer_t *t)
{
	log_warn("loop.drain_deadline");
	cut(t->data);
}

/* systemd kills what has not ended after the unit's TimeoutStopSec: it is to wait for our own deadline, and
 * for what is said to others after it. */
static void notify_stopping(uint64_t drain_ms)
{
	char state[80];

	if (drain_ms)
		snprintf(state, sizeof(state), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu",
			 (unsigned long long)(drain_ms + CUT_MS) * 1000);
	notify(drain_ms ? state : "STOPPING=1");
}

static void on_stop_signal(struct loop *l, int number)
{
	if (l->draining) {
		cut(l);
		return;
	}
	l->draining = true;
	log_info("loop.draining", L_S("signal", strsignal(number)));
	notify_stopping(l->ev.drain_ms);
	if (l->ev.drain_ms)
		uv_timer_start(&l->drain, on_drain_deadline, l->ev.drain_ms, 0);
	if (l->ev.drain)
		l->ev.drain(l->ev.arg);
	else
		loop_stop(l);
}

static void on_signals(uv_poll_t *h, int status, int events)
{
	struct loop *l = h->data;
	struct signalfd_siginfo info;

	(void)status;
	(void)events;
	while (read(l->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGHUP)
			on_stop_signal(l, (int)info.ssi_signo);
		else if (l->ev.reload)
			l->ev.reload(l->ev.arg);
	}
}

static void on_watchdog(uv_timer_t *t)
{
	(void)t;
	notify("WATCHDOG=1");
}

static void start_watchdog(struct loop *l)
{
	const char *usec = getenv("WATCHDOG_USEC");
	uint64_t us;

	if (!usec || slice_u64(slice_str(usec), UINT64_MAX, &us) != ERR_OK || us < 2000)
		return;
	uv_timer_start(&l->watchdog, on_watchdog, us / 2000, us / 2000); /* twice per period */
	uv_unref((uv_handle_t *)&l->watchdog);
}

/* Blocked in this thread and in all that it starts, for good, and read from a
 * descriptor: a handler would be taken back when the loop closes, and a signal that
 * came after that would end the process in the middle of its orderly end. */
static void open_signals(struct loop *l)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	BUG_ON(pthread_sigmask(SIG_BLOCK, &set, NULL) != 0);
	l->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	BUG_ON(l->signal_fd < 0);
	BUG_ON(uv_poll_init(&l->uv, &l->signals, l->signal_fd) != 0);
	l->signals.data = l;
	BUG_ON(uv_poll_start(&l->signals, UV_READABLE, on_signals) != 0);
	uv_unref((uv_handle_t *)&l->signals);
}

/* What comes next opens some forty, and libuv, ZeroMQ and SQLite each have their own way of not saying
 * that there was none left. */
static void need_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= FILES_MIN)
		return;
	log_error("open_files", L_U("limit", files.rlim_cur), L_U("least", FILES_MIN),
		  L_S("do", "raise the limit of open files (LimitNOFILE, ulimit -n)"));
	exit(1);
}

struct loop *loop_new(const struct loop_events *ev)
{
	struct loop *l;

	need_files();
	l = mem_new(sizeof(*l));
	l->ev = *ev;
	BUG_ON(uv_loop_init(&l->uv) != 0);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit on files is a full disk: the write fails */
	open_signals(l);
	uv_timer_init(&l->uv, &l->drain);
	l->drain.data = l;
	uv_timer_init(&l->uv, &l->watchdog);
	start_watchdog(l);
	return l;
}

uv_loop_t *loop_uv(struct loop *l)
{
	return &l->uv;
}

int loop_run(struct loop *l)
{
	if (!l->stopped) /* by a signal while the parts were opened and the loop turned for them */
		uv_run(&l->uv, UV_RUN_DEFAULT);
	return l->cut ? 1 : 0;
}

void loop_stop(struct loop *l)
{
	l->stopped = true;
	uv_stop(&l->uv);
}

void loop_ready(struct loop *l)
{
	(void)l;
	notify("READY=1");
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	uv_close((uv_handle_t *)&l->signals, NULL);
	uv_close((uv_handle_t *)&l->drain, NULL);
	uv_close((uv_handle_t *)&l->watchdog, NULL);
	uv_run(&l->uv, UV_RUN_DEFAULT); /* close callbacks; others' handles are closing by now */
	if (uv_loop_close(&l->uv) != 0)
		log_warn("loop.handles_left");
	close(l->signal_fd);
	free(l);
}

uint64_t loop_unix(void)
{
	return (uint64_t)time(NULL);
}

/* Nothing has begun: there is nothing to drain. */
static void on_early_signal(int number)
{
	(void)number;
	_exit(0);
}

void loop_harden(void)
{
	struct rlimit none = { 0, 0 }, files;

	standard_open();
	log_find_journal();
	signal(SIGTERM, on_early_signal);
	signal(SIGINT, on_early_signal);
	umask(077);
	setrlimit(RLIMIT_CORE, &none);
#if !SANITIZED
	prctl(PR_SET_DUMPABLE, 0); /* the leak checker has to look into its own process */
#endif
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

void loop_batch(void)
{
	const struct sched_param none = { .sched_priority = 0 };

	if (sched_getscheduler(0) == SCHED_OTHER && sched_setscheduler(0, SCHED_BATCH, &none) != 0)
		log_info("loop.batch", L_S("why", strerror(errno)));
}

void loop_limit_conns(const char *setting, uint64_t *conns, uint64_t each)
{
	struct rlimit files;
	uint64_t room;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max == RLIM_INFINITY)
		return;
	room = files.rlim_max / 4 * 3 / each; /* loop_harden raises the limit to its maximum */
	if (*conns <= room)
		return;
	*conns = room > 0 ? room : 1;
	log_warn("conf.open_files", L_S("setting", setting), L_U("lowered_to", *conns),
		 L_U("open_files", files.rlim_max),
		 L_S("do", "raise the limit of open files (LimitNOFILE, ulimit -n), or lower the setting"));
}
