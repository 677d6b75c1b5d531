/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading tests/vectors/confidential.json in unit tests.  Base64 and hex are
 * decoded by libsodium here, so that our own decoders are not their own judge.
 * Every helper fails the test when something is missing.
 */
#ifndef SEALWAY_TESTS_UNIT_VECTORS_H
#define SEALWAY_TESTS_UNIT_VECTORS_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>
#include <string.h>

#include "common/mem.h"

/* The whole file; free with json_decref. */
static inline json_t *vectors_load(void)
{
	json_error_t why;
	json_t *v = json_load_file(VECTORS, JSON_REJECT_DUPLICATES, &why);

	if (!v)
		fail_msg("%s: %s", VECTORS, why.text);
	return v;
}

/* The file for all tests of a program, which gives these two to cmocka_run_group_tests. */
static json_t *vectors;

static inline int vectors_setup(void **state)
{
	(void)state;
	vectors = vectors_load();
	return 0;
}

static inline int vectors_teardown(void **state)
{
	(void)state;
	json_decref(vectors);
	return 0;
}

static inline json_t *vget(json_t *o, const char *name)
{
	json_t *v = json_object_get(o, name);

	if (!v)
		fail_msg("no member %s", name);
	return v;
}

/* The text of member name; valid while o lives. */
static inline struct slice vtext(json_t *o, const char *name)
{
	json_t *v = vget(o, name);

	assert_true(json_is_string(v));
	return slice_of(json_string_value(v), json_string_length(v));
}

static inline uint64_t vnum(json_t *o, const char *name)
{
	json_t *v = vget(o, name);

	assert_true(json_is_integer(v));
	return (uint64_t)json_integer_value(v);
}

/* Exactly n bytes from base64 text. */
static inline void vraw_b64(struct slice text, void *out, size_t n)
{
	size_t len;

	assert_int_equal(sodium_base642bin(out, n, (const char *)text.p, text.n, NULL, &len, NULL,
					   sodium_base64_VARIANT_ORIGINAL),
			 0);
	assert_int_equal(len, n);
}

static inline void vb64(json_t *o, const char *name, void *out, size_t n)
{
	vraw_b64(vtext(o, name), out, n);
}

static inline void vhex(json_t *o, const char *name, void *out, size_t n)
{
	struct slice t = vtext(o, name);
	size_t len;

	assert_int_equal(sodium_hex2bin(out, n, (const char *)t.p, t.n, NULL, &len, NULL), 0);
	assert_int_equal(len, n);
}

/* Any number of bytes from base64; free with buf_free. */
static inline struct buf vbuf_b64(json_t *o, const char *name)
{
	struct slice t = vtext(o, name);
	struct buf b = { 0 };

	buf_reserve(&b, t.n + 1);
	assert_int_equal(sodium_base642bin(b.p, t.n + 1, (const char *)t.p, t.n, NULL, &b.n, NULL,
					   sodium_base64_VARIANT_ORIGINAL),
			 0);
	return b;
}

#endif
