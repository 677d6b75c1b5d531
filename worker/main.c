/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway-worker: carries sealed requests from the broker to nodes over HTTP and
 * publishes their answers to the gateways.  It holds the two proxy signing keys
 * and no ledger.  This file makes the parts in order, connects their events, and
 * takes them apart in reverse.
 *
 * Draining: no new work, what runs goes to its end, settlements are acknowledged,
 * then BYE and exit 0.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/httpd/admin.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/net/networks.h"
#include "worker/link.h"
#include "worker/metrics.h"
#include "worker/task.h"
#include "worker/wanted.h"

#define INTERVAL_MS 1000
#define SILENT_INTERVALS 3
#define DRAIN_LOOK_MS 20
#define BYE_LOOKS 5 /* looks between BYE and the end, so that it leaves the socket */

struct worker {
	struct worker_conf conf;
	uint64_t instance;
	struct headers_keys keys;
	struct networks *networks;
	struct zcurve server, client; /* as the XPUB's server, as the broker's client */
	struct loop *loop;
	struct zctx *zctx;
	struct zauth *zauth;
	struct upstream *upstream;
	struct publish *publish;
	struct receipts *receipts;
	struct settle_book *settles;
	struct tasks *tasks;
	struct wanted *wanted;
	struct link *links[LINKS_MAX];
	unsigned n_links;
	struct admin_http *admin;
	uv_timer_t drain;
	unsigned bye_looks;
	bool said_bye;
};

/* --- what the parts say to each other --- */

static enum err send_to(void *arg, unsigned to, struct slice bytes)
{
	struct worker *w = arg;

	return link_send(w->links[to], bytes);
}

static void send_settle(void *arg, unsigned to, struct slice bytes)
{
	if (send_to(arg, to, bytes) != ERR_OK)
		log_debug("settle.later", L_U("broker", to)); /* it is repeated until acknowledged */
}

static void say_heard(struct worker *w, unsigned to, uint64_t topic, bool present)
{
	struct heard m = { .topic = topic, .present = present };
	struct buf b = { 0 };

	heard_encode(&m, &b);
	send_to(w, to, buf_slice(&b));
	buf_free(&b);
}

static void on_heard(void *arg, uint64_t topic, bool present)
{
	struct worker *w = arg;

	log_info(present ? "gateway.heard" : "gateway.unheard", L_U("gateway", topic));
	for (unsigned i = 0; i < w->n_links; i++)
		say_heard(w, i, topic, present);
}

static void on_credit(void *arg, const struct credit *m)
{
	tasks_credit(((struct worker *)arg)->tasks, m);
}

static void on_gateway_cancel(void *arg, const struct cancel *m)
{
	tasks_gateway_cancel(((struct worker *)arg)->tasks, m);
}

static void on_room(void *arg, uint64_t topic)
{
	tasks_room(((struct worker *)arg)->tasks, topic);
}

static void on_lost(void *arg, uint64_t topic)
{
	tasks_lost(((struct worker *)arg)->tasks, topic);
}

static void on_work(void *arg, unsigned number, const struct work *m, struct zmsg *body)
{
	tasks_work(((struct worker *)arg)->tasks, number, m, body);
}

static void on_cancel(void *arg, const struct cancel *m)
{
	tasks_cancel(((struct worker *)arg)->tasks, m);
}

static void on_peer(void *arg, unsigned number, const struct peer *m)
{
	struct worker *w = arg;
	enum err e = publish_peer(w->publish, number, m);
	struct buf b = { 0 };

	if (e) {
		log_warn("gateway.refused", L_U("gateway", m->topic), L_ERR(e));
		return;
	}
	if (!m->present)
		return;
	peer_ok_encode(m->topic, &b);
	send_to(w, number, buf_slice(&b));
	buf_free(&b);
	if (publish_heard(w->publish, m->topic))
		say_heard(w, number, m->topic, true);
}

static void on_receipt_wanted(void *arg, unsigned number, const struct receipt_wanted *m)
{
	struct worker *w = arg;

	if (!tasks_has(w->tasks, m->ref.rid))
		wanted_get(w->wanted, number, m);
}

static void on_settled(void *arg, const struct settled *m)
{
	settle_done(((struct worker *)arg)->settles, m);
}

static void on_welcome(void *arg, unsigned number)
{
	struct worker *w = arg;

	tasks_announce(w->tasks, number);
	settle_resend(w->settles, number);
}

static uint32_t on_inflight(void *arg, unsigned number)
{
	struct worker *w = arg;

	return (uint32_t)(tasks_count_for(w->tasks, number) + settle_count_for(w->settles, number));
}

static uint32_t on_load(void *arg)
{
	return (uint32_t)tasks_count(((struct worker *)arg)->tasks);
}

static bool on_ready(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < w->n_links; i++) {
		if (link_up(w->links[i]))
			return true;
	}
	return false;
}

