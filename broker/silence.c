/* SPDX-License-Identifier: Apache-2.0
 *
 * Silence says nothing of a peer where the broker itself cannot hear: its loop stood
 * still, or its network is down, and everybody is silent at once.  Answers go on then
 * without it, from workers to gateways; who was taken for dead would have them all cut
 * as soon as it can be told so.  From the first word on everybody has the whole
 * time again, and after a long silence, in which connections broke, that of connecting
 * anew; but work only gets who was heard.
 */
#include "broker/silence.h"

#include "broker/broker.h"
#include "broker/news.h"
#include "broker/task.h"
#include "common/log.h"

#define CONNECTING_MS 5000 /* what ZeroMQ may take for it (zsock.c) */

/* The loop itself has stood still (a stopped machine, say): what its peers said meanwhile has not been
 * read yet, because timers come first in a turn. */
static bool overslept(const struct broker *b, const struct alarm *due)
{
	return broker_ms(b) - due->when > b->conf.heartbeat_ms;
}

/* Nobody was heard although each of several was to say something.  Of a single one nobody can tell. */
static bool deaf(const struct broker *b)
{
	return b->peers->n > 1 && broker_ms(b) - b->peers->heard_ms > b->conf.heartbeat_ms * 3 / 2;
}

static bool is_silent(const struct broker *b, uint64_t since)
{
	uint64_t now = broker_ms(b);

	return now > since && now - since > SILENT_INTERVALS * b->conf.heartbeat_ms;
}

static void say_deaf(struct broker *b)
{
	if (b->peers->deaf || !is_silent(b, b->peers->heard_ms))
		return;
	b->peers->deaf = true;
	log_warn("broker_hears_nobody", L_U("ms", broker_ms(b) - b->peers->heard_ms),
		 L_U("peers", b->peers->n), L_S("effect", "no new requests; answers under way go on"),
		 L_S("do", "check the network of this machine, or that gateways and workers run"));
}

void silence_broken(struct broker *b, struct party *p)
{
	struct peers *s = b->peers;
	uint64_t now = broker_ms(b), since = now + (is_silent(b, s->heard_ms) ? CONNECTING_MS : 0);

	if (deaf(b)) {
		s->back_ms = now;
		s->since_ms = since > s->since_ms ? since : s->since_ms;
	}
	if (s->deaf)
		log_info("broker_hears_again", L_U("ms", now - s->heard_ms));
	s->deaf = false;
	s->heard_ms = p->heard_ms = now;
}

bool silence_of(const struct broker *b, const struct party *p)
{
	return is_silent(b, p->heard_ms);
}

static bool gone(const struct broker *b, const struct party *p)
{
	return is_silent(b, p->heard_ms >= b->peers->back_ms ? p->heard_ms : b->peers->since_ms);
}

/* Once in ten seconds of one key: its peers may come and go as often as they like. */
static void say_silent(const struct broker *b, const struct party *p)
{
	static const uint8_t nobody[KEY_BYTES];

	if (news(p->has_key ? p->key : nobody, broker_ms(b)))
		log_warn("peer_silent", L_S("role", peers_role(p->role)), L_S("name", p->name),
			 L_U("instance", p->instance), L_U("tasks", p->n_tasks),
			 L_S("effect", p->role == ROLE_WORKER
					       ? "its requests are others' or get errors, and none is new"
					       : "its clients' requests are stopped at the nodes"),
			 L_S("do", "look whether it runs, and at its machine's network"));
}

static void drop_silent(struct broker *b)
{
	bool unheard = deaf(b);
	struct party *p, *next;

	if (unheard)
		say_deaf(b);
	for (int role = ROLE_GATEWAY; role < ROLE_MAX; role++) {
		for (p = b->peers->list[role]; p; p = next) {
			next = p->next;
			if (p->ended) {
				peers_drop(b, p, "replaced at its endpoint");
			} else if (!unheard && gone(b, p)) {
				say_silent(b, p);
				peers_drop(b, p, "silent");
			}
		}
	}
}

static void on_sweep(void *arg, struct alarm *a)
{
	struct broker *b = arg;

	if (overslept(b, a))
		log_warn("broker_overslept", L_U("ms", broker_ms(b) - a->when));
	else
		drop_silent(b);
	task_pump(b); /* workers may have room again that said so only by a ping */
	alarm_set(b->alarms, a, broker_ms(b) + b->conf.heartbeat_ms, on_sweep);
}

void silence_start(struct broker *b)
{
	alarm_set(b->alarms, &b->peers->sweep, broker_ms(b) + b->conf.heartbeat_ms, on_sweep);
}

void silence_sweep_within(struct broker *b, uint64_t ms)
{
	uint64_t soon = broker_ms(b) + ms;

	if (b->peers->sweep.when > soon)
		alarm_set(b->alarms, &b->peers->sweep, soon, on_sweep);
}
