/* SPDX-License-Identifier: Apache-2.0
 *
 * The exchange with the node: POST {node}{same path} (PROTOCOL section 7), what
 * its status means to the client (section 5), and its bytes as they come.  A
 * stream goes through the event parser at once; a whole answer is collected
 * first, within a limit and a budget for all of them together, because what is
 * wrong with it must still become a status.
 */
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "worker/metrics.h"
#include "worker/reason.h"
#include "worker/task_impl.h"

#define MS 1000
#define UNKNOWN_AGAIN_MS 60000

static void drop_whole(struct task *t)
{
	buf_free(&t->whole);
	room_count(t);
}

void task_hang_up(struct task *t)
{
	if (t->up)
		upstream_cancel(t->up);
	t->up = NULL;
	zmsg_close(&t->body);
	zmsg_init(&t->body);
	drop_whole(t);
}

void task_end(struct task *t, enum err e)
{
	task_hang_up(t);
	finish_node(t, e);
}

/* --- what a refusal means --- */

/* It was read so late that what we had signed did not hold any more: the node, or its host, stood still. */
static bool outlived(const struct task *t)
{
	return uv_hrtime() / 1000 - t->posted_us >= AUTH_SECONDS * UINT64_C(1000000);
}

static enum err status_error(const struct task *t)
{
	switch (t->status) {
	case 400:
		return ERR_BODY;
	case 401:
		return outlived(t) ? ERR_TIMEOUT : ERR_STRANGER;
	case 423:
		return ERR_LOCKED;
	case 425:
		return reason_of(buf_slice(&t->whole), 425, ERR_UNITS);
	case 429:
		return ERR_RATE;
	case 500:
		if (t->stopped) /* as it was told to; of what comes whole there is nothing else to say */
			return ERR_CLOSED;
		return reason_of(buf_slice(&t->whole), 500, ERR_NODE);
	case 503:
		return ERR_UNAVAILABLE;
	default:
		return ERR_NODE;
	}
}

/* Whether another node may answer what this one refused with e.  One that has
 * answered the request before has been asked before: that attempt counts. */
static bool may_go_elsewhere(const struct task *t, enum err e)
{
	switch (t->status) {
	case 423:
	case 425:
	case 429:
	case 502:
	case 503:
		return e != ERR_ANSWERED;
	default:
		return false;
	}
}

/* The node refused. */
static enum err refused(struct task *t)
{
	enum err e = status_error(t);

	t->elsewhere = may_go_elsewhere(t, e);
	return e;
}

static enum err result_error(enum upstream_result r)
{
	switch (r) {
	case UPSTREAM_OK:
		return ERR_OK;
	case UPSTREAM_REFUSED:
	case UPSTREAM_CONNECT:
		return ERR_UNAVAILABLE;
	case UPSTREAM_TIMEOUT:
		return ERR_TIMEOUT;
	default:
		return ERR_NODE;
	}
}

/* --- the answer as it comes --- */

/* The broker keeps the body of a request that it may give to another node. */
static void say_answering(struct task *t)
{
	struct work_ref r = { .epoch = t->w.epoch, .attempt = t->w.attempt };
	struct buf b = { 0 };

	memcpy(r.rid, t->w.rid, RID_BYTES);
	answering_encode(&r, &b);
	t->all->o.send(t->all->o.arg, t->broker, buf_slice(&b)); /* lost: it keeps the body for longer */
	buf_free(&b);
}

static void on_head(void *arg, int status, const char *type)
{
	struct task *t = arg;

	t->status = status;
	stat_observe(&metrics.first_byte, uv_hrtime() / 1000 - t->posted_us);
	if (status != 200)
		return;
	if (t->state == TASK_POSTED)
		task_enter(t, TASK_RELAYING);
	if (t->w.hold)
		say_answering(t);
	if (upstream_sent(t->up)) /* a stream may last; its request need not stay */
		zmsg_close(&t->body);
	if (strcmp(type, t->w.stream ? "text/event-stream" : "application/json") != 0) {
		log_warn("node.content_type", L_RID(t->w.rid), L_U("node", t->w.node));
		task_end(t, ERR_NODE);
		return;
	}
	if (t->w.stream)
		flow_head(t, 0);
}

/* Room for n more bytes of a whole answer? */
static enum err room(struct task *t, size_t n)
{
	const struct worker_conf *c = t->all->o.conf;

