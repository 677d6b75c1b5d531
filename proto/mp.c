/* SPDX-License-Identifier: Apache-2.0
 *
 * msgpack, guarded (mp.h).  The guard walks the bytes before msgpack-c does:
 * every declared count fits in what remains, nesting is at most MP_DEPTH_MAX,
 * only the types that messages use occur, each in its shortest spelling, and
 * nothing follows.  It also counts the elements, so that the tree's memory is
 * known beforehand: small trees live inside the reader, without an allocation.
 */
#include "proto/mp.h"

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

enum form_kind { FORM_NONE, FORM_LEAF, FORM_BYTES, FORM_ARRAY, FORM_MAP };

/* The head of one element: a type byte with a number of width bytes behind. */
struct form {
	uint8_t kind;
	uint8_t width;
	uint32_t least;   /* smaller numbers have a shorter spelling */
	bool least_is_33; /* least is 2^32, which does not fit above */
};

static const struct form FORMS[] = {
	[0xc0 - 0xc0] = { .kind = FORM_LEAF },
	[0xc2 - 0xc0] = { .kind = FORM_LEAF },
	[0xc3 - 0xc0] = { .kind = FORM_LEAF },
	[0xc4 - 0xc0] = { .kind = FORM_BYTES, .width = 1 },
	[0xc5 - 0xc0] = { .kind = FORM_BYTES, .width = 2, .least = 256 },
	[0xc6 - 0xc0] = { .kind = FORM_BYTES, .width = 4, .least = 65536 },
	[0xcc - 0xc0] = { .kind = FORM_LEAF, .width = 1, .least = 128 },
	[0xcd - 0xc0] = { .kind = FORM_LEAF, .width = 2, .least = 256 },
	[0xce - 0xc0] = { .kind = FORM_LEAF, .width = 4, .least = 65536 },
	[0xcf - 0xc0] = { .kind = FORM_LEAF, .width = 8, .least_is_33 = true },
	[0xd9 - 0xc0] = { .kind = FORM_BYTES, .width = 1, .least = 32 },
	[0xda - 0xc0] = { .kind = FORM_BYTES, .width = 2, .least = 256 },
	[0xdb - 0xc0] = { .kind = FORM_BYTES, .width = 4, .least = 65536 },
	[0xdc - 0xc0] = { .kind = FORM_ARRAY, .width = 2, .least = 16 },
	[0xdd - 0xc0] = { .kind = FORM_ARRAY, .width = 4, .least = 65536 },
	[0xde - 0xc0] = { .kind = FORM_MAP, .width = 2, .least = 16 },
	[0xdf - 0xc0] = { .kind = FORM_MAP, .width = 4, .least = 65536 },
};

/* What the guard knows while it walks. */
struct walk {
	struct slice rest;
	uint32_t left[MP_DEPTH_MAX]; /* elements still to come, per level */
	unsigned depth;
	size_t elements;
};

/* Type bytes that hold their number themselves. */
static enum form_kind short_form(uint8_t b, uint64_t *v)
{
	if (b < 0x80)
		return FORM_LEAF;
	*v = b & 0x0f;
	if (b < 0x90)
		return FORM_MAP;
	if (b < 0xa0)
		return FORM_ARRAY;
	*v = b & 0x1f;
	return FORM_BYTES;
}

static enum form_kind long_form(struct walk *w, uint8_t b, uint64_t *v)
{
	const struct form *f;

	if (b > 0xdf)
		return FORM_NONE;
	f = &FORMS[b - 0xc0];
	if (w->rest.n < f->width)
		return FORM_NONE;
	for (unsigned i = 0; i < f->width; i++)
		*v = *v << 8 | w->rest.p[i];
	w->rest.p += f->width;
	w->rest.n -= f->width;
	if (*v < (f->least_is_33 ? UINT64_C(1) << 32 : f->least))
		return FORM_NONE;
	return f->kind;
}

/* Takes the head of the next element; *v is its number (length or count). */
static enum form_kind walk_head(struct walk *w, uint64_t *v)
{
	uint8_t b;

	*v = 0;
	if (w->rest.n == 0)
		return FORM_NONE;
	b = w->rest.p[0];
	w->rest.p++;
	w->rest.n--;
	return b < 0xc0 ? short_form(b, v) : long_form(w, b, v);
}

