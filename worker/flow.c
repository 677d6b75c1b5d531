/* SPDX-License-Identifier: Apache-2.0
 *
 * Towards the gateway: HEAD, DATA, END or ERROR, numbered without gaps.  What a
 * node sent in one loop turn goes out together, so that events that came
 * together travel in one frame (at most CHUNK_BYTES_MAX).  No more payload is
 * published than the gateway granted; while something is left over, the node's
 * connection is not read, so that a slow client slows its own node.
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "worker/metrics.h"
#include "worker/task_impl.h"

#define RETRY_AFTER_BUSY_S 5
#define RETRY_AFTER_DOWN_S 1
#define OUT_KEEP_BYTES 65536 /* a larger empty buffer is given back */

static void on_idle(uv_idle_t *i)
{
	(void)i; /* only there so that the loop goes round once more */
}

void flow_mark(struct task *t)
{
	struct tasks *all = t->all;

	if (t->is_dirty)
		return;
	t->is_dirty = true;
	t->next_dirty = all->dirty;
	all->dirty = t;
	uv_idle_start(&all->idle, on_idle);
}

/* --- frames --- */

static void publish_one(struct task *t, struct chunk *c)
{
	struct buf frame = { 0 };
	enum err e;

	c->topic = t->w.topic;
	memcpy(c->rid, t->w.rid, RID_BYTES);
	c->epoch = t->w.epoch;
	c->attempt = t->w.attempt;
	c->seq = t->seq++;
	c->worker = t->all->o.instance;
	chunk_encode(c, &frame);
	e = publish_send(t->all->o.publish, t->w.topic, &frame);
	buf_free(&frame);
	if (e == ERR_OK || e == ERR_AGAIN)
		return;
	log_warn("publish.lost", L_RID(t->w.rid), L_ERR(e));
	flow_close(t);
	finish_stop(t);
}

void flow_head(struct task *t, uint64_t length)
{
	struct chunk c = { .kind = CHUNK_HEAD, .length = length, .quota = t->w.quota };

	if (!t->publishing || t->head_sent)
		return;
	t->head_sent = true;
	t->moved = loop_now(t->all->o.uv);
	publish_one(t, &c);
}

static uint32_t retry_after(enum err e)
{
	switch (err_status(e)) {
	case 429:
		return RETRY_AFTER_BUSY_S;
	case 503:
		return RETRY_AFTER_DOWN_S;
	default:
		return 0;
	}
}

/* END, or ERROR where there is an error. */
static void publish_ending(struct task *t, enum err error)
{
	struct chunk c = { .kind = CHUNK_END };

	if (error) {
		c.kind = CHUNK_ERROR;
		c.error = error;
		c.retry_after_s = retry_after(error);
		c.quota = t->w.quota;
	}
	publish_one(t, &c);
	flow_close(t);
}

static void publish_data(struct task *t)
{
	size_t n = t->out.n - t->out_at;
	struct chunk c = { .kind = CHUNK_DATA };

	if (n > CHUNK_BYTES_MAX)
		n = CHUNK_BYTES_MAX;
	if (n > t->credit)
		n = (size_t)t->credit;
	c.payload = slice_of(t->out.p + t->out_at, n);
	t->out_at += n;
	t->credit -= n;
	t->sent += n;
	t->moved = loop_now(t->all->o.uv);
	stat_inc(&metrics.bytes, (int64_t)n);
	publish_one(t, &c);
}

/* --- the flow --- */

static bool pending(const struct task *t)
{
	return t->out_at < t->out.n;
}

static void set_paused(struct task *t, bool paused)
{
	if (t->paused == paused)
		return;
	t->paused = paused;
	stat_inc(&metrics.paused, paused ? 1 : -1);
	if (t->up && paused)
		upstream_pause(t->up);
	else if (t->up)
		upstream_resume(t->up);
}

static void tidy_out(struct task *t)
{
	if (pending(t)) {
		/* Moving the rest to the front costs its length: only when most of it is gone. */
		if (t->out_at > t->out.n / 2) {
			buf_consume(&t->out, t->out_at);
			t->out_at = 0;
			room_count(t);
		}
		return;
	}
	t->out_at = 0;
	if (t->out.cap > OUT_KEEP_BYTES)
		buf_free(&t->out);
	else
		buf_reset(&t->out);
	room_count(t);
}

/* Whether the topic takes frames: while some wait, no more are made (but HEADs). */
static bool flows(const struct task *t)
{
	return t->publishing && !publish_waiting(t->all->o.publish, t->w.topic);
}

static void flush(struct task *t)
{
	while (flows(t) && pending(t) && t->credit)
		publish_data(t);
	tidy_out(t);
	if (flows(t) && t->ending && !pending(t))
		publish_ending(t, t->error);
	set_paused(t, t->publishing && pending(t));
}

void flow_took(struct task *t)
{
	flow_mark(t);
	if (t->publishing && t->out.n - t->out_at > t->credit)
		set_paused(t, true);
}

void flow_end(struct task *t, enum err error)
{
	t->ending = true;
	t->error = error;
	flow_mark(t);
}

void flow_forsake(struct task *t, enum err why)
{
	if (t->publishing)
		publish_ending(t, why);
}

void flow_close(struct task *t)
{
	t->publishing = false;
	buf_free(&t->out);
	t->out_at = 0;
	room_count(t);
	flow_mark(t);
}

void flow_run(struct tasks *all)
{
	struct task *t;

	while ((t = all->dirty)) {
		all->dirty = t->next_dirty;
		t->is_dirty = false;
		flush(t);
		if (t->state != TASK_OVER || t->publishing)
			continue;
		if (!t->is_dirty)
			task_free(t);
	}
	uv_idle_stop(&all->idle);
}
