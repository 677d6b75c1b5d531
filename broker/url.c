/* SPDX-License-Identifier: Apache-2.0
 *
 * Syntax of node URLs (url.h).
 */
#include "broker/url.h"

#include <arpa/inet.h>
#include <string.h>

#include "proto/limits.h"

#define HOST_BYTES_MAX 253

/* The address that host spells out; false when it is a name. */
static bool literal(struct slice host, struct sockaddr_storage *out)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	char text[INET6_ADDRSTRLEN];

	if (host.n == 0 || host.n >= sizeof(text) || memchr(host.p, 0, host.n))
		return false;
	memcpy(text, host.p, host.n);
	text[host.n] = 0;
	if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
		memcpy(out, &in, sizeof(in));
	else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
		memcpy(out, &in6, sizeof(in6));
	else
		return false;
	return true;
}

/* What a name resolves to is the worker's to judge, at every connect; it may only be one with TLS. */
static bool allowed(const struct networks *n, struct slice host, bool tls)
{
	struct sockaddr_storage addr;

	return literal(host, &addr) ? networks_allow(n, (const struct sockaddr *)&addr, tls) : tls;
}

static bool host_char(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-' || c == '.';
}

/* Takes "[v6]" or a name or v4 from the front of *rest. */
static enum err take_host(struct slice *rest, struct slice *host)
{
	struct sockaddr_storage addr;
	size_t n = 0;

	if (rest->n && rest->p[0] == '[') {
		const uint8_t *end = memchr(rest->p, ']', rest->n);

		n = end ? (size_t)(end - rest->p) : 0;
		if (!end || !literal(slice_of(rest->p + 1, n - 1), &addr) || addr.ss_family != AF_INET6)
			return ERR_FORMAT;
		*host = slice_of(rest->p + 1, n - 1);
		*rest = slice_of(rest->p + n + 1, rest->n - n - 1);
		return ERR_OK;
	}
	while (n < rest->n && host_char(rest->p[n]))
		n++;
	if (n == 0 || n > HOST_BYTES_MAX || rest->p[0] == '.' || rest->p[0] == '-')
		return ERR_FORMAT;
	*host = slice_of(rest->p, n);
	*rest = slice_of(rest->p + n, rest->n - n);
	return ERR_OK;
}

enum err url_check(struct slice url, const struct networks *n, size_t *bare)
{
	bool tls = url.n > 8 && memcmp(url.p, "https://", 8) == 0;
	bool plain = url.n > 7 && memcmp(url.p, "http://", 7) == 0;
	size_t skip = tls ? 8 : 7, len = url.n;
	struct slice rest, host;
	uint64_t port;

	if (url.n > URL_BYTES_MAX || (!tls && !plain))
		return ERR_FORMAT;
	if (url.p[len - 1] == '/')
		len--;
	if (len <= skip)
		return ERR_FORMAT;
	rest = slice_of(url.p + skip, len - skip);
	if (take_host(&rest, &host) != ERR_OK)
		return ERR_FORMAT;
	if (rest.n && (rest.p[0] != ':' ||
		       slice_u64(slice_of(rest.p + 1, rest.n - 1), 65535, &port) != ERR_OK || !port))
		return ERR_FORMAT;
	if (!allowed(n, host, tls))
		return ERR_RANGE;
	*bare = len;
	return ERR_OK;
}
