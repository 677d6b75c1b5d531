/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of a worker say to each other: each function here is a wire
 * from one part to another, and nothing more.
 */
#include "common/log.h"
#include "worker/worker.h"

enum err worker_send(void *arg, unsigned to, struct slice bytes)
{
	struct worker *w = arg;

	return link_send(w->links[to], bytes);
}

void worker_send_settle(void *arg, unsigned to, struct slice bytes)
{
	if (worker_send(arg, to, bytes) != ERR_OK)
		log_debug("settle.later", L_U("broker", to)); /* it is repeated until acknowledged */
}

static void say_heard(struct worker *w, unsigned to, uint64_t topic, bool present)
{
	struct heard m = { .topic = topic, .present = present };
	struct buf b = { 0 };

	heard_encode(&m, &b);
	worker_send(w, to, buf_slice(&b));
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
	worker_send(w, number, buf_slice(&b));
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

static void on_probe(void *arg, unsigned number, const struct probe *m)
{
	probes_ask(((struct worker *)arg)->probes, number, m);
}

void worker_send_probed(void *arg, unsigned to, const struct probed *m)
{
	struct buf b = { 0 };

	probed_encode(m, &b);
	if (worker_send(arg, to, buf_slice(&b)) != ERR_OK)
		log_debug("probed.lost", L_U("node", m->node)); /* the broker asks again by itself */
	buf_free(&b);
}

static void on_settled(void *arg, const struct settled *m)
{
	settle_done(((struct worker *)arg)->settles, m);
}

static void on_welcome(void *arg, unsigned number, bool forgotten)
{
	struct worker *w = arg;

	if (forgotten)
		tasks_forgotten(w->tasks, number);
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

bool worker_ready(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < w->n_links; i++) {
		if (link_up(w->links[i]))
			return true;
	}
	return false;
}

struct publish_events worker_publish_events(struct worker *w)
{
	return (struct publish_events){ on_heard, on_credit, on_gateway_cancel, on_room, on_lost, w };
}

struct link_events worker_link_events(struct worker *w)
{
	return (struct link_events){ on_work,    on_cancel,  on_peer,     on_receipt_wanted, on_probe,
				     on_settled, on_welcome, on_inflight, on_load,           w };
}
