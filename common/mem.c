/* SPDX-License-Identifier: Apache-2.0
 *
 * Slices, buffers and the allocations that may not fail (mem.h).
 */
#include "common/mem.h"

#include <malloc.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_BYTES (32 << 20)

struct slice slice_str(const char *s)
{
	return slice_of(s, s ? strlen(s) : 0);
}

bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool slice_is(struct slice a, const char *s)
{
	return slice_eq(a, slice_str(s));
}

enum err slice_u64(struct slice s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0 || (s.n > 1 && s.p[0] == '0'))
		return ERR_FORMAT;
	for (size_t i = 0; i < s.n; i++) {
		unsigned d = s.p[i] - (unsigned)'0';

		if (d > 9)
			return ERR_FORMAT;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, d, &v))
			return ERR_RANGE;
	}
	if (v > max)
		return ERR_RANGE;
	*out = v;
	return ERR_OK;
}

/* Both, and both as high as glibc lets them go by itself (its DEFAULT_MMAP_THRESHOLD_MAX): setting one of
 * them ends its own adjusting of the other, and a large body mapped and unmapped each time costs more than it
 * saves. */
void mem_keep(void)
{
	mallopt(M_MMAP_THRESHOLD, KEEP_BYTES);
	mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
}

static void die_of_memory(size_t n)
{
	fprintf(stderr, "out of memory: %zu bytes\n", n);
	abort();
}

void *mem_new(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (!p)
		die_of_memory(n);
	return p;
}

void *mem_grow(void *p, size_t n)
{
	void *q = realloc(p, n ? n : 1);

	if (!q)
		die_of_memory(n);
	return q;
}

char *mem_strndup(const void *p, size_t n)
{
	char *s = mem_new(n + 1);

	if (n)
		memcpy(s, p, n);
	return s;
}

void mem_wipe(void *p, size_t n)
{
	if (n)
		sodium_memzero(p, n);
}

bool mem_same(const void *a, const void *b, size_t n)
{
	return n == 0 || sodium_memcmp(a, b, n) == 0;
}

void mem_bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "bug at %s:%d: %s\n", file, line, what);
	abort();
}

static bool grow(struct buf *b, size_t n)
{
	size_t want, cap = b->cap ? b->cap : 64;
	uint8_t *p;

	BUG_ON(__builtin_add_overflow(b->n, n, &want) || want > SIZE_MAX / 2);
	while (cap < want)
		cap *= 2;
	p = b->secret ? calloc(1, cap) : realloc(b->p, cap);
	if (!p)
		return false;
	if (b->secret) {
		if (b->n)
			memcpy(p, b->p, b->n);
		mem_wipe(b->p, b->n);
		free(b->p);
	}
	b->p = p;
	b->cap = cap;
	return true;
}

void buf_grow(struct buf *b, size_t n)
{
	if (!grow(b, n))
		die_of_memory(n);
}

bool buf_room(struct buf *b, size_t n)
{
	return n <= b->cap - b->n || grow(b, n);
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	buf_reserve(b, n);
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

void buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	BUG_ON(n < 0);
	buf_reserve(b, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
}

void buf_json(struct buf *b, struct slice s)
{
	static const char names[] = "btn\0fr"; /* for 0x08 .. 0x0d, 0x0b has none */

	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (c == '"' || c == '\\')
			buf_add(b, (const uint8_t[]){ '\\', c }, 2);
		else if (c >= 8 && c <= 13 && names[c - 8])
			buf_add(b, (const uint8_t[]){ '\\', (uint8_t)names[c - 8] }, 2);
		else if (c < 0x20)
			buf_fmt(b, "\\u%04x", c);
		else
			buf_add(b, &c, 1);
	}
}

void buf_consume(struct buf *b, size_t n)
{
	BUG_ON(n > b->n);
	if (n == 0)
		return;
	memmove(b->p, b->p + n, b->n - n);
	if (b->secret)
		mem_wipe(b->p + b->n - n, n);
	b->n -= n;
}

void buf_cut(struct buf *b, size_t n)
{
	BUG_ON(n > b->n);
	if (b->secret)
		mem_wipe(b->p + n, b->n - n);
	b->n = n;
}

void buf_reset(struct buf *b)
{
	if (b->secret)
		mem_wipe(b->p, b->n);
	b->n = 0;
}

void buf_free(struct buf *b)
{
	buf_reset(b);
	free(b->p);
	b->p = NULL;
	b->cap = 0;
}

/* Each block carries its size in front. */
#define HEAD 16 /* keeps the alignment of malloc */

void *mem_wiping_malloc(size_t n)
{
	uint8_t *p;

	if (n > SIZE_MAX - HEAD)
		return NULL;
	p = malloc(n + HEAD);
	if (!p)
		return NULL;
	memcpy(p, &n, sizeof(n));
	return p + HEAD;
}

void mem_wiping_free(void *v)
{
	uint8_t *p = v;
	size_t n;

	if (!p)
		return;
	memcpy(&n, p - HEAD, sizeof(n));
	mem_wipe(p, n);
	free(p - HEAD);
}
