/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes that do anything (model_node.h).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "tests/unit/model/chance.h"
#include "tests/unit/worker/model_node.h"

#define PIECE_MAX 30000
#define PLAIN_PIECE "{\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%u\"}}]}"
#define PLAIN_LAST "{\"id\":\"x\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":16}}"

enum kind { KIND_ANSWER, KIND_STOP, KIND_RECEIPT, KIND_HEALTH };

struct upstream_req {
	struct upstream_call c;
	enum kind kind;
	struct node_job *job;
	bool paused, head, lent, dead;
	uint64_t began, heard; /* ms */
	struct upstream_req *next;
};

struct upstream {
	uv_loop_t *uv;
	struct upstream_req *first;
};

static struct upstream *net; /* there is one at a time */
struct node_job *(*node_find)(unsigned number);

/* --- what a node says --- */

void node_job_init(struct node_job *j, unsigned number, const struct work *w)
{
	uint8_t h[HASH_BYTES] = { 1 };

	memset(j, 0, sizeof(*j));
	j->number = number;
	j->w = *w;
	j->plan = once_in(2) ? PLAN_WELL : (enum plan)dice(PLANS);
	j->fetch = once_in(2) ? FETCH_TRUE : (enum fetch_plan)dice(FETCH_PLANS);
	j->busy = 1 + dice(3);
	j->total = w->stream ? 1 + dice(once_in(4) ? 40 : 6) : 1;
	j->at = dice(j->total);
	node_side_init(&j->side, 1);
	sign_hash(j->side.key, h, j->signature);
	memcpy(j->w.sign_key, sign_key_public(j->side.key), KEY_BYTES);
	for (unsigned n = 1 + dice(300); n > 0; n--)
		buf_add(&j->body, (const uint8_t[]){ (uint8_t)dice(256) }, 1);
}

void node_job_fini(struct node_job *j)
{
	node_side_fini(&j->side);
	buf_free(&j->body);
	buf_free(&j->wire);
	buf_free(&j->want);
}

static bool is_plain(const struct node_job *j)
{
	return !endpoint_confidential(j->w.endpoint);
}

/* The outcome of the answer so far is signed, once. */
static void sign_off(struct node_job *j, uint8_t outcome)
{
	if (j->signed_for)
		return;
	node_side_receipt(&j->side, &j->w, outcome);
	receipt_encode(&j->side.receipt, j->receipt);
	j->signed_for = true;
}

static void put_receipt(struct node_job *j, struct buf *out)
{
	size_t at = out->n;

	node_side_receipt_json(&j->side, out);
	if (j->plan == PLAN_BAD_SIGN)
		out->p[out->n - 20] ^= 1; /* inside the signature's text: the key in it, most likely */
	memmove(out->p + at, out->p + at + 1, out->n - at - 1); /* the members alone */
	out->n -= 2;
}

static void sealed_object(struct node_job *j, bool last, struct buf *out)
{
	static const char usage[] =
		",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":16,\"total_tokens\":23,"
		"\"completion_tokens_details\":{\"accepted_prediction_tokens\":0,\"audio_tokens\":0,"
		"\"reasoning_tokens\":0,\"rejected_prediction_tokens\":0},"
		"\"prompt_tokens_details\":{\"audio_tokens\":0,\"cached_tokens\":0}}";
	uint8_t number[4], h[HASH_BYTES], nonce[12] = { 1, 2, 3 };
	size_t n = 16 + dice(j->w.stream ? once_in(5) ? 20000 : 200 : once_in(2) ? 100 : 160000);
	uint8_t *text = mem_new(n);

	for (size_t i = 0; i < n; i++)
		text[i] = (uint8_t)(j->number * 7 + j->side.objects * 31 + i);
	put_be32(number, j->side.objects);
	hash(h, slice_of(number, sizeof(number)));
	node_side_count(&j->side);
	buf_str(out, "{\"ciphertext\":\"");
	b64_encode(out, slice_of(text, n));
	buf_str(out, "\",\"nonce\":\"");
	b64_encode(out, slice_of(nonce, sizeof(nonce)));
	buf_str(out, "\",\"response_hash\":\"");
	b64_encode(out, slice_of(h, sizeof(h)));
	buf_str(out, "\",\"signature\":\"");
	buf_add(out, j->signature, SIGN_B64);
	buf_str(out, "\"");
	if (last) {
		sign_off(j, j->stopped || j->plan == PLAN_EARLY);
		buf_str(out, usage);
		buf_str(out, ",");
		put_receipt(j, out);
	}
	buf_str(out, "}");
	free(text);
}

