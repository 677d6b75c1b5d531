/* SPDX-License-Identifier: Apache-2.0
 *
 * A user's own limits (limit.h, ledger.h): set by the operator, kept by the
 * store.  What a user has used of them lives in memory only: after a restart
 * everybody begins with full buckets.
 */
#include "broker/ledger_priv.h"

static bool valid(const struct limits *l)
{
	for (int i = 0; i < LIMITS; i++) {
		if (l->v[i] < LIMIT_UNSET || l->v[i] > LIMIT_MAX)
			return false;
	}
	return true;
}

enum err ledger_set_limits(struct ledger *l, struct user *u, const struct limits *own, struct store_op **op)
{
	(void)l;
	if (!valid(own))
		return ERR_RANGE;
	u->own = *own;
	*op = store_op_new(OP_LIMITS);
	(*op)->u.limits = (struct row_limits){ .user = u->id,
					       .rate = own->v[LIMIT_RATE],
					       .concurrent = own->v[LIMIT_CONCURRENT],
					       .units = own->v[LIMIT_UNITS] };
	return ERR_OK;
}

enum err ledger_put_limits(struct ledger *l, const struct row_limits *r)
{
	const struct limits own = {
		.v = { [LIMIT_RATE] = r->rate, [LIMIT_CONCURRENT] = r->concurrent, [LIMIT_UNITS] = r->units }
	};
	struct user *u = ledger_user(l, r->user);

	if (!u || !valid(&own))
		return ERR_FORMAT;
	u->own = own;
	return ERR_OK;
}
