/* SPDX-License-Identifier: Apache-2.0
 *
 * Places (place.h).  A dynamic threshold, as the queue has for those who wait (limit.h),
 * but only while it is needed: nobody may have more than SHARE_MAX times what is free,
 * which leaves a 16th of the places to who has none.  Alone, a user gets all of them.
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

bool place_for(struct sub *s, uint64_t own, uint64_t now_ms)
{
	uint32_t left;

	if (!s->max_concurrent)
		return true;
	left = s->running < s->max_concurrent ? s->max_concurrent - s->running : 0;
	if (now_ms < s->shared_until ? own < share(s) * left : left > 0)
		return true;
	if (2 * own < s->max_concurrent)
		s->shared_until = now_ms + SHARED_MS;
	return false;
}