/* shown: without the receipt. */
static void plain_object(struct node_job *j, bool last, struct buf *out, struct buf *shown)
{
	struct buf bare = { 0 };
	uint8_t h[HASH_BYTES];
	char signature[SIGN_B64];
	size_t at = out->n;

	if (last || !j->w.stream)
		buf_str(&bare, PLAIN_LAST);
	else
		buf_fmt(&bare, PLAIN_PIECE, j->side.objects);
	hash(h, buf_slice(&bare));
	hash_add(j->side.transcript, slice_of(h, sizeof(h)));
	j->side.objects++;
	sign_hash(j->side.key, h, signature);
	buf_add(out, bare.p, bare.n - 1);
	buf_str(out, ",\"response_hash\":\"");
	b64_encode(out, slice_of(h, sizeof(h)));
	buf_str(out, "\",\"signature\":\"");
	buf_add(out, signature, sizeof(signature));
	buf_str(out, "\"");
	buf_add(shown, out->p + at, out->n - at);
	buf_str(shown, "}");
	if (last) {
		sign_off(j, j->stopped || j->plan == PLAN_EARLY);
		buf_str(out, ",");
		put_receipt(j, out);
	}
	buf_str(out, "}");
	buf_free(&bare);
}

/* The next object, behind what was said already. */
static void say_object(struct node_job *j, bool last)
{
	struct buf text = { 0 }, shown = { 0 };
	bool hidden = is_plain(j) && j->w.stream && last && !j->w.show_usage;

	if (is_plain(j))
		plain_object(j, last, &text, &shown);
	else
		sealed_object(j, last, &text);
	if (!is_plain(j))
		buf_add(&shown, text.p, text.n);
	if (j->w.stream) {
		buf_str(&j->wire, "data: ");
		buf_add(&j->wire, text.p, text.n);
		buf_str(&j->wire, "\n\n");
		if (!hidden && !j->cut) {
			buf_str(&j->want, "data: ");
			buf_add(&j->want, shown.p, shown.n);
			buf_str(&j->want, "\n\n");
		}
	} else {
		buf_add(&j->wire, text.p, text.n);
		buf_add(&j->want, shown.p, shown.n);
	}
	j->said++;
	buf_free(&text);
	buf_free(&shown);
}

static void say_done_line(struct node_job *j)
{
	if (!is_plain(j) || !j->w.stream)
		return;
	buf_str(&j->wire, "data: [DONE]\n\n");
	buf_str(&j->want, "data: [DONE]\n\n");
}

/* One more step of the answer, if there is one. */
static void speak(struct node_job *j)
{
	bool last = j->said + 1 >= j->total || j->stopped;

	if (j->complete)
		return;
	if (j->plan == PLAN_BAD_EVENT && j->said == j->at) {
		j->bad = j->cut = true;
		buf_str(&j->wire, j->w.stream ? "data: {\"ciphertext\":3}\n\n" : "{\"nonce\":");
	}
	if (last && (j->plan == PLAN_BAD_SIGN || j->plan == PLAN_NO_RECEIPT ||
		     (is_plain(j) && (j->plan == PLAN_EARLY || j->stopped))))
		j->bad = true;
	j->cut |= last && j->plan == PLAN_BAD_SIGN;
	say_object(j, last && j->plan != PLAN_NO_RECEIPT);
	if (!last)
		return;
	if (j->plan == PLAN_MORE) {
		j->bad = true;
		buf_str(&j->wire, "data: {\"ciphertext\":\"\"}\n\n");
	}
	say_done_line(j);
	j->complete = true;
}

