/* SPDX-License-Identifier: Apache-2.0
 *
 * The sealed side of an answer, opened again as a client does, and its receipt.
 */
#include "tests/unit/node/signer.h"

#include "common/b64.h"
#include "common/hash.h"
#include "node/json.h"
#include "node/respond.h"

static const uint8_t key[32] = { 1 }, rid[16] = { 2 }, node_key[32] = { 3 }, plain_hash[32] = { 4 };
static const uint8_t request_nonce[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9 };

static struct response *respond(enum endpoint ep, bool stream)
{
	struct response_opts o = { .sign = sign,
				   .endpoint = ep,
				   .stream = stream,
				   .rid = rid,
				   .key = key,
				   .node_key = node_key,
				   .plain_hash = plain_hash,
				   .model = S("demo"),
				   .stack = 42,
				   .unix_s = 1760000000 };

	return response_new(&o);
}

struct opened {
	json_t *wire, *plain;
	uint8_t nonce[12], hash[32];
};

static struct slice text(const json_t *o, const char *name)
{
	return json_text(json_object_get(o, name));
}

static struct opened open_one(struct response *r, const char *json, const struct ending *end)
{
	json_t *o = json_of(json), *head;
	struct buf out = { 0 }, cipher = { 0 }, plain = { 0 };
	struct opened x;

	head = response_object(r);
	json_object_update_missing(o, head);
	json_decref(head);
	assert_int_equal(response_put(r, o, end, &out), ERR_OK);
	json_decref(o);
	assert_int_equal(json_object_of(buf_slice(&out), &x.wire), ERR_OK);
	assert_int_equal(b64_decode_exact(text(x.wire, "nonce"), x.nonce, 12), ERR_OK);
	assert_int_equal(b64_decode(text(x.wire, "ciphertext"), 1 << 20, &cipher), ERR_OK);
	assert_int_equal(seal_decrypt(key, x.nonce, buf_slice(&cipher), &plain), ERR_OK);
	assert_int_equal(plain.n % SEAL_PAD, 0);
	hash(x.hash, buf_slice(&plain));
	assert_int_equal(sign_verify(text(x.wire, "signature"), x.hash, sign_key_public(sign)), ERR_OK);
	assert_int_equal(json_object_of(buf_slice(&plain), &x.plain), ERR_OK);
	buf_free(&out);
	buf_free(&cipher);
	buf_free(&plain);
	return x;
}

static void close_one(struct opened *x)
{
	json_decref(x->wire);
	json_decref(x->plain);
}

static void test_stream(void **state)
{
	struct ending end = { .outcome = 0, .used = { .prompt = 3, .completion = 2 }, .unix_s = 1760000001 };
	struct response *r = respond(EP_CHAT, true);
	struct hash_state *transcript = hash_new();
	struct seal_order order = { .begun = false };
	const char *what;
	struct opened x[3];
	uint8_t want[32];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		x[i] = open_one(r, "{'choices':[]}", i == 2 ? &end : NULL);
		assert_int_equal(seal_order_next(&order, x[i].nonce, request_nonce, &what), ERR_OK);
		hash_add(transcript, slice_of(x[i].hash, 32));
		assert_int_equal(json_object_size(x[i].wire), i == 2 ? 7 : 4);
		assert_true(slice_eq(text(x[i].plain, "id"), text(x[0].plain, "id")));
		assert_true(slice_is(text(x[i].plain, "object"), "chat.completion.chunk"));
	}
	assert_true(order.ended);
	assert_int_equal(text(x[0].plain, "id").n, strlen("chatcmpl-") + 32);
	hash_peek(transcript, want);
	{
		struct receipt c;
		uint8_t raw[RECEIPT_BYTES];

		assert_int_equal(b64_decode_exact(text(x[2].wire, "receipt"), raw, sizeof(raw)), ERR_OK);
		assert_int_equal(sign_verify_label(text(x[2].wire, "receipt_signature"), RECEIPT_LABEL,
						   slice_of(raw, sizeof(raw)), sign_key_public(sign)),
				 ERR_OK);
		assert_int_equal(receipt_decode(slice_of(raw, sizeof(raw)), &c), ERR_OK);
		assert_true(c.outcome == 0 && c.endpoint == 2 && c.stack == 42 && c.chunks == 3);
		assert_true(c.prompt == 3 && c.completion == 2 && c.unix_s == 1760000001);
		assert_memory_equal(c.rid, rid, 16);
		assert_memory_equal(c.node_key, node_key, 32);
		assert_memory_equal(c.plain_hash, plain_hash, 32);
		assert_memory_equal(c.transcript, want, 32);
		hash(want, S("demo"));
		assert_memory_equal(c.model_hash, want, 32);
		assert_memory_equal(response_receipt(r)->receipt, text(x[2].wire, "receipt").p, 244);
	}
	for (unsigned i = 0; i < 3; i++)
		close_one(&x[i]);
	hash_free(transcript);
	response_free(r);
}

