/* SPDX-License-Identifier: Apache-2.0
 *
 * Escaping for roff (roff.h): backslashes, hyphens that are to be typed, and
 * dots and quotes at the start of a line, which would be requests.
 */
#include "common/roff.h"

#include <stdbool.h>

static void put(FILE *to, const char *text)
{
	bool start = true;

	for (const char *p = text; *p; p++) {
		if (start && (*p == '.' || *p == '\''))
			fputs("\\&", to);
		start = *p == '\n';
		if (*p == '\\')
			fputs("\\e", to);
		else if (*p == '-')
			fputs("\\-", to);
		else
			putc(*p, to);
	}
}

void roff_head(FILE *to, const char *name, int section, const char *summary)
{
	fprintf(to, ".TH \"");
	put(to, name);
	fprintf(to, "\" %d \"\" \"sealway %s\"\n.SH NAME\n", section, SEALWAY_VERSION);
	put(to, name);
	fputs(" \\- ", to);
	put(to, summary);
	putc('\n', to);
}

void roff_section(FILE *to, const char *title)
{
	fputs(".SH \"", to);
	put(to, title);
	fputs("\"\n", to);
}

void roff_sub(FILE *to, const char *title)
{
	fputs(".SS \"", to);
	put(to, title);
	fputs("\"\n", to);
}

void roff_text(FILE *to, const char *text)
{
	fputs(".PP\n.nf\n", to);
	put(to, text);
	fputs("\n.fi\n", to);
}

void roff_item(FILE *to, const char *tag, const char *value, const char *text)
{
	fputs(".TP\n\\fB", to);
	put(to, tag);
	fputs("\\fR", to);
	if (value) {
		fputs(" \\fI", to);
		put(to, value);
		fputs("\\fR", to);
	}
	putc('\n', to);
	put(to, text);
	putc('\n', to);
}
