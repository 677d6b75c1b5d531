/* SPDX-License-Identifier: Apache-2.0
 *
 * What the node's tests share: cmocka with what it needs before it, slices of
 * literals, JSON of literals.
 */
#ifndef SEALWAY_TESTS_NODE_UNIT_H
#define SEALWAY_TESTS_NODE_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define S(literal) SLICE_STR(literal)

/* A value from JSON text written with single quotes; the caller's to decref. */
static inline json_t *json_of(const char *text)
{
	char *s = mem_strndup(text, strlen(text));
	json_t *v;

	for (char *p = s; *p; p++) {
		if (*p == '\'')
			*p = '"';
	}
	v = json_loads(s, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert_non_null(v);
	free(s);
	return v;
}

/* Compares a value with JSON text written with single quotes. */
static inline void assert_json(const json_t *v, const char *text)
{
	json_t *want = json_of(text);
	char *have = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
	json_free_t release;

	if (!json_equal(v, want))
		print_message("have %s\n", have);
	assert_true(json_equal(v, want));
	json_get_alloc_funcs(NULL, &release); /* the node's may be in place */
	release(have);
	json_decref(want);
}

#endif
