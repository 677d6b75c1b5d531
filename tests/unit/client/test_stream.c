/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies as they arrive: whole answers and event streams, in any pieces, with
 * their ends missing, errors inside, and objects handed over when they may be; and
 * answers that there is no memory for.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <string.h>

#include "client/stream.h"
#include "fake_node.h"

struct world {
	struct fake_node n;
	struct opener o;
	struct sealway_request r;
	struct http_head head;
	struct fault f;
	struct stream *s;
	struct buf seen;     /* what the caller got, "|" between objects, "!" behind the last */
	unsigned stop_after; /* the caller says stop at this object; 0: never */
	unsigned objects, on_wire;
};

static bool on_object(void *arg, const char *json, size_t n, bool last)
{
	struct world *w = arg;

	buf_add(&w->seen, json, n);
	buf_str(&w->seen, last ? "!" : "|");
	return ++w->objects != w->stop_after;
}

static void on_wire(void *arg, struct slice json)
{
	struct world *w = arg;

	assert_true(json.n > 0);
	w->on_wire++;
}

static void begin(struct world *w, bool stream, bool own)
{
	struct stream_opts so = { .opener = &w->o, .r = &w->r, .on_wire = on_wire, .arg = w, .f = &w->f };

	memset(w, 0, sizeof(*w));
	fake_node_init(&w->n);
	w->n.lock.own = own;
	w->o = fake_opener(&w->n);
	w->r = (struct sealway_request){
		.kind = SEALWAY_CHAT, .stream = stream, .on_object = on_object, .arg = w
	};
	w->head.status = 200;
	strcpy(w->head.type, stream ? "text/event-stream" : "application/json");
	w->s = stream_new(&so);
}

static void end(struct world *w)
{
	stream_free(w->s);
	buf_free(&w->seen);
	open_free(&w->o);
	fake_node_fini(&w->n);
}

static void event(struct world *w, const struct fake_object *o, struct buf *body)
{
	buf_str(body, "data: ");
	fake_object(&w->n, o, body);
	buf_str(body, "\n\n");
}

static void three_events(struct world *w, struct buf *body)
{
	buf_str(body, ": keep-alive\n\n");
	event(w, &(struct fake_object){ .text = "{\"a\":1}" }, body);
	event(w, &(struct fake_object){ .text = "{\"a\":2}" }, body);
	buf_str(body, ": keep-alive\n\n");
	event(w, &(struct fake_object){ .text = "{\"a\":3}", .final = true, .prompt = 1 }, body);
}

static bool feed(struct world *w, const struct buf *body, size_t step)
{
	for (size_t i = 0; i < body->n; i += step) {
		size_t n = body->n - i < step ? body->n - i : step;

		if (!stream_take(w->s, &w->head, slice_of(body->p + i, n)))
			return false;
	}
	return true;
}

static void streamed_in_any_pieces(void **state)
{
	(void)state;
	for (size_t step = 1; step < 3000; step = step * 3 + 1) {
		struct buf body = { 0 };
		struct world w;

		begin(&w, true, true);
		three_events(&w, &body);
		assert_true(feed(&w, &body, step));
		assert_true(slice_is(buf_slice(&w.seen), "{\"a\":1}|{\"a\":2}|")); /* the last one waits */
		assert_true(stream_delivered(w.s));
		assert_true(stream_end(w.s));
		assert_true(slice_is(buf_slice(&w.seen), "{\"a\":1}|{\"a\":2}|{\"a\":3}!"));
		assert_int_equal(w.on_wire, 3);
		assert_int_equal(w.f.status, SEALWAY_OK);
		buf_free(&body);
		end(&w);
	}
}

static void whole_answer(void **state)
{
	struct buf body = { 0 };
	struct world w;

	(void)state;
	begin(&w, false, true);
	fake_object(&w.n, &(struct fake_object){ .text = "{\"a\":1}", .final = true }, &body);
	buf_str(&body, "\n");
	assert_true(feed(&w, &body, 100));
	assert_false(stream_delivered(w.s));
	assert_true(stream_end(w.s));
	assert_true(slice_is(buf_slice(&w.seen), "{\"a\":1}!"));
	buf_free(&body);
	end(&w);
}

static void whole_answer_that_is_none(void **state)
{
	static const char *const bodies[] = { "", "{", "[]", "<html>" };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct buf body = { 0 };
		struct world w;

		begin(&w, false, true);
		buf_str(&body, bodies[i]);
		assert_true(feed(&w, &body, 100));
		assert_false(stream_end(w.s));
		assert_int_not_equal(w.f.status, SEALWAY_OK);
		assert_int_equal(w.objects, 0);
		buf_free(&body);
		end(&w);
	}
}

static void whole_answer_not_marked_final(void **state)
{
	struct buf body = { 0 };
	struct world w;

	(void)state;
	begin(&w, false, true);
	fake_object(&w.n, &(struct fake_object){ .text = "{}" }, &body);
	assert_true(feed(&w, &body, 1000));
	assert_false(stream_end(w.s));
	assert_int_equal(w.f.status, SEALWAY_CUT);
	assert_int_equal(w.objects, 0); /* no receipt came: nobody sees it */
	buf_free(&body);
	end(&w);
}

