/* SPDX-License-Identifier: Apache-2.0
 *
 * One uv timer for all alarms (clock.h).
 */
#include "broker/clock.h"

#include <stdlib.h>
#include <time.h>

#include "common/mem.h"

struct clock {
	uv_timer_t timer;
	uv_prepare_t prepare;
	struct alarms *alarms;
	uint64_t armed; /* what the timer is set to; UINT64_MAX = off */
	int open;
};

static void on_timer(uv_timer_t *t)
{
	struct clock *c = t->data;

	c->armed = UINT64_MAX;
	alarms_run(c->alarms, uv_now(t->loop));
}

static void on_prepare(uv_prepare_t *p)
{
	struct clock *c = p->data;
	uint64_t next = alarms_next(c->alarms), now = uv_now(p->loop);

	if (next == c->armed)
		return;
	c->armed = next;
	if (next == UINT64_MAX)
		uv_timer_stop(&c->timer);
	else
		uv_timer_start(&c->timer, on_timer, next > now ? next - now : 0, 0);
}

struct clock *clock_open(uv_loop_t *uv, void *arg)
{
	struct clock *c = mem_new(sizeof(*c));

	c->alarms = alarms_new(arg);
	c->armed = UINT64_MAX;
	c->open = 2;
	BUG_ON(uv_timer_init(uv, &c->timer) != 0 || uv_prepare_init(uv, &c->prepare) != 0);
	c->timer.data = c->prepare.data = c;
	BUG_ON(uv_prepare_start(&c->prepare, on_prepare) != 0);
	return c;
}

struct alarms *clock_alarms(struct clock *c)
{
	return c->alarms;
}

static void on_closed(uv_handle_t *h)
{
	struct clock *c = h->data;

	if (--c->open > 0)
		return;
	alarms_free(c->alarms);
	free(c);
}

void clock_close(struct clock *c)
{
	if (!c)
		return;
	uv_close((uv_handle_t *)&c->timer, on_closed);
	uv_close((uv_handle_t *)&c->prepare, on_closed);
}

int64_t clock_unix_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
