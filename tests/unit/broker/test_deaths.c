/* SPDX-License-Identifier: Apache-2.0
 *
 * Random deaths, message by message: the real broker between two workers and a node that are played here.
 * Each round one request lives through a schedule of losses: a worker is taken for dead and comes back, or
 * dies and another takes its place; the node dies and has forgotten its receipts; the broker dies; words are
 * on their way meanwhile, or lost.  Whoever had the whole answer is billed what the node signed, unless at
 * some moment neither node nor worker nor broker had the receipt any more; nobody is billed anything else,
 * and the units come back.
 *
 * The seed is printed; SEALWAY_SEED sets the first one, SEALWAY_LONG=1 goes on for two minutes.
 */
#include "tests/unit/broker/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/peers.h"
#include "broker/task.h"
#include "common/log.h"
#include "tests/unit/broker/rig.h"

#define WORKERS 2
#define OUTBOX 32
#define EVENTS 20
#define ROUNDS 30
#define FAR_MS 3600000

enum says { SAY_POSTED, SAY_INFLIGHT, SAY_RETURN, SAY_SETTLE };

struct words {
	enum says what;
	struct work w;
	enum settle_outcome outcome;
	enum err error;
	uint64_t units;
};

/* A worker: at most one request, at the node or settled and not acknowledged. */
struct player {
	struct actor *a;
	bool has;       /* at the node, as far as it knows, or about to be */
	bool posting;   /* said, and not at the node yet */
	bool answering; /* the node's 200 has come */
	unsigned life;  /* of the node that it asked */
	struct work w;
	bool in_book;
	struct words book;
	struct words out[OUTBOX]; /* said, and not sent yet */
	unsigned n_out;
};

static struct {
	struct rig *r;
	struct player p[WORKERS];
	uint64_t instances;
	/* the node */
	unsigned life, key_life; /* its own; of the key that the request is sealed to */
	bool down, running, signed_for;
	enum settle_outcome outcome;
	uint64_t units;
	/* the client */
	bool bound, whole;
	uint32_t bound_to; /* attempt */
	uint64_t had;      /* units of the receipt that came to it */
	bool nobody_had_it;
	uint64_t spent; /* before the round */
	uint8_t rid[RID_BYTES];
	char story[4096];
	unsigned wholes, excused, cut;
} w;

static unsigned dice(unsigned n)
{
	return (unsigned)rand() % n;
}

static void tell(const char *what, unsigned who)
{
	size_t n = strlen(w.story);

	snprintf(w.story + n, sizeof(w.story) - n, " %s%u", what, who);
}

/* --- the node --- */

static void node_dies(void)
{
	w.life++;
	w.running = w.signed_for = false;
}

static void node_signs(enum settle_outcome outcome, uint64_t units)
{
	w.running = false;
	w.signed_for = true;
	w.outcome = outcome;
	w.units = units;
}

/* --- what workers do --- */

static void say(struct player *p, enum says what)
{
	struct words *m = &p->out[p->n_out++];

	assert_true(p->n_out < OUTBOX);
	*m = what == SAY_SETTLE ? p->book : (struct words){ .w = p->w };
	m->what = what;
}

static void ends(struct player *p, const struct work *as, enum settle_outcome outcome, enum err e,
		 uint64_t units)
{
	p->has = p->posting = p->answering = false;
	p->in_book = true;
	p->book = (struct words){ .w = *as, .outcome = outcome, .error = e, .units = units };
	say(p, SAY_SETTLE);
}

static void post(struct player *p)
{
	say(p, SAY_POSTED);
	p->has = p->posting = true;
}

static void reach(struct player *p)
{
	p->posting = false;
	p->life = w.life;
	if (w.down)
		ends(p, &p->w, SETTLE_FAILED, ERR_UNAVAILABLE, 0);
	else if (w.running || w.signed_for)
		ends(p, &p->w, SETTLE_FAILED, ERR_ANSWERED, 0);
	else if (w.life != w.key_life)
		ends(p, &p->w, SETTLE_FAILED, ERR_KEY_UNKNOWN, 0);
	else
		w.running = true;
}

static void given(struct player *p, const struct work *m)
{
	if (p->has) {
		say(p, SAY_INFLIGHT);
		return;
	}
	p->w = *m;
	p->w.model = p->w.address = slice_of(NULL, 0);
	if (p->in_book) { /* has ended it */
		say(p, SAY_RETURN);
		say(p, SAY_SETTLE);
	} else if (dice(5) == 0) { /* has been stopped meanwhile */
		say(p, SAY_RETURN);
	} else {
		post(p);
	}
}

