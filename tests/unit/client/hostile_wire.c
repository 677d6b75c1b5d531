/* SPDX-License-Identifier: Apache-2.0
 *
 * The hostile gateway's answers as bytes (hostile_gateway.h), in every framing that
 * HTTP has.
 */
#include <string.h>

#include "hostile_gateway.h"

static void put_chunks(unsigned *dice, bool wrong, struct slice body, struct buf *out)
{
	size_t bad = wrong ? hostile_dice(dice, (unsigned)body.n + 1) : SIZE_MAX, done = 0;

	while (body.n && done <= bad) {
		size_t n =
			1 + hostile_dice(dice, (unsigned)(hostile_dice(dice, 3) ? body.n : body.n / 8 + 1));

		n = n > body.n ? body.n : n;
		buf_fmt(out, hostile_dice(dice, 6) ? "%zx\r\n" : "%zX ;x=\"0\"\r\n", n);
		buf_add(out, body.p, n);
		buf_str(out, "\r\n");
		body = slice_of(body.p + n, body.n - n);
		done += n;
	}
	if (wrong)
		buf_str(out, "none\r\n");
	else
		buf_str(out, hostile_dice(dice, 4)
				     ? "0\r\n\r\n"
				     : "0\r\nX-End: 1\r\nContent-Type: text/plain\r\nRetry-After: 1\r\n\r\n");
}

static void put_interim(unsigned *dice, struct buf *out)
{
	unsigned n = hostile_dice(dice, 5) ? 0 : hostile_dice(dice, 4);

	for (; n; n--)
		buf_fmt(out, "HTTP/1.1 10%u Wait\r\nContent-Type: text/plain\r\nRetry-After: 9\r\n\r\n",
			hostile_dice(dice, 2) * 3);
}

static void put_length(unsigned *dice, const struct reply *r, bool *keep, struct buf *out)
{
	if (r->d.status == 204) {
		buf_str(out, "\r\n");
		return;
	}
	if (r->d.evil == EVIL_UNBOUNDED) {
		*keep = false;
		buf_str(out, hostile_dice(dice, 2) ? "Connection: close\r\n\r\n" : "\r\n");
		buf_add(out, r->body.p, r->body.n);
		return;
	}
	if (r->d.evil == EVIL_CHUNK || hostile_dice(dice, 2)) {
		buf_str(out, hostile_dice(dice, 2) ? "Transfer-Encoding: chunked\r\n\r\n"
						   : "transfer-encoding:  CHUNKED \r\n\r\n");
		put_chunks(dice, r->d.evil == EVIL_CHUNK, buf_slice(&r->body), out);
		return;
	}
	buf_fmt(out, hostile_dice(dice, 2) ? "Content-Length: %zu\r\n\r\n" : "content-length:%zu\r\n\r\n",
		r->body.n);
	buf_add(out, r->body.p, r->body.n);
}

static void put_garbage(unsigned *dice, struct buf *out)
{
	static const char *const garbage[] = {
		"220 mail.example ESMTP\r\n",
		"HTTP/1.1\r\n\r\n",
		"HTTP/9.7 200 OK\r\n\r\n",
		"\x15\x03\x01",
		"<html>no</html>",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 90000\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"
	};

	buf_str(out, garbage[hostile_dice(dice, 7)]);
}

size_t hostile_http1(unsigned *dice, struct reply *r, bool *keep, struct buf *out)
{
	unsigned lines = hostile_dice(dice, 10) ? hostile_dice(dice, 5) : hostile_dice(dice, 2000);
	size_t first;

	if (r->d.evil == EVIL_GARBAGE) {
		*keep = false;
		put_garbage(dice, out);
		return SIZE_MAX;
	}
	put_interim(dice, out);
	buf_fmt(out, "HTTP/1.1 %d %s\r\n", r->d.status, hostile_dice(dice, 2) ? "Word" : "");
	first = (size_t)((uint8_t *)memchr(out->p, '\n', out->n) - out->p) + 1;
	buf_fmt(out, "%s: %s\r\n%s", hostile_dice(dice, 2) ? "Content-Type" : "CONTENT-TYPE", r->type,
		r->headers);
	for (; lines; lines--)
		buf_fmt(out, "X-%u: some thing or other\r\n", lines);
	if (!*keep && hostile_dice(dice, 2))
		buf_str(out, "Connection: close\r\n");
	put_length(dice, r, keep, out);
	return first;
}
