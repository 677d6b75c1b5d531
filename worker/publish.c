/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics on XPUB (publish.h).  Who may have a topic is settled when its
 * subscription comes: the broker named the topic, and the subscriber's proven
 * key is the one it named (ARCHITECTURE, between the processes).  ZeroMQ says
 * neither when a full pipe has room again nor when a subscriber died in
 * between, so waiting topics are tried again every few ms, and a topic that
 * stays unheard for the grace time is reported lost.
 */
#include "worker/publish.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/map.h"
#include "worker/metrics.h"

#define RETRY_MS 2
#define LOOK_MS 250
#define PUBLISH_HWM 1000

struct waiting {
	struct waiting *next;
	struct zmsg msg;
	size_t n;
};

struct topic {
	uint64_t id;
	bool has_key, heard, lost;
	uint8_t key[KEY_BYTES];
	uint32_t named_by; /* bit per broker */
	uint64_t silent_since;
	struct waiting *first, **last;
	size_t bytes; /* waiting */
};

struct publish {
	struct publish_opts o;
	struct zsock *z;
	struct map *topics;
	uv_timer_t retry, look;
	unsigned open;    /* handles */
	size_t n_waiting; /* topics with something waiting */
	bool sender_has_key;
	uint8_t sender[KEY_BYTES];
};

static struct topic *topic_get(const struct publish *p, uint64_t id)
{
	return map_get(p->topics, &id);
}

/* --- the queue of a topic --- */

static struct waiting *queue_take(struct publish *p, struct topic *t)
{
	struct waiting *w = t->first;

	t->first = w->next;
	t->bytes -= w->n;
	stat_inc(&metrics.queue_bytes, -(int64_t)w->n);
	if (!t->first) {
		t->last = &t->first;
		p->n_waiting--;
	}
	return w;
}

static void queue_drop(struct publish *p, struct topic *t)
{
	while (t->first) {
		struct waiting *w = queue_take(p, t);

		zmsg_close(&w->msg);
		free(w);
	}
}

static enum err queue_add(struct publish *p, struct topic *t, struct zmsg *m, size_t n)
{
	struct waiting *w;

	if (n > p->o.queue_max - t->bytes) {
		zmsg_close(m);
		return ERR_LIMIT;
	}
	w = mem_new(sizeof(*w));
	zmsg_move(&w->msg, m);
	w->n = n;
	if (!t->first)
		p->n_waiting++;
	*t->last = w;
	t->last = &w->next;
	t->bytes += n;
	stat_inc(&metrics.queue_bytes, (int64_t)n);
	return ERR_AGAIN;
}

/* Sends what waits, as far as the pipe takes it; true when nothing waits any
 * more.  Without a subscriber there is nothing to wait for. */
static bool queue_flush(struct publish *p, struct topic *t)
{
	while (t->first) {
		struct waiting *w = t->first;

		if (zsock_send(p->z, &w->msg, 1) == ERR_AGAIN)
			return false;
		queue_take(p, t);
		zmsg_close(&w->msg);
		free(w);
	}
	return true;
}

static void on_retry(uv_timer_t *timer)
{
	struct publish *p = timer->data;
	struct topic *t;
	size_t pos = 0;

	while ((t = map_next(p->topics, &pos))) {
		if (t->first && queue_flush(p, t))
			p->o.ev.room(p->o.ev.arg, t->id);
	}
	if (p->n_waiting == 0)
		uv_timer_stop(timer);
}

enum err publish_send(struct publish *p, uint64_t topic, struct buf *frame)
{
	struct topic *t = topic_get(p, topic);
	size_t n = frame->n;
	struct zmsg m;
	enum err e;

	if (!t) {
		buf_reset(frame);
		return ERR_CLOSED;
	}
	zmsg_take_init(&m, frame);
	e = t->first ? ERR_AGAIN : zsock_send(p->z, &m, 1);
	if (e != ERR_AGAIN) {
		zmsg_close(&m);
		return e;
	}
	if (!uv_is_active((uv_handle_t *)&p->retry))
		uv_timer_start(&p->retry, on_retry, RETRY_MS, RETRY_MS);
	return queue_add(p, t, &m, n);
}

bool publish_waiting(const struct publish *p, uint64_t topic)
{
	struct topic *t = topic_get(p, topic);

	return t && t->first;
}

/* --- who has which topic --- */

