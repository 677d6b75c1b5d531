/* SPDX-License-Identifier: Apache-2.0
 *
 * LOCK and LOCKED (lock.h, PROTOCOL section 6).
 */
#include "proto/lock.h"

#include "proto/receipt.h"
#include "proto/wire.h"

#define DIGEST_BYTES_MAX 128

void lock_ask_encode(const struct lock_ask *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_LOCK, m->rid, 4);
	wire_put_key(&w, m->token_hash);
	mp_put_text(&w, m->model);
	wire_put_opt_u64(&w, m->has_units, m->units);
	mp_put_u64(&w, m->timeout_s);
}

enum err lock_ask_decode(struct slice bytes, struct lock_ask *out)
{
	struct mp_reader r;
	struct lock_ask m;
	enum err e = wire_open(&r, bytes, MSG_LOCK, m.rid);

	if (e != ERR_OK)
		return e;
	mp_fixed(&r, m.token_hash, KEY_BYTES);
	m.model = mp_text(&r, 1, MODEL_BYTES_MAX);
	m.units = wire_opt_u64(&r, ID_MAX, &m.has_units);
	m.timeout_s = wire_enum(&r, LOCK_SECONDS_MAX + 1);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

void locked_encode(const struct locked *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_LOCKED, m->rid, 7 + WIRE_QUOTA_ELEMENTS);
	mp_put_u64(&w, m->node);
	mp_put_u64(&w, m->stack);
	wire_put_key(&w, m->node_key);
	mp_put_bin(&w, m->sign_key);
	mp_put_bin(&w, m->statement);
	mp_put_text(&w, m->signature);
	wire_put_opt_text(&w, m->digest);
	wire_put_quota(&w, &m->quota);
}

enum err locked_decode(struct slice bytes, struct locked *out)
{
	struct mp_reader r;
	struct locked m;
	enum err e = wire_open(&r, bytes, MSG_LOCKED, m.rid);

	if (e != ERR_OK)
		return e;
	m.node = mp_u64(&r, ID_MAX);
	m.stack = mp_u64(&r, ID_MAX);
	mp_fixed(&r, m.node_key, KEY_BYTES);
	m.sign_key = mp_bin(&r, KEY_BYTES, KEY_BYTES);
	m.statement = mp_bin(&r, 0, STATEMENT_BYTES);
	m.signature = mp_text(&r, 0, SIGNATURE_TEXT_BYTES);
	m.digest = wire_opt_text(&r, 1, DIGEST_BYTES_MAX);
	m.quota = wire_quota(&r);
	if ((m.statement.n != 0 && m.statement.n != STATEMENT_BYTES) ||
	    (m.signature.n != 0 && m.signature.n != SIGNATURE_TEXT_BYTES))
		mp_fail(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}
