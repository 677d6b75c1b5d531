/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers opened object by object: the published streams, and every way in
 * which an object, its place, its signature or its receipt can be wrong.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>
#include <string.h>

#include "common/b64.h"
#include "fake_node.h"

#define A "{\"n\":1}"
#define B "{\"n\":2}"

struct answer {
	struct fake_node n;
	struct opener o;
	struct buf objects[4];
	struct buf plain;
	struct fault f;
};

static void begin(struct answer *a)
{
	memset(a, 0, sizeof(*a));
	fake_node_init(&a->n);
	a->o = fake_opener(&a->n);
}

static void end(struct answer *a)
{
	for (int i = 0; i < 4; i++)
		buf_free(&a->objects[i]);
	buf_free(&a->plain);
	open_free(&a->o);
	fake_node_fini(&a->n);
}

static bool takes(struct answer *a, int i)
{
	buf_reset(&a->plain);
	return open_object(&a->o, buf_slice(&a->objects[i]), &a->plain, &a->f);
}

/* Three objects, the last one final, with what the test spoils about the last. */
static void make(struct answer *a, const struct fake_object *last)
{
	struct fake_object o = { .text = A };
	struct fake_object l = *last;

	begin(a);
	l.text = l.text ? l.text : "{}";
	l.final = true;
	fake_object(&a->n, &o, &a->objects[0]);
	o.text = B;
	fake_object(&a->n, &o, &a->objects[1]);
	fake_object(&a->n, &l, &a->objects[2]);
}

static void whole_and_in_order(void **state)
{
	struct answer a;

	(void)state;
	make(&a, &(struct fake_object){ .prompt = 3, .completion = 2 });
	assert_false(open_finish(&a.o, &a.f));
	a.f = (struct fault){ 0 };
	assert_true(takes(&a, 0));
	assert_true(slice_is(buf_slice(&a.plain), A)); /* without the padding */
	assert_true(takes(&a, 1));
	assert_true(slice_is(buf_slice(&a.plain), B));
	assert_false(open_finish(&a.o, &a.f));
	assert_int_equal(a.f.status, SEALWAY_CUT);
	assert_non_null(strstr(a.f.text, "without its final chunk"));
	a.f = (struct fault){ 0 };
	assert_true(takes(&a, 2));
	assert_true(open_finish(&a.o, &a.f));
	assert_int_equal(a.o.proof.decoded.prompt, 3);
	assert_int_equal(a.o.proof.decoded.completion, 2);
	assert_false(takes(&a, 2)); /* nothing comes after the final one */
	end(&a);
}

static void refused(const int *order, size_t n, const char *why)
{
	struct answer a;

	make(&a, &(struct fake_object){ 0 });
	for (size_t i = 0; i + 1 < n; i++)
		assert_true(takes(&a, order[i]));
	assert_false(takes(&a, order[n - 1]));
	assert_int_equal(a.plain.n, 0);
	assert_int_equal(a.f.status, SEALWAY_VERIFY);
	assert_non_null(strstr(a.f.text, why));
	end(&a);
}

static void missing_twice_swapped(void **state)
{
	(void)state;
	refused((const int[]){ 1 }, 1, "missing");
	refused((const int[]){ 0, 2 }, 2, "missing");
	refused((const int[]){ 0, 0 }, 2, "twice");
	refused((const int[]){ 0, 1, 1 }, 3, "twice");
	refused((const int[]){ 0, 1, 0 }, 3, "twice");
	refused((const int[]){ 0, 1, 2, 1 }, 4, "after the final");
}

static void objects_without_end(void **state)
{
	struct answer a;

	(void)state;
	make(&a, &(struct fake_object){ 0 });
	assert_true(takes(&a, 0));
	a.o.objects = OBJECTS_MAX;
	assert_false(takes(&a, 1));
	assert_non_null(strstr(a.f.text, "more objects than any answer"));
	end(&a);
}

