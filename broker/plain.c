/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission of plain requests (PROTOCOL section 2): the request names only a
 * model; node and stack are chosen as for a lock.  What it may cost is reserved:
 * the input as the gateway estimated it, and max_tokens or the node's default on
 * top; of images their pixels.
 */
#include "broker/admit.h"

static bool completes(enum endpoint e)
{
	return e == EP_PLAIN_COMPLETIONS || e == EP_PLAIN_CHAT;
}

/* The member that makes a request as large as it is. */
static const char *sizing_member(const struct job *m)
{
	switch (m->endpoint) {
	case EP_PLAIN_COMPLETIONS:
		return m->has_max_units ? "max_tokens" : "prompt";
	case EP_PLAIN_CHAT:
		return m->has_max_units ? "max_tokens" : "messages";
	case EP_PLAIN_EMBEDDINGS:
		return "input";
	default:
		return "size";
	}
}

/* Both numbers are at most ID_MAX each. */
static enum err size_up(const struct broker *b, const struct job *m, struct pick_ask *ask)
{
	ask->has_units = !completes(m->endpoint) || m->has_max_units;
	ask->units = m->input_units;
	if (completes(m->endpoint) && m->has_max_units)
		ask->units += m->max_units;
	if (m->endpoint == EP_PLAIN_IMAGES) /* a unit is a pixel there */
		return ERR_OK;
	/* a slip of the keyboard must not buy a stack for it */
	return ask->units > b->conf.lock_max_units ? ERR_BODY : ERR_OK;
}

/* The node; and whether the user has, or could buy, what it takes. */
static enum err find_node(const struct broker *b, const struct job *m, struct admission *a)
{
	struct pick_ask ask;
	enum err e = size_up(b, m, &ask);

	a->choice.input = m->input_units;
	if (e == ERR_OK)
		e = choose_node(b, &ask, &a->choice);
	if (e != ERR_OK)
		return e;
	a->units = a->choice.units;
	return choose_affordable(b, &a->choice) ? ERR_OK : ERR_BALANCE;
}

enum err plain_check(const struct broker *b, const struct job *m, struct admission *a)
{
	enum err e = admit_user(b, m, a);

	if (e != ERR_OK)
		return e;
	a->model = registry_model(b->registry, m->model);
	if (!a->model)
		return ERR_NO_NODE;
	a->choice.user = a->token->user;
	a->choice.model = a->model;
	a->choice.now = broker_now();
	e = find_node(b, m, a);
	if (e == ERR_BODY || e == ERR_RANGE) { /* more than any node takes in one request */
		a->param = sizing_member(m);
		return ERR_BODY;
	}
	a->retry_after_s = 1;
	return e;
}

enum err plain_stack(struct broker *b, struct admission *a)
{
	enum err e = choose_stack(b, &a->choice);

	if (e != ERR_OK)
		return e;
	if (a->choice.buy)
		store_submit(b->store, a->choice.buy);
	a->stack = a->choice.stack;
	a->sub = a->choice.sub;
	a->node = a->sub->node;
	return ERR_OK;
}
