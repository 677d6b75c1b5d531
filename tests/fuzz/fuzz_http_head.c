/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1 heads that pass the second look must be read the same way by a
 * simple-minded reader that splits at CRLF and counts.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/httpd/head.h"

static unsigned lines_named(const char *text, const char *name)
{
	unsigned n = 0;

	for (const char *p = strchr(text, '\n'); p != NULL; p = strchr(p + 1, '\n'))
		n += strncasecmp(p + 1, name, strlen(name)) == 0;
	return n;
}

static void must(int what)
{
	if (!what)
		abort();
}

static void check(const char *text, size_t n)
{
	unsigned length, coding;

	if (n >= 2 && memcmp(text, "\r\n", 2) == 0) { /* the empty line that may come before: not a field's */
		text += 2;
		n -= 2;
	}
	length = lines_named(text, "content-length:");
	coding = lines_named(text, "transfer-encoding:");
	must(n >= 16 && memcmp(text + n - 4, "\r\n\r\n", 4) == 0);
	must(memmem(text + 2, n - 2, "\r\n\r\n", 4) == text + n - 4);
	for (size_t i = 0; i < n; i++) {
		must(text[i] != '\n' || (i > 0 && text[i - 1] == '\r'));
		must(text[i] != '\r' || text[i + 1] == '\n');
		must(text[i] != '\n' || (text[i + 1] != ' ' && text[i + 1] != '\t'));
	}
	must(length <= 1 && coding <= 1 && length + coding <= 1);
	must(lines_named(text, "host:") <= 1);
	must(lines_named(text, "host:") == 1 || memmem(text, n, " HTTP/1.0\r\n", 11) != NULL);
	must(lines_named(text, "content-length ") == 0 && lines_named(text, "host ") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *text = malloc(n + 1);

	memcpy(text, p, n);
	text[n] = 0;
	if (head_ok(slice_of(text, n)) && memchr(text, 0, n) == NULL)
		check(text, n);
	free(text);
	return 0;
}