static void no_objects_at_all(void **state)
{
	struct answer a;

	(void)state;
	begin(&a);
	assert_false(open_finish(&a.o, &a.f));
	assert_int_equal(a.f.status, SEALWAY_CUT);
	end(&a);
}

static void last_refused(const struct fake_object *last, const char *why)
{
	struct answer a;

	make(&a, last);
	assert_true(takes(&a, 0) && takes(&a, 1));
	assert_false(takes(&a, 2));
	if (!strstr(a.f.text, why))
		fail_msg("\"%s\" does not say \"%s\"", a.f.text, why);
	assert_int_equal(a.plain.n, 0);
	assert_false(a.o.ended);
	end(&a);
}

static void wrong_objects(void **state)
{
	const uint8_t seed[32] = { 200 };
	struct sign_key *other = sign_key_new(seed);

	(void)state;
	last_refused(&(struct fake_object){ .no_hash = true }, "no response_hash");
	last_refused(&(struct fake_object){ .wrong_hash = true }, "response_hash is not");
	last_refused(&(struct fake_object){ .no_signature = true }, "not signed");
	last_refused(&(struct fake_object){ .signer = other }, "another key");
	last_refused(&(struct fake_object){ .no_receipt = true }, "no receipt");
	last_refused(&(struct fake_object){ .receipt_signer = other }, "not signed by the node");
	last_refused(&(struct fake_object){ .no_usage = true }, "no usage");
	last_refused(&(struct fake_object){ .text = "not JSON" }, "no JSON");
	sign_key_free(other);
}

#define SPOIL(name, what)                                                                                    \
	static void name(struct receipt *r)                                                                  \
	{                                                                                                    \
		what;                                                                                        \
	}
SPOIL(spoil_endpoint, r->endpoint = 1)
SPOIL(spoil_outcome, r->outcome = 1)
SPOIL(spoil_stack, r->stack++)
SPOIL(spoil_node_key, r->node_key[0] ^= 1)
SPOIL(spoil_plain, r->plain_hash[31] ^= 1)
SPOIL(spoil_model, r->model_hash[0] ^= 1)
SPOIL(spoil_transcript, r->transcript[0] ^= 1)
SPOIL(spoil_chunks, r->chunks++)
SPOIL(spoil_prompt, r->prompt++)
SPOIL(spoil_completion, r->completion += 1000)
SPOIL(spoil_past, r->unix_s = FAKE_NOW - CLOCK_SKEW_S - 1)
SPOIL(spoil_future, r->unix_s = FAKE_NOW + CLOCK_SKEW_S + 3)
SPOIL(spoil_rid, r->rid[0] ^= 1)

static void wrong_receipts(void **state)
{
	struct answer a;

	(void)state;
	last_refused(&(struct fake_object){ .spoil_receipt = spoil_endpoint }, "another endpoint");
	last_refused(&(struct fake_object){ .spoil_receipt = spoil_outcome }, "stopped early");
	last_refused(&(struct fake_object){ .spoil_receipt = spoil_stack }, "another stack");
	last_refused(&(struct fake_object){ .spoil_receipt = spoil_node_key }, "another node key");
	last_refused(&(struct fake_object){ .spoil_receipt = spoil_plain }, "another request");
	last_refused(&(struct fake_object){ .spoil_receipt = spoil_model }, "another model");
	last_refused(&(struct fake_object){ .spoil_receipt = spoil_transcript }, "other objects");
	last_refused(&(struct fake_object){ .spoil_receipt = spoil_chunks }, "another number");
	last_refused(&(struct fake_object){ .spoil_receipt = spoil_prompt }, "not the usage");
	last_refused(&(struct fake_object){ .spoil_receipt = spoil_completion }, "not the usage");
	last_refused(&(struct fake_object){ .spoil_receipt = spoil_past }, "its time");
	last_refused(&(struct fake_object){ .spoil_receipt = spoil_future }, "its time");
	/* the request id is the one thing that a client cannot know */
	make(&a, &(struct fake_object){ .spoil_receipt = spoil_rid });
	assert_true(takes(&a, 0) && takes(&a, 1) && takes(&a, 2));
	end(&a);
}

