/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers, made once and kept.  Sealed ones come from the real node's own files
 * (open, respond), so their every byte is what a real node would send; of the last
 * object only receipt and receipt_signature are replaced per request.  Raw events
 * are as long as sealed ones, so that all proxies carry the same bytes.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/b64.h"
#include "node/json.h"
#include "node/open.h"
#include "node/respond.h"
#include "tests/bench/node/bench_node.h"

#define SLOTS 65536u /* sealed bodies kept at most; a power of two */
#define RAW_MAX 4096
#define RAW_EVENT 620 /* bytes of a raw event, about those of a sealed one */
#define CHUNKS_MAX 100000
#define SIZE_MAX_TEXT (16u << 20)

struct slot {
	uint8_t hash[KEY_BYTES];
	struct answer *answer;
};

struct answers {
	struct keys *keys;
	const struct sign_key *sign;
	struct slot sealed[SLOTS];
	unsigned used;
	struct answer *raw[RAW_MAX];
	unsigned n_raw;
};

struct answers *answers_new(struct keys *keys, const struct sign_key *sign)
{
	struct answers *a = mem_new(sizeof(*a));

	a->keys = keys;
	a->sign = sign;
	return a;
}

/* Reads up to nine digits and the sign behind them. */
static bool read_number(const char **p, const char *end, char sign, uint32_t *out)
{
	const char *from = *p;

	for (*out = 0; *p < end && **p >= '0' && **p <= '9' && *p < from + 9; ++*p)
		*out = *out * 10 + (uint32_t)(**p - '0');
	return *p > from && *p < end && *(*p)++ == sign;
}

static bool read_asked(struct slice json, struct asked *out)
{
	static const char mark[] = "\"user\":\"bench:[";
	const char *p = memmem(json.p, json.n, mark, sizeof(mark) - 1);
	const char *end = (const char *)json.p + json.n;

	if (!p)
		return false;
	p += sizeof(mark) - 1;
	if (!read_number(&p, end, ',', &out->chunks) || !read_number(&p, end, ',', &out->gap_us) ||
	    !read_number(&p, end, ',', &out->phase) || !read_number(&p, end, ']', &out->size))
		return false;
	return out->chunks <= CHUNKS_MAX && out->size <= SIZE_MAX_TEXT && out->phase < PHASES &&
	       (out->gap_us <= GAP_NONE || out->gap_us >= 1000);
}

static void frame(struct buf *out, struct slice event)
{
	buf_fmt(out, "%zx\r\n", event.n);
	buf_add(out, event.p, event.n);
	buf_str(out, "\r\n");
}

/* A whole answer is kept with its head: even a new receipt leaves its length as it is. */
static void whole(struct buf *out, struct slice body)
{
	buf_fmt(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		body.n);
	buf_add(out, body.p, body.n);
}

/* --- raw --- */

static void raw_event(struct buf *out, uint32_t i, const char *finish)
{
	struct buf b = { 0 };

	buf_fmt(&b,
		"data: "
		"{\"i\":%u,\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":"
		"1700000000,"
		"\"model\":\"bench\",\"choices\":[{\"index\":0,\"finish_reason\":%s,\"delta\":{\"content\":"
		"\"",
		i, finish);
	while (b.n < RAW_EVENT - 8)
		buf_str(&b, "x");
	buf_str(&b, "\"}}]}\n\n");
	frame(out, buf_slice(&b));
	buf_free(&b);
}

static void raw_stream(struct answer *a)
{
	for (uint32_t i = 0; i + 1 < a->asked.chunks; i++) {
		raw_event(&a->events, i, "null");
		a->ends[i] = (uint32_t)a->events.n;
	}
	a->made = a->asked.chunks - 1;
	raw_event(&a->last, a->asked.chunks - 1, "\"stop\"");
	frame(&a->last, SLICE_STR("data: [DONE]\n\n"));
	buf_str(&a->last, "0\r\n\r\n");
}

static void raw_whole(struct answer *a)
{
	struct buf b = { 0 };

	buf_str(&b, "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,"
		    "\"model\":\"bench\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":"
		    "{\"role\":\"assistant\",\"content\":\"");
	for (uint32_t i = 0; i < a->asked.size; i++)
		buf_str(&b, "x");
	buf_str(&b, "\"}}]}");
	whole(&a->last, buf_slice(&b));
	buf_free(&b);
}

static struct answer *answer_new(const struct asked *asked)
{
	struct answer *a = mem_new(sizeof(*a));

	a->asked = *asked;
	if (asked->chunks)
		a->ends = mem_new(asked->chunks * sizeof(*a->ends));
	return a;
}

struct answer *answers_raw(struct answers *s, struct slice body)
{
	struct asked want = { 0 };
	struct answer *a;

	if (!read_asked(body, &want))
		return NULL;
	for (unsigned i = 0; i < s->n_raw; i++) {
		if (memcmp(&s->raw[i]->asked, &want, sizeof(want)) == 0)
			return s->raw[i];
	}
	if (s->n_raw == RAW_MAX)
		return NULL;
	a = s->raw[s->n_raw++] = answer_new(&want);
	if (want.chunks)
		raw_stream(a);
	else
		raw_whole(a);
	return a;
}

