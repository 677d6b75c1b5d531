/* SPDX-License-Identifier: Apache-2.0
 *
 * The workers that the broker has introduced: one XSUB each, subscribed to our
 * topic, which also carries credits and cancels upstream.  Closing it forgets
 * the worker.
 */
#ifndef SEALWAY_GATEWAY_WORKERS_H
#define SEALWAY_GATEWAY_WORKERS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/zsock.h"
#include "proto/chunk.h"
#include "proto/job.h"
#include "proto/peer.h"

#define WORKERS_MAX 1024 /* introduced to one thread at a time, if its share of the sockets goes that far */

struct workers;

struct workers_opts {
	uint64_t topic;      /* ours */
	size_t max;          /* more are refused with a log line */
	bool insecure;       /* see zsock_connect */
	struct zcurve curve; /* our keys; server_key is each worker's own */
	/* A frame, from the worker with this instance. */
	void (*frame)(void *arg, uint64_t worker, struct slice bytes);
	/* The worker is gone: nothing of it will come any more. */
	void (*gone)(void *arg, uint64_t worker);
	/* Whether answers of this worker are under way. */
	bool (*busy)(void *arg, uint64_t worker);
	void *arg;
};

/* An empty set on uv's thread. */
struct workers *workers_open(struct zctx *zctx, uv_loop_t *uv, const struct workers_opts *o);

/* Applies an introduction: connects and subscribes, or forgets.  A second life
 * behind a known endpoint replaces the first, which is then gone. */
void workers_intro(struct workers *w, const struct intro *m);

/* A broker (again) welcomed us and will introduce the workers it knows.  Those
 * that it does not introduce again are forgotten by a later workers_sweep. */
void workers_mark(struct workers *w);

/* Forgets the workers that were not introduced since workers_mark and have no
 * answers under way (those may only be cut off from the broker). */
void workers_sweep(struct workers *w);

/* Sends a credit.  ERR_CLOSED for an unknown worker, ERR_AGAIN: try later. */
enum err workers_credit(struct workers *w, uint64_t worker, const struct credit *m) MUST_USE;

/* Tells one worker, or all of them (worker 0), that a request has no taker any
 * more.  Best effort: a worker that misses it runs out of credit and time. */
void workers_cancel(struct workers *w, uint64_t worker, const struct cancel *m);

/* How many are known. */
size_t workers_count(const struct workers *w);

/* Closes all sockets, without calling gone.  NULL is fine. */
void workers_close(struct workers *w);

#endif
