/* SPDX-License-Identifier: Apache-2.0
 *
 * A DEALER to the broker's admin socket.  The socket sends nothing while it is
 * not connected, so a call is offered again every few milliseconds until it is
 * taken or its time is up.
 */
#include "client/cli/admin.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/zsock.h"
#include "proto/admin.h"

#define OFFER_MS 5
#define CALL_MS 5000
#define LONG_MS 3600000 /* the whole ledger is read or written */
#define PING_MS 1000
#define APART_MS 2000 /* over PING_MS, and twice as long well under CALL_MS */

struct admin_link {
	struct zctx *ctx;
	struct zsock *sock;
	uv_loop_t *uv;
	uv_timer_t timer;
	struct buf frame; /* not taken by the socket yet */
	uint8_t rid[RID_BYTES];
	uint64_t deadline;
	uint64_t answer_ms; /* from when the call was taken; 0: what is left */
	uint64_t ping;
	admin_done_fn done; /* NULL: no call under way */
	void *arg;
};

static void finish(struct admin_link *a, enum err e, json_t *body)
{
	admin_done_fn done = a->done;

	if (!done)
		return;
	a->done = NULL;
	buf_reset(&a->frame);
	uv_timer_stop(&a->timer);
	done(a->arg, e, body);
}

static void on_msg(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct admin_link *a = arg;
	struct admin_reply r;
	enum msg_type type;
	json_t *body;

	(void)z;
	if (n == 1 && msg_peek(zmsg_slice(&parts[0]), &type) == ERR_VERSION) {
		finish(a, ERR_VERSION, NULL);
		return;
	}
	if (n != 1 || admin_reply_decode(zmsg_slice(&parts[0]), &r) || !mem_same(r.rid, a->rid, RID_BYTES))
		return; /* a late answer to a call that was given up */
	body = json_loadb((const char *)r.body.p, r.body.n, JSON_REJECT_DUPLICATES, NULL);
	finish(a, r.error == ERR_OK && !json_is_object(body) ? ERR_FORMAT : r.error, body);
	json_decref(body);
}

static void offer(struct admin_link *a)
{
	struct zmsg m;

	if (!a->frame.n)
		return;
	zmsg_copy_init(&m, buf_slice(&a->frame));
	if (zsock_send(a->sock, &m, 1) != ERR_OK) {
		zmsg_close(&m);
		return;
	}
	buf_reset(&a->frame);
	a->ping = uv_now(a->uv) + PING_MS;
	if (a->answer_ms)
		a->deadline = uv_now(a->uv) + a->answer_ms;
}

/* During a long wait: is the broker still there?  What it says to that is not
 * read, as any late answer; a socket without a connection takes nothing.  One whose
 * connection broke is without for long enough to be noticed: a broker that is
 * started again at once has not heard of the call. */
static void ping(struct admin_link *a)
{
	struct admin m = { .verb = SLICE_STR("status"), .args = SLICE_STR("{}") };
	struct buf frame = { 0 };
	struct zmsg part;

	a->ping = uv_now(a->uv) + PING_MS;
	randombytes_buf(m.rid, RID_BYTES);
	admin_encode(&m, &frame);
	zmsg_take_init(&part, &frame);
	if (zsock_send(a->sock, &part, 1) == ERR_OK)
		return;
	zmsg_close(&part);
	finish(a, ERR_CLOSED, NULL);
}

static void on_timer(uv_timer_t *t)
{
	struct admin_link *a = t->data;

	if (uv_now(a->uv) >= a->deadline)
		finish(a, a->frame.n ? ERR_CLOSED : ERR_TIMEOUT, NULL);
	else if (a->frame.n)
		offer(a);
	else if (a->answer_ms && uv_now(a->uv) >= a->ping)
		ping(a);
}

static struct admin_link *open_for(uv_loop_t *uv, const char *endpoint, uint64_t answer_ms)
{
	struct admin_link *a = mem_new(sizeof(*a));
	struct zsock_opts o = {
		.type = ZSOCK_DEALER,
		.reconnect_ms = answer_ms ? APART_MS : 0,
		.on_msg = on_msg,
		.arg = a,
	};

	a->uv = uv;
	a->answer_ms = answer_ms;
	a->frame.secret = true;
	a->ctx = zctx_new();
	a->sock = zsock_open(a->ctx, uv, &o);
	uv_timer_init(uv, &a->timer);
	a->timer.data = a;
	if (zsock_connect(a->sock, endpoint, false) == ERR_OK)
		return a;
	admin_close(a);
	return NULL;
}

struct admin_link *admin_open(uv_loop_t *uv, const char *endpoint)
{
	return open_for(uv, endpoint, 0);
}

