/* SPDX-License-Identifier: Apache-2.0
 *
 * CORS decisions: who is let in, what is reflected, and what never is.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "gateway/cors.h"

static struct cors decide(const char *allowed, const char *origin, const char *wanted)
{
	struct cors c;

	cors_decide(&c, allowed, slice_str(origin), slice_str(wanted));
	return c;
}

static void any_origin(void **state)
{
	struct cors c = decide("*", "https://a.example", NULL);

	(void)state;
	assert_true(slice_is(c.origin, "*"));
	assert_false(c.vary);
	c = decide("*", NULL, NULL);
	assert_true(slice_is(c.origin, "*"));
}

static void none(void **state)
{
	struct cors c = decide("", "https://a.example", "x-a");

	(void)state;
	assert_int_equal(c.origin.n, 0);
	assert_int_equal(c.headers.n, 0);
	assert_false(c.vary);
}

static void a_list(void **state)
{
	static const char list[] = "https://a.example  https://b.example:8443";

	(void)state;
	assert_true(slice_is(decide(list, "https://a.example", NULL).origin, "https://a.example"));
	assert_true(slice_is(decide(list, "https://b.example:8443", NULL).origin, "https://b.example:8443"));
	assert_true(decide(list, "https://a.example", NULL).vary);
	assert_int_equal(decide(list, "https://a.example.evil", NULL).origin.n, 0);
	assert_int_equal(decide(list, "https://a", NULL).origin.n, 0);
	assert_int_equal(decide(list, "https://a.example https://b.example:8443", NULL).origin.n, 0);
	assert_int_equal(decide(list, "null", NULL).origin.n, 0);
	assert_int_equal(decide(list, NULL, NULL).origin.n, 0);
	assert_true(decide(list, NULL, NULL).vary); /* caches must not mix the two */
}

static void headers_asked_for(void **state)
{
	char longest[CORS_HEADERS_MAX + 2];

	(void)state;
	assert_true(slice_is(decide("*", "o", "authorization, content-type").headers,
			     "authorization, content-type"));
	assert_true(slice_is(decide("*", "o", NULL).headers, "*, Authorization"));
	assert_true(slice_is(decide("*", "o", "x\r\nset-cookie: a").headers, "*, Authorization"));
	assert_true(slice_is(decide("*", "o", "x\"").headers, "*, Authorization"));
	memset(longest, 'a', sizeof(longest));
	longest[CORS_HEADERS_MAX + 1] = 0;
	assert_true(slice_is(decide("*", "o", longest).headers, "*, Authorization"));
	longest[CORS_HEADERS_MAX] = 0;
	assert_int_equal(decide("*", "o", longest).headers.n, CORS_HEADERS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_origin),
		cmocka_unit_test(none),
		cmocka_unit_test(a_list),
		cmocka_unit_test(headers_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
