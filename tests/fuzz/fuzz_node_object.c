/* SPDX-License-Identifier: Apache-2.0
 *
 * An object of a node, as the worker takes it.  What is accepted is built again,
 * must be strict JSON (by jansson) of the known members only, and must read as
 * the same object.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "worker/relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_members(struct slice json)
{
	static const char known[] =
		" ciphertext nonce response_hash signature usage receipt receipt_signature ";
	json_t *o = json_loadb((const char *)json.p, json.n, JSON_REJECT_DUPLICATES, NULL);
	const char *key;
	json_t *value;
	char word[64];

	if (!json_is_object(o))
		abort();
	json_object_foreach(o, key, value)
	{
		snprintf(word, sizeof(word), " %s ", key);
		if (!strstr(known, word))
			abort();
	}
	value = json_object_get(o, "usage");
	if (value && (json_object_size(value) != 5 ||
		      json_object_size(json_object_get(value, "completion_tokens_details")) != 4 ||
		      json_object_size(json_object_get(value, "prompt_tokens_details")) != 2))
		abort();
	json_decref(o);
}

static void check_same(const struct relay_object *a, const struct relay_object *b)
{
	if (!slice_eq(a->ciphertext, b->ciphertext) || !slice_eq(a->nonce, b->nonce) ||
	    !slice_eq(a->response_hash, b->response_hash) || !slice_eq(a->signature, b->signature) ||
	    !slice_eq(a->receipt, b->receipt) || !slice_eq(a->receipt_signature, b->receipt_signature))
		abort();
	if (a->has_usage != b->has_usage || memcmp(a->usage, b->usage, sizeof(a->usage)) != 0)
		abort();
	if (memcmp(a->hash, b->hash, sizeof(a->hash)) != 0)
		abort();
}

/* The key of the seeds' signatures: the first 32 bytes after the flag and signature are zero there. */
static const uint8_t key[KEY_BYTES];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct relay_object o, again;
	struct buf scratch = { 0 }, scratch2 = { 0 }, out = { 0 }, out2 = { 0 };
	struct relay_rules rules = { .sign_key = key };

	if (n < 1)
		return 0;
	rules.ours = data[0] & 1;
	rules.verify = (data[0] & 6) == 6;
	if (relay_parse(slice_of(data + 1, n - 1), &rules, &scratch, &o) == ERR_OK) {
		relay_build(&o, &out);
		check_members(buf_slice(&out));
		if (relay_parse(buf_slice(&out), &rules, &scratch2, &again))
			abort();
		check_same(&o, &again);
		relay_build(&again, &out2);
		if (!slice_eq(buf_slice(&out), buf_slice(&out2)))
			abort();
	}
	buf_free(&scratch);
	buf_free(&scratch2);
	buf_free(&out);
	buf_free(&out2);
	return 0;
}
