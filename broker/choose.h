/* SPDX-License-Identifier: Apache-2.0
 *
 * From a model to a node and a stack there, for locks and plain requests alike:
 * the rows for pick.h out of registry and ledger, then a stack with room, or a
 * purchase.
 */
#ifndef SEALWAY_BROKER_CHOOSE_H
#define SEALWAY_BROKER_CHOOSE_H

#include "broker/broker.h"
#include "broker/pick.h"

struct choice {
	struct user *user;   /* who asks */
	struct model *model; /* for what */
	uint64_t avoid;      /* node that is left out; 0 = none */
	uint64_t input;      /* without a number asked: units that come on top of a node's default */
	int64_t now;         /* one clock reading for the whole choice */
	/* the outcome */
	struct sub *sub;
	struct stack *stack;
	uint64_t units, price;
	struct store_op *buy; /* NULL when nothing was bought */
};

/* Picks the node for c->user and c->model: sub, units and price.  Errors as
 * pick's. */
enum err choose_node(const struct broker *b, const struct pick_ask *ask, struct choice *c) MUST_USE;

/* Whether choose_stack would find or buy one. */
bool choose_affordable(const struct broker *b, const struct choice *c) MUST_USE;

/* The user's stack there with room, or a new one: then c->buy is to be submitted
 * in the same turn.  ERR_BALANCE. */
enum err choose_stack(struct broker *b, struct choice *c) MUST_USE;

#endif
