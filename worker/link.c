/* SPDX-License-Identifier: Apache-2.0
 *
 * One broker (link.h).  Two states: greeting (HELLO each interval) and up (PING
 * each interval).  Greeting starts again when the broker is silent for three
 * intervals, when a PONG names another instance or epoch, or says that we are not
 * known, and when a message could not be sent: the broker then hears anew what it
 * may have missed.
 */
#include "worker/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/no_answer.h"
#include "worker/metrics.h"

#define CONNECTING_MS 50 /* greeting again while there is no connection to greet on */
#define NAME_MAX_BYTES 64
#define LINK_HWM 10000 /* settlements and POSTEDs of a whole capacity, and then some */

struct link {
	struct link_opts o;
	struct zsock *z;
	uv_timer_t timer;
	char name[NAME_MAX_BYTES];
	char *endpoint;              /* what o.endpoint is */
	uint64_t instance, epoch;    /* the broker's */
	uint64_t member;             /* ours at the broker, 0 before the first WELCOME */
	uint64_t heard;              /* ms */
	uint64_t ticked;             /* ms: when we last said anything by ourselves */
	uint64_t down;               /* ms: since when we greet */
	_Atomic uint64_t unanswered; /* ms: not before it is said again that this is in vain */
	bool up, resync, draining;
	bool foreign;    /* the broker answers in messages that are not ours */
	unsigned theirs; /* their version */
};

static void set_up(struct link *l, bool up)
{
	if (l->up == up)
		return;
	l->up = up;
	stat_inc(&metrics.brokers, up ? 1 : -1);
	l->down = loop_now(l->o.uv);
	if (up)
		log_info("broker.up", L_U("broker", l->o.number), L_U("epoch", l->epoch));
	else
		log_warn("broker.lost", L_U("broker", l->o.number));
}

static enum err send_bytes(struct link *l, struct slice bytes)
{
	struct zmsg m;
	enum err e;

	zmsg_copy_init(&m, bytes);
	e = zsock_send(l->z, &m, 1);
	if (e)
		zmsg_close(&m);
	return e;
}

enum err link_send(struct link *l, struct slice bytes)
{
	enum err e = send_bytes(l, bytes);

	if (e)
		l->resync = true;
	return e;
}

/* PING is repeated anyway: that one got lost means nothing. */
static bool send_buf(struct link *l, struct buf *b)
{
	enum err e = send_bytes(l, buf_slice(b));

	if (e)
		log_debug("broker.not_connected", L_U("broker", l->o.number));
	buf_free(b);
	return e == ERR_OK;
}

static bool say_hello(struct link *l)
{
	struct hello m = {
		.role = ROLE_WORKER,
		.instance = l->o.instance,
		.name = slice_str(l->name),
		.version = slice_str(SEALWAY_VERSION),
		.endpoint = slice_str(l->o.advertise),
		.key = slice_of(l->o.key, l->o.key ? KEY_BYTES : 0),
		.capacity = l->o.capacity,
		.inflight = l->o.ev.inflight(l->o.ev.arg, l->o.number),
	};
	struct buf b = { 0 };

	hello_encode(&m, &b);
	l->resync = !send_buf(l, &b); /* a WELCOME for an earlier one does not make up for it */
	return !l->resync;
}

static void say_ping(struct link *l)
{
	struct ping m = {
		.instance = l->o.instance,
		.epoch = l->epoch,
		.load = l->o.ev.load(l->o.ev.arg),
		.draining = l->draining,
	};
	struct buf b = { 0 };

	ping_encode(&m, &b);
	send_buf(l, &b);
}

static void say_unanswered(struct link *l)
{
	struct no_answer n = {
		.endpoint = l->o.endpoint,
		.role = "worker",
		.curve = l->o.curve.on,
		.limit_ms = (uint64_t)SILENT_INTERVALS * l->o.interval_ms,
		.foreign = l->foreign,
		.ours = PROTO_VERSION,
		.theirs = l->theirs,
	};
	uint64_t now = loop_now(l->o.uv);

	no_answer_say(&n, now - l->down, now, &l->unanswered);
}

/* We have been stopped for so long that the broker takes us for dead: what it had
 * given us and we have not looked at yet is another worker's by now. */
static bool overslept(const struct link *l)
{
	return loop_now(l->o.uv) - l->ticked > (uint64_t)SILENT_INTERVALS * l->o.interval_ms;
}

