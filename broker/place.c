/* SPDX-License-Identifier: Apache-2.0
 *
 * Places (place.h).  A dynamic threshold, as the queue has for those who wait (limit.h),
 * but only while it is needed: nobody may have more than SHARE_MAX times what is free,
 * which leaves a 16th of the places to who has none.  Alone, a user gets all of them.
 * What somebody has at other nodes is no reason to leave this one empty.
 */
#include "broker/place.h"

#define SHARE_MAX 15u
#define SHARED_MS 10000 /* beyond the Retry-After of a refusal */

static uint64_t share(const struct sub *s)
{
	if (s->max_concurrent <= 2)
		return 1;
	return s->max_concurrent - 1 < SHARE_MAX ? s->max_concurrent - 1 : SHARE_MAX;
}

static bool shared(const struct sub *s, uint64_t now_ms)
{
	return now_ms < s->shared_until;
}

/* At s: as many as may be there.  A single place cannot be had in part. */
static uint64_t here(const struct sub *s, uint64_t own)
{
	return s->max_concurrent == 1 || own < s->running ? own : s->running;
}

bool place_for(const struct sub *s, uint64_t own, uint64_t now_ms)
{
	uint32_t left;

	if (!s->max_concurrent)
		return true;
	left = s->running < s->max_concurrent ? s->max_concurrent - s->running : 0;
	return shared(s, now_ms) ? here(s, own) < share(s) * left : left > 0;
}

struct sub *place_next(struct sub *a, struct sub *b, uint64_t now_ms)
{
	return a && (!shared(a, now_ms) || shared(b, now_ms)) ? a : b;
}

void place_refused(struct sub *s, uint64_t own, uint64_t now_ms)
{
	if (2 * own < s->max_concurrent)
		s->shared_until = now_ms + SHARED_MS;
}
