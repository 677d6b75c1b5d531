/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of pending requests.  One timer looks at the deadlines every
 * TICK_MS; that costs what is due, not what is armed (deadline.h).
 */
#include "gateway/inflight.h"

#include <stdlib.h>

#include "common/map.h"
#include "gateway/conf.h"
#include "gateway/metrics.h"

#define TICK_MS 50
/* The worker and the broker have the first word about their deadlines; ours are
 * the net below them and wait this much longer. */
#define NET_MS 5000
#define RETRY_MS 50
/* Frames that a connection took with it when it broke are missed by nobody else:
 * the worker has settled, and no later frame shows the gap. */
#define ASK_MS 6000

struct inflight {
	struct gw *gw;
	struct map *map;
	size_t max;
	struct deadlines deadlines;
	void (*due)(struct gw *gw, struct deadline *e);
	uv_timer_t tick;
};

static void on_due(void *arg, struct deadline *e)
{
	struct inflight *f = arg;

	f->due(f->gw, e);
}

static void on_tick(uv_timer_t *t)
{
	struct inflight *f = t->data;

	deadlines_expire(&f->deadlines, uv_now(f->gw->uv), on_due, f);
}

static void set_durations(struct inflight *f, const struct gw_conf *c)
{
	const uint64_t ms[DL_COUNT] = {
		[DL_CONTROL] = c->control_ms,
		[DL_HEAD] = c->dispatch_ms + c->connect_ms + c->first_byte_ms + NET_MS,
		[DL_GAP] = c->gap_ms + NET_MS,
		[DL_WHOLE] = c->stream_ms + NET_MS,
		/* "at least every": never later than said, although the tick is coarse */
		[DL_ALIVE] = c->keepalive_ms > 2 * TICK_MS ? c->keepalive_ms - TICK_MS : c->keepalive_ms / 2,
		[DL_RETRY] = RETRY_MS,
		[DL_ASK] = ASK_MS,
	};

	deadlines_init(&f->deadlines, ms);
}

struct inflight *inflight_new(struct gw *gw, void (*due)(struct gw *gw, struct deadline *e))
{
	struct inflight *f = mem_new(sizeof(*f));

	f->gw = gw;
	f->map = map_new(RID_BYTES);
	f->max = gw->conf->max_inflight;
	f->due = due;
	set_durations(f, gw->conf);
	uv_timer_init(gw->uv, &f->tick);
	f->tick.data = f;
	uv_timer_start(&f->tick, on_tick, TICK_MS, TICK_MS);
	return f;
}

static void on_closed(uv_handle_t *h)
{
	struct inflight *f = h->data;

	map_free(f->map);
	free(f);
}

void inflight_free(struct inflight *f)
{
	if (!f)
		return;
	BUG_ON(map_count(f->map) != 0);
	uv_close((uv_handle_t *)&f->tick, on_closed);
}

bool inflight_room(const struct inflight *f)
{
	return map_count(f->map) < f->max;
}

size_t inflight_count(const struct inflight *f)
{
	return map_count(f->map);
}

struct pending *inflight_add(struct inflight *f, struct call *c, enum pending_kind kind)
{
	struct pending *p = mem_new(sizeof(*p));

	BUG_ON(!inflight_room(f));
	p->call = c;
	p->kind = kind;
	BUG_ON(map_put(f->map, c->rid, p) != NULL); /* 128 random bits came twice */
	stat_inc(&metrics.inflight, 1);
	inflight_arm(f, &p->phase, kind == PENDING_JOB ? DL_HEAD : DL_CONTROL);
	if (kind == PENDING_JOB)
		inflight_arm(f, &p->ask, DL_ASK);
	return p;
}

struct pending *inflight_find(const struct inflight *f, const uint8_t *rid)
{
	return map_get(f->map, rid);
}

struct call *inflight_take(struct inflight *f, struct pending *p)
{
	struct call *c = p->call;

	map_del(f->map, c->rid);
	flight_narrow(&p->flight, &f->gw->window_room);
	deadline_disarm(&p->phase);
	deadline_disarm(&p->whole);
	deadline_disarm(&p->alive);
	deadline_disarm(&p->retry);
	deadline_disarm(&p->ask);
	stat_inc(&metrics.inflight, -1);
	free(p);
	return c;
}

struct pending *inflight_next(const struct inflight *f, size_t *pos)
{
	return map_next(f->map, pos);
}

void inflight_arm(struct inflight *f, struct deadline *e, enum deadline_kind kind)
{
	deadline_arm(&f->deadlines, e, kind, uv_now(f->gw->uv));
}
