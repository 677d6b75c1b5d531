/* SPDX-License-Identifier: Apache-2.0
 *
 * What all messages have in common (msg.h, wire.h): version and type in front,
 * the names of types and endpoints, optional members.
 */
#include "proto/msg.h"

#include "common/jscan.h"
#include "proto/wire.h"

/* Where the elements begin, 0 for none.  Array heads as the shortest form has them: 1 byte up to 15 elements,
 * else 3. */
static size_t elements_at(struct slice bytes)
{
	if (bytes.n < 4)
		return 0;
	if (bytes.p[0] >= 0x92 && bytes.p[0] <= 0x9f)
		return 1;
	return bytes.p[0] == 0xdc && bytes.n >= 6 ? 3 : 0;
}

unsigned msg_version(struct slice bytes)
{
	return bytes.p[elements_at(bytes)];
}

enum err msg_peek(struct slice bytes, enum msg_type *type)
{
	size_t at = elements_at(bytes);

	if (at == 0 || bytes.p[at] > 0x7f || bytes.p[at + 1] > 0x7f)
		return ERR_FORMAT;
	if (bytes.p[at] != PROTO_VERSION)
		return ERR_VERSION;
	switch (bytes.p[at + 1]) {
#define X(name, number, text) case number:
		MSG_TYPES(X)
#undef X
		*type = (enum msg_type)bytes.p[at + 1];
		return ERR_OK;
	default:
		return ERR_FORMAT;
	}
}

const char *msg_name(enum msg_type type)
{
	switch (type) {
#define X(name, number, text)                                                                                \
	case name:                                                                                           \
		return text;
		MSG_TYPES(X)
#undef X
	}
	return "?";
}

struct endpoint_row {
	const char *path, *name;
	bool confidential, streams;
};

static const struct endpoint_row ENDPOINT_ROWS[EP_COUNT] = { [EP_NONE] = { .path = "", .name = "none" },
#define X(name, number, path, text, conf, stream) [name] = { path, text, conf, stream },
							     ENDPOINTS(X)
#undef X
};

static const struct endpoint_row *row(enum endpoint e)
{
	return &ENDPOINT_ROWS[(unsigned)e < EP_COUNT ? e : EP_NONE];
}

const char *endpoint_path(enum endpoint e)
{
	return row(e)->path;
}

const char *endpoint_name(enum endpoint e)
{
	return row(e)->name;
}

uint8_t endpoint_kind(enum endpoint e)
{
	if ((unsigned)e >= EP_COUNT)
		return 0;
	return (uint8_t)(e > EP_IMAGES ? e - EP_IMAGES : e);
}

bool endpoint_confidential(enum endpoint e)
{
	return row(e)->confidential;
}

bool endpoint_streams(enum endpoint e)
{
	return row(e)->streams;
}

enum endpoint endpoint_of(struct slice path)
{
	for (unsigned e = EP_NONE + 1; e < EP_COUNT; e++)
		if (slice_is(path, ENDPOINT_ROWS[e].path))
			return (enum endpoint)e;
	return EP_NONE;
}

enum err wire_open(struct mp_reader *r, struct slice bytes, enum msg_type type, uint8_t *rid)
{
	enum err e = mp_reader_init(r, bytes);

	if (e != ERR_OK)
		return e;
	if (mp_u64(r, UINT64_MAX) != PROTO_VERSION && !r->bad) {
		mp_reader_fini(r);
		return ERR_VERSION;
	}
	if (mp_u64(r, UINT64_MAX) != type)
		mp_fail(r);
	if (rid)
		mp_fixed(r, rid, RID_BYTES);
	else if (!mp_nil(r))
		mp_fail(r);
	return ERR_OK;
}

enum err wire_close(struct mp_reader *r)
{
	enum err e = mp_done(r);

	mp_reader_fini(r);
	return e;
}

void wire_begin(struct mp_writer *w, struct buf *out, enum msg_type type, const uint8_t *rid, unsigned n)
{
	mp_writer_init(w, out);
	mp_put_array(w, n + 3);
	mp_put_u64(w, PROTO_VERSION);
	mp_put_u64(w, type);
	if (rid)
		mp_put_bin(w, slice_of(rid, RID_BYTES));
	else
		mp_put_nil(w);
}

struct slice wire_opt_bin(struct mp_reader *r, size_t min, size_t max)
{
	return mp_nil(r) ? slice_of(NULL, 0) : mp_bin(r, min, max);
}

struct slice wire_opt_text(struct mp_reader *r, size_t min, size_t max)
{
	return mp_nil(r) ? slice_of(NULL, 0) : mp_text(r, min, max);
}

void wire_put_opt_bin(struct mp_writer *w, struct slice s)
{
	if (s.n > 0)
		mp_put_bin(w, s);
	else
		mp_put_nil(w);
}

void wire_put_opt_text(struct mp_writer *w, struct slice s)
{
	if (s.n > 0)
		mp_put_text(w, s);
	else
		mp_put_nil(w);
}

uint64_t wire_opt_u64(struct mp_reader *r, uint64_t max, bool *has)
{
	*has = !mp_nil(r);
	return *has ? mp_u64(r, max) : 0;
}

void wire_put_opt_u64(struct mp_writer *w, bool has, uint64_t v)
{
	if (has)
		mp_put_u64(w, v);
	else
		mp_put_nil(w);
}

unsigned wire_enum(struct mp_reader *r, unsigned max)
{
	uint64_t v = mp_u64(r, max - 1);

	if (v == 0)
		mp_fail(r);
	return (unsigned)v;
}

enum err wire_err(struct mp_reader *r)
{
	uint64_t v = mp_u64(r, UINT32_MAX);

	return v < ERR_COUNT ? (enum err)v : ERR_INTERNAL;
}

uint32_t wire_u32(struct mp_reader *r)
{
	return (uint32_t)mp_u64(r, UINT32_MAX);
}

struct quota wire_quota(struct mp_reader *r)
{
	struct quota q;

	q.limit = mp_u64(r, ID_MAX);
	q.remaining = mp_u64(r, ID_MAX);
	q.reset_s = wire_u32(r);
	if (q.remaining > q.limit || (q.limit == 0 && q.reset_s))
		mp_fail(r);
	return q;
}

void wire_put_quota(struct mp_writer *w, const struct quota *q)
{
	mp_put_u64(w, q->limit);
	mp_put_u64(w, q->remaining);
	mp_put_u64(w, q->reset_s);
}

void wire_put_key(struct mp_writer *w, const uint8_t key[KEY_BYTES])
{
	mp_put_bin(w, slice_of(key, KEY_BYTES));
}

bool msg_text_ok(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	}
	return jscan_is_text(s);
}
