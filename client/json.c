/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers of single members.  Each says only whether the member is what it
 * should be; the caller knows what its absence means.
 */
#include "client/json.h"

#include <string.h>

#include "common/b64.h"

bool json_none(const struct jval *v)
{
	return v->type == J_NONE || v->type == J_NULL;
}

struct slice json_plain(const struct jval *v)
{
	return v->type == J_STRING && !v->escaped ? v->raw : slice_of(NULL, 0);
}

/* The text of a string member; escapes are legal anywhere, so "\/" in base64 must read as "/". */
static bool unescaped(const struct jval *v, struct buf *out)
{
	if (v->type != J_STRING || !buf_room(out, v->raw.n))
		return false;
	jval_text(v, out);
	return true;
}

bool json_bytes(const struct jval *v, void *out, size_t n)
{
	struct buf text = { 0 };
	bool ok = unescaped(v, &text) && !b64_decode_exact(buf_slice(&text), out, n);

	buf_free(&text);
	return ok;
}

bool json_data(const struct jval *v, size_t max, struct buf *out)
{
	struct slice plain = json_plain(v);
	struct buf text = { 0 };
	bool ok;

	if (plain.n) /* as everybody writes it: too long to be copied for nothing */
		return !b64_decode(plain, max, out);
	ok = unescaped(v, &text) && !b64_decode(buf_slice(&text), max, out);

	buf_free(&text);
	return ok;
}

bool json_text(const struct jval *v, char *out, size_t n)
{
	struct buf text = { 0 };
	bool ok = unescaped(v, &text) && text.n && text.n < n && !memchr(text.p, 0, text.n);

	if (ok) {
		memcpy(out, text.p, text.n);
		out[text.n] = '\0';
	}
	buf_free(&text);
	return ok;
}

bool json_id(const struct jval *v, uint64_t *out)
{
	return !jval_u64(v, ID_MAX, out);
}
