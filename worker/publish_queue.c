/* SPDX-License-Identifier: Apache-2.0
 *
 * What a topic's pipe does not take waits here, in order and bounded.  ZeroMQ
 * does not say when a full pipe has room again, so waiting topics are tried
 * again every few ms.
 */
#include <stdlib.h>

#include "common/map.h"
#include "worker/metrics.h"
#include "worker/publish_impl.h"

#define RETRY_MS 2

static struct waiting *queue_take(struct publish *p, struct topic *t)
{
	struct waiting *w = t->first;

	t->first = w->next;
	t->bytes -= w->n;
	stat_inc(&metrics.queue_bytes, -(int64_t)w->n);
	if (!t->first) {
		t->last = &t->first;
		p->n_waiting--;
	}
	return w;
}

void publish_queue_drop(struct publish *p, struct topic *t)
{
	while (t->first) {
		struct waiting *w = queue_take(p, t);

		zmsg_close(&w->msg);
		free(w);
	}
}

static enum err queue_add(struct publish *p, struct topic *t, struct zmsg *m, size_t n)
{
	struct waiting *w;

	if (n > p->o.queue_max - t->bytes) {
		zmsg_close(m);
		return ERR_LIMIT;
	}
	w = mem_new(sizeof(*w));
	zmsg_move(&w->msg, m);
	w->n = n;
	if (!t->first)
		p->n_waiting++;
	*t->last = w;
	t->last = &w->next;
	t->bytes += n;
	stat_inc(&metrics.queue_bytes, (int64_t)n);
	return ERR_AGAIN;
}

/* Sends what waits, as far as the pipe takes it; true when nothing waits any
 * more.  Without a subscriber there is nothing to wait for. */
static bool queue_flush(struct publish *p, struct topic *t)
{
	while (t->first) {
		struct waiting *w = t->first;

		if (zsock_send(p->z, &w->msg, 1) == ERR_AGAIN)
			return false;
		queue_take(p, t);
		zmsg_close(&w->msg);
		free(w);
	}
	return true;
}

/* Tries all waiting topics again. */
static void on_retry(uv_timer_t *timer)
{
	struct publish *p = timer->data;
	struct topic *t;
	size_t pos = 0;

	while ((t = map_next(p->topics, &pos))) {
		if (t->first && queue_flush(p, t))
			p->o.ev.room(p->o.ev.arg, t->id);
	}
	if (p->n_waiting == 0)
		uv_timer_stop(timer);
}

enum err publish_send(struct publish *p, uint64_t topic, struct buf *frame)
{
	struct topic *t = publish_topic(p, topic);
	size_t n = frame->n;
	struct zmsg m;
	enum err e;

	if (!t) {
		buf_reset(frame);
		return ERR_CLOSED;
	}
	zmsg_take_init(&m, frame);
	e = t->first ? ERR_AGAIN : zsock_send(p->z, &m, 1);
	if (e != ERR_AGAIN) {
		zmsg_close(&m);
		return e;
	}
	if (!uv_is_active((uv_handle_t *)&p->retry))
		uv_timer_start(&p->retry, on_retry, RETRY_MS, RETRY_MS);
	return queue_add(p, t, &m, n);
}

bool publish_waiting(const struct publish *p, uint64_t topic)
{
	struct topic *t = publish_topic(p, topic);

	return t && t->first;
}
