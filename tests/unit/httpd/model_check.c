/* SPDX-License-Identifier: Apache-2.0
 *
 * What may have become of a request when all is over (model.h).
 */
#include <string.h>

#include "tests/unit/httpd/model.h"

struct checked checked;

/* Was the connection closed with requests unread?  The kernel may have thrown answers away. */
static bool lossy(const struct client *c)
{
	for (unsigned i = 0; i < c->n && !c->h2; i++) {
		const struct ask *a = c->ask[i], *next = i + 1 < c->n ? c->ask[i + 1] : NULL;

		if (a->aborted && a->old)
			return true; /* a reset is how HTTP/1.0 is told */
		if (next && next->begged && (a->aborted || (c->may_end && a->seen)))
			return true;
	}
	return false;
}

/* While draining: did the client ask in time?  On HTTP/2 it is told which were. */
static bool in_time(const struct ask *a)
{
	const struct client *c = a->client;

	return a->due || (c->h2 && c->goaway && a->begged && a->stream <= c->max_id);
}

/* The client had a right to a whole answer. */
static bool required(const struct ask *a)
{
	const struct client *c = a->client;

	if (checked.lenient || c->excused || a->dropped || (c->may_end && !in_time(a)) || lossy(c))
		return false;
	for (unsigned i = 0; i < a->nth && !c->h2; i++)
		if (!c->ask[i]->ended || c->ask[i]->close || c->ask[i]->old)
			return false;
	return !c->ending || c->h2 || a->nth < c->answered || a->begged;
}

static size_t full(const struct ask *a)
{
	return bodiless(a, a->got_status) ? 0 : a->payload.n;
}

static void check_whole(const struct ask *a)
{
	bool measured = a->length != UINT64_MAX || bodiless(a, a->got_status) || a->client->ending;

	if (!a->begun) { /* ours, with a reason to have none of the handler's */
		must(a, a->got_status == 503 || a->got_status == 413, "an answer of nobody");
		must(a, checked.lenient || a->aborted || a->client->excused || a->client->may_end, "refused");
		return;
	}
	if (a->old && (a->gone || checked.lenient))
		return; /* HTTP/1.0 has no other end than the connection's, also where it was cut for standing
			   still */
	must(a, a->got == full(a), "whole, and it was not");
	must(a, a->ended || (measured && !a->client->h2), "whole, and it was cut");
}

void check_ask(const struct ask *a)
{
	must(a, a->gone + a->ended + a->aborted == a->seen, "not heard of once");
	must(a, !a->seen || !a->client->h2 || !a->client->goaway || a->stream <= a->client->max_id,
	     "shown, and the client was told that it was not");
	if (a->got_status && a->begun) {
		must(a, a->got_status == a->status, "another status");
		if (a->style != STREAM && a->status != 204)
			must(a, a->length == a->payload.n, "another length");
		else
			must(a, a->length == UINT64_MAX, "a length");
	}
	if (a->whole)
		check_whole(a);
	checked.whole += a->whole;
	checked.cut += a->cut;
	if (!required(a))
		return;
	checked.required++;
	must(a, a->seen, "never shown");
	must(a, !a->gone || a->whole, "gone, and nobody was"); /* whole: with its head */
	must(a, !a->ended || a->whole, "not answered");
}
