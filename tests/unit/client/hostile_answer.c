/* SPDX-License-Identifier: Apache-2.0
 *
 * What the hostile gateway says (hostile_gateway.h): locks, refusals, and answers
 * whose objects are as the node made them, or not.
 */
#define _GNU_SOURCE /* memmem */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/b64.h"
#include "hostile_gateway.h"

#define OBJECTS 9
#define FOREIGN_NODE 8

unsigned hostile_dice(unsigned *state, unsigned n)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return n ? (*state >> 3) % n : 0;
}

void hostile_text(unsigned serial, unsigned i, struct buf *out)
{
	unsigned dice = serial * 2654435761u + i * 40503u + 1, n;

	n = hostile_dice(&dice, hostile_dice(&dice, 20) ? 300 : 20000);
	buf_fmt(out, "{\"of\":%u,\"nth\":%u,\"text\":\"", serial, i);
	for (unsigned k = 0; k < n; k++)
		buf_fmt(out, "%c", 'a' + (int)((k * 7 + i + serial) % 26));
	buf_str(out, "\"}");
}

/* --- refusals --- */

static void refuse(struct hostile *h, struct reply *r)
{
	static const struct {
		int status;
		const char *code, *headers;
		bool later;
	} refusals[] = {
		{ 425, "UNAVAILABLE_STACK", "", false },
		{ 425, "UNAVAILABLE_STACK", "", false },
		{ 423, "LOCKED", "", false },
		{ 503, "SERVICE_UNAVAILABLE", "Retry-After: 1\r\n", true },
		{ 503, "SERVICE_UNAVAILABLE", "Retry-After: 3000\r\n", false },
		{ 503, "SERVICE_UNAVAILABLE", "Retry-After: soon\r\n", false },
		{ 429, "TOO_MANY_REQUESTS", "", false },
		{ 402, "BALANCE_ERROR", "", false },
		{ 500, "INTERNAL_ERROR", "", false },
		{ 307, "X", "Location: http://127.0.0.1:1/\r\n", false },
		{ 204, "an error without a description", "", false },
		{ 401, "AUTH_ERROR", "WWW-Authenticate: Basic realm=\"x\"\r\n", false },
		{ 407, "X", "Proxy-Authenticate: Basic realm=\"x\"\r\n", false },
		{ 417, "X", "", false },
	};
	unsigned i = hostile_dice(&h->dice, sizeof(refusals) / sizeof(refusals[0]));

	if (refusals[i].later && !h->may_wait)
		i = 0;
	r->d.status = refusals[i].status;
	r->d.code = refusals[i].code;
	r->d.later = refusals[i].later;
	r->headers = refusals[i].headers;
	if (r->d.status == 204)
		return;
	buf_fmt(&r->body,
		"{\"error\":{\"code\":\"%s\",\"message\":\"no\",\"param\":null,\"reason\":\"key_rotated\"}}",
		r->d.code);
}

/* --- objects --- */

static void now_in_receipt(struct receipt *r)
{
	r->unix_s = (uint64_t)time(NULL);
}

/* One character of one member's text becomes another. */
static void alter(struct hostile *h, struct buf *json)
{
	static const char *const own[] = { "ciphertext", "nonce",   "response_hash",
					   "signature",  "receipt", "receipt_signature" };
	static const char *const lock[] = { "public_key", "node_signing_key", "key_statement",
					    "key_signature" };
	bool is_lock = memmem(json->p, json->n, "\"key_statement\"", 15);
	uint8_t *at = NULL, *end;

	while (!at) {
		struct buf name = { 0 };

		buf_fmt(&name, "\"%s\":\"",
			is_lock ? lock[hostile_dice(&h->dice, 4)] : own[hostile_dice(&h->dice, 6)]);
		at = memmem(json->p, json->n, name.p, name.n);
		at = at ? at + name.n : NULL;
		buf_free(&name);
	}
	end = memchr(at, '"', (size_t)(json->p + json->n - at));
	at += hostile_dice(&h->dice, (unsigned)(end - at));
	*at = *at == 'x' ? 'y' : 'x';
}