/* The reader is gone: an engine that runs is stopped, and what it did is signed. */
static void reader_gone(struct node_job *j)
{
	j->over = true;
	if (j->posts && j->plan != PLAN_REFUSE && j->plan != PLAN_CONNECT && j->plan != PLAN_FORBIDDEN)
		sign_off(j, 1);
}

bool node_gives_receipt(const struct node_job *j)
{
	return j->signed_for && (j->fetch == FETCH_TRUE || j->fetch == FETCH_BUSY);
}

/* --- exchanges --- */

static void done(struct upstream_req *r, enum upstream_result result)
{
	r->dead = true;
	if (r->kind == KIND_RECEIPT && result == UPSTREAM_TIMEOUT)
		r->job->fetch_late = true;
	if (r->kind == KIND_ANSWER) {
		r->job->result = result;
		r->job->told = true;
		r->job->whole =
			result == UPSTREAM_OK && r->job->complete && !r->job->bad && r->job->status == 200;
		reader_gone(r->job);
	}
	r->c.on_done(r->c.arg, result);
}

static void head(struct upstream_req *r, int status, const char *type, uint64_t now)
{
	r->head = true;
	r->heard = now;
	if (r->kind == KIND_ANSWER)
		r->job->status = status;
	if (r->c.on_head)
		r->c.on_head(r->c.arg, status, type);
}

static void data(struct upstream_req *r, struct slice s, uint64_t now)
{
	uint8_t *copy = mem_new(s.n + 1); /* it is borrowed for the call only */

	r->heard = now;
	memcpy(copy, s.p, s.n);
	if (r->c.on_data)
		r->c.on_data(r->c.arg, slice_of(copy, s.n));
	free(copy);
}

static bool ends_here(const struct node_job *j)
{
	return j->said >= j->at && j->given + 1 >= j->wire.n;
}

static void refuse(struct upstream_req *r, uint64_t now)
{
	static const int statuses[] = { 400, 401, 404, 423, 425, 429, 500, 502, 503, 301 };
	static const char *const texts[] = { "", "{\"error\":{\"reason\":\"key_rotated\"}}",
					     "{\"error\":{\"reason\":\"already_answered\"}}",
					     "{\"error\":{\"reason\":\"key_unknown\"}}",
					     "nothing that we know" };
	const char *text = texts[dice(5)];

	head(r, statuses[dice(10)], "application/json", now);
	if (!r->dead && *text)
		data(r, slice_str(text), now);
	if (!r->dead)
		done(r, once_in(8) ? UPSTREAM_CUT : UPSTREAM_OK);
}

static void begin_answer(struct upstream_req *r, uint64_t now)
{
	struct node_job *j = r->job;

	switch (j->plan) {
	case PLAN_CONNECT:
		done(r, UPSTREAM_CONNECT);
		break;
	case PLAN_FORBIDDEN:
		done(r, UPSTREAM_REFUSED);
		break;
	case PLAN_SILENT:
		break;
	case PLAN_REFUSE:
		refuse(r, now);
		break;
	case PLAN_TYPE:
		head(r, 200, "text/html", now);
		break;
	case PLAN_CUT:
		if (j->at == 0 && once_in(2)) {
			done(r, UPSTREAM_CUT);
			break;
		}
		/* fall through */
	default:
		head(r, 200, j->w.stream ? "text/event-stream" : "application/json", now);
	}
}

