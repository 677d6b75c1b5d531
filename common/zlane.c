/* SPDX-License-Identifier: Apache-2.0
 *
 * The lanes of an XPUB socket, sorted by topic (zlane.h).  Looked up for every
 * message, changed only when gateways come and go.
 */
#include "common/zlane.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* Where topic is, or would be put. */
static size_t place(const struct zlanes *l, uint64_t topic)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->v[mid].topic < topic)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct zlane *zlanes_find(const struct zlanes *l, uint64_t topic)
{
	size_t at = place(l, topic);

	return at < l->n && l->v[at].topic == topic ? &l->v[at] : NULL;
}

static struct zlane *insert(struct zlanes *l, size_t at, uint64_t topic)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 16;
		l->v = mem_grow(l->v, l->cap * sizeof(*l->v));
	}
	memmove(l->v + at + 1, l->v + at, (l->n - at) * sizeof(*l->v));
	l->n++;
	l->v[at] = (struct zlane){ .topic = topic };
	return &l->v[at];
}

uint64_t zlanes_open(struct zlanes *l, uint64_t topic)
{
	size_t at = place(l, topic);
	bool known = at < l->n && l->v[at].topic == topic;
	struct zlane *lane = known ? &l->v[at] : insert(l, at, topic);

	if (!lane->fresh)
		l->n_fresh++;
	lane->fresh = true;
	lane->id = ++l->last_id;
	return lane->id;
}

void zlanes_own(struct zlanes *l, uint64_t topic, const uint8_t key[32])
{
	size_t at = place(l, topic);

	if (at == l->n || l->v[at].topic != topic)
		return;
	l->v[at].owned = key != NULL;
	if (key)
		memcpy(l->v[at].owner, key, sizeof(l->v[at].owner));
}

bool zlanes_drop(struct zlanes *l, uint64_t topic)
{
	size_t at = place(l, topic);

	if (at == l->n || l->v[at].topic != topic)
		return false;
	if (l->v[at].fresh)
		l->n_fresh--;
	l->n--;
	memmove(l->v + at, l->v + at + 1, (l->n - at) * sizeof(*l->v));
	return true;
}

void zlanes_settle(struct zlanes *l)
{
	if (l->n_fresh == 0)
		return;
	for (size_t i = 0; i < l->n; i++)
		l->v[i].fresh = false;
	l->n_fresh = 0;
}

void zlanes_fini(struct zlanes *l)
{
	free(l->v);
	*l = (struct zlanes){ .v = NULL };
}
