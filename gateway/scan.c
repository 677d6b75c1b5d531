/* SPDX-License-Identifier: Apache-2.0
 *
 * The members of a ConfidentialComputeRequest as a table of checks (PROTOCOL
 * section 2).  Cost per MiB of body: scan 0.1 ms, base64 check of the
 * ciphertext below 1 ms; at the default limit of 16 MiB under 20 ms of the
 * loop, which is what max_body caps.
 */
#include "gateway/scan.h"

#include <string.h>

#include "common/b64.h"
#include "common/jscan.h"
#include "proto/envelope.h"

#define TAG_BYTES 16

static const char *wrong_string(const struct jval *v)
{
	if (v->type == J_NONE)
		return "a required member is missing";
	return v->type == J_STRING ? NULL : "must be a string";
}

/* The text of a string member: where it lies, or unescaped in tmp. */
static struct slice text_of(const struct jval *v, struct buf *tmp)
{
	if (!v->escaped)
		return v->raw;
	buf_reset(tmp);
	jval_text(v, tmp);
	return buf_slice(tmp);
}

static const char *check_ciphertext(const struct jval *v, struct buf *tmp)
{
	const char *wrong = wrong_string(v);
	size_t n;

	if (wrong)
		return wrong;
	if (b64_check(text_of(v, tmp), &n) != ERR_OK)
		return "must be canonical base64";
	return n < TAG_BYTES ? "must hold at least the 16-byte tag" : NULL;
}

static const char *check_fixed(const struct jval *v, struct buf *tmp, uint8_t *out, size_t n)
{
	const char *wrong = wrong_string(v);

	if (wrong)
		return wrong;
	if (b64_decode_exact(text_of(v, tmp), out, n) == ERR_OK)
		return NULL;
	switch (n) {
	case 12:
		return "must be canonical base64 of 12 bytes";
	case 16:
		return "must be canonical base64 of 16 bytes";
	default:
		return "must be canonical base64 of 32 bytes";
	}
}

static const char *check_key(const struct jval *v, struct buf *tmp, uint8_t key[KEY_BYTES])
{
	const char *wrong = check_fixed(v, tmp, key, KEY_BYTES);

	if (wrong)
		return wrong;
	return key[KEY_BYTES - 1] & 0x80 ? "must be a canonical X25519 key (top bit clear)" : NULL;
}

const char *scan_model(const struct jval *v, struct buf *tmp, struct scan *out)
{
	const char *wrong = wrong_string(v);
	struct slice s;

	if (wrong)
		return wrong;
	s = text_of(v, tmp);
	if (s.n < 1 || s.n > MODEL_BYTES_MAX)
		return "must have 1 to 256 bytes";
	if (memchr(s.p, 0, s.n)) /* no model has one, and no message between processes carries it */
		return "must not hold a NUL character";
	memcpy(out->model, s.p, s.n);
	out->model_n = s.n;
	return NULL;
}

static const char *check_number(const struct jval *v, uint64_t *out)
{
	if (v->type == J_NONE)
		return "a required member is missing";
	if (v->type != J_NUMBER || jval_u64(v, ID_MAX, out) != ERR_OK)
		return "must be an integer from 0 to 9007199254740991";
	return NULL;
}

const char *scan_stream(const struct jval *v, bool streams, bool *out)
{
	*out = v->type == J_TRUE;
	if (v->type != J_NONE && v->type != J_NULL && v->type != J_TRUE && v->type != J_FALSE)
		return "must be a boolean or null";
	return *out && !streams ? "this endpoint does not stream" : NULL;
}

static const char *check_units(const struct jval *v, struct scan *out)
{
	out->has_units = v->type != J_NONE && v->type != J_NULL;
	return out->has_units ? check_number(v, &out->units) : NULL;
}

static const char *check(enum member m, const struct jval *v, bool streams, struct buf *tmp, struct scan *out)
{
	uint8_t sink[KEY_BYTES];

	switch (m) {
	case M_CIPHERTEXT:
		return check_ciphertext(v, tmp);
	case M_NONCE:
		return check_fixed(v, tmp, sink, 12);
	case M_SALT:
		return check_fixed(v, tmp, sink, 16);
	case M_CLIENT_KEY:
		return check_key(v, tmp, sink);
	case M_NODE_KEY:
		return check_key(v, tmp, out->node_key);
	case M_PLAIN_HASH:
		return check_fixed(v, tmp, out->plain_hash, KEY_BYTES);
	case M_MODEL:
		return scan_model(v, tmp, out);
	case M_STACK:
		return check_number(v, &out->stack);
	case M_STREAM:
		return scan_stream(v, streams, &out->stream);
	case M_UNITS:
		return check_units(v, out);
	case M_COUNT:
		break;
	}
	return NULL;
}

enum err scan_confidential(struct slice body, bool streams, struct scan *out, struct scan_fault *fault)
{
	struct jscan_fault jf = { .member = -1 };
	struct jval v[M_COUNT];
	struct buf tmp = { .secret = true };
	struct scan s = { .stack = 0 };

	*fault = (struct scan_fault){ NULL, NULL };
	if (jscan_object(body, member_names, M_COUNT, v, &jf) != ERR_OK) {
		fault->param = jf.member >= 0 && jf.member < M_COUNT ? member_names[jf.member] : NULL;
		fault->what = jf.what;
		return ERR_BODY;
	}
	for (unsigned m = 0; m < M_COUNT && !fault->what; m++) {
		fault->what = check((enum member)m, &v[m], streams, &tmp, &s);
		fault->param = fault->what ? member_names[m] : NULL;
	}
	buf_free(&tmp);
	if (fault->what)
		return ERR_BODY;
	*out = s;
	return ERR_OK;
}
