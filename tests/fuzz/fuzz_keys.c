/* SPDX-License-Identifier: Apache-2.0
 *
 * Key files: a secret and a public one are read alike, what is read is the only
 * way to write that key, and a refusal leaves the key as it was.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif

#include <string.h>

#include "common/b64.h"
#include "common/keys.h"
#include "common/mem.h"
#include "tests/fuzz/quiet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t secret[32], public[32], untouched[32];
	char text[B64_LEN(32)];
	const char *path = quiet_begin(data, n);
	enum err a, b;

	memset(untouched, 0x5a, sizeof(untouched));
	memcpy(secret, untouched, sizeof(secret));
	memcpy(public, untouched, sizeof(public));
	a = key_load(path, secret);
	b = key_load_public(path, public);
	quiet_end();
	MUST(a == b && (a == ERR_OK || a == ERR_KEY));
	MUST(memcmp(secret, public, sizeof(secret)) == 0);
	if (a != ERR_OK) {
		MUST(memcmp(secret, untouched, sizeof(secret)) == 0);
		return 0;
	}
	b64_put(text, secret, sizeof(secret));
	MUST(n == sizeof(text) || (n == sizeof(text) + 1 && data[n - 1] == '\n'));
	MUST(memcmp(data, text, sizeof(text)) == 0);
	return 0;
}
