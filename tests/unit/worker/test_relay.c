/* SPDX-License-Identifier: Apache-2.0
 *
 * One object of a node: what is taken, in which form it goes on, and everything
 * that is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/worker/node_side.h"
#include "worker/relay.h"

#define CT "AAECAwQFBgcICQoLDA0ODw==" /* 16 bytes */
#define CT15 "AAECAwQFBgcICQoLDA0O"   /* 15 bytes */
#define NONCE "AAECAwQFBgcICQoL"      /* 12 bytes */
#define BARE "\"ciphertext\":\"" CT "\",\"nonce\":\"" NONCE "\""
#define ZEROS_D                                                                                              \
	"\"completion_tokens_details\":{\"accepted_prediction_tokens\":0,\"audio_tokens\":0,"                \
	"\"reasoning_tokens\":0,\"rejected_prediction_tokens\":0},"                                          \
	"\"prompt_tokens_details\":{\"audio_tokens\":0,\"cached_tokens\":0}}"

static uint8_t no_key[KEY_BYTES];

static enum err parse(const char *json, const struct relay_rules *rules, struct buf *out)
{
	struct relay_object o;
	struct buf scratch = { 0 };
	enum err e = relay_parse(slice_str(json), rules, &scratch, &o);

	if (!e && out)
		relay_build(&o, out);
	buf_free(&scratch);
	return e;
}

/* A foreign node's object: only ciphertext and nonce are needed. */
static enum err parse_foreign(const char *json, struct buf *out)
{
	const struct relay_rules rules = { .ours = false, .sign_key = no_key };

	return parse(json, &rules, out);
}

static void assert_built(const char *json, const char *want)
{
	struct buf out = { 0 };

	assert_int_equal(parse_foreign(json, &out), ERR_OK);
	buf_add(&out, "", 1);
	assert_string_equal((char *)out.p, want);
	buf_free(&out);
}

static void test_bare(void **state)
{
	(void)state;
	assert_built("{" BARE "}", "{" BARE "}");
	assert_built(" { \"nonce\" : \"" NONCE "\" ,\n \"ciphertext\":\"" CT "\" } ", "{" BARE "}");
	/* unknown members go no further, whatever is in them */
	assert_built("{\"x\":{\"ciphertext\":[1]}," BARE ",\"model\":\"m\",\"choices\":[{}],\"x\":0}",
		     "{" BARE "}");
	assert_built("{" BARE ",\"response_hash\":null,\"signature\":null,\"usage\":null,\"receipt\":null,"
		     "\"receipt_signature\":null}",
		     "{" BARE "}");
}

/* Escapes are legal JSON: they are resolved, not copied. */
static void test_escapes(void **state)
{
	(void)state;
	assert_built("{\"ciphertext\":\"\\u0041AECAwQFBgcICQoLDA0ODw\\u003d=\",\"no\\u006ece\":\"" NONCE
		     "\"}",
		     "{" BARE "}");
	assert_built("{\"ciphertext\":\"AAECAwQFBgcICQoLDA0O\\/w==\",\"nonce\":\"AAECAwQFBgcICQo\\/\"}",
		     "{\"ciphertext\":\"AAECAwQFBgcICQoLDA0O/w==\",\"nonce\":\"AAECAwQFBgcICQo/\"}");
}

