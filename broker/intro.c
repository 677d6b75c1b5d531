/* SPDX-License-Identifier: Apache-2.0
 *
 * The four steps of an introduction (intro.h).  Jobs of a gateway go only to
 * workers whose HEARD was the last word about its topic.
 */
#include "broker/intro.h"

#include "broker/metrics.h"
#include "broker/router.h"
#include "broker/task.h"
#include "proto/peer.h"

static struct slice key_slice(bool has, const uint8_t *key)
{
	return has ? slice_of(key, KEY_BYTES) : slice_of(NULL, 0);
}

static void send_peer(struct broker *b, const struct party *worker, const struct party *gateway, bool present)
{
	struct peer m = { .topic = gateway->instance,
			  .key = key_slice(gateway->has_key, gateway->key),
			  .present = present };
	struct buf msg = { 0 };

	peer_encode(&m, &msg);
	router_send(b, worker, &msg);
}

static void send_intro(struct broker *b, const struct party *gateway, const struct party *worker,
		       bool present)
{
	struct intro m = { .worker = worker->instance,
			   .endpoint = slice_str(worker->endpoint),
			   .key = key_slice(worker->has_server_key, worker->server_key),
			   .present = present };
	struct buf msg = { 0 };

	intro_encode(&m, &msg);
	router_send(b, gateway, &msg);
}

void intro_newcomer(struct broker *b, const struct party *p)
{
	if (p->role == ROLE_WORKER) {
		for (const struct party *g = b->peers->list[ROLE_GATEWAY]; g; g = g->next)
			send_peer(b, p, g, true);
	} else {
		for (const struct party *w = b->peers->list[ROLE_WORKER]; w; w = w->next)
			send_peer(b, w, p, true);
	}
}

void intro_worker_gone(struct broker *b, const struct party *worker)
{
	for (const struct party *g = b->peers->list[ROLE_GATEWAY]; g; g = g->next)
		send_intro(b, g, worker, false);
}

void intro_gateway_gone(struct broker *b, const struct party *gateway)
{
	for (struct party *w = b->peers->list[ROLE_WORKER]; w; w = w->next) {
		map_del(w->topics, &gateway->instance);
		send_peer(b, w, gateway, false);
	}
}

void peers_ok(struct broker *b, struct party *p, struct slice msg)
{
	const struct party *gateway;
	uint64_t topic;

	if (peer_ok_decode(msg, &topic) != ERR_OK)
		return;
	gateway = peers_by_instance(b, topic, ROLE_GATEWAY);
	if (gateway)
		send_intro(b, gateway, p, true);
}

void peers_heard(struct broker *b, struct party *p, struct slice msg)
{
	struct heard m;

	if (heard_decode(msg, &m) != ERR_OK)
		return;
	if (!m.present) {
		map_del(p->topics, &m.topic);
	} else if (peers_by_instance(b, m.topic, ROLE_GATEWAY)) {
		map_put(p->topics, &m.topic, p);
		task_pump(b);
	}
}
