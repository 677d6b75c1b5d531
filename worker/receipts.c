/* SPDX-License-Identifier: Apache-2.0
 *
 * Checking and fetching receipts (receipts.h, PROTOCOL section 4.8).  A fetch is
 * GET {node}/v1/receipts/{request id}, answered with {"receipt": base64,
 * "receipt_signature": base64}.  It is tried a few times, the whole bounded to
 * about ten seconds: a node that has not noticed yet that its reader is gone
 * answers 503 while the request runs.  404 and 401 are answers, silence is none.
 */
#include "worker/receipts.h"

#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/jscan.h"
#include "common/loop.h"

#define TRIES 4
#define ANSWER_MAX 4096
#define TRY_MS 3000

static const unsigned pace[TRIES] = { 1, 5, 15, 30 };

struct receipts {
	struct receipts_opts o;
	struct receipt_fetch *first;
};

struct receipt_fetch {
	struct receipts *all;
	struct receipt_fetch *next, **link;
	uv_timer_t timer;
	struct upstream_req *up;
	struct buf url, answer;
	struct authz about;
	int status;
	unsigned tries;
	receipt_fn fn;
	void *arg;
};

/* --- checking --- */

static bool same32(const uint8_t *known, const uint8_t *said)
{
	return !known || memcmp(known, said, KEY_BYTES) == 0;
}

static bool fits(const struct receipt_facts *f, const struct receipt *r)
{
	if (!mem_same(f->rid, r->rid, RID_BYTES) || f->stack != r->stack)
		return false;
	if (f->endpoint && f->endpoint != r->endpoint)
		return false;
	if (f->transcript && f->chunks != r->chunks)
		return false;
	return same32(f->node_key, r->node_key) && same32(f->plain_hash, r->plain_hash) &&
	       same32(f->model_hash, r->model_hash) && same32(f->transcript, r->transcript);
}

enum err receipt_check(const struct receipt_facts *f, struct slice raw, struct slice signature,
		       struct receipt *out)
{
	struct receipt r;

	if (receipt_decode(raw, &r) || !fits(f, &r))
		return ERR_NODE;
	if (sign_verify_label(signature, RECEIPT_LABEL, raw, f->sign_key))
		return ERR_NODE;
	*out = r;
	return ERR_OK;
}

/* --- fetching --- */

static void on_closed(uv_handle_t *h)
{
	struct receipt_fetch *f = h->data;

	buf_free(&f->url);
	buf_free(&f->answer);
	mem_wipe(&f->about, sizeof(f->about));
	free(f);
}

void receipts_cancel(struct receipt_fetch *f)
{
	if (f->up)
		upstream_cancel(f->up);
	f->up = NULL;
	*f->link = f->next;
	if (f->next)
		f->next->link = f->link;
	uv_close((uv_handle_t *)&f->timer, on_closed);
}

static void finish(struct receipt_fetch *f, struct slice raw, struct slice signature)
{
	f->fn(f->arg, raw, signature);
	receipts_cancel(f);
}

static void on_head(void *arg, int status, const char *type)
{
	struct receipt_fetch *f = arg;

	(void)type;
	f->status = status;
}

static void on_data(void *arg, struct slice data)
{
	struct receipt_fetch *f = arg;

	buf_add(&f->answer, data.p, data.n); /* at most ANSWER_MAX: max_body */
}

bool receipts_undecided(const struct receipt_fetch *f)
{
	return f->url.n && f->status != 200 && f->status != 404;
}

bool receipts_stranger(const struct receipt_fetch *f)
{
	return f->status == 401;
}

/* The receipt in the answer, decoded; false when it is none. */
static bool read_answer(struct receipt_fetch *f, uint8_t raw[RECEIPT_BYTES], struct slice *signature)
{
	static const char *const names[] = { "receipt", "receipt_signature" };
	struct jval val[2];

	if (f->status != 200 || jscan_object(buf_slice(&f->answer), names, 2, val, NULL))
		return false;
	if (val[0].type != J_STRING || val[1].type != J_STRING || val[1].raw.n != SIGN_B64)
		return false;
	*signature = val[1].raw;
	return b64_decode_exact(val[0].raw, raw, RECEIPT_BYTES) == ERR_OK;
}

static void on_timer(uv_timer_t *t);

static void wait_turn(struct receipt_fetch *f)
{
	uv_timer_start(&f->timer, on_timer, f->all->o.pace_ms * pace[f->tries], 0);
}

static void on_done(void *arg, enum upstream_result result)
{
	struct receipt_fetch *f = arg;
	uint8_t raw[RECEIPT_BYTES];
	struct slice signature;

	f->up = NULL;
	if (result == UPSTREAM_OK && read_answer(f, raw, &signature))
		finish(f, slice_of(raw, sizeof(raw)), signature);
	else if (f->status != 404 && f->status != 401 && ++f->tries < TRIES)
		wait_turn(f);
	else
		finish(f, slice_of(NULL, 0), slice_of(NULL, 0));
}

static void ask(struct receipt_fetch *f)
{
	const struct receipts_opts *o = &f->all->o;
	struct headers head;
	struct upstream_call call = {
		.method = "GET",
		.url = (const char *)f->url.p,
		.headers = head.h,
		.connect_ms = o->connect_ms,
		.first_byte_ms = TRY_MS,
		.gap_ms = TRY_MS,
		.total_ms = TRY_MS,
		.max_body = ANSWER_MAX,
		.on_head = on_head,
		.on_data = on_data,
		.on_done = on_done,
		.arg = f,
	};

	f->status = 0;
	buf_reset(&f->answer);
	f->about.not_after = loop_unix() + AUTH_SECONDS;
	headers_about(&head, o->keys, &f->about);
	call.n_headers = head.n;
	f->up = upstream_start(o->upstream, &call);
	headers_wipe(&head);
}

static void on_timer(uv_timer_t *t)
{
	struct receipt_fetch *f = t->data;

	if (f->url.n)
		ask(f);
	else
		finish(f, slice_of(NULL, 0), slice_of(NULL, 0)); /* an address that is no URL */
}

struct receipt_fetch *receipts_get(struct receipts *r, struct slice address, const struct authz *a,
				   receipt_fn fn, void *arg)
{
	struct receipt_fetch *f = mem_new(sizeof(*f));
	char path[sizeof("/v1/receipts/") + 2 * RID_BYTES] = "/v1/receipts/";

	f->all = r;
	f->about = *a;
	f->fn = fn;
	f->arg = arg;
	f->url.secret = f->answer.secret = true;
	hex_put(path + strlen(path), a->rid, RID_BYTES);
	if (headers_url(address, path, &f->url))
		buf_reset(&f->url);
	mem_wipe(path, sizeof(path));
	f->next = r->first;
	if (f->next)
		f->next->link = &f->next;
	f->link = &r->first;
	r->first = f;
	uv_timer_init(r->o.uv, &f->timer);
	f->timer.data = f;
	wait_turn(f);
	return f;
}

struct receipts *receipts_new(const struct receipts_opts *o)
{
	struct receipts *r = mem_new(sizeof(*r));

	r->o = *o;
	return r;
}

void receipts_free(struct receipts *r)
{
	if (!r)
		return;
	while (r->first)
		receipts_cancel(r->first);
	free(r);
}
