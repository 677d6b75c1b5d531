/* SPDX-License-Identifier: Apache-2.0
 *
 * Which addresses lie inside: a node's registered address must not make a
 * worker post to services of the operator's own network (server-side request
 * forgery).  Judged on the resolved address at each connect, so that a name
 * that changes its mind gains nothing.  Ranges by the IANA special-purpose
 * registries (RFC 6890); what is not a known family counts as inside.
 */
#include "common/net/upstream.h"

#include <netinet/in.h>
#include <string.h>

struct range4 {
	uint32_t net;
	unsigned bits;
};

static const struct range4 inward4[] = {
	{ 0x00000000, 8 },  /* this network, unspecified */
	{ 0x0a000000, 8 },  /* private */
	{ 0x64400000, 10 }, /* carrier-grade NAT */
	{ 0x7f000000, 8 },  /* loopback */
	{ 0xa9fe0000, 16 }, /* link-local, cloud metadata */
	{ 0xac100000, 12 }, /* private */
	{ 0xc0000000, 24 }, /* protocol assignments */
	{ 0xc0586300, 24 }, /* 6to4 relays */
	{ 0xc0a80000, 16 }, /* private */
	{ 0xc6120000, 15 }, /* benchmarks */
	{ 0xe0000000, 4 },  /* multicast */
	{ 0xf0000000, 4 },  /* reserved, broadcast */
};

static bool is_inward4(uint32_t a)
{
	for (size_t i = 0; i < sizeof(inward4) / sizeof(inward4[0]); i++) {
		if ((a ^ inward4[i].net) >> (32 - inward4[i].bits) == 0)
			return true;
	}
	return false;
}

struct range6 {
	uint8_t prefix[12];
	unsigned bits;
	int v4_at; /* judge the IPv4 address at this byte; -1: inward as a whole */
};

/* Order matters where one range lies in another: the first that fits decides. */
static const struct range6 ranges6[] = {
	{ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 96, 12 }, /* v4-mapped */
	{ { 0 }, 96, 12 },                                        /* v4-compatible, :: and ::1 */
	{ { 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 96, 12 },       /* v4-translated (RFC 2765) */
	{ { 0, 0x64, 0xff, 0x9b }, 96, 12 },                      /* NAT64 */
	{ { 0, 0x64, 0xff, 0x9b, 0, 1 }, 48, -1 },                /* NAT64, local use */
	{ { 0x20, 0x02 }, 16, 2 },                                /* 6to4 */
	{ { 0x20, 0x01, 0, 0 }, 32, -1 },                         /* Teredo */
	{ { 0x20, 0x01, 0, 0x02, 0, 0 }, 48, -1 },                /* benchmarks */
	{ { 0x01 }, 64, -1 },                                     /* discarded */
	{ { 0x5f }, 16, -1 },                                     /* segment routing inside a network */
	{ { 0xfc }, 7, -1 },                                      /* unique-local */
	{ { 0xfe, 0x80 }, 10, -1 },                               /* link-local */
	{ { 0xfe, 0xc0 }, 10, -1 },                               /* site-local */
	{ { 0xff }, 8, -1 },                                      /* multicast */
};

static bool fits6(const uint8_t a[16], const struct range6 *r)
{
	unsigned whole = r->bits / 8, rest = r->bits % 8;

	if (memcmp(a, r->prefix, whole) != 0)
		return false;
	return rest == 0 || (a[whole] ^ r->prefix[whole]) >> (8 - rest) == 0;
}

static bool is_inward6(const uint8_t a[16])
{
	for (size_t i = 0; i < sizeof(ranges6) / sizeof(ranges6[0]); i++) {
		if (fits6(a, &ranges6[i]))
			return ranges6[i].v4_at < 0 || is_inward4(get_be32(a + ranges6[i].v4_at));
	}
	return false;
}

bool upstream_address_inward(const struct sockaddr *sa)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		return is_inward4(ntohl(in.sin_addr.s_addr));
	}
	if (sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		return is_inward6(in6.sin6_addr.s6_addr);
	}
	return true;
}
