/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose word it is that a node fails.  One worker's is not enough to take the node from all: the failure that
 * would open its breaker has to be another worker's, as long as there is one (a worker is a key; without
 * keys, an instance).  So the next request there goes to another, and its success ends the matter.
 */
#ifndef SEALWAY_BROKER_BLAME_H
#define SEALWAY_BROKER_BLAME_H

#include <stdbool.h>

#include "broker/node.h"
#include "broker/peers.h"

/* The worker saw the node fail, before that is counted. */
void blame_add(struct node *n, const struct party *worker);

/* Whether what was added last is not to be counted, because all failures in a row are of one worker. */
bool blame_holds(const struct broker *b, struct node *n);

/* Whether the worker is passed over at the node, for it alone has seen it fail, and the next one decides. */
bool blame_passes_over(const struct broker *b, const struct node *n, const struct party *worker);

#endif
