/* SPDX-License-Identifier: Apache-2.0
 *
 * Images of the echo engine: a PNG (ISO 15948) of 16 x 16 true-colour pixels in
 * one stored (uncompressed) deflate block, so that no compression library is
 * needed.  The upper colour fades into the lower one; both come from the text.
 */
#include "node/echo.h"

#include "common/hash.h"

#define SIDE 16

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
	uint32_t c = 0xffffffff;

	for (size_t i = 0; i < n; i++) {
		c ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
	}
	return ~c;
}

static uint32_t adler32_of(const uint8_t *p, size_t n)
{
	uint32_t a = 1, b = 0;

	for (size_t i = 0; i < n; i++) {
		a = (a + p[i]) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

static void add_be32(struct buf *out, uint32_t v)
{
	uint8_t b[4];

	put_be32(b, v);
	buf_add(out, b, sizeof(b));
}

static void add_chunk(struct buf *out, const char *type, struct slice data)
{
	size_t from;

	add_be32(out, (uint32_t)data.n);
	from = out->n;
	buf_str(out, type);
	buf_add(out, data.p, data.n);
	add_be32(out, crc32_of(out->p + from, out->n - from));
}

static void add_pixels(struct buf *out, const uint8_t h[HASH_BYTES])
{
	for (unsigned y = 0; y < SIDE; y++) {
		buf_add(out, "", 1); /* filter: none */
		for (unsigned x = 0; x < SIDE; x++) {
			for (unsigned c = 0; c < 3; c++) {
				uint8_t v = (uint8_t)((h[c] * (SIDE - y) + h[3 + c] * y) / SIDE);

				buf_add(out, &v, 1);
			}
		}
	}
}

static void add_deflated(struct buf *out, struct slice raw)
{
	const uint8_t head[] = { 0x78,
				 0x01,
				 0x01,
				 (uint8_t)raw.n,
				 (uint8_t)(raw.n >> 8),
				 (uint8_t)~raw.n,
				 (uint8_t)(~raw.n >> 8) };

	buf_add(out, head, sizeof(head));
	buf_add(out, raw.p, raw.n);
	add_be32(out, adler32_of(raw.p, raw.n));
}

void echo_png(struct slice text, struct buf *out)
{
	static const uint8_t magic[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
	static const uint8_t header[] = { 0, 0, 0, SIDE, 0, 0, 0, SIDE, 8, 2, 0, 0, 0 };
	struct buf raw = { 0 }, z = { 0 };
	uint8_t h[HASH_BYTES];

	hash(h, text);
	add_pixels(&raw, h);
	add_deflated(&z, buf_slice(&raw));
	buf_add(out, magic, sizeof(magic));
	add_chunk(out, "IHDR", slice_of(header, sizeof(header)));
	add_chunk(out, "IDAT", buf_slice(&z));
	add_chunk(out, "IEND", slice_of(NULL, 0));
	buf_free(&raw);
	buf_free(&z);
}
