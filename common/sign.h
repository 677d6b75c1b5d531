/* SPDX-License-Identifier: Apache-2.0
 *
 * Ed25519 signatures in the form of PROTOCOL section 4.7: base64 of
 * flag 0x00 || signature (64) || public key (32), made over 32 bytes.  A
 * signature proves nothing by itself: the caller gives the key on record, and
 * the one inside must be the same.
 */
#ifndef SEALWAY_COMMON_SIGN_H
#define SEALWAY_COMMON_SIGN_H

#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"

#define SIGN_BYTES 97
#define SIGN_B64 132 /* characters, no NUL */

struct sign_key; /* secret; wiped when freed, memory locked where possible */

/* From a 32-byte seed. */
struct sign_key *sign_key_new(const uint8_t seed[32]);

/* Wipes and frees; NULL is fine. */
void sign_key_free(struct sign_key *k);

/* The public key (32 bytes), valid while k lives. */
const uint8_t *sign_key_public(const struct sign_key *k);

/* Signs the 32 bytes of hash; writes SIGN_B64 characters, no NUL. */
void sign_hash(const struct sign_key *k, const uint8_t hash[32], char out[SIGN_B64]);

/* Signs H(label || data); writes SIGN_B64 characters, no NUL. */
void sign_label(const struct sign_key *k, const char *label, struct slice data, char out[SIGN_B64]);

/* Checks text against hash and the key on record.  ERR_FORMAT (not base64 of 97
 * bytes), ERR_SCHEME (flag 0x01, 0x02 or unknown), ERR_KEY (another key),
 * ERR_SIGNATURE. */
enum err sign_verify(struct slice text, const uint8_t hash[32], const uint8_t key[32]) MUST_USE;

/* The same over H(label || data). */
enum err sign_verify_label(struct slice text, const char *label, struct slice data,
			   const uint8_t key[32]) MUST_USE;

/* The key named inside a well-formed signature, which it does not check. */
enum err sign_claimed_key(struct slice text, uint8_t key[32]) MUST_USE;

/* A node's account address: "0x" + hex(H(flag || key)), 66 characters and NUL. */
void sign_address(const uint8_t key[32], char out[67]);

#endif
