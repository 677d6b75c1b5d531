/* SPDX-License-Identifier: Apache-2.0
 *
 * What is checked of every answer: status 200; of a stream each event's place in
 * it (the counter in a sealed object's nonce, the member "i" of a raw one) and
 * their number; of a sealed answer that it ends with the object that has the
 * receipt.  A sample is kept whole and verified by the client library after the
 * run.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/stream.h"
#include "common/b64.h"
#include "tests/bench/load/load.h"

static bool measured(const struct run *r, uint64_t t)
{
	return t >= r->from && t < r->to;
}

static void wrong(struct xfer *x, const char *what)
{
	if (!x->wrong)
		x->wrong = what;
}

void xfer_head(struct run *r, struct xfer *x, int status)
{
	(void)r;
	if (status != 200)
		wrong(x, status == 503 ? "status 503" : status == 429 ? "status 429" : "status not 200");
}

static const char nonce_name[] = "\"nonce\":\"", number_name[] = "\"i\":";

static bool is_at(struct slice e, size_t at, const char *name, size_t n)
{
	return at <= e.n && n <= e.n - at && memcmp(e.p + at, name, n) == 0;
}

/* A sealed event's nonce: mostly where it was in the event before.  A search through every ciphertext would
 * cost the generator more than all of a raw event does. */
static struct slice find_nonce(struct xfer *x, struct slice e)
{
	size_t name = sizeof(nonce_name) - 1, from;
	const uint8_t *p;

	if (!is_at(e, x->nonce_at, nonce_name, name)) {
		p = memmem(e.p, e.n, nonce_name, name);
		if (!p)
			return (struct slice){ 0 };
		x->nonce_at = (size_t)(p - e.p);
	}
	from = x->nonce_at + name;
	return slice_of(e.p + from, e.n - from < B64_LEN(SEAL_NONCE) ? e.n - from : B64_LEN(SEAL_NONCE));
}

/* The event's number in its answer, or UINT32_MAX. */
static uint32_t place(const struct run *r, struct xfer *x, struct slice e)
{
	uint8_t raw[SEAL_NONCE];
	const uint8_t *p;

	if (r->o.sealed)
		return b64_decode_exact(find_nonce(x, e), raw, sizeof(raw)) == ERR_OK ? get_be32(raw + 7)
										      : UINT32_MAX;
	p = memmem(e.p, e.n, number_name, sizeof(number_name) - 1);
	return p ? (uint32_t)strtoul((const char *)p + sizeof(number_name) - 1, NULL, 10) : UINT32_MAX;
}

static void on_event(struct run *r, struct xfer *x, struct slice e)
{
	uint64_t now = now_ns();

	if (e.n && e.p[0] == ':')
		return;
	if (e.n < 6 || memcmp(e.p, "data: ", 6) != 0) {
		wrong(x, "an error event");
		return;
	}
	if (e.n == 12 && memcmp(e.p, "data: [DONE]", 12) == 0) {
		x->done_mark = true;
		return;
	}
	if (x->events >= r->o.chunks || place(r, x, e) != x->events)
		wrong(x, "an event out of order");
	else if (x->arrivals)
		x->arrivals[x->events] = now;
	x->events++;
	r->all_events++;
	if (measured(r, now)) {
		r->events++;
		if (x->last)
			hist_add(&r->gap, now - x->last);
	}
	x->last = now;
}

/* Takes all whole events; gives the bytes used. */
static size_t split(struct run *r, struct xfer *x, const uint8_t *p, size_t n)
{
	size_t from = 0, at = 0;
	const uint8_t *nl;

	while (at + 1 < n && (nl = memchr(p + at, '\n', n - at - 1))) {
		at = (size_t)(nl - p) + 1;
		if (p[at] != '\n')
			continue;
		on_event(r, x, slice_of(p + from, at - 1 - from));
		from = ++at;
	}
	return from;
}

void xfer_bytes(struct run *r, struct xfer *x, const uint8_t *p, size_t n)
{
	size_t used;

	if (!x->first)
		x->first = now_ns();
	x->got += n;
	if (measured(r, x->first))
		r->bytes += n;
	if (x->locking)
		return;
	if (x->sample)
		buf_add(x->sample, p, n);
	if (!r->o.chunks || x->wrong)
		return;
	if (!x->part.n) {
		used = split(r, x, p, n);
		buf_add(&x->part, p + used, n - used);
	} else {
		buf_add(&x->part, p, n);
		buf_consume(&x->part, split(r, x, x->part.p, x->part.n));
	}
	if (!x->part.n)
		buf_free(&x->part); /* thousands of open streams hold nothing */
}

struct answer_sink {
	unsigned objects;
	bool last;
};

static bool on_object(void *arg, const char *json, size_t n, bool last)
{
	struct answer_sink *s = arg;

	(void)json;
	(void)n;
	s->objects++;
	s->last = last;
	return true;
}

static bool verify(struct run *r, const struct sample *s, struct fault *f)
{
	struct answer_sink sink = { 0 };
	struct sealway_request q = { .kind = SEALWAY_CHAT,
				     .model = r->o.model,
				     .stream = r->o.chunks > 0,
				     .on_object = on_object,
				     .arg = &sink };
	struct opener o = { .sealed = &s->body->sealed,
			    .lock = &r->bodies.lock,
			    .kind = q.kind,
			    .model = q.model,
			    .now = r->from / 1000000000u };
	struct stream_opts so = { .opener = &o, .r = &q, .f = f };
	struct http_head head = { .status = 200 };
	struct stream *st;
	bool ok;

	strcpy(head.type, q.stream ? "text/event-stream" : "application/json");
	o.now = (uint64_t)time(NULL) - (uint64_t)((now_ns() - r->start) / 1000000000u) - 1;
	st = stream_new(&so);
	ok = stream_take(st, &head, buf_slice(&s->answer)) && stream_end(st);
	stream_free(st);
	open_free(&o);
	return ok && sink.last && sink.objects == (q.stream ? r->o.chunks : 1);
}

void samples_verify(struct run *r)
{
	for (unsigned i = 0; i < r->n_samples; i++) {
		struct sample *s = &r->samples[i];
		struct fault f = { 0 };

		if (!s->answer.n)
			continue; /* its request failed, and was counted */
		if (verify(r, s, &f)) {
			r->verified++;
		} else {
			fprintf(stderr, "bench-load: a sample does not verify: %s\n", f.text);
			run_wrong(r, "a sample does not verify");
		}
	}
}
