/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger's tables (docs/ARCHITECTURE.md, Money) and the laws they obey.
 * Free and reserved units are not columns: reserved is the sum of a stack's
 * locks and reservations, free is the rest, so that the two cannot disagree
 * with the rows they come from.  No column holds a token, a plaintext_body_hash
 * or a receipt.  Plain SQL of the common subset, apart from STRICT.
 */
#include "broker/store_schema.h"

/* clang-format off */

static const char to_1[] =
	"CREATE TABLE leases ("
	"  id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, taken INTEGER NOT NULL, expires INTEGER) STRICT;"
	"INSERT INTO leases (id, epoch, taken) VALUES (0, 0, 0);"
	"CREATE TABLE users ("
	"  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	"  balance INTEGER NOT NULL CHECK (balance >= 0), created INTEGER NOT NULL) STRICT;"
	"CREATE TABLE api_tokens ("
	"  id INTEGER PRIMARY KEY, user INTEGER NOT NULL REFERENCES users (id),"
	"  hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32), name TEXT NOT NULL, last4 TEXT NOT NULL,"
	"  created INTEGER NOT NULL, revoked INTEGER NOT NULL DEFAULT 0,"
	"  last_used INTEGER NOT NULL DEFAULT 0) STRICT;"
	"CREATE TABLE models (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;"
	"CREATE TABLE nodes ("
	"  id INTEGER PRIMARY KEY, sign_key BLOB NOT NULL UNIQUE CHECK (length(sign_key) = 32),"
	"  url TEXT NOT NULL, country TEXT NOT NULL, version TEXT NOT NULL,"
	"  counter INTEGER NOT NULL CHECK (counter >= 0), validity_s INTEGER NOT NULL CHECK (validity_s >= 0),"
	"  state INTEGER NOT NULL, original INTEGER NOT NULL, admitted INTEGER NOT NULL, seen INTEGER NOT NULL,"
	"  faults INTEGER NOT NULL) STRICT;"
	"CREATE TABLE node_keys ("
	"  node INTEGER NOT NULL REFERENCES nodes (id), key BLOB NOT NULL CHECK (length(key) = 32),"
	"  counter INTEGER NOT NULL CHECK (counter >= 0), not_before INTEGER NOT NULL, not_after INTEGER NOT NULL,"
	"  statement BLOB, signature TEXT, added INTEGER NOT NULL, superseded INTEGER NOT NULL,"
	"  dropped INTEGER NOT NULL, PRIMARY KEY (node, key)) STRICT;"
	"CREATE TABLE evidence ("
	"  node INTEGER PRIMARY KEY REFERENCES nodes (id), hash BLOB NOT NULL, bytes BLOB NOT NULL,"
	"  at INTEGER NOT NULL) STRICT;"
	"CREATE TABLE subscriptions ("
	"  node INTEGER NOT NULL REFERENCES nodes (id), model INTEGER NOT NULL REFERENCES models (id),"
	"  price INTEGER NOT NULL CHECK (price >= 0), max_concurrent INTEGER NOT NULL, max_units INTEGER NOT NULL,"
	"  lock_units INTEGER NOT NULL, active INTEGER NOT NULL, PRIMARY KEY (node, model)) STRICT;"
	"CREATE TABLE price_overrides ("
	"  user INTEGER NOT NULL REFERENCES users (id), node INTEGER NOT NULL,"
	"  model INTEGER NOT NULL REFERENCES models (id), price INTEGER NOT NULL CHECK (price >= 0),"
	"  PRIMARY KEY (user, node, model)) STRICT;"
	"CREATE TABLE stacks ("
	"  id INTEGER PRIMARY KEY, user INTEGER NOT NULL REFERENCES users (id),"
	"  node INTEGER NOT NULL REFERENCES nodes (id), model INTEGER NOT NULL REFERENCES models (id),"
	"  bought INTEGER NOT NULL CHECK (bought > 0), spent INTEGER NOT NULL CHECK (spent BETWEEN 0 AND bought),"
	"  price INTEGER NOT NULL CHECK (price >= 0), paid INTEGER NOT NULL CHECK (paid >= 0),"
	"  created INTEGER NOT NULL) STRICT;"
	"CREATE TABLE journal ("
	"  id INTEGER PRIMARY KEY, user INTEGER NOT NULL REFERENCES users (id), at INTEGER NOT NULL,"
	"  who TEXT NOT NULL, why TEXT NOT NULL, delta INTEGER NOT NULL,"
	"  balance_after INTEGER NOT NULL CHECK (balance_after >= 0), stack INTEGER REFERENCES stacks (id)) STRICT;"
	"CREATE INDEX journal_user ON journal (user, id);"
	"CREATE TABLE locks ("
	"  id INTEGER PRIMARY KEY, stack INTEGER NOT NULL REFERENCES stacks (id), node_key BLOB NOT NULL,"
	"  units INTEGER NOT NULL CHECK (units >= 0), created_ms INTEGER NOT NULL,"
	"  expires_ms INTEGER NOT NULL) STRICT;"
	"CREATE TABLE reservations ("
	"  rid BLOB PRIMARY KEY CHECK (length(rid) = 16), stack INTEGER NOT NULL REFERENCES stacks (id),"
	"  node INTEGER NOT NULL, node_key BLOB NOT NULL, endpoint INTEGER NOT NULL,"
	"  units INTEGER NOT NULL CHECK (units >= 0), epoch INTEGER NOT NULL,"
	"  created INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE settlements ("
	"  id INTEGER PRIMARY KEY, request TEXT NOT NULL UNIQUE, user INTEGER NOT NULL,"
	"  stack INTEGER NOT NULL REFERENCES stacks (id), node INTEGER NOT NULL, model INTEGER NOT NULL,"
	"  endpoint INTEGER NOT NULL, units INTEGER NOT NULL CHECK (units >= 0),"
	"  billed INTEGER NOT NULL CHECK (billed BETWEEN 0 AND units), prompt INTEGER NOT NULL,"
	"  completion INTEGER NOT NULL, outcome INTEGER NOT NULL, error TEXT NOT NULL, flags INTEGER NOT NULL,"
	"  receipt_hash BLOB, chunks INTEGER NOT NULL, bytes INTEGER NOT NULL, at INTEGER NOT NULL) STRICT;"
	"CREATE INDEX settlements_at ON settlements (at);"
	"CREATE TABLE usage ("
	"  user INTEGER NOT NULL, model INTEGER NOT NULL, day INTEGER NOT NULL, requests INTEGER NOT NULL,"
	"  prompt INTEGER NOT NULL, completion INTEGER NOT NULL, billed INTEGER NOT NULL,"
	"  PRIMARY KEY (user, model, day)) STRICT, WITHOUT ROWID;";

