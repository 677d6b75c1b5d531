/* SPDX-License-Identifier: Apache-2.0
 *
 * One answer (PROTOCOL sections 3, 4.5-4.8, 7).  The engine's choices are put
 * into objects of ours; the last object is always made here, when the engine has
 * said that it is done, so no chunk has to be held back to know whether it is
 * the last.  The 200 goes out with the first object, so that refusals of the
 * engine stay statuses.  Every answer that began leaves a receipt, whatever
 * became of it; what stops waiting for the worker is the engine, not memory.
 */
#include "node/task.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/map.h"
#include "node/answer.h"
#include "node/counts.h"
#include "node/choice.h"
#include "node/json.h"
#include "node/usage.h"
#include "node/vector.h"

#define PENDING_HIGH 65536 /* bytes waiting for the connection: the engine pauses */
#define PENDING_LOW 16384  /* and goes on below this */

struct tasks {
	struct tasks_opts o;
	struct map *by_rid;
};

struct task {
	struct tasks *ts;
	struct hreq *req; /* NULL once answered or gone */
	struct engine_run *run;
	struct response *response;
	uint8_t rid[RID_BYTES];
	enum endpoint called;   /* sealed or plain */
	enum endpoint endpoint; /* the sealed kind of it: what is answered is the same */
	bool stream, include_usage;
	bool b64;     /* vectors as base64; sealed ones are always numbers */
	bool begun;   /* the 200 is out */
	bool stopped; /* by stop-streamer */
	bool paused;
	struct model *model;
	json_t *whole;
	json_t *beside, *finish; /* the engine's object that came last, and its choice with the end */
	uint64_t began_ns;
};

struct tasks *tasks_new(const struct tasks_opts *o)
{
	struct tasks *ts = mem_new(sizeof(*ts));

	ts->o = *o;
	ts->by_rid = map_new(RID_BYTES);
	return ts;
}

struct task *tasks_find(const struct tasks *ts, const uint8_t *rid)
{
	return map_get(ts->by_rid, rid);
}

size_t tasks_count(const struct tasks *ts)
{
	return map_count(ts->by_rid);
}

static void task_free(struct task *t)
{
	map_del(t->ts->by_rid, t->rid);
	t->model->running--;
	count_running(-1);
	json_decref(t->whole);
	json_decref(t->beside);
	json_decref(t->finish);
	response_free(t->response);
	free(t);
}

/* Every answer ends here: its receipt is kept, and t is gone. */
static void task_over(struct task *t, enum outcome outcome, const struct ending *end)
{
	struct receipts *kept = t->ts->o.receipts;
	static const char *const names[] = {
#define X(name, label) label,
		OUTCOMES(X)
#undef X
	};

	response_close(t->response, end);
	receipts_put(kept, t->rid, response_receipt(t->response), uv_now(t->ts->o.uv));
	count_receipts(receipts_count(kept));
	count_answer(t->called, outcome, end->used.prompt, end->used.completion,
		     (uv_hrtime() - t->began_ns) / 1000);
	log_info("answer_over", L_RID(t->rid), L_S("endpoint", endpoint_name(t->called)),
		 L_S("outcome", names[outcome]), L_U("chunks", response_chunks(t->response)),
		 L_U("prompt", end->used.prompt), L_U("completion", end->used.completion));
	task_free(t);
}

static void begin(struct task *t)
{
	static const struct hheader h[] = { { "content-type", { (const uint8_t *)"text/event-stream", 17 } },
					    { "cache-control", { (const uint8_t *)"no-cache", 8 } } };

	if (t->begun)
		return;
	t->begun = true;
	hreq_begin(t->req, 200, h, 2, UINT64_MAX);
}

/* Sends one object as an event; end is NULL but for the last. */
static enum err send_event(struct task *t, const json_t *object, const struct ending *end)
{
	struct buf event = { 0 };
	enum err e;

	buf_str(&event, "data: ");
	e = response_put(t->response, object, end, &event);
	if (e == ERR_OK) {
		buf_str(&event, "\n\n");
		begin(t);
		hreq_write(t->req, buf_slice(&event));
		count_chunk();
	}
	buf_free(&event);
	return e;
}

/* Takes over choice (NULL: no choices) and usage (NULL: none). */
static enum err send_object(struct task *t, json_t *choice, json_t *usage, const struct ending *end)
{
	json_t *o = response_object(t->response), *choices = json_array();
	enum err e;

	if (choice)
		json_array_append_new(choices, choice);
	json_put(o, "choices", choices);
	response_adopt(t->response, o, t->beside);
	if (usage)
		json_put(o, "usage", usage);
	e = send_event(t, o, end);
	json_decref(o);
	return e;
}

static json_t *no_usage(const struct task *t)
{
	return t->include_usage ? json_null() : NULL;
}

/* The answer cannot go on: a status if none is out yet, else a cut. */
static void fail(struct task *t, enum err e, const struct usage *used)
{
	struct ending end = { .outcome = 1, .used = *used, .unix_s = loop_unix() };
	struct hreq *r = t->req;

	t->req = NULL;
	if (!t->begun)
		end.used = (struct usage){ 0 }; /* nothing was answered, nothing is billed */
	log_warn("answer_failed", L_RID(t->rid), L_ERR(e));
	if (t->begun && e == ERR_ENGINE)
		answer_error_event(r, e, t->rid); /* not held against the node */
	if (t->begun)
		hreq_abort(r);
	else
		answer_error(r, e, NULL, t->rid);
	task_over(t, OUTCOME_FAILED, &end);
}

