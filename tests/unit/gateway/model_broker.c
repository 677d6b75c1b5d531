/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker of test_gateway_model.c (model_world.h).
 */
#include "tests/unit/gateway/model_world.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proto/chunk.h"
#include "proto/hello.h"
#include "proto/job.h"
#include "proto/lock.h"
#include "proto/peer.h"
#include "proto/query.h"
#include "proto/work.h"

/* --- broker --- */

static void tell(struct buf *text)
{
	struct slice s = buf_slice(text);

	if (s.n)
		bus_put(&world.out, &s, 1);
	buf_free(text);
}

void model_introduce(struct worker *k, bool present)
{
	char endpoint[40];
	struct intro m = { .worker = k->instance, .present = present };
	struct buf b = { 0 };

	snprintf(endpoint, sizeof(endpoint), "ipc://worker%u", (unsigned)(k - world.worker));
	m.endpoint = slice_str(endpoint);
	intro_encode(&m, &b);
	tell(&b);
}

static void refuse(const struct client *c, enum err e)
{
	struct refuse m = { .error = e };
	struct buf b = { 0 };

	memcpy(m.rid, c->rid, RID_BYTES);
	refuse_encode(&m, &b);
	tell(&b);
}

static void fill(struct stream *s)
{
	unsigned events = 1 + dice(once_in(3) ? 300 : 10), long_one = once_in(3) ? 2 : 6;

	for (unsigned i = 0; i < events; i++) {
		unsigned pad = dice(once_in(long_one) ? 3000 : 60);

		buf_fmt(&s->text, "data: %u %u %*s.\n\n", (unsigned)(s - world.stream), i, (int)pad, "x");
	}
}

/* Gives c to a worker. */
static void dispatch(struct client *c)
{
	struct stream *s = &world.stream[world.n_streams];
	unsigned worker = dice(WORKERS);

	if (world.n_streams == STREAMS || !world.worker[worker].up || !world.worker[worker].z)
		return;
	*s = (struct stream){ .c = c,
			      .worker = worker,
			      .instance = world.worker[worker].instance,
			      .epoch = world.epoch,
			      .attempt = ++c->attempts,
			      .credit = CREDIT_INITIAL,
			      .granted = CREDIT_INITIAL };
	s->plan = world.calm || once_in(2) ? PLAN_WELL : (enum plan)dice(PLANS);
	fill(s);
	s->strikes = dice((unsigned)s->text.n);
	world.n_streams++;
}

static bool runs(const struct client *c)
{
	for (unsigned i = 0; i < world.n_streams; i++)
		if (world.stream[i].c == c && !world.stream[i].over)
			return true;
	return false;
}

static void answer(struct client *c)
{
	struct buf b = { 0 };

	if (c->asks == ASK_LOCK) {
		static const uint8_t key[KEY_BYTES] = { 1 };
		struct locked m = { .node = 1, .stack = 2, .sign_key = slice_of(key, KEY_BYTES) };

		memcpy(m.rid, c->rid, RID_BYTES);
		locked_encode(&m, &b);
	} else {
		struct answer m = { .body = SLICE_STR("{}") };

		memcpy(m.rid, c->rid, RID_BYTES);
		answer_encode(&m, &b);
	}
	tell(&b);
}

/* The broker decides on something that it was asked. */
static void decide(struct client *c)
{
	if (once_in(12) && !(world.calm && c->attempts))
		refuse(c, once_in(2) ? ERR_NO_NODE : ERR_BALANCE);
	else if (c->asks != ASK_JOB)
		answer(c);
	else if (!c->attempts || (!world.calm && once_in(3)))
		dispatch(c);
}

static void broker_welcomes(void)
{
	struct welcome m = { .epoch = world.epoch,
			     .instance = 100 + world.epoch,
			     .interval_ms = 1000,
			     .member = world.member };
	struct buf b = { 0 };

	welcome_encode(&m, &b);
	tell(&b);
	world.welcomed = true;
	for (unsigned i = 0; i < WORKERS; i++)
		if (world.worker[i].up)
			model_introduce(&world.worker[i], true);
}

static void broker_pongs(struct slice bytes)
{
	struct buf b = { 0 };
	struct ping m;

	assert_int_equal(ping_decode(bytes, &m), ERR_OK);
	m.instance = world.welcomed ? 100 + world.epoch : 0;
	m.epoch = world.epoch;
	pong_encode(&m, &b);
	tell(&b);
}

/* Every request's id stands behind version and type. */
static void broker_takes(enum msg_type type, struct slice bytes)
{
	struct cancel cancel;
	struct waiting_job waiting;
	struct client *c = NULL;

	if (type == MSG_CANCEL && cancel_decode(bytes, &cancel) == ERR_OK) {
		for (unsigned i = 0; i < world.n_streams; i++)
			if (memcmp(world.stream[i].c->rid, cancel.rid, RID_BYTES) == 0)
				world_stop(&world.stream[i]);
	} else if (type == MSG_WAITING && waiting_decode(bytes, &waiting) == ERR_OK) {
		c = world_find(waiting.rid);
		if (!runs(c) && (!c->known || c->attempts))
			refuse(c, ERR_NO_WORKER);
	}
}

static void broker_reads(void)
{
	struct bus_msg *m = bus_take(&world.in);
	struct slice bytes = buf_slice(&m->part[0]);
	enum msg_type type;

	assert_int_equal(msg_peek(bytes, &type), ERR_OK);
	if (m->tag) /* of a client */
		((struct client *)m->tag)->known = world.welcomed;
	else if (type == MSG_HELLO && !world.mute)
		broker_welcomes();
	else if (type == MSG_PING && !world.mute)
		broker_pongs(bytes);
	else
		broker_takes(type, bytes);
	bus_msg_free(m);
}