static void wanted(struct player *p, const struct receipt_wanted *m)
{
	struct work as = { .epoch = m->ref.epoch,
			   .attempt = m->ref.attempt,
			   .node = m->node,
			   .stack = m->stack,
			   .units = m->units };

	if (p->in_book)
		say(p, SAY_SETTLE);
	if (p->has || p->in_book || w.down || w.running)
		return;
	memcpy(as.rid, m->ref.rid, RID_BYTES);
	memcpy(as.node_key, w.r->x25519, KEY_BYTES);
	memset(as.plain_hash, 7, KEY_BYTES);
	if (w.signed_for)
		ends(p, &as, w.outcome, ERR_CLOSED, w.units);
	else
		ends(p, &as, SETTLE_LOST, ERR_NODE, 0);
}

/* The exchange with the node goes on by one step. */
static void goes_on(struct player *p)
{
	if (!p->has)
		return;
	if (p->posting) {
		reach(p);
	} else if (p->life != w.life) {
		ends(p, &p->w, p->answering ? SETTLE_LOST : SETTLE_FAILED, ERR_NODE, 0);
	} else if (p->answering && w.down) { /* out of reach: it stops by itself */
		node_signs(SETTLE_STOPPED, 1 + dice(50));
		ends(p, &p->w, SETTLE_LOST, ERR_UNAVAILABLE, 0);
	} else if (!p->answering) {
		p->answering = true;
		if (!w.bound)
			w.bound_to = p->w.attempt;
		w.bound = true;
	} else {
		node_signs(SETTLE_COMPLETE, 100 + dice(500));
		if (w.bound_to == p->w.attempt) {
			w.whole = true;
			w.had = w.units;
		}
		ends(p, &p->w, SETTLE_COMPLETE, ERR_OK, w.units);
	}
}

static void hear(struct player *p)
{
	struct receipt_wanted rw;
	enum msg_type type;
	struct settled s;
	struct work m;

	for (int i = 0; i < INBOX; i++) {
		struct slice msg = buf_slice(&p->a->in[i].msg);

		if (!p->a->in[i].used)
			continue;
		p->a->in[i].used = false;
		assert_int_equal(msg_peek(msg, &type), ERR_OK);
		if (type == MSG_WORK) {
			assert_int_equal(work_decode(msg, &m), ERR_OK);
			given(p, &m);
		} else if (type == MSG_RECEIPT_WANTED) {
			assert_int_equal(receipt_wanted_decode(msg, &rw), ERR_OK);
			wanted(p, &rw);
		} else if (type == MSG_SETTLED) {
			assert_int_equal(settled_decode(msg, &s), ERR_OK);
			p->in_book = p->in_book && p->book.w.attempt != s.attempt;
		}
	}
}

static const struct words *sending;

static void change(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->error = sending->error;
}

static void send_one(struct player *p, const struct words *m)
{
	struct work_return back = { .ref = { .epoch = m->w.epoch, .attempt = m->w.attempt },
				    .error = ERR_NO_WORKER };
	struct buf msg = { 0 };

	switch (m->what) {
	case SAY_POSTED:
		rig_posted(p->a, &m->w);
		break;
	case SAY_INFLIGHT:
		rig_inflight(p->a, &m->w, true);
		break;
	case SAY_RETURN:
		memcpy(back.ref.rid, m->w.rid, RID_BYTES);
		return_encode(&back, &msg);
		actor_send(p->a, &msg, NULL);
		break;
	case SAY_SETTLE:
		sending = m;
		rig_settle(w.r, p->a, &m->w, m->outcome, 0, m->units, change);
		break;
	}
}

static bool known(const struct player *p)
{
	return peers_by_instance(&w.r->b, p->a->instance, ROLE_WORKER) != NULL;
}

/* To a broker that does not know it, it says nothing that is heard. */
static void send_all(struct player *p)
{
	for (unsigned i = 0; i < p->n_out && known(p); i++)
		send_one(p, &p->out[i]);
	p->n_out = 0;
	rig_run(w.r, 2);
}

/* A new connection: what was not sent is lost, and said anew. */
static void comes(struct player *p)
{
	p->n_out = 0;
	actor_hello(w.r, p->a);
	rig_run(w.r, 2);
	if (p->has)
		say(p, SAY_INFLIGHT);
	if (p->in_book)
		say(p, SAY_SETTLE);
	send_all(p);
	rig_introduce(w.r, &w.r->gw, p->a);
}

static void taken_for_dead(struct player *p)
{
	struct party *q = peers_by_instance(&w.r->b, p->a->instance, ROLE_WORKER);

	if (q)
		peers_drop(&w.r->b, q, "test");
}

