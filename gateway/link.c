/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker line.  State: down (HELLO, soon again and again; the next endpoint
 * after three intervals) or up (PING each interval).  Three silent intervals, a
 * lost connection, or a WELCOME or PONG of another broker instance end "up".
 * A PONG that is missing, or says that we are not known, makes us say HELLO,
 * too: the broker may have been restarted.  While down nothing but HELLO is
 * sent, so that no request waits in a queue for a broker that may come back
 * with another view of the world.
 */
#include "gateway/link.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/no_answer.h"
#include "gateway/metrics.h"
#include "proto/hello.h"

_Static_assert(ZSOCK_ENDPOINT_MAX >= ENDPOINT_BYTES_MAX,
	       "an endpoint that a message may carry can be connected to");

#define WINDOW_ASK 8 /* a PING goes out early when this part of the window is unconfirmed */
#define HELLO_MS 100 /* between HELLOs while down, when that is shorter than the interval */

struct link {
	struct link_opts o;
	char *brokers, *name;
	const char *next; /* endpoint to connect to after this one, inside brokers */
	char current[ZSOCK_ENDPOINT_MAX + 1];
	uv_loop_t *uv;
	struct zctx *zctx;
	struct zsock *z;
	uv_timer_t tick;
	bool up, draining;
	bool foreign;           /* the broker answered in messages that are not ours */
	unsigned theirs;        /* their version */
	uint64_t member;        /* ours at the broker */
	uint64_t epoch, broker; /* of the last WELCOME */
	uint64_t interval_ms;
	uint64_t heard;  /* loop time of the broker's last message, or of connecting */
	uint64_t order;  /* messages sent */
	uint64_t marked; /* order when the PING went out whose PONG is awaited */
	bool awaiting;
	uint64_t asked;     /* loop time of that PING */
	uint64_t confirmed; /* the broker has read everything up to this one */
	uint64_t sent_bytes, marked_bytes, confirmed_bytes; /* of bodies, as order, marked and confirmed */
};

bool link_up(const struct link *l)
{
	return l->up;
}

uint64_t link_order(const struct link *l)
{
	return l->order;
}

static enum err send_now(struct link *l, struct buf *head, const struct slice *body)
{
	struct zmsg parts[2];
	size_t n = body ? 2 : 1;
	enum err e;

	zmsg_take_init(&parts[0], head);
	if (body)
		zmsg_copy_init(&parts[1], *body);
	e = zsock_send(l->z, parts, n);
	if (e != ERR_OK)
		for (size_t i = 0; i < n; i++)
			zmsg_close(&parts[i]);
	return e;
}

static void say_hello(struct link *l)
{
	struct hello m = {
		.role = ROLE_GATEWAY,
		.instance = l->o.topic,
		.name = slice_str(l->name),
		.version = SLICE_STR(SEALWAY_VERSION),
	};
	struct buf b = { .p = NULL };

	hello_encode(&m, &b);
	if (send_now(l, &b, NULL) != ERR_OK)
		log_debug("link.not_connected");
}

/* False when there is no connection any more. */
static bool say_ping(struct link *l)
{
	struct ping m = {
		.instance = l->o.topic,
		.epoch = l->epoch,
		.load = l->o.load(l->o.arg),
		.draining = l->draining,
	};
	struct buf b = { .p = NULL };

	ping_encode(&m, &b);
	if (send_now(l, &b, NULL) != ERR_OK)
		return false;
	if (l->awaiting)
		return true;
	l->awaiting = true;
	l->asked = uv_now(l->uv);
	l->marked = l->order;
	l->marked_bytes = l->sent_bytes;
	return true;
}

/* Bytes of bodies that left the gateway's budget and wait in ZeroMQ, as far as we know. */
static uint64_t unconfirmed(const struct link *l)
{
	return l->sent_bytes - l->confirmed_bytes;
}

enum err link_send(struct link *l, struct buf *head, const struct slice *body)
{
	if (!l->up) {
		buf_free(head);
		return ERR_NO_BROKER;
	}
	if (body && body->n > l->o.window - unconfirmed(l)) {
		buf_free(head);
		return ERR_NO_BROKER;
	}
	if (send_now(l, head, body) != ERR_OK)
		return ERR_NO_BROKER;
	l->order++;
	l->sent_bytes += body ? body->n : 0;
	if (unconfirmed(l) > l->o.window / WINDOW_ASK && !l->awaiting && !say_ping(l))
		log_debug("link.not_connected"); /* the next tick draws the conclusion */
	return ERR_OK;
}

