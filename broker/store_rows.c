/* SPDX-License-Identifier: Apache-2.0
 *
 * Queries and column layouts for loading (store_rows.h).
 */
#include "broker/store_rows.h"

#include <stddef.h>

#define AT(member) offsetof(struct store_op, member)
#define U64(member)                                                                                          \
	{                                                                                                    \
		COL_U64, AT(member), 0                                                                       \
	}
#define U32(member)                                                                                          \
	{                                                                                                    \
		COL_U32, AT(member), 0                                                                       \
	}
#define I64(member)                                                                                          \
	{                                                                                                    \
		COL_I64, AT(member), 0                                                                       \
	}
#define BOOL(member)                                                                                         \
	{                                                                                                    \
		COL_BOOL, AT(member), 0                                                                      \
	}
#define FIXED(member, n)                                                                                     \
	{                                                                                                    \
		COL_FIXED, AT(member), (n)                                                                   \
	}
#define TEXT(i)                                                                                              \
	{                                                                                                    \
		COL_TEXT, AT(text) + (i) * sizeof(char *), 0                                                 \
	}
#define BLOB                                                                                                 \
	{                                                                                                    \
		COL_BLOB, AT(blob), 0                                                                        \
	}
#define END                                                                                                  \
	{                                                                                                    \
		COL_END, 0, 0                                                                                \
	}

static const struct column user[] = { U64(u.user.id), TEXT(0), U64(u.user.balance), I64(u.user.created),
				      END };

static const struct column token[] = {
	U64(u.token.id),      U64(u.token.user),    FIXED(u.token.hash, KEY_BYTES), TEXT(0), TEXT(1),
	I64(u.token.created), I64(u.token.revoked), I64(u.token.last_used),         END
};

static const struct column model[] = { U64(u.model.id), TEXT(0), END };

static const struct column node[] = { U64(u.node.id),
				      FIXED(u.node.sign_key, KEY_BYTES),
				      TEXT(0),
				      TEXT(1),
				      TEXT(2),
				      U64(u.node.counter),
				      U32(u.node.validity_s),
				      U32(u.node.state),
				      BOOL(u.node.original),
				      I64(u.node.admitted),
				      I64(u.node.seen),
				      U64(u.node.faults),
				      END };

static const struct column key[] = { U64(u.key.node),
				     FIXED(u.key.key, KEY_BYTES),
				     U64(u.key.counter),
				     I64(u.key.not_before),
				     I64(u.key.not_after),
				     BLOB,
				     TEXT(0),
				     I64(u.key.added),
				     I64(u.key.superseded),
				     BOOL(u.key.dropped),
				     END };

static const struct column evidence[] = { U64(u.evidence.node), FIXED(u.evidence.hash, KEY_BYTES), BLOB,
					  I64(u.evidence.at), END };

static const struct column sub[] = { U64(u.sub.node),      U64(u.sub.model),
				     U64(u.sub.price),     U32(u.sub.max_concurrent),
				     U64(u.sub.max_units), U64(u.sub.lock_units),
				     BOOL(u.sub.active),   END };

static const struct column price[] = { U64(u.price.user), U64(u.price.node), U64(u.price.model),
				       U64(u.price.price), END };

static const struct column limits[] = { U64(u.limits.user), I64(u.limits.rate), I64(u.limits.concurrent),
					I64(u.limits.units), END };

static const struct column stack[] = { U64(u.buy.stack.id),
				       U64(u.buy.stack.user),
				       U64(u.buy.stack.node),
				       U64(u.buy.stack.model),
				       U64(u.buy.stack.bought),
				       U64(u.buy.stack.spent),
				       U64(u.buy.stack.price),
				       U64(u.buy.stack.paid),
				       I64(u.buy.stack.created),
				       U32(u.buy.stack.state),
				       END };

static const struct column lock[] = { U64(u.lock.id),
				      U64(u.lock.stack),
				      FIXED(u.lock.node_key, KEY_BYTES),
				      U64(u.lock.units),
				      I64(u.lock.created_ms),
				      I64(u.lock.expires_ms),
				      END };

static const struct column reservation[] = { FIXED(u.reservation.rid, RID_BYTES),
					     U64(u.reservation.stack),
					     U64(u.reservation.node),
					     FIXED(u.reservation.node_key, KEY_BYTES),
					     U32(u.reservation.endpoint),
					     U64(u.reservation.units),
					     U64(u.reservation.epoch),
					     I64(u.reservation.created),
					     U32(u.reservation.attempt),
					     END };

const struct row_source row_sources[] = {
	{ OP_USER, "SELECT id, name, balance, created FROM users", user },
	{ OP_TOKEN, "SELECT id, user, hash, name, last4, created, revoked, last_used FROM api_tokens",
	  token },
	{ OP_MODEL, "SELECT id, name FROM models", model },
	{ OP_NODE,
	  "SELECT id, sign_key, url, country, version, counter, validity_s, state, original, admitted, seen, "
	  "faults "
	  "FROM nodes ORDER BY id",
	  node },
	{ OP_NODE_KEY,
	  "SELECT node, key, counter, not_before, not_after, statement, signature, added, superseded, "
	  "dropped "
	  "FROM node_keys ORDER BY node, superseded = 0, counter, added",
	  key },
	{ OP_EVIDENCE, "SELECT node, hash, bytes, at FROM evidence", evidence },
	{ OP_SUB,
	  "SELECT node, model, price, max_concurrent, max_units, lock_units, active FROM subscriptions",
	  sub },
	{ OP_PRICE, "SELECT user, node, model, price FROM price_overrides", price },
	{ OP_LIMITS, "SELECT user, rate, concurrent, units FROM user_limits", limits },
	{ OP_STACK,
	  "SELECT id, user, node, model, bought, spent, price, paid, created, state FROM stacks ORDER BY "
	  "created",
	  stack },
	{ OP_LOCK, "SELECT id, stack, node_key, units, created_ms, expires_ms FROM locks", lock },
	{ OP_RESERVE,
	  "SELECT rid, stack, node, node_key, endpoint, units, epoch, created, attempt FROM reservations",
	  reservation },
};

const size_t n_row_sources = sizeof(row_sources) / sizeof(row_sources[0]);
