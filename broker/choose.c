/* SPDX-License-Identifier: Apache-2.0
 *
 * Choosing (choose.h).  Everything is decided in one turn, so that a second
 * request of the same user sees the stack that the first is buying, whatever the
 * disk does.
 */
#include "broker/choose.h"

#include "broker/metrics.h"
#include "broker/place.h"
#include "broker/probe.h"
#include "common/log.h"

#define VISIT_MAX 256    /* of the index, to find PICK_LOOK_MAX that have room: 256 x ~50 ns */
#define OWN_MAX 4        /* of the nodes where the user has a stack; as many with a price */
#define OWN_VISIT_MAX 32 /* stacks, and prices, gone through to find them */

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

/* Who is asked: those that may be, as far as PICK_LOOK_MAX goes. */
struct candidates {
	struct sub *subs[PICK_LOOK_MAX];
	size_t n;
	enum err why;     /* what kept a ready node out: ERR_OK, or as pick's */
	struct sub *full; /* the one of those without a place that is to have one next */
};

static bool may_be_asked(const struct broker *b, const struct choice *c, const struct node *n)
{
	return n->row.id != c->avoid && node_ready(n, c->now, broker_ms(b)) &&
	       (!n->row.original || b->conf.accept_unsigned_usage) &&
	       ledger_locked(b->ledger, c->user, n->row.id, c->model->id) < LOCKED_STACKS_MAX;
}

/* A node that has no room, or takes no such request, takes no place from others. */
static void consider(const struct broker *b, const struct pick_ask *ask, const struct choice *c,
		     struct sub *s, struct candidates *all)
{
	for (size_t i = 0; i < all->n; i++) {
		if (all->subs[i] == s)
			return;
	}
	if (all->n == PICK_LOOK_MAX || !may_be_asked(b, c, s->node))
		return;
	if (!place_for(s, c->user->use.running, broker_ms(b))) {
		all->why = ERR_RATE;
		all->full = place_next(all->full, s, broker_ms(b));
	} else if (!ask->has_units || !s->max_units || ask->units <= s->max_units) {
		all->subs[all->n++] = s;
	} else if (all->why != ERR_RATE) {
		all->why = ERR_RANGE;
	}
}

static void consider_node(const struct broker *b, const struct pick_ask *ask, const struct choice *c,
			  uint64_t node, struct candidates *all)
{
	const struct node *n = registry_node(b->registry, node);
	struct sub *s = n ? node_sub(n, c->model->id) : NULL;

	if (s)
		consider(b, ask, c, s, all);
}

/* Nodes where the user has units or a price of its own may stand anywhere in the index: the newest
 * of them are looked at first. */
static void consider_own(const struct broker *b, const struct pick_ask *ask, const struct choice *c,
			 struct candidates *all)
{
	const struct stack *st = c->user->stacks;
	const struct price *p = c->user->prices;

	for (unsigned i = 0; st && i < OWN_VISIT_MAX && all->n < OWN_MAX; i++, st = st->next_of_user) {
		if (st->model == c->model->id && st->state == STACK_OPEN && stack_free(st))
			consider_node(b, ask, c, st->node, all);
	}
	for (unsigned i = 0; p && i < OWN_VISIT_MAX && all->n < 2 * OWN_MAX; i++, p = p->next) {
		if (p->model == c->model->id && p->node)
			consider_node(b, ask, c, p->node, all);
	}
}

enum err choose_node(const struct broker *b, const struct pick_ask *ask, struct choice *c)
{
	const struct node_view v = { c->now, broker_ms(b), b->conf.accept_unsigned_usage };
	struct pick_row rows[PICK_LOOK_MAX];
	struct candidates all = { .n = 0 };
	size_t best;
	enum err e;

	model_sweep(c->model, &v, PICK_LOOK_MAX);
	consider_own(b, ask, c, &all);
	for (unsigned i = 0; i < c->model->n && i < VISIT_MAX && all.n < PICK_LOOK_MAX; i++)
		consider(b, ask, c, c->model->subs[i], &all);
	for (size_t i = 0; i < all.n; i++)
		row_of(b, c, all.subs[i], &rows[i]);
	e = pick(ask, rows, all.n, &best);
	if (e != ERR_OK && all.full)
		place_refused(all.full, c->user->use.running, broker_ms(b));
	if (e != ERR_OK)
		return all.why == ERR_RATE || (e == ERR_NO_NODE && all.why) ? all.why : e;
	c->sub = all.subs[best];
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