/* Several threads of one gateway share a key. */
static bool key_of_others(const struct publish *p, const struct topic *than)
{
	struct topic *t;
	size_t pos = 0;

	while ((t = map_next(p->topics, &pos))) {
		if (t != than && t->has_key && memcmp(t->key, than->key, KEY_BYTES) == 0)
			return true;
	}
	return false;
}

static void topic_forget(struct publish *p, struct topic *t)
{
	uint64_t id = t->id;
	uint8_t name[CHUNK_TOPIC_BYTES];

	put_be64(name, id);
	zsock_deny(p->z, slice_of(name, sizeof(name)));
	queue_drop(p, t);
	if (t->has_key && !key_of_others(p, t))
		zauth_revoke(p->o.zauth, t->key);
	map_del(p->topics, &id);
	free(t);
	p->o.ev.lost(p->o.ev.arg, id);
}

/* Makes place by forgetting a topic that is lost anyway. */
static bool topic_evict(struct publish *p)
{
	struct topic *t;
	size_t pos = 0;

	while ((t = map_next(p->topics, &pos))) {
		if (!t->lost)
			continue;
		topic_forget(p, t);
		return true;
	}
	return false;
}

static enum err topic_new(struct publish *p, const struct peer *m, struct topic **out)
{
	struct topic *t;

	if (p->o.zauth && m->key.n != KEY_BYTES)
		return ERR_KEY; /* nobody could prove to be that gateway */
	if (map_count(p->topics) >= PEERS_MAX && !topic_evict(p))
		return ERR_LIMIT;
	t = mem_new(sizeof(*t));
	t->id = m->topic;
	t->last = &t->first;
	t->silent_since = loop_now(p->o.uv);
	t->has_key = p->o.zauth != NULL;
	if (t->has_key) {
		memcpy(t->key, m->key.p, KEY_BYTES);
		if (zauth_allow(p->o.zauth, t->key, ZAUTH_GATEWAY)) {
			free(t);
			return ERR_LIMIT;
		}
	}
	map_put(p->topics, &t->id, t);
	*out = t;
	return ERR_OK;
}

enum err publish_peer(struct publish *p, unsigned from, const struct peer *m)
{
	struct topic *t = topic_get(p, m->topic);
	enum err e = ERR_OK;

	if (!m->present) {
		if (!t)
			return ERR_OK;
		t->named_by &= ~(1u << from);
		if (t->named_by == 0)
			topic_forget(p, t);
		return ERR_OK;
	}
	if (!t)
		e = topic_new(p, m, &t);
	else if (t->has_key && (m->key.n != KEY_BYTES || memcmp(t->key, m->key.p, KEY_BYTES) != 0))
		e = ERR_KEY;
	if (!e)
		t->named_by |= 1u << from;
	return e;
}

bool publish_heard(const struct publish *p, uint64_t topic)
{
	struct topic *t = topic_get(p, topic);

	return t && t->heard;
}

void publish_each(const struct publish *p, unsigned from, void (*each)(void *arg, uint64_t topic, bool heard),
		  void *arg)
{
	struct topic *t;
	size_t pos = 0;

	while ((t = map_next(p->topics, &pos))) {
		if (t->named_by & 1u << from)
			each(arg, t->id, t->heard);
	}
}

static bool key_fits(const struct publish *p, const struct topic *t)
{
	if (!t->has_key)
		return true;
	return p->sender_has_key && memcmp(t->key, p->sender, KEY_BYTES) == 0;
}

bool publish_sender_is(const struct publish *p, uint64_t topic)
{
	struct topic *t = topic_get(p, topic);

	return t && key_fits(p, t);
}

/* --- what comes in --- */

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
	queue_drop(p, t); /* the pipe that ended took its share with it: what follows is a gap */
	t->silent_since = loop_now(p->o.uv);
	p->o.ev.heard(p->o.ev.arg, t->id, false);
}

static void on_subscription(struct publish *p, struct slice frame)
{
	struct topic *t = frame.n == 1 + CHUNK_TOPIC_BYTES ? topic_get(p, get_be64(frame.p + 1)) : NULL;
	struct slice name = slice_of(frame.p + 1, frame.n - 1);
	bool present = frame.p[0] == 1;

	if (!t) { /* the end of one that was taken back is nothing new */
		if (present)
			log_warn("publish.unknown_topic", L_U("bytes", frame.n));
		return;
	}
	if (present && !key_fits(p, t)) {
		log_warn("publish.foreign_key",
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
	log_warn("publish.bad_message", L_U("bytes", bytes.n));
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
		log_error("publish.bind", L_ERR(e), L_S("endpoint", o->bind),
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
		queue_drop(p, t);
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
