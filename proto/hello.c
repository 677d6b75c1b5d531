/* SPDX-License-Identifier: Apache-2.0
 *
 * HELLO, WELCOME, PING, PONG and BYE (hello.h).
 */
#include "proto/hello.h"

#include "proto/wire.h"

#define NAME_BYTES_MAX 64
#define VERSION_BYTES_MAX 32

void hello_encode(const struct hello *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_HELLO, NULL, 8);
	mp_put_u64(&w, m->role);
	mp_put_u64(&w, m->instance);
	mp_put_text(&w, m->name);
	mp_put_text(&w, m->version);
	mp_put_text(&w, m->endpoint);
	wire_put_opt_bin(&w, m->key);
	mp_put_u64(&w, m->capacity);
	mp_put_u64(&w, m->inflight);
}

enum err hello_decode(struct slice bytes, struct hello *out)
{
	struct mp_reader r;
	struct hello m;
	enum err e = wire_open(&r, bytes, MSG_HELLO, NULL);

	if (e != ERR_OK)
		return e;
	m.role = (enum role)wire_enum(&r, ROLE_MAX);
	m.instance = mp_u64(&r, UINT64_MAX);
	m.name = mp_text(&r, 0, NAME_BYTES_MAX);
	m.version = mp_text(&r, 0, VERSION_BYTES_MAX);
	m.endpoint = mp_text(&r, 0, ENDPOINT_BYTES_MAX);
	m.key = wire_opt_bin(&r, KEY_BYTES, KEY_BYTES);
	m.capacity = wire_u32(&r);
	m.inflight = wire_u32(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

void welcome_encode(const struct welcome *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_WELCOME, NULL, 4);
	mp_put_u64(&w, m->epoch);
	mp_put_u64(&w, m->instance);
	mp_put_u64(&w, m->interval_ms);
	mp_put_u64(&w, m->member);
}

enum err welcome_decode(struct slice bytes, struct welcome *out)
{
	struct mp_reader r;
	struct welcome m;
	enum err e = wire_open(&r, bytes, MSG_WELCOME, NULL);

	if (e != ERR_OK)
		return e;
	m.epoch = mp_u64(&r, UINT64_MAX);
	m.instance = mp_u64(&r, UINT64_MAX);
	m.interval_ms = wire_u32(&r);
	m.member = mp_u64(&r, UINT64_MAX);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

static void beat_encode(enum msg_type type, const struct ping *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, type, NULL, 4);
	mp_put_u64(&w, m->instance);
	mp_put_u64(&w, m->epoch);
	mp_put_u64(&w, m->load);
	mp_put_bool(&w, m->draining);
}

static enum err beat_decode(enum msg_type type, struct slice bytes, struct ping *out)
{
	struct mp_reader r;
	struct ping m;
	enum err e = wire_open(&r, bytes, type, NULL);

	if (e != ERR_OK)
		return e;
	m.instance = mp_u64(&r, UINT64_MAX);
	m.epoch = mp_u64(&r, UINT64_MAX);
	m.load = wire_u32(&r);
	m.draining = mp_bool(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

void ping_encode(const struct ping *m, struct buf *out)
{
	beat_encode(MSG_PING, m, out);
}

enum err ping_decode(struct slice bytes, struct ping *out)
{
	return beat_decode(MSG_PING, bytes, out);
}

void pong_encode(const struct ping *m, struct buf *out)
{
	beat_encode(MSG_PONG, m, out);
}

enum err pong_decode(struct slice bytes, struct ping *out)
{
	return beat_decode(MSG_PONG, bytes, out);
}

void bye_encode(const struct bye *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_BYE, NULL, 1);
	mp_put_u64(&w, m->instance);
}

enum err bye_decode(struct slice bytes, struct bye *out)
{
	struct mp_reader r;
	struct bye m;
	enum err e = wire_open(&r, bytes, MSG_BYE, NULL);

	if (e != ERR_OK)
		return e;
	m.instance = mp_u64(&r, UINT64_MAX);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}
