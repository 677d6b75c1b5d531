/* SPDX-License-Identifier: Apache-2.0
 *
 * Plaintext JSON: jansson with allocators that wipe what they free.
 */
#ifndef SEALWAY_NODE_JSON_H
#define SEALWAY_NODE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"

/* Makes jansson wipe all memory it frees.  Once, before any other use. */
void json_harden(void);

/* Parses a JSON object; duplicates at any depth are refused.  ERR_FORMAT. */
enum err json_object_of(struct slice text, json_t **out) MUST_USE;

/* Appends v, compact; precision of reals in digits (17 keeps doubles, 9 floats). */
void json_append(struct buf *out, const json_t *v, unsigned precision);

/* The bytes of a string value (may hold NULs); p == NULL for anything else. */
struct slice json_text(const json_t *v);

/* A member that is absent or null: false, *out untouched.  ERR_FORMAT for
 * anything but an integer 0..max. */
enum err json_member_u64(const json_t *object, const char *name, uint64_t max, bool *present,
			 uint64_t *out) MUST_USE;

/* A boolean member; absent and null mean false.  ERR_FORMAT otherwise. */
enum err json_member_bool(const json_t *object, const char *name, bool *out) MUST_USE;

/* json_object_set_new that cannot fail quietly. */
void json_put(json_t *object, const char *name, json_t *value);

#endif