static void dies(struct player *p)
{
	uint64_t before = p->a->instance;

	if (dice(2))
		send_all(p);
	if (p->has && !p->posting && p->life == w.life && w.running)
		node_signs(SETTLE_STOPPED, p->answering ? 1 + dice(50) : 0);
	actor_free(p->a);
	memset(p->a, 0, sizeof(*p->a));
	*p = (struct player){ .a = p->a };
	actor_open(w.r, p->a, ROLE_WORKER, ++w.instances);
	(void)actor_get(w.r, p->a, MSG_WELCOME);
	rig_introduce(w.r, &w.r->gw, p->a);
	if (peers_by_instance(&w.r->b, before, ROLE_WORKER))
		peers_drop(&w.r->b, peers_by_instance(&w.r->b, before, ROLE_WORKER), "test");
}

/* --- the broker --- */

/* Time is what the test says it is: nobody's patience ends by itself. */
static void patience(void)
{
	struct task *t;
	size_t pos = 0;

	w.r->b.conf.claim_ms = FAR_MS;
	while ((t = map_next(w.r->b.tasks, &pos)) != NULL) {
		t->back_by = broker_ms(&w.r->b) + FAR_MS;
		alarm_set(w.r->b.alarms, &t->alarm, t->back_by, t->alarm.fire);
	}
}

/* It is time to look for receipts. */
static void asks(void)
{
	struct task *t;
	size_t pos = 0;

	while ((t = map_next(w.r->b.tasks, &pos)) != NULL) {
		if (t->state == TASK_UNCLAIMED || t->state == TASK_ORPHANED)
			alarm_set(w.r->b.alarms, &t->alarm, broker_ms(&w.r->b), t->alarm.fire);
	}
	rig_run(w.r, 2);
}

/* All of it ends now. */
static void impatience(void)
{
	struct task *t;
	size_t pos = 0;

	while ((t = map_next(w.r->b.tasks, &pos)) != NULL) {
		if (t->state != TASK_UNCLAIMED && t->state != TASK_ORPHANED && t->state != TASK_ASSIGNED)
			continue;
		t->back_by = broker_ms(&w.r->b);
		alarm_set(w.r->b.alarms, &t->alarm, t->back_by, t->alarm.fire);
	}
}

static void broker_dies(void)
{
	rig_restart(w.r);
	patience();
	actor_hello(w.r, &w.r->gw);
	rig_run(w.r, 2);
}

/* Whether anybody has the receipt, now that its client does. */
static bool somebody_has_it(void)
{
	const struct task *t = task_find(&w.r->b, w.rid);
	bool has = w.signed_for || !t || t->state == TASK_SETTLING;

	for (int i = 0; i < WORKERS; i++)
		has = has || (w.p[i].in_book && w.p[i].book.outcome == SETTLE_COMPLETE);
	return has;
}

/* --- a round --- */

enum event { HEARS, GOES, SENDS, AGAIN, SILENT, COMES, DIES, NODE, BROKER, DOWN, ASKS };

static const enum event early[] = { HEARS, HEARS, HEARS, GOES,  GOES,  GOES,
				    GOES,  GOES,  GOES,  SENDS, SENDS, SILENT };
static const enum event late[] = { HEARS, HEARS, HEARS, GOES, GOES, SENDS, SENDS,  AGAIN, SILENT, SILENT,
				   COMES, COMES, DIES,  NODE, NODE, DOWN,  BROKER, ASKS,  ASKS };

/* Rather one that has something to do. */
static unsigned somebody(void)
{
	unsigned i = dice(WORKERS);

	return !w.p[i].has && !w.p[i].in_book && dice(2) ? (i + 1) % WORKERS : i;
}

static void happens(enum event what)
{
	static const char *const names[] = { "hears", "goes", "sends",  "again", "silent", "comes",
					     "dies",  "node", "broker", "down",  "asks" };
	unsigned i = somebody();
	struct player *p = &w.p[i];

	tell(names[what], i);
	switch (what) {
	case HEARS:
		hear(p);
		break;
	case GOES:
		goes_on(p);
		break;
	case SENDS:
		send_all(p);
		break;
	case AGAIN:
		if (p->in_book)
			say(p, SAY_SETTLE);
		break;
	case SILENT:
		taken_for_dead(p);
		break;
	case COMES:
		comes(p);
		break;
	case DIES:
		dies(p);
		break;
	case NODE:
		node_dies();
		break;
	case BROKER:
		broker_dies();
		break;
	case DOWN:
		w.down = !w.down;
		break;
	case ASKS:
		asks();
		break;
	}
	w.nobody_had_it = w.nobody_had_it || (w.whole && !somebody_has_it());
}

