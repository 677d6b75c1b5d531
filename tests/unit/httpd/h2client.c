/* SPDX-License-Identifier: Apache-2.0
 *
 * See h2client.h.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "tests/unit/httpd/h2client.h"

void h2_add(struct buf *b, uint8_t type, uint8_t flags, uint32_t id, const void *p, size_t n)
{
	uint8_t head[9] = { (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, type, flags };

	put_be32(head + 5, id);
	buf_add(b, head, sizeof(head));
	if (n > 0)
		buf_add(b, p, n);
}

void h2_send(struct h2 *c, uint8_t type, uint8_t flags, uint32_t id, const void *p, size_t n)
{
	struct buf b = { 0 };

	h2_add(&b, type, flags, id, p, n);
	rig_send(c->g, c->fd, b.p, b.n);
	buf_free(&b);
}

void h2_add_u32(struct buf *b, uint8_t type, uint32_t id, uint32_t value)
{
	uint8_t p[4];

	put_be32(p, value);
	h2_add(b, type, 0, id, p, 4);
}

void h2_send_u32(struct h2 *c, uint8_t type, uint32_t id, uint32_t value)
{
	uint8_t p[4];

	put_be32(p, value);
	h2_send(c, type, 0, id, p, 4);
}

void h2_add_window(struct buf *b, uint32_t window)
{
	uint8_t p[6] = { 0, 4 };

	put_be32(p + 2, window);
	h2_add(b, SETTINGS, 0, 0, p, 6);
}

void h2_open(struct h2 *c, struct rig *g, uint32_t window)
{
	struct buf b = { 0 };

	memset(c, 0, sizeof(*c));
	c->g = g;
	c->fd = rig_connect(g);
	buf_str(&b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	h2_add_window(&b, window);
	rig_send(g, c->fd, b.p, b.n);
	buf_free(&b);
}

void h2_close(struct h2 *c)
{
	close(c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
}

void rig_open_h2(struct rig *g, struct h2 *c, uint32_t window)
{
	rig_open(g);
	h2_open(c, g, window);
}

void rig_close_h2(struct rig *g, struct h2 *c)
{
	h2_close(c);
	rig_close(g);
}

void h2_flush(struct h2 *c)
{
	rig_send(c->g, c->fd, c->out.p, c->out.n);
	buf_reset(&c->out);
}

void h2_add_request(struct buf *b, uint32_t id, const char *path, uint8_t flags)
{
	uint8_t block[512], *p = block;
	size_t n = strlen(path);

	*p++ = flags & END_STREAM ? 0x82 : 0x83; /* :method GET or POST */
	*p++ = 0x86;                             /* :scheme http */
	*p++ = 0x04;                             /* :path, literal, not indexed */
	*p++ = (uint8_t)n;
	memcpy(p, path, n);
	p += n;
	memcpy(p,
	       "\x01\x01"
	       "a",
	       3); /* :authority */
	p += 3;
	h2_add(b, HEADERS, flags | END_HEADERS, id, block, (size_t)(p - block));
}

void h2_request(struct h2 *c, uint32_t id, const char *path, uint8_t flags)
{
	struct buf b = { 0 };

	h2_add_request(&b, id, path, flags);
	rig_send(c->g, c->fd, b.p, b.n);
	buf_free(&b);
}

struct seen {
	uint8_t type, flags;
	uint32_t id;
	struct slice payload;
};

/* The frame at *at, which moves behind it; false at the end. */
static bool next_frame(const struct h2 *c, size_t *at, struct seen *f)
{
	const uint8_t *p = c->in.p + *at;
	size_t n;

	if (c->in.n - *at < 9)
		return false;
	n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
	if (c->in.n - *at - 9 < n)
		return false;
	*f = (struct seen){ p[3], p[4], get_be32(p + 5), slice_of(p + 9, n) };
	*at += 9 + n;
	return true;
}

unsigned h2_frames(const struct h2 *c, uint8_t type, uint32_t id, uint8_t flags)
{
	struct seen f;
	unsigned n = 0;

	for (size_t at = 0; next_frame(c, &at, &f);)
		n += f.type == type && f.id == id && (f.flags & flags) == flags;
	return n;
}

size_t h2_data(const struct h2 *c, uint32_t id)
{
	struct seen f;
	size_t n = 0;

	for (size_t at = 0; next_frame(c, &at, &f);)
		n += f.type == DATA && f.id == id ? f.payload.n : 0;
	return n;
}

int64_t h2_reset_code(const struct h2 *c, uint32_t id)
{
	struct seen f;
	int64_t code = -1;

	for (size_t at = 0; next_frame(c, &at, &f);)
		if (f.type == RST_STREAM && f.id == id && f.payload.n == 4)
			code = get_be32(f.payload.p);
	return code;
}

/* The field block of the stream's first HEADERS; empty when none came. */
static struct slice first_block(const struct h2 *c, uint32_t id)
{
	struct seen f;

	for (size_t at = 0; next_frame(c, &at, &f);)
		if (f.type == HEADERS && f.id == id)
			return f.payload;
	return slice_of(NULL, 0);
}

bool h2_headers_hold(const struct h2 *c, uint32_t id, const char *bytes)
{
	struct slice block = first_block(c, id);

	return block.n > 0 && memmem(block.p, block.n, bytes, strlen(bytes)) != NULL;
}

bool h2_headers_begin(const struct h2 *c, uint32_t id, const char *bytes)
{
	struct slice block = first_block(c, id);

	return block.n >= strlen(bytes) && memcmp(block.p, bytes, strlen(bytes)) == 0;
}

bool h2_wait(struct h2 *c, uint8_t type, uint32_t id, uint8_t flags, unsigned ms)
{
	for (unsigned spent = 0; h2_frames(c, type, id, flags) == 0; spent += 5)
		if (spent > ms || rig_closed(c->g, c->fd, &c->in, 5))
			return h2_frames(c, type, id, flags) > 0;
	return true;
}