static void test_nothing_after_the_end(void **state)
{
	struct ending end = { .outcome = 0 };
	struct response *r = respond(EP_COMPLETIONS, false);
	struct opened x = open_one(r, "{'choices':[]}", &end);
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(x.nonce[11], 1);
	assert_int_equal(response_put(r, x.plain, NULL, &out), ERR_LIMIT);
	assert_int_equal(response_put(r, x.plain, &end, &out), ERR_LIMIT);
	assert_int_equal(out.n, 0);
	close_one(&x);
	response_free(r);
}

static void test_close_without_end(void **state)
{
	struct ending end = { .outcome = 1, .used = { .prompt = 5 } };
	struct response *r = respond(EP_COMPLETIONS, true);
	struct opened x = open_one(r, "{'choices':[]}", NULL);
	uint8_t raw[RECEIPT_BYTES];
	struct receipt c;

	(void)state;
	response_close(r, &end);
	assert_int_equal(b64_decode_exact(slice_of(response_receipt(r)->receipt, 244), raw, sizeof(raw)),
			 ERR_OK);
	assert_int_equal(receipt_decode(slice_of(raw, sizeof(raw)), &c), ERR_OK);
	assert_true(c.outcome == 1 && c.chunks == 1 && c.prompt == 5);
	end.outcome = 0; /* the first word stands */
	response_close(r, &end);
	assert_int_equal(b64_decode_exact(slice_of(response_receipt(r)->receipt, 244), raw, sizeof(raw)),
			 ERR_OK);
	assert_int_equal(raw[1], 1);
	close_one(&x);
	response_free(r);
}

static void test_nothing_repeats(void **state)
{
	struct response *a = respond(EP_IMAGES, false), *b = respond(EP_IMAGES, false);
	struct opened x = open_one(a, "{'data':[]}", NULL), y = open_one(b, "{'data':[]}", NULL);

	(void)state;
	assert_memory_not_equal(x.nonce, y.nonce, 7);
	assert_memory_not_equal(x.hash, y.hash, 32); /* the same answer, but another id */
	assert_null(json_object_get(x.plain, "object"));
	close_one(&x);
	close_one(&y);
	response_free(a);
	response_free(b);
	response_free(NULL);
}

static void assert_adopts(const struct response *r, const char *engine, const char *want)
{
	json_t *o = json_of("{'id':'ours'}"), *from = json_of(engine);

	response_adopt(r, o, from);
	response_adopt(r, o, NULL);
	assert_json(o, want);
	json_decref(from);
	json_decref(o);
}

/* Without a key the object stays as it is; hash, signature and receipt follow its members. */
static void test_plain(void **state)
{
	static const uint8_t zero[32];
	struct ending end = { .outcome = 0, .used = { .prompt = 3, .completion = 2 }, .unix_s = 1760000001 };
	struct response_opts o = { .sign = sign,
				   .endpoint = EP_COMPLETIONS,
				   .rid = rid,
				   .plain_hash = plain_hash,
				   .model = S("demo"),
				   .stack = 42,
				   .unix_s = 1760000000 };
	struct response *r = response_new(&o);
	json_t *object = json_of("{\"a\":\"}\",\"b\":[1]}"), *sent;
	struct buf out = { 0 };
	uint8_t h[32], said[32], raw[RECEIPT_BYTES];
	struct receipt receipt;

	(void)state;
	assert_adopts(r, "{'id':'mine','signature':'x','receipt':'x','usage':{},'timings':1}",
		      "{'id':'ours','timings':1}");
	assert_int_equal(response_put(r, object, &end, &out), ERR_OK);
	assert_memory_equal(out.p, "{\"a\":\"}\",\"b\":[1],\"response_hash\":\"", 34);
	assert_int_equal(json_object_of(buf_slice(&out), &sent), ERR_OK);
	hash(h, S("{\"a\":\"}\",\"b\":[1]}"));
	assert_int_equal(b64_decode_exact(text(sent, "response_hash"), said, 32), ERR_OK);
	assert_memory_equal(h, said, 32);
	assert_int_equal(sign_verify(text(sent, "signature"), h, sign_key_public(sign)), ERR_OK);
	assert_int_equal(b64_decode_exact(text(sent, "receipt"), raw, sizeof(raw)), ERR_OK);
	assert_int_equal(receipt_decode(slice_of(raw, sizeof(raw)), &receipt), ERR_OK);
	assert_memory_equal(receipt.node_key, zero, 32);
	assert_memory_equal(receipt.plain_hash, plain_hash, 32);
	hash(said, slice_of(h, 32));
	assert_memory_equal(receipt.transcript, said, 32);
	assert_null(json_object_get(sent, "usage")); /* its own member or none: nothing is put beside it */
	assert_int_equal(response_put(r, object, NULL, &out), ERR_LIMIT);
	json_decref(sent);
	json_decref(object);
	buf_free(&out);
	response_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_stream), cmocka_unit_test(test_plain),
					    cmocka_unit_test(test_nothing_after_the_end),
					    cmocka_unit_test(test_close_without_end),
					    cmocka_unit_test(test_nothing_repeats) };

	return cmocka_run_group_tests(tests, signer_setup, signer_teardown);
}
