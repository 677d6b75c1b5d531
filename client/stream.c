/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads an answer's body.  The last object is held back until HTTP has ended
 * cleanly, so that whoever sees it knows that the answer is whole.  An error
 * event ends the answer (PROTOCOL section 3); what came before it was authentic,
 * and not everything.
 */
#include "client/stream.h"

#include <stdlib.h>
#include <string.h>

#include "client/refusal.h"
#include "common/net/sse.h"

#define ANSWER_BYTES_MAX (128u << 20)
#define EVENT_BYTES_MAX (32u << 20)

struct stream {
	struct stream_opts o;
	struct sse *sse;  /* streamed answers */
	struct buf whole; /* the others */
	struct buf last;  /* plaintext of the newest object, not handed over yet */
	bool holding, delivered, checked_head;
};

static bool hand_over(struct stream *s, bool last)
{
	bool more;

	s->delivered = true;
	more = s->o.r->on_object(s->o.r->arg, (const char *)s->last.p, s->last.n, last);
	buf_reset(&s->last);
	s->holding = false;
	return more ? true : fault(s->o.f, SEALWAY_STOPPED, "stopped");
}

/* An own node's final object is known by its nonce; a foreign node's only by the end of the body, so
 * there each object waits for its successor.  The one object of a whole answer waits for stream_end. */
static bool take_object(struct stream *s, struct slice json)
{
	const struct opener *o = s->o.opener;

	if (s->o.on_wire)
		s->o.on_wire(s->o.arg, json);
	if (s->holding && !o->lock->own && !hand_over(s, false))
		return false;
	if (!open_object(s->o.opener, json, &s->last, s->o.f))
		return false;
	s->holding = true;
	return o->ended || !o->lock->own || !s->sse || hand_over(s, false);
}

static enum err on_event(void *arg, struct slice type, struct slice data)
{
	struct stream *s = arg;
	struct refusal r = { 0 };

	if (slice_is(type, "error")) {
		refusal_read(data, &r);
		refusal_tell(&r, "the service broke off", SEALWAY_CUT, s->o.f);
		return ERR_CLOSED;
	}
	if (!s->o.opener->lock->own && slice_is(data, "[DONE]"))
		return ERR_OK;
	return take_object(s, data) ? ERR_OK : ERR_CLOSED;
}

struct stream *stream_new(const struct stream_opts *o)
{
	struct stream *s = mem_new(sizeof(*s));

	s->o = *o;
	s->last.secret = true;
	if (o->r->stream)
		s->sse = sse_new(EVENT_BYTES_MAX, on_event, s);
	return s;
}

static bool check_head(struct stream *s, const struct http_head *head)
{
	const char *want = s->sse ? "text/event-stream" : "application/json";

	if (s->checked_head)
		return true;
	s->checked_head = true;
	if (strcmp(head->type, want))
		return fault(s->o.f, SEALWAY_VERIFY, "the answer is not %s", want);
	return true;
}

bool stream_take(struct stream *s, const struct http_head *head, struct slice data)
{
	if (!check_head(s, head))
		return false;
	if (s->sse) {
		if (sse_feed(s->sse, data))
			return fault(s->o.f, SEALWAY_VERIFY, "the answer is not a stream of events");
		return true;
	}
	if (data.n > ANSWER_BYTES_MAX - s->whole.n)
		return fault(s->o.f, SEALWAY_VERIFY, "the answer is larger than any answer may be");
	if (!buf_room(&s->whole, data.n))
		return fault_memory(s->o.f);
	buf_add(&s->whole, data.p, data.n);
	return true;
}

bool stream_end(struct stream *s)
{
	if (s->sse && sse_end(s->sse))
		return fault(s->o.f, SEALWAY_CUT, "the stream ended in the middle of an event");
	if (!s->sse && s->whole.n && !take_object(s, buf_slice(&s->whole)))
		return false;
	return open_finish(s->o.opener, s->o.f) && hand_over(s, true);
}

bool stream_delivered(const struct stream *s)
{
	return s->delivered;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	sse_free(s->sse);
	buf_free(&s->whole);
	buf_free(&s->last);
	free(s);
}
