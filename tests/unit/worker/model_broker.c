/* SPDX-License-Identifier: Apache-2.0
 *
 * The brokers of test_worker_model.c (model_world.h), and what is to hold of all that the worker says to
 * them.
 */
#include "tests/unit/worker/model_world.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* --- what the worker says to brokers --- */

/* Whether the node's receipt has to be in the settlement. */
static bool owes_receipt(const struct request *j)
{
	const struct node_job *n = &j->n;

	if (n->whole)
		return true;
	if (n->plan == PLAN_BAD_SIGN || n->fetch_late || !node_gives_receipt(n))
		return false;
	return j->wanted || n->status == 200 || (j->cancelled && n->status == 0);
}

static void check_settle(struct request *j, const struct settle *m)
{
	const struct node_job *n = &j->n;
	bool complete = n->side.receipt.outcome == 0;

	world_check(j, j->wanted || j->posted, "settled, and never posted");
	world_check(j, m->node == n->w.node && m->epoch == n->w.epoch, "settled for another");
	world_check(j, !owes_receipt(j) || m->receipt.n, "settled without the receipt that there is");
	if (m->receipt.n && n->plan != PLAN_BAD_SIGN) {
		world_check(j, slice_eq(m->receipt, slice_of(n->receipt, RECEIPT_BYTES)),
			    "settled with another receipt");
		world_check(j, m->outcome == (complete ? SETTLE_COMPLETE : SETTLE_STOPPED),
			    "settled as something else");
	}
	if (!j->wanted && n->status && n->status != 200)
		world_check(j, m->outcome == SETTLE_FAILED && !m->receipt.n,
			    "a refusal that is not settled as one");
	world_check(j, m->outcome != SETTLE_COMPLETE || m->receipt.n, "complete without a receipt");
	world_check(j, !m->untold || (n->w.hold && !j->head && !j->ended), "untold, and told");
	j->untold = m->untold;
}

static void said_settle(struct slice bytes)
{
	struct settle m;
	struct request *j;

	assert_int_equal(settle_decode(bytes, &m), ERR_OK);
	j = world_known(m.rid, m.attempt);
	j->said_now = true;
	if (j->settle.n) {
		world_check(j, slice_eq(buf_slice(&j->settle), bytes), "settled again in other words");
		return;
	}
	buf_add(&j->settle, bytes.p, bytes.n);
	check_settle(j, &m);
}

static void said_posted(struct slice bytes, bool arrives)
{
	struct work_ref m;
	struct request *j;

	assert_int_equal(posted_decode(bytes, &m), ERR_OK);
	j = world_known(m.rid, m.attempt);
	world_check(j, j->given && !j->posted && !j->n.posts, "posted twice");
	world_check(j, !j->late, "posted, and another worker may have it by now");
	j->posted = j->n.may_post = arrives;
	j->unsaid = !arrives;
	if (!arrives)
		j->given = false;
}

static void said_return(struct slice bytes)
{
	struct work_return m;
	struct request *j;

	assert_int_equal(return_decode(bytes, &m), ERR_OK);
	j = world_known(m.ref.rid, m.ref.attempt);
	world_check(j, j->given && m.error != ERR_OK, "given back, and not given");
	j->returns++;
	world_check(j, j->returns <= j->dups + (j->posted ? 0 : 1), "given back, and posted");
}

static void said_inflight(struct slice bytes)
{
	struct inflight m;
	struct request *j;

	assert_int_equal(inflight_decode(bytes, &m), ERR_OK);
	j = world_known(m.ref.rid, m.ref.attempt);
	world_check(j, j->posted && !j->settle.n, "in flight, and settled or never posted");
	j->said_now = true;
}

static void said_answering(struct slice bytes)
{
	struct work_ref m;
	struct request *j;

	assert_int_equal(answering_decode(bytes, &m), ERR_OK);
	j = world_known(m.rid, m.attempt);
	world_check(j, j->posted && j->n.status == 200 && j->n.w.hold && j->answerings++ == 0,
		    "answering, and not");
}

enum err model_broker_told(struct broker *b, struct slice bytes)
{
	enum msg_type type;
	bool arrives = b->connected && (world.quiet || !once_in(150)); /* else: no line, or no room on it */

	assert_int_equal(msg_peek(bytes, &type), ERR_OK);
	if (type == MSG_HELLO)
		b->owed_hello = !arrives;
	else if (type != MSG_PING && !arrives)
		b->owed_hello = true;
	if (type == MSG_SETTLE)
		said_settle(bytes);
	else if (type == MSG_POSTED)
		said_posted(bytes, arrives);
	else if (type == MSG_RETURN)
		said_return(bytes);
	else if (type == MSG_INFLIGHT)
		said_inflight(bytes);
	else if (type == MSG_ANSWERING)
		said_answering(bytes);
	else if (type == MSG_PROBED)
		world.probed++;
	if (!arrives)
		return ERR_AGAIN;
	bus_put(&b->in, &bytes, 1);
	return ERR_OK;
}

