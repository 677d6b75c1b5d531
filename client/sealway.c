/* SPDX-License-Identifier: Apache-2.0
 *
 * libsealway's calls: lock, seal, send, open, and what is tried again.  Every
 * attempt takes a lock and encrypts anew, because a node answers a sealed
 * request once (PROTOCOL section 4.5); nothing is tried again once the caller
 * has seen an object.
 */
#include "client/sealway.h"

#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/http.h"
#include "client/pins.h"
#include "client/receipt.h"
#include "client/refusal.h"
#include "client/stream.h"
#include "common/b64.h"

#define RETRIES_LOCK 3 /* 423 and 425 */
#define RETRIES_BUSY 2 /* 429 and 503 */
#define WAIT_MAX_S 30  /* longer Retry-After: told, not waited for */
#define SILENCE_S 60   /* four missed keep-alives; a whole answer may take its time */
#define TIMEOUT_S 3600
#define SMALL_BODY_MAX (1u << 20)

struct sealway {
	struct sealway_opts o; /* callbacks and numbers; its strings are not used */
	struct http *http;
	char *pins; /* NULL with node_key */
	uint8_t node_key[KEY_BYTES];
	struct fault f;
	struct sealway_cost cost;
	struct buf receipt;
	uint64_t deadline; /* of the call under way, ms of the monotonic clock */
	bool running, warned;
};

/* One attempt's exchange with a body that is small or an answer stream. */
struct exchange {
	struct sealway *s;
	struct stream *stream; /* NULL: collect */
	bool once;             /* whoever gets the body twice answers it twice */
	struct buf body;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* What is left of the call's time; never 0, which would be no limit. */
static unsigned left_ms(const struct sealway *s)
{
	uint64_t now = now_ms();

	return now < s->deadline ? (unsigned)(s->deadline - now) : 1;
}

static void note(struct sealway *s, const char *text)
{
	if (s->o.on_note)
		s->o.on_note(s->o.arg, text);
}

static void wire(struct sealway *s, enum sealway_wire what, struct slice json)
{
	if (s->o.on_wire)
		s->o.on_wire(s->o.arg, what, (const char *)json.p, json.n);
}

/* False within a callback: the connection and the error belong to the call under way. */
static bool begin(struct sealway *s)
{
	if (s->running)
		return false;
	s->running = true;
	s->f = (struct fault){ 0 };
	s->deadline = now_ms() + (uint64_t)(s->o.timeout_s ? s->o.timeout_s : TIMEOUT_S) * 1000;
	if (http_exposed(s->http) && !s->warned)
		note(s,
		     "http:// to another machine: whoever is on the way can read the token, and pass for the "
		     "gateway that a node's first use trusts; use https://");
	s->warned = true;
	return true;
}

static bool options(struct sealway *s, const struct sealway_opts *o, struct fault *f)
{
	if (o->lock_s > LOCK_SECONDS_MAX)
		return fault(f, SEALWAY_USAGE, "a lock lasts at most %d seconds", LOCK_SECONDS_MAX);
	if (o->timeout_s > 86400)
		return fault(f, SEALWAY_USAGE, "a timeout is at most 86400 seconds");
	if (o->node_key) {
		if (b64_decode_exact(slice_str(o->node_key), s->node_key, KEY_BYTES))
			return fault(f, SEALWAY_USAGE, "the node key is not base64 of 32 bytes");
		return true;
	}
	s->pins = o->known_nodes ? mem_strndup(o->known_nodes, strlen(o->known_nodes)) : pins_default_path();
	if (!s->pins || !*s->pins)
		return fault(f, SEALWAY_USAGE, "there is no place for known nodes: set HOME or name a file");
	return true;
}

struct sealway *sealway_new(const struct sealway_opts *o, char *why, size_t n)
{
	struct sealway *s = mem_new(sizeof(*s));
	struct http_opts h = { .url = o->url, .token = o->token, .ca_file = o->ca_file };
	struct fault f = { 0 };

