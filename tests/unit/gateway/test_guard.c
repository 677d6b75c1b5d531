/* SPDX-License-Identifier: Apache-2.0
 *
 * Request heads: bearer tokens, media types, X-Request-Id.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/hash.h"
#include "gateway/guard.h"

static enum err bearer(const char *value, unsigned count, uint8_t h[32])
{
	return guard_bearer(slice_str(value), count, h);
}

static void tokens_accepted(void **state)
{
	static const char *const values[] = { "Bearer sk-sealway-AZaz09_-", "bearer sk-sealway-AZaz09_-",
					      "BEARER sk-sealway-AZaz09_-", "bEaReR   sk-sealway-AZaz09_-",
					      "Bearer sk-sealway-AZaz09_-  " };
	uint8_t want[32], got[32];

	(void)state;
	hash(want, SLICE_STR("sk-sealway-AZaz09_-"));
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		memset(got, 0, sizeof(got));
		assert_int_equal(bearer(values[i], 1, got), ERR_OK);
		assert_memory_equal(got, want, sizeof(want));
	}
	assert_int_equal(bearer("Bearer a.b~c+d/e==", 1, got), ERR_OK);
}

static void tokens_refused(void **state)
{
	static const char *const values[] = { NULL,         "",           "Bearer",          "Bearer ",
					      "Bearer   ",  "Bearera",    "Bearer\ta",       "Basic YTpi",
					      "sk-sealway", "Bearer a b", "Bearer a,b",      "Bearer \"a\"",
					      "Bearer ==",  "Bearer a=b", "Bearer \xc3\xa9", "Bearer a\x01",
					      " Bearer a",  "Token a",    "Bearer: a" };
	uint8_t h[32] = { 7 }, before[32] = { 7 };

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (bearer(values[i], 1, h) != ERR_AUTH)
			fail_msg("accepted: %s", values[i]);
	assert_int_equal(bearer("Bearer a", 2, h), ERR_AUTH); /* two headers: which one? */
	assert_int_equal(bearer("Bearer a", 0, h), ERR_AUTH);
	assert_memory_equal(h, before, sizeof(h));
	assert_int_equal(guard_bearer(SLICE_STR("Bearer a\0b"), 1, h), ERR_AUTH);
}

static void tokens_have_a_length(void **state)
{
	char value[7 + GUARD_TOKEN_MAX + 2] = "Bearer ";
	uint8_t h[32];

	(void)state;
	memset(value + 7, 'a', GUARD_TOKEN_MAX);
	assert_int_equal(bearer(value, 1, h), ERR_OK);
	value[7 + GUARD_TOKEN_MAX] = 'a';
	assert_int_equal(bearer(value, 1, h), ERR_AUTH);
}

static void media_types(void **state)
{
	static const struct {
		const char *value;
		enum err e;
	} rows[] = {
		{ "application/json", ERR_OK },
		{ "Application/JSON", ERR_OK },
		{ "application/json; charset=utf-8", ERR_OK },
		{ "application/json;charset=utf-8", ERR_OK },
		{ "application/json ; charset=utf-8", ERR_OK },
		{ NULL, ERR_MEDIA },
		{ "", ERR_MEDIA },
		{ "text/plain", ERR_MEDIA },
		{ "application/jsonp", ERR_MEDIA },
		{ "application/json+x", ERR_MEDIA },
		{ "application/json, text/plain", ERR_MEDIA },
		{ "application/problem+json", ERR_MEDIA },
		{ "application/jso", ERR_MEDIA },
		{ "text/json", ERR_MEDIA },
		{ "multipart/form-data; x=application/json", ERR_MEDIA },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (guard_media(slice_str(rows[i].value), rows[i].value ? 1 : 0) != rows[i].e)
			fail_msg("%s", rows[i].value);
	assert_int_equal(guard_media(SLICE_STR("application/json"), 2), ERR_MEDIA);
}

static void request_ids(void **state)
{
	char longest[GUARD_SHOWN_MAX + 2];

	(void)state;
	assert_true(guard_shown(SLICE_STR("a"), 1));
	assert_true(guard_shown(SLICE_STR("~!\"{}\\"), 1));
	assert_false(guard_shown(SLICE_STR(""), 1));
	assert_false(guard_shown(SLICE_STR("a b"), 1));
	assert_false(guard_shown(SLICE_STR("a\t"), 1));
	assert_false(guard_shown(SLICE_STR("a\x7f"), 1));
	assert_false(guard_shown(SLICE_STR("\xc3\xa9"), 1));
	assert_false(guard_shown(SLICE_STR("a\0"), 1));
	assert_false(guard_shown(SLICE_STR("a"), 2));
	assert_false(guard_shown(slice_of(NULL, 0), 0));
	memset(longest, 'a', sizeof(longest));
	assert_true(guard_shown(slice_of(longest, GUARD_SHOWN_MAX), 1));
	assert_false(guard_shown(slice_of(longest, GUARD_SHOWN_MAX + 1), 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_accepted),      cmocka_unit_test(tokens_refused),
		cmocka_unit_test(tokens_have_a_length), cmocka_unit_test(media_types),
		cmocka_unit_test(request_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
