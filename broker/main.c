/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway-broker.  Start: configuration, ledger (its lease keeps a second broker
 * from the same sockets, so it comes before they are bound), proof that it adds
 * up, memory, sockets, loop.  SIGTERM drains: nothing new is admitted, what is in
 * flight is settled, then exit 0; a second one or drain_s cuts.  SIGHUP reads the
 * allow-list again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "broker/admin.h"
#include "broker/broker.h"
#include "broker/metrics.h"
#include "broker/peers.h"
#include "broker/queue.h"
#include "broker/router.h"
#include "broker/task.h"
#include "common/httpd/admin.h"
#include "common/log.h"

#define DRAIN_LOOK_MS 20

static void on_drained(void *arg, struct alarm *a)
{
	struct broker *b = arg;

	if (map_count(b->tasks) == 0 && store_backlog(b->store) == 0)
		loop_stop(b->loop);
	else
		alarm_set(b->alarms, a, broker_ms(b) + DRAIN_LOOK_MS, on_drained);
}

static void on_drain(void *arg)
{
	struct broker *b = arg;

	b->draining = true;
	log_info("draining", L_U("inflight", map_count(b->tasks)));
	alarm_set(b->alarms, &b->drain_alarm, broker_ms(b), on_drained);
}

static void on_cut(void *arg)
{
	struct broker *b = arg;

	log_warn("cut", L_U("inflight", map_count(b->tasks)));
	loop_stop(b->loop);
}

static void on_reload(void *arg)
{
	struct broker *b = arg;

	if (!b->zauth)
		return;
	if (zauth_load(b->zauth, b->conf.peers) == ERR_OK)
		peers_recheck(b);
}

static bool on_ready(void *arg)
{
	const struct broker *b = arg;

	stat_set(&metrics.backlog, store_backlog(b->store));
	return !b->draining && store_healthy(b->store);
}

static void on_problem(void *arg, const char *text)
{
	(void)arg;
	log_error("ledger_broken", L_S("problem", text));
}

struct loading {
	struct broker *b;
	enum err result;
};

static void on_row(void *arg, const struct store_op *op)
{
	struct loading *l = arg;
	enum err e = registry_apply(l->b->registry, op);

	if (e == ERR_OK)
		e = ledger_apply(l->b->ledger, op);
	if (e != ERR_OK && l->result == ERR_OK) {
		log_error("ledger_broken", L_S("problem", "a row does not fit the others"),
			  L_U("kind", (uint64_t)op->kind));
		l->result = e;
	}
}

static enum err open_ledger(struct broker *b)
{
	struct loading l = { b, ERR_OK };
	enum err e = store_open(&b->store, b->uv, b->conf.database, &b->epoch);

	if (e != ERR_OK)
		return e;
	if (!store_check(b->conf.database, on_problem, NULL)) {
		log_error("ledger_refused", L_S("database", b->conf.database),
			  L_S("advice", "restore a backup, or repair it with the broker stopped"));
		return ERR_FORMAT;
	}
	e = store_load(b->store, on_row, &l);
	if (e == ERR_OK)
		e = l.result;
	if (e == ERR_OK && !ledger_check(b->ledger, on_problem, NULL))
		e = ERR_FORMAT;
	log_info("ledger_open", L_U("epoch", b->epoch), L_ERR(e));
	return e;
}

static void make_parts(struct broker *b)
{
	b->clock = clock_open(b->uv, b);
	b->alarms = clock_alarms(b->clock);
	b->ledger = ledger_new();
	b->registry = registry_new();
	b->verify = verify_open(b->uv);
	b->peers = peers_new();
	b->queue = queue_new();
	b->tasks = map_new(RID_BYTES);
	b->zctx = zctx_new();
	do {
		randombytes_buf(&b->instance, sizeof(b->instance));
	} while (b->instance == 0);
}

static void free_tasks(struct broker *b)
{
	struct task *t;
	size_t pos = 0;

	while ((t = map_next(b->tasks, &pos)) != NULL) {
		alarm_off(b->alarms, &t->alarm);
		task_free(b, t);
	}
	map_free(b->tasks);
}

static enum err say_ready(struct broker *b)
{
	struct buf t = { 0 };
	enum err e = ERR_OK;

	buf_fmt(&t, "{\"pid\":%d,\"listen\":\"", (int)getpid());
	buf_json(&t, slice_str(zsock_endpoint(b->bus)));
	buf_str(&t, "\",\"admin_socket\":\"");
	buf_json(&t, slice_str(b->conf.admin));
	buf_fmt(&t, "\",\"admin\":\"");
	if (b->conf.admin_listen[0])
		buf_fmt(&t, "%.*s:%u", (int)(strrchr(b->conf.admin_listen, ':') - b->conf.admin_listen),
			b->conf.admin_listen, admin_http_port(b->http));
	buf_str(&t, "\"}\n");
	buf_add(&t, "", 1);
	if (b->conf.ready_file[0])
		e = ready_file_write(b->conf.ready_file, (const char *)t.p);
	buf_free(&t);
	if (e == ERR_OK)
		loop_ready(b->loop);
	log_info("ready", L_U("instance", b->instance));
	return e;
}

static enum err start(struct broker *b)
{
	enum err e = networks_new(&b->networks, b->conf.node_networks);

	if (e == ERR_OK)
		e = open_ledger(b);
	if (e == ERR_OK)
		e = router_open(b);
	if (e == ERR_OK)
		e = admin_open(b);
	if (e == ERR_OK)
		e = admin_http_open(&b->http, b->uv, b->conf.admin_listen, on_ready, b);
	if (e != ERR_OK)
		return e;
	task_recover(b);
	peers_start(b);
	return say_ready(b);
}

static void stop(struct broker *b)
{
	admin_http_close(b->http);
	zsock_close(b->desk);
	zsock_close(b->bus);
	b->desk = b->bus = NULL;
	zauth_close(b->zauth);
	verify_close(b->verify);
	store_close(b->store);
	free_tasks(b);
	queue_free(b->queue);
	peers_free(b->peers);
	ledger_free(b->ledger);
	registry_free(b->registry);
	networks_free(b->networks);
	clock_close(b->clock);
	loop_free(b->loop);
	zctx_free(b->zctx);
}

static int serve(struct broker *b)
{
	const struct loop_events ev = { .drain = on_drain,
					.cut = on_cut,
					.reload = on_reload,
					.drain_ms = b->conf.drain_s * 1000,
					.arg = b };
	int status = 1;

	b->loop = loop_new(&ev);
	b->uv = loop_uv(b->loop);
	make_parts(b);
	metrics_register();
	if (start(b) == ERR_OK)
		status = loop_run(b->loop);
	stop(b);
	return status;
}

int main(int argc, char **argv)
{
	struct broker b = { .draining = false };
	enum log_level level = LOG_INFO;
	enum conf_action action = conf_load(&broker_conf_spec, &b.conf, argc, argv);
	int status = action == CONF_EXIT ? 0 : 2;

	if (action == CONF_RUN) {
		if (log_level_parse(b.conf.log_level, &level) == ERR_OK &&
		    broker_conf_check(&b.conf) == ERR_OK) {
			log_init("sealway-broker", level, b.conf.log_json);
			loop_harden();
			status = sodium_init() < 0 ? 1 : serve(&b);
		}
	}
	conf_free(&broker_conf_spec, &b.conf);
	return status;
}
