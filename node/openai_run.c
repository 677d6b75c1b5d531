/* SPDX-License-Identifier: Apache-2.0
 *
 * One answer of an OpenAI-compatible server.  Streams are asked for with usage;
 * an answer counts as complete when the server gave a finish_reason, or [DONE] behind
 * some text, whatever became of the connection afterwards.  An error inside the stream
 * (some servers say [DONE] after it), or an end without either, cuts the answer.  What of its usage a server
 * does not name is counted by the words of the prompt and the pieces of the stream, and never beyond the
 * reservation.  A server that goes on behind max_tokens is stopped once that is certain: nobody pays for what
 * comes after it.
 *
 * A run may be given up from inside its own callbacks: it is then marked over
 * and freed once the feeding of the parser has returned.
 */
#include <stdlib.h>

#include "common/log.h"
#include "node/choice.h"
#include "node/json.h"
#include "node/openai.h"
#include "node/openai_error.h"
#include "node/openai_fix.h"
#include "node/prompt.h"

#define EVENT_MAX (4u << 20)

/* Whether a stream surely has gone on behind max_tokens.  A piece has a token or more, but for the
 * few that a server makes of one (the name of a tool apart from its arguments, the end of the
 * reasoning and the first word of the answer); and where somebody on the way has cut texts into
 * letters, a token still has no more than 8 bytes on average. */
static bool is_full(const struct openai_run *r)
{
	uint64_t max = r->bounds.max_tokens;

	return r->pieces >= max + max / 4 + 16 && r->bytes >= max * 8;
}