static bool walk_enter(struct walk *w, uint64_t n)
{
	if (n > w->rest.n || n > MP_ELEMENTS_MAX - w->elements || w->depth == MP_DEPTH_MAX)
		return false;
	w->elements += n;
	w->left[w->depth++] = (uint32_t)n;
	return true;
}

static bool walk_one(struct walk *w)
{
	uint64_t v;

	switch (walk_head(w, &v)) {
	case FORM_LEAF:
		return true;
	case FORM_BYTES:
		if (v > w->rest.n)
			return false;
		w->rest.p += v;
		w->rest.n -= v;
		return true;
	case FORM_ARRAY:
		return walk_enter(w, v);
	case FORM_MAP:
		return v <= MP_ELEMENTS_MAX && walk_enter(w, 2 * v);
	default:
		return false;
	}
}

/* True if bytes are exactly one well-formed element; *elements counts all
 * those inside containers. */
static bool guard(struct slice bytes, size_t *elements)
{
	struct walk w = { .rest = bytes };

	if (!walk_one(&w))
		return false;
	while (w.depth > 0) {
		if (w.left[w.depth - 1] == 0) {
			w.depth--;
			continue;
		}
		w.left[w.depth - 1]--;
		if (!walk_one(&w))
			return false;
	}
	*elements = w.elements;
	return w.rest.n == 0;
}

/* Builds the tree: in the reader's own memory if it fits, else in a zone that
 * is large enough for all of it. */
static bool unpack(struct mp_reader *r, struct slice bytes, size_t elements, msgpack_object *top)
{
	size_t need = elements * sizeof(msgpack_object);
	msgpack_zone own = { .chunk_list = { .free = sizeof(r->store), .ptr = (char *)r->store },
			     .chunk_size = sizeof(r->store) };
	msgpack_zone *zone = &own;
	size_t off = 0;

	if (need > sizeof(r->store)) {
		zone = r->zone = msgpack_zone_new(need + 64);
		BUG_ON(!zone);
	}
	return msgpack_unpack((const char *)bytes.p, bytes.n, &off, zone, top) == MSGPACK_UNPACK_SUCCESS &&
	       off == bytes.n;
}

static enum err reader_start(struct mp_reader *r, struct slice bytes, msgpack_object_type want)
{
	msgpack_object top;
	size_t elements;

	r->depth = 0;
	r->bad = false;
	r->zone = NULL;
	if (!guard(bytes, &elements))
		return ERR_FORMAT;
	if (!unpack(r, bytes, elements, &top) || top.type != want) {
		mp_reader_fini(r);
		return ERR_FORMAT;
	}
	r->depth = 1;
	if (want == MSGPACK_OBJECT_MAP)
		r->level[0] = (struct mp_level){ top.via.map.ptr, 2 * top.via.map.size };
	else
		r->level[0] = (struct mp_level){ top.via.array.ptr, top.via.array.size };
	return ERR_OK;
}

enum err mp_reader_init(struct mp_reader *r, struct slice bytes)
{
	return reader_start(r, bytes, MSGPACK_OBJECT_ARRAY);
}

enum err mp_reader_init_map(struct mp_reader *r, struct slice bytes)
{
	return reader_start(r, bytes, MSGPACK_OBJECT_MAP);
}

void mp_reader_fini(struct mp_reader *r)
{
	msgpack_zone_free(r->zone);
	r->zone = NULL;
}

void mp_fail(struct mp_reader *r)
{
	r->bad = true;
}

/* The next element without taking it, or NULL when there is none. */
static const msgpack_object *peek(struct mp_reader *r)
{
	if (r->bad || r->level[r->depth - 1].left == 0)
		return NULL;
	return r->level[r->depth - 1].next;
}

/* Takes the next element if it has this type; else r is bad. */
static const msgpack_object *take(struct mp_reader *r, msgpack_object_type type)
{
	const msgpack_object *o = peek(r);

	if (!o || o->type != type) {
		r->bad = true;
		return NULL;
	}
	r->level[r->depth - 1].next = o + 1;
	r->level[r->depth - 1].left--;
	return o;
}

uint64_t mp_u64(struct mp_reader *r, uint64_t max)
{
	const msgpack_object *o = take(r, MSGPACK_OBJECT_POSITIVE_INTEGER);

	if (!o)
		return 0;
	if (o->via.u64 > max) {
		r->bad = true;
		return 0;
	}
	return o->via.u64;
}

