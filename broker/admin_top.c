/* SPDX-License-Identifier: Apache-2.0
 *
 * top {}: one sample of what the broker counts and of who does the work.  Rates
 * are the asker's: counters only grow, and ms says when they were read.
 */
#include "broker/admin.h"
#include "broker/metrics.h"
#include "broker/peers.h"
#include "broker/queue.h"
#include "broker/refusal.h"
#include "broker/task.h"

static json_int_t value(const struct stat_value *s)
{
	return (json_int_t)atomic_load_explicit(&s->value, memory_order_relaxed);
}

static json_t *counts(const struct broker *b)
{
	const struct task *t;
	json_int_t streams = 0;
	size_t pos = 0;

	while ((t = map_next(b->tasks, &pos)) != NULL)
		streams += t->stream && (t->state == TASK_POSTED || t->state == TASK_ASSIGNED);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "requests", value(&metrics.jobs),
			 "units", value(&metrics.units_billed), "locks", value(&metrics.locks), "purchases",
			 value(&metrics.purchases), "faults", value(&metrics.node_faults), "inflight",
			 (json_int_t)map_count(b->tasks), "streams", streams, "queued",
			 (json_int_t)queue_count(b->queue), "backlog", (json_int_t)store_backlog(b->store));
}

static json_t *nodes(const struct broker *b)
{
	json_t *list = json_array();
	const struct node *n;
	size_t pos = 0;

	while ((n = registry_next_node(b->registry, &pos)) != NULL) {
		json_int_t running = 0, locks = 0, models = 0;

		if (n->row.state == NODE_REMOVED)
			continue;
		for (const struct sub *s = n->subs; s; s = s->next_of_node) {
			running += s->running;
			locks += s->locks;
			models += s->active;
		}
		json_array_append_new(list, json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:I}", "node",
						      (json_int_t)n->row.id, "state", admin_node_state(b, n),
						      "running", running, "locks", locks, "models", models,
						      "faults", (json_int_t)n->row.faults, "workers_refused",
						      (json_int_t)refusal_count(b, n->row.id)));
	}
	return list;
}

static json_t *workers(const struct broker *b)
{
	json_t *list = json_array();

	for (const struct party *p = b->peers->list[ROLE_WORKER]; p; p = p->next)
		json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:b, s:I, s:I, s:I}", "worker",
						      p->name, "tasks", (json_int_t)p->n_tasks, "capacity",
						      (json_int_t)p->capacity, "draining", p->draining,
						      "gateways", (json_int_t)map_count(p->topics),
						      "refused_by", (json_int_t)p->n_refusals, "failures",
						      (json_int_t)p->failures));
	return list;
}

void admin_top(struct admin_call *c, const json_t *args)
{
	const struct broker *b = admin_broker(c);
	unsigned gateways = 0;

	(void)args;
	for (const struct party *p = b->peers->list[ROLE_GATEWAY]; p; p = p->next)
		gateways++;
	admin_ok(c, json_pack("{s:I, s:b, s:b, s:I, s:o, s:o, s:o}", "ms", (json_int_t)broker_ms(b),
			      "draining", b->draining, "database_writable", store_healthy(b->store),
			      "gateways", (json_int_t)gateways, "counts", counts(b), "nodes", nodes(b),
			      "workers", workers(b)));
}