/* The ciphertext without its last bytes. */
static void shorten(struct buf *json)
{
	uint8_t *at = memmem(json->p, json->n, "\"ciphertext\":\"", 14), *end;

	at += 14;
	end = memchr(at, '"', (size_t)(json->p + json->n - at));
	memmove(end - 4, end, (size_t)(json->p + json->n - end));
	json->n -= 4;
}

static void make_object(struct hostile *h, const struct reply *r, unsigned i, bool final, struct buf *out)
{
	struct buf text = { 0 };
	struct fake_object o = { .final = final,
				 .prompt = 5,
				 .completion = r->d.n,
				 .spoil_receipt = now_in_receipt,
				 .no_hash = h->foreign,
				 .no_signature = h->foreign,
				 .no_receipt = h->foreign,
				 .no_usage = h->foreign };

	hostile_text(r->d.serial, i, &text);
	buf_add(&text, "", 1);
	o.text = (const char *)text.p;
	fake_object(&h->node, &o, out);
	buf_free(&text);
}

static void from_json(json_t *o, const char *name, void *out, size_t n)
{
	if (b64_decode_exact(slice_str(json_string_value(json_object_get(o, name))), out, n))
		abort();
}

/* What the node does: derives the key of this request and begins an answer.  Whether it came before. */
static bool open_request(struct hostile *h, struct slice body)
{
	unsigned times = 0;
	json_t *o = json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
	uint8_t client[32], salt[16], nonce[SEAL_NONCE];

	if (!o)
		hostile_fail(h, "this is no sealed request");
	from_json(o, "client_dh_public_key", client, sizeof(client));
	from_json(o, "salt", salt, sizeof(salt));
	from_json(o, "nonce", nonce, sizeof(nonce));
	from_json(o, "plaintext_body_hash", h->node.sealed.plain_hash, KEY_BYTES);
	json_decref(o);
	for (size_t i = 0; i < h->nonces.n; i += SEAL_NONCE)
		times += !memcmp(h->nonces.p + i, nonce, SEAL_NONCE);
	if (times > (h->foreign ? 0 : 1))
		hostile_fail(h, "a sealed request was sent too often");
	buf_add(&h->nonces, nonce, SEAL_NONCE);
	if (seal_derive(h->node.secret, client, salt, h->node.sealed.key))
		abort();
	buf_reset(&h->node.hashes);
	h->node.objects = 0;
	seal_nonces_init(&h->node.nonces);
	return times > 0;
}

/* --- events --- */

static const char *eol(struct hostile *h)
{
	static const char *const ends[] = { "\n", "\n", "\r\n", "\r" };

	return ends[hostile_dice(&h->dice, 4)];
}

/* What may stand between events. */
static void noise(struct hostile *h, struct buf *out)
{
	static const char *const lines[] = { ": keep-alive", ":",           "id: 7",      "retry: 10",
					     "unknown",      "event: ping", ":: data: {}" };
	unsigned n = hostile_dice(&h->dice, 4) ? 0 : hostile_dice(&h->dice, 4);

	for (; n; n--) {
		buf_str(out, lines[hostile_dice(&h->dice, 7)]);
		buf_str(out, eol(h));
		buf_str(out, eol(h));
		buf_str(out, "\n\n"); /* a CR before an LF is one end of line */
	}
}

/* On one line, or on several where JSON may have a blank. */
static void put_event(struct hostile *h, struct slice json, struct buf *out)
{
	bool several = hostile_dice(&h->dice, 8) == 0;

	noise(h, out);
	if (hostile_dice(&h->dice, 8) == 0)
		buf_fmt(out, "event: message%s", eol(h));
	buf_str(out, hostile_dice(&h->dice, 2) ? "data: " : "data:");
	for (size_t i = 0; i < json.n; i++) {
		buf_add(out, json.p + i, 1);
		if (several && json.p[i] == ',')
			buf_fmt(out, "%sdata: ", eol(h));
	}
	buf_str(out, hostile_dice(&h->dice, 2) ? "\n\n" : hostile_dice(&h->dice, 2) ? "\r\r" : "\r\n\r\n");
}

/* --- answers --- */

