/* SPDX-License-Identifier: Apache-2.0
 *
 * The heads of calls to nodes (PROTOCOL section 7), and receipts against what
 * the worker knows: each field of each, right and wrong.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "tests/unit/worker/node_side.h"
#include "worker/headers.h"
#include "worker/receipts.h"

struct side {
	struct headers_keys keys;
	struct node_side node;
	struct work w;
};

static int setup(void **state)
{
	static const uint8_t a[32] = { 0xa }, b[32] = { 0xb };
	struct side *s = mem_new(sizeof(*s));

	s->keys.request = sign_key_new(a);
	s->keys.auth = sign_key_new(b);
	node_side_init(&s->node, 1);
	s->w = node_side_work(&s->node, 0xcd, true);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct side *s = *state;

	sign_key_free(s->keys.request);
	sign_key_free(s->keys.auth);
	node_side_fini(&s->node);
	free(s);
	return 0;
}

static struct slice value(const struct headers *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++) {
		if (strcmp(h->h[i].name, name) == 0)
			return h->h[i].value;
	}
	return slice_of(NULL, 0);
}

static void check_auth(const struct side *s, struct slice text, const uint8_t body_hash[32],
		       uint64_t not_after)
{
	const uint8_t *dot = memchr(text.p, '.', text.n);
	uint8_t raw[AUTH_BYTES];
	struct authz a;

	assert_non_null(dot);
	assert_int_equal(b64_decode_exact(slice_of(text.p, (size_t)(dot - text.p)), raw, sizeof(raw)),
			 ERR_OK);
	assert_int_equal(authz_decode(slice_of(raw, sizeof(raw)), &a), ERR_OK);
	assert_memory_equal(a.rid, s->w.rid, sizeof(a.rid));
	assert_int_equal(a.node, s->w.node);
	assert_int_equal(a.stack, s->w.stack);
	assert_int_equal(a.units, s->w.units);
	assert_memory_equal(a.body_hash, body_hash, 32);
	assert_int_equal(a.not_after, not_after);
	text = slice_of(dot + 1, text.n - (size_t)(dot + 1 - text.p));
	assert_int_equal(sign_verify_label(text, AUTH_LABEL, slice_of(raw, sizeof(raw)),
					   sign_key_public(s->keys.auth)),
			 ERR_OK);
}

static void test_post(void **state)
{
	struct side *s = *state;
	struct headers h;

	headers_post(&h, &s->keys, &s->w, 1000);
	assert_true(slice_is(value(&h, "X-Request-Id"), "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"));
	assert_true(slice_is(value(&h, "Content-Type"), "application/json"));
	assert_true(slice_is(value(&h, "X-User-Id"), "5"));
	assert_true(slice_is(value(&h, "X-Stack-Small-Id"), "42"));
	assert_int_equal(
		sign_verify(value(&h, "X-Signature"), s->w.plain_hash, sign_key_public(s->keys.request)),
		ERR_OK);
	check_auth(s, value(&h, "X-Sealway-Auth"), s->w.body_hash, 1060);
	headers_wipe(&h);
	for (size_t i = 0; i < sizeof(h); i++)
		assert_int_equal(((uint8_t *)&h)[i], 0);
}

static void test_about(void **state)
{
	struct side *s = *state;
	struct authz a = { .node = s->w.node, .stack = s->w.stack, .units = s->w.units, .not_after = 99 };
	struct headers h;
	uint8_t empty[32];

	memcpy(a.rid, s->w.rid, sizeof(a.rid));
	headers_about(&h, &s->keys, &a);
	hash(empty, slice_of(NULL, 0));
	check_auth(s, value(&h, "X-Sealway-Auth"), empty, 99);
	assert_true(slice_is(value(&h, "X-Request-Id"), "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"));
	assert_int_equal(value(&h, "X-Signature").n, 0);
}

static void test_url(void **state)
{
	static const char *const bad[] = {
		"",           "http://",    "ftp://x",     "//x",         "http://a b",      "http://a?b",
		"http://a#b", "http://u@h", "http://a\\b", "http://a\nb", "http://\xc3\xa4", "HTTP://x"
	};
	struct buf b = { 0 };
	char longest[URL_BYTES_MAX + 2];

	(void)state;
	assert_int_equal(headers_url(SLICE_STR("http://h:1"), "/v1/x", &b), ERR_OK);
	assert_string_equal((char *)b.p, "http://h:1/v1/x");
	buf_reset(&b);
	assert_int_equal(headers_url(SLICE_STR("https://h/base//"), "/v1/x", &b), ERR_OK);
	assert_string_equal((char *)b.p, "https://h/base/v1/x");
	buf_reset(&b);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (headers_url(slice_str(bad[i]), "/v1/x", &b) != ERR_FORMAT)
			fail_msg("must be refused: %s", bad[i]);
		assert_int_equal(b.n, 0);
	}
	memset(longest, 'h', sizeof(longest));
	memcpy(longest, "http://", 7);
	assert_int_equal(headers_url(slice_of(longest, URL_BYTES_MAX), "/", &b), ERR_OK);
	buf_reset(&b);
	assert_int_equal(headers_url(slice_of(longest, URL_BYTES_MAX + 1), "/", &b), ERR_FORMAT);
	buf_free(&b);
}

/* --- receipts --- */

