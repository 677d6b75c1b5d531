/* SPDX-License-Identifier: Apache-2.0
 *
 * One timer per gap for all its streams, on a grid of the monotonic clock: an
 * event of phase p is due when now mod gap is p * gap / PHASES.  The load
 * generator knows the grid, and so the time at which each event was due, without
 * a word of the node's.
 * With GAP_NONE there is no grid: every turn of the loop is due.
 */
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/node/bench_node.h"

struct pacer {
	struct pacer *next;
	uv_poll_t poll; /* of fd, a timer */
	uv_idle_t turn; /* instead of it, with GAP_NONE */
	int fd;
	uint64_t tick_ns, done; /* ticks since the clock's start that were served */
	unsigned running;
	void (*fn)(struct paced *);
	struct paced heads[PHASES];
};

static struct pacer *pacers;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void on_turn(uv_idle_t *h);

static void arm(struct pacer *p, bool on)
{
	uint64_t first = (now_ns() / p->tick_ns + 1) * p->tick_ns;
	struct itimerspec t = { 0 };

	if (p->fd < 0) {
		if (on)
			uv_idle_start(&p->turn, on_turn);
		else
			uv_idle_stop(&p->turn);
		return;
	}
	if (on) {
		p->done = now_ns() / p->tick_ns;
		t.it_value = (struct timespec){ (time_t)(first / 1000000000u), (long)(first % 1000000000u) };
		t.it_interval = (struct timespec){ (time_t)(p->tick_ns / 1000000000u),
						   (long)(p->tick_ns % 1000000000u) };
	}
	timerfd_settime(p->fd, TFD_TIMER_ABSTIME, &t, NULL);
}

static void serve_phase(struct pacer *p, struct paced *head)
{
	for (struct paced *s = head->next, *next; s != head; s = next) {
		next = s->next; /* fn may stop s, and no other */
		p->fn(s);
	}
}

static void on_tick(uv_poll_t *h, int status, int events)
{
	struct pacer *p = h->data;
	uint64_t count, tick = now_ns() / p->tick_ns;

	(void)status;
	(void)events;
	if (read(p->fd, &count, sizeof(count)) < 0)
		return;
	for (; p->done < tick && p->running; p->done++)
		serve_phase(p, &p->heads[(p->done + 1) % PHASES]);
}

static void on_turn(uv_idle_t *h)
{
	struct pacer *p = h->data;

	serve_phase(p, &p->heads[0]);
}

static void pacer_open(struct pacer *p, uv_loop_t *uv, bool on_grid)
{
	p->fd = -1;
	uv_idle_init(uv, &p->turn);
	p->turn.data = p;
	if (!on_grid)
		return;
	p->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	uv_poll_init(uv, &p->poll, p->fd);
	p->poll.data = p;
	uv_poll_start(&p->poll, UV_READABLE, on_tick);
}

static struct pacer *pacer_new(uv_loop_t *uv, uint64_t tick_ns, bool on_grid, void (*fn)(struct paced *))
{
	struct pacer *p = mem_new(sizeof(*p));

	p->tick_ns = tick_ns;
	p->fn = fn;
	for (int i = 0; i < PHASES; i++)
		p->heads[i].prev = p->heads[i].next = &p->heads[i];
	pacer_open(p, uv, on_grid);
	p->next = pacers;
	pacers = p;
	return p;
}

void pace_start(uv_loop_t *uv, struct paced *s, const struct asked *a, void (*fn)(struct paced *))
{
	uint64_t tick_ns = (uint64_t)a->gap_us * 1000 / PHASES;
	struct paced *head;
	struct pacer *p;

	for (p = pacers; p && p->tick_ns != tick_ns; p = p->next)
		;
	if (!p)
		p = pacer_new(uv, tick_ns, a->gap_us != GAP_NONE, fn);
	s->pacer = p;
	head = &p->heads[a->gap_us == GAP_NONE ? 0 : a->phase % PHASES];
	s->prev = head->prev;
	s->next = head;
	s->prev->next = s->next->prev = s;
	if (p->running++ == 0)
		arm(p, true);
}

void pace_stop(struct paced *s)
{
	if (!s->pacer)
		return;
	s->prev->next = s->next;
	s->next->prev = s->prev;
	if (--s->pacer->running == 0)
		arm(s->pacer, false);
	s->pacer = NULL;
}
