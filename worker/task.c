/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of tasks (task.h): accepting work, giving it back, finding a task for
 * a message, announcing.  Bounded by capacity; a request id is in it once.
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/map.h"
#include "worker/metrics.h"
#include "worker/task_impl.h"

#define CREDIT_MAX (UINT64_C(1) << 40)
#define SETTLEMENTS_PER_TASK 4 /* more than this many open ones per place: the broker is not listening */

static const struct state {
	const char *name;
	unsigned next;
} states[TASK_STATE_COUNT] = {
#define X(name, text, next) [name] = { text, next },
	TASK_STATES(X)
#undef X
};

void task_enter(struct task *t, enum task_state s)
{
	BUG_ON(!(states[t->state].next & TASK_B(s)));
	log_debug("task", L_RID(t->w.rid), L_S("from", states[t->state].name), L_S("to", states[s].name));
	t->state = s;
}

/* --- what becomes of a WORK --- */

static void give_back(struct tasks *all, unsigned to, const struct work *m, enum err why)
{
	struct work_return r = { .ref = { .epoch = m->epoch, .attempt = m->attempt }, .error = why };
	struct buf b = { 0 };

	memcpy(r.ref.rid, m->rid, RID_BYTES);
	return_encode(&r, &b);
	all->o.send(all->o.arg, to, buf_slice(&b));
	buf_free(&b);
	stat_inc(&metrics.returned, 1);
	log_info("work.returned", L_RID(m->rid), L_ERR(why));
}

static bool say_posted(struct task *t)
{
	struct work_ref r = { .epoch = t->w.epoch, .attempt = t->w.attempt };
	struct buf b = { 0 };
	enum err e;

	memcpy(r.rid, t->w.rid, RID_BYTES);
	posted_encode(&r, &b);
	e = t->all->o.send(t->all->o.arg, t->broker, buf_slice(&b));
	buf_free(&b);
	return e == ERR_OK;
}

static enum err refusal(const struct tasks *all, const struct work *m)
{
	struct buf url = { 0 };
	enum err e;

	if (all->draining || map_count(all->map) >= all->o.conf->capacity)
		return ERR_NO_WORKER;
	if (settle_count(all->o.settles) >= all->o.conf->capacity * SETTLEMENTS_PER_TASK)
		return ERR_NO_WORKER;
	if (!publish_heard(all->o.publish, m->topic))
		return ERR_NO_WORKER;
	e = headers_url(m->address, endpoint_path(m->endpoint), &url);
	buf_free(&url);
	return e ? ERR_UNAVAILABLE : ERR_OK;
}

static struct task *task_new(struct tasks *all, unsigned from, const struct work *m, struct zmsg *body)
{
	struct task *t = mem_new(sizeof(*t));

	t->all = all;
	t->broker = from;
	t->w = *m;
	buf_add(&t->own, m->address.p, m->address.n);
	buf_add(&t->own, m->model.p, m->model.n);
	t->w.address = slice_of(t->own.p, m->address.n);
	t->w.model = slice_of(t->own.p + m->address.n, m->model.n);
	hash(t->model_hash, t->w.model);
	zmsg_move(&t->body, body);
	t->state = TASK_POSTED;
	t->posted_us = uv_hrtime() / 1000;
	t->transcript = hash_new();
	t->publishing = true;
	t->credit = CREDIT_INITIAL;
	uv_timer_init(all->o.uv, &t->timer);
	t->timer.data = t;
	all->open++;
	map_put(all->map, t->w.rid, t);
	stat_set(&metrics.tasks, (int64_t)map_count(all->map));
	return t;
}

/* Says that it has t in hand. */
static void announce(struct task *t)
{
	struct inflight m = {
		.ref = { .epoch = t->w.epoch, .attempt = t->w.attempt },
		.node = t->w.node,
		.stack = t->w.stack,
		.user = t->w.user,
		.units = t->w.units,
		.topic = t->w.topic,
		.posted = true,
	};
	struct buf b = { 0 };

	memcpy(m.ref.rid, t->w.rid, RID_BYTES);
	inflight_encode(&m, &b);
	t->all->o.send(t->all->o.arg, t->broker, buf_slice(&b));
	buf_free(&b);
}

/* The broker was without us for a while, or it would not give it twice.  What has ended is not begun anew:
 * this attempt goes back, and before the settlement, because a failed one counts only when nobody has a later
 * attempt. */
static bool had_before(struct tasks *all, unsigned from, const struct work *m)
{
	struct task *t = map_get(all->map, m->rid);

	if (!t && !settle_waits(all->o.settles, m->rid))
		return false;
	log_warn("work.twice", L_RID(m->rid));
	if (t && t->state != TASK_OVER)
		announce(t);
	else
		give_back(all, from, m, ERR_NO_WORKER);
	settle_again(all->o.settles, m->rid);
	return true;
}

void tasks_work(struct tasks *all, unsigned from, const struct work *m, struct zmsg *body)
{
	enum err why;
	struct task *t;

	if (had_before(all, from, m))
		return;
	why = refusal(all, m);
	if (why) {
		give_back(all, from, m, why);
		return;
	}
	t = task_new(all, from, m, body);
	if (!say_posted(t)) { /* nobody would know: as if it had never come */
		flow_close(t);
		task_enter(t, TASK_OVER);
		flow_mark(t);
		return;
	}
	task_post(t);
}

