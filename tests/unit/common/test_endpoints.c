/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings that are endpoints, or lists of them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/endpoints.h"
#include "common/mem.h"

#define TCP "tcp://127.0.0.1:1"

/* Writes the names down, and ends the walk at "stop". */
static enum err note(void *arg, const char *endpoint)
{
	buf_fmt(arg, "<%s>", endpoint);
	return strcmp(endpoint, "stop") == 0 ? ERR_AGAIN : ERR_OK;
}

static void walk(const char *list, enum err e, const char *seen)
{
	struct buf b = { .p = NULL };

	assert_int_equal(endpoints_each(list, note, &b), e);
	buf_add(&b, "", 1);
	assert_string_equal((char *)b.p, seen);
	buf_free(&b);
}

static void each_in_order(void **state)
{
	(void)state;
	walk("", ERR_OK, "");
	walk("  ", ERR_OK, "");
	walk("a", ERR_OK, "<a>");
	walk("  a b   c ", ERR_OK, "<a><b><c>");
}

static void names_and_addresses(void **state)
{
	(void)state;
	assert_false(endpoints_named(""));
	assert_false(endpoints_named("ipc:///run/sealway/bus"));
	assert_false(endpoints_named("tcp://10.0.0.1:5570 tcp://[2001:db8::1]:5570"));
	assert_true(endpoints_named("tcp://10.0.0.1:5570 tcp://broker:5570"));
	assert_true(endpoints_named("tcp://localhost:5570"));
	assert_true(endpoints_named("tcp://10.example:5570"));
}

static void until_one_fails(void **state)
{
	(void)state;
	walk("a stop b", ERR_AGAIN, "<a><stop>");
}

static enum err check(const char *list, unsigned most, bool curve, bool insecure)
{
	return endpoints_check("brokers", list, most, curve, insecure);
}

static void lists(void **state)
{
	(void)state;
	assert_int_equal(check("ipc:///a", 1, false, false), ERR_OK);
	assert_int_equal(check(" ipc:///a  ipc:///b ", 2, false, false), ERR_OK);
	assert_int_equal(check("ipc:///a ipc:///b " TCP, UINT_MAX, true, false), ERR_OK);
	assert_int_equal(check("", 1, true, false), ERR_CONFIG);
	assert_int_equal(check("  ", 1, true, false), ERR_CONFIG);
	assert_int_equal(check("ipc:///a ipc:///b ipc:///c", 2, false, false), ERR_CONFIG);
}

/* Wherever in the list the bad one is. */
static void one_bad_endpoint(void **state)
{
	static const char *const bad[] = { "udp://x:1", "tcp://x", "ipc://", "inproc://a", "a" };
	char list[80];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(list, sizeof(list), "%s ipc:///a", bad[i]);
		assert_int_equal(check(list, 9, true, false), ERR_CONFIG);
		snprintf(list, sizeof(list), "ipc:///a %s", bad[i]);
		assert_int_equal(check(list, 9, true, false), ERR_CONFIG);
	}
}

static void tcp_needs_keys(void **state)
{
	(void)state;
	assert_int_equal(check("ipc:///a " TCP, 9, false, false), ERR_CONFIG);
	assert_int_equal(check("ipc:///a " TCP, 9, false, true), ERR_OK);
	assert_int_equal(endpoints_check_one("publish", TCP, false, false), ERR_CONFIG);
	assert_int_equal(endpoints_check_one("publish", TCP, true, false), ERR_OK);
}

static void lengths(void **state)
{
	char ipc[] = "ipc:///", path[120], tcp[] = "tcp://", name[400];

	(void)state;
	snprintf(path, sizeof(path), "%s%0*d", ipc, 106, 0);
	assert_int_equal(check(path, 1, false, false), ERR_OK);
	snprintf(path, sizeof(path), "%s%0*d", ipc, 107, 0);
	assert_int_equal(check(path, 1, false, false), ERR_CONFIG);
	snprintf(name, sizeof(name), "%s%0*d:1", tcp, 248, 0);
	assert_int_equal(check(name, 1, true, false), ERR_OK);
	snprintf(name, sizeof(name), "%s%0*d:1", tcp, 249, 0);
	assert_int_equal(check(name, 1, true, false), ERR_CONFIG);
}

static void one_path_with_spaces(void **state)
{
	(void)state;
	assert_int_equal(endpoints_check_one("admin", "ipc:///a b", false, false), ERR_OK);
	assert_int_equal(endpoints_check_one("admin", "", false, false), ERR_CONFIG);
	assert_int_equal(endpoints_check_one("admin", "inproc://a", true, true), ERR_CONFIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_in_order),    cmocka_unit_test(names_and_addresses),
		cmocka_unit_test(until_one_fails),  cmocka_unit_test(lists),
		cmocka_unit_test(one_bad_endpoint), cmocka_unit_test(tcp_needs_keys),
		cmocka_unit_test(lengths),          cmocka_unit_test(one_path_with_spaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
