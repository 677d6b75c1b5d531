/* SPDX-License-Identifier: Apache-2.0
 *
 * Fetching receipts for a broker (wanted.h).  Only the signature, the request
 * and the stack can be checked here; the broker, which knows the rest, checks it
 * before it commits.
 */
#include "worker/wanted.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/map.h"
#include "worker/metrics.h"

struct wanted {
	struct receipts *receipts;
	struct settle_book *settles;
	size_t max;
	struct map *asks;
};

struct ask {
	struct wanted *all;
	unsigned broker;
	struct work_ref ref;
	uint64_t node, stack;
	uint8_t sign_key[KEY_BYTES];
	struct receipt_fetch *fetch;
};

struct wanted *wanted_new(struct receipts *receipts, struct settle_book *settles, size_t max)
{
	struct wanted *w = mem_new(sizeof(*w));

	w->receipts = receipts;
	w->settles = settles;
	w->max = max;
	w->asks = map_new(RID_BYTES);
	return w;
}

void wanted_free(struct wanted *w)
{
	struct ask *a;
	size_t pos = 0;

	if (!w)
		return;
	while ((a = map_next(w->asks, &pos))) {
		receipts_cancel(a->fetch);
		free(a);
	}
	map_free(w->asks);
	free(w);
}

static void on_receipt(void *arg, struct slice raw, struct slice signature)
{
	struct ask *a = arg;
	struct receipt said;
	struct receipt_facts f = { .rid = a->ref.rid, .sign_key = a->sign_key, .stack = a->stack };
	struct settle m = {
		.epoch = a->ref.epoch,
		.attempt = a->ref.attempt,
		.node = a->node,
		.outcome = SETTLE_LOST,
		.error = ERR_NODE,
	};

	memcpy(m.rid, a->ref.rid, RID_BYTES);
	if (!raw.n && receipts_stranger(a->fetch)) {
		m.error = ERR_STRANGER; /* another worker may get it: not for us to say that it is lost */
	} else if (!raw.n && receipts_undecided(a->fetch)) { /* not lost: the broker asks again in its time */
		log_info("receipt.not_now", L_RID(m.rid), L_U("node", m.node));
		map_del(a->all->asks, a->ref.rid);
		free(a);
		return;
	}
	if (raw.n && receipt_check(&f, raw, signature, &said) == ERR_OK) {
		m.outcome = said.outcome == 0 ? SETTLE_COMPLETE : SETTLE_STOPPED;
		m.error = ERR_CLOSED;
		m.receipt = raw;
		m.signature = signature;
		m.chunks = said.chunks;
	}
	log_info("settle.for_dead_worker", L_RID(m.rid), L_U("node", m.node), L_U("outcome", m.outcome));
	settle_put(a->all->settles, a->broker, &m);
	map_del(a->all->asks, a->ref.rid);
	free(a);
}

void wanted_get(struct wanted *w, unsigned from, const struct receipt_wanted *m)
{
	struct authz about = { .node = m->node, .stack = m->stack, .units = m->units };
	struct ask *a;

	if (map_get(w->asks, m->ref.rid) || settle_again(w->settles, m->ref.rid))
		return;
	if (map_count(w->asks) >= w->max) {
		log_warn("receipts.too_many", L_U("running", map_count(w->asks)));
		return;
	}
	a = mem_new(sizeof(*a));
	a->all = w;
	a->broker = from;
	a->ref = m->ref;
	a->node = m->node;
	a->stack = m->stack;
	memcpy(a->sign_key, m->sign_key, KEY_BYTES);
	memcpy(about.rid, m->ref.rid, RID_BYTES);
	map_put(w->asks, a->ref.rid, a);
	stat_inc(&metrics.fetches, 1);
	a->fetch = receipts_get(w->receipts, m->address, &about, on_receipt, a);
}

size_t wanted_count(const struct wanted *w)
{
	return map_count(w->asks);
}
