/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/nodes, original and full form (PROTOCOL section 8) -> REGISTER.
 * Scanned, not parsed into a tree: anybody may send one, so it has to be cheap.
 * The original's signature is over `data` serialised compactly with its members
 * in a fixed order; those bytes are built anew here, whatever order they came in.
 */
#include "gateway/api.h"

#include <string.h>

#include "common/b64.h"
#include "common/jscan.h"
#include "common/sign.h"

#define COUNTRY_BYTES_MAX 64
#define REGISTRATION_BYTES_MAX 65536 /* 64 models with names of 256 bytes are 20 KiB */

enum member { R_DATA, R_SIGNATURE, R_REGISTRATION, R_REGISTRATION_SIGNATURE, R_EVIDENCE, R_COUNT };
enum data_member { D_NODE, D_ADDRESS, D_COUNTRY, D_COUNT };

static const char *const names[R_COUNT] = { "data", "signature", "registration", "registration_signature",
					    "evidence" };
static const char *const data_names[D_COUNT] = { "node_small_id", "public_address", "country" };

static enum err fail(struct scan_fault *fault, const char *param, const char *what)
{
	fault->param = param;
	fault->what = what;
	return ERR_BODY;
}

static enum err scan(struct slice text, const char *const *list, size_t n, struct jval *v,
		     struct scan_fault *fault)
{
	struct jscan_fault jf = { .member = -1 };

	if (jscan_object(text, list, n, v, &jf) == ERR_OK)
		return ERR_OK;
	return fail(fault, jf.member >= 0 && (size_t)jf.member < n ? list[jf.member] : NULL, jf.what);
}

static bool given(const struct jval *v)
{
	return v->type != J_NONE && v->type != J_NULL;
}

/* A string of min..max bytes without NUL characters. */
static bool text(const struct jval *v, size_t min, size_t max, struct buf *out)
{
	if (v->type != J_STRING)
		return false;
	jval_text(v, out);
	return out->n >= min && out->n <= max && (!out->n || !memchr(out->p, 0, out->n));
}

/* A string of base64, decoded; absent and null are empty. */
static bool binary(const struct jval *v, size_t max, struct buf *out)
{
	struct buf t = { .p = NULL };
	bool ok;

	if (!given(v))
		return true;
	if (v->type != J_STRING)
		return false;
	jval_text(v, &t);
	ok = b64_decode(buf_slice(&t), max, out) == ERR_OK;
	buf_free(&t);
	return ok;
}

static void put_text(struct buf *out, const char *before, const struct buf *s)
{
	buf_str(out, before);
	buf_json(out, buf_slice(s));
	buf_str(out, "\"");
}

static enum err read_data(struct slice raw, struct registration_msg *out, struct api_register *own,
			  struct scan_fault *fault)
{
	struct jval v[D_COUNT];

	if (scan(raw, data_names, D_COUNT, v, fault) != ERR_OK)
		return ERR_BODY;
	if (v[D_NODE].type != J_NUMBER || jval_u64(&v[D_NODE], ID_MAX, &out->node) != ERR_OK)
		return fail(fault, "node_small_id", "must be an integer from 0 to 9007199254740991");
	if (!text(&v[D_ADDRESS], 1, URL_BYTES_MAX, &own->address))
		return fail(fault, "public_address", "must be a URL of at most 512 bytes");
	if (!text(&v[D_COUNTRY], 0, COUNTRY_BYTES_MAX, &own->country))
		return fail(fault, "country", "must be a string of at most 64 bytes");
	buf_fmt(&own->data, "{\"node_small_id\":%llu", (unsigned long long)out->node);
	put_text(&own->data, ",\"public_address\":\"", &own->address);
	put_text(&own->data, ",\"country\":\"", &own->country);
	buf_str(&own->data, "}");
	return ERR_OK;
}

/* The full form has all of registration and its signature, the original none. */
static enum err read_full(const struct jval v[R_COUNT], struct api_register *own, struct scan_fault *fault)
{
	bool full = given(&v[R_REGISTRATION]);

	if (!binary(&v[R_REGISTRATION], REGISTRATION_BYTES_MAX, &own->registration) ||
	    (full && !own->registration.n))
		return fail(fault, "registration", "must be base64 of at most 64 KiB");
	if (given(&v[R_REGISTRATION_SIGNATURE]) != full ||
	    (full && !text(&v[R_REGISTRATION_SIGNATURE], SIGN_B64, SIGN_B64, &own->registration_signature)))
		return fail(fault, "registration_signature",
			    "must be a signature, and beside a registration");
	if (!binary(&v[R_EVIDENCE], EVIDENCE_BYTES_MAX, &own->evidence) || (own->evidence.n && !full))
		return fail(fault, "evidence", "must be base64 of at most 1 MiB beside a registration");
	return ERR_OK;
}

enum err api_register(struct slice body, struct registration_msg *out, struct api_register *own,
		      struct scan_fault *fault)
{
	struct jval v[R_COUNT];
	struct registration_msg m = { .node = 0 };

	memset(own, 0, sizeof(*own));
	*fault = (struct scan_fault){ NULL, NULL };
	if (scan(body, names, R_COUNT, v, fault) != ERR_OK)
		return ERR_BODY;
	if (v[R_DATA].type != J_OBJECT)
		return fail(fault, "data", "must be an object");
	if (read_data(v[R_DATA].raw, &m, own, fault) != ERR_OK)
		return ERR_BODY;
	if (!text(&v[R_SIGNATURE], SIGN_B64, SIGN_B64, &own->signature))
		return fail(fault, "signature", "must be base64 of 97 bytes");
	if (read_full(v, own, fault) != ERR_OK)
		return ERR_BODY;
	m.data = buf_slice(&own->data);
	m.address = buf_slice(&own->address);
	m.country = buf_slice(&own->country);
	m.signature = buf_slice(&own->signature);
	m.registration = buf_slice(&own->registration);
	m.registration_signature = buf_slice(&own->registration_signature);
	m.evidence = buf_slice(&own->evidence);
	*out = m;
	return ERR_OK;
}

void api_register_free(struct api_register *own)
{
	buf_free(&own->data);
	buf_free(&own->address);
	buf_free(&own->country);
	buf_free(&own->signature);
	buf_free(&own->registration);
	buf_free(&own->registration_signature);
	buf_free(&own->evidence);
}