/* --- messages about a task --- */

static struct task *find(const struct tasks *all, const uint8_t rid[RID_BYTES], uint32_t attempt)
{
	struct task *t = map_get(all->map, rid);

	return t && (attempt == 0 || attempt == t->w.attempt) ? t : NULL;
}

void tasks_cancel(struct tasks *all, const struct cancel *m)
{
	struct task *t = find(all, m->rid, m->attempt);

	if (t)
		finish_stop(t);
}

void tasks_gateway_cancel(struct tasks *all, const struct cancel *m)
{
	struct task *t = find(all, m->rid, m->attempt);

	if (t && publish_sender_is(all->o.publish, t->w.topic))
		finish_stop(t);
}

void tasks_credit(struct tasks *all, const struct credit *m)
{
	struct task *t = find(all, m->rid, m->attempt);

	if (!t || !publish_sender_is(all->o.publish, t->w.topic))
		return;
	t->credit += m->bytes;
	if (t->credit > CREDIT_MAX)
		t->credit = CREDIT_MAX;
	flow_mark(t);
}

void tasks_room(struct tasks *all, uint64_t topic)
{
	struct task *t;
	size_t pos = 0;

	while ((t = map_next(all->map, &pos))) {
		if (t->w.topic == topic)
			flow_mark(t);
	}
}

/* A gateway that is there all the same can tell the client. */
static void forsake(struct task *t, enum err why)
{
	if (publish_heard(t->all->o.publish, t->w.topic))
		flow_forsake(t, why);
	finish_stop(t);
}

void tasks_lost(struct tasks *all, uint64_t topic)
{
	struct task *t;
	size_t pos = 0, n = 0;

	while ((t = map_next(all->map, &pos))) {
		if (t->w.topic != topic)
			continue;
		forsake(t, ERR_NO_BROKER); /* it may only have lost the broker */
		n++;
	}
	if (n)
		log_warn("gateway.lost", L_U("requests", n));
}

/* What is not begun may still be waited for, or another's by now: its gateway says so at the HEAD. */
void tasks_forgotten(struct tasks *all, unsigned from)
{
	struct task *t;
	size_t pos = 0, n = 0;

	while ((t = map_next(all->map, &pos))) {
		if (t->broker != from || !t->publishing || !t->head_sent)
			continue;
		forsake(t, ERR_INTERNAL);
		n++;
	}
	if (n)
		log_warn("broker.had_given_up", L_U("broker", from), L_U("requests", n),
			 L_S("why", "it had not heard this worker for three heartbeats"));
}

/* --- the table --- */

bool tasks_has(const struct tasks *all, const uint8_t rid[RID_BYTES])
{
	return map_get(all->map, rid) != NULL;
}

size_t tasks_count(const struct tasks *all)
{
	return map_count(all->map);
}

size_t tasks_count_for(const struct tasks *all, unsigned to)
{
	struct task *t;
	size_t pos = 0, n = 0;

	while ((t = map_next(all->map, &pos)))
		n += t->broker == to && t->state != TASK_OVER;
	return n;
}

void tasks_announce(struct tasks *all, unsigned to)
{
	struct task *t;
	size_t pos = 0;

	while ((t = map_next(all->map, &pos))) {
		if (t->broker == to && t->state != TASK_OVER)
			announce(t);
	}
}

void tasks_drain(struct tasks *all)
{
	all->draining = true;
}

static void tasks_unuse(struct tasks *all)
{
	if (--all->open == 0)
		free(all);
}

static void on_task_closed(uv_handle_t *h)
{
	struct task *t = h->data;
	struct tasks *all = t->all;

	free(t);
	tasks_unuse(all);
}

void task_free(struct task *t)
{
	struct tasks *all = t->all;

	task_hang_up(t);
	if (t->stop_call)
		upstream_cancel(t->stop_call);
	if (t->fetch)
		receipts_cancel(t->fetch);
	map_del(all->map, t->w.rid);
	stat_set(&metrics.tasks, (int64_t)map_count(all->map));
	if (t->paused)
		stat_inc(&metrics.paused, -1);
	sse_free(t->sse);
	hash_free(t->transcript);
	buf_free(&t->whole);
	buf_free(&t->scratch);
	buf_free(&t->out);
	room_count(t);
	buf_free(&t->own);
	mem_wipe(t->w.rid, RID_BYTES);
	uv_close((uv_handle_t *)&t->timer, on_task_closed);
}

static void on_check(uv_check_t *c)
{
	flow_run(c->data);
}

static void on_table_closed(uv_handle_t *h)
{
	tasks_unuse(h->data);
}

struct tasks *tasks_new(const struct tasks_opts *o)
{
	struct tasks *all = mem_new(sizeof(*all));

	all->o = *o;
	all->map = map_new(RID_BYTES);
	uv_check_init(o->uv, &all->check);
	uv_idle_init(o->uv, &all->idle);
	all->check.data = all->idle.data = all;
	all->open = 2;
	uv_check_start(&all->check, on_check);
	return all;
}

void tasks_free(struct tasks *all)
{
	struct task *t;
	size_t pos = 0;

	if (!all)
		return;
	while ((t = map_next(all->map, &pos)))
		task_free(t);
	map_free(all->map);
	uv_close((uv_handle_t *)&all->check, on_table_closed);
	uv_close((uv_handle_t *)&all->idle, on_table_closed);
}
