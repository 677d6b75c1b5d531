/* SPDX-License-Identifier: Apache-2.0
 *
 * H(x) of PROTOCOL section 4: unkeyed BLAKE2b with a 32-byte digest, by
 * libsodium.  A running hash may have held plaintext, so it is wiped when
 * freed.
 */
#include "common/hash.h"

#include <stdlib.h>
#include <string.h>

#include "common/sodium_start.h"

struct hash_state {
	crypto_generichash_state st;
};

static void start(crypto_generichash_state *st)
{
	crypto_generichash_init(st, NULL, 0, HASH_BYTES);
}

static void add(crypto_generichash_state *st, struct slice data)
{
	if (data.n)
		crypto_generichash_update(st, data.p, data.n);
}

void hash(uint8_t out[HASH_BYTES], struct slice data)
{
	crypto_generichash(out, HASH_BYTES, data.n ? data.p : NULL, data.n, NULL, 0);
}

void hash_label(uint8_t out[HASH_BYTES], const char *label, struct slice data)
{
	crypto_generichash_state st;

	start(&st);
	add(&st, slice_str(label));
	add(&st, data);
	crypto_generichash_final(&st, out, HASH_BYTES);
	mem_wipe(&st, sizeof(st));
}

struct hash_state *hash_new(void)
{
	struct hash_state *h = aligned_alloc(_Alignof(struct hash_state), sizeof(*h));

	BUG_ON(!h);
	start(&h->st);
	return h;
}

void hash_add(struct hash_state *h, struct slice data)
{
	add(&h->st, data);
}

void hash_peek(const struct hash_state *h, uint8_t out[HASH_BYTES])
{
	crypto_generichash_state copy;

	memcpy(&copy, &h->st, sizeof(copy));
	crypto_generichash_final(&copy, out, HASH_BYTES);
	mem_wipe(&copy, sizeof(copy));
}

void hash_free(struct hash_state *h)
{
	if (!h)
		return;
	mem_wipe(h, sizeof(*h));
	free(h);
}
