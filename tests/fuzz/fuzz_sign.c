/* SPDX-License-Identifier: Apache-2.0
 *
 * Signatures as text.  The input is tried as it is, and as changes to a good
 * signature (so that the fuzzer gets past base64): only the good one itself
 * may verify, and the key read from a text is the one that stands in it.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/sign.h"

#define MUST(cond)                                                                                           \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

static const uint8_t hash_signed[32] = "thirty-two bytes that are signed";
static char good[SIGN_B64];
static uint8_t key[32];

static void start(void)
{
	static const uint8_t seed[32] = "seed of a key for fuzzing only..";
	struct sign_key *k = sign_key_new(seed);

	sign_hash(k, hash_signed, good);
	memcpy(key, sign_key_public(k), sizeof(key));
	sign_key_free(k);
}

static void judge(struct slice text)
{
	enum err e = sign_verify(text, hash_signed, key), claim;
	uint8_t raw[SIGN_BYTES], claimed[32];

	MUST((e == ERR_OK) == slice_eq(text, slice_of(good, SIGN_B64)));
	claim = sign_claimed_key(text, claimed);
	MUST((e == ERR_FORMAT || e == ERR_SCHEME) == (claim != ERR_OK));
	MUST(claim == ERR_OK || claim == e);
	if (claim)
		return;
	MUST(b64_decode_exact(text, raw, sizeof(raw)) == ERR_OK && raw[0] == 0);
	MUST(memcmp(claimed, raw + 65, 32) == 0);
	MUST((e == ERR_KEY) == (memcmp(claimed, key, 32) != 0));
}

/* The good signature with the input laid over its bytes. */
static void judge_changed(const uint8_t *data, size_t n)
{
	uint8_t raw[SIGN_BYTES];
	char text[SIGN_B64];

	MUST(b64_decode_exact(slice_of(good, SIGN_B64), raw, sizeof(raw)) == ERR_OK);
	for (size_t i = 0; i < n && i < sizeof(raw); i++)
		raw[i] ^= data[i];
	b64_put(text, raw, sizeof(raw));
	judge(slice_of(text, sizeof(text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (!good[0])
		start();
	judge(slice_of(data, n));
	judge_changed(data, n);
	return 0;
}
