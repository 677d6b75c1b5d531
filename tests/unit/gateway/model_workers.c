/* SPDX-License-Identifier: Apache-2.0
 *
 * The workers of test_gateway_model.c (model_world.h): what they say, rightly and wrongly, and what is to
 * hold of what they are told.
 */
#include "tests/unit/gateway/model_world.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "gateway/flight.h"
#include "gateway/metrics.h"
#include "proto/chunk.h"
#include "proto/job.h"

static struct stream *find_stream(const uint8_t *rid, uint32_t attempt, unsigned worker)
{
	for (unsigned i = 0; i < world.n_streams; i++) {
		struct stream *s = &world.stream[i];

		if (memcmp(s->c->rid, rid, RID_BYTES) == 0 && s->worker == worker &&
		    (attempt == 0 || s->attempt == attempt))
			return s;
	}
	return NULL;
}

/* --- workers --- */

static void publish(struct worker *k, struct slice frame)
{
	if (k->z && k->connected)
		bus_put(&k->pipe, &frame, 1);
}

static void put(struct stream *s, struct chunk c)
{
	struct buf frame = { 0 };

	c.topic = world.gw.topic;
	memcpy(c.rid, s->c->rid, RID_BYTES);
	c.epoch = s->epoch;
	c.attempt = s->attempt;
	c.seq = s->seq++;
	c.worker = s->instance;
	chunk_encode(&c, &frame);
	publish(&world.worker[s->worker], buf_slice(&frame));
	if (s->plan == PLAN_TWICE && s->sent >= s->strikes)
		publish(&world.worker[s->worker], buf_slice(&frame));
	buf_free(&frame);
}

/* Whether the plan has ended the answer. */
static bool strike(struct stream *s)
{
	switch (s->plan) {
	case PLAN_ERROR:
		put(s, (struct chunk){ .kind = CHUNK_ERROR, .error = ERR_NODE });
		break;
	case PLAN_SILENT:
		break;
	case PLAN_SHORT: /* of a stream only its client can tell */
		s->whole = s->c->stream || s->sent == s->text.n;
		s->text.n = s->sent;
		put(s, (struct chunk){ .kind = CHUNK_END });
		break;
	case PLAN_SKIP:
		s->seq++;
		s->plan = PLAN_TWICE; /* and that, too */
		return false;
	case PLAN_HEADS:
		put(s, (struct chunk){ .kind = CHUNK_HEAD, .length = s->c->stream ? 0 : s->text.n });
		s->strikes = SIZE_MAX;
		return false;
	default:
		return false;
	}
	world_stop(s);
	return true;
}

static void say_data(struct stream *s)
{
	size_t n = s->text.n - s->sent;

	n = once_in(4) ? n : 1 + dice((unsigned)n);
	n = n < CHUNK_BYTES_MAX ? n : CHUNK_BYTES_MAX;
	if (n > s->credit && s->plan != PLAN_OVER)
		n = (size_t)s->credit;
	if (n == 0)
		return;
	s->credit -= n < s->credit ? n : s->credit;
	s->sent += n;
	put(s, (struct chunk){ .kind = CHUNK_DATA, .payload = slice_of(s->text.p + s->sent - n, n) });
}

static void say_more(struct stream *s)
{
	if (!s->head) {
		s->head = true;
		if (s->plan == PLAN_HEADLESS)
			s->seq++;
		else
			put(s, (struct chunk){ .kind = CHUNK_HEAD, .length = s->c->stream ? 0 : s->text.n });
		return;
	}
	if (s->sent >= s->strikes && s->plan != PLAN_WELL && strike(s))
		return;
	if (s->sent < s->text.n) {
		say_data(s);
		return;
	}
	s->whole = s->plan == PLAN_WELL || s->plan == PLAN_OVER || s->plan == PLAN_TWICE ||
		   s->plan == PLAN_HEADS;
	put(s, (struct chunk){ .kind = CHUNK_END });
	s->ended = true;
	world_stop(s);
}

/* What a worker says of a request that it has nothing to do with, or of none, or badly: nobody is hurt by it.
 */
static void meddle(unsigned number)
{
	struct worker *k = &world.worker[number];
	struct stream *s = world.n_streams ? &world.stream[dice(world.n_streams)] : NULL;
	struct chunk c = {
		.topic = world.gw.topic, .epoch = 1, .attempt = 1, .kind = (enum chunk_kind)(2 + dice(3))
	};
	struct buf frame = { 0 };

	if (!s || !k->z)
		return;
	memcpy(c.rid, s->c->rid, RID_BYTES);
	c.seq = s->seq + dice(2);
	c.attempt = s->attempt;
	c.epoch = s->epoch;
	c.worker = s->instance; /* in another's name */
	if (s->worker == number) {
		c.topic++; /* for another gateway */
	} else if (s->c->http.begun && once_in(2)) {
		c.worker = k->instance; /* in its own, of what is another's */
		if (find_stream(c.rid, 0, number))
			c.epoch = 99;
	}
	if (s->worker == number && s->c->http.begun && once_in(2)) { /* of an attempt before, or after */
		c.topic--;
		c.attempt = s->attempt + 1000 + dice(3);
	}
	if (c.kind == CHUNK_ERROR)
		c.error = ERR_NODE;
	if (c.kind == CHUNK_DATA)
		c.payload = SLICE_STR("data: foreign\n\n");
	chunk_encode(&c, &frame);
	if (once_in(4)) {
		frame.n = dice(24); /* half a header */
	} else if (once_in(4)) {
		frame.p[11] ^= 0x40;
	}
	publish(k, buf_slice(&frame));
	buf_free(&frame);
}

