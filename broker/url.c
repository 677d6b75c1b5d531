/* SPDX-License-Identifier: Apache-2.0
 *
 * Syntax of node URLs and the configured networks (url.h).
 */
#include "broker/url.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"

#define HOST_BYTES_MAX 253

struct net {
	int family;
	uint8_t addr[16];
	unsigned bits;
};

struct networks {
	struct net *net;
	size_t n;
};

/* family and bytes of a literal; 0 when it is none. */
static int literal(struct slice host, uint8_t out[16])
{
	char text[INET6_ADDRSTRLEN];

	if (host.n == 0 || host.n >= sizeof(text))
		return 0;
	memcpy(text, host.p, host.n);
	text[host.n] = 0;
	if (inet_pton(AF_INET, text, out) == 1)
		return AF_INET;
	return inet_pton(AF_INET6, text, out) == 1 ? AF_INET6 : 0;
}

static enum err parse_net(struct slice text, struct net *out)
{
	const uint8_t *slash = memchr(text.p, '/', text.n);
	uint64_t bits;
	size_t at;

	if (!slash)
		return ERR_FORMAT;
	at = (size_t)(slash - text.p);
	out->family = literal(slice_of(text.p, at), out->addr);
	if (!out->family ||
	    slice_u64(slice_of(slash + 1, text.n - at - 1), out->family == AF_INET ? 32 : 128, &bits))
		return ERR_FORMAT;
	out->bits = (unsigned)bits;
	return ERR_OK;
}

enum err networks_new(struct networks **out, const char *list)
{
	struct networks *n = mem_new(sizeof(*n));
	size_t len;

	for (; *list; list += len) {
		list += strspn(list, " \t");
		len = strcspn(list, " \t");
		if (!len)
			continue;
		n->net = mem_grow(n->net, (n->n + 1) * sizeof(n->net[0]));
		memset(&n->net[n->n], 0, sizeof(n->net[0]));
		if (parse_net(slice_of(list, len), &n->net[n->n]) != ERR_OK) {
			networks_free(n);
			return ERR_FORMAT;
		}
		n->n++;
	}
	*out = n;
	return ERR_OK;
}

void networks_free(struct networks *n)
{
	if (!n)
		return;
	free(n->net);
	free(n);
}

static bool prefix_same(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	uint8_t mask = (uint8_t)(0xff00u >> rest);

	return memcmp(a, b, whole) == 0 && (!rest || (a[whole] & mask) == (b[whole] & mask));
}

bool networks_hold(const struct networks *n, struct slice host)
{
	uint8_t addr[16] = { 0 };
	int family = literal(host, addr);

	for (size_t i = 0; family && i < n->n; i++) {
		if (n->net[i].family == family && prefix_same(addr, n->net[i].addr, n->net[i].bits))
			return true;
	}
	return false;
}

static bool host_char(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-' || c == '.';
}

/* Takes "[v6]" or a name or v4 from the front of *rest. */
static enum err take_host(struct slice *rest, struct slice *host)
{
	uint8_t addr[16];
	size_t n = 0;

	if (rest->n && rest->p[0] == '[') {
		const uint8_t *end = memchr(rest->p, ']', rest->n);

		n = end ? (size_t)(end - rest->p) : 0;
		if (!end || literal(slice_of(rest->p + 1, n - 1), addr) != AF_INET6)
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
	if (plain && !networks_hold(n, host))
		return ERR_RANGE;
	*bare = len;
	return ERR_OK;
}
