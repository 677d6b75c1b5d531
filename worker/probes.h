/* SPDX-License-Identifier: Apache-2.0
 *
 * Health checks that a broker asks for (PROBE, probe.h): GET {node}/health.
 */
#ifndef SEALWAY_WORKER_PROBES_H
#define SEALWAY_WORKER_PROBES_H

#include <uv.h>

#include "common/net/upstream.h"
#include "proto/probe.h"

#define PROBES_MAX 256 /* at a time; what comes beyond is answered with PROBE_NOT_TRIED */

struct probes;

/* Takes the outcome of a probe to broker number `to`. */
typedef void (*probes_fn)(void *arg, unsigned to, const struct probed *m);

/* upstream is borrowed and outlives the probes; fn gets arg. */
struct probes *probes_new(struct upstream *upstream, probes_fn fn, void *arg);

/* Ends what runs, without a word (before upstream_free); NULL is fine. */
void probes_free(struct probes *p);

/* Asks m->address; fn is called exactly once, from inside only for what is not
 * tried at all (an address that is no URL has failed). */
void probes_ask(struct probes *p, unsigned from, const struct probe *m);

/* How many run. */
unsigned probes_count(const struct probes *p);

#endif
