/* SPDX-License-Identifier: Apache-2.0
 *
 * PROBE and PROBED (probe.h).
 */
#include "proto/probe.h"

#include "proto/wire.h"

void probe_encode(const struct probe *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_PROBE, m->rid, 4);
	mp_put_u64(&w, m->epoch);
	mp_put_u64(&w, m->node);
	mp_put_text(&w, m->address);
	mp_put_u64(&w, m->timeout_ms);
}

enum err probe_decode(struct slice bytes, struct probe *out)
{
	struct mp_reader r;
	struct probe m;
	enum err e = wire_open(&r, bytes, MSG_PROBE, m.rid);

	if (e != ERR_OK)
		return e;
	m.epoch = mp_u64(&r, UINT64_MAX);
	m.node = mp_u64(&r, ID_MAX);
	m.address = mp_text(&r, 1, URL_BYTES_MAX);
	m.timeout_ms = (uint32_t)mp_u64(&r, PROBE_MS_MAX);
	if (m.timeout_ms == 0)
		mp_fail(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

void probed_encode(const struct probed *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_PROBED, m->rid, 4);
	mp_put_u64(&w, m->epoch);
	mp_put_u64(&w, m->node);
	mp_put_u64(&w, m->result);
	mp_put_u64(&w, m->latency_us);
}

enum err probed_decode(struct slice bytes, struct probed *out)
{
	struct mp_reader r;
	struct probed m;
	enum err e = wire_open(&r, bytes, MSG_PROBED, m.rid);

	if (e != ERR_OK)
		return e;
	m.epoch = mp_u64(&r, UINT64_MAX);
	m.node = mp_u64(&r, ID_MAX);
	m.result = (enum probe_result)wire_enum(&r, PROBE_RESULT_MAX);
	m.latency_us = wire_u32(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}