/* --- brokers --- */

static struct bus_msg *tell(struct broker *b, struct buf *text)
{
	struct slice s = buf_slice(text);
	struct bus_msg *m = bus_put(&b->out, &s, 1);

	buf_free(text);
	return m;
}

static void tell_peer(struct broker *b, const struct gateway *g, bool present)
{
	struct peer m = { .topic = g->topic,
			  .present = present,
			  .key = slice_of(g->key, world.curve ? KEY_BYTES : 0) };
	struct buf text = { 0 };

	if (!present)
		m.key.n = 0;
	b->names[g - world.gateway] = present;
	b->heard[g - world.gateway] &= present;
	peer_encode(&m, &text);
	tell(b, &text);
}

static void broker_welcomes(struct broker *b)
{
	struct welcome m = {
		.epoch = b->epoch, .instance = 100 + b->epoch, .interval_ms = 1000, .member = b->member
	};
	struct buf text = { 0 };

	welcome_encode(&m, &text);
	tell(b, &text);
	b->welcomed = true;
	memset(b->heard, 0, sizeof(b->heard));
	for (unsigned i = 0; i < GATEWAYS; i++)
		tell_peer(b, &world.gateway[i], true);
}

static void broker_pongs(struct broker *b, struct slice bytes)
{
	struct buf text = { 0 };
	struct ping m;

	assert_int_equal(ping_decode(bytes, &m), ERR_OK);
	m.instance = b->welcomed ? 100 + b->epoch : 0;
	m.epoch = b->epoch;
	pong_encode(&m, &text);
	tell(b, &text);
}

static void broker_settles(struct broker *b, struct slice bytes)
{
	struct buf text = { 0 };
	struct settle m;
	struct settled s;

	assert_int_equal(settle_decode(bytes, &m), ERR_OK);
	if (!world.quiet && once_in(4))
		return; /* it repeats it */
	memcpy(s.rid, m.rid, RID_BYTES);
	s.attempt = m.attempt;
	world_known(m.rid, m.attempt)->acked = true;
	settled_encode(&s, &text);
	tell(b, &text);
}

static void broker_hears(struct broker *b, struct slice bytes)
{
	const struct gateway *g;
	struct heard m;

	assert_int_equal(heard_decode(bytes, &m), ERR_OK);
	g = world_gateway(m.topic);
	if (b->names[g - world.gateway])
		b->heard[g - world.gateway] = m.present;
}

static void broker_reads(struct broker *b)
{
	struct bus_msg *m = bus_take(&b->in);
	struct slice bytes;
	enum msg_type type;

	if (!m)
		return;
	bytes = buf_slice(&m->part[0]);
	assert_int_equal(msg_peek(bytes, &type), ERR_OK);
	if (type == MSG_HELLO && !b->mute)
		broker_welcomes(b);
	else if (type == MSG_PING && !b->mute)
		broker_pongs(b, bytes);
	else if (type == MSG_SETTLE && b->welcomed)
		broker_settles(b, bytes);
	else if (type == MSG_HEARD && b->welcomed)
		broker_hears(b, bytes);
	bus_msg_free(m);
}

/* A dispatch that would be one too many for the worker, because it has forgotten the first. */
static bool too_late(const struct request *j)
{
	return j->acked || (!j->wanted && j->given && !j->posted);
}

static void take_note(const struct broker *b, const struct bus_msg *m)
{
	struct request *j = m->tag;

	if (!j || m->n != 2) /* RECEIPT_WANTED has no body */
		return;
	if (j->given)
		j->dups++;
	else if (j->n.w.epoch == link_epoch(world.worker.links[b - world.broker]))
		j->given = true;
	j->late = !j->posted && !link_up(world.worker.links[b - world.broker]);
}

static void note_cancel_of(const struct bus_msg *m)
{
	struct cancel c;

	if (cancel_decode(buf_slice(&m->part[0]), &c) == ERR_OK)
		world_cancel(c.rid, c.attempt);
}

static void note_peer(const struct bus_msg *m)
{
	struct peer p;
	struct gateway *g;

	if (peer_decode(buf_slice(&m->part[0]), &p) == ERR_OK && p.present && (g = world_gateway(p.topic)))
		g->known = true;
}

/* Only one of this life of the broker's is answered. */
static void note_probe(const struct broker *b, struct slice bytes)
{
	struct probe m;

	if (probe_decode(bytes, &m) == ERR_OK && m.epoch == link_epoch(world.worker.links[b - world.broker]))
		world.probes++;
}

