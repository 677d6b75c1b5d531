/* SPDX-License-Identifier: Apache-2.0
 *
 * The error table against PROTOCOL's table of statuses, codes and reasons:
 * written down here a second time, on purpose.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/err.h"

static const struct {
	enum err e;
	int status;
	const char *code, *type, *reason;
} outward[] = {
	{ ERR_BODY, 400, "INVALID_BODY", "invalid_request_error", NULL },
	{ ERR_AUTH, 401, "AUTH_ERROR", "authentication_error", NULL },
	{ ERR_BALANCE, 402, "BALANCE_ERROR", "insufficient_quota", NULL },
	{ ERR_NOT_FOUND, 404, "NOT_FOUND", "not_found_error", NULL },
	{ ERR_METHOD, 405, "METHOD_NOT_ALLOWED", "invalid_request_error", NULL },
	{ ERR_TOO_LARGE, 413, "BODY_TOO_LARGE", "invalid_request_error", NULL },
	{ ERR_MEDIA, 415, "UNSUPPORTED_MEDIA_TYPE", "invalid_request_error", NULL },
	{ ERR_LOCKED, 423, "LOCKED", "invalid_request_error", NULL },
	{ ERR_UNITS, 425, "UNAVAILABLE_STACK", "invalid_request_error", "insufficient_units" },
	{ ERR_KEY_ROTATED, 425, "UNAVAILABLE_STACK", "invalid_request_error", "key_rotated" },
	{ ERR_KEY_UNKNOWN, 425, "UNAVAILABLE_STACK", "invalid_request_error", "key_unknown" },
	{ ERR_ANSWERED, 425, "UNAVAILABLE_STACK", "invalid_request_error", "already_answered" },
	{ ERR_RATE, 429, "TOO_MANY_REQUESTS", "rate_limit_error", NULL },
	{ ERR_INTERNAL, 500, "INTERNAL_ERROR", "server_error", NULL },
	{ ERR_NODE, 500, "INTERNAL_ERROR", "server_error", NULL },
	{ ERR_STRANGER, 500, "INTERNAL_ERROR", "server_error", NULL },
	{ ERR_ENGINE, 500, "INTERNAL_ERROR", "server_error", "engine_failed" },
	{ ERR_NOT_IMPLEMENTED, 501, "NOT_IMPLEMENTED", "server_error", NULL },
	{ ERR_NO_BROKER, 503, "SERVICE_UNAVAILABLE", "server_error", NULL },
	{ ERR_NO_WORKER, 503, "SERVICE_UNAVAILABLE", "server_error", NULL },
	{ ERR_NO_NODE, 503, "SERVICE_UNAVAILABLE", "server_error", NULL },
	{ ERR_UNAVAILABLE, 503, "SERVICE_UNAVAILABLE", "server_error", NULL },
	{ ERR_TIMEOUT, 504, "TIMEOUT", "server_error", NULL },
};

static void test_outward(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(outward) / sizeof(outward[0]); i++) {
		assert_int_equal(err_status(outward[i].e), outward[i].status);
		assert_string_equal(err_code(outward[i].e), outward[i].code);
		assert_string_equal(err_type(outward[i].e), outward[i].type);
		if (outward[i].reason)
			assert_string_equal(err_reason(outward[i].e), outward[i].reason);
		else
			assert_null(err_reason(outward[i].e));
	}
}

/* What is inside a process only never shows as itself. */
static void test_inner_errors_leave_as_internal(void **state)
{
	static const enum err inner[] = { ERR_FORMAT, ERR_VERSION, ERR_RANGE,  ERR_LIMIT, ERR_SIGNATURE,
					  ERR_SCHEME, ERR_KEY,     ERR_CRYPTO, ERR_IO,    ERR_EXISTS,
					  ERR_AGAIN,  ERR_CLOSED,  ERR_CONFIG };

	(void)state;
	for (size_t i = 0; i < sizeof(inner) / sizeof(inner[0]); i++) {
		assert_int_equal(err_status(inner[i]), 500);
		assert_string_equal(err_code(inner[i]), "INTERNAL_ERROR");
		assert_string_equal(err_type(inner[i]), "server_error");
		assert_null(err_reason(inner[i]));
		assert_string_not_equal(err_text(inner[i]), err_text(ERR_INTERNAL));
	}
}

static void test_names_and_texts(void **state)
{
	(void)state;
	for (int e = 0; e < ERR_COUNT; e++) {
		assert_true(strncmp(err_name((enum err)e), "ERR_", 4) == 0);
		assert_true(strlen(err_text((enum err)e)) > 1);
		for (int other = 0; other < e; other++)
			assert_string_not_equal(err_name((enum err)e), err_name((enum err)other));
	}
	assert_string_equal(err_name(ERR_BODY), "ERR_BODY");
}

/* A number from a peer may be anything. */
static void test_out_of_the_table(void **state)
{
	static const int odd[] = { ERR_COUNT, ERR_COUNT + 1, 1000000, -1, INT32_MIN, INT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		volatile int e = odd[i];

		assert_int_equal(err_status((enum err)e), 500);
		assert_string_equal(err_name((enum err)e), "ERR_INTERNAL");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outward),
		cmocka_unit_test(test_inner_errors_leave_as_internal),
		cmocka_unit_test(test_names_and_texts),
		cmocka_unit_test(test_out_of_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