static bool gateway_waits(const struct client *c)
{
	return c->http.end == HTTP_OPEN;
}

static void deliver(struct worker *k)
{
	struct bus_msg *m = bus_take(&k->pipe);
	struct chunk c;
	struct client *of;
	unsigned cancels = k->cancels;
	int64_t faults = metrics.faults.value;

	if (chunk_decode(buf_slice(&m->part[0]), &c) == ERR_OK && c.kind == CHUNK_HEAD &&
	    c.worker == k->known_as && (of = world_find(c.rid)) && !gateway_waits(of)) {
		bus_say_one(k->z, buf_slice(&m->part[0]), NULL);
		world_check(of, k->cancels > cancels, "an answer that nobody waits for goes on");
		world.strays++;
	} else if (!world.calm && once_in(200)) {
		bus_say(k->z, (const struct slice[]){ buf_slice(&m->part[0]), SLICE_STR("more") }, 2, NULL);
	} else {
		bus_say_one(k->z, buf_slice(&m->part[0]), NULL);
	}
	bus_msg_free(m);
	if (metrics.faults.value > faults)
		assert_true(k->cancels > cancels);
}

static void worker_dies(struct worker *k)
{
	bus_drop(&k->pipe);
	for (unsigned i = 0; i < world.n_streams; i++)
		if (&world.worker[world.stream[i].worker] == k)
			world_stop(&world.stream[i]);
	k->up = false;
}

void model_worker_turn(unsigned number)
{
	struct worker *k = &world.worker[number];

	for (unsigned i = 0; i < world.n_streams; i++)
		if (world.stream[i].worker == number && !world.stream[i].over && (world.quiet || once_in(3)))
			say_more(&world.stream[i]);
	if (!world.quiet && once_in(10))
		meddle(number);
	for (unsigned n = world.quiet ? 1000 : dice(6); n > 0 && k->pipe.n && k->z; n--)
		deliver(k);
	if (world.calm || world.quiet)
		return;
	if (once_in(300)) { /* its connection breaks, and comes back */
		bus_drop(&k->pipe);
		k->connected = false;
	}
	if (!k->connected && once_in(5))
		k->connected = true;
	if (once_in(400)) {
		worker_dies(k);
		if (once_in(2))
			model_introduce(k, false);
	}
	if (!k->up && once_in(20)) {
		k->instance = ++world.instances;
		k->up = true;
		model_introduce(k, true);
	}
}

/* --- what the gateway says to workers --- */

static void got_credit(unsigned number, struct slice bytes)
{
	struct credit m;
	struct stream *s;

	assert_int_equal(credit_decode(bytes, &m), ERR_OK);
	s = find_stream(m.rid, m.attempt, number);
	if (!s && !world.calm)
		return; /* whoever said it in that name */
	assert_non_null(s);
	if (world.worker[number].connected)
		s->credit += m.bytes;
	s->granted += m.bytes;
	world_check(s->c, s->plan == PLAN_TWICE || s->granted <= s->c->http.took + FLIGHT_WINDOW_MAX,
		    "granted too much");
}

static void got_cancel(unsigned number, struct slice bytes)
{
	struct cancel m;
	struct stream *s;

	assert_int_equal(cancel_decode(bytes, &m), ERR_OK);
	world.worker[number].cancels++;
	world.cancels++;
	s = find_stream(m.rid, m.attempt, number);
	if (!s)
		return;
	world_check(s->c, !world.calm || world.closing, "stopped, and nobody was at fault");
	world_stop(s);
}

enum err model_worker_told(unsigned number, struct slice f)
{
	struct slice m = slice_of(f.p + 1, f.n - 1);
	enum msg_type type;

	if (f.p[0] == 1) {
		assert_true(f.n == 9 && get_be64(f.p + 1) == world.gw.topic);
		return ERR_OK;
	}
	assert_int_equal(f.p[0], CREDIT_MARK);
	assert_int_equal(msg_peek(m, &type), ERR_OK);
	if (type == MSG_CREDIT && once_in(50))
		return ERR_AGAIN;
	if (type == MSG_CREDIT)
		got_credit(number, m);
	else if (type == MSG_CANCEL)
		got_cancel(number, m);
	return ERR_OK;
}
