/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory: a borrowed slice and an owned buffer are different types.  Small
 * allocations end the process when they fail (a supervisor restarts it; the
 * truth is in the store); a size that came from outside is limited first.
 * Buffers that hold request data are made secret and are wiped when freed,
 * and also when they grow, so that no copy stays behind.
 */
#ifndef SEALWAY_COMMON_MEM_H
#define SEALWAY_COMMON_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* Bytes that belong to somebody else; valid as long as that owner says. */
struct slice {
	const uint8_t *p;
	size_t n;
};

/* Owned bytes.  All zero is a valid empty buffer. */
struct buf {
	uint8_t *p;
	size_t n, cap;
	bool secret; /* wipe on free, reset and growth */
};

#define SLICE_STR(literal) ((struct slice){ (const uint8_t *)(literal), sizeof(literal) - 1 })

static inline struct slice slice_of(const void *p, size_t n)
{
	return (struct slice){ p, n };
}

/* The bytes of a C string, without its NUL; NULL gives an empty slice. */
struct slice slice_str(const char *s);

/* Same length and bytes.  Not constant-time: see mem_same for secrets. */
bool slice_eq(struct slice a, struct slice b);

/* slice_eq against a C string. */
bool slice_is(struct slice a, const char *s);

/* Reads decimal digits only, no sign, no leading zeros; ERR_FORMAT or
 * ERR_RANGE (over max) leave *out as it was. */
enum err slice_u64(struct slice s, uint64_t max, uint64_t *out) MUST_USE;

static inline struct slice buf_slice(const struct buf *b)
{
	return (struct slice){ b->p, b->n };
}

/* buf_reserve when there is not room enough. */
void buf_grow(struct buf *b, size_t n);

/* Room for n more bytes behind b->n; ends the process when memory is out. */
static inline void buf_reserve(struct buf *b, size_t n)
{
	size_t want;

	if (__builtin_add_overflow(b->n, n, &want) || want > b->cap)
		buf_grow(b, n);
}

/* Room for n more bytes; false where there is no memory for them.  For sizes that a peer chose in a process
 * that is not ours to end. */
bool buf_room(struct buf *b, size_t n) MUST_USE;

/* Appends n bytes.  p may be NULL when n is 0; it may not point into b. */
void buf_add(struct buf *b, const void *p, size_t n);

/* Appends the bytes of a C string, without its NUL. */
void buf_str(struct buf *b, const char *s);

/* Appends formatted text; b stays without a NUL. */
void buf_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Appends s as the inside of a JSON string (RFC 8259 section 7 escapes; s is
 * valid UTF-8). */
void buf_json(struct buf *b, struct slice s);

/* Drops the first n bytes (n <= b->n), moving the rest to the front. */
void buf_consume(struct buf *b, size_t n);

/* Drops all but the first n bytes (n <= b->n; wiped first when secret). */
void buf_cut(struct buf *b, size_t n);

/* Empties b and keeps its memory (wiped first when secret). */
void buf_reset(struct buf *b);

/* Frees b's memory (wiped first when secret); b is then empty and valid. */
void buf_free(struct buf *b);

/* For a process that serves, at its start: malloc keeps up to 32 MiB that became
 * free at the end of a heap in place of giving them back and faulting them in again. */
void mem_keep(void);

/* malloc that cannot fail and zeroes; for sizes of our own choosing. */
void *mem_new(size_t n) MUST_USE;

/* realloc that cannot fail; new bytes are not zeroed. */
void *mem_grow(void *p, size_t n) MUST_USE;

/* Owned, NUL-terminated copy of n bytes. */
char *mem_strndup(const void *p, size_t n) MUST_USE;

/* Overwrites n bytes in a way that the compiler keeps. */
void mem_wipe(void *p, size_t n);

/* malloc and free for libraries that let us choose: a block is wiped when freed.
 * NULL when there is no memory; NULL may be freed. */
void *mem_wiping_malloc(size_t n);
void mem_wiping_free(void *p);

/* Constant-time equality of n bytes, for anything secret. */
bool mem_same(const void *a, const void *b, size_t n);

/* Our bug: prints where and aborts.  Stays on in release builds; nothing that
 * came from a client, a node or a peer may reach it. */
#define BUG_ON(cond) \
	do { \
		if (__builtin_expect(!!(cond), 0)) \
			mem_bug(__FILE__, __LINE__, #cond); \
	} while (0)

/* Behind BUG_ON; does not return. */
void mem_bug(const char *file, int line, const char *what) __attribute__((noreturn));

/* Big-endian integers of the byte layouts (PROTOCOL section 4). */
static inline void put_be64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static inline uint64_t get_be64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
	for (int i = 3; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static inline uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

#endif
