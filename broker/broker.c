/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's parts, opened in order and closed in reverse (broker.h).  The
 * ledger comes first: its lease keeps a second broker from the same sockets.
 * Nothing is served before the ledger has been proved.
 */
#include "broker/broker.h"

#include <stdlib.h>

#include <sodium.h>

#include "broker/admin.h"
#include "broker/allow.h"
#include "broker/lock.h"
#include "broker/peers.h"
#include "broker/probe.h"
#include "broker/purge.h"
#include "broker/queue.h"
#include "broker/router.h"
#include "broker/silence.h"
#include "broker/task.h"
#include "common/log.h"

#define BACKLOG_MAX 100000

bool broker_can_write(const struct broker *b)
{
	return store_healthy(b->store) && store_backlog(b->store) <= BACKLOG_MAX;
}

enum err broker_admits(const struct broker *b)
{
	return b->draining || !broker_can_write(b) ? ERR_UNAVAILABLE : ERR_OK;
}

void broker_keep(struct broker *b, struct store_op *op)
{
	if (op)
		store_submit(b->store, op);
}

void broker_commit(struct broker *b, struct store_op *op, void (*done)(void *arg, enum err result), void *arg)
{
	op->done = done;
	op->arg = arg;
	store_submit(b->store, op);
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

static void on_store_failing(void *arg)
{
	task_refuse_waiting(arg);
	lock_refuse_waiting(arg);
}

static enum err open_ledger(struct broker *b)
{
	struct loading l = { b, ERR_OK };
	enum err e = store_open(&b->store, b->uv, b->conf.database, &b->epoch);

	if (e != ERR_OK)
		return e;
	if (!store_check(b->conf.database, on_problem, NULL)) {
		log_error("ledger_refused", L_S("database", b->conf.database),
			  L_S("advice", "if it cannot be read, mend that; else restore a backup, or repair "
					"it with the broker stopped"));
		return ERR_FORMAT;
	}
	e = store_load(b->store, on_row, &l);
	if (e == ERR_OK)
		e = l.result;
	if (e == ERR_OK && !ledger_check(b->ledger, on_problem, NULL))
		e = ERR_FORMAT;
	uv_update_time(b->uv); /* reading a large ledger takes long: what is timed from now on begins now */
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

	if (!b->tasks) /* the start was refused before there were any parts */
		return;
	while ((t = map_next(b->tasks, &pos)) != NULL) {
		alarm_off(b->alarms, &t->alarm);
		task_free(b, t);
	}
	map_free(b->tasks);
}

enum err broker_open(struct broker *b, uv_loop_t *uv)
{
	enum err e;

	b->uv = uv;
	make_parts(b);
	e = networks_parse(b->conf.node_networks, &b->networks);

	if (e == ERR_OK)
		e = open_ledger(b);
	if (e == ERR_OK)
		e = router_open(b);
	if (e == ERR_OK)
		e = admin_open(b);
	if (e != ERR_OK)
		return e;
	store_on_failing(b->store, on_store_failing, b);
	task_recover(b);
	silence_start(b);
	probe_start(b);
	if (b->zauth)
		allow_start(b);
	purge_start(b);
	return router_selftest(b);
}

void broker_close(struct broker *b)
{
	allow_stop(b);
	zsock_close(b->desk);
	zsock_close(b->bus);
	b->desk = b->bus = NULL;
	zauth_close(b->zauth);
	verify_close(b->verify);
	readings_close(b->readings);
	store_close(b->store);
	free_tasks(b);
	queue_free(b->queue);
	peers_free(b->peers);
	ledger_free(b->ledger);
	registry_free(b->registry);
	networks_free(b->networks);
	clock_close(b->clock);
}
