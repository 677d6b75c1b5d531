/* SPDX-License-Identifier: Apache-2.0
 *
 * A map by request id and a list by age.  A request id is answered once, so a
 * second receipt under one id can only replace the first.
 */
#include "node/receipts.h"

#include <stdlib.h>
#include <string.h>

#include "common/map.h"

struct kept {
	uint8_t rid[RID_BYTES];
	uint64_t at_ms;
	struct receipt_text text;
	struct kept *older, *newer;
};

struct receipts {
	struct map *by_rid;
	struct kept *oldest, *newest;
	size_t max;
};

struct receipts *receipts_new(size_t max)
{
	struct receipts *r = mem_new(sizeof(*r));

	r->by_rid = map_new(RID_BYTES);
	r->max = max;
	return r;
}

static void drop(struct receipts *r, struct kept *k)
{
	map_del(r->by_rid, k->rid);
	if (k->older)
		k->older->newer = k->newer;
	else
		r->oldest = k->newer;
	if (k->newer)
		k->newer->older = k->older;
	else
		r->newest = k->older;
	mem_wipe(k, sizeof(*k)); /* a receipt holds hashes of plaintexts */
	free(k);
}

void receipts_free(struct receipts *r)
{
	if (!r)
		return;
	while (r->oldest)
		drop(r, r->oldest);
	map_free(r->by_rid);
	free(r);
}

void receipts_put(struct receipts *r, const uint8_t *rid, const struct receipt_text *t, uint64_t now_ms)
{
	struct kept *k = map_get(r->by_rid, rid);

	if (k)
		drop(r, k);
	else if (map_count(r->by_rid) >= r->max)
		drop(r, r->oldest);
	k = mem_new(sizeof(*k));
	memcpy(k->rid, rid, RID_BYTES);
	k->at_ms = now_ms;
	k->text = *t;
	k->older = r->newest;
	if (k->older)
		k->older->newer = k;
	else
		r->oldest = k;
	r->newest = k;
	map_put(r->by_rid, k->rid, k);
}

const struct receipt_text *receipts_get(struct receipts *r, const uint8_t *rid, uint64_t now_ms)
{
	const struct kept *k;

	receipts_expire(r, now_ms);
	k = map_get(r->by_rid, rid);
	return k ? &k->text : NULL;
}

void receipts_expire(struct receipts *r, uint64_t now_ms)
{
	while (r->oldest && now_ms - r->oldest->at_ms >= RECEIPTS_KEEP_MS)
		drop(r, r->oldest);
}

size_t receipts_count(const struct receipts *r)
{
	return map_count(r->by_rid);
}
