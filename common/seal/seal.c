/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing between client and node (PROTOCOL sections 4.1-4.6): X25519, then
 * HKDF-SHA256, then AES-256-GCM.  libsodium does the curve and the HMACs,
 * OpenSSL the cipher (fetched once; one context per thread, reset after every
 * use so that no key schedule stays behind).
 *
 * Invariants: an all-zero shared secret and a key with the top bit set are
 * refused; plaintext is given out only when the tag has verified; a response
 * never has one nonce twice.
 */
#include "common/seal/seal.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "common/sodium_start.h"

#define GCM_STEP ((size_t)1 << 30) /* EVP counts in int */

/* X25519 */

void seal_keypair(uint8_t pub[SEAL_KEY], uint8_t secret[SEAL_KEY])
{
	randombytes_buf(secret, SEAL_KEY);
	seal_public(secret, pub);
}

void seal_public(const uint8_t secret[SEAL_KEY], uint8_t pub[SEAL_KEY])
{
	BUG_ON(crypto_scalarmult_base(pub, secret) != 0);
}

/* RFC 5869, 2.2, with SHA-256: PRK = HMAC(salt, ikm). */
static void hkdf_extract(uint8_t prk[SEAL_KEY], struct slice salt, struct slice ikm)
{
	crypto_auth_hmacsha256_state st;

	crypto_auth_hmacsha256_init(&st, salt.p, salt.n);
	crypto_auth_hmacsha256_update(&st, ikm.p, ikm.n);
	crypto_auth_hmacsha256_final(&st, prk);
	mem_wipe(&st, sizeof(st));
}

/* RFC 5869, 2.3, with an empty info and one block: T(1) = HMAC(PRK, 0x01). */
static void hkdf_expand(uint8_t key[SEAL_KEY], const uint8_t prk[SEAL_KEY])
{
	static const uint8_t one = 1;

	hkdf_extract(key, slice_of(prk, SEAL_KEY), slice_of(&one, 1));
}

/* X25519 of the peer's key; ERR_KEY when that key is not canonical or the
 * result is all zero (RFC 7748, 6.1). */
static enum err agree(uint8_t shared[SEAL_KEY], const uint8_t secret[SEAL_KEY], const uint8_t peer[SEAL_KEY])
{
	if (peer[SEAL_KEY - 1] & 0x80)
		return ERR_KEY;
	return crypto_scalarmult(shared, secret, peer) == 0 ? ERR_OK : ERR_KEY;
}

enum err seal_derive(const uint8_t secret[SEAL_KEY], const uint8_t peer[SEAL_KEY],
		     const uint8_t salt[SEAL_SALT], uint8_t key[SEAL_KEY])
{
	uint8_t shared[SEAL_KEY], prk[SEAL_KEY];
	enum err e = agree(shared, secret, peer);

	if (!e) {
		hkdf_extract(prk, slice_of(salt, SEAL_SALT), slice_of(shared, sizeof(shared)));
		hkdf_expand(key, prk);
	}
	mem_wipe(shared, sizeof(shared));
	mem_wipe(prk, sizeof(prk));
	return e;
}

/* AES-256-GCM */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_ctx;
static EVP_CIPHER *cipher;

static void free_ctx(void *ctx)
{
	EVP_CIPHER_CTX_free(ctx);
}

static void start_cipher(void)
{
	cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	BUG_ON(!cipher || pthread_key_create(&thread_ctx, free_ctx) != 0);
}

/* This thread's context, set to the key and nonce. */
static EVP_CIPHER_CTX *begin(const uint8_t *key, const uint8_t *nonce, int encrypting)
{
	EVP_CIPHER_CTX *c;

	pthread_once(&once, start_cipher);
	c = pthread_getspecific(thread_ctx);
	if (!c) {
		c = EVP_CIPHER_CTX_new();
		BUG_ON(!c || pthread_setspecific(thread_ctx, c) != 0);
	}
	BUG_ON(EVP_CipherInit_ex2(c, cipher, key, nonce, encrypting, NULL) != 1);
	return c;
}

static void run(EVP_CIPHER_CTX *c, const uint8_t *in, size_t n, uint8_t *out)
{
	while (n) {
		size_t step = n < GCM_STEP ? n : GCM_STEP;
		int done = 0;

		BUG_ON(EVP_CipherUpdate(c, out, &done, in, (int)step) != 1 || (size_t)done != step);
		in += step;
		out += step;
		n -= step;
	}
}

