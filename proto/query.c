/* SPDX-License-Identifier: Apache-2.0
 *
 * QUERY and ANSWER (query.h).
 */
#include "proto/query.h"

#include <string.h>

#include "proto/wire.h"

#define ANSWER_BYTES_MAX (4u << 20) /* a list of models, or evidence of 1 MiB in base64 */

void query_encode(const struct query *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_QUERY, m->rid, 4);
	mp_put_u64(&w, m->kind);
	if (m->has_token)
		wire_put_key(&w, m->token_hash);
	else
		mp_put_nil(&w);
	mp_put_u64(&w, m->number);
	mp_put_text(&w, m->model);
}

enum err query_decode(struct slice bytes, struct query *out)
{
	struct mp_reader r;
	struct query m;
	enum err e = wire_open(&r, bytes, MSG_QUERY, m.rid);

	if (e != ERR_OK)
		return e;
	m.kind = (enum query_kind)wire_enum(&r, QUERY_KIND_MAX);
	memset(m.token_hash, 0, KEY_BYTES);
	m.has_token = !mp_nil(&r);
	if (m.has_token)
		mp_fixed(&r, m.token_hash, KEY_BYTES);
	m.number = mp_u64(&r, ID_MAX);
	m.model = mp_text(&r, 0, MODEL_BYTES_MAX);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

void answer_encode(const struct answer *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_ANSWER, m->rid, 1 + WIRE_QUOTA_ELEMENTS);
	mp_put_text(&w, m->body);
	wire_put_quota(&w, &m->quota);
}

enum err answer_decode(struct slice bytes, struct answer *out)
{
	struct mp_reader r;
	struct answer m;
	enum err e = wire_open(&r, bytes, MSG_ANSWER, m.rid);

	if (e != ERR_OK)
		return e;
	m.body = mp_text(&r, 0, ANSWER_BYTES_MAX);
	m.quota = wire_quota(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}