bool mp_bool(struct mp_reader *r)
{
	const msgpack_object *o = take(r, MSGPACK_OBJECT_BOOLEAN);

	return o && o->via.boolean;
}

bool mp_nil(struct mp_reader *r)
{
	const msgpack_object *o = peek(r);

	return o && o->type == MSGPACK_OBJECT_NIL && take(r, MSGPACK_OBJECT_NIL);
}

struct slice mp_bin(struct mp_reader *r, size_t min, size_t max)
{
	const msgpack_object *o = take(r, MSGPACK_OBJECT_BIN);

	if (!o)
		return slice_of(NULL, 0);
	if (o->via.bin.size < min || o->via.bin.size > max) {
		r->bad = true;
		return slice_of(NULL, 0);
	}
	return slice_of(o->via.bin.ptr, o->via.bin.size);
}

void mp_fixed(struct mp_reader *r, void *out, size_t n)
{
	struct slice s = mp_bin(r, n, n);

	if (s.n == n && n > 0)
		memcpy(out, s.p, n);
	else
		memset(out, 0, n);
}

struct slice mp_text(struct mp_reader *r, size_t min, size_t max)
{
	const msgpack_object *o = take(r, MSGPACK_OBJECT_STR);
	struct slice s;

	if (!o)
		return slice_of(NULL, 0);
	s = slice_of(o->via.str.ptr, o->via.str.size);
	if (s.n < min || s.n > max || (s.n > 0 && memchr(s.p, 0, s.n))) {
		r->bad = true;
		return slice_of(NULL, 0);
	}
	return s;
}

unsigned mp_array(struct mp_reader *r, unsigned max)
{
	const msgpack_object *o = take(r, MSGPACK_OBJECT_ARRAY);

	if (!o)
		return 0;
	if (o->via.array.size > max || r->depth == MP_DEPTH_MAX) {
		r->bad = true;
		return 0;
	}
	r->level[r->depth++] = (struct mp_level){ o->via.array.ptr, o->via.array.size };
	return o->via.array.size;
}

void mp_leave(struct mp_reader *r)
{
	if (r->bad)
		return;
	BUG_ON(r->depth < 2);
	if (r->level[--r->depth].left > 0)
		r->bad = true;
}

void mp_key(struct mp_reader *r, const char *name)
{
	if (!slice_is(mp_text(r, 1, 64), name))
		r->bad = true;
}

enum err mp_done(struct mp_reader *r)
{
	return !r->bad && r->depth == 1 && r->level[0].left == 0 ? ERR_OK : ERR_FORMAT;
}

static int on_write(void *data, const char *p, size_t n)
{
	buf_add(data, p, n);
	return 0;
}

static msgpack_packer packer(struct mp_writer *w)
{
	return (msgpack_packer){ .data = w->out, .callback = on_write };
}

void mp_writer_init(struct mp_writer *w, struct buf *out)
{
	w->out = out;
}

void mp_put_u64(struct mp_writer *w, uint64_t v)
{
	msgpack_packer p = packer(w);

	msgpack_pack_uint64(&p, v);
}

void mp_put_bool(struct mp_writer *w, bool v)
{
	msgpack_packer p = packer(w);

	if (v)
		msgpack_pack_true(&p);
	else
		msgpack_pack_false(&p);
}

void mp_put_nil(struct mp_writer *w)
{
	msgpack_packer p = packer(w);

	msgpack_pack_nil(&p);
}

void mp_put_bin(struct mp_writer *w, struct slice s)
{
	msgpack_packer p = packer(w);

	msgpack_pack_bin(&p, s.n);
	if (s.n > 0)
		msgpack_pack_bin_body(&p, s.p, s.n);
}

void mp_put_text(struct mp_writer *w, struct slice s)
{
	msgpack_packer p = packer(w);

	msgpack_pack_str(&p, s.n);
	if (s.n > 0)
		msgpack_pack_str_body(&p, s.p, s.n);
}

void mp_put_array(struct mp_writer *w, unsigned n)
{
	msgpack_packer p = packer(w);

	msgpack_pack_array(&p, n);
}

void mp_put_map(struct mp_writer *w, unsigned n)
{
	msgpack_packer p = packer(w);

	msgpack_pack_map(&p, n);
}
