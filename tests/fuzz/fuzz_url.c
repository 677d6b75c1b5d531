/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses that nodes announce.  What the broker takes, the worker's HTTP client reads
 * too, as the same host and scheme; plain http leads nowhere but into the networks that
 * are given, and nothing of an address can break out of a request's lines.  The first
 * byte chooses a scheme to put in front.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "broker/url.h"
#include "common/net/upstream_impl.h"

#define MUST(cond)                                                                                           \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

static const struct networks *inside(void)
{
	static struct networks *n;

	if (!n)
		MUST(networks_parse("10.0.0.0/8 127.0.0.1 fd00::/8", &n) == ERR_OK);
	return n;
}

/* By a reading of its own. */
static bool literal_inside(struct slice host)
{
	struct in6_addr v6;
	struct in_addr v4;
	char text[64];

	if (host.n >= sizeof(text))
		return false;
	memcpy(text, host.p, host.n);
	text[host.n] = 0;
	if (inet_pton(AF_INET, text, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 10 || ntohl(v4.s_addr) == INADDR_LOOPBACK;
	if (inet_pton(AF_INET6, text, &v6) != 1)
		return false;
	if (IN6_IS_ADDR_V4MAPPED(&v6))
		return v6.s6_addr[12] == 10 || memcmp(v6.s6_addr + 12, "\x7f\0\0\1", 4) == 0;
	return v6.s6_addr[0] == 0xfd;
}

static void harmless(struct slice bare)
{
	for (size_t i = 0; i < bare.n; i++)
		MUST(bare.p[i] > 32 && bare.p[i] < 127 && !strchr("@?#\\%", bare.p[i]));
}

static void check(struct slice url)
{
	struct slice bare;
	struct target t;
	size_t n, again;
	enum err e = url_check(url, inside(), &n);

	if (e != ERR_OK) {
		MUST(e == ERR_FORMAT || e == ERR_RANGE);
		return;
	}
	MUST(n == url.n || (n + 1 == url.n && url.p[n] == '/'));
	bare = slice_of(url.p, n);
	harmless(bare);
	MUST(url_check(bare, inside(), &again) == ERR_OK && again == n);
	MUST(target_parse(bare, &t) && t.port != 0);
	MUST(t.tls == (memcmp(bare.p, "https", 5) == 0));
	MUST(t.authority.p == bare.p + (t.tls ? 8 : 7) && t.authority.p + t.authority.n == bare.p + n);
	MUST(t.tls || literal_inside(t.host));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const schemes[] = { "", "http://", "https://" };
	struct buf url = { 0 };

	if (!n)
		return 0;
	buf_str(&url, schemes[data[0] % 3]);
	buf_add(&url, data + 1, n - 1);
	if (url.n)
		check(buf_slice(&url));
	buf_free(&url);
	return 0;
}
