/* SPDX-License-Identifier: Apache-2.0
 *
 * Lanes, clocks and what is counted.  A request counts when it was due within
 * the measured time, however late its answer is; the run ends when all that
 * were sent are answered, or after --drain seconds, and what is missing then is
 * counted as wrong.
 */
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/load/load.h"

#define WRONG_MAX 10000 /* a closed loop gives up then */

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void run_wrong(struct run *r, const char *what)
{
	r->wrong_n++;
	for (int i = 0; i < WRONG_KINDS; i++) {
		if (!r->wrongs[i].n)
			r->wrongs[i].what = what;
		if (strcmp(r->wrongs[i].what, what) == 0) {
			r->wrongs[i].n++;
			return;
		}
	}
}

void tcp_connect(struct run *r, uv_tcp_t *tcp, uv_connect_t *req, unsigned index, uv_connect_cb cb)
{
	struct sockaddr_in a;
	char from[32];

	uv_tcp_init(r->uv, tcp);
	uv_tcp_nodelay(tcp, 1);
	if (r->o.sources) {
		snprintf(from, sizeof(from), "127.0.1.%u", index % r->o.sources % 254 + 1);
		uv_ip4_addr(from, 0, &a);
		uv_tcp_bind(tcp, (struct sockaddr *)&a, 0);
	}
	uv_ip4_addr(r->o.host, r->o.port, &a);
	uv_tcp_connect(req, tcp, (struct sockaddr *)&a, cb);
}

/* A reservoir: every request has the same chance to be kept. */
static void choose_sample(struct run *r, struct xfer *x)
{
	unsigned at = r->n_samples;

	if (!r->o.sealed || r->o.locks)
		return;
	if (r->sample_seen++ % 97 != 0 || at == SAMPLES_MAX)
		return;
	r->n_samples++;
	r->samples[at].body = x->body;
	x->sample = &r->samples[at].answer;
}

static void lane_start(struct lane *l, uint64_t due)
{
	struct run *r = l->run;
	struct xfer *x = &l->x;

	memset(x, 0, sizeof(*x));
	x->body = &r->bodies.of[r->body_next++ % r->bodies.n];
	x->due = due;
	x->sent = now_ns();
	x->locking = r->o.pairs;
	if (r->o.gap_us)
		x->arrivals = mem_new(r->o.chunks * sizeof(*x->arrivals));
	choose_sample(r, x);
	l->busy = true;
	r->outstanding++;
	if (r->o.h2)
		h2_send(l);
	else
		h1_send(l);
}

/* Events of a paced stream are due on the node's grid (node/pace.c): find the
 * grid's line below the quickest event, and count all that were due in the measured
 * time from it. */
static void count_paced(struct run *r, const struct xfer *x)
{
	uint64_t gap = (uint64_t)r->o.gap_us * 1000, phase = gap / PHASES * x->body->phase, best = UINT64_MAX;

	for (uint32_t i = 0; i < x->events; i++) {
		if (x->arrivals[i] - i * gap < best)
			best = x->arrivals[i] - i * gap;
	}
	best = (best - phase) / gap * gap + phase;
	for (uint32_t i = 0; i < x->events; i++) {
		if (best + i * gap >= r->from && best + i * gap < r->to)
			hist_add(&r->chunk, x->arrivals[i] - i * gap - best);
	}
}

static const char *check_whole(const struct run *r, const struct xfer *x)
{
	if (x->wrong)
		return x->wrong;
	if (r->o.locks)
		return x->got > 100 ? NULL : "a short lock";
	if (r->o.chunks && (x->events != r->o.chunks || x->part.n))
		return "events are missing";
	if (r->o.chunks && !r->o.sealed && !x->done_mark)
		return "no [DONE]";
	return x->got < r->o.answer && !r->o.chunks ? "a short answer" : NULL;
}

static void count(struct run *r, struct xfer *x)
{
	uint64_t now = now_ns();

	r->answers++;
	if (now >= r->from && now < r->to)
		r->finished_in_time++;
	if (x->arrivals)
		count_paced(r, x);
	if (!r->o.once && (x->due < r->from || x->due >= r->to))
		return;
	r->requests++;
	hist_add(&r->total, now - x->due);
	hist_add(&r->first, x->first - x->due);
	hist_add(&r->late, x->sent - x->due);
}

static uint64_t due_at(const struct run *r, uint64_t i)
{
	return r->start + (uint64_t)((double)i * 1e9 / r->o.rate);
}

/* Open loop: all that is due within the measured time was sent. */
static bool all_sent(const struct run *r)
{
	return r->o.rate <= 0 || due_at(r, r->due_next) >= r->to;
}

static void finish_if_done(struct run *r)
{
	if (r->stopping && r->outstanding == 0 && all_sent(r))
		uv_stop(r->uv);
}

