/* SPDX-License-Identifier: Apache-2.0
 *
 * The error object of PROTOCOL section 5, read back by jansson.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>

#include "gateway/errors.h"

static const char *text(json_t *error, const char *name)
{
	json_t *v = json_object_get(error, name);

	assert_non_null(v); /* every member is always there */
	return json_is_null(v) ? NULL : json_string_value(v);
}

static json_t *written(enum err e, const struct refusal *why, const char *shown)
{
	struct buf b = { .p = NULL };
	json_t *j, *error;

	error_write(&b, e, why, shown);
	j = json_loadb((const char *)b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	assert_int_equal(json_object_size(j), 1);
	error = json_incref(json_object_get(j, "error"));
	assert_int_equal(json_object_size(error), 6);
	json_decref(j);
	buf_free(&b);
	return error;
}

static void all_members(void **state)
{
	struct refusal why = { .param = SLICE_STR("salt"), .what = "must be canonical base64 of 16 bytes" };
	json_t *e = written(ERR_BODY, &why, "abc");

	(void)state;
	assert_string_equal(text(e, "code"), "INVALID_BODY");
	assert_string_equal(text(e, "type"), "invalid_request_error");
	assert_string_equal(text(e, "message"),
			    "malformed or invalid request body: must be canonical base64 of 16 bytes");
	assert_string_equal(text(e, "param"), "salt");
	assert_null(text(e, "reason"));
	assert_string_equal(text(e, "request_id"), "abc");
	json_decref(e);
}

static void unknown_ones_are_null(void **state)
{
	static const struct refusal nothing;
	json_t *e = written(ERR_KEY_ROTATED, &nothing, "abc");

	(void)state;
	assert_string_equal(text(e, "code"), "UNAVAILABLE_STACK");
	assert_string_equal(text(e, "reason"), "key_rotated");
	assert_null(text(e, "param"));
	json_decref(e);
}

static void every_error_is_valid_json(void **state)
{
	static const struct refusal nothing;

	(void)state;
	for (int e = ERR_BODY; e < ERR_COUNT; e++)
		json_decref(written((enum err)e, &nothing, "x"));
}

static void the_clients_id_is_escaped(void **state)
{
	static const struct refusal nothing;
	json_t *e = written(ERR_AUTH, &nothing, "a\"b\\c</script>");

	(void)state;
	assert_string_equal(text(e, "request_id"), "a\"b\\c</script>");
	json_decref(e);
}

static void a_peers_param_is_escaped(void **state)
{
	struct refusal why = { .param = SLICE_STR("a\"\n\\b") };
	json_t *e = written(ERR_BODY, &why, "x");

	(void)state;
	assert_string_equal(text(e, "param"), "a\"\n\\b");
	json_decref(e);
}

static void retry_after(void **state)
{
	(void)state;
	assert_int_equal(error_retry_after(ERR_RATE, 0), 1);
	assert_int_equal(error_retry_after(ERR_RATE, 7), 7);
	assert_int_equal(error_retry_after(ERR_NO_BROKER, 0), 1);
	assert_int_equal(error_retry_after(ERR_NO_NODE, 30), 30);
	assert_int_equal(error_retry_after(ERR_UNAVAILABLE, UINT32_MAX), 3600);
	assert_int_equal(error_retry_after(ERR_BODY, 7), 0);
	assert_int_equal(error_retry_after(ERR_TIMEOUT, 7), 0);
	assert_int_equal(error_retry_after(ERR_UNITS, 7), 0);
}

static void what_a_peer_says(void **state)
{
	(void)state;
	assert_int_equal(error_outward(ERR_OK), ERR_INTERNAL); /* an error that is none */
	assert_int_equal(error_outward(ERR_CRYPTO), ERR_INTERNAL);
	assert_int_equal(error_outward(ERR_CONFIG), ERR_INTERNAL);
	assert_int_equal(error_outward(ERR_COUNT), ERR_INTERNAL);
	assert_int_equal(error_outward((enum err)9999), ERR_INTERNAL);
	assert_int_equal(error_outward(ERR_NODE), ERR_NODE);
	assert_int_equal(error_outward(ERR_STRANGER), ERR_STRANGER);
	assert_int_equal(error_outward(ERR_ENGINE), ERR_ENGINE);
	assert_int_equal(error_outward(ERR_ANSWERED), ERR_ANSWERED);
	assert_int_equal(error_outward(ERR_TIMEOUT), ERR_TIMEOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_members),
		cmocka_unit_test(unknown_ones_are_null),
		cmocka_unit_test(every_error_is_valid_json),
		cmocka_unit_test(the_clients_id_is_escaped),
		cmocka_unit_test(a_peers_param_is_escaped),
		cmocka_unit_test(retry_after),
		cmocka_unit_test(what_a_peer_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