/* Nodes give their own addresses: none of them may point inside. */
static bool allow_address(void *arg, const struct sockaddr *sa)
{
	struct worker *w = arg;

	return !upstream_address_inward(sa) || networks_hold(w->networks, sa);
}

/* --- draining --- */

static void on_drain_look(uv_timer_t *t)
{
	struct worker *w = t->data;

	if (w->said_bye) {
		if (++w->bye_looks >= BYE_LOOKS)
			loop_stop(w->loop);
		return;
	}
	if (tasks_count(w->tasks) || settle_count(w->settles) || wanted_count(w->wanted))
		return;
	for (unsigned i = 0; i < w->n_links; i++)
		link_bye(w->links[i]);
	w->said_bye = true;
}

static void on_drain(void *arg)
{
	struct worker *w = arg;

	tasks_drain(w->tasks);
	for (unsigned i = 0; i < w->n_links; i++)
		link_drain(w->links[i]);
	uv_timer_start(&w->drain, on_drain_look, 0, DRAIN_LOOK_MS);
}

/* --- making the parts --- */

static enum err load_sign_key(const char *path, const char *setting, struct sign_key **out)
{
	uint8_t seed[KEY_BYTES];
	enum err e;

	if (!*path) {
		log_error("config", L_S("setting", setting),
			  L_S("do", "name a key file; sealway keys new makes it"));
		return ERR_CONFIG;
	}
	e = key_load(path, seed);
	if (!e)
		*out = sign_key_new(seed);
	mem_wipe(seed, sizeof(seed));
	return e;
}

static enum err load_curve(struct worker *w)
{
	struct zcurve *s = &w->server, *c = &w->client;
	enum err e;

	if (!*w->conf.curve_key)
		return ERR_OK;
	e = key_load(w->conf.curve_key, s->secret_key);
	if (e)
		return e;
	zcurve_public(s->public_key, s->secret_key);
	s->on = s->server = true;
	if (!*w->conf.broker_key)
		return ERR_OK;
	*c = *s;
	c->server = false;
	return key_load_public(w->conf.broker_key, c->server_key);
}

static enum err load_secrets(struct worker *w)
{
	enum err e = load_sign_key(w->conf.request_key, "request_key", &w->keys.request);

	if (!e)
		e = load_sign_key(w->conf.auth_key, "auth_key", &w->keys.auth);
	if (!e)
		e = load_curve(w);
	if (!e)
		e = networks_parse(w->conf.node_networks, &w->networks);
	if (e == ERR_CONFIG && !w->networks)
		log_error("config", L_S("do", "check node_networks (CIDR), request_key and auth_key"));
	return e;
}

/* The XPUB endpoint speaks CURVE on tcp only: on ipc the directory's mode guards. */
static bool curve_on(const struct worker *w, const char *endpoint)
{
	return w->server.on && strncmp(endpoint, "tcp://", 6) == 0;
}

static enum err open_publish(struct worker *w)
{
	struct publish_opts o = {
		.zctx = w->zctx,
		.uv = loop_uv(w->loop),
		.bind = w->conf.publish,
		.insecure = w->conf.insecure,
		.queue_max = w->conf.topic_queue,
		.grace_ms = INTERVAL_MS * SILENT_INTERVALS,
		.ev = { on_heard, on_credit, on_gateway_cancel, on_room, on_lost, w },
	};

	if (curve_on(w, w->conf.publish)) {
		w->zauth = zauth_open(w->zctx, loop_uv(w->loop));
		o.zauth = w->zauth;
		o.curve = w->server;
	}
	return publish_open(&o, &w->publish);
}

static enum err open_link(struct worker *w, const char *endpoint)
{
	struct link_opts o = {
		.zctx = w->zctx,
		.uv = loop_uv(w->loop),
		.number = w->n_links,
		.endpoint = endpoint,
		.insecure = w->conf.insecure,
		.instance = w->instance,
		.advertise = *w->conf.advertise ? w->conf.advertise : publish_endpoint(w->publish),
		.key = w->zauth ? w->server.public_key : NULL,
		.capacity = (uint32_t)w->conf.capacity,
		.interval_ms = INTERVAL_MS,
		.ev = { on_work, on_cancel, on_peer, on_receipt_wanted, on_settled, on_welcome, on_inflight,
			on_load, w },
	};
	enum err e;

	if (w->client.on && curve_on(w, endpoint))
		o.curve = w->client;
	e = link_open(&o, &w->links[w->n_links]);
	if (!e)
		w->n_links++;
	return e;
}

static enum err open_links(struct worker *w)
{
	char *copy = mem_strndup(w->conf.brokers, strlen(w->conf.brokers)), *save = NULL;
	enum err e = ERR_OK;

