/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain bodies: the compact form of any JSON is the same value to jansson, has no
 * white space outside strings, is no longer, and does not change when made again;
 * and the body that is sent for a request is the same value as the request, but for
 * include_usage.  The first byte chooses the endpoint.
 */
#include <jansson.h>
#include <string.h>

#include "common/jcompact.h"
#include "common/jscan.h"
#include "gateway/scan_plain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FLAGS (JSON_ALLOW_NUL | JSON_DECODE_ANY)

static json_t *load(struct slice s)
{
	return json_loadb((const char *)s.p, s.n, FLAGS, NULL);
}

/* jansson takes fewer texts than the scanner (large numbers, NUL in names), never reads one differently. */
static void same_value(struct slice a, struct slice b)
{
	json_t *ja = load(a), *jb = load(b);

	BUG_ON(!ja != !jb);
	BUG_ON(ja && !json_equal(ja, jb));
	json_decref(ja);
	json_decref(jb);
}

static void no_space_outside_strings(struct slice s)
{
	bool inside = false;

	for (size_t i = 0; i < s.n; i++) {
		if (inside && s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			inside = !inside;
		else
			BUG_ON(!inside && strchr(" \t\r\n", s.p[i]) && s.p[i]);
	}
}

static void compact(struct slice text)
{
	struct buf once = { 0 }, twice = { 0 };
	struct jval v;

	jcompact(text, &once);
	BUG_ON(once.n > text.n);
	BUG_ON(jscan_value(buf_slice(&once), &v, NULL) != ERR_OK);
	no_space_outside_strings(buf_slice(&once));
	same_value(text, buf_slice(&once));
	jcompact(buf_slice(&once), &twice);
	BUG_ON(!slice_eq(buf_slice(&once), buf_slice(&twice)));
	buf_free(&once);
	buf_free(&twice);
}

/* What the request would be with usage asked for, by jansson. */
static json_t *with_usage(struct slice text)
{
	json_t *j = load(text), *options = j ? json_object_get(j, "stream_options") : NULL;

	if (!j)
		return NULL;
	if (!json_is_object(options)) {
		options = json_object();
		BUG_ON(json_object_set_new(j, "stream_options", options) != 0);
	}
	BUG_ON(json_object_set_new(options, "include_usage", json_true()) != 0);
	return j;
}

static void sent(struct slice body, const struct scan_plain *s)
{
	struct buf out = { 0 };
	json_t *want, *got;
	struct scan_plain again;
	struct scan_fault fault;

	scan_plain_body(body, s, &out);
	BUG_ON(out.n > body.n + 48);
	no_space_outside_strings(buf_slice(&out));
	if (!s->base.stream) {
		same_value(body, buf_slice(&out));
	} else {
		want = with_usage(body);
		got = load(buf_slice(&out));
		BUG_ON(!want != !got);
		BUG_ON(want && !json_equal(want, got));
		json_decref(want);
		json_decref(got);
		BUG_ON(scan_plain(buf_slice(&out), EP_PLAIN_CHAT, &again, &fault) == ERR_OK &&
		       !again.show_usage);
	}
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scan_fault fault;
	struct scan_plain s;
	struct slice text;
	struct jval v;
	enum endpoint ep;
	enum err e;

	if (!size)
		return 0;
	ep = (enum endpoint)(EP_PLAIN_COMPLETIONS + data[0] % 4);
	text = slice_of(data + 1, size - 1);
	if (jscan_value(text, &v, NULL) == ERR_OK)
		compact(text);
	e = scan_plain(text, ep, &s, &fault);
	BUG_ON(e != ERR_OK && (e != ERR_BODY || !fault.what));
	if (e == ERR_OK) {
		BUG_ON(s.input_units > ID_MAX || s.max_units > ID_MAX || s.base.model_n == 0);
		sent(text, &s);
	}
	return 0;
}
