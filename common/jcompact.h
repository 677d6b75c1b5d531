/* SPDX-License-Identifier: Apache-2.0
 *
 * Compact JSON: the same value without insignificant white space, strings as
 * UTF-8 with only those escapes that RFC 8259 demands (surrogate pairs become the
 * character they stand for).  Order of members and the text of numbers stay.
 */
#ifndef SEALWAY_COMMON_JCOMPACT_H
#define SEALWAY_COMMON_JCOMPACT_H

#include "common/mem.h"

/* Appends text compactly; at most text.n bytes.  text is (part of) a JSON text
 * that has passed a scan (common/jscan.h), cut only between tokens.  Doing it
 * twice changes nothing. */
void jcompact(struct slice text, struct buf *out);

#endif