void openai_run_free(struct openai_run *r)
{
	if (r->call)
		upstream_cancel(r->call);
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	sse_free(r->sse);
	buf_free(&r->body);
	buf_free(&r->answer);
	json_decref(r->model);
	free(r);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What was used so far: the server's word, else our count. */
static struct usage used_by(const struct openai_run *r)
{
	const struct bounds *b = &r->bounds;
	struct usage u = r->said.n;

	if (r->endpoint == EP_IMAGES)
		return u;
	if (!r->said.prompt)
		u.prompt = least(r->prompt_words, b->units);
	if (!r->said.completion && endpoint_streams(r->endpoint))
		u.completion = least(r->pieces, least(b->max_tokens, b->units - least(u.prompt, b->units)));
	return u;
}

/* Tells the end; the run lives on when keep, to let the exchange end cleanly. */
static void run_end(struct openai_run *r, enum err e, const char *finish, bool keep)
{
	struct engine_sink sink = r->sink;
	struct usage used = used_by(r);

	r->over = true;
	if (keep)
		upstream_resume(r->call); /* a pause would outlive the answer */
	else if (!r->feeding)
		openai_run_free(r);
	sink.end(sink.arg, e, finish, &used);
}

/* The server has said e.  A failure is its own only once it is known to be ill. */
static enum err refused(struct openai_run *r, enum err e)
{
	if (e == ERR_ENGINE || e == ERR_UNAVAILABLE || r->e->away)
		openai_doubt(r->e, r->endpoint, r->model);
	return e == ERR_ENGINE && r->e->away ? ERR_NODE : e;
}

/* --- streams --- */

static void pass_on(struct openai_run *r, json_t *choice)
{
	json_t *delta = json_object_get(choice, "delta");

	if (delta && !r->begun)
		json_put(delta, "role", json_string("assistant"));
	else
		json_object_del(delta, "role");
	r->begun = true;
	r->pieces++;
	r->bytes += openai_bytes(r->endpoint, choice);
	r->sink.chunk(r->sink.arg, choice);
}

static enum err take_event(struct openai_run *r, json_t *event)
{
	struct openai_event ev;
	enum err e = openai_event_read(r->endpoint, event, &ev);

	if (e != ERR_OK)
		return e;
	usage_read(ev.usage, &r->said);
	if (ev.finish)
		r->finish = ev.finish;
	if (r->sink.beside)
		r->sink.beside(r->sink.arg, event, ev.last);
	if (ev.choice && is_full(r))
		r->full = true;
	else if (ev.choice)
		pass_on(r, ev.choice);
	return r->over || r->full ? ERR_CLOSED : ERR_OK;
}

static enum err on_event(void *arg, struct slice type, struct slice data)
{
	struct openai_run *r = arg;
	json_t *event;
	enum err e;

	if (r->over || r->done)
		return ERR_OK;
	if (slice_is(data, "[DONE]")) {
		r->done = true;
		return ERR_OK;
	}
	if (slice_is(type, "error"))
		return openai_error_event(data);
	if (json_object_of(data, &event) != ERR_OK)
		return ERR_NODE;
	e = take_event(r, event);
	json_decref(event);
	return e;
}

static void end_full(struct openai_run *r)
{
	log_warn("engine_over_limit", L_U("max_tokens", r->bounds.max_tokens), L_U("pieces", r->pieces),
		 L_S("do", "use an engine that keeps to max_tokens: what is over it is not paid for"));
	run_end(r, ERR_OK, "length", false);
}

static void feed(struct openai_run *r, struct slice data)
{
	enum err e;

	r->feeding = true;
	e = sse_feed(r->sse, data);
	r->feeding = false;
	if (r->over) /* given up meanwhile */
		openai_run_free(r);
	else if (r->full)
		end_full(r);
	else if (e != ERR_OK)
		run_end(r, e == ERR_LIMIT ? ERR_NODE : refused(r, e), NULL, false);
	else if (r->done && !r->begun && !r->finish) /* no answer at all */
		run_end(r, ERR_NODE, NULL, true);
	else if (r->done)
		run_end(r, ERR_OK, r->finish ? r->finish : "stop", true);
}

/* --- whole answers --- */

static void count_whole(struct openai_run *r, const json_t *object)
{
	const struct bounds *b = &r->bounds;

	if (r->endpoint == EP_IMAGES) {
		uint64_t n = json_array_size(json_object_get(object, "data"));

		r->said.n = (struct usage){ .completion = n * b->width * b->height };
		return;
	}
	usage_read(json_object_get(object, "usage"), &r->said);
	r->pieces = openai_words(object);
}

static void take_whole(struct openai_run *r)
{
	struct engine_sink sink = r->sink;
	json_t *object;
	enum err e;

	if (json_object_of(buf_slice(&r->answer), &object) != ERR_OK) {
		run_end(r, ERR_NODE, NULL, false);
		return;
	}
	e = openai_whole(r->endpoint, object, r->bounds.n, r->keep_b64);
	if (e == ERR_OK) {
		count_whole(r, object);
		sink.whole(sink.arg, object);
	}
	run_end(r, e == ERR_OK ? e : refused(r, e), NULL, false);
	json_decref(object);
}

/* --- the exchange --- */

static void on_head(void *arg, int status, const char *content_type)
{
	struct openai_run *r = arg;

	(void)content_type;
	r->status = status;
	if (status / 100 == 2)
		openai_answers(r->e);
}

static void on_data(void *arg, struct slice data)
{
	struct openai_run *r = arg;

	if (r->over || r->status != 200)
		return;
	if (r->stream)
		feed(r, data);
	else
		buf_add(&r->answer, data.p, data.n);
}

static void on_done(void *arg, enum upstream_result result)
{
	struct openai_run *r = arg;
	bool whole = result == UPSTREAM_OK || result == UPSTREAM_CUT; /* a cut one will not parse */

	r->call = NULL;
	if (result == UPSTREAM_CONNECT)
		openai_gone(r->e);
	if (r->over) {
		openai_run_free(r);
		return;
	}
	if (r->status != 200 || result != UPSTREAM_OK)
		log_info("engine_answer", L_S("result", upstream_result_name(result)),
			 L_I("status", r->status));
	if (r->status && r->status != 200)
		run_end(r, refused(r, openai_status_error(r->status)), NULL, false);
	else if (r->finish)
		run_end(r, ERR_OK, r->finish, false);
	else if (!r->stream && r->status && whole)
		take_whole(r);
	else
		run_end(r, openai_result_error(result), NULL, false);
}

static void send_request(struct openai_run *r)
{
	struct openai *e = r->e;
	struct upstream_header h[3] = { { "Content-Type", SLICE_STR("application/json") },
					{ "Accept", r->stream ? SLICE_STR("text/event-stream")
							      : SLICE_STR("application/json") },
					{ "Authorization", buf_slice(&e->auth) } };
	struct upstream_call c = { .method = "POST", .headers = h, .n_headers = e->auth.n ? 3 : 2 };
	struct buf url = { 0 };

	buf_str(&url, e->url);
	buf_str(&url, endpoint_path(openai_path(r->endpoint)));
	buf_add(&url, "", 1);
	c.url = (const char *)url.p;
	c.body = buf_slice(&r->body);
	c.connect_ms = e->o.connect_ms;
	c.first_byte_ms = e->o.first_byte_ms;
	c.gap_ms = e->o.gap_ms;
	c.total_ms = e->o.total_ms;
	c.max_body = r->stream ? 0 : e->o.max_answer;
	c.repeatable = true; /* an engine keeps nothing of a request, and bills nobody */
	c.on_head = on_head;
	c.on_data = on_data;
	c.on_done = on_done;
	c.arg = r;
	r->call = upstream_start(e->up, &c);
	buf_free(&url);
}

static uint64_t prompt_words(enum endpoint ep, const json_t *body)
{
	struct prompt p = { 0 };
	uint64_t n = 0;

	if (prompt_read(ep, body, &p) == ERR_OK)
		n = words_count(buf_slice(&p.text)) + p.tokens;
	prompt_free(&p);
	return n;
}

struct engine_run *openai_start(struct engine *base, const struct engine_job *job,
				const struct engine_sink *sink)
{
	struct openai *e = (struct openai *)base;
	struct openai_run *r = mem_new(sizeof(*r));

	r->base.ops = base->ops;
	r->e = e;
	r->sink = *sink;
	r->bounds = *job->bounds;
	r->endpoint = job->endpoint;
	r->model = json_incref(json_object_get(job->body, "model"));
	r->stream = job->stream;
	r->keep_b64 = slice_is(json_text(json_object_get(job->body, "response_format")), "b64_json");
	r->body.secret = r->answer.secret = true;
	r->prompt_words = prompt_words(job->endpoint, job->body);
	if (r->stream)
		r->sse = sse_new(EVENT_MAX, on_event, r);
	openai_shape(job->endpoint, job->body, job->stream);
	json_append(&r->body, job->body, 17);
	r->next = e->runs;
	r->link = &e->runs;
	if (r->next)
		r->next->link = &r->next;
	e->runs = r;
	send_request(r);
	return &r->base;
}

void openai_pause(struct engine_run *run)
{
	struct openai_run *r = (struct openai_run *)run;

	if (r->call)
		upstream_pause(r->call);
}

void openai_resume(struct engine_run *run)
{
	struct openai_run *r = (struct openai_run *)run;

	if (r->call)
		upstream_resume(r->call);
}

/* A whole answer that was stopped: the server has not said anything yet. */
static void send_nothing(struct openai_run *r)
{
	json_t *o = json_object(), *choices = json_array();

	json_array_append_new(choices, choice_whole(r->endpoint, slice_of(NULL, 0), "stop"));
	json_put(o, "choices", choices);
	r->sink.whole(r->sink.arg, o);
	json_decref(o);
}

void openai_stop(struct engine_run *run)
{
	struct openai_run *r = (struct openai_run *)run;

	if (!endpoint_streams(r->endpoint)) {
		run_end(r, ERR_CLOSED, NULL, false);
		return;
	}
	if (!r->stream)
		send_nothing(r);
	run_end(r, ERR_OK, "stop", false);
}

void openai_cancel(struct engine_run *run, struct usage *used)
{
	struct openai_run *r = (struct openai_run *)run;

	*used = used_by(r);
	r->over = true;
	if (!r->feeding)
		openai_run_free(r);
}
