/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of a registration, read as a broker reads it.
 */
#include "tests/unit/node/unit.h"

#include "common/b64.h"
#include "common/hash.h"
#include "node/json.h"
#include "node/register_body.h"
#include "proto/receipt.h"
#include "proto/registration.h"

static const uint8_t seed[32] = { 6 };

struct made {
	struct sign_key *sign;
	struct keys *keys;
	struct models models;
	json_t *body;
	struct buf text;
};

static struct made make(struct slice evidence)
{
	struct made m = { .sign = sign_key_new(seed) };
	struct keys_opts o = {
		.node = 7, .sign = m.sign, .lifetime_s = 100, .overlap_s = 10, .guard_max = 10
	};
	struct register_body b = { .node = 7,
				   .address = "http://127.0.0.1:5/\"x",
				   .country = "DE",
				   .counter = 17,
				   .validity_s = 60,
				   .models = &m.models,
				   .evidence = evidence };

	m.keys = keys_new(&o, 0, 1760000000000);
	assert_int_equal(
		models_parse("name=a price=5 max_concurrent=6 max_units=7 lock_units=8; name=b", &m.models),
		ERR_OK);
	b.key = keys_current(m.keys);
	register_body_write(&b, m.sign, &m.text);
	assert_int_equal(json_object_of(buf_slice(&m.text), &m.body), ERR_OK);
	return m;
}

static void unmake(struct made *m)
{
	json_decref(m->body);
	buf_free(&m->text);
	models_free(&m->models);
	keys_free(m->keys);
	sign_key_free(m->sign);
}

static void test_original_form(void **state)
{
	struct made m = make(S(""));
	json_t *data = json_object_get(m.body, "data");
	char *compact = json_dumps(data, JSON_COMPACT);
	json_free_t release;
	uint8_t h[32];

	(void)state;
	assert_json(data, "{'node_small_id':7,'public_address':'http://127.0.0.1:5/\\\"x','country':'DE'}");
	hash(h, slice_str(compact)); /* members in that order, compact: what any other reader signs over */
	assert_int_equal(
		sign_verify(json_text(json_object_get(m.body, "signature")), h, sign_key_public(m.sign)),
		ERR_OK);
	assert_null(json_object_get(m.body, "evidence"));
	json_get_alloc_funcs(NULL, &release);
	release(compact);
	unmake(&m);
}

static void test_full_form(void **state)
{
	struct made m = make(S("evidence"));
	struct buf raw = { 0 };
	struct registration r;
	uint8_t h[32];

	(void)state;
	assert_int_equal(b64_decode(json_text(json_object_get(m.body, "registration")), 65536, &raw), ERR_OK);
	assert_int_equal(sign_verify_label(json_text(json_object_get(m.body, "registration_signature")),
					   REGISTER_LABEL, buf_slice(&raw), sign_key_public(m.sign)),
			 ERR_OK);
	assert_int_equal(registration_decode(buf_slice(&raw), &r), ERR_OK);
	assert_true(r.node == 7 && r.counter == 17 && r.validity_s == 60 && r.n_models == 2);
	assert_true(slice_is(r.address, "http://127.0.0.1:5/\"x"));
	assert_true(slice_eq(r.statement, nodekey_statement(keys_current(m.keys))));
	assert_int_equal(sign_verify_label(r.statement_signature, STATEMENT_LABEL, r.statement,
					   sign_key_public(m.sign)),
			 ERR_OK);
	assert_true(slice_is(r.models[0].name, "a") && r.models[0].price == 5 &&
		    r.models[0].max_concurrent == 6);
	assert_true(r.models[0].max_units == 7 && r.models[0].lock_units == 8);
	hash(h, S("evidence"));
	assert_memory_equal(r.evidence_hash, h, 32);
	assert_true(slice_is(json_text(json_object_get(m.body, "evidence")), "ZXZpZGVuY2U="));
	buf_free(&raw);
	unmake(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_original_form),
					    cmocka_unit_test(test_full_form) };

	json_harden();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
