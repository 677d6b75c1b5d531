/* SPDX-License-Identifier: Apache-2.0
 *
 * REGISTER (register.h, PROTOCOL section 8): shapes and sizes only; whether
 * the signatures hold is the broker's business.
 */
#include "proto/register.h"

#include "proto/wire.h"

#define DATA_BYTES_MAX 8192 /* address and country, each byte escaped at worst */
#define COUNTRY_BYTES_MAX 64
#define SIGNATURE_BYTES_MAX 256      /* foreign schemes are longer; they get a clear refusal later */
#define REGISTRATION_BYTES_MAX 65536 /* 64 models of at most 300 bytes, and room */

void register_encode(const struct registration_msg *m, struct buf *out)
{
	struct mp_writer w;

	wire_begin(&w, out, MSG_REGISTER, m->rid, 8);
	mp_put_bin(&w, m->data);
	mp_put_u64(&w, m->node);
	mp_put_text(&w, m->address);
	mp_put_text(&w, m->country);
	mp_put_text(&w, m->signature);
	wire_put_opt_bin(&w, m->registration);
	wire_put_opt_text(&w, m->registration_signature);
	wire_put_opt_bin(&w, m->evidence);
}

enum err register_decode(struct slice bytes, struct registration_msg *out)
{
	struct mp_reader r;
	struct registration_msg m;
	enum err e = wire_open(&r, bytes, MSG_REGISTER, m.rid);

	if (e != ERR_OK)
		return e;
	m.data = mp_bin(&r, 1, DATA_BYTES_MAX);
	m.node = mp_u64(&r, ID_MAX);
	m.address = mp_text(&r, 1, URL_BYTES_MAX);
	m.country = mp_text(&r, 0, COUNTRY_BYTES_MAX);
	m.signature = mp_text(&r, 1, SIGNATURE_BYTES_MAX);
	m.registration = wire_opt_bin(&r, 1, REGISTRATION_BYTES_MAX);
	m.registration_signature = wire_opt_text(&r, 1, SIGNATURE_BYTES_MAX);
	m.evidence = wire_opt_bin(&r, 1, EVIDENCE_BYTES_MAX);
	if ((m.registration.n > 0) != (m.registration_signature.n > 0))
		mp_fail(&r);
	e = wire_close(&r);
	if (e == ERR_OK)
		*out = m;
	return e;
}