static void receipt_before_the_end(void **state)
{
	struct answer a;

	(void)state;
	begin(&a);
	fake_object(&a.n, &(struct fake_object){ .text = A, .receipt_early = true }, &a.objects[0]);
	assert_false(takes(&a, 0));
	assert_non_null(strstr(a.f.text, "before the final"));
	end(&a);
}

static void changed_ciphertext(void **state)
{
	struct answer a;

	(void)state;
	make(&a, &(struct fake_object){ 0 });
	a.objects[0].p[20] = a.objects[0].p[20] == 'A' ? 'B' : 'A'; /* inside the ciphertext */
	assert_false(takes(&a, 0));
	assert_non_null(strstr(a.f.text, "does not open"));
	end(&a);
}

static void reflected(void **state)
{
	struct answer a;

	(void)state;
	make(&a, &(struct fake_object){ 0 });
	/* the request's own nonce, as a hostile gateway would make it fit: counter 0, not final */
	memcpy(a.n.sealed.nonce, a.n.nonces.prefix, 7);
	memset(a.n.sealed.nonce + 7, 0, 5);
	assert_false(takes(&a, 0));
	assert_int_equal(a.f.status, SEALWAY_VERIFY);
	end(&a);
}

static void malformed(void **state)
{
	static const char *const texts[] = {
		"",
		"null",
		"[]",
		"{}",
		"{\"ciphertext\":\"\",\"nonce\":\"AAAAAAAAAAAAAAAA\"} x",
		"{\"ciphertext\":\"AAAA\"}",
		"{\"nonce\":\"AAAAAAAAAAAAAAAA\"}",
		"{\"ciphertext\":\"AAAA\",\"nonce\":\"AAAA\"}",
		"{\"ciphertext\":7,\"nonce\":\"AAAAAAAAAAAAAAAA\"}",
		"{\"ciphertext\":\"AAA\",\"nonce\":\"AAAAAAAAAAAAAAAA\"}",
		"{\"ciphertext\":\"AAAA\",\"nonce\":\"AAAAAAAAAAAAAAAA\",\"nonce\":\"AAAAAAAAAAAAAAAA\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct answer a;

		begin(&a);
		assert_false(open_object(&a.o, slice_str(texts[i]), &a.plain, &a.f));
		assert_int_equal(a.f.status, SEALWAY_VERIFY);
		end(&a);
	}
}

/* ---- the published vectors ---- */

