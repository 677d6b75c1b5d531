/* SPDX-License-Identifier: Apache-2.0
 *
 * Embeddings of the echo engine: every word adds +1 or -1 to each dimension by
 * the bits of its hash, then the sum is scaled to length 1.  Deterministic, and
 * texts with common words are similar, so that a search over it makes sense.
 */
#include "node/echo.h"

#include <math.h>
#include <stdint.h>

#include "node/prompt.h"

/* FNV-1a, stirred so that every bit depends on every byte. */
static uint64_t word_hash(struct slice word)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < word.n; i++)
		h = (h ^ word.p[i]) * UINT64_C(0x100000001b3);
	h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
	return h ^ h >> 31;
}

static void add_word(double sum[ECHO_DIMENSIONS], uint64_t h)
{
	for (unsigned i = 0; i < ECHO_DIMENSIONS; i++)
		sum[i] += h >> i & 1 ? 1 : -1;
}

json_t *echo_vector(struct slice text)
{
	double sum[ECHO_DIMENSIONS] = { 0 }, square = 0;
	json_t *a = json_array();
	struct slice word;

	for (size_t pos = 0; words_next(text, &pos, &word);)
		add_word(sum, word_hash(word));
	for (unsigned i = 0; i < ECHO_DIMENSIONS; i++)
		square += sum[i] * sum[i];
	if (square == 0) { /* no words, or words that cancel out */
		sum[0] = 1;
		square = 1;
	}
	for (unsigned i = 0; i < ECHO_DIMENSIONS; i++)
		json_array_append_new(a, json_real(sum[i] / sqrt(square)));
	return a;
}
