/* SPDX-License-Identifier: Apache-2.0
 *
 * Keeps the first failure of an exchange.  Text of the other side reaches a
 * terminal only through fault_safe.
 */
#include "client/fault.h"

#include <stdarg.h>
#include <stdio.h>

bool fault(struct fault *f, enum sealway_status status, const char *fmt, ...)
{
	va_list ap;

	if (f->status != SEALWAY_OK)
		return false;
	f->status = status;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	return false;
}

bool fault_memory(struct fault *f)
{
	return fault(f, SEALWAY_LOCAL, "there is not enough memory for the answer");
}

void fault_safe(char *out, size_t n, struct slice bytes)
{
	size_t m = bytes.n < n - 1 ? bytes.n : n - 1;

	for (size_t i = 0; i < m; i++)
		out[i] = bytes.p[i] >= 0x20 && bytes.p[i] < 0x7f ? (char)bytes.p[i] : '?';
	out[m] = '\0';
}
