/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes the parts of a worker in order (secrets, sockets, parts, links, admin
 * listener) and takes them apart in reverse (worker.h).
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/endpoints.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "common/zprobe.h"
#include "worker/worker.h"

#define INTERVAL_MS 1000
/* A gateway that was away may knock before the broker has named it anew. */
#define STRANGERS                                                                                            \
	"nothing, while it does not go on: the broker names the gateways that may connect here, and "        \
	"revokes their keys"

/* Nodes give their own addresses: none of them may point inside.  Asked at every connect. */
static bool allow_address(void *arg, const struct sockaddr *sa, bool tls)
{
	return networks_allow(((struct worker *)arg)->networks, sa, tls);
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
		.ev = worker_publish_events(w),
	};

	if (curve_on(w, w->conf.publish)) {
		w->zauth = zauth_open(w->zctx, loop_uv(w->loop), STRANGERS);
		o.zauth = w->zauth;
		o.curve = w->server;
	}
	return publish_open(&o, &w->publish);
}

static enum err open_link(void *arg, const char *endpoint)
{
	struct worker *w = arg;
	struct link_opts o = {
		.zctx = w->broker_zctx,
		.uv = loop_uv(w->loop),
		.number = w->n_links,
		.endpoint = endpoint,
		.insecure = w->conf.insecure,
		.instance = w->instance,
		.advertise = *w->conf.advertise ? w->conf.advertise : publish_endpoint(w->publish),
		.key = w->zauth ? w->server.public_key : NULL,
		.capacity = (uint32_t)w->conf.capacity,
		.interval_ms = INTERVAL_MS,
		.ev = worker_link_events(w),
	};
	enum err e;

	if (w->client.on && curve_on(w, endpoint))
		o.curve = w->client;
	e = link_open(&o, &w->links[w->n_links]);
	if (!e)
		w->n_links++;
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
		.send = worker_send,
		.arg = w,
	};

	to.upstream = ro.upstream = w->upstream = upstream_new(uv, &up);
	to.receipts = w->receipts = receipts_new(&ro);
	to.settles = w->settles = settle_book_new(uv, worker_send_settle, w);
	w->tasks = tasks_new(&to);
	w->wanted = wanted_new(w->receipts, w->settles, w->conf.capacity);
	w->probes = probes_new(w->upstream, worker_send_probed, w);
}

/* A stranger's key has to be refused before we serve anybody.  Turns the loop:
 * everything is there already. */
static enum err probe(struct worker *w)
{
	if (!w->zauth)
		return ERR_OK;
	return zprobe(w->zauth, w->zctx, loop_uv(w->loop), ZSOCK_XSUB, publish_endpoint(w->publish),
		      w->server.public_key);
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

enum err worker_start(struct worker *w)
{
	struct loop_events ev = { .drain = worker_drain, .drain_ms = w->conf.drain_s * 1000, .arg = w };
	enum err e;

	w->loop = loop_new(&ev);
	uv_timer_init(loop_uv(w->loop), &w->drain);
	w->drain.data = w;
	w->zctx = zctx_new();
	w->broker_zctx = endpoints_named(w->conf.brokers) ? zctx_new() : w->zctx;
	randombytes_buf(&w->instance, sizeof(w->instance));
	e = ready_file_forget(w->conf.ready_file);
	if (!e)
		e = worker_load(w);
	if (!e)
		e = open_publish(w);
	if (e)
		return e;
	make_parts(w);
	e = endpoints_each(w->conf.brokers, open_link, w);
	if (!e)
		e = admin_http_open(&w->admin, loop_uv(w->loop), w->conf.admin_listen, worker_ready, w);
	if (!e)
		e = probe(w);
	if (!e)
		e = sandbox_calls(w->conf.seccomp);
	if (!e)
		e = write_ready(w);
	return e;
}

void worker_stop(struct worker *w)
{
	admin_http_close(w->admin);
	for (unsigned i = 0; i < w->n_links; i++)
		link_close(w->links[i]);
	probes_free(w->probes);
	wanted_free(w->wanted);
	tasks_free(w->tasks);
	settle_book_free(w->settles);
	receipts_free(w->receipts);
	upstream_free(w->upstream);
	publish_close(w->publish);
	zauth_close(w->zauth);
	if (w->loop) /* made with the loop, not before */
		uv_close((uv_handle_t *)&w->drain, NULL);
	loop_free(w->loop);
	if (w->broker_zctx != w->zctx)
		zctx_free(w->broker_zctx);
	zctx_free(w->zctx);
	worker_unload(w);
}
