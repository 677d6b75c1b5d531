/* SPDX-License-Identifier: Apache-2.0
 *
 * H(x) = BLAKE2b with a 32-byte digest (PROTOCOL section 4), plain and with a
 * label: H(label || data).
 */
#ifndef SEALWAY_COMMON_HASH_H
#define SEALWAY_COMMON_HASH_H

#include <stdint.h>

#include "common/mem.h"

#define HASH_BYTES 32

/* out = H(data). */
void hash(uint8_t out[HASH_BYTES], struct slice data);

/* out = H(label || data); label without its NUL. */
void hash_label(uint8_t out[HASH_BYTES], const char *label, struct slice data);

/* Running H over several pieces.  384 bytes, 64-byte aligned; lives on the
 * stack or in mem_new memory through hash_new. */
struct hash_state;

/* A running hash, owned by the caller. */
struct hash_state *hash_new(void);

/* Adds data. */
void hash_add(struct hash_state *h, struct slice data);

/* Gives the digest so far without ending the run. */
void hash_peek(const struct hash_state *h, uint8_t out[HASH_BYTES]);

/* Frees (and wipes) h; NULL is fine. */
void hash_free(struct hash_state *h);

#endif
