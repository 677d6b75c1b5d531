/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain objects, one by one: what is cut out and what stays, and everything that
 * is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/hash.h"
#include "worker/plain.h"

static struct sign_key *key, *other;

static int setup(void **state)
{
	const uint8_t one[32] = { 1 }, two[32] = { 2 };

	(void)state;
	key = sign_key_new(one);
	other = sign_key_new(two);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sign_key_free(key);
	sign_key_free(other);
	return 0;
}

/* --- cutting --- */

static void assert_without(const char *json, const char *want)
{
	static const char *const names[] = { "a", "b", "c", "d" };
	struct buf out = { 0 };
	struct jval v[4];

	buf_str(&out, "before,"); /* what stands in the buffer is not looked at */
	assert_int_equal(jscan_object(slice_str(json), names, 4, v, NULL), ERR_OK);
	plain_without(slice_str(json), v, 4, &out);
	buf_add(&out, "", 1);
	assert_string_equal((char *)out.p, want);
	buf_free(&out);
}

static void test_without(void **state)
{
	static const char *const rows[][2] = {
		{ "{}", "before,{}" },
		{ "{\"x\":1}", "before,{\"x\":1}" },
		{ "{\"x\":1,\"a\":\"y\"}", "before,{\"x\":1}" },
		{ "{\"a\":\"y\",\"x\":1}", "before,{\"x\":1}" },
		{ "{\"x\":1,\"a\":2,\"z\":3}", "before,{\"x\":1,\"z\":3}" },
		{ "{\"a\":1}", "before,{}" },
		{ "{\"a\":1,\"b\":\"2\",\"c\":{\"a\":1},\"d\":[1,2]}", "before,{}" },
		{ "{\"d\":[1,2],\"c\":null,\"b\":true,\"a\":-1.5e3}", "before,{}" },
		{ "{\"b\":1,\"x\":[{\"a\":1}],\"a\":2}", "before,{\"x\":[{\"a\":1}]}" },
		{ "{\"x\": 1, \"a\": 2, \"z\": 3}", "before,{\"x\": 1, \"z\": 3}" },
		{ "{ \"a\" : \"2\" , \"x\" : 1 }", "before,{ \"x\" : 1 }" },
		{ "{\n \"x\": 1,\n \"a\": 2\n}", "before,{\n \"x\": 1\n}" },
		{ "{\"x\":\"a\\\",\",\"\\u0061\":\"\\\"\",\"z\":\",\"}",
		  "before,{\"x\":\"a\\\",\",\"z\":\",\"}" },
		{ "{\"a\":\"\",\"b\":\"\",\"x\":\"\"}", "before,{\"x\":\"\"}" },
		{ "{\"x\":\",\",\"a\":\",\"}", "before,{\"x\":\",\"}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_without(rows[i][0], rows[i][1]);
}

/* --- reading --- */

#define BARE "{\"id\":\"x\",\"choices\":[{\"index\":0}]}"

/* The members that a node puts behind those of bare. */
struct members {
	const char *hash_of; /* what is hashed, if not bare */
	const struct sign_key *by;
	const char *more; /* behind them */
};

static void sign_object(const char *bare, const struct members *m, struct buf *out)
{
	uint8_t digest[HASH_BYTES];
	char signature[SIGN_B64];

	hash(digest, slice_str(m->hash_of ? m->hash_of : bare));
	sign_hash(m->by ? m->by : key, digest, signature);
	buf_add(out, bare, strlen(bare) - 1);
	buf_str(out, ",\"response_hash\":\"");
	b64_encode(out, slice_of(digest, sizeof(digest)));
	buf_str(out, "\",\"signature\":\"");
	buf_add(out, signature, sizeof(signature));
	buf_str(out, "\"");
	buf_str(out, m->more ? m->more : "");
	buf_str(out, "}");
}

static enum err parse(struct slice json, bool tokens, struct plain_object *o, struct buf *scratch)
{
	return plain_parse(json, sign_key_public(key), tokens, scratch, o);
}

static void test_good(void **state)
{
	struct buf json = { 0 }, scratch = { 0 }, spaced = { 0 };
	struct plain_object o;
	uint8_t digest[HASH_BYTES];

	(void)state;
	sign_object(BARE, &(struct members){ 0 }, &json);
	assert_int_equal(parse(buf_slice(&json), true, &o, &scratch), ERR_OK);
	assert_true(slice_eq(o.shown, buf_slice(&json)));
	assert_false(o.has_receipt || o.has_usage || o.only_usage);
	hash(digest, SLICE_STR(BARE));
	assert_memory_equal(o.hash, digest, sizeof(digest));
	buf_str(&spaced, " \r\n\t"); /* white space around it is not part of it */
	buf_add(&spaced, json.p, json.n);
	buf_str(&spaced, "\n");
	assert_int_equal(parse(buf_slice(&spaced), true, &o, &scratch), ERR_OK);
	assert_true(slice_eq(o.shown, buf_slice(&json)));
	buf_free(&json);
	buf_free(&spaced);
	buf_free(&scratch);
}

static void test_escaped_base64(void **state)
{
	struct buf json = { 0 }, escaped = { 0 }, scratch = { 0 };
	struct plain_object o;

	(void)state;
	sign_object(BARE, &(struct members){ 0 }, &json);
	for (size_t i = 0; i < json.n; i++) {
		if (json.p[i] == '/')
			buf_str(&escaped, "\\/");
		else if (json.p[i] == '+')
			buf_str(&escaped, "\\u002b");
		else
			buf_add(&escaped, &json.p[i], 1);
	}
	assert_int_equal(parse(buf_slice(&escaped), true, &o, &scratch), ERR_OK);
	buf_free(&json);
	buf_free(&escaped);
	buf_free(&scratch);
}

static void assert_refused(const char *bare, struct members m)
{
	struct buf json = { 0 }, scratch = { 0 };
	struct plain_object o, before;

	memset(&o, 0x5a, sizeof(o));
	before = o;
	sign_object(bare, &m, &json);
	if (parse(buf_slice(&json), true, &o, &scratch) != ERR_NODE)
		fail_msg("must be refused: %.*s", (int)json.n, (char *)json.p);
	assert_memory_equal(&o, &before, sizeof(o));
	buf_free(&json);
	buf_free(&scratch);
}

static void test_refused(void **state)
{
	(void)state;
	assert_refused(BARE, (struct members){ .by = other });
	assert_refused(BARE, (struct members){ .hash_of = "{}" });
	assert_refused(BARE, (struct members){ .hash_of = BARE " " });
	assert_refused(BARE, (struct members){ .more = ",\"late\":1" }); /* not what was hashed */
	assert_refused(BARE, (struct members){ .more = ",\"signature\":\"\"" });
	assert_refused(BARE, (struct members){ .more = ",\"receipt\":\"AAEC\"" });
	assert_refused(BARE, (struct members){ .more = ",\"receipt_signature\":\"AAEC\"" });
	assert_refused(BARE,
		       (struct members){ .more = ",\"receipt\":\"AAEC\",\"receipt_signature\":\"AAEC\"" });
	assert_refused(BARE, (struct members){ .more = ",\"receipt\":1,\"receipt_signature\":2" });
	assert_refused("{\"error\":{\"message\":\"x\"}}", (struct members){ 0 });
	assert_refused("{\"error\":\"x\",\"choices\":[]}", (struct members){ 0 });
	assert_refused("{\"usage\":7}", (struct members){ 0 });
	assert_refused("{\"usage\":{\"prompt_tokens\":-1}}", (struct members){ 0 });
	assert_refused("{\"usage\":{\"prompt_tokens\":2147483648}}", (struct members){ 0 });
	assert_refused("{\"x\":\"\xff\"}", (struct members){ 0 });
}

static void test_not_signed(void **state)
{
	static const char *const bad[] = {
		"",
		"null",
		"[]",
		"{}",
		BARE,
		"{\"response_hash\":\"\",\"signature\":\"\"}",
		"{\"response_hash\":null,\"signature\":null}",
		"{\"response_hash\":7,\"signature\":[]}",
		"{\"response_hash\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}",
	};
	struct buf scratch = { 0 };
	struct plain_object o;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(slice_str(bad[i]), true, &o, &scratch), ERR_NODE);
	buf_free(&scratch);
}

/* A bit changed anywhere in the object: found, wherever it is. */
static void test_every_bit(void **state)
{
	struct buf json = { 0 }, scratch = { 0 };
	struct plain_object o;

	(void)state;
	sign_object(BARE, &(struct members){ 0 }, &json);
	for (size_t i = 0; i < json.n; i++) {
		json.p[i] ^= 1;
		assert_int_equal(parse(buf_slice(&json), true, &o, &scratch), ERR_NODE);
		json.p[i] ^= 1;
	}
	assert_int_equal(parse(buf_slice(&json), true, &o, &scratch), ERR_OK);
	buf_free(&json);
	buf_free(&scratch);
}

static void usage_of(const char *bare, bool tokens, struct plain_object *o)
{
	static struct buf json, scratch;

	buf_reset(&json);
	sign_object(bare, &(struct members){ 0 }, &json);
	assert_int_equal(parse(buf_slice(&json), tokens, o, &scratch), ERR_OK);
	buf_free(&json);
	buf_free(&scratch);
}

static void test_usage(void **state)
{
	struct plain_object o;

	(void)state;
	usage_of("{\"choices\":[ ],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}", true, &o);
	assert_true(o.has_usage && o.only_usage && o.usage[USAGE_PROMPT] == 3 &&
		    o.usage[USAGE_COMPLETION] == 4);
	usage_of("{\"choices\":[{}],\"usage\":{\"prompt_tokens\":3}}", true, &o);
	assert_true(o.has_usage && !o.only_usage);
	usage_of("{\"choices\":[],\"usage\":null}", true,
		 &o); /* some first object: not for us to hold back */
	assert_false(o.has_usage || o.only_usage);
	usage_of("{\"choices\":[]}", true, &o);
	assert_false(o.has_usage || o.only_usage);
	usage_of("{\"usage\":{\"prompt_tokens\":5}}", true, &o); /* embeddings */
	assert_true(o.has_usage && !o.only_usage);
	usage_of("{\"data\":[],\"usage\":{\"input_tokens\":5,\"prompt_tokens\":\"x\"}}", false,
		 &o); /* images */
	assert_false(o.has_usage);
	usage_of("{\"error\":null,\"choices\":[{}]}", true, &o);
}

/* The client does not get the receipt, and what it gets still proves itself. */
static void test_receipt_stays_here(void **state)
{
	uint8_t raw[RECEIPT_BYTES] = { 1 };
	char signature[SIGN_B64];
	struct buf json = { 0 }, more = { 0 }, scratch = { 0 }, scratch2 = { 0 };
	struct plain_object o, again;

	(void)state;
	sign_label(key, RECEIPT_LABEL, slice_of(raw, sizeof(raw)), signature);
	buf_str(&more, ",\"receipt\":\"");
	b64_encode(&more, slice_of(raw, sizeof(raw)));
	buf_str(&more, "\",\"receipt_signature\":\"");
	buf_add(&more, signature, sizeof(signature));
	buf_add(&more, "\"", 2);
	sign_object(BARE, &(struct members){ .more = (char *)more.p }, &json);
	assert_int_equal(parse(buf_slice(&json), true, &o, &scratch), ERR_OK);
	assert_true(o.has_receipt);
	assert_memory_equal(o.receipt, raw, sizeof(raw));
	assert_memory_equal(o.receipt_signature, signature, sizeof(signature));
	assert_null(memmem(o.shown.p, o.shown.n, "receipt", 7));
	assert_int_equal(parse(o.shown, true, &again, &scratch2), ERR_OK);
	assert_false(again.has_receipt);
	buf_free(&json);
	buf_free(&more);
	buf_free(&scratch);
	buf_free(&scratch2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without),        cmocka_unit_test(test_good),
		cmocka_unit_test(test_escaped_base64), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_not_signed),     cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_usage),          cmocka_unit_test(test_receipt_stays_here),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
