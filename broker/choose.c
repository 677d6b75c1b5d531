/* SPDX-License-Identifier: Apache-2.0
 *
 * Choosing (choose.h).  Everything is decided in one turn, so that a second
 * request of the same user sees the stack that the first is buying, whatever the
 * disk does.
 */
#include "broker/choose.h"

#include "broker/metrics.h"
#include "broker/probe.h"
#include "common/log.h"

#define VISIT_MAX 256 /* of the index, to find PICK_LOOK_MAX that are ready: 256 x ~50 ns */

/* A node that locks one stack of a user after the other must not sell it more of them. */
#define LOCKED_STACKS_MAX 3

/* What a node reserves when nothing is asked: its default, and the input on top. */
static uint64_t default_units(const struct broker *b, const struct choice *c, const struct sub *s)
{
	uint64_t units = s->lock_units ? s->lock_units : UNITS_DEFAULT;

	if (units > b->conf.lock_max_units)
		units = b->conf.lock_max_units;
	units += c->input; /* both are at most ID_MAX */
	return s->max_units && units > s->max_units && c->input < s->max_units ? s->max_units : units;
}

static void row_of(const struct broker *b, const struct choice *c, const struct sub *s, struct pick_row *row)
{
	const struct stack *most = ledger_room(b->ledger, c->user, s->node->row.id, c->model->id, UINT64_MAX);

	*row = (struct pick_row){ .price = ledger_price(c->user, s->node->row.id, c->model->id, s->price),
				  .lock_units = default_units(b, c, s),
				  .max_units = s->max_units,
				  .room = most ? stack_free(most) : 0,
				  .outstanding = s->running + s->locks,
				  .running = s->running,
				  .max_concurrent = s->max_concurrent,
				  .ready = true };
}

static bool ready(const struct broker *b, const struct choice *c, const struct node *n)
{
	return n->row.id != c->avoid && node_ready(n, c->now, broker_ms(b)) &&
	       (!n->row.original || b->conf.accept_unsigned_usage) &&
	       ledger_locked(b->ledger, c->user, n->row.id, c->model->id) < LOCKED_STACKS_MAX;
}

enum err choose_node(const struct broker *b, const struct pick_ask *ask, struct choice *c)
{
	struct pick_row rows[PICK_LOOK_MAX];
	struct sub *subs[PICK_LOOK_MAX];
	size_t n = 0, best;
	enum err e;

	for (unsigned i = 0; i < c->model->n && i < VISIT_MAX && n < PICK_LOOK_MAX; i++) {
		struct sub *s = c->model->subs[i];

		if (!ready(b, c, s->node))
			continue;
		subs[n] = s;
		row_of(b, c, s, &rows[n++]);
	}
	e = pick(ask, rows, n, &best);
	if (e != ERR_OK)
		return e;
	c->sub = subs[best];
	c->units = pick_units(ask, &rows[best]);
	c->price = rows[best].price;
	return ERR_OK;
}

/* What is bought when no stack has room. */
static uint64_t stack_size(const struct broker *b, const struct choice *c)
{
	return c->units > b->conf.stack_units ? c->units : b->conf.stack_units;
}

bool choose_affordable(const struct broker *b, const struct choice *c)
{
	uint64_t cost;

	if (ledger_room(b->ledger, c->user, c->sub->node->row.id, c->model->id, c->units))
		return true;
	return ledger_cost(stack_size(b, c), c->price, &cost) == ERR_OK && cost <= c->user->balance;
}

enum err choose_stack(struct broker *b, struct choice *c)
{
	uint64_t node = c->sub->node->row.id, buy = stack_size(b, c);
	struct breaker br = probe_breaker(b);
	enum err e;

	c->stack = ledger_room(b->ledger, c->user, node, c->model->id, c->units);
	if (c->stack) {
		node_try(c->sub->node, &br, broker_ms(b));
		return ERR_OK;
	}
	e = ledger_buy(b->ledger, c->user, node, c->model->id, buy, c->price, c->now, &c->stack, &c->buy);
	if (e == ERR_OK) {
		node_try(c->sub->node, &br, broker_ms(b));
		stat_inc(&metrics.purchases, 1);
		log_info("stack_bought", L_U("user", c->user->id), L_U("stack", c->stack->id),
			 L_U("node", node), L_U("units", buy), L_U("micro_usd", c->stack->paid));
	}
	return e;
}
