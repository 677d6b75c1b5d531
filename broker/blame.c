/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose word it is that a node fails (blame.h).
 */
#include "broker/blame.h"

#include <string.h>

#include "broker/broker.h"
#include "broker/refusal.h"
#include "broker/silence.h"

#define HELD_TIMES 3 /* breaker_failures: then it counts, the others may not hear the gateway that asks */

static void name_of(const struct party *p, uint8_t who[KEY_BYTES])
{
	memset(who, 0, KEY_BYTES);
	if (p->has_key)
		memcpy(who, p->key, KEY_BYTES);
	else
		memcpy(who, &p->instance, sizeof(p->instance));
}

static bool is(const struct node *n, const struct party *p)
{
	uint8_t who[KEY_BYTES];

	name_of(p, who);
	return memcmp(n->blame.who, who, KEY_BYTES) == 0;
}

void blame_add(struct node *n, const struct party *worker)
{
	if (n->failures == 0) {
		n->blame = (struct blame){ .several = false };
		name_of(worker, n->blame.who);
	} else if (!is(n, worker)) {
		n->blame.several = true;
	}
}

/* One more failure opens its breaker, and all were of one worker. */
static bool at_the_brink(const struct broker *b, const struct node *n)
{
	return n->failures > 0 && n->failures + 1 >= b->conf.breaker_failures && n->open_until == 0 &&
	       !n->blame.several;
}

static bool another_is_there(const struct broker *b, const struct node *n)
{
	for (const struct party *p = b->peers->list[ROLE_WORKER]; p; p = p->next) {
		if (party_works(b, p) && !is(n, p) && !refusal_lasts(p, n->row.id, broker_ms(b)))
			return true;
	}
	return false;
}

bool blame_holds(const struct broker *b, struct node *n)
{
	if (!at_the_brink(b, n) || n->blame.held >= HELD_TIMES * b->conf.breaker_failures ||
	    !another_is_there(b, n))
		return false;
	n->blame.held++;
	return true;
}

bool blame_passes_over(const struct broker *b, const struct node *n, const struct party *worker)
{
	return at_the_brink(b, n) && is(n, worker);
}
