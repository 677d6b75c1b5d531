/* SPDX-License-Identifier: Apache-2.0
 *
 * What the encoders and decoders of this folder share: the common start of
 * every message, optional members and errors as they travel.  Not for other
 * folders.
 */
#ifndef SEALWAY_PROTO_WIRE_H
#define SEALWAY_PROTO_WIRE_H

#include "proto/mp.h"
#include "proto/msg.h"
#include "proto/quota.h"

#define SIGNATURE_TEXT_BYTES 132 /* base64 of 97 bytes, PROTOCOL section 4.7 */

/* Unpacks bytes and takes [version, type, rid | nil].  rid NULL: it must be nil.  ERR_FORMAT, ERR_VERSION.
 * After ERR_OK end with wire_close. */
enum err wire_open(struct mp_reader *r, struct slice bytes, enum msg_type type, uint8_t *rid) MUST_USE;

/* mp_done, then frees r's memory; slices taken from r stay valid with bytes. */
enum err wire_close(struct mp_reader *r) MUST_USE;

/* Starts a message of n elements behind [version, type, rid | nil]. */
void wire_begin(struct mp_writer *w, struct buf *out, enum msg_type type, const uint8_t *rid, unsigned n);

/* "x | nil" for values that are never empty themselves: nil is the empty slice. */
struct slice wire_opt_bin(struct mp_reader *r, size_t min, size_t max);
struct slice wire_opt_text(struct mp_reader *r, size_t min, size_t max);
void wire_put_opt_bin(struct mp_writer *w, struct slice s);
void wire_put_opt_text(struct mp_writer *w, struct slice s);

/* "number | nil": *has says which. */
uint64_t wire_opt_u64(struct mp_reader *r, uint64_t max, bool *has);
void wire_put_opt_u64(struct mp_writer *w, bool has, uint64_t v);

/* A number in 1..max-1 of an enum that starts at 1. */
unsigned wire_enum(struct mp_reader *r, unsigned max);

/* An error as its number; unknown ones read as ERR_INTERNAL. */
enum err wire_err(struct mp_reader *r);

/* A count that fits 32 bits. */
uint32_t wire_u32(struct mp_reader *r);

/* A quota's three numbers; bad when they do not agree (quota.h). */
#define WIRE_QUOTA_ELEMENTS 3
struct quota wire_quota(struct mp_reader *r);
void wire_put_quota(struct mp_writer *w, const struct quota *q);

/* A bin of KEY_BYTES, written. */
void wire_put_key(struct mp_writer *w, const uint8_t key[KEY_BYTES]);

#endif
