/* SPDX-License-Identifier: Apache-2.0
 *
 * All bodies and their HTTP heads, made before the clock starts, so that neither
 * sealing nor formatting limits what the generator can send.  Sealed ones are the
 * client library's own: one lock, then one key pair per body.
 */
#include <string.h>
#include <time.h>

#include "client/http.h"
#include "tests/bench/load/load.h"

#define LOCK_S 1
#define UNITS 1000 /* that each sealed request reserves */

static void put_json(const struct opts *o, unsigned phase, struct buf *out)
{
	static const char filler[] = "the quick brown fox jumps over the lazy dog ";
	size_t from;

	buf_fmt(out,
		"{\"model\":\"%s\",\"stream\":%s,\"user\":\"bench:[%u,%u,%u,%u]\",\"messages\":[{\"role\":"
		"\"user\","
		"\"content\":\"",
		o->model, o->chunks ? "true" : "false", o->chunks, o->singly ? GAP_NONE : o->gap_us, phase,
		o->answer);
	from = out->n;
	while (out->n - from < o->size)
		buf_add(out, filler, o->size - (out->n - from) < 44 ? o->size - (out->n - from) : 44);
	buf_str(out, "\"}]}");
}

static void put_wire(const struct opts *o, const char *path, struct slice json, struct buf *out)
{
	buf_fmt(out, "POST %s HTTP/1.1\r\nHost: %s:%u\r\nContent-Type: application/json\r\n", path, o->host,
		o->port);
	if (o->token)
		buf_fmt(out, "Authorization: Bearer %s\r\n", o->token);
	buf_fmt(out, "%sContent-Length: %zu\r\n\r\n", o->headers, json.n);
	buf_add(out, json.p, json.n);
}

static void put_lock_wire(const struct opts *o, struct bodies *out)
{
	struct buf ask = { 0 };

	lock_body(&ask, o->model, UNITS, LOCK_S);
	put_wire(o, "/v1/nodes/lock", buf_slice(&ask), &out->lock_wire);
	buf_free(&ask);
}

static bool on_lock(void *arg, const struct http_head *head, struct slice data)
{
	(void)head;
	buf_add(arg, data.p, data.n);
	return true;
}

static bool take_lock(const struct opts *o, struct node_lock *l, struct fault *f)
{
	struct buf url = { 0 }, ask = { 0 }, got = { 0 };
	struct http_opts h = { .token = o->token, .ca_file = o->ca };
	struct http_head head = { 0 };
	struct http_call c = {
		.path = "/v1/nodes/lock", .timeout_ms = 10000, .on_data = on_lock, .arg = &got
	};
	struct http *http;
	bool ok;

	buf_fmt(&url, "%s://%s:%u", o->tls ? "https" : "http", o->host, o->port);
	buf_add(&url, "", 1);
	h.url = (char *)url.p;
	lock_body(&ask, o->model, UNITS, LOCK_S);
	c.body = buf_slice(&ask);
	http = http_new(&h, f);
	ok = http && http_run(http, &c, &head, f);
	if (ok && head.status != 200)
		ok = fault(f, SEALWAY_REFUSED, "the lock was refused: %d %.*s", head.status, (int)got.n,
			   got.p);
	ok = ok && lock_read(buf_slice(&got), false, (uint64_t)time(NULL), l, f);
	http_free(http);
	buf_free(&url);
	buf_free(&ask);
	buf_free(&got);
	return ok;
}

static bool seal(const struct opts *o, const struct node_lock *l, struct body *b, struct fault *f)
{
	struct buf plain = { 0 };
	struct sealway_request r = {
		.kind = SEALWAY_CHAT, .model = o->model, .stream = o->chunks > 0, .units = UNITS
	};
	bool ok;

	put_json(o, b->phase, &plain);
	r.json = (char *)plain.p;
	r.json_n = plain.n;
	ok = seal_request(&r, l, &b->json, &b->sealed, f);
	buf_free(&plain);
	return ok;
}

bool bodies_make(const struct opts *o, struct bodies *out, struct fault *f)
{
	out->n = o->bodies;
	out->of = mem_new(out->n * sizeof(*out->of));
	if (o->sealed && !take_lock(o, &out->lock, f))
		return false;
	for (unsigned i = 0; i < out->n; i++) {
		struct body *b = &out->of[i];

		b->phase = i % PHASES;
		if (o->locks)
			lock_body(&b->json, o->model, UNITS, LOCK_S);
		else if (!o->sealed)
			put_json(o, b->phase, &b->json);
		else if (!seal(o, &out->lock, b, f))
			return false;
		put_wire(o, o->path, buf_slice(&b->json), &b->wire);
	}
	put_lock_wire(o, out);
	return true;
}
