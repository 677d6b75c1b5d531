/* SPDX-License-Identifier: Apache-2.0
 *
 * See sink.h.
 */
#include "tests/unit/node/sink.h"

#include "node/json.h"
#include "node/limit.h"
#include "tests/unit/node/unit.h"

static void on_chunk(void *arg, json_t *choice)
{
	struct sink *s = arg;
	size_t n;

	assert_int_equal(s->ends, 0);
	json_array_append_new(s->chunks, json_deep_copy(choice));
	n = json_array_size(s->chunks);
	if (n == s->pause_at)
		engine_pause(s->run);
	if (n == s->cancel_at) {
		engine_cancel(s->run, &s->used);
		s->run = NULL;
		s->ends++;
	}
}

static void on_beside(void *arg, json_t *object, json_t *choice)
{
	struct sink *s = arg;

	json_decref(s->beside);
	s->beside = json_incref(object);
	if (!choice)
		return;
	json_decref(s->last);
	s->last = json_incref(choice);
}

static void on_whole(void *arg, json_t *object)
{
	struct sink *s = arg;

	assert_null(s->whole);
	s->whole = json_incref(object);
}

static void on_end(void *arg, enum err e, const char *finish, const struct usage *used)
{
	struct sink *s = arg;

	s->ends++;
	assert_int_equal(s->ends, 1);
	s->e = e;
	snprintf(s->finish, sizeof(s->finish), "%s", finish ? finish : "");
	s->used = *used;
	s->run = NULL;
}

void sink_open(struct sink *s, const char *engine)
{
	struct engine_opts o = { .engine = engine,
				 .key_file = "",
				 .connect_ms = 1000,
				 .first_byte_ms = 1000,
				 .gap_ms = 1000,
				 .total_ms = 5000,
				 .max_answer = 1 << 20 };

	*s = (struct sink){ .chunks = json_array() };
	uv_loop_init(&s->uv);
	o.uv = &s->uv;
	assert_int_equal(engine_open(&s->engine, &o), ERR_OK);
}

enum err sink_start(struct sink *s, enum endpoint ep, const char *body, bool stream, uint64_t units)
{
	struct engine_sink sink = { on_chunk, on_whole, on_end, on_beside, s };
	struct engine_job job = { .endpoint = ep, .stream = stream };
	struct bounds b;
	enum err e;

	s->body = json_of(body);
	e = limit_apply(s->body, ep, s->engine, units, units, &b);
	if (e != ERR_OK)
		return e;
	job.body = s->body;
	job.bounds = &b;
	s->run = engine_start(s->engine, &job, &sink);
	assert_int_equal(s->ends, 0);
	return ERR_OK;
}

struct alarm {
	uv_timer_t timer;
	bool late, closed;
};

static void on_alarm(uv_timer_t *t)
{
	((struct alarm *)t->data)->late = true;
}

static void on_alarm_closed(uv_handle_t *h)
{
	((struct alarm *)h->data)->closed = true;
}

static void run_until(struct sink *s, uint64_t ms, bool till_end)
{
	struct alarm a = { .late = false };

	uv_update_time(&s->uv);
	uv_timer_init(&s->uv, &a.timer);
	a.timer.data = &a;
	uv_timer_start(&a.timer, on_alarm, ms, 0);
	while (!a.late && !(till_end && s->ends))
		uv_run(&s->uv, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&a.timer, on_alarm_closed);
	while (!a.closed)
		uv_run(&s->uv, UV_RUN_NOWAIT);
}

void sink_wait(struct sink *s)
{
	run_until(s, 5000, true);
	assert_int_equal(s->ends, 1);
}

void sink_run_ms(struct sink *s, uint64_t ms)
{
	run_until(s, ms, false);
}

void sink_reset(struct sink *s)
{
	json_decref(s->chunks);
	json_decref(s->whole);
	json_decref(s->beside);
	json_decref(s->last);
	s->beside = s->last = NULL;
	json_decref(s->body);
	s->body = s->whole = NULL;
	s->chunks = json_array();
	s->ends = 0;
	s->e = ERR_OK;
	s->pause_at = s->cancel_at = 0;
	s->used = (struct usage){ 0 };
}

void sink_close(struct sink *s)
{
	engine_close(s->engine);
	sink_reset(s);
	json_decref(s->chunks);
	uv_run(&s->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->uv), 0);
}

const char *sink_text(struct sink *s)
{
	static char text[4096];
	const json_t *c;
	size_t i, n = 0;

	json_array_foreach(s->chunks, i, c)
	{
		const json_t *delta = json_object_get(c, "delta");
		const char *t =
			json_string_value(json_object_get(delta ? delta : c, delta ? "content" : "text"));

		assert_true(json_is_null(json_object_get(c, "finish_reason")));
		if (t)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", t);
		assert_true(n < sizeof(text));
	}
	text[n] = '\0';
	return text;
}
