/* SPDX-License-Identifier: Apache-2.0
 *
 * The built-in engine, for demonstrations and tests: deterministic and without
 * a model.
 *  - Completions answer with the words of the prompt, over again, up to
 *    max_tokens (16 when none is given); chat does so with the last message of
 *    the user.  One chunk per word; words are parted by one space, which stands
 *    in front of every word but the first.
 *  - finish_reason is "length" when a max_tokens was given or the reservation
 *    lowered the default, "stop" when the default of 16 applied, when there is
 *    no word to echo, and when the answer was stopped.
 *  - prompt_tokens: the words of the prompt, in chats of all messages; tool
 *    definitions are ignored.
 *  - Embeddings and images: echo.h.  An image is charged by the pixels asked for.
 * Without a rate it sends at most BURST words per loop turn, so that many
 * streams share the loop and back-pressure is seen between turns.
 */
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "node/choice.h"
#include "node/echo.h"
#include "node/engine_ops.h"
#include "node/json.h"
#include "node/prompt.h"

#define BURST 16          /* words; sealing one costs about 50 us, so a turn stays below 1 ms */
#define DEFAULT_TOKENS 16 /* OpenAI's own default for completions */
#define INPUTS_MAX 2048

struct echo {
	struct engine base;
	uv_loop_t *uv;
	uint64_t rate;
	struct echo_run *runs;
};

struct echo_run {
	struct engine_run base;
	struct echo *e;
	struct echo_run *next, **link;
	struct engine_sink sink;
	enum endpoint endpoint;
	bool stream, paused, over;
	struct buf text;   /* what is echoed; secret */
	struct buf answer; /* of whole answers; secret */
	size_t pos;
	uint64_t sent, max; /* words */
	const char *finish;
	struct usage used;
	struct bounds bounds;
	json_t *body;                /* embeddings and images */
	uint64_t base_ms, base_sent; /* where the rate counts from */
	uv_idle_t idle;
	uv_timer_t timer;
	int handles;
};

static void on_closed(uv_handle_t *h)
{
	struct echo_run *r = h->data;

	if (--r->handles > 0)
		return;
	buf_free(&r->text);
	buf_free(&r->answer);
	json_decref(r->body);
	free(r);
}

/* No call comes out of r any more; its memory goes later, so that a caller up
 * the stack may still look at r->over. */
static void run_close(struct echo_run *r)
{
	if (r->over)
		return;
	r->over = true;
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	uv_close((uv_handle_t *)&r->idle, on_closed);
	uv_close((uv_handle_t *)&r->timer, on_closed);
}

static json_t *whole_text(const struct echo_run *r, const char *finish)
{
	json_t *o = json_object(), *choices = json_array();

	json_array_append_new(choices, choice_whole(r->endpoint, buf_slice(&r->answer), finish));
	json_put(o, "choices", choices);
	return o;
}

static void run_end(struct echo_run *r, const char *finish)
{
	struct engine_sink sink = r->sink;
	struct usage used = r->used;
	json_t *whole = r->stream ? NULL : whole_text(r, finish);

	run_close(r);
	if (whole)
		sink.whole(sink.arg, whole);
	json_decref(whole);
	sink.end(sink.arg, ERR_OK, finish, &used);
}

/* The next word, from the start again after the last one; false: no words. */
static bool next_word(struct echo_run *r, struct slice *word)
{
	if (words_next(buf_slice(&r->text), &r->pos, word))
		return true;
	r->pos = 0;
	return words_next(buf_slice(&r->text), &r->pos, word);
}

static void send_piece(struct echo_run *r, struct slice word)
{
	struct buf piece = { .secret = true };
	json_t *choice;

	if (r->sent > 0)
		buf_str(&piece, " ");
	buf_add(&piece, word.p, word.n);
	r->used.completion = r->sent + 1;
	if (r->stream) {
		choice = choice_piece(r->endpoint, buf_slice(&piece), r->sent == 0);
		r->sink.chunk(r->sink.arg, choice);
		json_decref(choice);
	} else {
		buf_add(&r->answer, piece.p, piece.n);
	}
	r->sent++;
	buf_free(&piece);
}

/* Sends up to n words; the end follows the last word at once. */
static void send_words(struct echo_run *r, uint64_t n)
{
	struct slice word;

	while (n-- > 0 && r->sent < r->max && !r->paused && !r->over) {
		if (!next_word(r, &word)) {
			r->finish = "stop";
			r->max = r->sent;
			break;
		}
		send_piece(r, word);
	}
	if (!r->over && !r->paused && r->sent >= r->max)
		run_end(r, r->finish);
}

static json_t *one_vector(struct slice text, size_t index)
{
	json_t *o = json_object();

	json_put(o, "object", json_string("embedding"));
	json_put(o, "index", json_integer((json_int_t)index));
	json_put(o, "embedding", echo_vector(text));
	return o;
}

static json_t *vectors(const struct echo_run *r)
{
	const json_t *input = json_object_get(r->body, "input"), *item;
	json_t *data = json_array();
	size_t i;

	if (json_is_string(input))
		json_array_append_new(data, one_vector(json_text(input), 0));
	json_array_foreach(input, i, item)
	{
		json_array_append_new(data, one_vector(json_text(item), i));
	}
	return data;
}

static json_t *images(const struct echo_run *r)
{
	bool both = slice_is(json_text(json_object_get(r->body, "response_format")), "b64_json");
	struct buf png = { 0 }, url = { 0 };
	json_t *data = json_array();
	size_t head;

	echo_png(buf_slice(&r->text), &png);
	buf_str(&url, "data:image/png;base64,");
	head = url.n;
	b64_encode(&url, buf_slice(&png));
	for (uint64_t i = 0; i < r->bounds.n; i++) {
		json_t *o = json_object();

		json_put(o, "url", json_stringn((const char *)url.p, url.n));
		if (both)
			json_put(o, "b64_json", json_stringn((const char *)url.p + head, url.n - head));
		json_array_append_new(data, o);
	}
	buf_free(&png);
	buf_free(&url);
	return data;
}

