/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory for whole answers: a budget for all of them together, of which a few that do
 * not move must not keep all others out.  When it is full, one gives way to another's
 * next bytes: one whose client has taken nothing for a while, or one that is still
 * coming from its node and has become twice as large as the other; the largest first.
 * Invariant: answer_bytes is the sum of counted over all tasks.
 */
#include "common/log.h"
#include "common/loop.h"
#include "common/map.h"
#include "worker/metrics.h"
#include "worker/task_impl.h"

#define IDLE_MS 3000 /* as the gateway's for answers that wait for their clients (common/httpd) */

void room_count(struct task *t)
{
	size_t now = t->w.stream ? t->whole.n : t->whole.n + t->out.n;

	if (now == t->counted)
		return;
	t->all->answer_bytes += now;
	t->all->answer_bytes -= t->counted;
	t->counted = now;
	stat_set(&metrics.answer_bytes, (int64_t)t->all->answer_bytes);
}

static bool gives_way(const struct task *t, size_t to)
{
	if (t->w.stream || !t->counted)
		return false;
	if (t->up)
		return t->counted / 2 > to;
	return t->publishing && loop_now(t->all->o.uv) - t->moved > IDLE_MS;
}

static struct task *largest(const struct tasks *all, size_t to)
{
	struct task *t, *best = NULL;
	size_t pos = 0;

	while ((t = map_next(all->map, &pos))) {
		if (gives_way(t, to) && (!best || t->counted > best->counted))
			best = t;
	}
	return best;
}

static void end(struct task *t)
{
	log_warn(
		"answer.gives_way", L_RID(t->w.rid), L_U("node", t->w.node), L_U("bytes", t->counted),
		L_S("why", "whole answers fill answer_budget, and this one does not move or is much larger"));
	if (t->up)
		task_end(t, ERR_UNAVAILABLE);
	else
		flow_forsake(t, ERR_UNAVAILABLE);
}

bool room_for(struct task *t, size_t n)
{
	struct tasks *all = t->all;
	struct task *other;

	while (all->answer_bytes + n > all->o.conf->answer_budget) {
		other = largest(all, t->counted + n);
		if (!other)
			return false;
		end(other);
		if (other->counted)
			return false;
	}
	return true;
}