static void go_on(struct upstream_req *r, uint64_t now)
{
	struct node_job *j = r->job;
	size_t n;

	if (j->plan == PLAN_CUT && ends_here(j)) {
		done(r, UPSTREAM_CUT);
		return;
	}
	if (j->plan == PLAN_INVALID && ends_here(j)) {
		done(r, UPSTREAM_INVALID);
		return;
	}
	if (j->plan == PLAN_STALL && ends_here(j))
		return;
	if (!j->complete && (j->given == j->wire.n || once_in(2)))
		speak(j);
	n = j->wire.n - j->given;
	if (n == 0) {
		done(r, UPSTREAM_OK);
		return;
	}
	n = once_in(3) ? n : 1 + dice((unsigned)n);
	n = n < PIECE_MAX ? n : PIECE_MAX;
	j->given += n;
	data(r, slice_of(j->wire.p + j->given - n, n), now);
}

static void step_answer(struct upstream_req *r, uint64_t now)
{
	if (!r->head)
		begin_answer(r, now);
	else if (!r->paused)
		go_on(r, now);
}

static void step_stop(struct upstream_req *r, uint64_t now)
{
	if (once_in(8)) {
		done(r, UPSTREAM_CONNECT);
		return;
	}
	if (!r->job->complete)
		r->job->stopped = true;
	head(r, 200, "application/json", now);
	if (!r->dead)
		done(r, UPSTREAM_OK);
}

static void step_receipt(struct upstream_req *r, uint64_t now)
{
	struct node_job *j = r->job;
	struct buf json = { 0 };
	int status = j->signed_for ? 200 : j->posts && !j->over ? 503 : 404;

	if (j->fetch == FETCH_DEAD) {
		done(r, once_in(2) ? UPSTREAM_CONNECT : UPSTREAM_CUT);
		return;
	}
	if (j->fetch == FETCH_STRANGER)
		status = 401;
	if (j->fetch == FETCH_BUSY && j->busy > 0) {
		j->busy--;
		status = 503;
	}
	head(r, status, "application/json", now);
	if (status == 200 && !r->dead) {
		node_side_receipt_json(&j->side, &json);
		if (j->fetch == FETCH_LIE)
			json.p[dice((unsigned)json.n)] ^= 1;
		data(r, buf_slice(&json), now);
		buf_free(&json);
	}
	if (!r->dead)
		done(r, UPSTREAM_OK);
}

static void step(struct upstream_req *r, uint64_t now)
{
	if (r->kind == KIND_ANSWER) {
		step_answer(r, now);
	} else if (r->kind == KIND_STOP) {
		step_stop(r, now);
	} else if (r->kind == KIND_RECEIPT) {
		step_receipt(r, now);
	} else if (once_in(3)) {
		done(r, UPSTREAM_CONNECT);
	} else {
		head(r, once_in(3) ? 503 : 200, "text/plain", now);
		done(r, UPSTREAM_OK);
	}
}

static bool is_late(const struct upstream_req *r, uint64_t now)
{
	const struct upstream_call *c = &r->c;

	if (c->total_ms && now - r->began >= c->total_ms)
		return true;
	if (!r->head)
		return c->first_byte_ms && now - r->began >= c->first_byte_ms;
	return c->gap_ms && !r->paused && now - r->heard >= c->gap_ms;
}

/* The body stays the worker's promise until it has been told that it may go. */
static void check_lent(struct upstream_req *r)
{
	if (r->kind == KIND_ANSWER && r->lent)
		assert_true(slice_eq(r->c.body, buf_slice(&r->job->body)));
}

static void sweep(void)
{
	struct upstream_req **link = &net->first, *r;

	while ((r = *link)) {
		if (!r->dead) {
			link = &r->next;
			continue;
		}
		*link = r->next;
		free(r);
	}
}

void node_turn(uint64_t now, unsigned slow)
{
	for (struct upstream_req *r = net->first; r; r = r->next) {
		if (r->dead)
			continue;
		check_lent(r);
		if (is_late(r, now))
			done(r, UPSTREAM_TIMEOUT);
		else if (once_in(slow))
			step(r, now);
	}
	sweep();
}

