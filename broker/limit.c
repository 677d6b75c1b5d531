/* SPDX-License-Identifier: Apache-2.0
 *
 * Token buckets (limit.h).  A bucket of n per minute holds n tokens and gets n
 * back in 60,000 ms; counting tokens x 60,000 makes every ms a whole number, so
 * that nothing is lost to rounding however often a bucket is looked at.
 */
#include "broker/limit.h"

#include <string.h>

#define SCALE 60000 /* ms in the window */

static uint32_t seconds(int64_t ms)
{
	int64_t s = (ms + 999) / 1000;

	return s < 1 ? 1 : s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

/* Fills b up to now.  What is missing is compared before anything is multiplied. */
static void refill(struct bucket *b, int64_t per_minute, uint64_t now_ms)
{
	int64_t full = per_minute * SCALE, missing = full - b->left;
	uint64_t passed = now_ms > b->at_ms ? now_ms - b->at_ms : 0;

	if (!b->begun || missing <= 0 || passed > (uint64_t)(missing / per_minute))
		b->left = full;
	else
		b->left += (int64_t)passed * per_minute;
	b->begun = true;
	b->at_ms = now_ms;
}

/* Time until b holds want (tokens x 60,000). */
static int64_t wait_ms(const struct bucket *b, int64_t per_minute, int64_t want)
{
	return b->left >= want ? 0 : (want - b->left + per_minute - 1) / per_minute;
}

static void tell(const struct bucket *b, int64_t per_minute, struct quota *q)
{
	int64_t to_full = wait_ms(b, per_minute, per_minute * SCALE);

	q->limit = (uint64_t)per_minute;
	q->remaining = b->left > 0 ? (uint64_t)(b->left / SCALE) : 0;
	q->reset_s = to_full ? seconds(to_full) : 0;
}

static enum err take(struct bucket *b, int64_t per_minute, uint64_t n, uint64_t now_ms, uint32_t *retry_s)
{
	int64_t all = n < (uint64_t)LIMIT_MAX ? (int64_t)n : LIMIT_MAX;
	int64_t need = all < per_minute ? all : per_minute;

	refill(b, per_minute, now_ms);
	if (b->left < need * SCALE) {
		*retry_s = seconds(wait_ms(b, per_minute, need * SCALE));
		return ERR_RATE;
	}
	b->left -= all * SCALE;
	return ERR_OK;
}

struct limits limits_of(const struct limits *own, const struct limits *defaults)
{
	struct limits l;

	for (int i = 0; i < LIMITS; i++)
		l.v[i] = own->v[i] == LIMIT_UNSET ? defaults->v[i] : own->v[i];
	return l;
}

enum err limit_request(struct limit_use *u, const struct limits *l, uint64_t now_ms, struct quota *q,
		       uint32_t *retry_s)
{
	int64_t per_minute = l->v[LIMIT_RATE];
	enum err e;

	if (!per_minute)
		return ERR_OK;
	e = take(&u->rate, per_minute, 1, now_ms, retry_s);
	tell(&u->rate, per_minute, q);
	return e;
}

enum err limit_job(struct limit_use *u, const struct limits *l, uint64_t units, uint64_t now_ms,
		   struct quota *q, uint32_t *retry_s)
{
	int64_t at_once = l->v[LIMIT_CONCURRENT], per_minute = l->v[LIMIT_UNITS];

	if (at_once && u->running >= (uint64_t)at_once) {
		*q = (struct quota){ .limit = (uint64_t)at_once, .reset_s = 1 };
		*retry_s = 1;
		return ERR_RATE;
	}
	if (per_minute && take(&u->units, per_minute, units, now_ms, retry_s) != ERR_OK) {
		tell(&u->units, per_minute, q);
		return ERR_RATE;
	}
	return ERR_OK;
}

void limit_units_back(struct limit_use *u, const struct limits *l, uint64_t units, uint64_t now_ms)
{
	int64_t per_minute = l->v[LIMIT_UNITS], n = units < (uint64_t)LIMIT_MAX ? (int64_t)units : LIMIT_MAX;
	int64_t full = per_minute * SCALE;

	if (!per_minute)
		return;
	refill(&u->units, per_minute, now_ms);
	u->units.left = full - u->units.left < n * SCALE ? full : u->units.left + n * SCALE;
}

bool limit_share(uint64_t own, uint64_t used, uint64_t max)
{
	return used < max && own < max - used;
}
