/* SPDX-License-Identifier: Apache-2.0
 *
 * SETTLE and SETTLED (settle.h).
 */
#include "proto/settle.h"

#include "proto/receipt.h"
#include "proto/wire.h"

void settle_encode(const struct settle *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_SETTLE, m->rid, 15);
	mp_put_u64(&w, m->epoch);
	mp_put_u64(&w, m->attempt);
	mp_put_u64(&w, m->node);
	mp_put_u64(&w, m->outcome);
	mp_put_u64(&w, m->error);
	wire_put_opt_bin(&w, m->receipt);
	wire_put_opt_text(&w, m->signature);
	wire_put_opt_bin(&w, m->transcript);
	mp_put_bool(&w, m->has_usage);
	mp_put_u64(&w, m->prompt);
	mp_put_u64(&w, m->completion);
	mp_put_bool(&w, m->key_unknown);
	mp_put_u64(&w, m->chunks);
	mp_put_u64(&w, m->bytes);
	mp_put_bool(&w, m->untold);
}

enum err settle_decode(struct slice bytes, struct settle *out)
{
	struct mp_reader r;
	struct settle m;
	enum err e = wire_open(&r, bytes, MSG_SETTLE, m.rid);

	if (e != ERR_OK)
		return e;
	m.epoch = mp_u64(&r, UINT64_MAX);
	m.attempt = wire_u32(&r);
	m.node = mp_u64(&r, ID_MAX);
	m.outcome = (enum settle_outcome)wire_enum(&r, SETTLE_OUTCOME_MAX);
	m.error = wire_err(&r);
	m.receipt = wire_opt_bin(&r, RECEIPT_BYTES, RECEIPT_BYTES);
	m.signature = wire_opt_text(&r, SIGNATURE_TEXT_BYTES, SIGNATURE_TEXT_BYTES);
	m.transcript = wire_opt_bin(&r, KEY_BYTES, KEY_BYTES);
	m.has_usage = mp_bool(&r);
	m.prompt = mp_u64(&r, ID_MAX);
	m.completion = mp_u64(&r, ID_MAX);
	m.key_unknown = mp_bool(&r);
	m.chunks = wire_u32(&r);
	m.bytes = mp_u64(&r, ID_MAX);
	m.untold = mp_bool(&r);
	if (m.untold && m.outcome != SETTLE_FAILED)
		mp_fail(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

void settled_encode(const struct settled *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_SETTLED, m->rid, 1);
	mp_put_u64(&w, m->attempt);
}

enum err settled_decode(struct slice bytes, struct settled *out)
{
	struct mp_reader r;
	struct settled m;
	enum err e = wire_open(&r, bytes, MSG_SETTLED, m.rid);

	if (e != ERR_OK)
		return e;
	m.attempt = wire_u32(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}