/* What a lane does after an answer. */
static void lane_next(struct lane *l)
{
	struct run *r = l->run;

	if (r->o.once) {
		if (r->open_lanes == r->o.lanes && r->outstanding == 0)
			r->stopping = true;
	} else if (r->o.rate <= 0) {
		if (now_ns() < r->to && r->wrong_n < WRONG_MAX)
			lane_start(l, now_ns());
	} else if (!all_sent(r) && due_at(r, r->due_next) <= now_ns()) {
		lane_start(l, due_at(r, r->due_next++));
	} else {
		l->next = r->idle;
		r->idle = l;
	}
	finish_if_done(r);
}

void lane_done(struct lane *l, const char *wrong)
{
	struct run *r = l->run;
	struct xfer *x = &l->x;

	if (x->locking && !wrong)
		wrong = x->wrong ? x->wrong : x->got > 100 ? NULL : "a short lock";
	if (x->locking && !wrong) {
		x->locking = false;
		x->got = x->first = 0;
		h1_send(l);
		return;
	}
	if (!wrong)
		wrong = check_whole(r, x);
	if (wrong)
		run_wrong(r, wrong);
	else
		count(r, x);
	if (wrong && x->sample)
		buf_free(x->sample);
	buf_free(&x->part);
	free(x->arrivals);
	x->arrivals = NULL;
	l->busy = false;
	r->outstanding--;
	lane_next(l);
}

static void arm(struct run *r)
{
	/* without an idle lane the next to be free takes what is due */
	uint64_t t = r->idle ? due_at(r, r->due_next) : now_ns() + 200000;
	struct itimerspec it = { .it_value = { (time_t)(t / 1000000000u), (long)(t % 1000000000u) } };

	timerfd_settime(r->timer_fd, TFD_TIMER_ABSTIME, &it, NULL);
}

static void on_due(uv_poll_t *h, int status, int events)
{
	struct run *r = h->data;
	uint64_t n;

	(void)status;
	(void)events;
	if (read(r->timer_fd, &n, sizeof(n)) < 0)
		return;
	while (r->idle && due_at(r, r->due_next) <= now_ns() && due_at(r, r->due_next) < r->to) {
		struct lane *l = r->idle;

		r->idle = l->next;
		lane_start(l, due_at(r, r->due_next++));
	}
	if (!all_sent(r))
		arm(r);
}

static void on_ramp(uv_timer_t *t)
{
	struct run *r = t->data;
	double past = (double)(now_ns() - r->start) / 1e9;
	unsigned want = r->o.ramp > 0 ? (unsigned)((double)r->o.lanes * past / r->o.ramp) + 1 : r->o.lanes;

	for (; r->open_lanes < r->o.lanes && r->open_lanes < want;) {
		unsigned i = r->open_lanes++;
		struct lane *l = &r->lanes[i];

		l->run = r;
		if (r->o.h2)
			h2_open(l, i);
		else
			h1_open(l, i);
		if (r->o.rate > 0)
			l->next = r->idle, r->idle = l;
		else
			lane_start(l, now_ns());
	}
	if (r->open_lanes == r->o.lanes)
		uv_timer_stop(t);
}

static void on_drained(uv_timer_t *t)
{
	struct run *r = t->data;

	for (; !all_sent(r); r->due_next++)
		run_wrong(r, "not sent in time");
	for (unsigned i = 0; i < r->outstanding; i++)
		run_wrong(r, "no answer in time");
	uv_stop(r->uv);
}

static void on_end(uv_timer_t *t)
{
	struct run *r = t->data;

	r->stopping = r->stopping || !r->o.once;
	finish_if_done(r);
	uv_timer_start(t, on_drained, (uint64_t)(r->o.drain * 1000), 0);
}

static void run(struct run *r)
{
	r->uv = uv_default_loop();
	r->lanes = mem_new(r->o.lanes * sizeof(*r->lanes));
	r->start = now_ns();
	r->from = r->start + (uint64_t)(r->o.warmup * 1e9);
	r->to = r->from + (uint64_t)(r->o.seconds * 1e9);
	uv_timer_init(r->uv, &r->ramp);
	uv_timer_init(r->uv, &r->end);
	r->ramp.data = r->end.data = r->timer.data = r;
	uv_timer_start(&r->ramp, on_ramp, 1, 10);
	uv_timer_start(&r->end, on_end, (uint64_t)((r->o.warmup + r->o.seconds) * 1000) + 2, 0);
	if (r->o.rate > 0) {
		r->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
		uv_poll_init(r->uv, &r->timer, r->timer_fd);
		r->timer.data = r;
		uv_poll_start(&r->timer, UV_READABLE, on_due);
		arm(r);
	}
	uv_run(r->uv, UV_RUN_DEFAULT);
}

int main(int argc, char **argv)
{
	static struct run r;
	struct fault f = { 0 };

	signal(SIGPIPE, SIG_IGN);
	if (sodium_init() < 0 || !opts_parse(&r.o, argc, argv))
		return 2;
	if (!bodies_make(&r.o, &r.bodies, &f)) {
		fprintf(stderr, "bench-load: %s\n", f.text);
		return 1;
	}
	run(&r);
	samples_verify(&r);
	report(&r);
	return r.requests == 0;
}
