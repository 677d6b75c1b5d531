/* SPDX-License-Identifier: Apache-2.0
 *
 * The price-ordered index of a model's offers (node.h; docs/ARCHITECTURE.md,
 * When something dies).  An offer whose node is met unready is set aside until
 * something happens to the node, so that a choice costs the same however many
 * nodes there are and however many of them are down: each is met once.
 */
#include <string.h>

#include "broker/node_priv.h"

void index_remove(struct model *m, struct sub *s)
{
	unsigned i = 0;

	if (s->aside || !s->active) {
		s->aside = false;
		return;
	}
	while (m->subs[i] != s)
		i++;
	m->n--;
	memmove(&m->subs[i], &m->subs[i + 1], (m->n - i) * sizeof(struct sub *));
}

/* By price, then node: a total order. */
static bool before(const struct sub *a, const struct sub *b)
{
	return a->price != b->price ? a->price < b->price : a->node->row.id < b->node->row.id;
}

void index_insert(struct model *m, struct sub *s)
{
	unsigned low = 0, high = m->n;

	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 8;
		m->subs = mem_grow(m->subs, m->cap * sizeof(struct sub *));
	}
	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (before(m->subs[mid], s))
			low = mid + 1;
		else
			high = mid;
	}
	memmove(&m->subs[low + 1], &m->subs[low], (m->n - low) * sizeof(struct sub *));
	m->subs[low] = s;
	m->n++;
}

/* A half-open breaker that waits for a request turns ready without an event. */
static bool set_aside(const struct node *n, const struct node_view *v)
{
	if (n->row.original && !v->originals)
		return true;
	if (n->open_until && n->trial_from != UINT64_MAX)
		return false;
	return !node_ready(n, v->now, v->now_ms);
}

void model_sweep(struct model *m, const struct node_view *v, unsigned want)
{
	unsigned i, to = 0;

	for (i = 0; i < m->n && to < want; i++) {
		struct sub *s = m->subs[i];

		s->aside = set_aside(s->node, v);
		if (!s->aside)
			m->subs[to++] = s;
	}
	memmove(&m->subs[to], &m->subs[i], (m->n - i) * sizeof(struct sub *));
	m->n -= i - to;
}

void node_wake(struct node *n)
{
	for (struct sub *s = n->subs; s; s = s->next_of_node) {
		if (!s->aside)
			continue;
		s->aside = false;
		index_insert(s->model, s);
	}
}
