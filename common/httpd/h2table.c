/* SPDX-License-Identifier: Apache-2.0
 *
 * The table that answers' fields are compressed with (RFC 7541).  libh2o 2.2.5
 * takes 4096 bytes of it whatever the client says, so that one with a smaller
 * table, or with none, cannot read a single answer.  Here the client's size
 * counts, and the first block behind its SETTINGS says so, as it must
 * (section 4.2).  libh2o's call comes here as those in uvguard.c do.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "common/httpd/internal.h"

#define TABLE_SIZE_ID 1
#define TABLE_MAX 4096 /* that of every connection at its beginning, and enough */
#define UPDATE_MAX 4   /* bytes of the two updates */

typedef void (*flatten_fn)(h2o_buffer_t **buf, h2o_hpack_header_table_t *table, uint32_t stream_id,
			   size_t max_frame_size, h2o_res_t *res, h2o_timestamp_t *ts,
			   const h2o_iovec_t *server_name, size_t content_length);

static flatten_fn libh2o_flatten;

static void find_flatten(void)
{
	libh2o_flatten = (flatten_fn)dlsym(RTLD_NEXT, "h2o_hpack_flatten_response");
	BUG_ON(libh2o_flatten == NULL);
}

/* What is in the table goes: its entries need not fit any more, and the client is told the same. */
static void resize(struct conn *c, h2o_hpack_header_table_t *table, uint32_t size)
{
	size = size < TABLE_MAX ? size : TABLE_MAX;
	if (size == table->hpack_capacity)
		return;
	h2o_hpack_dispose_header_table(table);
	memset(table, 0, sizeof(*table));
	table->hpack_capacity = size;
	c->resized = true;
}

void h2_table_settings(struct conn *c, h2o_http2_conn_t *h2, struct slice settings)
{
	for (size_t i = 0; i + 6 <= settings.n; i += 6) {
		const uint8_t *p = settings.p + i;

		if (p[0] == 0 && p[1] == TABLE_SIZE_ID)
			resize(c, &h2->_output_header_table, get_be32(p + 2));
	}
}

/* "None", which empties the client's table, and then the size (section 6.3). */
static size_t updates(uint8_t out[UPDATE_MAX], size_t size)
{
	size_t n = 0;

	out[n++] = 0x20;
	if (size == 0)
		return n;
	if (size < 31) {
		out[n++] = (uint8_t)(0x20 | size);
		return n;
	}
	out[n++] = 0x3f;
	size -= 31; /* TABLE_MAX: two more bytes at most */
	if (size >= 128) {
		out[n++] = (uint8_t)(0x80 | (size & 127));
		size >>= 7;
	}
	out[n++] = (uint8_t)size;
	return n;
}

/* Into the block of the HEADERS frame that begins there. */
static void put_in_front(h2o_buffer_t **buf, size_t frame, const uint8_t *p, size_t n)
{
	size_t block = frame + H2O_HTTP2_FRAME_HEADER_SIZE;
	uint8_t *f;
	uint32_t len;

	h2o_buffer_reserve(buf, n);
	f = (uint8_t *)(*buf)->bytes + frame;
	memmove((*buf)->bytes + block + n, (*buf)->bytes + block, (*buf)->size - block);
	memcpy((*buf)->bytes + block, p, n);
	(*buf)->size += n;
	len = ((uint32_t)f[0] << 16 | (uint32_t)f[1] << 8 | f[2]) + (uint32_t)n;
	f[0] = (uint8_t)(len >> 16);
	f[1] = (uint8_t)(len >> 8);
	f[2] = (uint8_t)len;
}

void h2o_hpack_flatten_response(h2o_buffer_t **buf, h2o_hpack_header_table_t *table, uint32_t stream_id,
				size_t max_frame_size, h2o_res_t *res, h2o_timestamp_t *ts,
				const h2o_iovec_t *server_name, size_t content_length)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const h2o_http2_conn_t *h2 = H2O_STRUCT_FROM_MEMBER(h2o_http2_conn_t, _output_header_table, table);
	struct conn *c = h2->sock->on_close.data;
	size_t frame = (*buf)->size;
	uint8_t said[UPDATE_MAX];

	pthread_once(&once, find_flatten);
	libh2o_flatten(buf, table, stream_id, c->resized ? max_frame_size - UPDATE_MAX : max_frame_size, res,
		       ts, server_name, content_length);
	if (!c->resized)
		return;
	c->resized = false;
	put_in_front(buf, frame, said, updates(said, table->hpack_capacity));
}