	if (t->status != 200)
		return n > NODE_ERROR_BYTES_MAX - t->whole.n ? ERR_NODE : ERR_OK;
	if (n > c->max_answer - t->whole.n)
		return ERR_NODE;
	return room_for(t, n) ? ERR_OK : ERR_UNAVAILABLE;
}

static void collect(struct task *t, struct slice data)
{
	enum err e = room(t, data.n);

	if (e) {
		log_warn("node.answer_too_long", L_RID(t->w.rid), L_U("node", t->w.node), L_ERR(e));
		task_end(t, t->status == 200 ? e : refused(t));
		return;
	}
	buf_add(&t->whole, data.p, data.n);
	room_count(t);
}

static void on_data(void *arg, struct slice data)
{
	struct task *t = arg;
	enum err e;

	if (!t->up)
		return; /* given up already */
	if (t->status != 200 || !t->w.stream) {
		collect(t, data);
		return;
	}
	e = sse_feed(t->sse, data);
	flow_took(t);
	if (!e)
		return;
	if (e != ERR_ENGINE) {
		log_warn("node.bad_stream", L_RID(t->w.rid), L_U("node", t->w.node), L_ERR(e));
		e = ERR_NODE;
	}
	task_end(t, e);
}

/* A whole answer is there: what the client gets of it goes to out. */
static enum err take_whole(struct task *t)
{
	enum err e = take_object(t, buf_slice(&t->whole), &t->out);

	return e ? e : take_end(t);
}

static enum err end_of_answer(struct task *t)
{
	enum err e;

	if (t->w.stream)
		return sse_end(t->sse) ? ERR_NODE : take_end(t);
	e = take_whole(t);
	if (e)
		buf_reset(&t->out);
	else
		flow_head(t, t->out.n);
	return e;
}

/* Everything that we ask of that node fails; the broker gives it to other workers, if there are any. */
static void say_unknown(struct task *t)
{
	struct tasks *all = t->all;
	uint64_t now = uv_now(all->o.uv);

	if (now < all->unknown_due)
		return;
	all->unknown_due = now + UNKNOWN_AGAIN_MS;
	log_warn("node.knows_us_not", L_U("node", t->w.node), L_U("status", (uint64_t)t->status),
		 L_S("do",
		     "check that the public half of our auth_key is among the node's proxy_auth_keys, and "
		     "the clocks here and there: what we sign holds for a minute"));
}

static void on_done(void *arg, enum upstream_result result)
{
	struct task *t = arg;
	enum err e = result_error(result);

	t->up = NULL;
	stat_observe(&metrics.whole, uv_hrtime() / 1000 - t->posted_us);
	t->elsewhere = result == UPSTREAM_CONNECT || result == UPSTREAM_REFUSED;
	if (t->status && t->status != 200)
		e = refused(t);
	else if (!e)
		e = end_of_answer(t);
	if (e)
		log_info("node.failed", L_RID(t->w.rid), L_U("node", t->w.node), L_ERR(e),
			 L_U("status", (uint64_t)t->status), L_S("result", upstream_result_name(result)));
	if (e == ERR_STRANGER)
		say_unknown(t);
	task_end(t, e);
}

/* --- posting --- */

static uint64_t largest_body(const struct task *t)
{
	const struct worker_conf *c = t->all->o.conf;

	/* Streams are bounded by time, credits and the largest event; this is only against nonsense. */
	return t->w.stream ? UINT64_C(1) << 36 : c->max_answer + 1;
}

void task_post(struct task *t)
{
	const struct worker_conf *c = t->all->o.conf;
	struct headers head;
	struct buf url = { 0 };
	struct upstream_call call = {
		.method = "POST",
		.headers = head.h,
		.body = zmsg_slice(&t->body),
		.connect_ms = c->connect_s * MS,
		.first_byte_ms = c->first_byte_s * MS,
		.gap_ms = c->gap_s * MS,
		.total_ms = c->stream_s * MS,
		.max_body = largest_body(t),
		.on_head = on_head,
		.on_data = on_data,
		.on_done = on_done,
		.arg = t,
	};

	if (t->w.stream)
		t->sse = sse_new(c->max_event, take_event, t);
	if (headers_url(t->w.address, endpoint_path(t->w.endpoint), &url)) {
		task_end(t, ERR_UNAVAILABLE); /* was checked when the work came */
		return;
	}
	headers_post(&head, t->all->o.keys, &t->w, loop_unix());
	call.n_headers = head.n;
	call.url = (const char *)url.p;
	t->up = upstream_start(t->all->o.upstream, &call);
	headers_wipe(&head);
	buf_free(&url);
}
