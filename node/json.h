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

/* What a request may be made of.  A parsed value takes far more room and time than its text
 * (an empty object 260 bytes, a number 60): 16 MB of them would hold 1.3 GB and the only
 * thread for three seconds. */
#define JSON_PARTS_MAX 131072   /* objects, lists and members: below 40 MB and 0.2 s */
#define JSON_VALUES_MAX 2097152 /* values altogether, such as token numbers: below 120 MB and 0.4 s */

/* json_object_of for what clients write: ERR_FORMAT also for more parts or values than that. */
enum err json_request_of(struct slice text, json_t **out) MUST_USE;

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