	if (sodium_init() < 0)
		fault(&f, SEALWAY_LOCAL, "the cryptographic library cannot start");
	s->o = *o;
	s->o.lock_s = o->lock_s ? o->lock_s : LOCK_SECONDS_DEFAULT;
	if (f.status == SEALWAY_OK && options(s, o, &f))
		s->http = http_new(&h, &f);
	snprintf(why, n, "%s", f.text);
	if (f.status == SEALWAY_OK)
		return s;
	sealway_free(s);
	return NULL;
}

void sealway_free(struct sealway *s)
{
	if (!s)
		return;
	http_free(s->http);
	free(s->pins);
	buf_free(&s->receipt);
	free(s);
}

static bool on_data(void *arg, const struct http_head *head, struct slice data)
{
	struct exchange *x = arg;

	if (x->stream && head->status == 200)
		return stream_take(x->stream, head, data);
	if (data.n > SMALL_BODY_MAX - x->body.n)
		return fault(&x->s->f, SEALWAY_REFUSED, "the answer is larger than such an answer may be");
	buf_add(&x->body, data.p, data.n);
	return true;
}

/* True for a whole 200 answer; else refused or s->f say what is wrong. */
static bool exchange(struct exchange *x, const char *path, struct slice body, bool stream,
		     struct refusal *refused)
{
	struct http_call call = { .path = path,
				  .body = body,
				  .once = x->once,
				  .stream = stream,
				  .timeout_ms = left_ms(x->s),
				  .silence_s = x->stream && !stream ? 0 : SILENCE_S,
				  .on_data = on_data,
				  .arg = x };
	struct http_head head;

	if (!http_run(x->s->http, &call, &head, &x->s->f))
		return false;
	if (head.status == 200)
		return true;
	*refused = (struct refusal){ .status = head.status,
				     .retry_after = head.retry_after,
				     .final = x->stream && head.resent };
	memcpy(refused->request_id, head.request_id, sizeof(refused->request_id));
	refusal_read(buf_slice(&x->body), refused);
	return refusal_tell(refused, "the service refused", SEALWAY_REFUSED, &x->s->f);
}

/* The signing key is the one given, or the one pinned; a new one is pinned now. */
static bool trust(struct sealway *s, const struct node_lock *l)
{
	uint8_t known[KEY_BYTES];
	char text[160];

	if (!s->pins && (!l->own || memcmp(l->sign_key, s->node_key, KEY_BYTES)))
		return fault(&s->f, SEALWAY_VERIFY,
			     "the gateway offered another node than the one whose key was given");
	if (!s->pins)
		return true;
	if (!l->own) { /* a known node cannot be passed off as one that signs nothing */
		if (pins_look(s->pins, http_origin(s->http), l->node, known, &s->f) == PINS_SAME)
			return fault(&s->f, SEALWAY_VERIFY,
				     "a node that signed before made no key statement now");
		note(s, "a foreign node: its key is the gateway's word, which could read all with one of its "
			"own");
		return s->f.status == SEALWAY_OK;
	}
	switch (pins_check(s->pins, http_origin(s->http), l->node, l->sign_key, &s->f)) {
	case PINS_ERROR:
		return false;
	case PINS_NEW:
		snprintf(text, sizeof(text),
			 "first use of node %llu: its signing key is now pinned (trusting the operator)",
			 (unsigned long long)l->node);
		note(s, text);
		return true;
	case PINS_SAME:
		return true;
	}
	return false;
}

static bool take_lock(struct sealway *s, const struct sealway_request *r, struct node_lock *l,
		      struct refusal *refused)
{
	struct exchange x = { .s = s };
	struct buf body = { 0 };
	bool ok;

