/* SPDX-License-Identifier: Apache-2.0
 *
 * The node's X25519 keys: the one on offer and those that open requests still
 * (PROTOCOL section 4.5, 4.9).  Secrets are new at each start, never written
 * anywhere, and wiped when their time is over.
 */
#ifndef SEALWAY_NODE_KEYS_H
#define SEALWAY_NODE_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/seal/seal.h"
#include "common/sign.h"

struct keys;
struct nodekey;

struct keys_opts {
	uint64_t node;               /* node_small_id, for the statement */
	const struct sign_key *sign; /* signs the statements; outlives the keys */
	uint64_t lifetime_s;         /* offered this long */
	uint64_t overlap_s;          /* accepted this long after the successor was acknowledged */
	size_t guard_max;            /* requests that one key may open */
};

/* A set with its first key.  mono_ms: monotonic milliseconds, unix_ms: Unix
 * time in milliseconds (the rotation counter, so that it grows over restarts). */
struct keys *keys_new(const struct keys_opts *o, uint64_t mono_ms, uint64_t unix_ms);

/* Wipes and frees; NULL is fine. */
void keys_free(struct keys *k);

/* Drops keys whose time is over, and makes a new current one when the present
 * one is old, has opened very many, or is not known to anybody and was refused or made by
 * a clock that was wrong: true then, and the caller registers. */
bool keys_tick(struct keys *k, uint64_t mono_ms, uint64_t unix_ms) MUST_USE;

/* The counter of the next registration. */
uint64_t keys_count(struct keys *k, uint64_t mono_ms);

/* A registration with the statement of this counter, itself with that count, was acknowledged. */
void keys_acknowledged(struct keys *k, uint64_t counter, uint64_t count, uint64_t mono_ms);

/* A registration with the statement of this counter was refused for what it says of the key, maybe. */
void keys_refused(struct keys *k, uint64_t counter);

/* The key on offer. */
struct nodekey *keys_current(struct keys *k);

/* The accepted key with this public half, or NULL. */
struct nodekey *keys_find(struct keys *k, const uint8_t pub[SEAL_KEY], uint64_t mono_ms);

/* Its public half (32 bytes). */
const uint8_t *nodekey_public(const struct nodekey *n);

/* Its rotation counter. */
uint64_t nodekey_counter(const struct nodekey *n);

/* Its key statement (65 bytes) and the signature over it (base64 text). */
struct slice nodekey_statement(const struct nodekey *n);
struct slice nodekey_signature(const struct nodekey *n);

/* The request's AES key, of the client's public key and salt.  ERR_KEY. */
enum err nodekey_derive(const struct nodekey *n, const uint8_t peer[SEAL_KEY], const uint8_t salt[SEAL_SALT],
			uint8_t out[SEAL_KEY]) MUST_USE;

/* Notes that a request under this derived key is being answered: ERR_ANSWERED
 * the second time, ERR_LIMIT when the key has opened all that it may. */
enum err nodekey_answer_once(struct nodekey *n, const uint8_t key[SEAL_KEY]) MUST_USE;

#endif
