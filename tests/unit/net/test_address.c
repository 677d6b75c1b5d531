/* SPDX-License-Identifier: Apache-2.0
 *
 * Which addresses lie inside, with the first and last of each range and their
 * neighbours outside, and the networks an operator may allow all the same.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/net/networks.h"
#include "common/net/upstream.h"

static const struct sockaddr *parse(const char *text, struct sockaddr_storage *ss)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		ss->ss_family = AF_INET;
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
		ss->ss_family = AF_INET6;
	}
	return (const struct sockaddr *)ss;
}

static bool inward(const char *text)
{
	struct sockaddr_storage ss;

	return upstream_address_inward(parse(text, &ss));
}

static void test_inward(void **state)
{
	static const char *const in[] = {
		"0.0.0.0",
		"0.255.255.255",
		"10.0.0.0",
		"10.255.255.255",
		"100.64.0.0",
		"100.127.255.255",
		"127.0.0.1",
		"127.255.255.255",
		"169.254.0.0",
		"169.254.169.254",
		"172.16.0.0",
		"172.31.255.255",
		"192.0.0.1",
		"192.88.99.0",
		"192.88.99.255",
		"192.168.0.0",
		"192.168.255.255",
		"198.18.0.0",
		"198.19.255.255",
		"224.0.0.1",
		"239.255.255.255",
		"240.0.0.1",
		"255.255.255.255",
		"::",
		"::1",
		"::ffff:127.0.0.1",
		"::ffff:10.1.2.3",
		"::127.0.0.1",
		"::ffff:0:127.0.0.1",
		"::ffff:0:169.254.169.254",
		"100::1",
		"2001:2::1",
		"5f00::1",
		"64:ff9b::10.0.0.1",
		"64:ff9b::169.254.169.254",
		"64:ff9b:1::1",
		"2002:0a00:0001::1",
		"2002:7f00:0001::",
		"2001:0:1:2:3:4:5:6",
		"fc00::",
		"fd12:3456::1",
		"fdff::",
		"fe80::1",
		"febf::1",
		"fec0::1",
		"feff::1",
		"ff02::1",
		"ff0e::1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
		if (!inward(in[i]))
			fail_msg("%s is inward", in[i]);
	}
}

static void test_outward(void **state)
{
	static const char *const out[] = {
		"1.0.0.0",
		"9.255.255.255",
		"11.0.0.0",
		"100.63.255.255",
		"100.128.0.0",
		"126.255.255.255",
		"128.0.0.0",
		"169.253.255.255",
		"169.255.0.0",
		"172.15.255.255",
		"172.32.0.0",
		"191.255.255.255",
		"192.0.1.0",
		"192.167.255.255",
		"192.169.0.0",
		"198.17.255.255",
		"198.20.0.0",
		"223.255.255.255",
		"8.8.8.8",
		"::ffff:8.8.8.8",
		"::ffff:0:8.8.8.8",
		"192.88.98.255",
		"192.88.100.0",
		"100:0:0:1::1",
		"2001:2:1::1",
		"5f01::1",
		"64:ff9b::8.8.8.8",
		"2002:0808:0808::1",
		"2001:4860:4860::8888",
		"2001:1::1",
		"2600::",
		"fbff::1",
		"fe00::1",
		"fe7f::1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
		if (inward(out[i]))
			fail_msg("%s is not inward", out[i]);
	}
}

static void test_other_family(void **state)
{
	struct sockaddr sa = { .sa_family = AF_UNIX };

	(void)state;
	assert_true(upstream_address_inward(&sa));
}

static bool holds(const char *list, const char *addr)
{
	struct sockaddr_storage ss;
	struct networks *n = NULL;
	bool yes;

	assert_int_equal(networks_parse(list, &n), ERR_OK);
	yes = networks_hold(n, parse(addr, &ss));
	networks_free(n);
	return yes;
}

static void test_networks(void **state)
{
	(void)state;
	assert_false(holds("", "127.0.0.1"));
	assert_true(holds("127.0.0.0/8", "127.1.2.3"));
	assert_true(holds("127.0.0.0/8", "::ffff:127.1.2.3"));
	assert_false(holds("127.0.0.0/8", "128.0.0.1"));
	assert_false(holds("127.0.0.0/8", "::1"));
	assert_true(holds("10.0.0.0/8, ::1", "::1"));
	assert_false(holds("10.0.0.0/8, ::1", "::2"));
	assert_true(holds("192.168.7.9", "192.168.7.9"));
	assert_false(holds("192.168.7.9", "192.168.7.8"));
	assert_true(holds("10.1.0.0/15", "10.0.255.1"));
	assert_false(holds("10.1.0.0/15", "10.2.0.1"));
	assert_true(holds("0.0.0.0/0", "203.0.113.1"));
	assert_false(holds("0.0.0.0/0", "2600::1"));
	assert_true(holds("::/0", "2600::1"));
	assert_true(holds("fd00::/8 10.0.0.0/8", "fd01::1"));
	assert_true(holds("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(holds("2001:db8::/33", "2001:db8:8000::1"));
}

static bool allows(const char *list, const char *addr, bool tls)
{
	struct sockaddr_storage ss;
	struct networks *n = NULL;
	bool yes;

	assert_int_equal(networks_parse(list, &n), ERR_OK);
	yes = networks_allow(n, parse(addr, &ss), tls);
	networks_free(n);
	return yes;
}

static void test_where_nodes_may_be(void **state)
{
	(void)state;
	assert_true(allows("", "8.8.8.8", true));
	assert_false(allows("", "8.8.8.8", false)); /* in the clear over networks that are not ours */
	assert_false(allows("10.0.0.0/8", "8.8.8.8", false));
	assert_true(allows("8.8.8.0/24", "8.8.8.8", false));
	assert_false(allows("", "10.0.0.1", true));
	assert_true(allows("10.0.0.0/8", "10.0.0.1", true));
	assert_true(allows("10.0.0.0/8", "10.0.0.1", false));
	assert_true(allows("10.0.0.0/8", "::ffff:10.0.0.1", false));
	assert_false(allows("10.0.0.0/8", "64:ff9b::10.0.0.1",
			    true)); /* through a gateway to who knows whose 10/8 */
	assert_true(allows("64:ff9b::/96", "64:ff9b::10.0.0.1", true));
	assert_false(allows("10.0.0.0/8", "2002:0a00:0001::1", true));
	assert_false(allows("0.0.0.0/0", "fd00::1", true));
}

