/* SPDX-License-Identifier: Apache-2.0
 *
 * Estimates of estimate.h.  Every count is bounded by the bytes of the body times
 * 1500.
 */
#include "gateway/estimate.h"

#define BYTES_PER_UNIT 2
#define MESSAGE_UNITS 8
#define PART_UNITS 1500 /* an image or a piece of sound */

static uint64_t bytes_units(uint64_t n)
{
	return n / BYTES_PER_UNIT + 1;
}

uint64_t estimate_value(const struct jval *v)
{
	return v->type == J_NONE || v->type == J_NULL ? 0 : bytes_units(v->raw.n);
}

/* A list of token numbers is one input. */
static uint64_t estimate_list(const struct jval *v, uint64_t *inputs)
{
	uint64_t units = 0, numbers = 0, others = 0;
	struct jval item;

	for (size_t pos = 0; jarray_next(v->raw, &pos, &item);) {
		if (item.type == J_NUMBER)
			numbers++;
		else
			others++;
		units += item.type == J_NUMBER ? 1 : bytes_units(item.raw.n);
	}
	*inputs = others + (numbers ? 1 : 0);
	return units;
}

uint64_t estimate_input(const struct jval *v, uint64_t *inputs)
{
	*inputs = 1;
	return v->type == J_ARRAY ? estimate_list(v, inputs) : estimate_value(v);
}

/* Units of parts that are no text; *bytes: what they take of the message. */
static uint64_t estimate_parts(const struct jval *content, uint64_t *bytes)
{
	static const char *const names[] = { "text" };
	struct jval part, text;
	uint64_t units = 0;

	for (size_t pos = 0; jarray_next(content->raw, &pos, &part);) {
		if (part.type != J_OBJECT || jscan_object(part.raw, names, 1, &text, NULL) != ERR_OK ||
		    text.type == J_STRING)
			continue;
		*bytes += part.raw.n;
		units += PART_UNITS;
	}
	return units;
}

uint64_t estimate_messages(const struct jval *v)
{
	static const char *const names[] = { "content" };
	struct jval message, content;
	uint64_t units = 1;

	for (size_t pos = 0; jarray_next(v->raw, &pos, &message);) {
		uint64_t apart = 0;

		if (message.type == J_OBJECT &&
		    jscan_object(message.raw, names, 1, &content, NULL) == ERR_OK && content.type == J_ARRAY)
			units += estimate_parts(&content, &apart);
		units += MESSAGE_UNITS + bytes_units(message.raw.n - apart);
	}
	return units;
}
