/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking at a message without decoding it; names; endpoints.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "proto/msg.h"

static enum err peek(const char *bytes, size_t n, enum msg_type *type)
{
	return msg_peek(slice_of(bytes, n), type);
}

static void test_peek(void **state)
{
	enum msg_type t = MSG_JOB;

	(void)state;
	assert_int_equal(peek("\x94\x02\x01\xc0", 4, &t), ERR_OK);
	assert_int_equal(t, MSG_HELLO);
	assert_int_equal(peek("\xdc\x00\x10\x02\x0a\xc4", 6, &t), ERR_OK);
	assert_int_equal(t, MSG_JOB);
	assert_int_equal(peek("\x94\x03\x01\xc0", 4, &t), ERR_VERSION);
	assert_int_equal(peek("\x94\x00\x01\xc0", 4, &t), ERR_VERSION);
	assert_int_equal(peek("\x94\x02\x00\xc0", 4, &t), ERR_FORMAT);
	assert_int_equal(peek("\x94\x02\x21\xc0", 4, &t), ERR_FORMAT); /* after the last type */
	assert_int_equal(peek("\x94\x02\x7f\xc0", 4, &t), ERR_FORMAT);
	assert_int_equal(peek("\x94\xcc\x02\x01", 4, &t), ERR_FORMAT);
	assert_int_equal(peek("\x94\x02\xcc\x80", 4, &t), ERR_FORMAT);
	assert_int_equal(peek("\x91\x02\x01\x01", 4, &t), ERR_FORMAT);
	assert_int_equal(peek("\x84\x02\x01\xc0", 4, &t), ERR_FORMAT);
	assert_int_equal(peek("\xdc\x00\x10\x02\x0a", 5, &t), ERR_FORMAT);
	assert_int_equal(peek("\x94\x02\x01", 3, &t), ERR_FORMAT);
	assert_int_equal(peek("", 0, &t), ERR_FORMAT);
	assert_int_equal(t, MSG_JOB); /* written only on success */
}

/* Whatever else becomes of messages, this much every version can read of every other. */
static void test_version(void **state)
{
	(void)state;
	assert_int_equal(msg_version(SLICE_STR("\x94\x02\x01\xc0")), 2);
	assert_int_equal(msg_version(SLICE_STR("\xdc\x7f\xff\x07\x0a\xc4")), 7);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(msg_name(MSG_HELLO), "hello");
	assert_string_equal(msg_name(MSG_RECEIPT_WANTED), "receipt_wanted");
	assert_string_equal(msg_name(MSG_ANSWERING), "answering");
	assert_string_equal(msg_name((enum msg_type)0), "?");
	assert_string_equal(msg_name((enum msg_type)200), "?");
}

static void test_endpoints(void **state)
{
	(void)state;
	for (int e = EP_NONE + 1; e < EP_COUNT; e++) {
		assert_int_equal(endpoint_of(slice_str(endpoint_path((enum endpoint)e))), e);
		assert_int_equal(endpoint_confidential((enum endpoint)e), e <= EP_IMAGES);
		assert_int_equal(endpoint_confidential((enum endpoint)e),
				 strncmp(endpoint_path((enum endpoint)e), "/v1/confidential/", 17) == 0);
		assert_true(strlen(endpoint_name((enum endpoint)e)) > 0);
	}
	for (unsigned e = EP_COMPLETIONS; e <= EP_IMAGES; e++) {
		assert_int_equal(endpoint_kind((enum endpoint)e), e);
		assert_int_equal(endpoint_kind((enum endpoint)(e + EP_IMAGES)), e);
	}
	assert_int_equal(endpoint_kind(EP_NONE), 0);
	assert_true(endpoint_streams(EP_CHAT));
	assert_true(endpoint_streams(EP_PLAIN_COMPLETIONS));
	assert_false(endpoint_streams(EP_EMBEDDINGS));
	assert_false(endpoint_streams(EP_PLAIN_IMAGES));
	assert_int_equal(endpoint_of(SLICE_STR("/v1/confidential/chat/completion")), EP_NONE);
	assert_int_equal(endpoint_of(SLICE_STR("/v1/confidential/chat/completions/")), EP_NONE);
	assert_int_equal(endpoint_of(SLICE_STR("/V1/models")), EP_NONE);
	assert_int_equal(endpoint_of(SLICE_STR("")), EP_NONE);
	for (int e = EP_COUNT; e < EP_COUNT + 3; e++) {
		assert_string_equal(endpoint_path((enum endpoint)e), "");
		assert_false(endpoint_confidential((enum endpoint)e));
		assert_false(endpoint_streams((enum endpoint)e));
		assert_int_equal(endpoint_kind((enum endpoint)e), 0);
	}
	assert_string_equal(endpoint_path(EP_NONE), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peek),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_endpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
