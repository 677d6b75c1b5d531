/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies to messages and back: jobs, locks, registrations.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "body.h"
#include "common/b64.h"
#include "common/hash.h"
#include "common/sign.h"
#include "gateway/api.h"

/* What sign.h calls a signature: 132 characters. */
#define S33 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define SIGNATURE S33 S33 S33 S33
#define DATA "{\"node_small_id\":7,\"public_address\":\"https://n.example:443\",\"country\":\"CH\"}"

static void a_job(void **state)
{
	struct buf body = { .p = NULL };
	struct scan_fault fault;
	struct scan s;
	struct job job;
	uint8_t h[32];

	(void)state;
	body_with(&body, "stream", "true");
	assert_int_equal(scan_confidential(buf_slice(&body), true, &s, &fault), ERR_OK);
	api_job(&job, EP_CHAT, &s, buf_slice(&body));
	assert_int_equal(job.endpoint, EP_CHAT);
	assert_int_equal(job.stack, 42);
	assert_true(job.stream);
	assert_false(job.has_units);
	assert_false(job.has_max_units);
	assert_true(slice_is(job.model, "demo"));
	hash(h, buf_slice(&body));
	assert_memory_equal(job.body_hash, h, sizeof(h));
	assert_memory_equal(job.node_key, s.node_key, KEY_BYTES);
	assert_memory_equal(job.plain_hash, s.plain_hash, KEY_BYTES);
	buf_free(&body);
}

