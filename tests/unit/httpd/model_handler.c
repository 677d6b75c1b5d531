/* SPDX-License-Identifier: Apache-2.0
 *
 * The handler of test_model.c: answers whole or in pieces, at once or later, to the
 * end or not, and looks at what it is told (model.h).
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/httpd/model_handler.h"

static struct ask *(*find)(unsigned id);
static struct ask *(*other)(void); /* any of the round */
struct handler_sums handler_sums;

static bool open_at_handler(const struct ask *a)
{
	return a->r != NULL;
}

/* --- what it hears --- */

static void on_gone(void *arg, struct hreq *r)
{
	struct ask *a = arg;

	must(a, a->r == r && !a->gone, "gone, and it is over");
	a->gone++;
	a->r = NULL;
	handler_sums.gone++;
	if (dice(4) == 0)
		handler_step(other());
}

static void on_taken(void *arg, struct hreq *r, size_t n)
{
	struct ask *a = arg;

	must(a, a->r == r, "taken, and it is over");
	must(a, n > 0 && a->taken + n <= a->written, "more was taken than written");
	a->taken += n;
	if (dice(2))
		handler_step(a);
	else if (dice(4) == 0)
		handler_step(other());
}

static void check_body(const struct ask *a)
{
	struct slice b = hreq_body(a->r);

	must(a, hreq_over_limit(a->r) == a->over, "over the limit, or not");
	must(a, slice_eq(b, a->over ? slice_of(NULL, 0) : a->body), "another body than was sent");
}

/* An HTTP/1 connection has one request at a time. */
static void check_turn(const struct ask *a)
{
	const struct client *c = a->client;
	const struct ask *before = a->nth ? c->ask[a->nth - 1] : NULL;

	if (c->h2 || !before)
		return;
	must(a, before->ended, "before the one before it was answered");
	must(a, !before->close && !before->old, "behind the last of its connection");
}

static void check_request(const struct ask *a)
{
	const struct client *c = a->client;

	must(a, a->seen == 0, "twice");
	must(a, a->asked || a->over, "before it was sent");
	must(a, slice_is(hreq_method(a->r), a->method), "another method");
	must(a, hreq_version(a->r) == (c->h2 ? 0x200 : a->old ? 0x100 : 0x101), "another version");
	must(a, slice_is(hreq_header(a->r, "x-note"), a->note), "another field");
	must(a, hreq_header_count(a->r, "x-note") == 1, "another number of fields");
	check_body(a);
	check_turn(a);
}

void handler_request(void *arg, struct hreq *r)
{
	struct slice path = hreq_path(r);
	struct ask *a = NULL;
	uint64_t id;

	(void)arg;
	if (path.n > 1 && slice_u64(slice_of(path.p + 1, path.n - 1), 100000, &id) == ERR_OK)
		a = find((unsigned)id);
	if (!a || a->client->garbled) {
		hreq_respond(r, 404, NULL, 0, SLICE_STR("garbled"));
		return;
	}
	a->r = r;
	check_request(a);
	a->seen++;
	handler_sums.seen++;
	hreq_on_gone(r, on_gone, a);
	hreq_on_taken(r, on_taken, a);
	if (dice(2))
		handler_step(a);
}

/* --- what it says --- */

static void respond(struct ask *a, const struct hheader *id)
{
	struct hreq *r = a->r;

	a->begun = a->ended = true;
	a->written = a->payload.n;
	a->r = NULL;
	if (a->style == RESPOND_STATIC)
		hreq_respond_static(r, a->status, id, 1, a->payload);
	else
		hreq_respond(r, a->status, id, 1, a->payload);
}

static void cut(struct ask *a)
{
	struct hreq *r = a->r;

	a->aborted = true;
	a->r = NULL;
	handler_sums.aborted++;
	if (a->style == STREAM_SIZED && a->begun && a->written < a->payload.n && !bodiless(a, a->status) &&
	    dice(2))
		hreq_end(r); /* less than was announced: the same */
	else
		hreq_abort(r);
}

static void write_some(struct ask *a)
{
	size_t n = dice_size(a->payload.n + 1);

	n = n < a->stop_at - a->written ? n : a->stop_at - a->written;
	hreq_write(a->r, slice_of(a->payload.p + a->written, n));
	a->written += n;
}

static void stream(struct ask *a)
{
	struct hreq *r = a->r;

	if (!a->eager && hreq_pending(r) > 20000)
		return;
	must(a, hreq_pending(r) <= a->written - a->taken, "more waits than was written");
	write_some(a);
	if (a->written < a->stop_at || dice(3) == 0)
		return;
	if (a->stop_at < a->payload.n || dice(12) == 0) {
		cut(a);
		return;
	}
	a->ended = true;
	a->r = NULL;
	hreq_end(r);
}

static void begin(struct ask *a, const struct hheader *id)
{
	a->begun = true;
	hreq_begin(a->r, a->status, id, 1, a->style == STREAM_SIZED ? a->payload.n : UINT64_MAX);
	if (dice(2))
		stream(a);
}

/* Before it begins it may look at the body as often as it likes. */
static void wait(struct ask *a)
{
	a->delay--;
	if (dice(40) == 0 && !a->dropped_body) {
		hreq_drop_body(a->r);
		a->dropped_body = true;
	}
	if (a->dropped_body)
		must(a, hreq_body(a->r).n == 0, "a body that was given back");
	else if (dice(8) == 0)
		check_body(a);
}

void handler_step(struct ask *a)
{
	char text[12];
	struct hheader id = { "x-id", slice_of(text, 0) };

	if (!a || !open_at_handler(a) || a->style == NEVER)
		return;
	id.value.n = (size_t)snprintf(text, sizeof(text), "%u", a->id);
	if (a->delay)
		wait(a);
	else if (a->style == GIVE_UP)
		cut(a);
	else if (a->style == RESPOND || a->style == RESPOND_STATIC)
		respond(a, &id);
	else if (!a->begun)
		begin(a, &id);
	else
		stream(a);
}

void handler_reset(struct ask *(*find_ask)(unsigned id), struct ask *(*any_ask)(void))
{
	find = find_ask;
	other = any_ask;
}
