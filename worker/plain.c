/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of plain objects (plain.h).  What the node signed is the text of its
 * object before response_hash, signature, receipt and receipt_signature were put
 * in; those are taken out again as text, so that every other byte is looked at as
 * it was sent, whoever wrote it and in whichever order.  Cost: one scan, one copy
 * and one hash of the object, and 50 us for the signature.
 */
#include "worker/plain.h"

#include <string.h>

#include "common/b64.h"
#include "common/hash.h"

/* The receipt's two come first: they alone are kept from the client. */
enum member { M_RECEIPT, M_RECEIPT_SIGNATURE, M_HASH, M_SIGNATURE, M_USAGE, M_CHOICES, M_ERROR, MEMBERS };

#define N_KEPT 2 /* M_RECEIPT, M_RECEIPT_SIGNATURE */
#define N_ADDED 4

static const char *const names[MEMBERS] = {
	"receipt", "receipt_signature", "response_hash", "signature", "usage", "choices", "error",
};

/* --- taking members out --- */

struct span {
	const uint8_t *from, *to;
};

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* From the name's opening quote to behind the value.  Between the value and the
 * name stand only space and a colon; the name, one that was asked for, has no
 * quote in it however it is written. */
static struct span span_of(const struct jval *v)
{
	bool string = v->type == J_STRING;
	const uint8_t *p = v->raw.p - (string ? 1 : 0);
	struct span s = { .to = v->raw.p + v->raw.n + (string ? 1 : 0) };

	do
		p--;
	while (*p != '"');
	do
		p--;
	while (*p != '"');
	s.from = p;
	return s;
}

/* The spans of the members that are there, in the order of the text. */
static size_t spans_of(const struct jval *members, size_t n, struct span *out)
{
	size_t count = 0, at;

	for (size_t i = 0; i < n; i++) {
		struct span s;

		if (members[i].type == J_NONE)
			continue;
		s = span_of(&members[i]);
		for (at = count++; at > 0 && out[at - 1].from > s.from; at--)
			out[at] = out[at - 1];
		out[at] = s;
	}
	return count;
}

/* Drops the comma at the end of what was written behind start, with the space
 * around it; false when none is there: the next member will be the first. */
static bool drop_comma(struct buf *out, size_t start)
{
	size_t n = out->n;

	while (n > start && is_space(out->p[n - 1]))
		n--;
	if (n == start || out->p[n - 1] != ',')
		return false;
	out->n = n - 1;
	return true;
}

static const uint8_t *skip_comma(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *q = p;

	while (q < end && is_space(*q))
		q++;
	if (q == end || *q != ',')
		return p;
	for (q++; q < end && is_space(*q);)
		q++;
	return q;
}

void plain_without(struct slice json, const struct jval *members, size_t n, struct buf *out)
{
	const uint8_t *at = json.p, *end = json.p + json.n;
	struct span cut[N_ADDED];
	size_t start = out->n;

	BUG_ON(n > N_ADDED);
	n = spans_of(members, n, cut);
	buf_reserve(out, json.n);
	for (size_t i = 0; i < n; i++) {
		buf_add(out, at, (size_t)(cut[i].from - at));
		at = drop_comma(out, start) ? cut[i].to : skip_comma(cut[i].to, end);
	}
	buf_add(out, at, (size_t)(end - at));
}

/* --- reading --- */

static bool there(const struct jval *v)
{
	return v->type != J_NONE && v->type != J_NULL;
}

/* A string of exactly n bytes, escapes resolved. */
static enum err take_text(const struct jval *v, uint8_t *out, size_t n)
{
	struct buf text = { 0 };
	enum err e = ERR_NODE;

	if (v->type != J_STRING || v->raw.n > n * 6)
		return ERR_NODE;
	jval_text(v, &text);
	if (text.n == n) {
		memcpy(out, text.p, n);
		e = ERR_OK;
	}
	buf_free(&text);
	return e;
}

static enum err take_b64(const struct jval *v, uint8_t *out, size_t n)
{
	uint8_t text[B64_LEN(RECEIPT_BYTES)];

	BUG_ON(n > RECEIPT_BYTES);
	if (take_text(v, text, B64_LEN(n)))
		return ERR_NODE;
	return b64_decode_exact(slice_of(text, B64_LEN(n)), out, n) ? ERR_NODE : ERR_OK;
}

static enum err take_receipt(const struct jval *v, struct plain_object *o)
{
	o->has_receipt = there(&v[M_RECEIPT]);
	if (o->has_receipt != there(&v[M_RECEIPT_SIGNATURE]))
		return ERR_NODE;
	if (!o->has_receipt)
		return ERR_OK;
	if (take_text(&v[M_RECEIPT_SIGNATURE], o->receipt_signature, SIGN_B64))
		return ERR_NODE;
	return take_b64(&v[M_RECEIPT], o->receipt, RECEIPT_BYTES);
}

static bool is_empty(const struct jval *choices)
{
	struct jval item;
	size_t pos = 0;

	return choices->type == J_ARRAY && !jarray_next(choices->raw, &pos, &item);
}

/* Whether what is signed is what was sent, and by whom. */
static enum err check_signed(struct slice json, const struct jval *v, const uint8_t *sign_key,
			     struct buf *scratch, struct plain_object *o)
{
	uint8_t signature[SIGN_B64], found[HASH_BYTES];

	if (take_b64(&v[M_HASH], o->hash, sizeof(o->hash)) ||
	    take_text(&v[M_SIGNATURE], signature, sizeof(signature)))
		return ERR_NODE;
	plain_without(json, v, N_ADDED, scratch);
	hash(found, buf_slice(scratch));
	if (memcmp(found, o->hash, sizeof(found)) != 0)
		return ERR_NODE;
	return sign_verify(slice_of(signature, sizeof(signature)), found, sign_key) ? ERR_NODE : ERR_OK;
}

/* The object alone, without space around it. */
static struct slice trim(struct slice json)
{
	while (json.n && is_space(json.p[0])) {
		json.p++;
		json.n--;
	}
	while (json.n && is_space(json.p[json.n - 1]))
		json.n--;
	return json;
}

enum err plain_parse(struct slice json, const uint8_t sign_key[KEY_BYTES], bool tokens, struct buf *scratch,
		     struct plain_object *out)
{
	struct plain_object o = { .shown = trim(json) };
	struct jval v[MEMBERS];

	buf_reset(scratch);
	if (jscan_object(o.shown, names, MEMBERS, v, NULL) || there(&v[M_ERROR]))
		return ERR_NODE;
	if (check_signed(o.shown, v, sign_key, scratch, &o) || take_receipt(v, &o))
		return ERR_NODE;
	if (tokens && usage_take(&v[M_USAGE], o.usage, &o.has_usage))
		return ERR_NODE;
	o.only_usage = o.has_usage && is_empty(&v[M_CHOICES]);
	if (v[M_RECEIPT].type != J_NONE || v[M_RECEIPT_SIGNATURE].type != J_NONE) {
		buf_reset(scratch);
		plain_without(o.shown, v, N_KEPT, scratch);
		o.shown = buf_slice(scratch);
	}
	*out = o;
	return ERR_OK;
}