static void test_sealed_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"null",
		"[]",
		"{}",
		"{" BARE,
		"{" BARE "}x",
		"\xef\xbb\xbf{" BARE "}",
		"{\"ciphertext\":\"" CT "\"}",
		"{\"nonce\":\"" NONCE "\"}",
		"{\"ciphertext\":null,\"nonce\":\"" NONCE "\"}",
		"{\"ciphertext\":\"\",\"nonce\":\"" NONCE "\"}",
		"{\"ciphertext\":7,\"nonce\":\"" NONCE "\"}",
		"{\"ciphertext\":[\"" CT "\"],\"nonce\":\"" NONCE "\"}",
		"{\"ciphertext\":\"" CT15 "\",\"nonce\":\"" NONCE "\"}",
		"{\"ciphertext\":\"AAECAwQFBgcICQoLDA0ODw\",\"nonce\":\"" NONCE "\"}",   /* no padding */
		"{\"ciphertext\":\"AAECAwQFBgcICQoLDA0ODx==\",\"nonce\":\"" NONCE "\"}", /* stray bits */
		"{\"ciphertext\":\"AAECAwQFBgcICQoLDA0O_w==\",\"nonce\":\"" NONCE "\"}", /* URL alphabet */
		"{\"ciphertext\":\"" CT "\\n\",\"nonce\":\"" NONCE "\"}",
		"{\"ciphertext\":\"" CT " \",\"nonce\":\"" NONCE "\"}",
		"{\"ciphertext\":\"" CT "\",\"nonce\":\"AAECAwQFBgcICQ==\"}",     /* 10 bytes */
		"{\"ciphertext\":\"" CT "\",\"nonce\":\"AAECAwQFBgcICQoLDA==\"}", /* 13 bytes */
		"{\"ciphertext\":\"" CT "\",\"nonce\":true}",
		"{" BARE ",\"nonce\":\"" NONCE "\"}",       /* twice */
		"{" BARE ",\"n\\u006fnce\":\"" NONCE "\"}", /* twice, in disguise */
		"{" BARE ",\"response_hash\":\"AAEC\"}",
		"{" BARE ",\"response_hash\":5}",
		"{" BARE ",\"signature\":\"AAEC\"}",
		"{" BARE ",\"signature\":{}}",
		"{" BARE ",\"receipt\":\"AAEC\"}", /* without its signature */
		"{" BARE ",\"receipt_signature\":\"AAEC\"}",
		"{" BARE ",\"receipt\":\"AAEC\",\"receipt_signature\":\"AAEC\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (parse_foreign(bad[i], NULL) != ERR_NODE)
			fail_msg("must be refused: %s", bad[i]);
	}
}

/* --- usage --- */

static void test_usage_completed(void **state)
{
	(void)state;
	assert_built("{" BARE ",\"usage\":{}}",
		     "{" BARE
		     ",\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0," ZEROS_D
		     "}");
	assert_built("{" BARE ",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}",
		     "{" BARE
		     ",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7," ZEROS_D
		     "}");
	assert_built("{" BARE ",\"usage\":{\"total_tokens\":9,\"prompt_tokens\":3,\"completion_tokens\":null,"
		     "\"completion_tokens_details\":null,\"prompt_tokens_details\":null,\"cost\":0.5}}",
		     "{" BARE
		     ",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":0,\"total_tokens\":9," ZEROS_D
		     "}");
}

static void test_usage_details(void **state)
{
	(void)state;
	assert_built("{" BARE
		     ",\"usage\":{\"prompt_tokens\":2147483647,\"completion_tokens\":0,\"total_tokens\":1,"
		     "\"completion_tokens_details\":{\"rejected_prediction_tokens\":1,\"reasoning_tokens\":2,"
		     "\"audio_tokens\":3,\"accepted_prediction_tokens\":4},"
		     "\"prompt_tokens_details\":{\"cached_tokens\":5,\"audio_tokens\":null}}}",
		     "{" BARE
		     ",\"usage\":{\"prompt_tokens\":2147483647,\"completion_tokens\":0,\"total_tokens\":1,"
		     "\"completion_tokens_details\":{\"accepted_prediction_tokens\":4,\"audio_tokens\":3,"
		     "\"reasoning_tokens\":2,\"rejected_prediction_tokens\":1},"
		     "\"prompt_tokens_details\":{\"audio_tokens\":0,\"cached_tokens\":5}}}");
}

static void test_usage_refused(void **state)
{
	static const char *const bad[] = {
		"[]",
		"7",
		"\"\"",
		"true",
		"{\"prompt_tokens\":-1}",
		"{\"prompt_tokens\":1.0}",
		"{\"prompt_tokens\":1e3}",
		"{\"prompt_tokens\":\"1\"}",
		"{\"prompt_tokens\":2147483648}",
		"{\"prompt_tokens\":99999999999999999999999999}",
		"{\"completion_tokens\":2147483648}",
		"{\"total_tokens\":2147483648}",
		"{\"prompt_tokens\":2147483647,\"completion_tokens\":1}",
		"{\"prompt_tokens\":1,\"prompt_tokens\":1}",
		"{\"completion_tokens_details\":[]}",
		"{\"completion_tokens_details\":{\"audio_tokens\":-1}}",
		"{\"completion_tokens_details\":{\"reasoning_tokens\":2147483648}}",
		"{\"prompt_tokens_details\":0}",
		"{\"prompt_tokens_details\":{\"cached_tokens\":false}}",
		"{\"prompt_tokens_details\":{\"cached_tokens\":1,\"cached_tokens\":1}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf json = { 0 };

		buf_fmt(&json, "{" BARE ",\"usage\":%s}", bad[i]);
		buf_add(&json, "", 1);
		if (parse_foreign((char *)json.p, NULL) != ERR_NODE)
			fail_msg("must be refused: %s", bad[i]);
		buf_free(&json);
	}
}

