/* SPDX-License-Identifier: Apache-2.0
 *
 * Ed25519 in the form of PROTOCOL section 4.7.  The key inside a signature is
 * never trusted: it has to be the one on record, and that one verifies.
 * Secrets live in guarded pages that are kept out of swap and core dumps
 * where the machine allows it (sodium_malloc).
 *
 * libsodium's verification refuses non-canonical S, small-order and
 * non-canonical keys, so that one message has one signature form per signer.
 */
#include "common/sign.h"

#include <string.h>

#include "common/b64.h"
#include "common/hash.h"
#include "common/sodium_start.h"

#define FLAG_ED25519 0x00
#define FLAG_AT 0
#define SIG_AT 1
#define KEY_AT 65
#define OTHER_SCHEMES_BYTES 98 /* flags 0x01 and 0x02 carry a 33-byte compressed point */

struct sign_key {
	uint8_t secret[crypto_sign_SECRETKEYBYTES]; /* seed || public key */
};

struct sign_key *sign_key_new(const uint8_t seed[32])
{
	struct sign_key *k = sodium_malloc(sizeof(*k));
	uint8_t pub[32];

	BUG_ON(!k);
	crypto_sign_seed_keypair(pub, k->secret, seed);
	return k;
}

void sign_key_free(struct sign_key *k)
{
	sodium_free(k); /* wipes; NULL is fine */
}

const uint8_t *sign_key_public(const struct sign_key *k)
{
	return k->secret + 32;
}

void sign_hash(const struct sign_key *k, const uint8_t hash[32], char out[SIGN_B64])
{
	uint8_t raw[SIGN_BYTES];

	raw[FLAG_AT] = FLAG_ED25519;
	crypto_sign_detached(raw + SIG_AT, NULL, hash, 32, k->secret);
	memcpy(raw + KEY_AT, sign_key_public(k), 32);
	b64_put(out, raw, sizeof(raw));
}

void sign_label(const struct sign_key *k, const char *label, struct slice data, char out[SIGN_B64])
{
	uint8_t h[HASH_BYTES];

	hash_label(h, label, data);
	sign_hash(k, h, out);
}

/* Decodes a signature of ours.  Signatures of the other known schemes are one
 * byte longer; they get the clear error too. */
static enum err parse(struct slice text, uint8_t raw[SIGN_BYTES])
{
	uint8_t longer[OTHER_SCHEMES_BYTES];
	enum err e;

	if (text.n != SIGN_B64)
		return ERR_FORMAT;
	e = b64_decode_exact(text, raw, SIGN_BYTES);
	if (!e)
		return raw[FLAG_AT] == FLAG_ED25519 ? ERR_OK : ERR_SCHEME;
	if (b64_decode_exact(text, longer, sizeof(longer)) == ERR_OK && longer[FLAG_AT] != FLAG_ED25519)
		return ERR_SCHEME;
	return ERR_FORMAT;
}

enum err sign_verify(struct slice text, const uint8_t hash[32], const uint8_t key[32])
{
	uint8_t raw[SIGN_BYTES];
	enum err e = parse(text, raw);

	if (e)
		return e;
	if (memcmp(raw + KEY_AT, key, 32) != 0)
		return ERR_KEY;
	return crypto_sign_verify_detached(raw + SIG_AT, hash, 32, key) == 0 ? ERR_OK : ERR_SIGNATURE;
}

enum err sign_verify_label(struct slice text, const char *label, struct slice data, const uint8_t key[32])
{
	uint8_t h[HASH_BYTES];

	hash_label(h, label, data);
	return sign_verify(text, h, key);
}

enum err sign_claimed_key(struct slice text, uint8_t key[32])
{
	uint8_t raw[SIGN_BYTES];
	enum err e = parse(text, raw);

	if (!e)
		memcpy(key, raw + KEY_AT, 32);
	return e;
}

void sign_address(const uint8_t key[32], char out[67])
{
	uint8_t flagged[33], h[HASH_BYTES];

	flagged[0] = FLAG_ED25519;
	memcpy(flagged + 1, key, 32);
	hash(h, slice_of(flagged, sizeof(flagged)));
	memcpy(out, "0x", 2);
	hex_put(out + 2, h, sizeof(h));
}