	for (char *t = strtok_r(copy, " ", &save); t && !e; t = strtok_r(NULL, " ", &save))
		e = w->n_links < LINKS_MAX ? open_link(w, t) : ERR_CONFIG;
	free(copy);
	if (!e && w->n_links == 0)
		e = ERR_CONFIG;
	if (e)
		log_error("config", L_S("setting", "brokers"),
			  L_S("do", "name one to eight endpoints of brokers"));
	return e;
}

static void make_parts(struct worker *w)
{
	uv_loop_t *uv = loop_uv(w->loop);
	struct upstream_opts up = {
		.ca_file = w->conf.ca_file,
		.max_idle = (unsigned)w->conf.capacity,
		.allow_address = allow_address,
		.arg = w,
	};
	struct receipts_opts ro = {
		.uv = uv,
		.keys = &w->keys,
		.connect_ms = w->conf.connect_s * 1000,
		.pace_ms = RECEIPTS_PACE_MS,
	};
	struct tasks_opts to = {
		.uv = uv,
		.conf = &w->conf,
		.instance = w->instance,
		.publish = w->publish,
		.keys = &w->keys,
		.send = send_to,
		.arg = w,
	};

	to.upstream = ro.upstream = w->upstream = upstream_new(uv, &up);
	to.receipts = w->receipts = receipts_new(&ro);
	to.settles = w->settles = settle_book_new(uv, send_settle, w);
	w->tasks = tasks_new(&to);
	w->wanted = wanted_new(w->receipts, w->settles, w->conf.capacity);
}

static enum err write_ready(struct worker *w)
{
	struct buf b = { 0 };
	enum err e;

	if (!*w->conf.ready_file)
		return ERR_OK;
	buf_fmt(&b, "{\"pid\":%ld,\"listen\":\"", (long)getpid());
	buf_json(&b, slice_str(publish_endpoint(w->publish)));
	buf_str(&b, "\",\"admin\":\"");
	if (w->admin) {
		const char *colon = strrchr(w->conf.admin_listen, ':');

		buf_json(&b,
			 slice_of(w->conf.admin_listen, colon ? (size_t)(colon - w->conf.admin_listen) : 0));
		buf_fmt(&b, ":%u", admin_http_port(w->admin));
	}
	buf_str(&b, "\"}\n");
	buf_add(&b, "", 1);
	e = ready_file_write(w->conf.ready_file, (const char *)b.p);
	buf_free(&b);
	return e;
}

static enum err start(struct worker *w)
{
	struct loop_events ev = { .drain = on_drain, .drain_ms = w->conf.drain_s * 1000, .arg = w };
	enum err e;

	w->loop = loop_new(&ev);
	uv_timer_init(loop_uv(w->loop), &w->drain);
	w->drain.data = w;
	w->zctx = zctx_new();
	randombytes_buf(&w->instance, sizeof(w->instance));
	e = load_secrets(w);
	if (!e)
		e = open_publish(w);
	if (e)
		return e;
	make_parts(w);
	e = open_links(w);
	if (!e)
		e = admin_http_open(&w->admin, loop_uv(w->loop), w->conf.admin_listen, on_ready, w);
	if (!e)
		e = write_ready(w);
	return e;
}

static void stop(struct worker *w)
{
	admin_http_close(w->admin);
	for (unsigned i = 0; i < w->n_links; i++)
		link_close(w->links[i]);
	wanted_free(w->wanted);
	tasks_free(w->tasks);
	settle_book_free(w->settles);
	receipts_free(w->receipts);
	upstream_free(w->upstream);
	publish_close(w->publish);
	zauth_close(w->zauth);
	uv_close((uv_handle_t *)&w->drain, NULL);
	loop_free(w->loop);
	zctx_free(w->zctx);
	networks_free(w->networks);
	sign_key_free(w->keys.request);
	sign_key_free(w->keys.auth);
	mem_wipe(&w->server, sizeof(w->server));
	mem_wipe(&w->client, sizeof(w->client));
}

static int run(struct worker *w)
{
	enum log_level level;
	int status = 1;

	if (log_level_parse(w->conf.log_level, &level)) {
		fprintf(stderr, "log_level must be debug, info, warn or error\n");
		return 2;
	}
	log_init("sealway-worker", level, w->conf.log_json);
	metrics_init();
	if (start(w) == ERR_OK) {
		log_info("worker.started", L_S("publish", publish_endpoint(w->publish)),
			 L_U("instance", w->instance));
		loop_ready(w->loop);
		status = loop_run(w->loop);
	}
	stop(w);
	log_info("worker.ended", L_I("status", status));
	return status;
}

int main(int argc, char **argv)
{
	static struct worker w;
	int status;

	loop_harden();
	switch (conf_load(&worker_conf_spec, &w.conf, argc, argv)) {
	case CONF_RUN:
		status = sodium_init() < 0 ? 1 : run(&w);
		break;
	case CONF_EXIT:
		status = 0;
		break;
	default:
		status = 2;
	}
	conf_free(&worker_conf_spec, &w.conf);
	return status;
}
