/* SPDX-License-Identifier: Apache-2.0
 *
 * The original form's `data` and signature, so that every gateway understands
 * it, and beside it the signed registration, which carries a counter and cannot
 * be replayed.
 */
#include "node/register_body.h"

#include <stdio.h>

#include "common/b64.h"
#include "common/hash.h"
#include "proto/registration.h"

static void write_data(const struct register_body *b, struct buf *out)
{
	buf_fmt(out, "{\"node_small_id\":%llu,\"public_address\":\"", (unsigned long long)b->node);
	buf_json(out, slice_str(b->address));
	buf_str(out, "\",\"country\":\"");
	buf_json(out, slice_str(b->country));
	buf_str(out, "\"}");
}

static void write_registration(const struct register_body *b, struct buf *out)
{
	struct registration m = {
		.node = b->node,
		.address = slice_str(b->address),
		.counter = b->counter,
		.statement = nodekey_statement(b->key),
		.statement_signature = nodekey_signature(b->key),
		.n_models = b->models->n,
		.validity_s = (uint32_t)b->validity_s,
		.version = slice_str(SEALWAY_VERSION),
	};

	for (unsigned i = 0; i < b->models->n; i++) {
		const struct model *from = &b->models->of[i];

		m.models[i] =
			(struct registration_model){ slice_str(from->name), from->price, from->max_concurrent,
						     from->max_units, from->lock_units };
	}
	hash(m.evidence_hash, b->evidence);
	registration_encode(&m, out);
}

static void add_b64(struct buf *out, const char *name, struct slice bytes)
{
	buf_fmt(out, ",\"%s\":\"", name);
	b64_encode(out, bytes);
	buf_str(out, "\"");
}

void register_body_write(const struct register_body *b, const struct sign_key *sign, struct buf *out)
{
	struct buf data = { 0 }, registration = { 0 };
	char signature[SIGN_B64];
	uint8_t h[HASH_BYTES];

	write_data(b, &data);
	hash(h, buf_slice(&data));
	sign_hash(sign, h, signature);
	buf_str(out, "{\"data\":");
	buf_add(out, data.p, data.n);
	buf_fmt(out, ",\"signature\":\"%.*s\"", SIGN_B64, signature);
	write_registration(b, &registration);
	sign_label(sign, REGISTER_LABEL, buf_slice(&registration), signature);
	add_b64(out, "registration", buf_slice(&registration));
	buf_fmt(out, ",\"registration_signature\":\"%.*s\"", SIGN_B64, signature);
	if (b->evidence.n)
		add_b64(out, "evidence", b->evidence);
	buf_str(out, "}");
	buf_free(&data);
	buf_free(&registration);
}