/* After a WELCOME the broker hears of everything that is not acknowledged. */
static void say_welcome(struct broker *b, const struct slice *parts, size_t n)
{
	for (unsigned i = 0; i < world.n; i++)
		world.job[i].said_now = false;
	bus_say(b->z, parts, n, NULL);
	for (unsigned i = 0; i < world.n; i++) {
		const struct request *j = &world.job[i];

		if (&world.broker[j->broker] == b && j->posted && !j->acked)
			world_check(j, j->said_now, "not announced to the broker");
	}
}

static void broker_speaks(struct broker *b)
{
	struct bus_msg *m = bus_take(&b->out);
	struct slice parts[2];
	struct welcome welcome;

	if (!m)
		return;
	parts[0] = buf_slice(&m->part[0]);
	parts[1] = buf_slice(&m->part[1]);
	note_probe(b, parts[0]);
	if (m->n == 1 && welcome_decode(parts[0], &welcome) == ERR_OK) {
		say_welcome(b, parts, m->n);
	} else if (!m->tag || !too_late(m->tag)) {
		take_note(b, m);
		note_cancel_of(m);
		note_peer(m);
		bus_say(b->z, parts, m->n, NULL);
	}
	bus_msg_free(m);
}

static void job_work(struct request *j, struct broker *b)
{
	bool sealed = once_in(2);
	struct work m = {
		.epoch = b->epoch,
		.attempt = 1,
		.endpoint = sealed ? EP_CHAT : EP_PLAIN_CHAT,
		.stream = !once_in(3),
		.user = 5,
		.stack = 42,
		.units = 1000,
		.model = SLICE_STR("demo"),
		.node = 1 + dice(3),
		.receipt_required = true,
		.hold = !sealed && once_in(2),
		.show_usage = !sealed && once_in(2),
	};

	for (unsigned i = 0; i < RID_BYTES; i++)
		m.rid[i] = (uint8_t)dice(256);
	if (sealed)
		memset(m.node_key, 0x11, KEY_BYTES);
	node_job_init(&j->n, world.n, &m);
}

static struct request *new_job(struct broker *b)
{
	struct request *j = &world.job[world.n];

	if (world.n == JOBS)
		return NULL;
	job_work(j, b);
	j->broker = (unsigned)(b - world.broker);
	j->gateway = dice(GATEWAYS);
	j->n.w.topic = world.gateway[j->gateway].topic;
	world.n++;
	world.jobs++;
	return j;
}

/* j as it may be given: the address is its number. */
static void tell_work(struct broker *b, struct request *j)
{
	char address[40];
	struct buf text = { 0 };
	struct work m = j->n.w;
	struct bus_msg *msg;

	snprintf(address, sizeof(address), "http://node:%u", JOB_PORT + j->n.number);
	m.address = slice_str(address);
	work_encode(&m, &text);
	msg = tell(b, &text);
	buf_add(&msg->part[1], j->n.body.p, j->n.body.n);
	msg->n = 2;
	msg->tag = j;
}

static void give_work(struct broker *b)
{
	struct request *j = new_job(b);

	if (!j)
		return;
	if (once_in(20))
		j->n.w.epoch--; /* of the broker's life before */
	tell_work(b, j);
}

/* To somebody else after it came back, or failed untold; here that is us again. */
static void give_next_attempt(struct broker *b, const struct request *of)
{
	struct request *j;
	uint8_t rid[RID_BYTES];
	uint32_t attempt = of->n.w.attempt + 1;
	unsigned gateway = of->gateway;

	if (!(of->untold && of->acked) && !(of->returns && !of->posted))
		return;
	if (world_find(of->n.w.rid, attempt) || of->broker != (unsigned)(b - world.broker))
		return;
	memcpy(rid, of->n.w.rid, RID_BYTES);
	j = new_job(b);
	if (!j)
		return;
	memcpy(j->n.w.rid, rid, RID_BYTES);
	j->n.w.attempt = attempt;
	j->gateway = gateway;
	j->n.w.topic = world.gateway[gateway].topic;
	tell_work(b, j);
}

static void tell_wanted(struct broker *b, struct request *j)
{
	struct receipt_wanted m = { .ref = { .epoch = j->n.w.epoch, .attempt = j->n.w.attempt },
				    .node = j->n.w.node,
				    .stack = j->n.w.stack,
				    .units = j->n.w.units };
	struct buf text = { 0 };
	char address[40];

	memcpy(m.ref.rid, j->n.w.rid, RID_BYTES);
	memcpy(m.sign_key, j->n.w.sign_key, KEY_BYTES);
	snprintf(address, sizeof(address), "http://node:%u", JOB_PORT + j->n.number);
	m.address = slice_str(address);
	receipt_wanted_encode(&m, &text);
	tell(b, &text)->tag = j;
}

