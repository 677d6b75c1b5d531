/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting what a JSON text is made of (jweigh.h).
 */
#include "common/jweigh.h"

void jweigh(struct slice text, size_t *parts, size_t *values)
{
	bool string = false;

	*parts = *values = 0;
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];

		if (c == '"')
			string = !string;
		else if (string)
			i += c == '\\';
		else if (c == '{' || c == '[' || c == ':')
			++*parts;
		else if (c == ',')
			++*values;
	}
}