/* Everybody is there again, and all is said. */
static void healed(void)
{
	uint64_t end = uv_hrtime() + UINT64_C(10000000000);

	tell("healed", 0);
	w.down = false;
	while (ledger_reservation(w.r->b.ledger, w.rid) || w.p[0].in_book || w.p[1].in_book) {
		if (uv_hrtime() > end)
			fail_msg("units are never given back:%s", w.story);
		for (int i = 0; i < WORKERS; i++) {
			if (!known(&w.p[i]))
				comes(&w.p[i]);
			hear(&w.p[i]);
			goes_on(&w.p[i]);
			if (w.p[i].in_book && !w.p[i].n_out)
				say(&w.p[i], SAY_SETTLE);
			send_all(&w.p[i]);
			w.nobody_had_it = w.nobody_had_it || (w.whole && !somebody_has_it());
		}
		impatience();
		rig_run(w.r, 2);
	}
}

static void judged(void)
{
	uint64_t billed = rig_stack(w.r)->spent - w.spent;

	w.wholes += w.whole;
	w.excused += w.nobody_had_it;
	w.cut += !w.whole && billed != 0;
	if (w.whole && !w.nobody_had_it && billed != w.had)
		fail_msg("billed %u, the client had %u:%s", (unsigned)billed, (unsigned)w.had, w.story);
	if (billed != 0 && w.signed_for && billed != w.units)
		fail_msg("billed %u, signed for %u:%s", (unsigned)billed, (unsigned)w.units, w.story);
	assert_int_equal(rig_stack(w.r)->reserved, 0);
}

static void begin(unsigned seed)
{
	struct node *n = registry_node(w.r->b.registry, 1);
	struct locked l;

	srand(seed);
	for (int i = 0; i < WORKERS; i++) {
		if (!known(&w.p[i]))
			comes(&w.p[i]);
		hear(&w.p[i]);
		w.p[i] = (struct player){ .a = w.p[i].a };
	}
	for (int i = 0; i < INBOX; i++) /* what was refused in the last round */
		w.r->gw.in[i].used = false;
	node_note(n, true, NULL, 0);
	node_wake(n);
	assert_int_equal(rig_lock(w.r, 1000, 60, &l), ERR_OK);
	rig_job(w.r, l.stack, 0);
	memset(w.rid, w.r->rid, RID_BYTES);
	w.key_life = w.life;
	w.down = w.running = w.signed_for = w.bound = w.whole = w.nobody_had_it = false;
	w.units = w.had = 0;
	w.spent = rig_stack(w.r)->spent;
	snprintf(w.story, sizeof(w.story), " seed %u:", seed);
	for (int ms = 0; !ledger_reservation(w.r->b.ledger, w.rid); ms++) {
		assert_true(ms < 5000);
		rig_run(w.r, 1);
	}
	rig_run(w.r, 3);
}

/* A new one for so many rounds: the rig has 255 request ids. */
static void world(void)
{
	w.r = rig_new(NULL);
	actor_open(w.r, &w.r->wk2, ROLE_WORKER, 201);
	rig_introduce(w.r, &w.r->gw, &w.r->wk2);
	w.instances = 1000;
	w.p[0] = (struct player){ .a = &w.r->wk };
	w.p[1] = (struct player){ .a = &w.r->wk2 };
	patience();
}

static void a_round(unsigned seed)
{
	begin(seed);
	for (unsigned i = 0; i < EVENTS; i++)
		happens(i < EVENTS / 2 ? early[dice(sizeof(early) / sizeof(early[0]))]
				       : late[dice(sizeof(late) / sizeof(late[0]))]);
	healed();
	judged();
}

static void whoever_had_it_is_billed(void **state)
{
	const char *given_seed = getenv("SEALWAY_SEED");
	unsigned seed = given_seed ? (unsigned)strtoul(given_seed, NULL, 10) : 1, rounds = 0;
	uint64_t end = uv_hrtime() + (getenv("SEALWAY_LONG") ? UINT64_C(120000000000) : 0);

	(void)state;
	print_message("SEALWAY_SEED=%u\n", seed);
	do {
		world();
		for (unsigned i = 0; i < ROUNDS; i++)
			a_round(seed + rounds++);
		rig_free(w.r);
	} while (uv_hrtime() < end);
	print_message("%u rounds: %u whole, of %u of them nobody had the receipt; %u cut and billed\n",
		      rounds, w.wholes, w.excused, w.cut);
	assert_true(w.wholes > rounds / 5 && w.excused < w.wholes / 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whoever_had_it_is_billed),
	};

	log_init("test", LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