static enum err check(struct side *s, const struct receipt_facts *f, const struct sign_key *by)
{
	uint8_t raw[RECEIPT_BYTES];
	char signature[SIGN_B64];
	struct receipt said;

	receipt_encode(&s->node.receipt, raw);
	sign_label(by, RECEIPT_LABEL, slice_of(raw, sizeof(raw)), signature);
	return receipt_check(f, slice_of(raw, sizeof(raw)), slice_of(signature, sizeof(signature)), &said);
}

static void test_receipt_fields(void **state)
{
	struct side *s = *state;
	struct receipt *r = &s->node.receipt, good;
	uint8_t model[32], transcript[32];
	struct receipt_facts f = { .rid = s->w.rid,
				   .sign_key = s->w.sign_key,
				   .stack = s->w.stack,
				   .endpoint = (uint8_t)s->w.endpoint,
				   .node_key = s->w.node_key,
				   .plain_hash = s->w.plain_hash,
				   .model_hash = model,
				   .transcript = transcript,
				   .chunks = 1 };

	hash(model, s->w.model);
	node_side_count(&s->node);
	hash_peek(s->node.transcript, transcript);
	node_side_receipt(&s->node, &s->w, 0);
	good = *r;
	assert_int_equal(check(s, &f, s->node.key), ERR_OK);
	assert_int_equal(check(s, &f, s->keys.auth), ERR_NODE); /* another's signature */
#define SPOILT(change)                                                                                       \
	do {                                                                                                 \
		*r = good;                                                                                   \
		change;                                                                                      \
		assert_int_equal(check(s, &f, s->node.key), ERR_NODE);                                       \
	} while (0)
	SPOILT(r->rid[15] ^= 1);
	SPOILT(r->stack++);
	SPOILT(r->endpoint = 1);
	SPOILT(r->node_key[0] ^= 1);
	SPOILT(r->plain_hash[31] ^= 1);
	SPOILT(r->model_hash[7] ^= 1);
	SPOILT(r->transcript[0] ^= 1);
	SPOILT(r->chunks++);
	/* What a worker cannot know it does not compare. */
	f.transcript = f.model_hash = f.plain_hash = f.node_key = NULL;
	f.endpoint = 0;
	assert_int_equal(check(s, &f, s->node.key), ERR_OK);
}

static void test_receipt_bytes(void **state)
{
	struct side *s = *state;
	struct receipt_facts f = { .rid = s->w.rid, .sign_key = s->w.sign_key, .stack = s->w.stack };
	uint8_t raw[RECEIPT_BYTES + 1] = { 0 };
	char signature[SIGN_B64];
	struct receipt said;
	struct slice sig = slice_of(signature, sizeof(signature));

	node_side_receipt(&s->node, &s->w, 1);
	receipt_encode(&s->node.receipt, raw);
	sign_label(s->node.key, RECEIPT_LABEL, slice_of(raw, RECEIPT_BYTES), signature);
	assert_int_equal(receipt_check(&f, slice_of(raw, RECEIPT_BYTES), sig, &said), ERR_OK);
	assert_int_equal(said.outcome, 1);
	assert_int_equal(said.completion, 16);
	assert_int_equal(receipt_check(&f, slice_of(raw, RECEIPT_BYTES - 1), sig, &said), ERR_NODE);
	assert_int_equal(receipt_check(&f, slice_of(raw, RECEIPT_BYTES + 1), sig, &said), ERR_NODE);
	assert_int_equal(receipt_check(&f, slice_of(raw, 0), sig, &said), ERR_NODE);
	assert_int_equal(receipt_check(&f, slice_of(raw, RECEIPT_BYTES), slice_of(signature, 131), &said),
			 ERR_NODE);
	/* every single byte is covered */
	for (size_t i = 0; i < RECEIPT_BYTES; i++) {
		raw[i] ^= 0x40;
		assert_int_equal(receipt_check(&f, slice_of(raw, RECEIPT_BYTES), sig, &said), ERR_NODE);
		raw[i] ^= 0x40;
	}
	/* and so is the label */
	sign_label(s->node.key, AUTH_LABEL, slice_of(raw, RECEIPT_BYTES), signature);
	assert_int_equal(receipt_check(&f, slice_of(raw, RECEIPT_BYTES), sig, &said), ERR_NODE);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_post), T(test_about), T(test_url), T(test_receipt_fields), T(test_receipt_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
