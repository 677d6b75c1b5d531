/* SPDX-License-Identifier: Apache-2.0
 *
 * JOB, REFUSE and CANCEL (job.h).
 */
#include "proto/job.h"

#include "proto/wire.h"

#define PARAM_BYTES_MAX 64 /* a member's name, one of ours */

void job_encode(const struct job *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_JOB, m->rid, 14);
	mp_put_u64(&w, m->topic);
	wire_put_key(&w, m->token_hash);
	mp_put_u64(&w, m->endpoint);
	mp_put_u64(&w, m->stack);
	wire_put_key(&w, m->node_key);
	mp_put_text(&w, m->model);
	wire_put_opt_u64(&w, m->has_units, m->units);
	mp_put_bool(&w, m->stream);
	wire_put_key(&w, m->plain_hash);
	wire_put_key(&w, m->body_hash);
	mp_put_u64(&w, m->deadline_ms);
	mp_put_u64(&w, m->input_units);
	wire_put_opt_u64(&w, m->has_max_units, m->max_units);
	mp_put_bool(&w, m->show_usage);
}

enum err job_decode(struct slice bytes, struct job *out)
{
	struct mp_reader r;
	struct job m;
	enum err e = wire_open(&r, bytes, MSG_JOB, m.rid);

	if (e != ERR_OK)
		return e;
	m.topic = mp_u64(&r, UINT64_MAX);
	mp_fixed(&r, m.token_hash, KEY_BYTES);
	m.endpoint = (enum endpoint)wire_enum(&r, EP_COUNT);
	m.stack = mp_u64(&r, ID_MAX);
	mp_fixed(&r, m.node_key, KEY_BYTES);
	m.model = mp_text(&r, 1, MODEL_BYTES_MAX);
	m.units = wire_opt_u64(&r, ID_MAX, &m.has_units);
	m.stream = mp_bool(&r);
	mp_fixed(&r, m.plain_hash, KEY_BYTES);
	mp_fixed(&r, m.body_hash, KEY_BYTES);
	m.deadline_ms = wire_u32(&r);
	m.input_units = mp_u64(&r, ID_MAX);
	m.max_units = wire_opt_u64(&r, ID_MAX, &m.has_max_units);
	m.show_usage = mp_bool(&r);
	if (m.stream && !endpoint_streams(m.endpoint))
		mp_fail(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

void refuse_encode(const struct refuse *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_REFUSE, m->rid, 3 + WIRE_QUOTA_ELEMENTS);
	mp_put_u64(&w, m->error);
	wire_put_opt_text(&w, m->param);
	mp_put_u64(&w, m->retry_after_s);
	wire_put_quota(&w, &m->quota);
}

enum err refuse_decode(struct slice bytes, struct refuse *out)
{
	struct mp_reader r;
	struct refuse m;
	enum err e = wire_open(&r, bytes, MSG_REFUSE, m.rid);

	if (e != ERR_OK)
		return e;
	m.error = wire_err(&r);
	if (m.error == ERR_OK) /* a refusal without a reason still is one */
		m.error = ERR_INTERNAL;
	m.param = wire_opt_text(&r, 1, PARAM_BYTES_MAX);
	m.retry_after_s = wire_u32(&r);
	m.quota = wire_quota(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

void cancel_encode(const struct cancel *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_CANCEL, m->rid, 1);
	mp_put_u64(&w, m->attempt);
}

enum err cancel_decode(struct slice bytes, struct cancel *out)
{
	struct mp_reader r;
	struct cancel m;
	enum err e = wire_open(&r, bytes, MSG_CANCEL, m.rid);

	if (e != ERR_OK)
		return e;
	m.attempt = wire_u32(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

void waiting_encode(const struct waiting_job *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_WAITING, m->rid, 0);
}

enum err waiting_decode(struct slice bytes, struct waiting_job *out)
{
	struct mp_reader r;
	struct waiting_job m;
	enum err e = wire_open(&r, bytes, MSG_WAITING, m.rid);

	if (e == ERR_OK)
		e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}