	lock_body(&body, r->model, r->units, s->o.lock_s);
	wire(s, SEALWAY_WIRE_LOCK, buf_slice(&body));
	ok = exchange(&x, "/v1/nodes/lock", buf_slice(&body), false, refused);
	if (ok) {
		wire(s, SEALWAY_WIRE_LOCK_ANSWER, buf_slice(&x.body));
		ok = lock_read(buf_slice(&x.body), s->o.allow_foreign, (uint64_t)time(NULL), l, &s->f) &&
		     trust(s, l);
	}
	buf_free(&body);
	buf_free(&x.body);
	return ok;
}

static void on_sealed_object(void *arg, struct slice json)
{
	wire(arg, SEALWAY_WIRE_ANSWER, json);
}

/* The broker bills no more than was reserved, whatever the node counted. */
static void note_excess(struct sealway *s, uint64_t reserved)
{
	char text[160];

	if (!reserved || s->cost.prompt + s->cost.completion <= reserved)
		return;
	snprintf(text, sizeof(text),
		 "the node counted %llu units, more than the %llu reserved: no more than those are billed",
		 (unsigned long long)(s->cost.prompt + s->cost.completion), (unsigned long long)reserved);
	note(s, text);
}

static void finished(struct sealway *s, const struct opener *o, uint64_t reserved)
{
	const struct receipt *r = &o->proof.decoded;

	s->cost = (struct sealway_cost){ .node = o->lock->node,
					 .stack = o->lock->stack,
					 .objects = o->objects };
	if (!o->lock->own)
		return;
	s->cost.prompt = r->prompt;
	s->cost.completion = r->completion;
	s->cost.receipt = true;
	note_excess(s, reserved);
	receipt_text(o, http_origin(s->http), &s->receipt);
}

static const char *path_of(enum sealway_kind kind)
{
	return endpoint_path((enum endpoint)kind);
}

/* Sends a sealed body and hands its answer over.  *delivered: something reached the caller. */
static bool ask(struct sealway *s, const struct sealway_request *r, struct slice body, struct opener *o,
		bool *delivered, struct refusal *refused)
{
	struct stream_opts so = { .opener = o, .r = r, .on_wire = on_sealed_object, .arg = s, .f = &s->f };
	struct exchange x = { .s = s, .stream = stream_new(&so), .once = !o->lock->own };
	bool ok = exchange(&x, path_of(r->kind), body, r->stream, refused) && stream_end(x.stream);

	*delivered = stream_delivered(x.stream);
	if (ok)
		finished(s, o, r->units);
	stream_free(x.stream);
	buf_free(&x.body);
	return ok;
}

static bool attempt(struct sealway *s, const struct sealway_request *r, bool *delivered,
		    struct refusal *refused)
{
	struct sealed sealed;
	struct node_lock l;
	struct buf body = { 0 };
	struct opener o = { .sealed = &sealed, .lock = &l, .kind = r->kind, .model = r->model };
	bool ok = take_lock(s, r, &l, refused) && seal_request(r, &l, &body, &sealed, &s->f);

