/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway-gateway: client connections on several loop threads.  The main
 * thread only has the signals and the admin listener.  Start: configuration,
 * keys, sockets, then the loop (docs/ARCHITECTURE.md); SIGTERM drains, a second
 * one or drain_s cuts; SIGHUP reads the certificate again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/endpoints.h"
#include "common/httpd/admin.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/loop.h"
#include "common/sandbox.h"
#include "gateway/conf.h"
#include "gateway/look.h"
#include "gateway/metrics.h"
#include "gateway/thread.h"

struct gateway {
	struct gw_conf conf;
	struct zcurve curve;
	struct loop *loop;
	struct zctx *zctx, *broker_zctx;
	struct httpd_tls *tls; /* NULL: clear text */
	struct admin_http *admin;
	struct thread **threads;
	unsigned n, ended;
	atomic_uint done; /* threads that have ended by themselves */
	uv_async_t wake;
	char listen[300];
	bool draining;
};

static void on_wake(uv_async_t *a)
{
	struct gateway *g = a->data;

	if (atomic_load(&g->done) == g->n)
		loop_stop(g->loop);
}

/* On a loop thread: it has nothing left to do. */
static void on_ended(void *arg)
{
	struct gateway *g = arg;

	atomic_fetch_add(&g->done, 1);
	uv_async_send(&g->wake);
}

static void on_drain(void *arg)
{
	struct gateway *g = arg;

	g->draining = true;
	for (unsigned i = 0; i < g->n; i++)
		thread_drain(g->threads[i]);
}

static void on_cut(void *arg)
{
	struct gateway *g = arg;

	for (unsigned i = 0; i < g->n; i++)
		thread_cut(g->threads[i]);
}

static void on_reload(void *arg)
{
	struct gateway *g = arg;

	if (g->tls == NULL)
		return;
	if (httpd_tls_reload(g->tls) == ERR_OK)
		log_info("gateway.certificate", L_S("file", g->conf.tls_cert));
	else
		log_error("gateway.certificate_kept", L_S("why", "the new one cannot be used"),
			  L_S("do", "mend the files, then send SIGHUP again"));
}

/* Ready: every thread can give its requests to a broker. */
static bool on_ready(void *arg)
{
	struct gateway *g = arg;

	for (unsigned i = 0; i < g->n; i++)
		if (!thread_up(g->threads[i]))
			return false;
	return g->n > 0 && !g->draining;
}

/* The host part of "host:port", brackets included. */
static int host_length(const char *listen)
{
	const char *colon = strrchr(listen, ':');

	return colon ? (int)(colon - listen) : (int)strlen(listen);
}

static enum err start_threads(struct gateway *g)
{
	struct thread_opts o = {
		.conf = &g->conf,
		.zctx = g->zctx,
		.tls = g->tls,
		.broker_zctx = g->broker_zctx,
		.curve = g->curve,
		.listen = g->conf.listen,
		.ended = on_ended,
		.arg = g,
	};
	enum err e = ERR_OK;

	g->threads = mem_new(g->conf.threads * sizeof(*g->threads));
	while (e == ERR_OK && g->n < g->conf.threads) {
		o.index = g->n;
		e = thread_start(&g->threads[g->n], &o);
		if (e != ERR_OK)
			break;
		if (g->n++ == 0) /* the others share the port that the first has found */
			snprintf(g->listen, sizeof(g->listen), "%.*s:%u", host_length(g->conf.listen),
				 g->conf.listen, thread_port(g->threads[0]));
		o.listen = g->listen;
	}
	mem_wipe(&o.curve, sizeof(o.curve));
	return e;
}

static enum err let_clients_in(struct gateway *g)
{
	enum err e = ERR_OK, one;

	for (unsigned i = 0; i < g->n; i++) {
		one = thread_serves(g->threads[i]);
		e = e == ERR_OK ? one : e;
	}
	return e;
}

static enum err say_ready(struct gateway *g)
{
	const char *admin = g->conf.admin_listen;
	struct buf b = { .p = NULL };
	enum err e = ERR_OK;

	buf_fmt(&b, "{\"pid\":%d,\"listen\":\"", (int)getpid());
	buf_json(&b, slice_str(g->listen));
	buf_fmt(&b, "\",\"port\":%u,\"admin\":\"", thread_port(g->threads[0]));
	buf_json(&b, slice_of(admin, (size_t)host_length(admin)));
	if (*admin)
		buf_fmt(&b, ":%u", admin_http_port(g->admin));
	buf_str(&b, "\"}\n");
	buf_add(&b, "", 1);
	if (*g->conf.ready_file)
		e = ready_file_write(g->conf.ready_file, (const char *)b.p);
	buf_free(&b);
	log_info("gateway.listening", L_S("listen", g->listen), L_U("threads", g->n));
	loop_ready(g->loop);
	return e;
}

static enum err start(struct gateway *g)
{
	enum err e = ready_file_forget(g->conf.ready_file);

	if (e == ERR_OK)
		e = look_curve(&g->conf, &g->curve);
	if (e == ERR_OK && *g->conf.tls_cert)
		e = httpd_tls_open(&g->tls, g->conf.tls_cert, g->conf.tls_key);
	if (e == ERR_OK)
		e = start_threads(g);
	if (e == ERR_OK)
		e = admin_http_open(&g->admin, loop_uv(g->loop), g->conf.admin_listen, on_ready, g);
	if (e == ERR_OK)
		e = sandbox_user(g->conf.user);
	if (e == ERR_OK)
		e = sandbox_calls(g->conf.seccomp);
	if (e == ERR_OK)
		e = let_clients_in(g);
	return e == ERR_OK ? say_ready(g) : e;
}

static void stop(struct gateway *g)
{
	on_cut(g); /* no effect on threads that have ended */
	for (unsigned i = 0; i < g->n; i++)
		thread_join(g->threads[i]);
	free(g->threads);
	httpd_tls_free(g->tls);
	admin_http_close(g->admin);
	uv_close((uv_handle_t *)&g->wake, NULL);
	loop_free(g->loop);
	if (g->broker_zctx != g->zctx)
		zctx_free(g->broker_zctx);
	zctx_free(g->zctx);
	mem_wipe(&g->curve, sizeof(g->curve));
}

static int run(struct gateway *g)
{
	const struct loop_events ev = {
		.drain = on_drain,
		.cut = on_cut,
		.reload = on_reload,
		.drain_ms = g->conf.drain_s * 1000,
		.arg = g,
	};
	int status = 1;

	if (g->conf.batch)
		loop_batch();
	g->loop = loop_new(&ev);
	BUG_ON(uv_async_init(loop_uv(g->loop), &g->wake, on_wake) != 0);
	g->wake.data = g;
	g->zctx = zctx_new();
	g->broker_zctx = endpoints_named(g->conf.brokers) ? zctx_new() : g->zctx;
	if (start(g) == ERR_OK)
		status = loop_run(g->loop);
	stop(g);
	return status;
}

int main(int argc, char **argv)
{
	struct gateway g = { .n = 0 };
	enum conf_action action;
	int status;

	loop_harden();
	mem_keep();
	action = conf_load(&gw_conf_spec, &g.conf, argc, argv);
	status = action == CONF_EXIT ? 0 : 2;

	if (action == CONF_RUN) {
		metrics_register();
		status = run(&g);
	}
	conf_free(&gw_conf_spec, &g.conf);
	return status;
}
