/* SPDX-License-Identifier: Apache-2.0
 *
 * The objects of an answer in their order (PROTOCOL sections 3, 4.7, 4.8): the
 * transcript over their response hashes, the receipt on the last one, nothing
 * behind it.  A receipt is verified before the object that carries it goes out,
 * so that no client takes an answer for whole whose receipt does not hold.
 */
#include <string.h>

#include "common/b64.h"
#include "common/log.h"
#include "worker/metrics.h"
#include "worker/reason.h"
#include "worker/task_impl.h"

static struct receipt_facts facts(const struct task *t, const uint8_t *transcript)
{
	return (struct receipt_facts){
		.rid = t->w.rid,
		.sign_key = t->w.sign_key,
		.stack = t->w.stack,
		.endpoint = endpoint_kind(t->w.endpoint),
		.node_key = t->w.node_key,
		.plain_hash = t->w.plain_hash,
		.model_hash = t->model_hash,
		.transcript = transcript,
		.chunks = t->objects,
	};
}

void take_receipt(struct task *t, struct slice raw, struct slice signature, bool fetched)
{
	uint8_t transcript[HASH_BYTES];
	struct receipt_facts f;

	hash_peek(t->transcript, transcript);
	/* One fetched after a break covers objects that never came here. */
	f = facts(t, fetched ? NULL : transcript);
	t->receipt_good = receipt_check(&f, raw, signature, &t->said) == ERR_OK;
	if (fetched && !t->receipt_good)
		return;
	t->has_receipt = true;
	t->receipt_fetched = fetched;
	memcpy(t->receipt, raw.p, sizeof(t->receipt));
	memcpy(t->receipt_signature, signature.p, sizeof(t->receipt_signature));
}

/* The clear usage beside a receipt is what clients show: it has to be there, and to say what was signed. */
static bool says_the_same(const struct relay_object *o, const struct receipt *r)
{
	return o->has_usage && o->usage[USAGE_PROMPT] == r->prompt &&
	       o->usage[USAGE_COMPLETION] == r->completion;
}

static bool plain(const struct task *t)
{
	return !endpoint_confidential(t->w.endpoint);
}

static enum err note_receipt(struct task *t, const struct relay_object *o)
{
	if (o->receipt.n == 0)
		return ERR_OK;
	take_receipt(t, slice_of(o->receipt_raw, sizeof(o->receipt_raw)), o->receipt_signature, false);
	if (t->receipt_good && says_the_same(o, &t->said))
		return ERR_OK;
	t->receipt_good = false;
	log_warn("node.bad_receipt", L_RID(t->w.rid), L_U("node", t->w.node));
	return ERR_NODE;
}

enum err take_object(struct task *t, struct slice json, struct buf *out)
{
	const struct relay_rules rules = {
		.ours = t->w.receipt_required,
		.sign_key = t->w.sign_key,
		.verify = t->all->o.conf->verify_chunks,
	};
	struct relay_object o;

	if (plain(t))
		return plain_take_whole(t, json, out);
	if (t->has_receipt || t->done_line || t->objects == UINT32_MAX)
		return ERR_NODE;
	if (relay_parse(json, &rules, &t->scratch, &o))
		return ERR_NODE;
	t->objects++;
	stat_inc(&metrics.objects, 1);
	if (o.response_hash.n)
		hash_add(t->transcript, slice_of(o.hash, sizeof(o.hash)));
	if (o.has_usage) {
		t->has_usage = true;
		t->prompt = o.usage[USAGE_PROMPT];
		t->completion = o.usage[USAGE_COMPLETION];
	}
	if (note_receipt(t, &o))
		return ERR_NODE;
	if (t->publishing)
		relay_build(&o, out);
	return ERR_OK;
}

enum err take_event(void *arg, struct slice type, struct slice data)
{
	struct task *t = arg;
	size_t before = t->out.n;
	enum err e;

	if (slice_is(type, "error"))
		return reason_of(data, 500, ERR_NODE);
	if (plain(t))
		return plain_take_event(t, type, data);
	if (!slice_is(type, "message"))
		return ERR_NODE;
	if (!t->w.receipt_required && slice_is(data, "[DONE]") && !t->done_line) {
		t->done_line = true;
		return ERR_OK;
	}
	if (t->publishing)
		buf_str(&t->out, "data: ");
	e = take_object(t, data, &t->out);
	if (e)
		t->out.n = before; /* not half an event */
	else if (t->publishing)
		buf_str(&t->out, "\n\n");
	return e;
}

enum err take_end(struct task *t)
{
	if (plain(t))
		return plain_take_end(t);
	if (t->objects == 0)
		return ERR_NODE;
	return t->w.receipt_required && !t->has_receipt ? ERR_NODE : ERR_OK;
}
