/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is refused where (refusal.h): a short list with each worker, so that it goes
 * with the worker and is bounded.  All of it is the word of workers: a false one
 * costs the worker that says it its own jobs, and nobody else anything.
 */
#include "broker/refusal.h"

#include <stdlib.h>

#include "broker/broker.h"
#include "broker/metrics.h"
#include "common/log.h"

#define TIMES_MAX 5

struct refusal *refusal_of(const struct party *worker, uint64_t node)
{
	for (unsigned i = 0; i < worker->n_refusals; i++) {
		if (worker->refusals[i].node == node)
			return &worker->refusals[i];
	}
	return NULL;
}

bool refusal_lasts(const struct party *p, uint64_t node, uint64_t now_ms)
{
	unsigned lasting = 0;

	for (unsigned i = 0; i < p->n_refusals; i++) {
		if (p->refusals[i].until_ms <= now_ms)
			continue;
		if (p->refusals[i].node == node)
			return true;
		lasting++;
	}
	return lasting == REFUSALS_MAX;
}

bool refusal_leaves_one(const struct broker *b, uint64_t node)
{
	for (const struct party *p = b->peers->list[ROLE_WORKER]; p; p = p->next) {
		if (!party_lost(p) && !p->draining && !refusal_lasts(p, node, broker_ms(b)))
			return true;
	}
	return false;
}

bool refusal_passes_over(const struct broker *b, const struct party *worker, uint64_t node)
{
	return refusal_lasts(worker, node, broker_ms(b)) && refusal_leaves_one(b, node);
}

/* A new one, in the place of one whose time is over when there is no other; NULL without any. */
static struct refusal *add(struct party *p, uint64_t node, uint64_t now_ms)
{
	unsigned i = 0;

	if (p->n_refusals < REFUSALS_MAX) {
		p->refusals = mem_grow(p->refusals, (p->n_refusals + 1) * sizeof(*p->refusals));
		stat_inc(&metrics.refusals, 1);
		i = p->n_refusals++;
	} else {
		while (i < REFUSALS_MAX && p->refusals[i].until_ms > now_ms)
			i++;
		if (i == REFUSALS_MAX)
			return NULL;
	}
	p->refusals[i] = (struct refusal){ .node = node };
	return &p->refusals[i];
}

static uint64_t pause_ms(const struct refusal *f)
{
	return (uint64_t)REFUSAL_PAUSE_MS << (f->times - 1);
}

static void said(const struct party *p, uint64_t node)
{
	log_warn("node_refuses_worker", L_U("node", node), L_S("worker", p->name),
		 L_U("instance", p->instance),
		 L_S("do", "check that the public half of the worker's auth_key is among the node's "
			   "proxy_auth_keys, and both clocks; its jobs there go to other workers"));
}

/* What was under way meanwhile says nothing new. */
void refusal_note(const struct broker *b, struct party *worker, uint64_t node)
{
	struct refusal *f = refusal_of(worker, node);
	uint64_t now = broker_ms(b);

	if (!f)
		f = add(worker, node, now);
	else if (now - f->said_ms < REFUSAL_PAUSE_MS)
		return;
	if (!f)
		return;
	f->times += f->times < TIMES_MAX;
	f->said_ms = now;
	f->until_ms = now + pause_ms(f);
	said(worker, node);
}

void refusal_try(const struct broker *b, struct party *worker, uint64_t node)
{
	struct refusal *f = refusal_of(worker, node);

	if (f && f->until_ms <= broker_ms(b))
		f->until_ms = broker_ms(b) + pause_ms(f);
}

static void drop(struct party *p, struct refusal *f)
{
	*f = p->refusals[--p->n_refusals];
	stat_inc(&metrics.refusals, -1);
}

void refusal_over(struct party *worker, uint64_t node, uint64_t given_ms)
{
	struct refusal *f = refusal_of(worker, node);

	if (!f || given_ms < f->said_ms)
		return;
	log_info("node_takes_worker", L_U("node", node), L_S("worker", worker->name),
		 L_U("instance", worker->instance));
	drop(worker, f);
}

void refusal_forget(const struct broker *b, uint64_t node)
{
	for (struct party *p = b->peers->list[ROLE_WORKER]; p; p = p->next) {
		struct refusal *f = refusal_of(p, node);

		if (f)
			drop(p, f);
	}
}

void refusal_free(struct party *worker)
{
	stat_inc(&metrics.refusals, -(int64_t)worker->n_refusals);
	free(worker->refusals);
}

unsigned refusal_count(const struct broker *b, uint64_t node)
{
	unsigned n = 0;

	for (const struct party *p = b->peers->list[ROLE_WORKER]; p; p = p->next)
		n += refusal_of(p, node) != NULL;
	return n;
}
