/* SPDX-License-Identifier: Apache-2.0
 *
 * Node URLs: what passes, and what is refused before anybody connects.
 */
#include "tests/unit/broker/test.h"

#include <string.h>

#include "broker/url.h"

static enum err check_slice(struct slice url, const char *nets)
{
	struct networks *n;
	size_t bare;
	enum err e;

	assert_int_equal(networks_parse(nets, &n), ERR_OK);
	e = url_check(url, n, &bare);
	if (e == ERR_OK)
		assert_true(bare <= url.n && url.p[bare - 1] != '/');
	networks_free(n);
	return e;
}

static enum err check(const char *url, const char *nets)
{
	return check_slice(slice_str(url), nets);
}

static void good(void **state)
{
	(void)state;
	assert_int_equal(check("https://node.example.com", ""), ERR_OK);
	assert_int_equal(check("https://node.example.com/", ""), ERR_OK);
	assert_int_equal(check("https://node.example.com:8443", ""), ERR_OK);
	assert_int_equal(check("https://203.0.113.9:1", ""), ERR_OK);
	assert_int_equal(check("https://[2001:db8::1]:65535", ""), ERR_OK);
	assert_int_equal(check("http://127.0.0.1:9000", "127.0.0.0/8"), ERR_OK);
	assert_int_equal(check("http://[fd00::7]:9000", "10.0.0.0/8 fd00::/8"), ERR_OK);
}

static void bad(void **state)
{
	static const char *const urls[] = {
		"",
		"https://",
		"https:///",
		"http://",
		"ftp://node.example.com",
		"HTTPS://node.example.com",
		"//node.example.com",
		"https://user@node.example.com",
		"https://user:pw@node.example.com",
		"https://node.example.com?x=1",
		"https://node.example.com/?x",
		"https://node.example.com#f",
		"https://node.example.com/path",
		"https://node.example.com//",
		"https://node.example.com:",
		"https://node.example.com:0",
		"https://node.example.com:65536",
		"https://node.example.com:08",
		"https://node.example.com:-1",
		"https://node.example.com:80x",
		"https://node.example.com\\@evil",
		"https://node example.com",
		"https://node.example.com\n",
		"https://-node.example.com",
		"https://.example.com",
		"https://[::1",
		"https://[node]",
		"https://[127.0.0.1]",
		"https://[fe80::1%25eth0]",
		"https://n\xc3\xb6-de.example",
	};
	char longest[700];

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
		assert_int_equal(check(urls[i], "0.0.0.0/0 ::/0"), ERR_FORMAT);
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "https://", 8);
	longest[699] = 0;
	assert_int_equal(check(longest, ""), ERR_FORMAT);
}

static void plain_http_only_inside(void **state)
{
	(void)state;
	assert_int_equal(check("http://127.0.0.1:9000", ""), ERR_RANGE);
	assert_int_equal(check("http://126.255.255.255:9000", "127.0.0.0/8"), ERR_RANGE);
	assert_int_equal(check("http://128.0.0.0:9000", "127.0.0.0/8"), ERR_RANGE);
	assert_int_equal(check("http://10.1.2.128", "10.1.2.0/25"), ERR_RANGE);
	assert_int_equal(check("http://10.1.2.127", "10.1.2.0/25"), ERR_OK);
	assert_int_equal(check("http://node.example.com", "0.0.0.0/0 ::/0"),
			 ERR_RANGE);                                            /* a name proves nothing */
	assert_int_equal(check("http://2130706433", "127.0.0.0/8"), ERR_RANGE); /* nor do odd spellings */
	assert_int_equal(check("http://0x7f.0.0.1", "127.0.0.0/8"), ERR_RANGE);
	assert_int_equal(check("http://[::ffff:127.0.0.1]", "127.0.0.0/8"), ERR_OK); /* the same address */
	assert_int_equal(check("http://[::ffff:128.0.0.1]", "127.0.0.0/8"), ERR_RANGE);
}

/* No text of ours has one, and what reads texts up to it must not pass what is behind. */
static void a_nul(void **state)
{
	static const struct slice url = SLICE_STR("https://[2001:db8::1\0\r\nX]:443");

	(void)state;
	assert_int_equal(check_slice(url, ""), ERR_FORMAT);
}

/* With TLS, too: the worker would never connect, and nobody would say so to who gave the address. */
static void inward_addresses_only_inside(void **state)
{
	(void)state;
	assert_int_equal(check("https://10.1.2.3", ""), ERR_RANGE);
	assert_int_equal(check("https://10.1.2.3:8443", "10.1.0.0/16"), ERR_OK);
	assert_int_equal(check("https://127.0.0.1", "10.1.0.0/16"), ERR_RANGE);
	assert_int_equal(check("https://169.254.169.254", ""), ERR_RANGE);
	assert_int_equal(check("https://[::1]", ""), ERR_RANGE);
	assert_int_equal(check("https://[fd00::7]", ""), ERR_RANGE);
	assert_int_equal(check("https://[fd00::7]", "fd00::/8"), ERR_OK);
	assert_int_equal(check("https://[::ffff:10.1.2.3]", ""), ERR_RANGE);
	assert_int_equal(check("https://[64:ff9b::a01:203]", ""), ERR_RANGE);
	assert_int_equal(check("https://localhost", ""), ERR_OK); /* a name: judged when it is connected to */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(bad),
		cmocka_unit_test(plain_http_only_inside),
		cmocka_unit_test(a_nul),
		cmocka_unit_test(inward_addresses_only_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