void seal_encrypt(const uint8_t key[SEAL_KEY], const uint8_t nonce[SEAL_NONCE], struct slice plain,
		  struct buf *out)
{
	EVP_CIPHER_CTX *c = begin(key, nonce, 1);
	uint8_t *o;
	int none;

	BUG_ON(plain.n > SIZE_MAX / 4);
	buf_reserve(out, plain.n + SEAL_TAG);
	o = out->p + out->n;
	run(c, plain.p, plain.n, o);
	BUG_ON(EVP_CipherFinal_ex(c, o + plain.n, &none) != 1);
	BUG_ON(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG, o + plain.n) != 1);
	EVP_CIPHER_CTX_reset(c);
	out->n += plain.n + SEAL_TAG;
}

enum err seal_decrypt(const uint8_t key[SEAL_KEY], const uint8_t nonce[SEAL_NONCE], struct slice cipher_text,
		      struct buf *out)
{
	uint8_t tag[SEAL_TAG], *o;
	EVP_CIPHER_CTX *c;
	int good, none;
	size_t n;

	if (cipher_text.n < SEAL_TAG)
		return ERR_CRYPTO;
	n = cipher_text.n - SEAL_TAG;
	memcpy(tag, cipher_text.p + n, SEAL_TAG);
	buf_reserve(out, n + SEAL_TAG);
	o = out->p + out->n;
	c = begin(key, nonce, 0);
	run(c, cipher_text.p, n, o);
	BUG_ON(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG, tag) != 1);
	good = EVP_CipherFinal_ex(c, o + n, &none) == 1;
	EVP_CIPHER_CTX_reset(c);
	if (!good) {
		mem_wipe(o, n); /* nobody may see what was not authenticated */
		return ERR_CRYPTO;
	}
	out->n += n;
	return ERR_OK;
}

void seal_pad(struct buf *json)
{
	size_t want = (SEAL_PAD - json->n % SEAL_PAD) % SEAL_PAD;

	if (!want)
		return;
	buf_reserve(json, want);
	memset(json->p + json->n, ' ', want);
	json->n += want;
}

/* Nonces: prefix (7) | counter (4) | final flag (1) */

#define COUNTER_AT 7
#define FLAG_AT 11
#define REQUEST_FLAG_MIN 2 /* 0 and 1 belong to responses */

void seal_nonces_init(struct seal_nonces *s)
{
	*s = (struct seal_nonces){ .next = 0 };
	randombytes_buf(s->prefix, sizeof(s->prefix));
}

enum err seal_nonces_next(struct seal_nonces *s, bool final, uint8_t nonce[SEAL_NONCE])
{
	if (s->ended || s->next == UINT32_MAX)
		return ERR_LIMIT;
	memcpy(nonce, s->prefix, sizeof(s->prefix));
	put_be32(nonce + COUNTER_AT, s->next);
	nonce[FLAG_AT] = final;
	s->next++;
	s->ended = final;
	return ERR_OK;
}

/* Why nonce is not the next one, or NULL when it is. */
static const char *disorder(const struct seal_order *o, const uint8_t *nonce, const uint8_t *sent)
{
	uint32_t counter = get_be32(nonce + COUNTER_AT);

	if (memcmp(nonce, sent, SEAL_NONCE) == 0)
		return "the request's own nonce came back";
	if (nonce[FLAG_AT] >= REQUEST_FLAG_MIN || counter == UINT32_MAX)
		return "not a nonce of ours";
	if (o->begun && memcmp(nonce, o->prefix, sizeof(o->prefix)) != 0)
		return "not a nonce of ours";
	if (o->ended)
		return "a chunk came after the final one";
	if (counter < o->next)
		return "a chunk came twice";
	return counter > o->next ? "a chunk is missing" : NULL;
}

enum err seal_order_next(struct seal_order *o, const uint8_t nonce[SEAL_NONCE],
			 const uint8_t sent[SEAL_NONCE], const char **what)
{
	const char *why = disorder(o, nonce, sent);

	if (why) {
		*what = why;
		return ERR_FORMAT;
	}
	memcpy(o->prefix, nonce, sizeof(o->prefix));
	o->begun = true;
	o->next++;
	o->ended = nonce[FLAG_AT];
	return ERR_OK;
}

void seal_request_nonce(uint8_t nonce[SEAL_NONCE])
{
	randombytes_buf(nonce, SEAL_NONCE - 1);
	nonce[FLAG_AT] = (uint8_t)(REQUEST_FLAG_MIN + randombytes_uniform(256 - REQUEST_FLAG_MIN));
}