static void send_data(struct echo_run *r)
{
	struct engine_sink sink = r->sink;
	json_t *o = json_object();
	struct usage used;

	json_put(o, "data", r->endpoint == EP_IMAGES ? images(r) : vectors(r));
	if (r->endpoint == EP_IMAGES)
		r->used = (struct usage){ .completion = r->bounds.pixels };
	used = r->used;
	run_close(r);
	sink.whole(sink.arg, o);
	json_decref(o);
	sink.end(sink.arg, ERR_OK, NULL, &used);
}

static bool is_text(const struct echo_run *r)
{
	return endpoint_streams(r->endpoint);
}

static void on_idle(uv_idle_t *h)
{
	struct echo_run *r = h->data;

	if (is_text(r))
		send_words(r, BURST);
	else
		send_data(r);
}

static void on_timer(uv_timer_t *h)
{
	struct echo_run *r = h->data;
	uint64_t due = r->base_sent + 1 + (uv_now(r->e->uv) - r->base_ms) * r->e->rate / 1000;

	send_words(r, due > r->sent ? due - r->sent : 0);
}

/* Lets words come, at once and then at the rate. */
static void run_on(struct echo_run *r)
{
	uint64_t interval;

	if (r->e->rate == 0 || !is_text(r)) {
		uv_idle_start(&r->idle, on_idle);
		return;
	}
	interval = 1000 / r->e->rate;
	r->base_ms = uv_now(r->e->uv);
	r->base_sent = r->sent;
	uv_timer_start(&r->timer, on_timer, r->sent ? interval : 0, interval ? interval : 1);
}

static void echo_pause(struct engine_run *run)
{
	struct echo_run *r = (struct echo_run *)run;

	r->paused = true;
	uv_idle_stop(&r->idle);
	uv_timer_stop(&r->timer);
}

static void echo_resume(struct engine_run *run)
{
	struct echo_run *r = (struct echo_run *)run;

	if (!r->paused)
		return;
	r->paused = false;
	run_on(r);
}

static void echo_stop(struct engine_run *run)
{
	struct echo_run *r = (struct echo_run *)run;

	if (is_text(r))
		run_end(r, "stop");
	else
		send_data(r); /* it would have come at the next turn anyway */
}

static void echo_cancel(struct engine_run *run, struct usage *used)
{
	struct echo_run *r = (struct echo_run *)run;

	*used = r->used;
	run_close(r);
}

static enum err echo_measure(struct engine *e, enum endpoint ep, const json_t *body, struct prompt_size *out)
{
	struct prompt p = { 0 };
	enum err r = prompt_read(ep, body, &p);

	(void)e;
	if (r == ERR_OK && p.tokens) /* it has no vocabulary to look token numbers up in */
		r = ERR_BODY;
	if (r == ERR_OK && ep == EP_EMBEDDINGS &&
	    json_array_size(json_object_get(body, "input")) > INPUTS_MAX)
		r = ERR_BODY;
	if (r == ERR_OK)
		out->low = out->high = words_count(buf_slice(&p.text));
	prompt_free(&p);
	return r;
}

static uint64_t echo_default_tokens(const struct engine *e, enum endpoint ep)
{
	(void)e, (void)ep;
	return DEFAULT_TOKENS;
}

static void take_text(struct echo_run *r)
{
	struct prompt p = { 0 };

	r->text.secret = r->answer.secret = true;
	if (r->endpoint == EP_CHAT)
		prompt_last_user(r->body, &r->text);
	else if (r->endpoint != EP_EMBEDDINGS && prompt_read(r->endpoint, r->body, &p) == ERR_OK)
		buf_add(&r->text, p.text.p, p.text.n);
	prompt_free(&p);
}

static struct engine_run *echo_start(struct engine *base, const struct engine_job *job,
				     const struct engine_sink *sink)
{
	struct echo *e = (struct echo *)base;
	struct echo_run *r = mem_new(sizeof(*r));

	r->base.ops = base->ops;
	r->e = e;
	r->sink = *sink;
	r->endpoint = job->endpoint;
	r->stream = job->stream;
	r->bounds = *job->bounds;
	r->max = job->bounds->max_tokens;
	r->finish = job->bounds->limited ? "length" : "stop";
	r->used.prompt = job->bounds->prompt.low;
	r->body = json_incref(job->body);
	take_text(r);
	r->next = e->runs;
	r->link = &e->runs;
	if (r->next)
		r->next->link = &r->next;
	e->runs = r;
	r->idle.data = r->timer.data = r;
	r->handles = 2;
	uv_idle_init(e->uv, &r->idle);
	uv_timer_init(e->uv, &r->timer);
	run_on(r);
	return &r->base;
}

static void echo_close(struct engine *base)
{
	struct echo *e = (struct echo *)base;

	while (e->runs)
		run_close(e->runs);
	free(e);
}

static const struct engine_ops echo_ops = {
	.takes_zero = true,
	.close = echo_close,
	.measure = echo_measure,
	.default_tokens = echo_default_tokens,
	.start = echo_start,
	.pause = echo_pause,
	.resume = echo_resume,
	.stop = echo_stop,
	.cancel = echo_cancel,
};

struct engine *engine_echo_new(uv_loop_t *uv, uint64_t rate)
{
	struct echo *e = mem_new(sizeof(*e));

	e->base.ops = &echo_ops;
	e->uv = uv;
	e->rate = rate;
	return &e->base;
}