/* The word of the broker that ends c is there. */
static void note(struct slice bytes)
{
	enum msg_type type;
	struct refuse r;
	struct locked l;
	struct answer a;
	struct intro i;
	struct client *c;

	if (msg_peek(bytes, &type) != ERR_OK)
		return;
	if (type == MSG_INTRO && intro_decode(bytes, &i) == ERR_OK)
		world.introduced = i.worker;
	if (type == MSG_REFUSE && refuse_decode(bytes, &r) == ERR_OK && (c = world_find(r.rid)))
		c->refused = true;
	if (type == MSG_LOCKED && locked_decode(bytes, &l) == ERR_OK && (c = world_find(l.rid)))
		c->answered = true;
	if (type == MSG_ANSWER && answer_decode(bytes, &a) == ERR_OK && (c = world_find(a.rid)))
		c->answered = true;
}

/* Nobody waits for a worker that is gone. */
static void check_gone(struct slice bytes)
{
	struct intro m;

	if (intro_decode(bytes, &m) != ERR_OK || m.present)
		return;
	for (unsigned i = 0; i < world.n_streams; i++) {
		const struct client *c = world.stream[i].c;

		if (world.stream[i].instance == m.worker && c->attempts == 1 && c->http.begun)
			world_check(c, c->http.end != HTTP_OPEN, "its worker is gone, and it is open");
	}
}

static void broker_speaks(void)
{
	struct bus_msg *m = bus_take(&world.out);

	note(buf_slice(&m->part[0]));
	bus_say_one(world.bus, buf_slice(&m->part[0]), NULL);
	check_gone(buf_slice(&m->part[0]));
	bus_msg_free(m);
}

static void say_badly(void)
{
	struct client *c = world.n ? &world.client[dice(world.n)] : NULL;
	struct buf b = { 0 };
	struct refuse m = { .error = ERR_NODE };

	if (!c)
		return;
	switch (dice(5)) {
	case 4: /* late: its answer comes already */
		if (world.calm && c->http.begun && c->http.end == HTTP_OPEN)
			refuse(c, ERR_NO_WORKER);
		break;
	case 0: /* of nobody */
		memset(m.rid, 0xee, RID_BYTES);
		refuse_encode(&m, &b);
		break;
	case 1:
		memcpy(m.rid, c->rid, RID_BYTES);
		refuse_encode(&m, &b);
		model_spoil(&b);
		break;
	case 2: /* not for gateways */
		posted_encode(&(struct work_ref){ .epoch = 1, .attempt = 1 }, &b);
		break;
	default: /* the answer to another question */
		if (c->asks == ASK_JOB) {
			struct answer a = { .body = SLICE_STR("[]") };

			memcpy(a.rid, c->rid, RID_BYTES);
			answer_encode(&a, &b);
		}
	}
	tell(&b);
}

static void broker_breaks(bool dies)
{
	bus_drop(&world.in);
	bus_drop(&world.out);
	world.connected = false;
	world.welcomed = false;
	if (!dies)
		return;
	world.epoch++;
	for (unsigned i = 0; i < world.n; i++)
		world.client[i].known = false;
}

/* It gives up what was ours. */
static void broker_forgets(void)
{
	world.member++;
	world.welcomed = false;
	for (unsigned i = 0; i < world.n_streams; i++)
		world_stop(&world.stream[i]);
	for (unsigned i = 0; i < world.n; i++)
		world.client[i].known = false;
}

void model_broker_turn(void)
{
	struct client *c = world.n ? &world.client[dice(world.n)] : NULL;

	for (unsigned n = world.quiet || world.calm ? 1000 : dice(4); n > 0 && world.in.n; n--)
		broker_reads();
	if (c && c->known && !c->refused && !c->answered && (world.quiet || once_in(2)))
		decide(c);
	for (unsigned n = world.quiet || world.calm ? 1000 : dice(4); n > 0 && world.out.n && world.connected;
	     n--)
		broker_speaks();
	if (world.quiet)
		return;
	if (once_in(20))
		say_badly();
	if (world.calm)
		return;
	if (once_in(100))
		broker_breaks(once_in(2));
	if (once_in(150))
		world.mute = !world.mute;
	if (once_in(200))
		broker_forgets();
	if (!world.connected && once_in(10))
		world.connected = true;
}

enum err model_broker_told(struct slice head)
{
	enum msg_type type;
	struct bus_msg *m;
	struct job job;
	struct lock_ask lock;
	struct query query;
	struct client *c = world.asking;

	if (!world.connected)
		return ERR_AGAIN;
	assert_int_equal(msg_peek(head, &type), ERR_OK);
	m = bus_put(&world.in, &head, 1);
	world.cancels += type == MSG_CANCEL;
	if (type == MSG_JOB && job_decode(head, &job) == ERR_OK)
		memcpy(c->rid, job.rid, RID_BYTES);
	else if (type == MSG_LOCK && lock_ask_decode(head, &lock) == ERR_OK)
		memcpy(c->rid, lock.rid, RID_BYTES);
	else if (type == MSG_QUERY && query_decode(head, &query) == ERR_OK)
		memcpy(c->rid, query.rid, RID_BYTES);
	else
		return ERR_OK;
	c->asked = true;
	m->tag = c;
	return ERR_OK;
}