static void on_tick(uv_timer_t *t)
{
	struct link *l = t->data;
	uint64_t next = l->o.interval_ms;

	if (overslept(l))
		set_up(l, false);
	l->ticked = loop_now(l->o.uv);

	if (l->up && loop_now(l->o.uv) - l->heard > (uint64_t)SILENT_INTERVALS * l->o.interval_ms)
		set_up(l, false);
	if (l->resync)
		set_up(l, false);
	if (!l->up)
		say_unanswered(l);
	if (l->up)
		say_ping(l);
	else if (!say_hello(l) && next > CONNECTING_MS)
		next = CONNECTING_MS;
	uv_timer_start(&l->timer, on_tick, next, 0);
}

/* --- what the broker says --- */

/* Said while we greet in vain, not with each message. */
static enum err take_foreign(struct link *l, unsigned theirs)
{
	l->foreign = true;
	l->theirs = theirs;
	return ERR_VERSION;
}

static enum err take_welcome(struct link *l, struct slice bytes)
{
	struct welcome m;
	bool forgotten;

	if (welcome_decode(bytes, &m) != ERR_OK)
		return take_foreign(l, PROTO_VERSION);
	l->foreign = false;
	forgotten = m.instance == l->instance && m.epoch == l->epoch && m.member != l->member;
	l->member = m.member;
	l->epoch = m.epoch;
	l->instance = m.instance;
	if (m.interval_ms >= INTERVAL_MIN_MS && m.interval_ms <= INTERVAL_MAX_MS)
		l->o.interval_ms = m.interval_ms;
	l->ticked = loop_now(l->o.uv);
	uv_timer_start(&l->timer, on_tick, l->o.interval_ms, 0); /* the interval may be another now */
	set_up(l, true);
	l->o.ev.welcome(l->o.ev.arg, l->o.number, forgotten);
	if (l->draining)
		say_ping(l);
	return ERR_OK;
}

static enum err take_pong(struct link *l, struct slice bytes)
{
	struct ping m;
	enum err e = pong_decode(bytes, &m);

	if (e)
		return e;
	if (l->up && (m.instance != l->instance || m.epoch != l->epoch)) {
		set_up(l, false); /* another life of the broker: it knows nothing of us */
		say_hello(l);
	}
	return ERR_OK;
}

/* Should the broker think otherwise, it gives it to us or another again. */
static void give_back(struct link *l, const struct work *m)
{
	struct work_return r = { .ref = { .epoch = m->epoch, .attempt = m->attempt },
				 .error = ERR_NO_WORKER };
	struct buf b = { 0 };

	memcpy(r.ref.rid, m->rid, RID_BYTES);
	return_encode(&r, &b);
	link_send(l, buf_slice(&b));
	buf_free(&b);
	stat_inc(&metrics.returned, 1);
	log_warn("work.late", L_RID(m->rid));
}

static enum err take_work(struct link *l, struct slice bytes, struct zmsg *parts, size_t n)
{
	struct work m;
	enum err e = work_decode(bytes, &m);

	if (e || n != 2)
		return e ? e : ERR_FORMAT;
	if (m.epoch != l->epoch) {
		log_warn("work.stale", L_RID(m.rid), L_U("epoch", m.epoch));
		return ERR_OK;
	}
	if (!l->up || overslept(l)) {
		give_back(l, &m);
		return ERR_OK;
	}
	l->o.ev.work(l->o.ev.arg, l->o.number, &m, &parts[1]);
	return ERR_OK;
}

static enum err take_cancel(struct link *l, struct slice bytes)
{
	struct cancel m;
	enum err e = cancel_decode(bytes, &m);

	if (!e)
		l->o.ev.cancel(l->o.ev.arg, &m);
	return e;
}

static enum err take_peer(struct link *l, struct slice bytes)
{
	struct peer m;
	enum err e = peer_decode(bytes, &m);

	if (!e)
		l->o.ev.peer(l->o.ev.arg, l->o.number, &m);
	return e;
}

static enum err take_settled(struct link *l, struct slice bytes)
{
	struct settled m;
	enum err e = settled_decode(bytes, &m);

	if (!e)
		l->o.ev.settled(l->o.ev.arg, &m);
	return e;
}

