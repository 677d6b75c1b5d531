/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's body check against an oracle written over jansson and
 * libsodium: both must agree on what is a ConfidentialComputeRequest, and on
 * every value taken from it.  Where jansson cannot judge (numbers beyond its
 * types, NUL bytes in keys, names that come twice), only one direction is
 * compared.
 */
#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libsodium 1.0.18 takes some bytes over 0x7f for base64 characters. */
static bool ascii(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] > 0x7f)
			return false;
	return true;
}

/* Strict base64 of min..max bytes. */
static bool b64(const json_t *v, size_t min, size_t max, uint8_t *out)
{
	size_t n, len = json_string_length(v);
	uint8_t *bytes;
	bool ok;

	if (!json_is_string(v) || !ascii(json_string_value(v), len))
		return false;
	bytes = malloc(len + 1);
	ok = sodium_base642bin(bytes, len + 1, json_string_value(v), len, NULL, &n, NULL,
			       sodium_base64_VARIANT_ORIGINAL) == 0 &&
	     n >= min && n <= max;
	if (ok && out)
		memcpy(out, bytes, n);
	free(bytes);
	return ok;
}

static bool key(const json_t *v, uint8_t out[32])
{
	return b64(v, 32, 32, out) && !(out[31] & 0x80);
}

static bool integer(const json_t *v)
{
	return json_is_integer(v) && json_integer_value(v) >= 0 &&
	       json_integer_value(v) <= (json_int_t)ID_MAX;
}

static bool depth_ok(const json_t *v, int left)
{
	const char *name;
	json_t *item;
	size_t i;

	if (!json_is_object(v) && !json_is_array(v))
		return true;
	if (left == 0)
		return false;
	json_array_foreach(v, i, item) if (!depth_ok(item, left - 1)) return false;
	if (json_is_object(v)) {
		json_object_foreach((json_t *)(uintptr_t)v, name,
				    item) if (!depth_ok(item, left - 1)) return false;
	}
	return true;
}

static bool optional_ok(const json_t *j)
{
	const json_t *stream = json_object_get(j, "stream"), *units = json_object_get(j, "num_compute_units");

	if (stream && !json_is_null(stream) && !json_is_boolean(stream))
		return false;
	return !units || json_is_null(units) || integer(units);
}

static bool accepts(const json_t *j, struct scan *s)
{
	const json_t *model = json_object_get(j, "model_name");
	size_t n = json_string_length(model);
	uint8_t client[32];

	return json_is_object(j) && depth_ok(j, 64) &&
	       b64(json_object_get(j, "ciphertext"), 16, SIZE_MAX, NULL) &&
	       b64(json_object_get(j, "nonce"), 12, 12, NULL) &&
	       b64(json_object_get(j, "salt"), 16, 16, NULL) &&
	       key(json_object_get(j, "client_dh_public_key"), client) &&
	       key(json_object_get(j, "node_dh_public_key"), s->node_key) &&
	       b64(json_object_get(j, "plaintext_body_hash"), 32, 32, s->plain_hash) &&
	       json_is_string(model) && n >= 1 && n <= MODEL_BYTES_MAX &&
	       !memchr(json_string_value(model), 0, n) && integer(json_object_get(j, "stack_small_id")) &&
	       optional_ok(j);
}

static void same(const json_t *j, const struct scan *want, const struct scan *got)
{
	const json_t *model = json_object_get(j, "model_name"),
		     *units = json_object_get(j, "num_compute_units");
	bool has = units && !json_is_null(units);

	BUG_ON(memcmp(want->node_key, got->node_key, KEY_BYTES) != 0);
	BUG_ON(memcmp(want->plain_hash, got->plain_hash, KEY_BYTES) != 0);
	BUG_ON(got->stack != (uint64_t)json_integer_value(json_object_get(j, "stack_small_id")));
	BUG_ON(got->stream != json_is_true(json_object_get(j, "stream")));
	BUG_ON(got->has_units != has || (has && got->units != (uint64_t)json_integer_value(units)));
	BUG_ON(got->model_n != json_string_length(model));
	BUG_ON(memcmp(got->model, json_string_value(model), got->model_n) != 0);
}

/* jansson gives up on these although they are JSON, or takes them although they are not. */
static bool cannot_judge(const uint8_t *data, size_t size, const json_error_t *why)
{
	enum json_error_code code = json_error_code(why);

	return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
	       code == json_error_stack_overflow || (size && memchr(data, 0, size));
}

/* "-0": an integer 0 to jansson; no integer of digits only, so refused.  Only as a real it keeps its sign. */
static bool minus_zero(const uint8_t *data, size_t size)
{
	json_t *j = json_loadb((const char *)data, size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	bool yes = signbit(json_real_value(json_object_get(j, "stack_small_id"))) ||
		   signbit(json_real_value(json_object_get(j, "num_compute_units")));

	json_decref(j);
	return yes;
}

static void compare(const uint8_t *data, size_t size, bool accepted, const struct scan *got)
{
	json_error_t why = { .text = "" };
	json_t *j = json_loadb((const char *)data, size, JSON_ALLOW_NUL, &why), *once;
	struct scan want = { .stack = 0 };
	bool expected;

	if (!j) {
		BUG_ON(accepted && !cannot_judge(data, size, &why));
		return;
	}
	once = json_loadb((const char *)data, size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	expected = accepts(j, &want) && !minus_zero(data, size);
	BUG_ON(accepted && !expected);
	BUG_ON(!accepted && expected && once && !memchr(data, 0, size));
	if (accepted)
		same(j, &want, got);
	json_decref(once);
	json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice body = slice_of(data, size);
	struct scan_fault fault, again;
	struct scan s, t;
	enum err e = scan_confidential(body, true, &s, &fault);

	BUG_ON(e != ERR_OK && (e != ERR_BODY || !fault.what));
	compare(data, size, e == ERR_OK, &s);
	/* an endpoint that does not stream differs in nothing else */
	if (e == ERR_OK)
		BUG_ON((scan_confidential(body, false, &t, &again) != ERR_OK) != s.stream);
	return 0;
}
