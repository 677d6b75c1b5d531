/* SPDX-License-Identifier: Apache-2.0
 *
 * Vectors in base64 and as numbers.
 */
#include "tests/unit/node/unit.h"

#include "node/vector.h"

static void test_decode(void **state)
{
	json_t *v = vector_decode(S("AAAAPwAAAMA="));

	(void)state;
	assert_json(v, "[0.5,-2.0]");
	json_decref(v);
	assert_null(vector_decode(S("AAAAPwAAAA=="))); /* 7 bytes */
	assert_null(vector_decode(S("AADAfw==")));     /* not a number */
	assert_null(vector_decode(S("")));
	assert_null(vector_decode(S("AAAA*w==")));
}

static void test_encode(void **state)
{
	json_t *data =
		json_of("[{'index':0,'embedding':[0.5,-2]},{'embedding':[0.1]},{'embedding':'AAAAPw=='},5]");

	(void)state;
	vectors_to_b64(data);
	assert_json(data, "[{'index':0,'embedding':'AAAAPwAAAMA='},{'embedding':'zczMPQ=='},"
			  "{'embedding':'AAAAPw=='},5]");
	json_decref(data);
	vectors_to_b64(NULL);
}

static void wants(const char *request, bool b64)
{
	json_t *o = json_of(request);

	assert_int_equal(vector_wants_b64(o), b64);
	json_decref(o);
}

static void test_wants(void **state)
{
	(void)state;
	wants("{'encoding_format':'base64'}", true);
	wants("{'encoding_format':'float'}", false);
	wants("{'encoding_format':64}", false);
	wants("{}", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_decode), cmocka_unit_test(test_encode),
					    cmocka_unit_test(test_wants) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