/* Of a request that a dead worker had. */
static void ask_receipt(struct broker *b)
{
	struct request *j = new_job(b);

	if (!j)
		return;
	j->wanted = true;
	j->n.posts = 1; /* by a worker that is dead */
	j->n.over = once_in(2);
	for (unsigned n = dice(4); n > 0 && j->n.over; n--)
		node_side_count(&j->n.side);
	if (j->n.over) {
		node_side_receipt(&j->n.side, &j->n.w, once_in(2));
		receipt_encode(&j->n.side.receipt, j->n.receipt);
		j->n.signed_for = true;
	}
	tell_wanted(b, j);
}

static void ask_probe(struct broker *b)
{
	struct probe m = {
		.epoch = b->epoch, .node = 3, .address = SLICE_STR("http://node:1"), .timeout_ms = 2000
	};
	struct buf text = { 0 };

	probe_encode(&m, &text);
	tell(b, &text);
}

static void say_badly(struct broker *b)
{
	struct buf text = { 0 };
	struct request *j = world_any();
	struct bus_msg *m;
	bool whole = false;

	if (!j)
		return;
	switch (dice(4)) {
	case 0:
		work_encode(&(struct work){ .epoch = b->epoch,
					    .attempt = 1,
					    .endpoint = EP_CHAT,
					    .node = 1,
					    .model = SLICE_STR("m"),
					    .address = SLICE_STR("http://x") },
			    &text);
		whole = once_in(2); /* but without its body */
		if (!whole)
			model_spoil(&text);
		break;
	case 1:
		settled_encode(&(struct settled){ .attempt = j->n.w.attempt + 100 }, &text);
		memcpy(text.p + 5, j->n.w.rid, RID_BYTES);
		break;
	case 2:
		bye_encode(&(struct bye){ .instance = 1 }, &text); /* not for a worker */
		break;
	default:
		welcome_encode(&(struct welcome){ .epoch = 9999, .instance = 1, .interval_ms = 20 }, &text);
		model_spoil(&text);
	}
	m = tell(b, &text);
	if (!whole && once_in(4)) {
		buf_str(&m->part[1], "more");
		m->n = 2;
	}
	if (m->part[0].n == 0) /* a frame of nothing */
		buf_reserve(&m->part[0], 1);
}

static void broker_cancels(struct broker *b)
{
	struct request *j = world_any();
	struct buf text = { 0 };
	struct cancel m;

	if (!j)
		return;
	m.attempt = once_in(3) ? 0 : once_in(4) ? j->n.w.attempt + 1 : j->n.w.attempt;
	memcpy(m.rid, j->n.w.rid, RID_BYTES);
	cancel_encode(&m, &text);
	tell(b, &text);
}

/* It takes the worker for dead, and gateways break off what the worker had begun for it. */
static void broker_forgets(struct broker *b)
{
	b->member++;
	for (unsigned i = 0; i < world.n; i++)
		if (world.job[i].given && world.job[i].broker == (unsigned)(b - world.broker))
			world.job[i].disturbed = true;
}

static void broker_breaks(struct broker *b, bool dies)
{
	bus_drop(&b->in);
	bus_drop(&b->out);
	b->connected = false;
	b->welcomed = false; /* who comes back is another to it until it greets */
	if (dies)
		b->epoch += 2;
	else if (once_in(2))
		broker_forgets(b);
}

static void broker_acts(struct broker *b)
{
	struct request *j = world_any();
	unsigned what = dice(100);

	if (what < 18)
		give_work(b);
	else if (what < 24 && j && j->broker == (unsigned)(b - world.broker) && !j->wanted)
		tell_work(b, j); /* once more */
	else if (what < 34 && j)
		give_next_attempt(b, j);
	else if (what < 37)
		broker_cancels(b);
	else if (what < 40)
		ask_receipt(b);
	else if (what >= 98 && j && j->broker == (unsigned)(b - world.broker) && (j->wanted || j->posted))
		tell_wanted(b, j); /* once more, or of one that is in hand */
	else if (what < 42)
		ask_probe(b);
	else if (what < 47)
		say_badly(b);
	else if (what < 48)
		tell_peer(b, &world.gateway[dice(GATEWAYS)], once_in(2));
	else if (what < 49)
		broker_breaks(b, once_in(2));
	else if (what < 50)
		b->mute = !b->mute;
}

void model_broker_turn(struct broker *b)
{
	for (unsigned n = world.quiet ? 1000 : dice(4); n > 0 && b->in.n; n--)
		broker_reads(b);
	for (unsigned n = world.quiet ? 1000 : dice(4); n > 0 && b->out.n && b->connected; n--)
		broker_speaks(b);
	if (world.quiet)
		return;
	if (!b->connected && once_in(20))
		b->connected = true;
	if (b->welcomed && b->connected && once_in(2))
		broker_acts(b);
}
