/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node reads: envelopes, the requests inside (PROTOCOL section 3, "Inside the
 * seal"), and what engines answer.  Whatever passes keeps to its bounds and can be
 * written as JSON that reads as the same value.  The first byte chooses what the rest
 * is, for which endpoint, and the second how much is reserved or how many images
 * were asked for.
 */
#include <string.h>

#include "node/json.h"
#include "node/limit.h"
#include "node/open.h"
#include "node/openai_fix.h"
#include "node/usage.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uv_loop_t loop;
static struct engine *engines[2];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct engine_opts o = { .uv = &loop, .engine = "echo", .key_file = "" };

	(void)argc, (void)argv;
	json_harden();
	BUG_ON(uv_loop_init(&loop) != 0 || engine_open(&engines[0], &o) != ERR_OK);
	o.engine = "http://127.0.0.1:9";
	BUG_ON(engine_open(&engines[1], &o) != ERR_OK);
	return 0;
}

static void can_be_written(const json_t *v)
{
	struct buf text = { 0 };
	json_t *again;

	json_append(&text, v, 17);
	BUG_ON(json_object_of(buf_slice(&text), &again) != ERR_OK || !json_equal(v, again));
	json_decref(again);
	buf_free(&text);
}

static bool is_one(const json_t *v)
{
	return !v || json_is_null(v) || json_integer_value(v) == 1;
}

/* One answer of no more than was reserved is all that is asked of the engine. */
static void asks_within(const json_t *body, enum endpoint ep, uint64_t units, const struct bounds *b)
{
	const json_t *newer = json_object_get(body, "max_completion_tokens");
	const char *name;
	json_t *v;

	BUG_ON(json_object_get(body, "n_predict") || json_object_get(body, "n_cmpl"));
	json_object_foreach((json_t *)body, name, v)
	{
		BUG_ON(strpbrk(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
	}
	if (ep == EP_IMAGES)
		BUG_ON(b->pixels > units);
	if (ep != EP_COMPLETIONS && ep != EP_CHAT)
		return;
	BUG_ON(b->max_tokens > units || !is_one(json_object_get(body, "n")) ||
	       !is_one(json_object_get(body, "best_of")));
	BUG_ON((uint64_t)json_integer_value(json_object_get(body, "max_tokens")) != b->max_tokens);
	BUG_ON(newer && !json_equal(newer, json_object_get(body, "max_tokens")));
}

static void request(struct slice text, enum endpoint ep, uint64_t units)
{
	for (int i = 0; i < 2; i++) {
		struct agreement a = { .endpoint = ep };
		struct bounds b;
		json_t *body;
		bool usage;

		if (json_request_of(text, &body) != ERR_OK)
			return;
		a.model = json_text(json_object_get(body, "model"));
		a.stream = json_is_true(json_object_get(body, "stream"));
		if (limit_agree(body, &a, &usage) == ERR_OK &&
		    limit_apply(body, ep, engines[i], units, units, &b) == ERR_OK) {
			openai_shape(ep, body, a.stream);
			asks_within(body, ep, units, &b);
			can_be_written(body);
		}
		json_decref(body);
	}
}

static void event(struct slice text, enum endpoint ep)
{
	struct usage_said said = { .prompt = false };
	struct openai_event ev;
	json_t *o;

	if (json_object_of(text, &o) != ERR_OK)
		return;
	if (openai_event_read(ep, o, &ev) == ERR_OK) {
		usage_read(ev.usage, &said);
		BUG_ON(said.n.prompt > USAGE_MAX || said.n.completion > USAGE_MAX);
		BUG_ON(ev.choice && !json_is_null(json_object_get(ev.choice, "finish_reason")));
		BUG_ON(ev.choice && json_is_object(json_object_get(ev.choice, "delta")) != (ep == EP_CHAT));
		can_be_written(o);
	}
	json_decref(o);
}

static void whole(struct slice text, enum endpoint ep, unsigned how)
{
	json_t *o;

	if (json_object_of(text, &o) != ERR_OK)
		return;
	if (openai_whole(ep, o, how / 2, how & 1) == ERR_OK) {
		BUG_ON(ep == EP_IMAGES && json_array_size(json_object_get(o, "data")) > how / 2);
		(void)openai_words(o);
		can_be_written(o);
	}
	json_decref(o);
}

static void envelope(struct slice text)
{
	struct envelope e = { .stream = false };
	const char *param;

	BUG_ON(envelope_parse(text, &e, &param) == ERR_OK && (param || !e.model.n || e.stack > ID_MAX));
	envelope_free(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text;
	enum endpoint ep;

	if (size < 2)
		return 0;
	ep = (enum endpoint)(EP_COMPLETIONS + data[0] % 4);
	text = slice_of(data + 2, size - 2);
	switch (data[0] / 4 % 4) {
	case 0:
		request(text, ep, data[1]);
		break;
	case 1:
		event(text, ep);
		break;
	case 2:
		whole(text, ep, data[1]);
		break;
	default:
		envelope(text);
	}
	return 0;
}
