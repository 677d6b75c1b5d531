/* SPDX-License-Identifier: Apache-2.0
 *
 * Only digests of derived keys are kept, never the keys.  The guard is keyed on
 * the derived key and not on bytes of the envelope, because different envelopes
 * (the ignored top bit of an X25519 key) can give the same key.
 */
#include "node/guard.h"

#include <stdlib.h>

#include "common/hash.h"
#include "common/map.h"

struct guard {
	struct map *seen;
	size_t max;
};

struct guard *guard_new(size_t max)
{
	struct guard *g = mem_new(sizeof(*g));

	g->seen = map_new(HASH_BYTES);
	g->max = max;
	return g;
}

void guard_free(struct guard *g)
{
	if (!g)
		return;
	map_free(g->seen);
	free(g);
}

enum err guard_enter(struct guard *g, const uint8_t key[32])
{
	uint8_t h[HASH_BYTES];

	hash(h, slice_of(key, 32));
	if (map_get(g->seen, h))
		return ERR_ANSWERED;
	if (map_count(g->seen) >= g->max)
		return ERR_LIMIT;
	map_put(g->seen, h, g);
	return ERR_OK;
}

bool guard_crowded(const struct guard *g)
{
	return map_count(g->seen) >= g->max / 4 * 3;
}
