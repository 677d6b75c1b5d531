/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and writing msgpack with a sticky error.  Every message is one
 * array; its decoder reads like a schema.  Declared counts and lengths are
 * compared with the bytes that remain before msgpack-c sees the buffer, so
 * that a 5-byte message cannot make it reserve gigabytes; trailing bytes and
 * trailing elements are refused, and so is everything but the one shortest
 * spelling of a value, so that equal messages are equal bytes.
 */
#ifndef SEALWAY_PROTO_MP_H
#define SEALWAY_PROTO_MP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"
#include "proto/limits.h"

#define MP_DEPTH_MAX 8       /* arrays and maps within each other */
#define MP_ELEMENTS_MAX 4096 /* of one message, over all levels; bounds the tree to 96 KiB */
#define MP_INLINE_BYTES 1024 /* trees of up to 42 elements need no allocation */

/* One array or map that is being read. */
struct mp_level {
	const void *next; /* the next element; keys and values of a map take turns */
	uint32_t left;
};

/* msgpack-c's tree of one message, borrowed bytes.  The members are mp.c's;
 * the struct is here so that it can live on the stack.  Not copyable. */
struct mp_reader {
	struct mp_level level[MP_DEPTH_MAX];
	unsigned depth; /* level[depth - 1] is being read */
	bool bad;
	void *zone; /* of large trees, else NULL */
	_Alignas(16) unsigned char store[MP_INLINE_BYTES];
};

/* The members are mp.c's. */
struct mp_writer {
	struct buf *out;
};

/* Checks the guard, unpacks one array and enters it.  ERR_FORMAT.  After ERR_OK end with mp_reader_fini. */
enum err mp_reader_init(struct mp_reader *r, struct slice bytes) MUST_USE;

/* The same for one map, see mp_key. */
enum err mp_reader_init_map(struct mp_reader *r, struct slice bytes) MUST_USE;

/* Frees what r holds, not r itself. */
void mp_reader_fini(struct mp_reader *r);

/* Each takes the next element.  The first mismatch makes the reader bad and
 * every later call a no-op that returns zero. */
uint64_t mp_u64(struct mp_reader *r, uint64_t max); /* unsigned integer <= max */
bool mp_bool(struct mp_reader *r);                  /* true or false */
bool mp_nil(struct mp_reader *r);                   /* takes a nil if one is next, and says so */
struct slice mp_bin(struct mp_reader *r, size_t min, size_t max);  /* bin, borrowed */
void mp_fixed(struct mp_reader *r, void *out, size_t n);           /* bin of exactly n bytes */
struct slice mp_text(struct mp_reader *r, size_t min, size_t max); /* str without NUL bytes, borrowed */
unsigned mp_array(struct mp_reader *r, unsigned max);              /* enters an array; returns its count */
void mp_leave(struct mp_reader *r);                 /* leaves it; bad unless all elements were taken */
void mp_key(struct mp_reader *r, const char *name); /* takes a map's next key, which must be name */
void mp_fail(struct mp_reader *r);                  /* makes r bad: a check of the caller's own failed */
enum err mp_done(struct mp_reader *r) MUST_USE;     /* ERR_OK if nothing was bad and nothing is left */

/* A writer that appends to out (owned by the caller).  Nothing to free. */
void mp_writer_init(struct mp_writer *w, struct buf *out);

/* Each appends one value in its shortest form; after mp_put_array(n) n values
 * follow, after mp_put_map(n) n times a text and a value. */
void mp_put_u64(struct mp_writer *w, uint64_t v);
void mp_put_bool(struct mp_writer *w, bool v);
void mp_put_nil(struct mp_writer *w);
void mp_put_bin(struct mp_writer *w, struct slice s);
void mp_put_text(struct mp_writer *w, struct slice s);
void mp_put_array(struct mp_writer *w, unsigned n);
void mp_put_map(struct mp_writer *w, unsigned n);

#endif
