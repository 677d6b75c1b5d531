/* SPDX-License-Identifier: Apache-2.0
 *
 * Typed members of a scanned JSON object (common/jscan.h): what the client
 * reads from gateways, nodes and receipt files, all of it unproven.
 */
#ifndef SEALWAY_CLIENT_JSON_H
#define SEALWAY_CLIENT_JSON_H

#include "common/jscan.h"
#include "proto/limits.h"

/* Absent or null. */
bool json_none(const struct jval *v);

/* A string of exactly n base64 bytes.  False leaves out as it was. */
bool json_bytes(const struct jval *v, void *out, size_t n);

/* A string of base64 of at most max bytes, appended to out. */
bool json_data(const struct jval *v, size_t max, struct buf *out);

/* A string of 1..n-1 bytes without NUL, copied with a NUL. */
bool json_text(const struct jval *v, char *out, size_t n);

/* An integer 0..ID_MAX. */
bool json_id(const struct jval *v, uint64_t *out);

/* A string without escapes as a slice (base64 texts); empty otherwise. */
struct slice json_plain(const struct jval *v);

#endif
