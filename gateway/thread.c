/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop thread: its parts are made in order on the thread itself and taken
 * apart in reverse.  Clients are let in once it has met a broker, so that nobody who
 * was turned away by the process before is refused by this one; or after MEET_MS
 * without one, to be told so.  Ending has two steps, because libzmq drops what it has not
 * written when a socket closes: goodbyes and cancels go out first, the sockets
 * close LINGER_MS later.
 */
#include "gateway/thread.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/httpd/httpd.h"
#include "common/log.h"
#include "gateway/gw.h"
#include "gateway/inflight.h"
#include "gateway/link.h"
#include "gateway/reply.h"
#include "gateway/serve.h"
#include "gateway/stream.h"
#include "gateway/workers.h"

#define LINGER_MS 100
#define SWEEP_MS 30000
#define MEET_MS 500

#define SOCKETS_OTHER 16 /* of a thread: towards brokers */

struct thread {
	struct thread_opts o;
	uv_thread_t id;
	uv_loop_t uv;
	uv_async_t wake;
	uv_timer_t linger, sweep;
	uv_sem_t started, serving;
	uv_mutex_t lock; /* around wakeable: nobody may wake a loop that is being closed */
	bool wakeable;
	enum err err, served; /* of the start's two steps */
	uint16_t port;
	atomic_bool want_drain, want_cut;
	bool ending;
	struct gw gw;
};

static void close_parts(struct thread *t)
{
	struct gw *gw = &t->gw;

	uv_mutex_lock(&t->lock);
	t->wakeable = false;
	uv_mutex_unlock(&t->lock);
	if (gw->inflight)
		stream_cut_all(gw);
	httpd_close(gw->http);
	link_close(gw->link);
	workers_close(gw->workers);
	inflight_free(gw->inflight);
	uv_close((uv_handle_t *)&t->wake, NULL);
	uv_close((uv_handle_t *)&t->linger, NULL);
	uv_close((uv_handle_t *)&t->sweep, NULL);
}

static void on_linger(uv_timer_t *timer)
{
	close_parts(timer->data);
}

static void end(struct thread *t)
{
	if (t->ending)
		return;
	t->ending = true;
	atomic_store(&t->gw.up, false);
	link_bye(t->gw.link);
	uv_timer_start(&t->linger, on_linger, LINGER_MS, 0);
}

static void on_drained(void *arg)
{
	end(arg);
}

static void on_wake(uv_async_t *a)
{
	struct thread *t = a->data;

	if (atomic_load(&t->want_drain) && !t->gw.draining) {
		t->gw.draining = true;
		link_drain(t->gw.link);
		httpd_drain(t->gw.http, on_drained, t);
	}
	if (atomic_load(&t->want_cut) && !t->ending) {
		stream_cut_all(&t->gw);
		end(t);
	}
}

static uint32_t on_load(void *arg)
{
	struct gw *gw = arg;

	return (uint32_t)inflight_count(gw->inflight);
}

static void on_up(void *arg, bool forgotten)
{
	struct gw *gw = arg;

	atomic_store(&gw->up, true);
	workers_mark(gw->workers);
	if (forgotten)
		stream_forgotten(gw);
	else
		stream_ask_all(gw);
}

static void on_sweep(uv_timer_t *timer)
{
	struct thread *t = timer->data;

	if (link_up(t->gw.link))
		workers_sweep(t->gw.workers);
}

/* All threads share one context: each gets a part of its sockets, those to the brokers left out. */
static size_t workers_share(const struct gw_conf *c)
{
	size_t share = ZCTX_SOCKETS_MAX / c->threads - SOCKETS_OTHER;

	return share < WORKERS_MAX ? share : WORKERS_MAX;
}

static void open_workers(struct thread *t)
{
	const struct workers_opts wo = {
		.topic = t->gw.topic,
		.max = workers_share(t->o.conf),
		.insecure = t->o.conf->insecure,
		.curve = t->o.curve,
		.frame = stream_frame,
		.gone = stream_worker_gone,
		.busy = stream_worker_busy,
		.arg = &t->gw,
	};

	t->gw.workers = workers_open(t->o.zctx, &t->uv, &wo);
}

static enum err open_link(struct thread *t)
{
	char host[32] = "", name[64];
	struct link_opts lo = {
		.brokers = t->o.conf->brokers,
		.insecure = t->o.conf->insecure,
		.curve = t->o.curve,
		.name = name,
		.topic = t->gw.topic,
		.heartbeat_ms = t->o.conf->heartbeat_ms,
		.window = t->o.conf->body_budget,
		.load = on_load,
		.up = on_up,
		.down = stream_broker_gone,
		.msg = reply_msg,
		.arg = &t->gw,
	};
	enum err e;