	o.now = (uint64_t)time(NULL);
	if (ok) {
		wire(s, SEALWAY_WIRE_REQUEST, buf_slice(&body));
		ok = ask(s, r, buf_slice(&body), &o, delivered, refused);
	}
	open_free(&o);
	sealed_wipe(&sealed);
	buf_free(&body);
	return ok;
}

static bool usable(struct sealway *s, const struct sealway_request *r)
{
	if (r->kind < SEALWAY_COMPLETIONS || r->kind > SEALWAY_IMAGES)
		return fault(&s->f, SEALWAY_USAGE, "unknown kind of request");
	if (!r->model || !*r->model || strlen(r->model) > MODEL_BYTES_MAX)
		return fault(&s->f, SEALWAY_USAGE, "a model's name has 1 to %d bytes", MODEL_BYTES_MAX);
	if (r->stream && !endpoint_streams((enum endpoint)r->kind))
		return fault(&s->f, SEALWAY_USAGE, "embeddings and images cannot be streamed");
	if (r->units > ID_MAX)
		return fault(&s->f, SEALWAY_USAGE, "too many units");
	if (!r->on_object)
		return fault(&s->f, SEALWAY_USAGE, "nobody takes the answer: on_object is NULL");
	return seal_request_check(r, &s->f); /* before a lock is paid for */
}

/* Whether to go again after r; waits where the service asked for it. */
static bool again(struct sealway *s, const struct refusal *r, unsigned *locks, unsigned *busy)
{
	char text[160];

	if (r->final)
		return false;
	if ((r->status == 423 || r->status == 425) && (*locks)++ < RETRIES_LOCK) {
		snprintf(text, sizeof(text), "%d %s: trying again with a new lock and a new encryption",
			 r->status, r->reason[0] ? r->reason : r->code);
		note(s, text);
		return true;
	}
	if ((r->status != 429 && r->status != 503) || !r->retry_after || r->retry_after > WAIT_MAX_S ||
	    (*busy)++ >= RETRIES_BUSY || r->retry_after * 1000 >= left_ms(s))
		return false;
	snprintf(text, sizeof(text), "%d %s: trying again in %u s, as asked", r->status, r->code,
		 r->retry_after);
	note(s, text);
	poll(NULL, 0, (int)r->retry_after * 1000);
	return true;
}

enum sealway_status sealway_run(struct sealway *s, const struct sealway_request *r)
{
	unsigned locks = 0, busy = 0;
	struct refusal refused;
	bool delivered;

	if (!begin(s))
		return SEALWAY_USAGE;
	do {
		s->f = (struct fault){ 0 };
		s->cost = (struct sealway_cost){ 0 };
		buf_reset(&s->receipt);
		refused = (struct refusal){ 0 };
		delivered = false;
		if (usable(s, r) && attempt(s, r, &delivered, &refused))
			break;
	} while (s->f.status == SEALWAY_REFUSED && !delivered && again(s, &refused, &locks, &busy));
	s->running = false;
	return s->f.status;
}

const char *sealway_error(const struct sealway *s)
{
	return s->f.text;
}

int sealway_error_status(const struct sealway *s)
{
	return s->f.http;
}

void sealway_last_cost(const struct sealway *s, struct sealway_cost *out)
{
	*out = s->cost;
}

char *sealway_receipt(const struct sealway *s)
{
	return s->receipt.n ? mem_strndup(s->receipt.p, s->receipt.n) : NULL;
}

int sealway_get(struct sealway *s, const char *path, char **body)
{
	struct exchange x = { .s = s };
	struct http_call call = { .path = path, .silence_s = SILENCE_S, .on_data = on_data, .arg = &x };
	struct http_head head;
	int status = 0;

	if (!begin(s))
		return 0;
	call.timeout_ms = left_ms(s);
	if (http_run(s->http, &call, &head, &s->f)) {
		*body = mem_strndup(x.body.p ? x.body.p : (const uint8_t *)"", x.body.n);
		status = head.status;
	}
	buf_free(&x.body);
	s->running = false;
	return status;
}

bool sealway_fetch(struct sealway *s, const char *path, char **body)
{
	unsigned locks = RETRIES_LOCK, busy = 0; /* there is no lock to take anew */
	struct exchange x = { .s = s };
	struct refusal refused;
	bool ok;

	if (!begin(s))
		return false;
	do {
		s->f = (struct fault){ 0 };
		refused = (struct refusal){ 0 };
		buf_reset(&x.body);
		ok = exchange(&x, path, slice_of(NULL, 0), false, &refused);
	} while (!ok && s->f.status == SEALWAY_REFUSED && again(s, &refused, &locks, &busy));
	if (ok)
		*body = mem_strndup(x.body.p ? x.body.p : (const uint8_t *)"", x.body.n);
	buf_free(&x.body);
	s->running = false;
	return ok;
}

void sealway_text_free(char *text)
{
	if (text)
		mem_wipe(text, strlen(text));
	free(text);
}
