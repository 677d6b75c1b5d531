/* SPDX-License-Identifier: Apache-2.0
 *
 * The XPUB socket (publish.h): subscriptions, credits and cancels that come in
 * on it.  A subscription is allowed when the broker named its topic and the
 * subscriber's proven key is the one it named.  ZeroMQ does not say that a
 * subscriber died, only that a subscription ended, so a topic that stays unheard
 * for the grace time is reported lost.
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/map.h"
#include "common/seldom.h"
#include "worker/publish_impl.h"

#define LOOK_MS 250
#define PUBLISH_HWM 1000
#define COMPLAINTS 100 /* of one kind in ten seconds: whoever has a key can give cause for any number */

static void subscribed(struct publish *p, struct topic *t, struct slice name)
{
	zsock_allow(p->z, name);
	t->lost = false;
	t->heard = true;
	p->o.ev.heard(p->o.ev.arg, t->id, true);
}

static void unsubscribed(struct publish *p, struct topic *t, struct slice name)
{
	if (!t->heard)
		return;
	zsock_deny(p->z, name);
	t->heard = false;
	publish_queue_drop(p, t); /* the pipe that ended took its share with it: what follows is a gap */
	t->silent_since = loop_now(p->o.uv);
	p->o.ev.heard(p->o.ev.arg, t->id, false);
	p->o.ev.room(p->o.ev.arg,
		     t->id); /* nothing waits any more: who tries now learns that nobody listens */
}

static bool worth_saying(struct publish *p, struct seldom *kind, uint64_t *times)
{
	return seldom(kind, COMPLAINTS, loop_now(p->o.uv), times);
}

static void on_subscription(struct publish *p, struct slice frame)
{
	struct topic *t = frame.n == 1 + CHUNK_TOPIC_BYTES ? publish_topic(p, get_be64(frame.p + 1)) : NULL;
	struct slice name = slice_of(frame.p + 1, frame.n - 1);
	bool present = frame.p[0] == 1;
	uint64_t times;

	if (!t) { /* the end of one that was taken back is nothing new */
		if (present && worth_saying(p, &p->unknown_topic, &times))
			log_warn("publish.unknown_topic", L_U("bytes", frame.n), L_U("times", times));
		return;
	}
	if (present && !publish_key_fits(p, t)) {
		if (worth_saying(p, &p->foreign_key, &times))
			log_warn("publish.foreign_key", L_U("times", times),
				 L_S("do", "a peer asked for another gateway's answers: revoke its key"));
		return;
	}
	if (present)
		subscribed(p, t, name);
	else
		unsubscribed(p, t, name);
}

static void on_upstream(struct publish *p, struct slice bytes)
{
	enum msg_type type;
	struct credit credit;
	struct cancel cancel;
	uint64_t times;

	if (msg_peek(bytes, &type) == ERR_OK) {
		if (type == MSG_CREDIT && credit_decode(bytes, &credit) == ERR_OK) {
			p->o.ev.credit(p->o.ev.arg, &credit);
			return;
		}
		if (type == MSG_CANCEL && cancel_decode(bytes, &cancel) == ERR_OK) {
			p->o.ev.cancel(p->o.ev.arg, &cancel);
			return;
		}
	}
	if (worth_saying(p, &p->bad_message, &times))
		log_warn("publish.bad_message", L_U("bytes", bytes.n), L_U("times", times));
}

static void on_msg(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct publish *p = arg;
	struct slice frame = zmsg_slice(&parts[0]);

	(void)z;
	if (n != 1 || frame.n == 0)
		return;
	p->sender_has_key = zmsg_peer_key(&parts[0], p->sender);
	if (frame.p[0] <= 1)
		on_subscription(p, frame);
	else if (frame.p[0] == CREDIT_MARK)
		on_upstream(p, slice_of(frame.p + 1, frame.n - 1));
	p->sender_has_key = false;
}

static void on_look(uv_timer_t *timer)
{
	struct publish *p = timer->data;
	uint64_t now = loop_now(p->o.uv);
	struct topic *t;
	size_t pos = 0;

	while ((t = map_next(p->topics, &pos))) {
		if (t->heard || t->lost || now - t->silent_since < p->o.grace_ms)
			continue;
		t->lost = true;
		p->o.ev.lost(p->o.ev.arg, t->id);
	}
}

/* --- opening and closing --- */

static void on_closed(uv_handle_t *h)
{
	struct publish *p = h->data;

	if (--p->open == 0)
		free(p);
}

static void start_timer(struct publish *p, uv_timer_t *t)
{
	uv_timer_init(p->o.uv, t);
	t->data = p;
	p->open++;
}

enum err publish_open(const struct publish_opts *o, struct publish **out)
{
	struct publish *p = mem_new(sizeof(*p));
	struct zsock_opts zo = {
		.type = ZSOCK_XPUB, .sndhwm = PUBLISH_HWM, .curve = o->curve, .on_msg = on_msg, .arg = p
	};
	enum err e;

	p->o = *o;
	p->topics = map_new(sizeof(uint64_t));
	p->z = zsock_open(o->zctx, o->uv, &zo);
	start_timer(p, &p->retry);
	start_timer(p, &p->look);
	uv_timer_start(&p->look, on_look, LOOK_MS, LOOK_MS);
	e = zsock_bind(p->z, o->bind, o->insecure);
	if (e) {
		log_error("publish.bind", L_ERR(e), L_S("why", zsock_why(e)), L_S("endpoint", o->bind),
			  L_S("do", "set publish to a free ipc path or tcp address; tcp needs CURVE keys"));
		publish_close(p);
		return e;
	}
	*out = p;
	return ERR_OK;
}

void publish_close(struct publish *p)
{
	struct topic *t;
	size_t pos = 0;

	if (!p)
		return;
	while ((t = map_next(p->topics, &pos))) {
		publish_queue_drop(p, t);
		free(t);
	}
	map_free(p->topics);
	zsock_close(p->z);
	uv_close((uv_handle_t *)&p->retry, on_closed);
	uv_close((uv_handle_t *)&p->look, on_closed);
}

const char *publish_endpoint(const struct publish *p)
{
	return zsock_endpoint(p->z);
}
