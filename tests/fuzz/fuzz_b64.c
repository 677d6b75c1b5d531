/* SPDX-License-Identifier: Apache-2.0
 *
 * Base64: any text is judged as libsodium judges it (whose version 1.0.18
 * takes bytes over 127 for digits: those are judged here), what was decoded
 * encodes to the same text, and any bytes survive a round trip.
 */
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"

#define MUST(cond)                                                                                           \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

static bool oracle(struct slice text, uint8_t *out, size_t *len)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] > 127)
			return false;
	return sodium_base642bin(out, text.n + 1, (const char *)text.p, text.n, NULL, len, NULL,
				 sodium_base64_VARIANT_ORIGINAL) == 0;
}

static void decode(struct slice text)
{
	uint8_t *want = malloc(text.n + 1), *got = malloc(text.n + 1);
	struct buf out = { 0 }, again = { 0 };
	size_t n = 0, len = 0;

	if (!oracle(text, want, &len)) {
		MUST(b64_check(text, &n) == ERR_FORMAT);
		MUST(b64_decode(text, SIZE_MAX, &out) == ERR_FORMAT && out.n == 0);
		MUST(b64_decode_exact(text, got, text.n / 4 * 3) == ERR_FORMAT);
	} else {
		MUST(b64_check(text, &n) == ERR_OK && n == len);
		MUST(b64_decode(text, len, &out) == ERR_OK);
		MUST(slice_eq(buf_slice(&out), slice_of(want, len)));
		MUST(b64_decode_exact(text, got, len) == ERR_OK &&
		     slice_eq(slice_of(got, len), buf_slice(&out)));
		MUST(len == 0 || b64_decode(text, len - 1, &out) == ERR_LIMIT);
		b64_encode(&again, buf_slice(&out));
		MUST(slice_eq(buf_slice(&again), text));
	}
	free(want);
	free(got);
	buf_free(&out);
	buf_free(&again);
}

static void round_trip(struct slice raw)
{
	struct buf text = { 0 }, back = { 0 };
	char *hex = malloc(2 * raw.n + 1);
	uint8_t *bytes = malloc(raw.n + 1);

	b64_encode(&text, raw);
	MUST(text.n == B64_LEN(raw.n));
	MUST(b64_decode(buf_slice(&text), raw.n, &back) == ERR_OK);
	MUST(slice_eq(buf_slice(&back), raw));
	hex_put(hex, raw.p, raw.n);
	MUST(hex_decode_exact(slice_of(hex, 2 * raw.n), bytes, raw.n) == ERR_OK);
	MUST(slice_eq(slice_of(bytes, raw.n), raw));
	free(hex);
	free(bytes);
	buf_free(&text);
	buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t bytes[16];

	decode(slice_of(data, n));
	round_trip(slice_of(data, n));
	if (hex_decode_exact(slice_of(data, n), bytes, 16) == ERR_OK) {
		char hex[33];

		hex_put(hex, bytes, 16);
		MUST(slice_eq(slice_of(hex, 32), slice_of(data, n)));
	}
	return 0;
}