static void on_chunk(void *arg, json_t *choice)
{
	struct task *t = arg;
	struct usage used;
	enum err e = send_object(t, json_incref(choice), no_usage(t), NULL);

	if (e != ERR_OK) {
		engine_cancel(t->run, &used);
		fail(t, e, &used);
	} else if (hreq_pending(t->req) > PENDING_HIGH) {
		t->paused = true;
		engine_pause(t->run);
	}
}

static void on_beside(void *arg, json_t *object, json_t *choice)
{
	struct task *t = arg;

	json_decref(t->beside);
	t->beside = json_incref(object);
	if (!choice)
		return;
	json_decref(t->finish);
	t->finish = json_incref(choice);
}

static void on_taken(void *arg, struct hreq *r, size_t n)
{
	struct task *t = arg;

	(void)n;
	if (t->paused && t->run && hreq_pending(r) < PENDING_LOW) {
		t->paused = false;
		engine_resume(t->run);
	}
}

static void on_whole(void *arg, json_t *object)
{
	struct task *t = arg;

	t->whole = json_incref(object);
}

/* The last objects of a stream: the one with finish_reason, and after it, if the
 * caller asked, OpenAI's object with usage and no choices. */
static enum err finish_stream(struct task *t, const char *finish, const struct ending *end)
{
	json_t *last = choice_last(t->endpoint, finish ? finish : "stop", t->finish);
	enum err e;

	if (!t->include_usage)
		return send_object(t, last, usage_json(&end->used), end);
	e = send_object(t, last, json_null(), NULL);
	return e == ERR_OK ? send_object(t, NULL, usage_json(&end->used), end) : e;
}

static json_t *whole_object(struct task *t, const struct usage *used)
{
	json_t *o = response_object(t->response);

	response_adopt(t->response, o, t->whole);
	if (t->b64)
		vectors_to_b64(json_object_get(o, "data"));
	if (t->endpoint != EP_IMAGES)
		json_put(o, "usage", usage_json(used));
	return o;
}

static enum err finish_whole(struct task *t, const struct ending *end)
{
	struct buf sealed = { 0 };
	json_t *o = t->whole ? whole_object(t, &end->used) : NULL;
	enum err e = o ? response_put(t->response, o, end, &sealed) : ERR_NODE;

	json_decref(o);
	if (e == ERR_OK) {
		answer_json(t->req, buf_slice(&sealed));
		count_chunk();
	}
	buf_free(&sealed);
	return e;
}

static void on_end(void *arg, enum err e, const char *finish, const struct usage *used)
{
	struct task *t = arg;
	struct ending end = { .outcome = t->stopped, .used = *used, .unix_s = loop_unix() };

	t->run = NULL;
	usage_clamp(&end.used);
	if (e == ERR_OK)
		e = t->stream ? finish_stream(t, t->stopped ? "stop" : finish, &end) : finish_whole(t, &end);
	if (e != ERR_OK) {
		fail(t, e, &end.used);
		return;
	}
	if (t->stream && !endpoint_confidential(t->called))
		hreq_write(t->req, SLICE_STR("data: [DONE]\n\n"));
	if (t->stream)
		hreq_end(t->req);
	t->req = NULL;
	task_over(t, t->stopped ? OUTCOME_STOPPED : OUTCOME_COMPLETE, &end);
}

/* The worker is gone: nobody will read on, so the engine stops. */
static void on_gone(void *arg, struct hreq *r)
{
	struct task *t = arg;
	struct ending end = { .outcome = 1, .unix_s = loop_unix() };

	(void)r;
	t->req = NULL;
	if (t->run)
		engine_cancel(t->run, &end.used);
	usage_clamp(&end.used);
	task_over(t, OUTCOME_LOST, &end);
}

void task_stop(struct task *t)
{
	t->stopped = true;
	engine_stop(t->run);
}

void tasks_close(struct tasks *ts)
{
	struct usage used;
	struct task *t;

	if (!ts)
		return;
	for (size_t pos = 0; (t = map_next(ts->by_rid, &pos));) {
		hreq_on_gone(t->req, NULL, NULL);
		hreq_on_taken(t->req, NULL, NULL);
		if (t->run)
			engine_cancel(t->run, &used);
		task_free(t);
	}
	map_free(ts->by_rid);
	free(ts);
}

static struct response *new_response(const struct tasks *ts, const struct task_opts *o)
{
	struct response_opts ro = {
		.sign = ts->o.sign,
		.endpoint = (enum endpoint)endpoint_kind(o->endpoint),
		.stream = o->stream,
		.rid = o->rid,
		.key = o->key,
		.node_key = o->node_key,
		.plain_hash = o->plain_hash,
		.model = slice_str(o->model->name),
		.stack = o->stack,
		.unix_s = loop_unix(),
	};

	return response_new(&ro);
}

void tasks_start(struct tasks *ts, struct hreq *r, const struct task_opts *o)
{
	struct task *t = mem_new(sizeof(*t));
	struct engine_sink sink = { on_chunk, on_whole, on_end, on_beside, t };
	struct engine_job job = { .endpoint = (enum endpoint)endpoint_kind(o->endpoint),
				  .body = o->body,
				  .stream = o->stream,
				  .bounds = &o->bounds };

	t->ts = ts;
	t->req = r;
	memcpy(t->rid, o->rid, RID_BYTES);
	t->called = o->endpoint;
	t->endpoint = job.endpoint;
	t->stream = o->stream;
	t->include_usage = o->include_usage;
	t->b64 = o->endpoint == EP_PLAIN_EMBEDDINGS && vector_wants_b64(o->body);
	t->model = o->model;
	t->model->running++;
	t->began_ns = uv_hrtime();
	t->response = new_response(ts, o);
	map_put(ts->by_rid, t->rid, t);
	count_running(1);
	hreq_on_gone(r, on_gone, t);
	hreq_on_taken(r, on_taken, t);
	t->run = engine_start(ts->o.engine, &job, &sink);
}