/* --- sealed --- */

static void put(struct response *r, const char *role, uint32_t size, const struct ending *end,
		struct buf *out)
{
	char *text = mem_new(size + 1);
	json_t *o = response_object(r), *choices = json_array();

	memset(text, 'x', size);
	json_array_append_new(choices, json_pack("{s:i,s:s?,s:{s:s}}", "index", 0, "finish_reason",
						 end ? "stop" : NULL, role, "content", text));
	json_put(o, "choices", choices);
	BUG_ON(response_put(r, o, end, out) != ERR_OK);
	json_decref(o);
	free(text);
}

static void sealed_event(struct response *r, const struct ending *end, struct buf *out)
{
	struct buf event = { 0 };

	buf_str(&event, "data: ");
	put(r, "delta", end ? 0 : 5, end, &event);
	buf_str(&event, "\n\n");
	frame(out, buf_slice(&event));
	buf_free(&event);
}

static size_t value_at(const struct buf *b, const char *name)
{
	const uint8_t *p = memmem(b->p, b->n, name, strlen(name));

	BUG_ON(!p);
	return (size_t)(p - b->p) + strlen(name);
}

void answer_make(struct answer *a)
{
	for (; a->made + 1 < a->asked.chunks; a->made++) {
		sealed_event(a->response, NULL, &a->events);
		a->ends[a->made] = (uint32_t)a->events.n;
	}
}

static void sealed_last(struct answer *a)
{
	struct ending end = { .used = { .prompt = 1, .completion = 1 }, .unix_s = (uint64_t)time(NULL) };
	uint8_t raw[RECEIPT_BYTES];
	struct buf body = { 0 };

	if (a->asked.chunks) {
		answer_make(a);
		sealed_event(a->response, &end, &a->last);
		buf_str(&a->last, "0\r\n\r\n");
	} else {
		put(a->response, "message", a->asked.size, &end, &body);
		whole(&a->last, buf_slice(&body));
		buf_free(&body);
	}
	response_free(a->response);
	a->response = NULL;
	a->receipt_at = value_at(&a->last, "\"receipt\":\"");
	a->signature_at = value_at(&a->last, "\"receipt_signature\":\"");
	BUG_ON(b64_decode_exact(slice_of(a->last.p + a->receipt_at, B64_LEN(RECEIPT_BYTES)), raw,
				sizeof(raw)) != ERR_OK);
	BUG_ON(receipt_decode(slice_of(raw, sizeof(raw)), &a->receipt) != ERR_OK);
}

static struct answer *sealed_make(struct answers *s, struct slice body)
{
	struct envelope e = { 0 };
	struct buf plain = { .secret = true };
	uint8_t key[SEAL_KEY], rid[RID_BYTES] = { 0 };
	struct answer *a = NULL;
	struct asked want = { 0 };
	const char *param;
	struct nodekey *n;

	if (envelope_parse(body, &e, &param) == ERR_OK && (n = keys_find(s->keys, e.node_key, 0)) &&
	    envelope_open(&e, n, key, &plain, &param) == ERR_OK && read_asked(buf_slice(&plain), &want)) {
		struct response_opts o = { .sign = s->sign,
					   .endpoint = EP_CHAT,
					   .stream = e.stream,
					   .rid = rid,
					   .key = key,
					   .node_key = e.node_key,
					   .plain_hash = e.plain_hash,
					   .model = buf_slice(&e.model),
					   .stack = e.stack,
					   .unix_s = (uint64_t)time(NULL) };

		a = answer_new(&want);
		a->response = response_new(&o);
	}
	mem_wipe(key, sizeof(key));
	buf_free(&plain);
	envelope_free(&e);
	return a;
}

struct answer *answers_sealed(struct answers *s, const uint8_t hash[KEY_BYTES], struct slice body)
{
	uint32_t i = get_be32(hash) & (SLOTS - 1);

	for (; s->sealed[i].answer; i = (i + 1) & (SLOTS - 1)) {
		if (memcmp(s->sealed[i].hash, hash, KEY_BYTES) == 0)
			return s->sealed[i].answer;
	}
	if (!body.n || s->used >= SLOTS / 2 || !(s->sealed[i].answer = sealed_make(s, body)))
		return NULL;
	memcpy(s->sealed[i].hash, hash, KEY_BYTES);
	s->used++;
	return s->sealed[i].answer;
}

struct slice answer_last(const struct answers *s, struct answer *a, const uint8_t rid[RID_BYTES],
			 struct buf *out)
{
	uint8_t raw[RECEIPT_BYTES];
	struct receipt r;

	if (a->response)
		sealed_last(a);
	if (!a->receipt_at)
		return buf_slice(&a->last);
	r = a->receipt;
	buf_reset(out);
	buf_add(out, a->last.p, a->last.n);
	memcpy(r.rid, rid, RID_BYTES);
	r.unix_s = (uint64_t)time(NULL);
	receipt_encode(&r, raw);
	b64_put((char *)out->p + a->receipt_at, raw, sizeof(raw));
	sign_label(s->sign, RECEIPT_LABEL, slice_of(raw, sizeof(raw)), (char *)out->p + a->signature_at);
	return buf_slice(out);
}
