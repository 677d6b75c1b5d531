/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of JSON strings, for the scanner (common/jscan.h) alone: where
 * one ends, what its escapes stand for.
 */
#ifndef SEALWAY_COMMON_JSTRING_H
#define SEALWAY_COMMON_JSTRING_H

#include <stdbool.h>

#include "common/mem.h"

/* *at stands behind the opening quote.  True: *at is at the closing quote and
 * *escaped says whether there was any escape.  False: *at is at the fault,
 * *what says which (static text). */
bool jstring_scan(const uint8_t **at, const uint8_t *end, bool *escaped, const char **what);

/* Whether raw, escapes resolved, is name.  raw has passed a scan. */
bool jstring_is(struct slice raw, bool escaped, const char *name);

/* Appends raw with escapes resolved.  raw has passed a scan; of one that has
 * not, the part behind the first fault is left out. */
void jstring_text(struct slice raw, struct buf *out);

#endif
