/* SPDX-License-Identifier: Apache-2.0
 *
 * From the body of a ConfidentialComputeRequest to its plaintext (PROTOCOL
 * section 2 and 4).  Pure: no loop, no sockets.
 */
#ifndef SEALWAY_NODE_OPEN_H
#define SEALWAY_NODE_OPEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/seal/seal.h"
#include "node/keys.h"
#include "proto/limits.h"

struct envelope {
	struct slice ciphertext; /* base64 text; borrows from the body */
	uint8_t nonce[SEAL_NONCE], salt[SEAL_SALT];
	uint8_t client_key[SEAL_KEY], node_key[SEAL_KEY];
	uint8_t plain_hash[KEY_BYTES];
	uint64_t stack;
	bool stream;
	struct buf model, scratch; /* unescaped texts, owned */
};

/* Checks the body and fills *out (all zero before).  ERR_BODY with *param
 * naming the member at fault (static text, or NULL).  Call envelope_free in any
 * case; body must live until then. */
enum err envelope_parse(struct slice body, struct envelope *out, const char **param) MUST_USE;

/* Frees what e owns. */
void envelope_free(struct envelope *e);

/* Derives the key, decrypts, notes the key as answered as soon as the tag has
 * verified, and checks plaintext_body_hash.  ERR_BODY (key, tag or hash),
 * ERR_ANSWERED, ERR_UNAVAILABLE (guard full).  On success key and plain (a
 * secret buffer of the caller's) are filled; key is wiped otherwise. */
enum err envelope_open(const struct envelope *e, struct nodekey *n, uint8_t key[SEAL_KEY], struct buf *plain,
		       const char **param) MUST_USE;

#endif