/* The objects in the order in which they are said; d.good of them come before what is wrong. */
static unsigned arrange(struct hostile *h, struct reply *r, struct buf object[OBJECTS + 2])
{
	unsigned n = r->d.n, at = hostile_dice(&h->dice, n);
	struct buf moved;

	r->d.good = at;
	switch (r->d.evil) {
	case EVIL_NO_FINAL:
		r->d.good = n;
		return n;
	case EVIL_DROP:
		at = r->d.good = hostile_dice(&h->dice, n - 1);
		buf_free(&object[at]);
		memmove(object + at, object + at + 1, (n - at - 1) * sizeof(*object));
		object[n - 1] = (struct buf){ 0 };
		return n - 1;
	case EVIL_SWAP:
		at = r->d.good = hostile_dice(&h->dice, n - 1);
		moved = object[at];
		object[at] = object[at + 1];
		object[at + 1] = moved;
		return n;
	case EVIL_REPEAT:
		memmove(object + at + 1, object + at, (n - at) * sizeof(*object));
		object[at] = (struct buf){ 0 };
		buf_add(&object[at], object[at + 1].p, object[at + 1].n);
		r->d.good = at + 1 < n ? at + 1 : n - 1;
		return n + 1;
	case EVIL_MORE:
		buf_str(&object[n], hostile_dice(&h->dice, 2) ? "{}" : "[DONE]");
		r->d.good = n - 1;
		return n + 1;
	case EVIL_ALTER:
		if (h->foreign) {
			uint8_t *c = memmem(object[at].p, object[at].n, "\"ciphertext\":\"", 14);

			c[14 + hostile_dice(&h->dice, 100)] ^= 1; /* no letter of base64, or another one */
		} else {
			alter(h, &object[at]);
		}
		return n;
	case EVIL_SHORT:
		shorten(&object[at]);
		return n;
	case EVIL_HALF:
		r->d.good = n - 1 - (h->foreign && n > 1); /* each waits for its successor */
		return n;
	default:
		r->d.good = n - 1; /* the last one waits for the end of HTTP */
		return n;
	}
}

static void replay(struct hostile *h, struct reply *r)
{
	buf_add(&r->body, h->earlier.p, h->earlier.n);
	r->d.good = 0;
}

static void broke_off(struct hostile *h, struct reply *r)
{
	buf_fmt(&r->body, "event: error\ndata: {\"error\":{\"code\":\"TIMEOUT\",\"message\":\"slow\"}}\n\n");
	r->d.good = r->d.good && h->foreign ? r->d.good - 1
					    : r->d.good; /* of a foreign node each waits for its successor */
}

static void put_objects(struct hostile *h, struct reply *r)
{
	struct buf object[OBJECTS + 2] = { 0 };
	unsigned n, said;

	for (unsigned i = 0; i < r->d.n; i++) {
		bool odd = r->d.evil == EVIL_OTHER && i + 1 == r->d.n;

		h->node.sealed.key[0] ^= odd; /* of another request */
		make_object(h, r, i, r->d.evil != EVIL_NO_FINAL && i + 1 == r->d.n, &object[i]);
		h->node.sealed.key[0] ^= odd;
	}
	said = arrange(h, r, object);
	if (r->d.evil == EVIL_OTHER)
		r->d.good = r->d.n - 1;
	if (r->d.evil == EVIL_BROKE)
		said = r->d.good = hostile_dice(&h->dice, r->d.n);
	if (h->stream && hostile_dice(&h->dice, 6) == 0)
		buf_str(&r->body, "\xef\xbb\xbf");
	for (n = 0; n < said; n++) {
		if (h->stream)
			put_event(h, buf_slice(&object[n]), &r->body);
		else
			buf_add(&r->body, object[n].p, object[n].n);
	}
	if (r->d.evil == EVIL_BROKE)
		broke_off(h, r);
	else if (r->d.evil == EVIL_HALF)
		r->body.n -= memcmp(r->body.p + r->body.n - 2, "\r\n", 2) ? 1 : 2;
	else if (h->stream)
		noise(h, &r->body);
	for (n = 0; n < OBJECTS + 2; n++)
		buf_free(&object[n]);
}

