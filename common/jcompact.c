/* SPDX-License-Identifier: Apache-2.0
 *
 * Compact JSON (jcompact.h): one pass, no tree, no depth.  Strings without
 * escapes are copied whole.  Cost per MiB: about 1 ms for text, 10 ms for
 * nothing but escapes.
 */
#include "common/jcompact.h"

#include <string.h>

#include "common/jstring.h"

/* The bytes of the escape at p (its backslash), both halves of a pair. */
static size_t escape_len(const uint8_t *p, const uint8_t *end)
{
	size_t left = (size_t)(end - p), n;

	if (left < 2 || p[1] != 'u')
		return left < 2 ? left : 2;
	/* D800..DBFF: the first half */
	n = left > 3 && (p[2] | 0x20) == 'd' && strchr("89abAB", p[3]) && p[3] ? 12 : 6;
	return n < left ? n : left;
}

/* A \u escape: the character, or its shortest escape where JSON demands one.
 * Never longer than raw. */
static uint8_t *put_unicode(struct slice raw, uint8_t *w)
{
	uint8_t bytes[16], compact[16];
	struct buf text = { .p = bytes, .cap = sizeof(bytes) }; /* at most 4 bytes come */
	struct buf short_form = { .p = compact, .cap = sizeof(compact) };

	jstring_text(raw, &text);
	if (text.n > 1 || (text.n == 1 && *bytes >= 0x20 && *bytes != '"' && *bytes != '\\')) {
		memcpy(w, bytes, text.n);
		return w + text.n;
	}
	buf_json(&short_form, buf_slice(&text));
	memcpy(w, compact, short_form.n);
	return w + short_form.n;
}

/* The inside of a string that has escapes. */
static uint8_t *put_escaped(const uint8_t *p, const uint8_t *end, uint8_t *w)
{
	while (p < end) {
		const uint8_t *stop = memchr(p, '\\', (size_t)(end - p));
		size_t run = (size_t)((stop ? stop : end) - p), n = 2;

		memcpy(w, p, run);
		w += run;
		if (!stop)
			break;
		if (stop[1] == 'u') {
			n = escape_len(stop, end);
			w = put_unicode(slice_of(stop, n), w);
		} else if (stop[1] == '/') {
			*w++ = '/';
		} else {
			*w++ = '\\';
			*w++ = stop[1];
		}
		p = stop + n;
	}
	return w;
}

/* *at behind the opening quote; leaves it behind the closing one. */
static uint8_t *put_string(const uint8_t **at, const uint8_t *end, uint8_t *w)
{
	const uint8_t *from = *at, *close = from;
	const char *what;
	bool escaped;

	*w++ = '"';
	if (!jstring_scan(&close, end, &escaped, &what)) {
		*at = end; /* has not passed a scan: left out */
		return w;
	}
	if (escaped) {
		w = put_escaped(from, close, w);
	} else {
		memcpy(w, from, (size_t)(close - from));
		w += close - from;
	}
	*w++ = '"';
	*at = close + 1;
	return w;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

void jcompact(struct slice text, struct buf *out)
{
	const uint8_t *p = text.p, *end = text.p + text.n;
	uint8_t *w;

	if (!text.n)
		return;
	buf_reserve(out, text.n); /* nothing gets longer */
	w = out->p + out->n;
	while (p < end) {
		uint8_t c = *p++;

		if (c == '"')
			w = put_string(&p, end, w);
		else if (!is_space(c))
			*w++ = c;
	}
	out->n = (size_t)(w - out->p);
}
