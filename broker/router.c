/* SPDX-License-Identifier: Apache-2.0
 *
 * The bus (router.h).  A routing id says nothing about who is behind it: with
 * CURVE on, the key that ZeroMQ proved is looked up for every message, its role
 * must allow the message, and it must be the key that said HELLO.
 */
#include "broker/router.h"

#include <string.h>

#include "broker/task.h"
#include "broker/lock.h"
#include "broker/metrics.h"
#include "broker/models.h"
#include "broker/news.h"
#include "broker/probe.h"
#include "broker/register.h"
#include "broker/version.h"
#include "common/b64.h"
#include "common/endpoints.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "common/zcount.h"
#include "common/zprobe.h"

/* One verb per message type; body says whether a second frame belongs to it. */
struct verb {
	enum msg_type type;
	enum role from;
	bool body;
	void (*run)(struct broker *b, struct party *from, struct slice msg);
	void (*run_body)(struct broker *b, struct party *from, struct slice msg, struct zmsg *body);
};

static const struct verb verbs[] = {
	{ MSG_PING, ROLE_MAX, false, peers_ping, NULL },
	{ MSG_BYE, ROLE_MAX, false, peers_bye, NULL },
	{ MSG_PEER_OK, ROLE_WORKER, false, peers_ok, NULL },
	{ MSG_HEARD, ROLE_WORKER, false, peers_heard, NULL },
	{ MSG_JOB, ROLE_GATEWAY, true, NULL, task_admit },
	{ MSG_CANCEL, ROLE_GATEWAY, false, task_cancel, NULL },
	{ MSG_WAITING, ROLE_GATEWAY, false, task_waiting, NULL },
	{ MSG_POSTED, ROLE_WORKER, false, task_posted, NULL },
	{ MSG_ANSWERING, ROLE_WORKER, false, task_answering, NULL },
	{ MSG_RETURN, ROLE_WORKER, false, task_returned, NULL },
	{ MSG_INFLIGHT, ROLE_WORKER, false, task_inflight, NULL },
	{ MSG_SETTLE, ROLE_WORKER, false, task_settle, NULL },
	{ MSG_PROBED, ROLE_WORKER, false, probe_done, NULL },
	{ MSG_LOCK, ROLE_GATEWAY, false, lock_ask, NULL },
	{ MSG_REGISTER, ROLE_GATEWAY, false, register_node, NULL },
	{ MSG_QUERY, ROLE_GATEWAY, false, models_query, NULL },
};

static const struct verb *verb_of(enum msg_type type)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (verbs[i].type == type)
			return &verbs[i];
	}
	return NULL;
}

static void dropped(enum msg_type type, const char *why)
{
	stat_inc(&metrics.dropped, 1);
	log_debug("message_dropped", L_S("type", msg_name(type)), L_S("why", why));
}

/* With CURVE: the key behind the message, and whether it holds the role. */
static bool key_allows(const struct broker *b, const uint8_t key[KEY_BYTES], enum role role)
{
	unsigned want = role == ROLE_GATEWAY ? ZAUTH_GATEWAY : ZAUTH_WORKER;

	return (zauth_roles(b->zauth, key) & want) != 0;
}

static bool peer_allowed(const struct broker *b, const struct party *p, struct zmsg *route)
{
	uint8_t key[KEY_BYTES];

	if (!b->zauth)
		return true;
	return zmsg_peer_key(route, key) && p->has_key && memcmp(key, p->key, KEY_BYTES) == 0 &&
	       key_allows(b, key, p->role);
}

static void refuse_peer(const struct broker *b, const uint8_t key[KEY_BYTES], enum role role)
{
	char text[B64_LEN(KEY_BYTES) + 1] = "";

	stat_inc(&metrics.dropped, 1);
	if (!news(key, broker_ms(b)))
		return;
	b64_put(text, key, KEY_BYTES);
	log_warn("peer_refused", L_S("key", text), L_S("role", peers_role(role)),
		 L_S("why", "its key is not on the list for that role"), L_S("peers", b->conf.peers));
}

/* The role of a HELLO is the peer's own word: the key decides. */
static void on_hello(struct broker *b, struct zmsg *parts, struct slice msg)
{
	uint8_t key[KEY_BYTES];
	struct hello h;

	if (hello_decode(msg, &h) != ERR_OK) {
		dropped(MSG_HELLO, "malformed");
		return;
	}
	if (!b->zauth) {
		peers_hello(b, zmsg_slice(&parts[0]), NULL, msg);
		return;
	}
	if (!zmsg_peer_key(&parts[0], key)) {
		dropped(MSG_HELLO, "no key");
		return;
	}
	if (!key_allows(b, key, h.role)) {
		refuse_peer(b, key, h.role);
		return;
	}
	peers_hello(b, zmsg_slice(&parts[0]), key, msg);
}

/* Who is known to an earlier life of ours, or on an earlier connection, or has been
 * taken for dead, need not wait for three intervals of silence to notice. */
static void on_strangers_ping(struct broker *b, struct zmsg *parts)
{
	struct ping pong = { .instance = 0, .epoch = b->epoch, .draining = b->draining };
	struct buf out = { 0 };

	pong_encode(&pong, &out);
	router_answer(b, parts, &out);
}

