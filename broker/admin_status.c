/* SPDX-License-Identifier: Apache-2.0
 *
 * status {} and peer.list {}: how the broker is, and who is connected.
 */
#include "broker/admin.h"
#include "broker/peers.h"
#include "broker/queue.h"

void admin_status(struct admin_call *c, const json_t *args)
{
	const struct broker *b = admin_broker(c);
	unsigned gateways = 0, workers = 0;

	(void)args;
	for (const struct party *p = b->peers->list[ROLE_GATEWAY]; p; p = p->next)
		gateways++;
	for (const struct party *p = b->peers->list[ROLE_WORKER]; p; p = p->next)
		workers++;
	admin_ok(c, json_pack("{s:s, s:I, s:b, s:b, s:I, s:I, s:I, s:I, s:I}", "version", SEALWAY_VERSION,
			      "epoch", (json_int_t)b->epoch, "draining", b->draining, "database_writable",
			      store_healthy(b->store), "gateways", (json_int_t)gateways, "workers",
			      (json_int_t)workers, "inflight", (json_int_t)map_count(b->tasks), "queued",
			      (json_int_t)queue_count(b->queue), "store_backlog",
			      (json_int_t)store_backlog(b->store)));
}

static void add_peers(const struct broker *b, enum role role, const char *name, json_t *list)
{
	for (const struct party *p = b->peers->list[role]; p; p = p->next)
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:s, s:I, s:I, s:I}",
					"role", name, "name", p->name, "version", p->version, "instance",
					(json_int_t)(p->instance & INT64_MAX), "tasks",
					(json_int_t)p->n_tasks, "capacity", (json_int_t)p->capacity, "load",
					(json_int_t)p->load, "draining", p->draining, "endpoint", p->endpoint,
					"hears", (json_int_t)map_count(p->topics), "refused_by",
					(json_int_t)p->n_refusals, "failures", (json_int_t)p->failures));
}

void admin_peer_list(struct admin_call *c, const json_t *args)
{
	const struct broker *b = admin_broker(c);
	json_t *list = json_array();

	(void)args;
	add_peers(b, ROLE_GATEWAY, "gateway", list);
	add_peers(b, ROLE_WORKER, "worker", list);
	admin_ok(c, json_pack("{s:o}", "peers", list));
}
