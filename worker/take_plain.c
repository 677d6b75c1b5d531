/* SPDX-License-Identifier: Apache-2.0
 *
 * The objects of a plain answer in their order (PROTOCOL section 3, Plain answers):
 * as take.c does for sealed ones, with the signature of each checked, because
 * clients of these endpoints check nothing themselves.  [DONE] goes out when all
 * is well: behind a valid receipt, or behind a foreign node's own [DONE].
 */
#include <string.h>

#include "common/log.h"
#include "worker/metrics.h"
#include "worker/plain.h"
#include "worker/task_impl.h"

static bool counts_tokens(const struct task *t)
{
	return t->w.endpoint != EP_PLAIN_IMAGES;
}

/* What clients see has to be what was signed for the bill. */
static bool says_the_same(const struct task *t, const struct plain_object *o)
{
	if (!counts_tokens(t))
		return true;
	return o->has_usage && o->usage[USAGE_PROMPT] == t->said.prompt &&
	       o->usage[USAGE_COMPLETION] == t->said.completion;
}

static enum err note_receipt(struct task *t, const struct plain_object *o)
{
	if (!o->has_receipt)
		return ERR_OK;
	take_receipt(t, slice_of(o->receipt, sizeof(o->receipt)),
		     slice_of(o->receipt_signature, sizeof(o->receipt_signature)), false);
	if (t->receipt_good && says_the_same(t, o))
		return ERR_OK;
	t->receipt_good = false;
	log_warn("node.bad_receipt", L_RID(t->w.rid), L_U("node", t->w.node));
	return ERR_NODE;
}

/* For a node without receipts: images have no usage, their pixels were reserved. */
static void note_usage(struct task *t, const struct plain_object *o)
{
	if (o->has_usage) {
		t->has_usage = true;
		t->prompt = o->usage[USAGE_PROMPT];
		t->completion = o->usage[USAGE_COMPLETION];
	} else if (!counts_tokens(t)) {
		t->has_usage = true;
		t->completion = t->w.units;
	}
}

static enum err take(struct task *t, struct slice json, struct plain_object *o)
{
	if (t->has_receipt || t->done_line || t->objects == UINT32_MAX)
		return ERR_NODE;
	if (plain_parse(json, t->w.sign_key, counts_tokens(t), &t->scratch, o)) {
		log_warn("node.bad_object", L_RID(t->w.rid), L_U("node", t->w.node));
		return ERR_NODE;
	}
	t->objects++;
	stat_inc(&metrics.objects, 1);
	hash_add(t->transcript, slice_of(o->hash, sizeof(o->hash)));
	note_usage(t, o);
	return note_receipt(t, o);
}

enum err plain_take_whole(struct task *t, struct slice json, struct buf *out)
{
	struct plain_object o;
	enum err e = take(t, json, &o);

	if (!e && t->publishing)
		buf_add(out, o.shown.p, o.shown.n);
	return e;
}

/* Line breaks in the object (they are white space of JSON) begin new data lines. */
static void put_event(struct slice s, struct buf *out)
{
	const uint8_t *end = s.p + s.n, *at;

	for (at = s.p; at < end;) {
		const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));

		stop = stop ? stop : end;
		buf_str(out, "data: ");
		buf_add(out, at, (size_t)(stop - at));
		buf_str(out, "\n");
		at = stop + 1;
	}
	buf_str(out, "\n");
}

enum err plain_take_event(struct task *t, struct slice type, struct slice data)
{
	struct plain_object o;
	enum err e;

	if (!slice_is(type, "message"))
		return ERR_NODE;
	if (slice_is(data, "[DONE]") && !t->done_line) {
		t->done_line = true;
		return ERR_OK;
	}
	e = take(t, data, &o);
	if (!e && t->publishing && (!o.only_usage || t->w.show_usage))
		put_event(o.shown, &t->out);
	return e;
}

enum err plain_take_end(struct task *t)
{
	if (t->objects == 0 || (t->w.receipt_required && !t->has_receipt))
		return ERR_NODE;
	if (t->stopped) /* nobody waits for more */
		return ERR_OK;
	if (t->w.receipt_required ? t->said.outcome != 0 : t->w.stream && !t->done_line)
		return ERR_NODE; /* cut short */
	if (t->w.stream && t->publishing)
		buf_str(&t->out, "data: [DONE]\n\n");
	return ERR_OK;
}
