/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and writing msgpack with a sticky error.  Every message is one
 * array; its decoder reads like a schema.  Declared counts and lengths are
 * compared with the bytes that remain before msgpack-c sees the buffer, so
 * that a 5-byte message cannot make it reserve gigabytes; trailing bytes and
 * trailing elements are refused.
 */
#ifndef SEALWAY_PROTO_MP_H
#define SEALWAY_PROTO_MP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"
#include "proto/limits.h"

struct mp_reader; /* msgpack-c's tree of one message, borrowed bytes */
struct mp_writer;

/* Checks the guard and unpacks one array.  ERR_FORMAT.  Free with mp_reader_free. */
enum err mp_reader_new(struct slice bytes, struct mp_reader **out) MUST_USE;
void mp_reader_free(struct mp_reader *r); /* NULL is fine */

/* Each takes the next element.  The first mismatch makes the reader bad and
 * every later call a no-op that returns zero. */
uint64_t mp_u64(struct mp_reader *r, uint64_t max); /* unsigned integer <= max */
bool mp_bool(struct mp_reader *r);		    /* true or false */
bool mp_nil(struct mp_reader *r);		    /* takes a nil if one is next, and says so */
struct slice mp_bin(struct mp_reader *r, size_t min, size_t max);  /* bin, borrowed */
void mp_fixed(struct mp_reader *r, void *out, size_t n);	   /* bin of exactly n bytes */
struct slice mp_text(struct mp_reader *r, size_t min, size_t max); /* str without NUL bytes, borrowed */
unsigned mp_array(struct mp_reader *r, unsigned max); /* enters an array; returns its count */
void mp_leave(struct mp_reader *r);		      /* leaves it; bad unless all elements were taken */
enum err mp_done(struct mp_reader *r) MUST_USE;	      /* ERR_OK if nothing was bad and nothing is left */

/* A writer that appends to out (owned by the caller). */
struct mp_writer *mp_writer_new(struct buf *out);
void mp_writer_free(struct mp_writer *w); /* NULL is fine */
void mp_put_u64(struct mp_writer *w, uint64_t v);
void mp_put_bool(struct mp_writer *w, bool v);
void mp_put_nil(struct mp_writer *w);
void mp_put_bin(struct mp_writer *w, struct slice s);
void mp_put_text(struct mp_writer *w, struct slice s);
void mp_put_array(struct mp_writer *w, unsigned n);

#endif