static void test_networks_refused(void **state)
{
	static const char *const bad[] = {
		"x",
		"10.0.0.0/33",
		"10.0.0.0/",
		"10.0.0.0/-1",
		"10.0.0.0/08",
		"10.0.0/8",
		"::/129",
		"::/",
		"10.0.0.0/8;::1",
		"localhost",
		"10.0.0.0/8 x",
		"/8",
		"1111111111111111111111111111111111111111111111111111111111111111111111111",
	};
	struct networks *n = NULL;
	struct buf many = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (networks_parse(bad[i], &n) != ERR_CONFIG)
			fail_msg("\"%s\" must be refused", bad[i]);
		assert_null(n);
	}
	for (int i = 0; i < 65; i++)
		buf_str(&many, "10.0.0.0/8 ");
	buf_add(&many, "", 1);
	assert_int_equal(networks_parse((char *)many.p, &n), ERR_CONFIG);
	buf_free(&many);
	networks_free(NULL);
}

static void test_networks_other_family(void **state)
{
	struct sockaddr sa = { .sa_family = AF_UNIX };
	struct networks *n = NULL;

	(void)state;
	assert_int_equal(networks_parse("::/0 0.0.0.0/0", &n), ERR_OK);
	assert_false(networks_hold(n, &sa));
	networks_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inward),
		cmocka_unit_test(test_outward),
		cmocka_unit_test(test_other_family),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_where_nodes_may_be),
		cmocka_unit_test(test_networks_refused),
		cmocka_unit_test(test_networks_other_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
