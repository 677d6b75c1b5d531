/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON of prompts and answers: every block that jansson allocates is wiped when
 * freed, so that no copies stay behind.
 */
#include "node/json.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/jweigh.h"

void json_harden(void)
{
	json_set_alloc_funcs(mem_wiping_malloc, mem_wiping_free);
	json_object_seed(0); /* from the system's randomness: members cannot be made to collide */
}

enum err json_object_of(struct slice text, json_t **out)
{
	json_t *v = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

	if (!json_is_object(v)) {
		json_decref(v);
		return ERR_FORMAT;
	}
	*out = v;
	return ERR_OK;
}

enum err json_request_of(struct slice text, json_t **out)
{
	size_t parts, values;

	jweigh(text, &parts, &values);
	if (parts > JSON_PARTS_MAX || values > JSON_VALUES_MAX)
		return ERR_FORMAT;
	return json_object_of(text, out);
}

static int append(const char *p, size_t n, void *arg)
{
	buf_add(arg, p, n);
	return 0;
}

void json_append(struct buf *out, const json_t *v, unsigned precision)
{
	BUG_ON(json_dump_callback(v, append, out,
				  JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(precision)) != 0);
}

struct slice json_text(const json_t *v)
{
	return slice_of(json_string_value(v), json_string_length(v));
}

enum err json_member_u64(const json_t *object, const char *name, uint64_t max, bool *present, uint64_t *out)
{
	const json_t *v = json_object_get(object, name);
	json_int_t i;

	*present = v && !json_is_null(v);
	if (!*present)
		return ERR_OK;
	i = json_integer_value(v);
	if (!json_is_integer(v) || i < 0 || (uint64_t)i > max)
		return ERR_FORMAT;
	*out = (uint64_t)i;
	return ERR_OK;
}

enum err json_member_bool(const json_t *object, const char *name, bool *out)
{
	const json_t *v = json_object_get(object, name);

	if (v && !json_is_null(v) && !json_is_boolean(v))
		return ERR_FORMAT;
	*out = json_is_true(v);
	return ERR_OK;
}

void json_put(json_t *object, const char *name, json_t *value)
{
	BUG_ON(!value || json_object_set_new(object, name, value) != 0);
}
