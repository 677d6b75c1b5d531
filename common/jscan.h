/* SPDX-License-Identifier: Apache-2.0
 *
 * Strict JSON scanner (RFC 8259) for the hot paths: checks a whole text and
 * gives borrowed slices of the members that the caller names, without
 * building a tree.  Refuses everything that PROTOCOL section 2 lists: BOM, raw
 * control characters, invalid UTF-8, lone surrogate escapes, leading zeros,
 * NaN, depth over 64, anything but white space after the value, and
 * duplicates of a named member (names compared after unescaping).
 */
#ifndef SEALWAY_COMMON_JSCAN_H
#define SEALWAY_COMMON_JSCAN_H

#include <stdbool.h>

#include "common/err.h"
#include "common/mem.h"

#define JSCAN_DEPTH 64

enum jtype { J_NONE, J_NULL, J_FALSE, J_TRUE, J_NUMBER, J_STRING, J_ARRAY, J_OBJECT };

struct jval {
	enum jtype type;  /* J_NONE: the member is absent */
	bool escaped;	  /* a string with escapes in it */
	struct slice raw; /* strings: between the quotes; others: the whole value */
};

struct jscan_fault {
	int member;	  /* index of the named member at fault (a duplicate), or -1 */
	const char *what; /* static text for people */
	size_t at;	  /* byte offset */
};

/* Checks that text is one JSON object and fills out[i] for names[i], i < n.
 * n is at most 32.  ERR_BODY with *fault filled (fault may be NULL); out is
 * written only on success.  Slices borrow from text. */
enum err jscan_object(struct slice text, const char *const *names, size_t n, struct jval *out,
		      struct jscan_fault *fault) MUST_USE;

/* Checks that text is one JSON value of any type (no names). */
enum err jscan_value(struct slice text, struct jval *out, struct jscan_fault *fault) MUST_USE;

/* Whether s is UTF-8, and so could be a string of JSON. */
bool jscan_is_text(struct slice s);

/* An integer of digits only (no sign, fraction or exponent) up to max;
 * ERR_FORMAT or ERR_RANGE. */
enum err jval_u64(const struct jval *v, uint64_t max, uint64_t *out) MUST_USE;

/* Appends the string's bytes with escapes resolved (v is a J_STRING). */
void jval_text(const struct jval *v, struct buf *out);

/* Walks an array value: *pos starts at 0; true and *item while there are more.
 * The array's text must have passed a scan. */
bool jarray_next(struct slice array, size_t *pos, struct jval *item);

#endif