static void on_msg(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct broker *b = arg;
	const struct verb *v;
	enum msg_type type;
	struct slice msg;
	struct party *p;
	enum err e;

	(void)z;
	if (n < 2 || n > 3)
		return;
	msg = zmsg_slice(&parts[1]);
	e = msg_peek(msg, &type);
	if (e != ERR_OK) {
		stat_inc(&metrics.dropped, 1);
		if (e == ERR_VERSION)
			version_other(b, parts, msg);
		return;
	}
	if (type == MSG_HELLO && n == 2) {
		on_hello(b, parts, msg);
		return;
	}
	v = verb_of(type);
	p = peers_by_route(b, zmsg_slice(&parts[0]));
	if (!v || !p || (v->from != ROLE_MAX && v->from != p->role) || v->body != (n == 3)) {
		dropped(type, !p ? "stranger" : "not for it to say");
		if (!p && type == MSG_PING && n == 2)
			on_strangers_ping(b, parts);
		return;
	}
	if (!peer_allowed(b, p, &parts[0])) {
		dropped(type, "key");
		return;
	}
	if (v->body)
		v->run_body(b, p, msg, &parts[2]);
	else
		v->run(b, p, msg);
}

enum err router_send(struct broker *b, const struct party *to, struct buf *msg)
{
	bool room = peers_room(b, to, false);
	struct zmsg parts[2];
	enum err e;

	zmsg_copy_init(&parts[0], slice_of(to->route, ROUTE_BYTES));
	zmsg_take_counted(&parts[1], msg, to->unread);
	e = room ? zsock_send(b->bus, parts, 2) : ERR_AGAIN;
	if (e != ERR_OK) {
		stat_inc(&metrics.unsent, 1);
		zmsg_close(&parts[0]);
		zmsg_close(&parts[1]);
	}
	return e;
}

bool router_answer(struct broker *b, struct zmsg *parts, struct buf *msg)
{
	struct slice route = zmsg_slice(&parts[0]);
	struct party to = { .role = ROLE_MAX };
	uint8_t key[KEY_BYTES];

	if (route.n != ROUTE_BYTES ||
	    (b->zauth && (!zmsg_peer_key(&parts[0], key) || !zauth_roles(b->zauth, key)))) {
		buf_free(msg);
		return false;
	}
	memcpy(to.route, route.p, ROUTE_BYTES);
	router_send(b, &to, msg);
	return true;
}

enum err router_send_body(struct broker *b, const struct party *to, struct buf *msg, struct zmsg *body)
{
	struct zmsg parts[3];
	enum err e;

	if (!peers_room(b, to, true)) {
		buf_free(msg);
		return ERR_AGAIN;
	}
	zmsg_copy_init(&parts[0], slice_of(to->route, ROUTE_BYTES));
	zmsg_take_counted(&parts[1], msg, to->unread);
	zmsg_share_counted(&parts[2], body, to->unread);
	e = zsock_send(b->bus, parts, 3);
	for (int i = 0; i < 3 && e != ERR_OK; i++)
		zmsg_close(&parts[i]);
	return e;
}

void router_refuse_with(struct broker *b, uint64_t topic, const struct refuse *m)
{
	const struct party *p = peers_by_instance(b, topic, ROLE_GATEWAY);
	struct buf msg = { 0 };

	metrics_refused(m->error);
	log_debug("refused", L_RID(m->rid), L_ERR(m->error));
	if (!p)
		return;
	refuse_encode(m, &msg);
	router_send(b, p, &msg);
}

void router_refuse(struct broker *b, uint64_t topic, const uint8_t rid[RID_BYTES], enum err e,
		   const char *param, uint32_t retry_after_s)
{
	struct refuse m = { .error = e, .param = slice_str(param), .retry_after_s = retry_after_s };

	memcpy(m.rid, rid, RID_BYTES);
	router_refuse_with(b, topic, &m);
}

static enum err curve_options(struct broker *b, struct zcurve *c)
{
	enum err e;

	sandbox_lock(c, sizeof(*c));
	e = key_load(b->conf.curve_key, c->secret_key);
	if (e != ERR_OK)
		return e;
	zcurve_public(b->bus_key, c->secret_key);
	c->on = c->server = true;
	b->zauth = zauth_open(b->zctx, b->uv, "add the peer's public key to the allow-list if it is one of yours");
	return zauth_load(b->zauth, b->conf.peers);
}

static enum err bind_next(void *arg, const char *endpoint)
{
	struct broker *b = arg;
	enum err e = zsock_bind(b->bus, endpoint, b->conf.insecure);

	if (e == ERR_OK)
		log_info("bus_bound", L_S("endpoint", zsock_endpoint(b->bus)));
	else
		log_error("bus_bind", L_S("endpoint", endpoint), L_ERR(e), L_S("why", zsock_why(e)),
			  L_S("do", "set bus to a free ipc path or tcp address; tcp needs CURVE keys"));
	return e;
}

enum err router_open(struct broker *b)
{
	struct zsock_opts o = { .type = ZSOCK_ROUTER,
				.sndhwm = 100000,
				.rcvhwm = 100000,
				.max_msg = BODY_BYTES_MAX + 65536,
				.on_msg = on_msg,
				.arg = b };
	enum err e = ERR_OK;

	if (b->conf.curve_key[0])
		e = curve_options(b, &o.curve);
	if (e == ERR_OK) {
		b->bus = zsock_open(b->zctx, b->uv, &o);
		e = endpoints_each(b->conf.bus, bind_next, b);
	}
	mem_wipe(&o.curve, sizeof(o.curve));
	return e;
}

enum err router_selftest(struct broker *b)
{
	if (!b->zauth)
		return ERR_OK;
	return zprobe(b->zauth, b->zctx, b->uv, ZSOCK_DEALER, zsock_endpoint(b->bus), b->bus_key);
}
