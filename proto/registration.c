/* SPDX-License-Identifier: Apache-2.0
 *
 * The signed part of a full registration (registration.h, PROTOCOL section 8):
 * a map with exactly the named keys, in order.  The signature is over the
 * bytes as they came, so there is one spelling of each registration.
 */
#include "proto/registration.h"

#include "proto/wire.h"

#define VERSION_BYTES_MAX 32
#define KEYS 9

static void put_model(struct mp_writer *w, const struct registration_model *m)
{
	mp_put_array(w, 5);
	mp_put_text(w, m->name);
	mp_put_u64(w, m->price);
	mp_put_u64(w, m->max_concurrent);
	mp_put_u64(w, m->max_units);
	mp_put_u64(w, m->lock_units);
}

static void put_key(struct mp_writer *w, const char *name)
{
	mp_put_text(w, slice_str(name));
}

void registration_encode(const struct registration *m, struct buf *out)
{
	struct mp_writer w;

	mp_writer_init(&w, out);
	mp_put_map(&w, KEYS);
	put_key(&w, "node");
	mp_put_u64(&w, m->node);
	put_key(&w, "address");
	mp_put_text(&w, m->address);
	put_key(&w, "counter");
	mp_put_u64(&w, m->counter);
	put_key(&w, "statement");
	mp_put_bin(&w, m->statement);
	put_key(&w, "statement_signature");
	mp_put_text(&w, m->statement_signature);
	put_key(&w, "models");
	mp_put_array(&w, m->n_models);
	for (unsigned i = 0; i < m->n_models; i++)
		put_model(&w, &m->models[i]);
	put_key(&w, "validity_s");
	mp_put_u64(&w, m->validity_s);
	put_key(&w, "version");
	mp_put_text(&w, m->version);
	put_key(&w, "evidence_hash");
	wire_put_key(&w, m->evidence_hash);
}

static void take_model(struct mp_reader *r, struct registration_model *m)
{
	if (mp_array(r, 5) != 5) {
		mp_fail(r);
		return;
	}
	m->name = mp_text(r, 1, MODEL_BYTES_MAX);
	m->price = mp_u64(r, ID_MAX);
	m->max_concurrent = wire_u32(r);
	m->max_units = mp_u64(r, ID_MAX);
	m->lock_units = mp_u64(r, ID_MAX);
	mp_leave(r);
}

static void take_models(struct mp_reader *r, struct registration *m)
{
	mp_key(r, "models");
	m->n_models = mp_array(r, MODELS_PER_NODE_MAX);
	for (unsigned i = 0; i < m->n_models && !r->bad; i++)
		take_model(r, &m->models[i]);
	mp_leave(r);
}

enum err registration_decode(struct slice bytes, struct registration *out)
{
	struct mp_reader r;
	struct registration m;
	enum err e = mp_reader_init_map(&r, bytes);

	if (e != ERR_OK)
		return e;
	mp_key(&r, "node");
	m.node = mp_u64(&r, ID_MAX);
	mp_key(&r, "address");
	m.address = mp_text(&r, 1, URL_BYTES_MAX);
	mp_key(&r, "counter");
	m.counter = mp_u64(&r, ID_MAX);
	mp_key(&r, "statement");
	m.statement = mp_bin(&r, STATEMENT_BYTES, STATEMENT_BYTES);
	mp_key(&r, "statement_signature");
	m.statement_signature = mp_text(&r, SIGNATURE_TEXT_BYTES, SIGNATURE_TEXT_BYTES);
	take_models(&r, &m);
	mp_key(&r, "validity_s");
	m.validity_s = wire_u32(&r);
	mp_key(&r, "version");
	m.version = mp_text(&r, 0, VERSION_BYTES_MAX);
	mp_key(&r, "evidence_hash");
	mp_fixed(&r, m.evidence_hash, KEY_BYTES);
	e = wire_close(&r);
	if (e != ERR_OK)
		return e;
	for (unsigned i = m.n_models; i < MODELS_PER_NODE_MAX; i++)
		m.models[i] = (struct registration_model){ 0 };
	*out = m;
	return ERR_OK;
}