static const char *text(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static uint64_t vector_clock(void)
{
	return 1760000002;
}

struct vectors {
	json_t *all;
	struct sealed sealed;
	struct node_lock lock;
	struct opener o;
	struct buf plain;
	struct fault f;
};

static void load(struct vectors *v, bool own)
{
	const json_t *seal, *key;

	memset(v, 0, sizeof(*v));
	v->all = json_load_file(VECTORS, 0, NULL);
	seal = json_array_get(json_object_get(v->all, "seal"), 1);
	key = json_object_get(v->all, "key_statement");
	assert_int_equal(hex_decode_exact(slice_str(text(seal, "key_hex")), v->sealed.key, SEAL_KEY), ERR_OK);
	assert_int_equal(b64_decode_exact(slice_str(text(seal, "nonce_b64")), v->sealed.nonce, SEAL_NONCE),
			 ERR_OK);
	assert_int_equal(
		b64_decode_exact(slice_str(text(seal, "plaintext_body_hash_b64")), v->sealed.plain_hash, 32),
		0);
	assert_int_equal(b64_decode_exact(slice_str(text(seal, "node_public_b64")), v->lock.node_key, 32), 0);
	assert_int_equal(b64_decode_exact(slice_str(text(key, "node_signing_key_b64")), v->lock.sign_key, 32),
			 0);
	v->lock.own = own;
	v->lock.stack = 42;
	v->o = (struct opener){ .sealed = &v->sealed,
				.lock = &v->lock,
				.kind = SEALWAY_COMPLETIONS,
				.model = "meta-llama/Llama-3.3-70B-Instruct",
				.now = 1760000000,
				.clock = vector_clock };
}

static void unload(struct vectors *v)
{
	json_decref(v->all);
	buf_free(&v->plain);
	open_free(&v->o);
}

static bool takes_vector(struct vectors *v, const char *stream, size_t i)
{
	const json_t *in = json_array_get(json_object_get(v->all, stream), i);
	const json_t *receipt = json_object_get(v->all, "receipt");
	json_t *o = json_pack("{ssssss*}", "ciphertext", text(in, "ciphertext_b64"), "nonce",
			      text(in, "nonce_b64"), "signature", text(in, "signature_b64"));
	char *json;
	bool ok;

	json_object_set_new(o, "response_hash", json_string(text(in, "response_hash_b64")));
	if (i == 2) {
		json_object_set_new(o, "receipt", json_string(text(receipt, "receipt_b64")));
		json_object_set_new(o, "receipt_signature",
				    json_string(text(receipt, "receipt_signature_b64")));
		json_object_set_new(o, "usage",
				    json_pack("{sisi}", "prompt_tokens", 3, "completion_tokens", 2));
	}
	json = json_dumps(o, 0);
	buf_reset(&v->plain);
	ok = open_object(&v->o, slice_str(json), &v->plain, &v->f);
	if (ok) {
		const char *want = text(in, "plaintext_utf8");
		size_t n = strlen(want);

		while (n && want[n - 1] == ' ')
			n--;
		assert_int_equal(v->plain.n, n);
		assert_memory_equal(v->plain.p, want, n);
	}
	free(json);
	json_decref(o);
	return ok;
}

static void published_own_stream(void **state)
{
	static const int wrong[][3] = { { 1 }, { 0, 0 }, { 0, 2 }, { 2 }, { 0, 1, 0 } };
	static const size_t lengths[] = { 1, 2, 2, 1, 3 };
	struct vectors v;

	(void)state;
	load(&v, true);
	assert_true(takes_vector(&v, "own_stream", 0));
	assert_true(takes_vector(&v, "own_stream", 1));
	assert_false(open_finish(&v.o, &v.f));
	v.f = (struct fault){ 0 };
	assert_true(takes_vector(&v, "own_stream", 2));
	assert_true(open_finish(&v.o, &v.f));
	unload(&v);
	for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
		bool ok = true;

		load(&v, true);
		for (size_t i = 0; ok && i < lengths[k]; i++)
			ok = takes_vector(&v, "own_stream", (size_t)wrong[k][i]);
		assert_false(ok);
		unload(&v);
	}
}

static void published_foreign_stream(void **state)
{
	struct vectors v;

	(void)state;
	load(&v, true); /* a node that signs statements may not use random nonces */
	assert_false(takes_vector(&v, "foreign_stream", 0));
	assert_string_equal(v.f.text, "the answer was tampered with on its way: not a nonce of ours");
	unload(&v);
	load(&v, false);
	assert_true(takes_vector(&v, "foreign_stream", 0));
	assert_true(takes_vector(&v, "foreign_stream", 1));
	assert_true(open_finish(&v.o, &v.f));
	memset(v.sealed.key, 0, SEAL_KEY); /* but it has to open */
	assert_false(takes_vector(&v, "foreign_stream", 1));
	unload(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_and_in_order),
		cmocka_unit_test(missing_twice_swapped),
		cmocka_unit_test(objects_without_end),
		cmocka_unit_test(no_objects_at_all),
		cmocka_unit_test(wrong_objects),
		cmocka_unit_test(wrong_receipts),
		cmocka_unit_test(receipt_before_the_end),
		cmocka_unit_test(changed_ciphertext),
		cmocka_unit_test(reflected),
		cmocka_unit_test(malformed),
		cmocka_unit_test(published_own_stream),
		cmocka_unit_test(published_foreign_stream),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