static void go_down(struct link *l, const char *why)
{
	if (!l->up)
		return;
	l->up = false;
	l->awaiting = false;
	stat_inc(&metrics.links, -1);
	log_warn("link.down", L_S("why", why));
	l->o.down(l->o.arg, l->confirmed);
}

static void set_tick(struct link *l, uint64_t ms)
{
	if (uv_timer_get_repeat(&l->tick) == ms)
		return;
	uv_timer_set_repeat(&l->tick, ms);
	uv_timer_again(&l->tick);
}

static void set_interval(struct link *l, uint64_t ms)
{
	if (ms < INTERVAL_MIN_MS)
		ms = INTERVAL_MIN_MS;
	if (ms > INTERVAL_MAX_MS)
		ms = INTERVAL_MAX_MS;
	l->interval_ms = ms;
	set_tick(l, ms);
}

/* It is as good as none: its silence may send us to another one. */
static void on_foreign(struct link *l, unsigned theirs)
{
	stat_inc(&metrics.dropped, 1);
	l->foreign = true;
	l->theirs = theirs;
}

static void on_welcome(struct link *l, struct slice bytes)
{
	struct welcome m;
	bool same, again;

	if (welcome_decode(bytes, &m) != ERR_OK) {
		on_foreign(l, PROTO_VERSION);
		return;
	}
	l->heard = uv_now(l->uv);
	l->foreign = false;
	again = m.instance == l->broker && m.epoch == l->epoch;
	same = again && m.member == l->member;
	if (l->up && same)
		return;
	go_down(l, again ? "taken for dead" : "another life of the broker");
	l->member = m.member;
	l->epoch = m.epoch;
	l->broker = m.instance;
	l->up = true;
	l->confirmed = l->order;
	l->confirmed_bytes = l->sent_bytes;
	set_interval(l, m.interval_ms);
	stat_inc(&metrics.links, 1);
	log_info("link.up", L_U("epoch", m.epoch), L_U("interval_ms", l->interval_ms));
	l->o.up(l->o.arg, again && !same);
}

static void on_pong(struct link *l, struct slice bytes)
{
	struct ping m;

	if (pong_decode(bytes, &m) != ERR_OK) {
		stat_inc(&metrics.dropped, 1);
		return;
	}
	if (m.instance == 0) { /* we are not known: no sign of life until it says WELCOME */
		if (l->up)
			say_hello(l);
		return;
	}
	l->heard = uv_now(l->uv);
	if (l->up && m.instance != l->broker) {
		go_down(l, "another life of the broker");
		say_hello(l);
	} else if (l->up && l->awaiting) {
		l->awaiting = false;
		l->confirmed = l->marked;
		l->confirmed_bytes = l->marked_bytes;
	}
}

static void on_msg(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct link *l = arg;
	struct slice bytes = zmsg_slice(&parts[0]);
	enum msg_type type;
	enum err e = n == 1 ? msg_peek(bytes, &type) : ERR_FORMAT;

	(void)z;
	if (e == ERR_VERSION) {
		on_foreign(l, msg_version(bytes));
		return;
	}
	if (e != ERR_OK) {
		stat_inc(&metrics.dropped, 1);
		return;
	}
	if (type == MSG_WELCOME) {
		on_welcome(l, bytes);
		return;
	}
	if (type == MSG_PONG) {
		on_pong(l, bytes);
		return;
	}
	l->heard = uv_now(l->uv);
	l->o.msg(l->o.arg, type, bytes);
}

/* A socket of its own for each endpoint: libzmq ends the process when a connection that was disconnected with
 * half of a message out breaks (zsock.c, LINGER_MS).  False: no descriptor for another, the one before stays.
 */
static bool open_socket(struct link *l)
{
	struct zsock *z;
	struct zsock_opts zo = {
		.type = ZSOCK_DEALER,
		.curve = l->o.curve,
		.on_msg = on_msg,
		.arg = l,
	};

	z = l->z ? zsock_try_open(l->zctx, l->uv, &zo) : zsock_open(l->zctx, l->uv, &zo);
	mem_wipe(&zo.curve, sizeof(zo.curve));
	if (!z)
		return false;
	zsock_close(l->z);
	l->z = z;
	return true;
}