/* One of another epoch is a broker's that is gone: nobody waits for its answer. */
static enum err take_probe(struct link *l, struct slice bytes)
{
	struct probe m;
	enum err e = probe_decode(bytes, &m);

	if (!e && m.epoch == l->epoch)
		l->o.ev.probe(l->o.ev.arg, l->o.number, &m);
	return e;
}

static enum err take_receipt_wanted(struct link *l, struct slice bytes)
{
	struct receipt_wanted m;
	enum err e = receipt_wanted_decode(bytes, &m);

	/* Of any epoch, also before the WELCOME: asking a node changes nothing, and the broker judges. */
	if (!e)
		l->o.ev.receipt_wanted(l->o.ev.arg, l->o.number, &m);
	return e;
}

static enum err take(struct link *l, struct zmsg *parts, size_t n)
{
	struct slice bytes = zmsg_slice(&parts[0]);
	enum msg_type type;
	enum err e = msg_peek(bytes, &type);

	if (e == ERR_VERSION)
		return take_foreign(l, msg_version(bytes));
	if (e)
		return e;
	switch (type) {
	case MSG_WELCOME:
		return take_welcome(l, bytes);
	case MSG_PONG:
		return take_pong(l, bytes);
	case MSG_WORK:
		return take_work(l, bytes, parts, n);
	case MSG_CANCEL:
		return take_cancel(l, bytes);
	case MSG_PEER:
		return take_peer(l, bytes);
	case MSG_SETTLED:
		return take_settled(l, bytes);
	case MSG_RECEIPT_WANTED:
		return take_receipt_wanted(l, bytes);
	case MSG_PROBE:
		return take_probe(l, bytes);
	default:
		return ERR_FORMAT;
	}
}

static void on_msg(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct link *l = arg;
	enum err e = take(l, parts, n);

	(void)z;
	if (e == ERR_VERSION)
		return; /* as good as silent */
	if (e)
		log_warn("broker.bad_message", L_U("broker", l->o.number), L_ERR(e));
	else
		l->heard = loop_now(l->o.uv);
}

/* --- opening and closing --- */

static void on_closed(uv_handle_t *h)
{
	struct link *l = h->data;

	free(l->endpoint);
	free(l);
}

static void make_name(struct link *l)
{
	char host[40] = "?";

	if (gethostname(host, sizeof(host) - 1) != 0)
		host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	snprintf(l->name, sizeof(l->name), "%s:%ld", host, (long)getpid());
}

enum err link_open(const struct link_opts *o, struct link **out)
{
	struct link *l = mem_new(sizeof(*l));
	struct zsock_opts zo = {
		.type = ZSOCK_DEALER,
		.sndhwm = LINK_HWM,
		.rcvhwm = LINK_HWM,
		.max_msg = (uint64_t)BODY_BYTES_MAX + 65536,
		.curve = o->curve,
		.on_msg = on_msg,
		.arg = l,
	};
	enum err e;

	l->o = *o;
	l->endpoint = mem_strndup(o->endpoint, strlen(o->endpoint));
	l->o.endpoint = l->endpoint;
	l->down = loop_now(o->uv);
	make_name(l);
	l->z = zsock_open(o->zctx, o->uv, &zo);
	uv_timer_init(o->uv, &l->timer);
	l->timer.data = l;
	e = zsock_connect(l->z, o->endpoint, o->insecure);
	if (e) {
		log_error("broker.connect", L_ERR(e), L_S("endpoint", o->endpoint),
			  L_S("do", "check brokers; tcp needs curve_key and broker_key"));
		link_close(l);
		return e;
	}
	uv_timer_start(&l->timer, on_tick, 0, 0);
	*out = l;
	return ERR_OK;
}

void link_close(struct link *l)
{
	if (!l)
		return;
	zsock_close(l->z);
	uv_close((uv_handle_t *)&l->timer, on_closed);
}

bool link_up(const struct link *l)
{
	return l->up;
}

uint64_t link_epoch(const struct link *l)
{
	return l->epoch;
}

void link_drain(struct link *l)
{
	l->draining = true;
	if (l->up)
		say_ping(l);
}

void link_bye(struct link *l)
{
	struct buf b = { 0 };
	struct bye m = { .instance = l->o.instance };

	uv_timer_stop(&l->timer); /* a PING behind it would be a stranger's */
	bye_encode(&m, &b);
	send_buf(l, &b);
}
