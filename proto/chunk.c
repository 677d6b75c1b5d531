/* SPDX-License-Identifier: Apache-2.0
 *
 * CHUNK and CREDIT (chunk.h).  The topic and the length of the header stand in
 * front of the msgpack part as fixed bytes, because ZeroMQ matches on the
 * first bytes and the payload follows without a copy.
 */
#include "proto/chunk.h"

#include "proto/wire.h"

void chunk_encode(const struct chunk *m, struct buf *out)
{
	size_t start = out->n, header;
	struct mp_writer w;

	buf_reserve(out, CHUNK_PREFIX_BYTES + 128 + m->payload.n);
	out->n += CHUNK_PREFIX_BYTES;
	wire_begin(&w, out, MSG_CHUNK, m->rid, 8 + WIRE_QUOTA_ELEMENTS);
	mp_put_u64(&w, m->epoch);
	mp_put_u64(&w, m->attempt);
	mp_put_u64(&w, m->seq);
	mp_put_u64(&w, m->kind);
	mp_put_u64(&w, m->worker);
	mp_put_u64(&w, m->length);
	mp_put_u64(&w, m->error);
	mp_put_u64(&w, m->retry_after_s);
	wire_put_quota(&w, &m->quota);
	header = out->n - start - CHUNK_PREFIX_BYTES;
	put_be64(out->p + start, m->topic);
	out->p[start + CHUNK_TOPIC_BYTES] = (uint8_t)(header >> 8);
	out->p[start + CHUNK_TOPIC_BYTES + 1] = (uint8_t)header;
	buf_add(out, m->payload.p, m->payload.n);
}

/* Members that only some kinds have are zero in the others. */
static bool kind_agrees(const struct chunk *m)
{
	if (m->kind != CHUNK_HEAD && m->length > 0)
		return false;
	if (m->kind != CHUNK_DATA && m->payload.n > 0)
		return false;
	if (m->kind != CHUNK_ERROR && m->retry_after_s > 0)
		return false;
	if (m->kind != CHUNK_HEAD && m->kind != CHUNK_ERROR && m->quota.limit > 0)
		return false;
	return (m->kind == CHUNK_ERROR) == (m->error != ERR_OK);
}

static enum err header_decode(struct slice bytes, struct chunk *m)
{
	struct mp_reader r;
	enum err e = wire_open(&r, bytes, MSG_CHUNK, m->rid);

	if (e != ERR_OK)
		return e;
	m->epoch = mp_u64(&r, UINT64_MAX);
	m->attempt = wire_u32(&r);
	m->seq = wire_u32(&r);
	m->kind = (enum chunk_kind)wire_enum(&r, CHUNK_ERROR + 1);
	m->worker = mp_u64(&r, UINT64_MAX);
	m->length = mp_u64(&r, ID_MAX);
	m->error = wire_err(&r);
	m->retry_after_s = wire_u32(&r);
	m->quota = wire_quota(&r);
	return wire_close(&r);
}

enum err chunk_decode(struct slice frame, struct chunk *out)
{
	struct chunk m;
	size_t header;
	enum err e;

	if (frame.n < CHUNK_PREFIX_BYTES)
		return ERR_FORMAT;
	m.topic = get_be64(frame.p);
	header = (size_t)frame.p[CHUNK_TOPIC_BYTES] << 8 | frame.p[CHUNK_TOPIC_BYTES + 1];
	if (header > frame.n - CHUNK_PREFIX_BYTES)
		return ERR_FORMAT;
	m.payload = slice_of(frame.p + CHUNK_PREFIX_BYTES + header, frame.n - CHUNK_PREFIX_BYTES - header);
	if (m.payload.n > CHUNK_BYTES_MAX)
		return ERR_FORMAT;
	e = header_decode(slice_of(frame.p + CHUNK_PREFIX_BYTES, header), &m);
	if (e != ERR_OK)
		return e;
	if (!kind_agrees(&m))
		return ERR_FORMAT;
	*out = m;
	return ERR_OK;
}

void credit_encode(const struct credit *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_CREDIT, m->rid, 2);
	mp_put_u64(&w, m->attempt);
	mp_put_u64(&w, m->bytes);
}

enum err credit_decode(struct slice bytes, struct credit *out)
{
	struct mp_reader r;
	struct credit m;
	enum err e = wire_open(&r, bytes, MSG_CREDIT, m.rid);

	if (e != ERR_OK)
		return e;
	m.attempt = wire_u32(&r);
	m.bytes = wire_u32(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}