/* What of all can be done to this answer. */
static bool possible(struct hostile *h, const struct reply *r)
{
	bool request = r->d.asked == ASKED_REQUEST, many = r->d.n > 1;

	switch (r->d.evil) {
	case EVIL_STALL:
		return h->may_stall;
	case EVIL_TYPE:
		return request;
	case EVIL_ALTER:
		return request || (r->d.asked == ASKED_LOCK && !h->foreign);
	case EVIL_SHORT:
	case EVIL_OTHER:
		return request;
	case EVIL_REPLAY:
		return request && h->earlier.n && h->earlier_stream == h->stream;
	case EVIL_DROP:
	case EVIL_SWAP:
		return request && !h->foreign && many;
	case EVIL_REPEAT:
	case EVIL_NO_FINAL:
		return request && !h->foreign;
	case EVIL_MORE:
		return request && !h->foreign && h->stream;
	case EVIL_BROKE:
	case EVIL_HALF:
		return request && h->stream;
	case EVIL_FLOOD:
		return request && h->stream && hostile_dice(&h->dice, 8) == 0;
	default:
		return true;
	}
}

static void put_lock(struct hostile *h, struct reply *r)
{
	struct node_lock *l = &h->node.lock;
	struct buf key = { 0 };

	l->stack = FAKE_STACK;
	if (h->foreign) {
		b64_encode(&key, slice_of(h->node.pub, KEY_BYTES));
		buf_fmt(&r->body,
			"{\"public_key\":\"%.*s\",\"node_small_id\":%d,\"stack_small_id\":%d,\"key_"
			"statement\":null}",
			(int)key.n, (const char *)key.p, FOREIGN_NODE, FAKE_STACK);
		buf_free(&key);
		return;
	}
	fake_lock_json(&h->node, &r->body);
	if (r->d.evil == EVIL_ALTER)
		alter(h, &r->body);
}

static void put_answer(struct hostile *h, struct reply *r)
{
	if (r->d.evil == EVIL_REPLAY)
		replay(h, r);
	else
		put_objects(h, r);
	if (r->d.evil == EVIL_NONE && hostile_dice(&h->dice, 3) == 0) {
		buf_reset(&h->earlier);
		buf_add(&h->earlier, r->body.p, r->body.n);
		h->earlier_stream = h->stream;
	}
	r->type = h->stream ? "Text/Event-Stream; charset=utf-8" : "application/json";
	if (r->d.evil == EVIL_TYPE) {
		r->type = h->stream ? "application/json" : "text/event-stream";
		r->d.good = 0;
	}
}

void hostile_decide(struct hostile *h, struct slice body, struct reply *r)
{
	unsigned one_in;

	*r = (struct reply){ .type = "application/json",
			     .headers = "",
			     .d = { .status = 200, .round = h->round, .code = "" } };
	r->d.asked = !body.n                                        ? ASKED_LIST
		     : memmem(body.p, body.n, "\"ciphertext\"", 12) ? ASKED_REQUEST
								    : ASKED_LOCK;
	r->d.serial = ++h->serial;
	r->d.n = h->stream && r->d.asked == ASKED_REQUEST ? 1 + hostile_dice(&h->dice, OBJECTS) : 1;
	one_in = r->d.asked == ASKED_LOCK ? 8 : 2;
	if (hostile_dice(&h->dice, one_in) == 0)
		do
			r->d.evil = (enum evil)hostile_dice(&h->dice, EVILS);
		while (!possible(h, r));
	if (r->d.asked == ASKED_REQUEST)
		r->d.resent = open_request(h, body);
	if (r->d.resent && hostile_dice(&h->dice, 2)) /* it was answered */
		r->d.evil = EVIL_STATUS;
	if (r->d.evil == EVIL_STATUS)
		refuse(h, r);
	else if (r->d.asked == ASKED_REQUEST)
		put_answer(h, r);
	else if (r->d.asked == ASKED_LOCK)
		put_lock(h, r);
	else
		buf_fmt(&r->body, "{\"list\":%u}", r->d.serial);
	if (r->d.evil == EVIL_EMPTY)
		buf_reset(&r->body);
	if (r->d.evil == EVIL_EMPTY || r->d.evil == EVIL_FLOOD)
		r->d.good = 0;
}