static void ends_too_early(void **state)
{
	struct buf body = { 0 };
	struct world w;

	(void)state;
	begin(&w, true, true);
	event(&w, &(struct fake_object){ .text = "{}" }, &body);
	assert_true(feed(&w, &body, 1000));
	assert_false(stream_end(w.s));
	assert_int_equal(w.f.status, SEALWAY_CUT);
	assert_non_null(strstr(w.f.text, "without its final chunk"));
	end(&w);
	begin(&w, true, true);
	buf_reset(&body);
	three_events(&w, &body);
	body.n -= 2; /* in the middle of the last event */
	assert_true(feed(&w, &body, 1000));
	assert_false(stream_end(w.s));
	assert_int_equal(w.f.status, SEALWAY_CUT);
	assert_null(memchr(w.seen.p, '!', w.seen.n));
	buf_free(&body);
	end(&w);
}

static void an_error_event(void **state)
{
	struct buf body = { 0 };
	struct world w;

	(void)state;
	begin(&w, true, true);
	event(&w, &(struct fake_object){ .text = "{}" }, &body);
	buf_str(&body,
		"event: error\ndata: {\"error\":{\"code\":\"TIMEOUT\",\"message\":\"too \\u001b[31mslow\","
		"\"reason\":null,\"request_id\":\"ab\"}}\n\n");
	event(&w, &(struct fake_object){ .text = "{}", .final = true }, &body);
	assert_false(feed(&w, &body, 10000));
	assert_int_equal(w.f.status, SEALWAY_CUT);
	assert_string_equal(w.f.text, "the service broke off: TIMEOUT: too ?[31mslow [request ab]");
	assert_int_equal(w.objects, 1);
	buf_free(&body);
	end(&w);
}

static void the_caller_stops(void **state)
{
	struct buf body = { 0 };
	struct world w;

	(void)state;
	begin(&w, true, true);
	w.stop_after = 1;
	three_events(&w, &body);
	assert_false(feed(&w, &body, 10000));
	assert_int_equal(w.f.status, SEALWAY_STOPPED);
	assert_int_equal(w.objects, 1);
	buf_free(&body);
	end(&w);
}

static void another_type(void **state)
{
	struct buf body = { 0 };
	struct world w;

	(void)state;
	begin(&w, true, true);
	strcpy(w.head.type, "application/json");
	three_events(&w, &body);
	assert_false(feed(&w, &body, 10000));
	assert_int_equal(w.f.status, SEALWAY_VERIFY);
	buf_free(&body);
	end(&w);
}

static void done_line_only_from_foreign_nodes(void **state)
{
	struct buf body = { 0 };
	struct world w;

	(void)state;
	begin(&w, true, false);
	event(&w, &(struct fake_object){ .text = "{\"a\":1}" }, &body);
	event(&w, &(struct fake_object){ .text = "{\"a\":2}" }, &body);
	buf_str(&body, "data: [DONE]\n\n");
	assert_true(feed(&w, &body, 7));
	assert_true(slice_is(buf_slice(&w.seen), "{\"a\":1}|"));
	assert_true(stream_end(w.s));
	assert_true(slice_is(buf_slice(&w.seen), "{\"a\":1}|{\"a\":2}!"));
	end(&w);
	begin(&w, true, true);
	buf_reset(&body);
	buf_str(&body, "data: [DONE]\n\n");
	assert_false(feed(&w, &body, 100));
	assert_int_equal(w.f.status, SEALWAY_VERIFY);
	buf_free(&body);
	end(&w);
}

/* Allocations larger than that fail: the linker's --wrap. */
static size_t memory = SIZE_MAX;

void *__real_realloc(void *p, size_t n);
void *__real_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_calloc(size_t n, size_t m);

void *__wrap_realloc(void *p, size_t n)
{
	return n > memory ? NULL : __real_realloc(p, n);
}

void *__wrap_calloc(size_t n, size_t m)
{
	return n * m > memory ? NULL : __real_calloc(n, m);
}

/* The gateway chose how much it is, so it may not end the program that we are part of. */
static void no_memory_for_an_answer(void **state)
{
	static const size_t enough_for_the_body[] = { 1000, SIZE_MAX };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct buf body = { 0 };
		struct world w;

		begin(&w, false, true);
		fake_object(&w.n, &(struct fake_object){ .text = "{\"a\":1}", .final = true }, &body);
		for (int k = 0; k < 5000; k++)
			buf_str(&body, " ");
		memory = enough_for_the_body[i];
		if (feed(&w, &body, 1000)) {
			memory = 3000; /* none for what is in it */
			assert_false(stream_end(w.s));
		}
		memory = SIZE_MAX;
		assert_int_equal(w.f.status, SEALWAY_LOCAL);
		assert_non_null(strstr(w.f.text, "not enough memory for the answer"));
		assert_int_equal(w.objects, 0);
		buf_free(&body);
		end(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streamed_in_any_pieces),
		cmocka_unit_test(whole_answer),
		cmocka_unit_test(whole_answer_that_is_none),
		cmocka_unit_test(whole_answer_not_marked_final),
		cmocka_unit_test(ends_too_early),
		cmocka_unit_test(an_error_event),
		cmocka_unit_test(the_caller_stops),
		cmocka_unit_test(another_type),
		cmocka_unit_test(done_line_only_from_foreign_nodes),
		cmocka_unit_test(no_memory_for_an_answer),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
