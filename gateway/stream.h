/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers on their way from a worker to a client: acts on what flight.c
 * decides.  Also every way in which a pending request of any kind ends without
 * an answer: its client leaves, a deadline passes, a worker or the broker goes.
 */
#ifndef SEALWAY_GATEWAY_STREAM_H
#define SEALWAY_GATEWAY_STREAM_H

#include "gateway/inflight.h"

/* Sets the callbacks of a pending request's HTTP side; call once it was sent. */
void stream_watch(struct pending *p);

/* A frame from a worker (workers_opts.frame; arg is the struct gw). */
void stream_frame(void *arg, uint64_t worker, struct slice bytes);

/* A worker is gone (workers_opts.gone): its answers end with an error. */
void stream_worker_gone(void *arg, uint64_t worker);

/* Whether answers of this worker are under way (workers_opts.busy). */
bool stream_worker_busy(void *arg, uint64_t worker);

/* The broker is gone (link_opts.down): what only it could answer, and jobs that
 * may never have reached it, end with 503; answers under way go on. */
void stream_broker_gone(void *arg, uint64_t confirmed);

/* A broker is back, in the same life or another: it is asked about the jobs that it had
 * and whose answer has not begun.  What it said of them may be lost; or a worker may
 * have them, whatever became of the broker. */
void stream_ask_all(struct gw *gw);

/* The broker had taken us for dead: no worker goes on with what was ours.  Answers under
 * way are cut, other jobs end with 503. */
void stream_forgotten(struct gw *gw);

/* A deadline passed (inflight_new). */
void stream_due(struct gw *gw, struct deadline *e);

/* Ends p with e: a status, or an error event and a cut when its answer has
 * begun.  cancel: tell whoever works on it. */
void stream_fail(struct gw *gw, struct pending *p, enum err e, const struct refusal *why, bool cancel);

/* Ends everything pending (drain deadline, second signal). */
void stream_cut_all(struct gw *gw);

#endif