	gethostname(host, sizeof(host) - 1);
	snprintf(name, sizeof(name), "%s:%d:%u", host, (int)getpid(), t->o.index);
	e = link_open(&t->gw.link, t->o.broker_zctx, &t->uv, &lo);
	mem_wipe(&lo.curve, sizeof(lo.curve));
	return e;
}

static enum err open_http(struct thread *t)
{
	const struct gw_conf *c = t->o.conf;
	const struct httpd_opts ho = {
		.listen = t->o.listen,
		.reuseport = c->threads > 1,
		.later = true,
		.tls = t->o.tls,
		.max_body = c->max_body,
		.body_budget = c->body_budget,
		.answer_budget = c->answer_budget,
		.max_requests = (unsigned)(10 * c->max_conns), /* some 5 KB each while they wait */
		.head_ms = c->head_ms,
		.body_ms = c->body_ms,
		.idle_ms = c->idle_ms,
		.stall_ms = c->stall_ms,
		.max_conns = (unsigned)c->max_conns,
		.on_request = serve_request,
		.arg = &t->gw,
	};
	enum err e = httpd_open(&t->gw.http, &t->uv, &ho);

	if (e == ERR_OK)
		t->port = httpd_port(t->gw.http);
	return e;
}

static void open_handles(struct thread *t)
{
	BUG_ON(uv_loop_init(&t->uv) != 0);
	BUG_ON(uv_async_init(&t->uv, &t->wake, on_wake) != 0);
	t->wakeable = true;
	uv_timer_init(&t->uv, &t->linger);
	uv_timer_init(&t->uv, &t->sweep);
	t->wake.data = t->linger.data = t->sweep.data = t;
	uv_timer_start(&t->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

static enum err open_parts(struct thread *t)
{
	enum err e;

	open_handles(t);
	t->gw.conf = t->o.conf;
	t->gw.uv = &t->uv;
	t->gw.window_room = WINDOW_ROOM;
	randombytes_buf(&t->gw.topic, sizeof(t->gw.topic));
	t->gw.inflight = inflight_new(&t->gw, stream_due);
	open_workers(t);
	e = open_link(t);
	return e == ERR_OK ? open_http(t) : e;
}

/* Turns the loop until there is a broker, or no more time for that, and lets clients in. */
static enum err serve(struct thread *t)
{
	uint64_t until = uv_now(&t->uv) + MEET_MS;

	/* the link turns it, too, while it looks for a broker */
	while (!link_up(t->gw.link) && !t->gw.draining && !t->ending && uv_now(&t->uv) < until)
		uv_run(&t->uv, UV_RUN_ONCE);
	return t->gw.draining || t->ending ? ERR_OK : httpd_listen(t->gw.http);
}

static void run(void *arg)
{
	struct thread *t = arg;
	enum err e = open_parts(t);

	t->err = e;
	uv_sem_post(&t->started);
	if (e == ERR_OK)
		t->served = e = serve(t);
	if (e != ERR_OK)
		close_parts(t);
	uv_sem_post(&t->serving);
	uv_run(&t->uv, UV_RUN_DEFAULT);
	if (uv_loop_close(&t->uv) != 0)
		log_warn("thread.handles_left");
	if (e == ERR_OK)
		t->o.ended(t->o.arg);
}

enum err thread_start(struct thread **out, const struct thread_opts *o)
{
	struct thread *t = mem_new(sizeof(*t));
	enum err e;

	t->o = *o;
	BUG_ON(uv_sem_init(&t->started, 0) != 0 || uv_sem_init(&t->serving, 0) != 0);
	BUG_ON(uv_mutex_init(&t->lock) != 0);
	BUG_ON(uv_thread_create(&t->id, run, t) != 0);
	uv_sem_wait(&t->started);
	e = t->err;
	if (e == ERR_OK)
		*out = t;
	else
		thread_join(t);
	return e;
}

enum err thread_serves(struct thread *t)
{
	uv_sem_wait(&t->serving);
	return t->served;
}

uint16_t thread_port(const struct thread *t)
{
	return t->port;
}

bool thread_up(const struct thread *t)
{
	return atomic_load(&t->gw.up);
}

static void wake(struct thread *t)
{
	uv_mutex_lock(&t->lock);
	if (t->wakeable)
		uv_async_send(&t->wake);
	uv_mutex_unlock(&t->lock);
}

void thread_drain(struct thread *t)
{
	atomic_store(&t->want_drain, true);
	wake(t);
}

void thread_cut(struct thread *t)
{
	atomic_store(&t->want_cut, true);
	wake(t);
}

void thread_join(struct thread *t)
{
	if (!t)
		return;
	uv_thread_join(&t->id);
	uv_sem_destroy(&t->started);
	uv_sem_destroy(&t->serving);
	uv_mutex_destroy(&t->lock);
	mem_wipe(&t->o.curve, sizeof(t->o.curve));
	free(t);
}