/* --- signatures --- */

static enum err parse_ours(struct node_side *n, struct buf *json, bool verify)
{
	const struct relay_rules rules = { .ours = true,
					   .sign_key = sign_key_public(n->key),
					   .verify = verify };
	struct buf out = { 0 };
	enum err e;

	buf_add(json, "", 1);
	e = parse((char *)json->p, &rules, &out);
	if (!e) { /* nothing is lost and nothing added on the way */
		assert_int_equal(out.n, json->n - 1);
		assert_memory_equal(out.p, json->p, out.n);
	}
	buf_free(&out);
	buf_free(json);
	return e;
}

static void test_ours(void **state)
{
	struct node_side n;
	struct buf json = { 0 };
	struct work w;

	(void)state;
	node_side_init(&n, 1);
	w = node_side_work(&n, 1, true);
	node_side_object(&n, "", false, NULL, &json);
	assert_int_equal(parse_ours(&n, &json, true), ERR_OK);
	node_side_count(&n);
	node_side_receipt(&n, &w, 0);
	node_side_object(&n, "", true, NULL, &json);
	assert_int_equal(parse_ours(&n, &json, true), ERR_OK);
	node_side_fini(&n);
}

/* Takes one member out of (or spoils it in) an object of ours. */
static void test_ours_refused(void **state)
{
	static const char *const needed[] = { "response_hash", "signature", "ciphertext", "nonce" };
	struct node_side n;

	(void)state;
	node_side_init(&n, 1);
	for (size_t i = 0; i < 4; i++) {
		struct buf json = { 0 };
		char *at;

		node_side_object(&n, "", false, NULL, &json);
		buf_add(&json, "", 1);
		at = strstr((char *)json.p, needed[i]);
		*at = 'X';
		json.n--;
		assert_int_equal(parse_ours(&n, &json, false), ERR_NODE);
	}
	node_side_fini(&n);
}

static void test_foreign_key(void **state)
{
	struct node_side n, other;
	struct buf json = { 0 };
	struct work w;

	(void)state;
	node_side_init(&n, 1);
	node_side_init(&other, 2);
	w = node_side_work(&n, 1, true);
	node_side_object(&other, "", false, NULL, &json); /* signed well, by another key */
	assert_int_equal(parse_ours(&n, &json, false), ERR_NODE);
	node_side_count(&n);
	node_side_receipt(&n, &w, 0);
	node_side_object(&n, "", true, other.key, &json); /* only the receipt by another */
	assert_int_equal(parse_ours(&n, &json, false), ERR_NODE);
	node_side_fini(&n);
	node_side_fini(&other);
}

/* A signature over another hash: found only when each chunk is verified. */
static void test_verify(void **state)
{
	struct node_side n;
	struct buf json = { 0 }, again;
	char *hash_at;

	(void)state;
	node_side_init(&n, 1);
	node_side_object(&n, "", false, NULL, &json);
	buf_add(&json, "", 1);
	hash_at = strstr((char *)json.p, "response_hash") + strlen("response_hash\":\"");
	*hash_at = *hash_at == 'A' ? 'B' : 'A';
	json.n--;
	again = (struct buf){ 0 };
	buf_add(&again, json.p, json.n);
	assert_int_equal(parse_ours(&n, &json, false), ERR_OK);
	assert_int_equal(parse_ours(&n, &again, true), ERR_NODE);
	node_side_fini(&n);
}

/* On an error the object given stays as it was. */
static void test_untouched(void **state)
{
	const struct relay_rules rules = { .sign_key = no_key };
	struct relay_object o, before;
	struct buf scratch = { 0 };

	(void)state;
	memset(&o, 0x5a, sizeof(o));
	before = o;
	assert_int_equal(relay_parse(SLICE_STR("{" BARE ",\"usage\":1}"), &rules, &scratch, &o), ERR_NODE);
	assert_memory_equal(&o, &before, sizeof(o));
	buf_free(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bare),           cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_sealed_refused), cmocka_unit_test(test_usage_completed),
		cmocka_unit_test(test_usage_details),  cmocka_unit_test(test_usage_refused),
		cmocka_unit_test(test_ours),           cmocka_unit_test(test_ours_refused),
		cmocka_unit_test(test_foreign_key),    cmocka_unit_test(test_verify),
		cmocka_unit_test(test_untouched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