/* enum stack_state: a stack that its node refused with 423 is not used until an operator unlocks it. */
static const char to_2[] =
	"ALTER TABLE stacks ADD COLUMN state INTEGER NOT NULL DEFAULT 1 CHECK (state IN (1, 2));";

static const char to_3[] =
	"CREATE TABLE user_limits ("
	"  user INTEGER PRIMARY KEY REFERENCES users (id), rate INTEGER NOT NULL CHECK (rate >= -1),"
	"  concurrent INTEGER NOT NULL CHECK (concurrent >= -1), units INTEGER NOT NULL CHECK (units >= -1)) STRICT;";

/* The last attempt that was given to a worker: what earlier ones say after a restart is stale. */
static const char to_4[] =
	"ALTER TABLE reservations ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1 CHECK (attempt >= 1);";

/* clang-format on */

const char *const store_migrations[] = { to_1, to_2, to_3, to_4 };

const size_t store_versions = sizeof(store_migrations) / sizeof(store_migrations[0]);

const struct store_law store_laws[] = {
	{ "balance of a user is not the sum of the journal",
	  "SELECT u.id FROM users u WHERE u.balance <> "
	  "(SELECT coalesce(sum(j.delta), 0) FROM journal j WHERE j.user = u.id)" },
	{ "balance after a journal entry is not the sum up to it",
	  "SELECT id FROM (SELECT id, balance_after, sum(delta) OVER (PARTITION BY user ORDER BY id) AS "
	  "total "
	  "FROM journal) AS running WHERE total <> balance_after" },
	{ "stack has spent more than was bought", "SELECT id FROM stacks WHERE spent < 0 OR spent > bought" },
	{ "stack has reserved more than is left",
	  "SELECT s.id FROM stacks s JOIN (SELECT stack, sum(units) AS held FROM "
	  "(SELECT stack, units FROM locks UNION ALL SELECT stack, units FROM reservations) AS claims "
	  "GROUP BY stack) AS h ON h.stack = s.id WHERE s.bought - s.spent < h.held" },
	{ "reservation is not at the node of its stack",
	  "SELECT s.id FROM reservations r JOIN stacks s ON s.id = r.stack WHERE r.node <> s.node" },
	{ "stack was not paid for by the journal",
	  "SELECT s.id FROM stacks s LEFT JOIN (SELECT stack, sum(delta) AS given FROM journal "
	  "WHERE stack IS NOT NULL GROUP BY stack) AS j ON j.stack = s.id WHERE s.paid + coalesce(j.given, "
	  "0) <> 0" },
	{ "usage of a user's model is not what its stacks have spent",
	  "SELECT t.user FROM (SELECT user, model, sum(spent) AS spent FROM stacks GROUP BY user, model) AS "
	  "t "
	  "WHERE t.spent <> (SELECT coalesce(sum(g.billed), 0) FROM usage g "
	  "WHERE g.user = t.user AND g.model = t.model)" },
	{ "settlement bills more than was reserved",
	  "SELECT id FROM settlements WHERE billed > units OR billed < 0" },
};

const size_t n_store_laws = sizeof(store_laws) / sizeof(store_laws[0]);
