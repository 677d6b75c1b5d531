/* SPDX-License-Identifier: Apache-2.0
 *
 * One libuv loop per thread; the main loop owns the signals.  SIGTERM and
 * SIGINT ask to drain, a second one cuts; SIGHUP reloads; SIGPIPE is ignored.
 * Speaks sd_notify (READY, STOPPING, WATCHDOG) when systemd asked for it, and
 * has it wait for the drain deadline.
 */
#ifndef SEALWAY_COMMON_LOOP_H
#define SEALWAY_COMMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"

struct loop;

struct loop_events {
	void (*drain)(void *arg);  /* first SIGTERM/SIGINT; NULL: loop_stop at once */
	void (*cut)(void *arg);    /* second one, or the drain deadline; NULL: loop_stop */
	void (*reload)(void *arg); /* SIGHUP; NULL: ignored */
	uint64_t drain_ms;         /* after this long, cut is called; 0: never */
	void *arg;
};

/* The main loop with signal handling: SIGTERM, SIGINT and SIGHUP are blocked from here on in
 * this thread and in those that it starts, also after loop_free.  Call it before any other
 * thread is started, once per process at a time.  Ends the process if libuv cannot, and, saying so,
 * where it may have only a few files open. */
struct loop *loop_new(const struct loop_events *ev);

/* The libuv loop inside, for handles of the caller's. */
uv_loop_t *loop_uv(struct loop *l);

/* Runs until loop_stop.  Returns 0 after a drain, 1 after a cut. */
int loop_run(struct loop *l);

/* Makes loop_run return; may be called from any callback of the loop. */
void loop_stop(struct loop *l);

/* Tells systemd that the process is ready (no effect elsewhere). */
void loop_ready(struct loop *l);

/* Closes the handles left open by the loop itself and frees it.  Every other
 * handle must have been closed (or be closing) by its owner.  NULL is fine. */
void loop_free(struct loop *l);

/* Milliseconds, monotonic, of the current loop turn. */
static inline uint64_t loop_now(uv_loop_t *uv)
{
	return uv_now(uv);
}

/* Unix time in seconds, from the clock that can be set. */
uint64_t loop_unix(void);

/* Hardens the process at start, before anything is opened and any secret is read:
 * no descriptor below 3 free (common/standard.h), levels for journald, umask 077, no core dumps, not
 * dumpable, no new privileges, file limit raised to the hard one.
 * From here on SIGTERM and SIGINT end it with status 0, until loop_new's drain. */
void loop_harden(void);

/* Asks the scheduler to let threads of this process, once woken, wait until the processor is free or the
 * running thread's turn is over (SCHED_BATCH).  A message wakes four threads on its way through two
 * processes; where each of them interrupts the one that woke it, they find one message at a time.  Holds for
 * threads started from here on.  A policy other than the usual one, which whoever started the process chose,
 * stays. */
void loop_batch(void);

/* Lowers a setting that says how many connections may be open, each of which takes so many descriptors, to
 * what the limit of open files allows: a quarter of them is left for everything else.  Said in the log. */
void loop_limit_conns(const char *setting, uint64_t *conns, uint64_t each);

#endif
