/* SPDX-License-Identifier: Apache-2.0
 *
 * Networks in CIDR form (networks.h).  Everything is kept as IPv6, IPv4 in its
 * mapped form, so that one comparison serves both.
 */
#include "common/net/networks.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/net/upstream.h"

#define NETWORKS_MAX 64
#define NETWORK_TEXT_MAX 64

struct network {
	uint8_t addr[16];
	unsigned bits;
};

struct networks {
	size_t n;
	struct network net[NETWORKS_MAX];
};

static void map_v4(uint8_t out[16], const void *v4)
{
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, v4, 4);
}

static enum err parse_one(const char *text, struct network *out)
{
	char addr[NETWORK_TEXT_MAX];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	struct in_addr v4;
	bool is_v4;
	uint64_t bits;

	if (n >= sizeof(addr))
		return ERR_CONFIG;
	memcpy(addr, text, n);
	addr[n] = '\0';
	is_v4 = inet_pton(AF_INET, addr, &v4) == 1;
	if (is_v4)
		map_v4(out->addr, &v4);
	else if (inet_pton(AF_INET6, addr, out->addr) != 1)
		return ERR_CONFIG;
	bits = is_v4 ? 32 : 128;
	if (slash && slice_u64(slice_str(slash + 1), bits, &bits))
		return ERR_CONFIG;
	out->bits = (unsigned)bits + (is_v4 ? 96 : 0);
	return ERR_OK;
}

static enum err parse_all(char *text, struct networks *n)
{
	char *save = NULL;

	for (char *t = strtok_r(text, " ,\t", &save); t; t = strtok_r(NULL, " ,\t", &save)) {
		if (n->n == NETWORKS_MAX || parse_one(t, &n->net[n->n]))
			return ERR_CONFIG;
		n->n++;
	}
	return ERR_OK;
}

enum err networks_parse(const char *text, struct networks **out)
{
	struct networks *n = mem_new(sizeof(*n));
	char *copy = mem_strndup(text, strlen(text));
	enum err e = parse_all(copy, n);

	free(copy);
	if (e)
		networks_free(n);
	else
		*out = n;
	return e;
}

void networks_free(struct networks *n)
{
	free(n);
}

static bool fits(const uint8_t a[16], const struct network *n)
{
	unsigned whole = n->bits / 8, rest = n->bits % 8;

	if (memcmp(a, n->addr, whole) != 0)
		return false;
	return rest == 0 || (a[whole] ^ n->addr[whole]) >> (8 - rest) == 0;
}

bool networks_hold(const struct networks *n, const struct sockaddr *sa)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	uint8_t a[16];

	if (sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		map_v4(a, &in.sin_addr);
	} else if (sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		memcpy(a, &in6.sin6_addr, 16);
	} else {
		return false;
	}
	for (size_t i = 0; i < n->n; i++) {
		if (fits(a, &n->net[i]))
			return true;
	}
	return false;
}

bool networks_allow(const struct networks *n, const struct sockaddr *sa, bool tls)
{
	return networks_hold(n, sa) || (tls && !upstream_address_inward(sa));
}
