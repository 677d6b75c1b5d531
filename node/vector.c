/* SPDX-License-Identifier: Apache-2.0
 *
 * Vectors as numbers and as base64 (vector.h).  Floats go through their bits, whatever
 * the order of bytes here; a vector is limited before its array is made.
 */
#include "node/vector.h"

#include <string.h>

#include "common/b64.h"
#include "node/json.h"

#define VECTOR_BYTES_MAX (1u << 20) /* 262144 floats */

json_t *vector_decode(struct slice b64)
{
	struct buf raw = { .secret = true };
	json_t *a = NULL;

	if (b64_decode(b64, VECTOR_BYTES_MAX, &raw) == ERR_OK && raw.n > 0 && raw.n % 4 == 0) {
		a = json_array();
		for (size_t i = 0; i < raw.n; i += 4) {
			const uint8_t *p = raw.p + i;
			uint32_t bits =
				(uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
			float f;

			memcpy(&f, &bits, sizeof(f));
			if (json_array_append_new(a, json_real(f)) != 0) { /* not a number */
				json_decref(a);
				a = NULL;
				break;
			}
		}
	}
	buf_free(&raw);
	return a;
}

bool vector_wants_b64(const json_t *request)
{
	return slice_is(json_text(json_object_get(request, "encoding_format")), "base64");
}

static json_t *encode(const json_t *vector)
{
	struct buf raw = { .secret = true }, text = { .secret = true };
	const json_t *v;
	json_t *out;
	size_t i;

	json_array_foreach(vector, i, v)
	{
		float f = (float)json_number_value(v);
		uint32_t bits;
		uint8_t p[4];

		memcpy(&bits, &f, sizeof(bits));
		for (unsigned k = 0; k < sizeof(p); k++)
			p[k] = (uint8_t)(bits >> 8 * k);
		buf_add(&raw, p, sizeof(p));
	}
	b64_encode(&text, buf_slice(&raw));
	out = json_stringn((const char *)text.p, text.n);
	buf_free(&raw);
	buf_free(&text);
	return out;
}

void vectors_to_b64(json_t *data)
{
	json_t *item, *vector;
	size_t i;

	json_array_foreach(data, i, item)
	{
		vector = json_object_get(item, "embedding");
		if (json_is_array(vector))
			json_put(item, "embedding", encode(vector));
	}
}
