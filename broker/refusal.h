/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes that refuse (401) what a worker signs: a fact about the two, not about the
 * node.  Such a worker is passed over at that node for as long as another one is
 * there that the node does not refuse; without any, all is as if this were not known.
 */
#ifndef SEALWAY_BROKER_REFUSAL_H
#define SEALWAY_BROKER_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/node.h"
#include "broker/peers.h"

/* Kept per worker.  One whom so many nodes refuse is passed over at all of them: then the
 * fault is its own, and it must not take their jobs only to fail. */
#define REFUSALS_MAX 256

/* Before the worker is tried at the node again; twice as long each time, four times. */
#define REFUSAL_PAUSE_MS 60000

struct refusal {
	uint64_t node;
	uint64_t said_ms;  /* loop: the last 401 */
	uint64_t until_ms; /* loop: then the worker gets one job there */
	unsigned times;
};

/* Whether the node refuses that worker, as far as is known. */
bool refusal_lasts(const struct party *worker, uint64_t node, uint64_t now_ms);

/* The same, and another worker is there that it does not refuse. */
bool refusal_passes_over(const struct broker *b, const struct party *worker, uint64_t node);

/* Whether a worker is there that the node does not refuse. */
bool refusal_leaves_one(const struct broker *b, uint64_t node);

/* The node answered that worker 401. */
void refusal_note(const struct broker *b, struct party *worker, uint64_t node);

/* The worker gets a job there: of one that was refused that is the trial. */
void refusal_try(const struct broker *b, struct party *worker, uint64_t node);

/* The node took what was given to the worker at given_ms. */
void refusal_over(struct party *worker, uint64_t node, uint64_t given_ms);

/* The node has started again, is elsewhere or was removed. */
void refusal_forget(const struct broker *b, uint64_t node);

/* The worker is gone. */
void refusal_free(struct party *worker);

/* How many workers it was that the node refused, until one of the above. */
unsigned refusal_count(const struct broker *b, uint64_t node);

/* That of one worker; NULL. */
struct refusal *refusal_of(const struct party *worker, uint64_t node);

#endif
