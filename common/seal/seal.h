/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening and sealing bodies (PROTOCOL section 4.1-4.6).  A static library of
 * its own: linked by node and client only; a test proves that gateway, broker
 * and worker do not contain it.
 */
#ifndef SEALWAY_COMMON_SEAL_SEAL_H
#define SEALWAY_COMMON_SEAL_SEAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"

#define SEAL_KEY 32
#define SEAL_SALT 16
#define SEAL_NONCE 12
#define SEAL_TAG 16
#define SEAL_PAD 128 /* plaintexts are padded with spaces to a multiple of this */

/* A new X25519 pair from the system's randomness. */
void seal_keypair(uint8_t pub[SEAL_KEY], uint8_t secret[SEAL_KEY]);

/* The public key of a secret one. */
void seal_public(const uint8_t secret[SEAL_KEY], uint8_t pub[SEAL_KEY]);

/* HKDF-SHA256(X25519(secret, peer), salt, info = "").  ERR_KEY for a peer key
 * with the top bit set, or one that gives an all-zero shared secret. */
enum err seal_derive(const uint8_t secret[SEAL_KEY], const uint8_t peer[SEAL_KEY],
		     const uint8_t salt[SEAL_SALT], uint8_t key[SEAL_KEY]) MUST_USE;

/* Appends ciphertext || tag of plain (AES-256-GCM, no associated data). */
void seal_encrypt(const uint8_t key[SEAL_KEY], const uint8_t nonce[SEAL_NONCE], struct slice plain,
		  struct buf *out);

/* Appends the plaintext (out should be secret); ERR_CRYPTO when the tag does not
 * verify, and then out is as it was. */
enum err seal_decrypt(const uint8_t key[SEAL_KEY], const uint8_t nonce[SEAL_NONCE], struct slice cipher,
		      struct buf *out) MUST_USE;

/* Appends spaces up to a multiple of SEAL_PAD bytes. */
void seal_pad(struct buf *json);

/* The STREAM nonces of one response: 7 random bytes, counter, final flag. */
struct seal_nonces {
	uint8_t prefix[7];
	uint32_t next;
	bool ended;
};

/* Draws the prefix. */
void seal_nonces_init(struct seal_nonces *s);

/* The next nonce; final ends the sequence.  ERR_LIMIT after 2^32 - 1 chunks or
 * after the final one: never a nonce twice. */
enum err seal_nonces_next(struct seal_nonces *s, bool final, uint8_t nonce[SEAL_NONCE]) MUST_USE;

/* The receiving side: checks order and end of a response's nonces. */
struct seal_order {
	uint8_t prefix[7];
	uint32_t next;
	bool begun, ended;
};

/* Accepts the next nonce: ERR_FORMAT with *what (static text: "a chunk is
 * missing", "a chunk came twice", "a chunk came after the final one", "not a
 * nonce of ours") otherwise.  sent is the request's own nonce: a response under
 * it is refused as a reflection. */
enum err seal_order_next(struct seal_order *o, const uint8_t nonce[SEAL_NONCE],
			 const uint8_t sent[SEAL_NONCE], const char **what) MUST_USE;

/* A request nonce of our client: random, last byte >= 2. */
void seal_request_nonce(uint8_t nonce[SEAL_NONCE]);

#endif
