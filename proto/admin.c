/* SPDX-License-Identifier: Apache-2.0
 *
 * ADMIN and ADMIN_REPLY (admin.h).  The JSON inside is the broker's and the
 * command line's business; here it is text of a bounded size.
 */
#include "proto/admin.h"

#include "proto/wire.h"

#define VERB_BYTES_MAX 64
#define ARGS_BYTES_MAX (2u << 20)
#define REPLY_BYTES_MAX (16u << 20) /* lists */

void admin_encode(const struct admin *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_ADMIN, m->rid, 2);
	mp_put_text(&w, m->verb);
	mp_put_text(&w, m->args);
}

enum err admin_decode(struct slice bytes, struct admin *out)
{
	struct mp_reader r;
	struct admin m;
	enum err e = wire_open(&r, bytes, MSG_ADMIN, m.rid);

	if (e != ERR_OK)
		return e;
	m.verb = mp_text(&r, 1, VERB_BYTES_MAX);
	m.args = mp_text(&r, 0, ARGS_BYTES_MAX);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}

void admin_reply_encode(const struct admin_reply *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_ADMIN_REPLY, m->rid, 2);
	mp_put_u64(&w, m->error);
	mp_put_text(&w, m->body);
}

enum err admin_reply_decode(struct slice bytes, struct admin_reply *out)
{
	struct mp_reader r;
	struct admin_reply m;
	enum err e = wire_open(&r, bytes, MSG_ADMIN_REPLY, m.rid);

	if (e != ERR_OK)
		return e;
	m.error = wire_err(&r);
	m.body = mp_text(&r, 0, REPLY_BYTES_MAX);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}
