/* SPDX-License-Identifier: Apache-2.0
 *
 * WORK, POSTED, ANSWERING, RETURN, INFLIGHT and RECEIPT_WANTED (work.h).
 */
#include "proto/work.h"

#include "proto/wire.h"

static void put_ref(struct mp_writer *w, const struct work_ref *m)
{
	mp_put_u64(w, m->epoch);
	mp_put_u64(w, m->attempt);
}

static void take_ref(struct mp_reader *r, struct work_ref *m)
{
	m->epoch = mp_u64(r, UINT64_MAX);
	m->attempt = wire_u32(r);
}

void work_encode(const struct work *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_WORK, m->rid, 18 + WIRE_QUOTA_ELEMENTS);
	mp_put_u64(&w, m->epoch);
	mp_put_u64(&w, m->attempt);
	mp_put_u64(&w, m->topic);
	mp_put_u64(&w, m->endpoint);
	mp_put_bool(&w, m->stream);
	mp_put_u64(&w, m->user);
	mp_put_u64(&w, m->stack);
	mp_put_u64(&w, m->units);
	mp_put_text(&w, m->model);
	mp_put_u64(&w, m->node);
	mp_put_text(&w, m->address);
	wire_put_key(&w, m->sign_key);
	wire_put_key(&w, m->node_key);
	wire_put_key(&w, m->plain_hash);
	wire_put_key(&w, m->body_hash);
	mp_put_bool(&w, m->receipt_required);
	mp_put_bool(&w, m->show_usage);
	mp_put_bool(&w, m->hold);
	wire_put_quota(&w, &m->quota);
}

enum err work_decode(struct slice bytes, struct work *out)
{
	struct mp_reader r;
	struct work m;
	enum err e = wire_open(&r, bytes, MSG_WORK, m.rid);

	if (e != ERR_OK)
		return e;
	m.epoch = mp_u64(&r, UINT64_MAX);
	m.attempt = wire_u32(&r);
	m.topic = mp_u64(&r, UINT64_MAX);
	m.endpoint = (enum endpoint)wire_enum(&r, EP_COUNT);
	m.stream = mp_bool(&r);
	m.user = mp_u64(&r, ID_MAX);
	m.stack = mp_u64(&r, ID_MAX);
	m.units = mp_u64(&r, ID_MAX);
	m.model = mp_text(&r, 1, MODEL_BYTES_MAX);
	m.node = mp_u64(&r, ID_MAX);
	m.address = mp_text(&r, 1, URL_BYTES_MAX);
	mp_fixed(&r, m.sign_key, KEY_BYTES);
	mp_fixed(&r, m.node_key, KEY_BYTES);
	mp_fixed(&r, m.plain_hash, KEY_BYTES);
	mp_fixed(&r, m.body_hash, KEY_BYTES);
	m.receipt_required = mp_bool(&r);
	m.show_usage = mp_bool(&r);
	m.hold = mp_bool(&r);
	m.quota = wire_quota(&r);
	if (m.attempt == 0 || (m.hold && endpoint_confidential(m.endpoint)) ||
	    (m.stream && !endpoint_streams(m.endpoint)))
		mp_fail(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

/* POSTED and ANSWERING say nothing but whom they mean. */
static void ref_encode(enum msg_type type, const struct work_ref *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, type, m->rid, 2);
	put_ref(&w, m);
}

static enum err ref_decode(enum msg_type type, struct slice bytes, struct work_ref *out)
{
	struct mp_reader r;
	struct work_ref m;
	enum err e = wire_open(&r, bytes, type, m.rid);

	if (e != ERR_OK)
		return e;
	take_ref(&r, &m);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

void posted_encode(const struct work_ref *m, struct buf *out)
{
	ref_encode(MSG_POSTED, m, out);
}

enum err posted_decode(struct slice bytes, struct work_ref *out)
{
	return ref_decode(MSG_POSTED, bytes, out);
}

void answering_encode(const struct work_ref *m, struct buf *out)
{
	ref_encode(MSG_ANSWERING, m, out);
}

enum err answering_decode(struct slice bytes, struct work_ref *out)
{
	return ref_decode(MSG_ANSWERING, bytes, out);
}

void return_encode(const struct work_return *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_RETURN, m->ref.rid, 3);
	put_ref(&w, &m->ref);
	mp_put_u64(&w, m->error);
}

enum err return_decode(struct slice bytes, struct work_return *out)
{
	struct mp_reader r;
	struct work_return m;
	enum err e = wire_open(&r, bytes, MSG_RETURN, m.ref.rid);

	if (e != ERR_OK)
		return e;
	take_ref(&r, &m.ref);
	m.error = wire_err(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

void inflight_encode(const struct inflight *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_INFLIGHT, m->ref.rid, 8);
	put_ref(&w, &m->ref);
	mp_put_u64(&w, m->node);
	mp_put_u64(&w, m->stack);
	mp_put_u64(&w, m->user);
	mp_put_u64(&w, m->units);
	mp_put_u64(&w, m->topic);
	mp_put_bool(&w, m->posted);
}

enum err inflight_decode(struct slice bytes, struct inflight *out)
{
	struct mp_reader r;
	struct inflight m;
	enum err e = wire_open(&r, bytes, MSG_INFLIGHT, m.ref.rid);

	if (e != ERR_OK)
		return e;
	take_ref(&r, &m.ref);
	m.node = mp_u64(&r, ID_MAX);
	m.stack = mp_u64(&r, ID_MAX);
	m.user = mp_u64(&r, ID_MAX);
	m.units = mp_u64(&r, ID_MAX);
	m.topic = mp_u64(&r, UINT64_MAX);
	m.posted = mp_bool(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

void receipt_wanted_encode(const struct receipt_wanted *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_RECEIPT_WANTED, m->ref.rid, 7);
	put_ref(&w, &m->ref);
	mp_put_u64(&w, m->node);
	mp_put_u64(&w, m->stack);
	mp_put_u64(&w, m->units);
	mp_put_text(&w, m->address);
	wire_put_key(&w, m->sign_key);
}

enum err receipt_wanted_decode(struct slice bytes, struct receipt_wanted *out)
{
	struct mp_reader r;
	struct receipt_wanted m;
	enum err e = wire_open(&r, bytes, MSG_RECEIPT_WANTED, m.ref.rid);

	if (e != ERR_OK)
		return e;
	take_ref(&r, &m.ref);
	m.node = mp_u64(&r, ID_MAX);
	m.stack = mp_u64(&r, ID_MAX);
	m.units = mp_u64(&r, ID_MAX);
	m.address = mp_text(&r, 1, URL_BYTES_MAX);
	mp_fixed(&r, m.sign_key, KEY_BYTES);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}
