/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateways of test_worker_model.c (model_world.h), and what is to hold of all that is published for them.
 */
#include "tests/unit/worker/model_world.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

/* --- what the worker publishes --- */

/* The head, too, may be among what waited for a gateway when its subscription ended, and is dropped with it.
 * When it subscribes again, what its node sends only then comes under its own numbers, without a head: a gap
 * like any other, for which a gateway refuses the answer and cancels it (gateway/flight.c; tests/unit/gateway
 * holds that in test_flight.c, test_stream.c and its model). */
static void check_head(const struct request *j, const char *why)
{
	world_check(j, j->head || j->gap, why);
}

static void published_data(struct request *j, struct slice s)
{
	check_head(j, "bytes before the head");
	world_check(j, s.n > 0 && s.n <= CHUNK_BYTES_MAX, "a frame of no size");
	if (!j->gap) {
		world_check(j, j->sent + s.n <= j->n.want.n, "more bytes than the answer has");
		world_check(j, memcmp(j->n.want.p + j->sent, s.p, s.n) == 0, "other bytes than the answer's");
	}
	j->sent += s.n;
	world_check(j, j->sent <= CREDIT_INITIAL + j->granted, "more than was granted");
}

static void published_end(struct request *j, const struct chunk *c)
{
	j->ended = true;
	j->error = c->error;
	if (c->kind == CHUNK_ERROR) {
		world_check(j, c->error != ERR_OK, "an error that is none");
		return;
	}
	check_head(j, "the end before the head");
	world_check(j, j->n.whole, "the end of what was not whole");
	world_check(j, j->gap || j->sent == j->n.want.n, "the end, without the last bytes");
}

static void published(const struct chunk *c, const struct gateway *g)
{
	struct request *j = world_known(c->rid, c->attempt);

	world_check(j, c->worker == world.worker.instance && c->topic == g->topic && c->epoch == j->n.w.epoch,
		    "a frame that names others");
	world_check(j, g == &world.gateway[j->gateway], "a frame to another gateway");
	world_check(j, j->posted && !j->ended, "a frame before its time or after it");
	if (c->seq != j->seq) {
		world_check(j, c->seq > j->seq && j->disturbed, "a frame twice, or one left out");
		j->gap = true;
	}
	j->seq = c->seq + 1;
	switch (c->kind) {
	case CHUNK_HEAD:
		world_check(j, c->seq == 0, "a second head");
		world_check(j, c->length == (j->n.w.stream ? 0 : j->n.want.n), "another length");
		j->head = true;
		break;
	case CHUNK_DATA:
		published_data(j, c->payload);
		break;
	default:
		published_end(j, c);
	}
}

enum err model_published(struct slice frame)
{
	struct chunk c;
	struct gateway *g;

	assert_int_equal(chunk_decode(frame, &c), ERR_OK);
	g = world_gateway(c.topic);
	if (!g || !g->allowed)
		return ERR_CLOSED;
	if (g->fresh || (!g->dead && g->pipe.n >= g->room))
		return ERR_AGAIN;
	published(&c, g);
	if (!g->dead)
		bus_put(&g->pipe, &frame, 1);
	return ERR_OK;
}

/* --- subscriptions --- */

/* What was on its way to g is lost, and some of what is published now. */
static void disturb_all(struct gateway *g)
{
	for (unsigned i = 0; i < world.n; i++)
		if (&world.gateway[world.job[i].gateway] == g && world.job[i].given)
			world.job[i].disturbed = true;
}

void model_gateway_allowed(struct zsock *z, uint64_t topic, const uint8_t *key)
{
	struct gateway *g = world_gateway(topic);

	(void)z;
	assert_non_null(g);
	if (world.curve)
		assert_true(key && memcmp(key, g->key, KEY_BYTES) == 0);
	g->allowed = g->fresh = true;
	g->dead = false;
	bus_drop(&g->pipe);
}

void model_gateway_denied(struct zsock *z, uint64_t topic)
{
	struct gateway *g = world_gateway(topic);

	(void)z;
	if (!g || !g->allowed)
		return;
	g->allowed = false;
	disturb_all(g);
}

static const uint8_t *key_of(const struct gateway *g)
{
	return world.curve ? g->key : NULL;
}

static void say_subscription(struct gateway *as, uint64_t topic, bool present)
{
	uint8_t frame[9] = { present };

	put_be64(frame + 1, topic);
	bus_say_one(world.pub, slice_of(frame, sizeof(frame)), key_of(as));
}

/* zsock says it every heartbeat, and shows it where it has to be allowed. */
static void subscribe(struct gateway *g)
{
	if (!g->wants || g->allowed || world_now() - g->said < 1000)
		return;
	g->said = world_now();
	say_subscription(g, g->topic, true);
}

/* Its connection breaks, which the worker hears of a little later. */
static void gateway_breaks(struct gateway *g)
{
	bus_drop(&g->pipe);
	g->dead = true;
	g->said = once_in(2) ? 0 : world_now(); /* it comes back at once, or with the next heartbeat */
	disturb_all(g);
}

static void gateway_gone(struct gateway *g)
{
	g->dead = false;
	if (!g->allowed)
		return;
	g->allowed = false; /* zsock takes the lane away first */
	disturb_all(g);
	say_subscription(g, g->topic, false);
}

/* --- gateways --- */