/* Connects to the next endpoint of the list, leaving the one before. */
static enum err connect_next(struct link *l)
{
	size_t n;

	if (!l->next[strspn(l->next, " ")])
		l->next = l->brokers;
	l->next += strspn(l->next, " ");
	n = strcspn(l->next, " ");
	if (n == 0 || n > ZSOCK_ENDPOINT_MAX)
		return ERR_CONFIG;
	l->heard = uv_now(l->uv);
	if (!open_socket(l))
		return ERR_OK; /* tried again after the next silence */
	memcpy(l->current, l->next, n);
	l->current[n] = 0;
	l->next += n;
	l->heard = uv_now(l->uv);
	l->foreign = false;
	return zsock_connect(l->z, l->current, l->o.insecure);
}

static bool only_one(const struct link *l)
{
	const char *p = l->brokers + strspn(l->brokers, " ");

	p += strcspn(p, " ");
	return !p[strspn(p, " ")];
}

static void say_unusable(const char *endpoint)
{
	log_error(
		"link.endpoint", L_S("endpoint", endpoint),
		L_S("do",
		    "set brokers to ipc paths of at most 107 bytes or tcp addresses; tcp needs CURVE keys"));
}

/* Said once for all threads, which are told the same brokers and the same keys. */
static void say_unanswered(const struct link *l)
{
	static _Atomic uint64_t next;
	struct no_answer n = {
		.endpoint = l->current,
		.role = "gateway",
		.curve = l->o.curve.on,
		.limit_ms = SILENT_INTERVALS * l->interval_ms,
		.foreign = l->foreign,
		.ours = PROTO_VERSION,
		.theirs = l->theirs,
	};
	uint64_t now = uv_now(l->uv);

	no_answer_say(&n, now - l->heard, now, &next);
}

static void on_tick(uv_timer_t *t)
{
	struct link *l = t->data;
	bool silent = uv_now(l->uv) - l->heard >= SILENT_INTERVALS * l->interval_ms;
	bool missing = l->awaiting && uv_now(l->uv) - l->asked >= l->interval_ms - INTERVAL_MIN_MS / 2;

	if (!l->up)
		say_unanswered(l);
	if (silent && l->up)
		go_down(l, "silent");
	if (silent && !only_one(l) && connect_next(l) != ERR_OK)
		say_unusable(l->current);
	if (l->up && !say_ping(l))
		go_down(l, "not connected");
	if (!l->up || missing)
		say_hello(l);
	if (!l->up)
		set_tick(l, l->interval_ms < HELLO_MS ? l->interval_ms : HELLO_MS);
}

enum err link_open(struct link **out, struct zctx *zctx, uv_loop_t *uv, const struct link_opts *o)
{
	struct link *l = mem_new(sizeof(*l));

	l->o = *o;
	l->uv = uv;
	l->zctx = zctx;
	l->brokers = mem_strndup(o->brokers, strlen(o->brokers));
	l->name = mem_strndup(o->name, strlen(o->name));
	l->next = l->brokers;
	l->interval_ms = o->heartbeat_ms;
	uv_timer_init(uv, &l->tick);
	l->tick.data = l;
	if (connect_next(l) != ERR_OK) {
		say_unusable(l->current);
		link_close(l);
		return ERR_CONFIG;
	}
	uv_timer_start(&l->tick, on_tick, INTERVAL_MIN_MS, INTERVAL_MIN_MS);
	*out = l;
	return ERR_OK;
}

void link_drain(struct link *l)
{
	l->draining = true;
	if (l->up && !say_ping(l))
		log_debug("link.not_connected");
}

void link_bye(struct link *l)
{
	struct bye m = { .instance = l->o.topic };
	struct buf b = { .p = NULL };

	if (!l->up)
		return;
	bye_encode(&m, &b);
	if (send_now(l, &b, NULL) != ERR_OK)
		log_debug("link.not_connected");
	l->up = false;
	stat_inc(&metrics.links, -1);
	uv_timer_stop(&l->tick);
}

static void on_closed(uv_handle_t *h)
{
	struct link *l = h->data;

	mem_wipe(&l->o.curve, sizeof(l->o.curve));
	free(l->brokers);
	free(l->name);
	free(l);
}

void link_close(struct link *l)
{
	if (!l)
		return;
	if (l->up)
		stat_inc(&metrics.links, -1);
	l->up = false;
	zsock_close(l->z);
	uv_close((uv_handle_t *)&l->tick, on_closed);
}
