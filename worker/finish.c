/* SPDX-License-Identifier: Apache-2.0
 *
 * How a request ends (PROTOCOL section 7, ARCHITECTURE "When something dies"):
 *
 *  - the node's answer came to its end: settled by its receipt (or, for a foreign
 *    node, by its word);
 *  - it refused, or failed before its 200: settled as failed, zero;
 *  - the client went away: POST /v1/stop-streamer, then reading on for the
 *    outcome-1 receipt, at most stop_s;
 *  - it broke off: the connection is closed, which makes our node stop and write
 *    an outcome-1 receipt, and that is fetched.
 *
 * A settlement goes into the book exactly once per task: on entering TASK_OVER.
 */
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "worker/metrics.h"
#include "worker/task_impl.h"

#define MS 1000
#define STOP_CALL_MS 5000

/* --- settling --- */

static enum settle_outcome outcome(const struct task *t)
{
	if (t->has_receipt)
		return t->receipt_good && t->said.outcome == 0 ? SETTLE_COMPLETE : SETTLE_STOPPED;
	if (t->status != 200)
		return SETTLE_FAILED;
	if (t->undecided)
		return SETTLE_LOST;
	if (!t->w.receipt_required && !t->error && !t->stopped)
		return SETTLE_COMPLETE;
	return t->w.receipt_required && !t->stopped ? SETTLE_LOST : SETTLE_STOPPED;
}

/* The gateway grants no more, though it would have cancelled if its client had
 * gone: its words were lost with a connection. */
static void on_unheard_deadline(uv_timer_t *timer)
{
	struct task *t = timer->data;

	log_info("task.not_taken", L_RID(t->w.rid), L_U("bytes", t->out.n - t->out_at));
	flow_close(t);
}

static void settle(struct task *t)
{
	uint8_t transcript[HASH_BYTES];
	struct settle m = {
		.epoch = t->w.epoch,
		.attempt = t->w.attempt,
		.node = t->w.node,
		.outcome = outcome(t),
		.error = t->stopped && !t->error ? ERR_CLOSED : t->error,
		.has_usage = t->has_usage,
		.prompt = t->prompt,
		.completion = t->completion,
		.key_unknown = t->error == ERR_KEY_UNKNOWN && endpoint_confidential(t->w.endpoint),
		.chunks = t->objects,
		.bytes = t->sent + (t->publishing ? t->out.n - t->out_at : 0),
		.untold = t->untold,
	};

	memcpy(m.rid, t->w.rid, RID_BYTES);
	if (t->undecided && m.outcome == SETTLE_LOST)
		m.error = ERR_UNAVAILABLE; /* the broker goes on asking */
	if (t->has_receipt) {
		m.receipt = slice_of(t->receipt, sizeof(t->receipt));
		m.signature = slice_of(t->receipt_signature, sizeof(t->receipt_signature));
	}
	if (t->has_receipt && !t->receipt_fetched) {
		hash_peek(t->transcript, transcript);
		m.transcript = slice_of(transcript, sizeof(transcript));
	}
	if (t->has_receipt && t->receipt_good)
		stat_inc(&metrics.units, (int64_t)(t->said.prompt + t->said.completion));
	log_info("settle", L_RID(t->w.rid), L_U("node", t->w.node), L_U("outcome", m.outcome), L_ERR(m.error),
		 L_U("chunks", m.chunks), L_U("bytes", m.bytes));
	settle_put(t->all->o.settles, t->broker, &m);
	task_enter(t, TASK_OVER);
	if (t->publishing) /* what is left goes out as the client takes it, but not for ever */
		uv_timer_start(&t->timer, on_unheard_deadline, t->all->o.conf->stream_s * MS, 0);
	flow_mark(t);
}

static void on_fetched(void *arg, struct slice raw, struct slice signature)
{
	struct task *t = arg;

	t->undecided = !raw.n && receipts_undecided(t->fetch);
	t->fetch = NULL;
	if (raw.n)
		take_receipt(t, raw, signature, true);
	settle(t);
}

static struct authz about(const struct task *t)
{
	struct authz a = {
		.node = t->w.node,
		.stack = t->w.stack,
		.units = t->w.units,
		.not_after = loop_unix() + AUTH_SECONDS,
	};

	memcpy(a.rid, t->w.rid, RID_BYTES);
	return a;
}

/* Whether the node may have a receipt that has not come. */
static bool worth_fetching(const struct task *t)
{
	return t->w.receipt_required && !t->has_receipt &&
	       (t->status == 200 || (t->stopped && t->status == 0));
}

void finish_node(struct task *t, enum err e)
{
	struct authz a = about(t);

	if (t->state == TASK_OVER || t->state == TASK_FETCHING)
		return;
	uv_timer_stop(&t->timer);
	t->error = e;
	t->untold = t->publishing && t->w.hold && t->elsewhere;
	if (t->untold)
		flow_close(t); /* another node may answer: the broker's to decide */
	else if (t->publishing)
		flow_end(t, e);
	if (!worth_fetching(t)) {
		settle(t);
		return;
	}
	task_enter(t, TASK_FETCHING);
	stat_inc(&metrics.fetches, 1);
	t->fetch = receipts_get(t->all->o.receipts, t->w.address, &a, on_fetched, t);
}

/* --- stopping --- */

static void on_stop_call_done(void *arg, enum upstream_result result)
{
	struct task *t = arg;

	t->stop_call = NULL;
	if (result != UPSTREAM_OK)
		log_info("node.stop_failed", L_RID(t->w.rid), L_S("result", upstream_result_name(result)));
}

static void call_stop(struct task *t)
{
	struct authz a = about(t);
	struct headers head;
	struct buf url = { 0 };
	struct upstream_call call = {
		.method = "POST",
		.headers = head.h,
		.connect_ms = t->all->o.conf->connect_s * MS,
		.first_byte_ms = STOP_CALL_MS,
		.gap_ms = STOP_CALL_MS,
		.total_ms = STOP_CALL_MS,
		.max_body = NODE_ERROR_BYTES_MAX,
		.on_done = on_stop_call_done,
		.arg = t,
	};

	if (headers_url(t->w.address, "/v1/stop-streamer", &url))
		return;
	headers_about(&head, t->all->o.keys, &a);
	call.n_headers = head.n;
	call.url = (const char *)url.p;
	t->stop_call = upstream_start(t->all->o.upstream, &call);
	headers_wipe(&head);
	buf_free(&url);
	stat_inc(&metrics.stops, 1);
}

/* The node did not end in time. */
static void on_stop_deadline(uv_timer_t *timer)
{
	struct task *t = timer->data;

	log_info("node.stop_deadline", L_RID(t->w.rid), L_U("node", t->w.node));
	task_hang_up(t);
	finish_node(t, ERR_OK);
}

void finish_stop(struct task *t)
{
	flow_close(t);
	if (t->state != TASK_POSTED && t->state != TASK_RELAYING)
		return;
	t->stopped = true;
	task_enter(t, TASK_STOPPING);
	log_info("task.stop", L_RID(t->w.rid), L_U("node", t->w.node));
	uv_timer_start(&t->timer, on_stop_deadline, t->all->o.conf->stop_s * MS, 0);
	call_stop(t);
}
