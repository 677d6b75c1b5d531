/* SPDX-License-Identifier: Apache-2.0
 *
 * Health of nodes: probes by workers (proto/probe.h) and the breaker that they
 * and the requests move (node.h).
 */
#ifndef SEALWAY_BROKER_PROBE_H
#define SEALWAY_BROKER_PROBE_H

#include "broker/broker.h"
#include "broker/peers.h"

/* Starts probing what the store has loaded, spread over one interval. */
void probe_start(struct broker *b);

/* A node has registered, was admitted or moved: an open breaker half-opens, and
 * the node is probed at once.  anew: it has started again or is elsewhere, so that
 * what was asked of it or given to it before does not count against it (once in
 * breaker_open_ms). */
void probe_here(struct broker *b, struct node *n, bool anew);

/* What the worker was asked is asked of others. */
void probe_worker_gone(struct broker *b, const struct party *worker);

/* A node was removed: nobody asks after it any more. */
void probe_forget(struct broker *b, struct node *n);

/* Notes how a request at the node went, as that worker says. */
void probe_note(struct broker *b, struct node *n, const struct party *from, bool ok);

/* The settings of the breaker. */
struct breaker probe_breaker(const struct broker *b);

/* PROBED from a worker. */
void probe_done(struct broker *b, struct party *from, struct slice msg);

#endif