void admin_send(struct admin_link *a, const char *verb, json_t *args, unsigned ms, admin_done_fn done,
		void *arg)
{
	char *text = json_dumps(args, JSON_COMPACT);
	struct admin m = { .verb = slice_str(verb), .args = slice_str(text) };

	randombytes_buf(a->rid, RID_BYTES);
	memcpy(m.rid, a->rid, RID_BYTES);
	buf_reset(&a->frame);
	admin_encode(&m, &a->frame);
	a->done = done;
	a->arg = arg;
	uv_update_time(a->uv);
	a->deadline = uv_now(a->uv) + ms;
	offer(a);
	uv_timer_start(&a->timer, on_timer, OFFER_MS, OFFER_MS);
	json_decref(args);
	free(text);
}

static void on_timer_closed(uv_handle_t *h)
{
	struct admin_link *a = h->data;

	zctx_free(a->ctx);
	buf_free(&a->frame);
	free(a);
}

void admin_close(struct admin_link *a)
{
	if (!a)
		return;
	a->done = NULL;
	zsock_close(a->sock);
	uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

void admin_where_init(struct admin_where *w)
{
	const char *dir = getenv("SEALWAY_DIR"), *endpoint = getenv("SEALWAY_ADMIN");

	*w = (struct admin_where){ .dir = dir && *dir ? dir : "sealway-data",
				   .endpoint = endpoint && *endpoint ? endpoint : NULL };
}

struct call {
	uv_loop_t uv;
	enum err e;
	json_t *body;
};

static void on_done(void *arg, enum err e, json_t *body)
{
	struct call *c = arg;

	c->e = e;
	c->body = json_incref(body);
	uv_stop(&c->uv);
}

/* Where a broker was looked for, for people; endpoint as admin_call used it. */
static void say_nobody(const struct admin_where *w, const char *endpoint)
{
	if (w->endpoint)
		fprintf(stderr, "sealway: no broker answers at %s; is it running, and is it yours?\n",
			endpoint);
	else
		fprintf(stderr,
			"sealway: no broker answers at %s in %s; is sealway up running there, and is it "
			"yours?\n",
			endpoint, w->dir);
}

/* What a broker says of a verb that it does not have. */
#define UNKNOWN_VERB "no such command"

static void say_other_version(const char *verb)
{
	fprintf(stderr,
		"sealway: %s: the broker does not know this command as this sealway (%s) says it: the two "
		"are of different\nversions.  Use the sealway command that came with the broker, or "
		"replace the older of the two.\n",
		verb, SEALWAY_VERSION);
}

static json_t *told(struct call *c, const struct admin_where *w, const char *endpoint, const char *verb)
{
	const char *text = json_string_value(json_object_get(c->body, "message"));

	if (c->e == ERR_OK)
		return c->body;
	if (c->e == ERR_CLOSED && !text)
		say_nobody(w, endpoint);
	else if (c->e == ERR_TIMEOUT && !text)
		fprintf(stderr,
			"sealway: %s: a broker took the command, but did not answer in time. What it was to "
			"change "
			"may be changed,\nor be changed later: see `sealway status`, and look before you "
			"repeat it.\n",
			verb);
	else if (c->e == ERR_VERSION || (c->e == ERR_NOT_FOUND && text && !strcmp(text, UNKNOWN_VERB)))
		say_other_version(verb);
	else
		fprintf(stderr, "sealway: %s: %s\n", verb, text ? text : err_text(c->e));
	json_decref(c->body);
	return NULL;
}

static const char *endpoint_of_dir(const struct admin_where *w)
{
	if (w->endpoint)
		return w->endpoint;
	if (!chdir(w->dir)) /* relative, because socket paths are short */
		return "ipc://run/admin";
	fprintf(stderr, "sealway: %s is no data directory of sealway up\n", w->dir);
	return NULL;
}

json_t *admin_call(const struct admin_where *w, const char *verb, json_t *args)
{
	const char *endpoint = endpoint_of_dir(w);
	struct call c = { .e = ERR_CONFIG };
	struct admin_link *a;

	if (!endpoint || sodium_init() < 0 || uv_loop_init(&c.uv)) {
		json_decref(args);
		return NULL;
	}
	a = open_for(&c.uv, endpoint, strncmp(verb, "ledger.", 7) ? 0 : LONG_MS);
	if (a) {
		admin_send(a, verb, args, CALL_MS, on_done, &c);
		uv_run(&c.uv, UV_RUN_DEFAULT);
		admin_close(a);
	} else {
		json_decref(args);
	}
	uv_run(&c.uv, UV_RUN_DEFAULT);
	uv_loop_close(&c.uv);
	return told(&c, w, endpoint, verb);
}
