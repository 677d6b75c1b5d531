/* SPDX-License-Identifier: Apache-2.0
 *
 * Text for man pages (man(7) macros): what the tables of options say, escaped.
 */
#ifndef SEALWAY_COMMON_ROFF_H
#define SEALWAY_COMMON_ROFF_H

#include <stdio.h>

/* The page's head: name and summary.  section: 1 for commands, 8 for processes. */
void roff_head(FILE *to, const char *name, int section, const char *summary);

/* A heading. */
void roff_section(FILE *to, const char *title);

/* A heading within a section. */
void roff_sub(FILE *to, const char *title);

/* A paragraph whose line breaks stay. */
void roff_text(FILE *to, const char *text);

/* A tagged paragraph: the tag in bold, a value behind it in italics (NULL: none). */
void roff_item(FILE *to, const char *tag, const char *value, const char *text);

#endif
