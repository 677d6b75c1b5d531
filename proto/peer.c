/* SPDX-License-Identifier: Apache-2.0
 *
 * PEER, PEER_OK, INTRO and HEARD (peer.h).
 */
#include "proto/peer.h"

#include "proto/wire.h"

void peer_encode(const struct peer *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_PEER, NULL, 3);
	mp_put_u64(&w, m->topic);
	wire_put_opt_bin(&w, m->key);
	mp_put_bool(&w, m->present);
}

enum err peer_decode(struct slice bytes, struct peer *out)
{
	struct mp_reader r;
	struct peer m;
	enum err e = wire_open(&r, bytes, MSG_PEER, NULL);

	if (e != ERR_OK)
		return e;
	m.topic = mp_u64(&r, UINT64_MAX);
	m.key = wire_opt_bin(&r, KEY_BYTES, KEY_BYTES);
	m.present = mp_bool(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

static void seen_encode(enum msg_type type, const struct heard *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, type, NULL, 2);
	mp_put_u64(&w, m->topic);
	mp_put_bool(&w, m->present);
}

static enum err seen_decode(enum msg_type type, struct slice bytes, struct heard *out)
{
	struct mp_reader r;
	struct heard m;
	enum err e = wire_open(&r, bytes, type, NULL);

	if (e != ERR_OK)
		return e;
	m.topic = mp_u64(&r, UINT64_MAX);
	m.present = mp_bool(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

void peer_ok_encode(uint64_t topic, struct buf *out)
{
	seen_encode(MSG_PEER_OK, &(struct heard){ .topic = topic, .present = true }, out);
}

enum err peer_ok_decode(struct slice bytes, uint64_t *topic)
{
	struct heard m;
	enum err e = seen_decode(MSG_PEER_OK, bytes, &m);

	if (e == ERR_OK && !m.present)
		e = ERR_FORMAT;
	if (e == ERR_OK)
		*topic = m.topic;
	return e;
}

void heard_encode(const struct heard *m, struct buf *out)
{
	seen_encode(MSG_HEARD, m, out);
}

enum err heard_decode(struct slice bytes, struct heard *out)
{
	return seen_decode(MSG_HEARD, bytes, out);
}

void intro_encode(const struct intro *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_INTRO, NULL, 4);
	mp_put_u64(&w, m->worker);
	mp_put_text(&w, m->endpoint);
	wire_put_opt_bin(&w, m->key);
	mp_put_bool(&w, m->present);
}

enum err intro_decode(struct slice bytes, struct intro *out)
{
	struct mp_reader r;
	struct intro m;
	enum err e = wire_open(&r, bytes, MSG_INTRO, NULL);

	if (e != ERR_OK)
		return e;
	m.worker = mp_u64(&r, UINT64_MAX);
	m.endpoint = mp_text(&r, 0, ENDPOINT_BYTES_MAX);
	m.key = wire_opt_bin(&r, KEY_BYTES, KEY_BYTES);
	m.present = mp_bool(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}
