/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules for frames (chunk.h): numbered from 0 without gaps, one HEAD, DATA,
 * END or ERROR; all from the worker, attempt and epoch that HEAD named; never
 * more than was granted.  One function changes the state.
 */
#include "gateway/flight.h"

#include <string.h>

/* The states that may follow each. */
static const unsigned next_of[FLIGHT_STATE_COUNT] = {
#define X(state, next) [state] = (next),
	FLIGHT_STATES(X)
#undef X
};

static void enter(struct flight *f, enum flight_state next)
{
	BUG_ON(!(next_of[f->state] & FLIGHT_BIT(next)));
	f->state = next;
}

void flight_init(struct flight *f, bool stream)
{
	memset(f, 0, sizeof(*f));
	f->state = FLIGHT_WAITING;
	f->stream = stream;
	f->granted = f->window = CREDIT_INITIAL;
}

static enum flight_do over(struct flight *f)
{
	enum flight_do what = f->state == FLIGHT_WAITING ? FLIGHT_REFUSE : FLIGHT_BREAK;

	enter(f, FLIGHT_OVER);
	return what;
}

enum flight_do flight_fail(struct flight *f)
{
	return over(f);
}

/* Their mistake: the stream ends with an error, and they are told to stop. */
static enum flight_do fault(struct flight *f, enum err *why)
{
	f->fault = true;
	*why = ERR_INTERNAL;
	return over(f);
}

static enum flight_do failed(struct flight *f, enum err reason, enum err *why)
{
	*why = reason == ERR_OK ? ERR_INTERNAL : reason;
	return over(f);
}

static void bind(struct flight *f, const struct chunk *c)
{
	f->worker = c->worker;
	f->epoch = c->epoch;
	f->attempt = c->attempt;
	f->length = c->length;
}

/* Anything but HEAD or ERROR as frame 0 means that the beginning was lost. */
static enum flight_do first(struct flight *f, const struct chunk *c, enum err *why)
{
	bind(f, c);
	f->seq = 1;
	if (c->seq != 0)
		return fault(f, why);
	if (c->kind == CHUNK_ERROR)
		return failed(f, c->error, why);
	if (c->kind != CHUNK_HEAD || (!f->stream && c->length == 0))
		return fault(f, why);
	enter(f, FLIGHT_OPEN);
	return FLIGHT_BEGIN;
}

static void note_tail(struct flight *f, struct slice s)
{
	if (s.n == 1)
		f->tail[0] = f->tail[1];
	else if (s.n > 1)
		f->tail[0] = s.p[s.n - 2];
	if (s.n)
		f->tail[1] = s.p[s.n - 1];
}

static enum flight_do data(struct flight *f, struct slice s, enum err *why)
{
	if (s.n > f->granted - f->received)
		return fault(f, why);
	if (!f->stream && s.n > f->length - f->received)
		return fault(f, why);
	f->received += s.n;
	note_tail(f, s);
	return FLIGHT_WRITE;
}

static enum flight_do end(struct flight *f, enum err *why)
{
	if (f->stream ? !flight_between_events(f) : f->received != f->length)
		return fault(f, why);
	enter(f, FLIGHT_OVER);
	return FLIGHT_END;
}

enum flight_do flight_apply(struct flight *f, const struct chunk *c, enum err *why)
{
	if (f->state == FLIGHT_OVER)
		return FLIGHT_DROP;
	if (f->state == FLIGHT_WAITING)
		return first(f, c, why);
	if (c->worker != f->worker || c->epoch != f->epoch || c->attempt != f->attempt)
		return FLIGHT_DROP;
	if (c->seq != f->seq)
		return fault(f, why);
	f->seq++;
	switch (c->kind) {
	case CHUNK_DATA:
		return data(f, c->payload, why);
	case CHUNK_END:
		return end(f, why);
	case CHUNK_ERROR:
		return failed(f, c->error, why);
	case CHUNK_HEAD:
		break;
	}
	return fault(f, why);
}

/* Payload bytes that the client has taken: all but those pending. */
static uint64_t taken(const struct flight *f, uint64_t pending)
{
	return f->received - (pending < f->received ? pending : f->received);
}

uint32_t flight_grant(const struct flight *f, uint64_t pending)
{
	uint64_t may = taken(f, pending) + f->window;
	uint64_t due = may - f->granted;

	if (f->state != FLIGHT_OPEN || may < f->granted)
		return 0;
	if (!f->stream && f->granted >= f->length) /* nothing more can come */
		return 0;
	return due < FLIGHT_GRANT_STEP ? 0 : (uint32_t)due;
}

void flight_granted(struct flight *f, uint32_t bytes)
{
	f->granted += bytes;
}

void flight_widen(struct flight *f, uint64_t pending, uint64_t now_ms, uint64_t *room)
{
	uint64_t by = FLIGHT_WINDOW_MAX - f->window;
	bool fast = f->mark_ms && now_ms - f->mark_ms < FLIGHT_FAST_MS;

	if (f->mark_ms && taken(f, pending) < f->mark + f->window)
		return;
	f->mark = taken(f, pending);
	f->mark_ms = now_ms;
	if (!fast || *room == 0)
		return;
	if (by > f->window)
		by = f->window;
	if (by > *room)
		by = *room;
	f->window += by;
	*room -= by;
}

void flight_narrow(struct flight *f, uint64_t *room)
{
	if (f->window > CREDIT_INITIAL)
		*room += f->window - CREDIT_INITIAL;
	f->window = CREDIT_INITIAL;
}

bool flight_between_events(const struct flight *f)
{
	return f->received == 0 || (f->tail[0] == '\n' && f->tail[1] == '\n');
}
