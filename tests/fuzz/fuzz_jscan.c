/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON scanner against jansson.  Any text: both take it or both refuse it,
 * and every member found has the same type, text and number.  Allowed to
 * differ, by design:
 *  - depth: ours ends at 64, jansson's at 2048;
 *  - numbers out of range of jansson's types: for us lexically good;
 *  - an escaped NUL in a member's name: jansson cannot hold it, we can;
 *  - a raw NUL byte: never good JSON, but jansson 2.14 loses one that stands
 *    behind a number or a word; there we are judged without it;
 *  - duplicates: we refuse them for the named members of the outermost object
 *    only, JSON_REJECT_DUPLICATES refuses them everywhere.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/jscan.h"

static const char *const names[] = { "a", "model_name", "stream", "gr\xc3\xbc\xc3\x9f", "" };
#define NAMES (sizeof(names) / sizeof(names[0]))

#define MUST(cond)                                                                                           \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

static json_t *parse(struct slice text, size_t flags, enum json_error_code *why)
{
	json_error_t e;
	json_t *v = json_loadb((const char *)text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL | flags, &e);

	*why = v ? json_error_unknown : json_error_code(&e);
	return v;
}

static enum jtype type_of(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return J_OBJECT;
	case JSON_ARRAY:
		return J_ARRAY;
	case JSON_STRING:
		return J_STRING;
	case JSON_TRUE:
		return J_TRUE;
	case JSON_FALSE:
		return J_FALSE;
	case JSON_NULL:
		return J_NULL;
	default:
		return J_NUMBER;
	}
}

static void same_text(const struct jval *v, const json_t *j)
{
	struct buf b = { 0 };

	jval_text(v, &b);
	MUST(slice_eq(buf_slice(&b), slice_of(json_string_value(j), json_string_length(j))));
	MUST(v->escaped == (memchr(v->raw.p, '\\', v->raw.n) != NULL));
	buf_free(&b);
}

static void same_number(const struct jval *v, const json_t *j)
{
	uint64_t n;
	enum err e = jval_u64(v, UINT64_MAX, &n);

	if (json_is_real(j) || v->raw.p[0] == '-')
		MUST(e != ERR_OK);
	else
		MUST(e == ERR_OK && n == (uint64_t)json_integer_value(j));
}

static void same_value(const struct jval *v, const json_t *j);

static void same_items(const struct jval *v, const json_t *j)
{
	struct jval item;
	size_t pos = 0, n = 0;

	for (; jarray_next(v->raw, &pos, &item); n++)
		same_value(&item, json_array_get(j, n));
	MUST(n == json_array_size(j));
}

static void same_value(const struct jval *v, const json_t *j)
{
	struct jval again;

	MUST(j && v->type == type_of(j));
	if (v->type == J_STRING)
		same_text(v, j);
	else if (v->type == J_NUMBER)
		same_number(v, j);
	else if (v->type == J_ARRAY)
		same_items(v, j);
	if (v->type == J_STRING)
		return;
	MUST(jscan_value(v->raw, &again, NULL) == ERR_OK); /* a value is a text of its own */
	MUST(again.type == v->type && again.raw.n == v->raw.n);
}

static bool beyond_jansson(enum json_error_code why)
{
	return why == json_error_numeric_overflow || why == json_error_null_byte_in_key;
}

/* Whether the text has a byte that no good text has and jansson may not see. */
static bool has_nul(struct slice text)
{
	return text.n && memchr(text.p, 0, text.n);
}

static void fuzz_nul(struct slice text)
{
	struct jval v, found[NAMES];

	MUST(jscan_value(text, &v, NULL) == ERR_BODY);
	MUST(jscan_object(text, names, NAMES, found, NULL) == ERR_BODY);
}

static void fuzz_value(struct slice text)
{
	struct jscan_fault fault = { .what = NULL };
	enum json_error_code why;
	json_t *j = parse(text, 0, &why);
	struct jval v;

	if (jscan_value(text, &v, &fault) == ERR_OK) {
		if (!beyond_jansson(why))
			same_value(&v, j);
	} else {
		MUST(fault.what && fault.at <= text.n);
		MUST(!j || strcmp(fault.what, "nested too deep") == 0);
	}
	json_decref(j);
}

static void same_members(const struct jval *found, const json_t *j)
{
	for (size_t i = 0; i < NAMES; i++) {
		const json_t *m = json_object_get(j, names[i]);

		MUST((found[i].type == J_NONE) == !m);
		if (m)
			same_value(&found[i], m);
	}
}

static void fuzz_object(struct slice text)
{
	struct jscan_fault fault = { .member = -1 };
	struct jval found[NAMES];
	enum json_error_code why, why_strict;
	json_t *j = parse(text, 0, &why), *strict = parse(text, JSON_REJECT_DUPLICATES, &why_strict);
	enum err e = jscan_object(text, names, NAMES, found, &fault);

	if (e == ERR_OK && j) /* jansson keeps the last of two, we the first: equal means there was one */
		same_members(found, j);
	if (e == ERR_OK && !j)
		MUST(beyond_jansson(why));
	if (e && fault.member >= 0)
		MUST(!strict && strcmp(fault.what, "duplicate member") == 0);
	else if (e && json_is_object(j))
		MUST(strcmp(fault.what, "nested too deep") == 0);
	json_decref(j);
	json_decref(strict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (has_nul(slice_of(data, n))) {
		fuzz_nul(slice_of(data, n));
		return 0;
	}
	fuzz_value(slice_of(data, n));
	fuzz_object(slice_of(data, n));
	return 0;
}
