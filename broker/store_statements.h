/* SPDX-License-Identifier: Apache-2.0
 *
 * The statements that write, by name; store_sqlite.c prepares each once.  Every
 * one that changes a row says in its WHERE what memory expects of it.
 */
#ifndef SEALWAY_BROKER_STORE_STATEMENTS_H
#define SEALWAY_BROKER_STORE_STATEMENTS_H

#define STATEMENTS(S)                                                                                        \
	S(S_USER, "INSERT INTO users (id, name, balance, created) VALUES (?, ?, 0, ?)")                      \
	S(S_BALANCE, "UPDATE users SET balance = balance + ?1 WHERE id = ?2 AND balance + ?1 = ?3")          \
	S(S_JOURNAL, "INSERT INTO journal (user, at, who, why, delta, balance_after, stack) "                \
		     "VALUES (?, ?, ?, ?, ?, ?, nullif(?, 0))")                                              \
	S(S_TOKEN,                                                                                           \
	  "INSERT INTO api_tokens (id, user, hash, name, last4, created) VALUES (?, ?, ?, ?, ?, ?)")         \
	S(S_TOKEN_REVOKE, "UPDATE api_tokens SET revoked = ? WHERE id = ?")                                  \
	S(S_TOKEN_USED, "UPDATE api_tokens SET last_used = ? WHERE id = ?")                                  \
	S(S_MODEL, "INSERT INTO models (id, name) VALUES (?, ?)")                                            \
	S(S_NODE,                                                                                            \
	  "INSERT INTO nodes (id, sign_key, url, country, version, counter, validity_s, state, original, "   \
	  "admitted, seen, faults) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) "              \
	  "ON CONFLICT (id) DO UPDATE SET sign_key = ?2, url = ?3, country = ?4, version = ?5, counter = "   \
	  "?6, "                                                                                             \
	  "validity_s = ?7, state = ?8, original = ?9, admitted = ?10, seen = ?11, faults = ?12")            \
	S(S_NODE_KEY,                                                                                        \
	  "INSERT INTO node_keys (node, key, counter, not_before, not_after, statement, signature, "         \
	  "added, superseded, dropped) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) "                    \
	  "ON CONFLICT (node, key) DO UPDATE SET counter = ?3, not_before = ?4, not_after = ?5, "            \
	  "statement = ?6, signature = ?7, added = ?8, superseded = ?9, dropped = ?10")                      \
	S(S_NODE_KEY_TRIM, /* the order is that of loading, backwards */                                     \
	  "DELETE FROM node_keys WHERE node = ?1 AND key NOT IN (SELECT key FROM node_keys WHERE node = ?1 " \
	  "ORDER BY superseded = 0 DESC, counter DESC, added DESC LIMIT ?2)")                                \
	S(S_EVIDENCE, "INSERT INTO evidence (node, hash, bytes, at) VALUES (?1, ?2, ?3, ?4) "                \
		      "ON CONFLICT (node) DO UPDATE SET hash = ?2, bytes = ?3, at = ?4")                     \
	S(S_SUB,                                                                                             \
	  "INSERT INTO subscriptions (node, model, price, max_concurrent, max_units, lock_units, active) "   \
	  "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (node, model) DO UPDATE SET "                     \
	  "price = ?3, max_concurrent = ?4, max_units = ?5, lock_units = ?6, active = ?7")                   \
	S(S_PRICE, "INSERT INTO price_overrides (user, node, model, price) VALUES (?1, ?2, ?3, ?4) "         \
		   "ON CONFLICT (user, node, model) DO UPDATE SET price = ?4")                               \
	S(S_PRICE_DEL, "DELETE FROM price_overrides WHERE user = ? AND node = ? AND model = ?")              \
	S(S_LIMITS, "INSERT INTO user_limits (user, rate, concurrent, units) VALUES (?1, ?2, ?3, ?4) "       \
		    "ON CONFLICT (user) DO UPDATE SET rate = ?2, concurrent = ?3, units = ?4")               \
	S(S_STACK, "INSERT INTO stacks (id, user, node, model, bought, spent, price, paid, created) "        \
		   "VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?)")                                                     \
	S(S_STACK_STATE, "UPDATE stacks SET state = ? WHERE id = ?")                                         \
	S(S_SPEND, "UPDATE stacks SET spent = spent + ?1 WHERE id = ?2 AND spent + ?1 <= bought")            \
	S(S_LOCK, "INSERT INTO locks (id, stack, node_key, units, created_ms, expires_ms) VALUES (?, ?, ?, " \
		  "?, ?, ?)")                                                                                \
	S(S_LOCK_END, "DELETE FROM locks WHERE id = ?")                                                      \
	S(S_RESERVE,                                                                                         \
	  "INSERT INTO reservations (rid, stack, node, node_key, endpoint, units, epoch, created) "          \
	  "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 "                                                           \
	  "WHERE NOT EXISTS (SELECT 1 FROM settlements WHERE request = ?9)")                                 \
	S(S_MOVE, "UPDATE reservations SET stack = ?, node = ?, units = ? WHERE rid = ?")                    \
	S(S_ATTEMPT, "UPDATE reservations SET attempt = ? WHERE rid = ?")                                    \
	S(S_UNRESERVE, "DELETE FROM reservations WHERE rid = ?")                                             \
	S(S_SETTLE,                                                                                          \
	  "INSERT INTO settlements (request, user, stack, node, model, endpoint, units, billed, prompt, "    \
	  "completion, outcome, error, flags, receipt_hash, chunks, bytes, at) "                             \
	  "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")                                      \
	S(S_PURGE, "DELETE FROM settlements WHERE id IN "                                                    \
		   "(SELECT id FROM settlements WHERE at < min(?, (SELECT min(at) FROM settlements) + ?) "   \
		   "ORDER BY at LIMIT ?)")                                                                   \
	S(S_USAGE, "INSERT INTO usage (user, model, day, requests, prompt, completion, billed) "             \
		   "VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6) ON CONFLICT (user, model, day) DO UPDATE SET "        \
		   "requests = requests + 1, prompt = prompt + ?4, completion = completion + ?5, billed = "  \
		   "billed + ?6")

#endif
