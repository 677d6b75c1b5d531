/* SPDX-License-Identifier: Apache-2.0
 *
 * How far a worker is trusted with work, by how its last requests ended.  Whoever fails at once is always the
 * least busy one: without this, a worker that lies, or that reaches no node, would get nearly all requests
 * and fail them, while others could answer.
 */
#ifndef SEALWAY_BROKER_TRUST_H
#define SEALWAY_BROKER_TRUST_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/peers.h"

#define TRUST_FAILURES_MAX 10 /* in a row that count */
#define TRUST_HALVES_MS 5000  /* after a failure, and again */

/* A request that was given to p has ended: good, with the node's receipt, or it failed, whoever's fault it
 * is. */
void trust_note(const struct broker *b, struct party *p, bool good);

/* Requests that p is taken to have in hand besides those that it has: 2^n - 1 after n failures in a row, half
 * of that TRUST_HALVES_MS later, and so on; one that is good halves n. */
uint32_t trust_handicap(const struct broker *b, const struct party *p);

#endif