static void locks_accepted(void **state)
{
	static const struct {
		const char *body;
		bool has;
		uint64_t units;
		uint32_t timeout;
	} rows[] = {
		{ "{\"model\":\"demo\"}", false, 0, 5 },
		{ "{\"model\":\"demo\",\"max_num_tokens\":null,\"timeout\":null}", false, 0, 5 },
		{ "{\"model\":\"demo\",\"max_num_tokens\":1,\"timeout\":1}", true, 1, 1 },
		{ "{\"timeout\":600,\"max_num_tokens\":9007199254740991,\"model\":\"demo\",\"x\":[]}", true,
		  ID_MAX, 600 },
		{ " {\"model\":\"d\\u0065mo\"} ", false, 0, 5 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf model = { .p = NULL };
		struct scan_fault fault;
		struct lock_ask m;

		assert_int_equal(api_lock(slice_str(rows[i].body), &m, &model, &fault), ERR_OK);
		assert_true(slice_is(m.model, "demo"));
		assert_int_equal(m.has_units, rows[i].has);
		assert_int_equal(m.units, rows[i].units);
		assert_int_equal(m.timeout_s, rows[i].timeout);
		buf_free(&model);
	}
}

static void locks_refused(void **state)
{
	static const struct {
		const char *body, *param;
	} rows[] = {
		{ "", NULL },
		{ "[]", NULL },
		{ "{}", "model" },
		{ "{\"model\":null}", "model" },
		{ "{\"model\":1}", "model" },
		{ "{\"model\":\"\"}", "model" },
		{ "{\"model\":\"a\\u0000b\"}", "model" },
		{ "{\"model\":\"a\",\"model\":\"b\"}", "model" },
		{ "{\"model\":\"a\",\"max_num_tokens\":0}", "max_num_tokens" },
		{ "{\"model\":\"a\",\"max_num_tokens\":-1}", "max_num_tokens" },
		{ "{\"model\":\"a\",\"max_num_tokens\":1.0}", "max_num_tokens" },
		{ "{\"model\":\"a\",\"max_num_tokens\":\"1\"}", "max_num_tokens" },
		{ "{\"model\":\"a\",\"max_num_tokens\":9007199254740992}", "max_num_tokens" },
		{ "{\"model\":\"a\",\"timeout\":0}", "timeout" },
		{ "{\"model\":\"a\",\"timeout\":601}", "timeout" },
		{ "{\"model\":\"a\",\"timeout\":5.0}", "timeout" },
		{ "{\"model\":\"a\",\"timeout\":true}", "timeout" },
		{ "{\"model\":\"a\"}x", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf model = { .p = NULL };
		struct scan_fault fault;
		struct lock_ask m;

		if (api_lock(slice_str(rows[i].body), &m, &model, &fault) != ERR_BODY)
			fail_msg("accepted: %s", rows[i].body);
		assert_string_equal(fault.param ? fault.param : "-", rows[i].param ? rows[i].param : "-");
		assert_non_null(fault.what);
		buf_free(&model);
	}
}

static void a_locks_answer(void **state)
{
	uint8_t key[32], statement[65] = { 1 };
	struct locked m = { .node = 7, .stack = ID_MAX };
	struct buf b = { .p = NULL };
	json_t *j;

	(void)state;
	memset(m.node_key, 0xfb, sizeof(m.node_key));
	memset(key, 1, sizeof(key));
	m.sign_key = slice_of(key, sizeof(key));
	m.statement = slice_of(statement, sizeof(statement));
	m.signature = SLICE_STR("c2ln");
	api_locked(&b, &m);
	j = json_loadb((const char *)b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
	assert_int_equal(json_object_size(j), 7);
	assert_string_equal(json_string_value(json_object_get(j, "public_key")),
			    "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=");
	assert_int_equal(json_integer_value(json_object_get(j, "node_small_id")), 7);
	assert_int_equal(json_integer_value(json_object_get(j, "stack_small_id")), ID_MAX);
	assert_true(json_is_null(json_object_get(j, "stack_entry_digest")));
	assert_int_equal(json_string_length(json_object_get(j, "node_signing_key")), 44);
	assert_int_equal(json_string_length(json_object_get(j, "key_statement")), 88);
	assert_string_equal(json_string_value(json_object_get(j, "key_signature")), "c2ln");
	json_decref(j);
	buf_free(&b);
}

static void a_foreign_nodes_lock(void **state)
{
	struct locked m = { .node = 7, .stack = 8, .digest = SLICE_STR("abc\"d") };
	struct buf b = { .p = NULL };
	json_t *j;

	(void)state;
	api_locked(&b, &m);
	j = json_loadb((const char *)b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
	assert_string_equal(json_string_value(json_object_get(j, "stack_entry_digest")), "abc\"d");
	assert_true(json_is_null(json_object_get(j, "node_signing_key")));
	assert_true(json_is_null(json_object_get(j, "key_statement")));
	assert_true(json_is_null(json_object_get(j, "key_signature")));
	json_decref(j);
	buf_free(&b);
}

static enum err registration(const char *body, struct registration_msg *m, struct api_register *own,
			     struct scan_fault *fault)
{
	return api_register(slice_str(body), m, own, fault);
}

static void original_form(void **state)
{
	struct registration_msg m;
	struct api_register own;
	struct scan_fault fault;

	(void)state;
	assert_int_equal(
		registration("{\"data\":" DATA ",\"signature\":\"" SIGNATURE "\"}", &m, &own, &fault),
		ERR_OK);
	assert_true(slice_is(m.data, DATA));
	assert_int_equal(m.node, 7);
	assert_true(slice_is(m.address, "https://n.example:443"));
	assert_true(slice_is(m.country, "CH"));
	assert_true(slice_is(m.signature, SIGNATURE));
	assert_int_equal(m.registration.n, 0);
	assert_int_equal(m.registration_signature.n, 0);
	assert_int_equal(m.evidence.n, 0);
	api_register_free(&own);
}

/* The signature is over compact JSON in a fixed order: order, white space,
 * escapes and further members of what came do not matter. */
static void data_is_serialised_anew(void **state)
{
	struct registration_msg m;
	struct api_register own;
	struct scan_fault fault;

	(void)state;
	assert_int_equal(
		registration("{\"signature\":\"" SIGNATURE
			     "\",\"data\" : { \"country\" : \"C\\u0048\" , \"x\":1,\n"
			     "\"public_address\":\"https:\\/\\/n.example:443\", \"node_small_id\":7 } }",
			     &m, &own, &fault),
		ERR_OK);
	assert_true(slice_is(m.data, DATA));
	api_register_free(&own);
	assert_int_equal(registration("{\"signature\":\"" SIGNATURE
				      "\",\"data\":{\"node_small_id\":7,\"country\":"
				      "\"\\u00e9\\n\\\"\",\"public_address\":\"a\"}}",
				      &m, &own, &fault),
			 ERR_OK);
	assert_true(slice_is(
		m.data, "{\"node_small_id\":7,\"public_address\":\"a\",\"country\":\"\xc3\xa9\\n\\\"\"}"));
	api_register_free(&own);
}

static void full_form(void **state)
{
	struct registration_msg m;
	struct api_register own;
	struct scan_fault fault;

	(void)state;
	assert_int_equal(registration("{\"data\":" DATA ",\"signature\":\"" SIGNATURE
				      "\",\"registration\":\"AQID\","
				      "\"registration_signature\":\"" SIGNATURE "\",\"evidence\":\"BAU=\"}",
				      &m, &own, &fault),
			 ERR_OK);
	assert_true(slice_is(m.registration, "\1\2\3"));
	assert_true(slice_is(m.registration_signature, SIGNATURE));
	assert_true(slice_is(m.evidence, "\4\5"));
	api_register_free(&own);
	assert_int_equal(registration("{\"data\":" DATA ",\"signature\":\"" SIGNATURE
				      "\",\"registration\":\"AQID\","
				      "\"registration_signature\":\"" SIGNATURE "\",\"evidence\":null}",
				      &m, &own, &fault),
			 ERR_OK);
	assert_int_equal(m.evidence.n, 0);
	api_register_free(&own);
}

#define TAIL ",\"signature\":\"" SIGNATURE "\"}"
#define HEAD "{\"data\":" DATA ",\"signature\":\"" SIGNATURE "\""

static void registrations_refused(void **state)
{
	static const struct {
		const char *body, *param;
	} rows[] = {
		{ "", NULL },
		{ "{}", "data" },
		{ "{\"data\":null" TAIL, "data" },
		{ "{\"data\":[]" TAIL, "data" },
		{ "{\"data\":{}" TAIL, "node_small_id" },
		{ "{\"data\":{\"node_small_id\":\"7\",\"public_address\":\"a\",\"country\":\"\"}" TAIL,
		  "node_small_id" },
		{ "{\"data\":{\"node_small_id\":9007199254740992,\"public_address\":\"a\",\"country\":"
		  "\"\"}" TAIL,
		  "node_small_id" },
		{ "{\"data\":{\"node_small_id\":7,\"public_address\":\"\",\"country\":\"\"}" TAIL,
		  "public_address" },
		{ "{\"data\":{\"node_small_id\":7,\"public_address\":\"a\\u0000\",\"country\":\"\"}" TAIL,
		  "public_address" },
		{ "{\"data\":{\"node_small_id\":7,\"public_address\":1,\"country\":\"\"}" TAIL,
		  "public_address" },
		{ "{\"data\":{\"node_small_id\":7,\"public_address\":\"a\"}" TAIL, "country" },
		{ "{\"data\":{\"node_small_id\":7,\"node_small_id\":8,\"public_address\":\"a\",\"country\":"
		  "\"\"}" TAIL,
		  "node_small_id" },
		{ "{\"data\":" DATA "}", "signature" },
		{ "{\"data\":" DATA ",\"signature\":null}", "signature" },
		{ "{\"data\":" DATA ",\"signature\":\"AAAA\"}", "signature" },
		{ "{\"data\":" DATA ",\"signature\":\"" SIGNATURE "A\"}", "signature" },
		{ HEAD ",\"registration\":\"AQID\"}", "registration_signature" },
		{ HEAD ",\"registration_signature\":\"" SIGNATURE "\"}", "registration_signature" },
		{ HEAD ",\"registration\":\"\",\"registration_signature\":\"" SIGNATURE "\"}",
		  "registration" },
		{ HEAD ",\"registration\":\"A\",\"registration_signature\":\"" SIGNATURE "\"}",
		  "registration" },
		{ HEAD ",\"registration\":1,\"registration_signature\":\"" SIGNATURE "\"}", "registration" },
		{ HEAD ",\"registration\":\"AQID\",\"registration_signature\":\"AAAA\"}",
		  "registration_signature" },
		{ HEAD ",\"evidence\":\"BAU=\"}", "evidence" },
		{ HEAD ",\"registration\":\"AQID\",\"registration_signature\":\"" SIGNATURE
		       "\",\"evidence\":\"B\"}",
		  "evidence" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct registration_msg m;
		struct api_register own;
		struct scan_fault fault;

		if (registration(rows[i].body, &m, &own, &fault) != ERR_BODY)
			fail_msg("accepted: %s", rows[i].body);
		assert_string_equal(fault.param ? fault.param : "-", rows[i].param ? rows[i].param : "-");
		assert_non_null(fault.what);
		api_register_free(&own);
	}
}

static void registration_sizes(void **state)
{
	static const struct {
		size_t bytes;
		enum err e;
	} rows[] = { { EVIDENCE_BYTES_MAX, ERR_OK }, { EVIDENCE_BYTES_MAX + 1, ERR_BODY } };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct buf evidence = { .p = NULL }, b = { .p = NULL };
		struct registration_msg m;
		struct api_register own;
		struct scan_fault fault;

		buf_reserve(&evidence, rows[i].bytes);
		memset(evidence.p, 0, rows[i].bytes);
		evidence.n = rows[i].bytes;
		buf_str(&b, HEAD ",\"registration\":\"AQID\",\"registration_signature\":\"" SIGNATURE
				 "\",\"evidence\":\"");
		b64_encode(&b, buf_slice(&evidence));
		buf_str(&b, "\"}");
		assert_int_equal(api_register(buf_slice(&b), &m, &own, &fault), rows[i].e);
		api_register_free(&own);
		buf_free(&b);
		buf_free(&evidence);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_job),
		cmocka_unit_test(locks_accepted),
		cmocka_unit_test(locks_refused),
		cmocka_unit_test(a_locks_answer),
		cmocka_unit_test(a_foreign_nodes_lock),
		cmocka_unit_test(original_form),
		cmocka_unit_test(data_is_serialised_anew),
		cmocka_unit_test(full_form),
		cmocka_unit_test(registrations_refused),
		cmocka_unit_test(registration_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