unsigned node_running(void)
{
	unsigned n = 0;

	for (struct upstream_req *r = net->first; r; r = r->next)
		n += !r->dead;
	return n;
}

bool node_is_read(const struct node_job *j)
{
	for (struct upstream_req *r = net->first; r; r = r->next)
		if (!r->dead && r->kind == KIND_ANSWER && r->job == j)
			return !r->paused;
	return false;
}

/* --- common/net/upstream.h --- */

struct upstream *upstream_new(uv_loop_t *uv, const struct upstream_opts *o)
{
	(void)o;
	net = mem_new(sizeof(*net));
	net->uv = uv;
	return net;
}

void upstream_free(struct upstream *u)
{
	for (struct upstream_req *r = u->first; r; r = r->next)
		r->dead = true;
	sweep();
	free(u);
	net = NULL;
}

bool upstream_url(const char *url)
{
	return strncmp(url, "http://", 7) == 0;
}

const char *upstream_result_name(enum upstream_result r)
{
	return r == UPSTREAM_OK ? "ok" : "not ok";
}

static void check_rid(const struct upstream_call *c, const struct node_job *j)
{
	char hex[2 * RID_BYTES + 1];

	hex_put(hex, j->w.rid, RID_BYTES);
	for (size_t i = 0; i < c->n_headers; i++)
		if (strcmp(c->headers[i].name, "X-Request-Id") == 0)
			assert_true(slice_eq(c->headers[i].value, slice_of(hex, sizeof(hex) - 1)));
}

static void take_url(struct upstream_req *r, const char *url)
{
	unsigned port = 0;
	char path[100] = "";

	assert_int_equal(sscanf(url, "http://node:%u%99s", &port, path), 2);
	r->job = node_find(port - JOB_PORT);
	if (strcmp(path, "/health") == 0)
		r->kind = KIND_HEALTH;
	else if (strcmp(path, "/v1/stop-streamer") == 0)
		r->kind = KIND_STOP;
	else if (strncmp(path, "/v1/receipts/", 13) == 0)
		r->kind = KIND_RECEIPT;
	else
		assert_string_equal(path, endpoint_path(r->job->w.endpoint));
}

struct upstream_req *upstream_start(struct upstream *u, const struct upstream_call *c)
{
	struct upstream_req *r = mem_new(sizeof(*r));

	r->c = *c;
	take_url(r, c->url);
	if (r->job)
		check_rid(c, r->job);
	r->began = r->heard = uv_now(u->uv);
	if (r->kind == KIND_ANSWER) {
		r->lent = true;
		r->job->posts++;
		assert_int_equal(r->job->posts, 1); /* never asked for it twice */
		assert_true(r->job->may_post);
	}
	for (const struct upstream_req *o = u->first; o && r->kind == KIND_RECEIPT; o = o->next)
		assert_true(o->dead || o->kind != KIND_RECEIPT || o->job != r->job); /* one at a time */
	if (r->kind == KIND_STOP)
		assert_int_equal(r->job->stop_calls++, 0);
	r->c.headers = NULL; /* they were copied */
	r->c.url = NULL;
	r->next = u->first;
	u->first = r;
	return r;
}

void upstream_pause(struct upstream_req *r)
{
	assert_false(r->dead);
	r->paused = true;
}

void upstream_resume(struct upstream_req *r)
{
	assert_false(r->dead);
	if (r->paused)
		r->heard = uv_now(net->uv);
	r->paused = false;
}

void upstream_cancel(struct upstream_req *r)
{
	assert_false(r->dead);
	check_lent(r);
	r->dead = true;
	if (r->kind == KIND_ANSWER)
		reader_gone(r->job);
}

bool upstream_sent(const struct upstream_req *r)
{
	assert_true(r->head);
	((struct upstream_req *)r)->lent = false;
	return true;
}
