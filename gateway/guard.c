/* SPDX-License-Identifier: Apache-2.0
 *
 * Request heads, checked without copying: the token is hashed where it lies,
 * and only its hash goes any further.
 */
#include "gateway/guard.h"

#include <string.h>

#include "common/hash.h"

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* s begins with word (lower case), in any case. */
static bool begins(struct slice s, const char *word)
{
	size_t n = strlen(word);

	if (s.n < n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (lower(s.p[i]) != (uint8_t)word[i])
			return false;
	return true;
}

static struct slice skip(struct slice s, size_t n)
{
	return slice_of(s.p + n, s.n - n);
}

static bool token68(struct slice s)
{
	size_t i = 0;

	if (!s.n || s.n > GUARD_TOKEN_MAX)
		return false;
	for (; i < s.n; i++) {
		uint8_t c = lower(s.p[i]);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-._~+/", c))))
			break;
	}
	if (i == 0)
		return false;
	while (i < s.n && s.p[i] == '=')
		i++;
	return i == s.n;
}

enum err guard_bearer(struct slice value, unsigned count, uint8_t token_hash[32])
{
	if (count != 1 || !begins(value, "bearer "))
		return ERR_AUTH;
	value = skip(value, strlen("bearer "));
	while (value.n && value.p[0] == ' ')
		value = skip(value, 1);
	while (value.n && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t'))
		value.n--;
	if (!token68(value))
		return ERR_AUTH;
	hash(token_hash, value);
	return ERR_OK;
}

enum err guard_media(struct slice value, unsigned count)
{
	static const char json[] = "application/json";

	if (count != 1 || !begins(value, json))
		return ERR_MEDIA;
	value = skip(value, sizeof(json) - 1);
	while (value.n && (value.p[0] == ' ' || value.p[0] == '\t'))
		value = skip(value, 1);
	return value.n == 0 || value.p[0] == ';' ? ERR_OK : ERR_MEDIA;
}

bool guard_shown(struct slice value, unsigned count)
{
	if (count != 1 || !value.n || value.n > GUARD_SHOWN_MAX)
		return false;
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] <= 0x20 || value.p[i] >= 0x7f)
			return false;
	return true;
}
