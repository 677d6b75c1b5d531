/* SPDX-License-Identifier: Apache-2.0
 *
 * One loop thread with everything that serves on it.  All functions are called
 * by the main thread.
 */
#ifndef SEALWAY_GATEWAY_THREAD_H
#define SEALWAY_GATEWAY_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/httpd/httpd.h"
#include "common/zsock.h"
#include "gateway/conf.h"

struct thread;

struct thread_opts {
	const struct gw_conf *conf; /* outlives the thread */
	struct zctx *zctx;
	/* For the line to the broker.  Another where its endpoint is a name: ZeroMQ looks that up on the
	 * context's own thread, and a name server that is away would hold up all answers.  One thread for
	 * all is cheaper. */
	struct zctx *broker_zctx;
	struct httpd_tls *tls;    /* outlives the thread; NULL: clear text */
	struct zcurve curve;      /* towards the broker; wiped with the thread */
	unsigned index;           /* from 0, for its name */
	const char *listen;       /* conf's, with the port that the first thread found */
	void (*ended)(void *arg); /* from the thread itself, when it has nothing left to do */
	void *arg;
};

/* Starts a thread and waits until it has its port.  Errors as httpd_open and
 * link_open; then there is no thread. */
enum err thread_start(struct thread **out, const struct thread_opts *o) MUST_USE;

/* Waits until it lets clients in: when it has met a broker, or has looked for one long enough.  Once. */
enum err thread_serves(struct thread *t) MUST_USE;

/* The port it listens on. */
uint16_t thread_port(const struct thread *t);

/* Whether a broker has welcomed it. */
bool thread_up(const struct thread *t);

/* Asks it to take no new connections and to end when everything is answered. */
void thread_drain(struct thread *t);

/* Asks it to end now: what still runs is cut and cancelled.  Both do nothing
 * on a thread that has ended. */
void thread_cut(struct thread *t);

/* Waits for its end and frees it; NULL is fine. */
void thread_join(struct thread *t);

#endif