static void upstream(struct gateway *g, struct buf *b)
{
	struct buf frame = { 0 };

	buf_add(&frame, (const uint8_t[]){ CREDIT_MARK }, 1);
	if (b->n)
		buf_add(&frame, b->p, b->n);
	bus_say_one(world.pub, buf_slice(&frame), key_of(g));
	buf_free(&frame);
	buf_free(b);
}

static bool may(const struct gateway *g, const struct request *j)
{
	return (!world.curve || g == &world.gateway[j->gateway]) && world.gateway[j->gateway].known;
}

void model_gateway_grants(struct gateway *g, struct request *j, uint32_t attempt, uint32_t bytes)
{
	struct credit m = { .attempt = attempt, .bytes = bytes };
	struct buf b = { 0 };

	memcpy(m.rid, j->n.w.rid, RID_BYTES);
	credit_encode(&m, &b);
	if (may(g, j) && world_find(m.rid, attempt) == j) {
		j->granted += bytes;
	} else if (attempt == 0 && may(g, j)) { /* whichever runs */
		for (unsigned i = 0; i < world.n; i++)
			if (memcmp(world.job[i].n.w.rid, m.rid, RID_BYTES) == 0)
				world.job[i].granted += bytes;
	}
	upstream(g, &b);
}

static void cancel(struct gateway *g, struct request *j, uint32_t attempt)
{
	struct cancel m = { .attempt = attempt };
	struct buf b = { 0 };

	memcpy(m.rid, j->n.w.rid, RID_BYTES);
	cancel_encode(&m, &b);
	if (may(g, j))
		world_cancel(m.rid, attempt);
	upstream(g, &b);
}

/* Takes one frame out of its pipe as a gateway does, and grants what it took. */
static void gateway_reads(struct gateway *g)
{
	struct bus_msg *m = bus_take(&g->pipe);
	struct chunk c;
	struct request *j;

	if (!m)
		return;
	assert_int_equal(chunk_decode(buf_slice(&m->part[0]), &c), ERR_OK);
	j = world_known(c.rid, c.attempt);
	if (c.seq != j->next) {
		world.gaps++;
		if (!once_in(4))
			cancel(g, j, c.attempt);
	}
	j->next = c.seq + 1;
	j->took += c.payload.n;
	if (j->took >= 16384 || (j->took && once_in(3))) {
		model_gateway_grants(g, j, c.attempt, (uint32_t)j->took);
		j->took = 0;
	}
	bus_msg_free(m);
}

/* Whatever a gateway may come up with. */
static void gateway_meddles(struct gateway *g)
{
	static const uint32_t much[] = { 0, 1, 100, 65536, UINT32_MAX };
	struct buf b = { 0 };
	struct request *j = world_any();

	if (!j)
		return;
	switch (dice(10)) {
	case 0:
		if (once_in(3))
			cancel(&world.gateway[j->gateway], j, once_in(2) ? 0 : j->n.w.attempt);
		break;
	case 1: /* of another attempt, or another's */
		if (!world.curve)
			break;
		cancel(g == &world.gateway[j->gateway] ? &world.gateway[(j->gateway + 1) % GATEWAYS] : g, j,
		       j->n.w.attempt);
		break;
	case 2:
		cancel(g, j, j->n.w.attempt + 1 + dice(3));
		break;
	case 3:
		model_gateway_grants(&world.gateway[j->gateway], j, j->n.w.attempt, much[dice(5)]);
		break;
	case 4: /* another's, if keys tell */
		model_gateway_grants(g, j, once_in(3) ? 0 : j->n.w.attempt, much[dice(5)]);
		break;
	case 5:
		credit_encode(&(struct credit){ .rid = { 0xee, (uint8_t)dice(256) }, .bytes = much[dice(5)] },
			      &b);
		upstream(g, &b);
		break;
	case 6:
		credit_encode(&(struct credit){ .attempt = 1, .bytes = 7 }, &b);
		memcpy(b.p + 4, j->n.w.rid, RID_BYTES);
		model_spoil(&b);
		upstream(g, &b);
		break;
	case 7:
		buf_add(&b, (const uint8_t[]){ (uint8_t)(2 + dice(254)), 1, 2 }, 1 + dice(3));
		if (b.p[0] != CREDIT_MARK)
			bus_say_one(world.pub, buf_slice(&b), key_of(g));
		buf_free(&b);
		break;
	case 8: /* subscribes to what is another's, or nobody's */
		if (world.curve)
			say_subscription(g, world.gateway[dice(GATEWAYS)].topic, true);
		say_subscription(g, 999, once_in(2));
		break;
	default:
		bus_say(world.pub,
			(const struct slice[]){ SLICE_STR("\x53"), SLICE_STR("x"), SLICE_STR("y") },
			1 + dice(3), key_of(g));
	}
}

void model_gateway_turn(struct gateway *g)
{
	g->fresh = false;
	subscribe(g);
	if (g->dead && (world.quiet || once_in(3)))
		gateway_gone(g);
	for (unsigned n = world.quiet ? 1000 : dice(4); n > 0 && g->pipe.n; n--)
		gateway_reads(g);
	if (world.quiet)
		return;
	if (once_in(8))
		gateway_meddles(g);
	if (world.calm)
		return;
	if (g->allowed && !g->dead && once_in(200))
		gateway_breaks(g);
	if (once_in(300))
		g->wants = !g->wants;
	if (!g->wants && g->allowed && !g->dead && once_in(3))
		gateway_breaks(g);
}
