/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole broker under random histories: two users, two workers, two nodes, and
 * every verb that touches money, well formed and hostile, in any order, sealed
 * requests and plain ones that move to the other node, with broker restarts and
 * deaths in between.  After every step memory and rows are proved;
 * now and then memory is compared with what a new life would load.  In the end
 * every request has one settlement, of the units that its node signed for or of
 * none.  The seed is printed; SEALWAY_SEED sets it, SEALWAY_LONG=1 goes on for
 * two minutes.
 */
#include "tests/unit/broker/test.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/peers.h"
#include "broker/task.h"
#include "common/hash.h"
#include "common/log.h"
#include "proto/peer.h"
#include "tests/unit/broker/disk.h"
#include "tests/unit/broker/power.h"
#include "tests/unit/broker/rig.h"

#define REQS 8192
#define STACKS 64
#define PING_NS 20000000
#define DEAD_NS 120000000 /* after that much silence of ours the broker has forgotten us */

enum holder { NOBODY, FIRST, SECOND };

struct req {
	struct work w; /* as given last; without its slices */
	uint64_t prompt, completion;
	enum holder holder;
	unsigned life; /* of the broker that gave it */
	bool plain;
	bool given;     /* a worker has it, or is asked for its receipt */
	bool posted;    /* said so */
	bool sent;      /* its honest settlement */
	bool ambiguous; /* a SETTLED may be for something else that was said under this id */
	bool found;
	bool promised; /* acked, and that can only mean that it is settled */
};

struct world {
	struct rig *r;
	uint8_t tokens[2][KEY_BYTES];
	struct req *req;
	unsigned n, life, steps, crashes, audits, acks, moves;
	uint64_t stack[STACKS];
	unsigned n_stacks;
	uint64_t pinged;
	unsigned done[40]; /* steps by kind */
};

static struct world w;

static unsigned dice(unsigned n)
{
	return (unsigned)rand() % n;
}

static void on_problem(void *arg, const char *text)
{
	(void)arg;
	print_error("%s\n", text);
}

static struct actor *worker(enum holder who)
{
	return who == FIRST ? &w.r->wk : &w.r->wk2;
}

/* Amounts that a hostile or careless peer might name. */
static uint64_t units(void)
{
	static const uint64_t odd[] = { 0,          1,     ID_MAX, ID_MAX - 1, UINT64_MAX, UINT64_MAX - 1,
					1ull << 63, 50000, 50001 };

	return dice(6) == 0 ? odd[dice(sizeof(odd) / sizeof(odd[0]))] : 1 + dice(3000);
}

/* --- what comes in --- */

static struct req *req_of(const uint8_t rid[RID_BYTES])
{
	for (unsigned i = w.n; i-- > 0;) {
		if (memcmp(w.req[i].w.rid, rid, RID_BYTES) == 0)
			return &w.req[i];
	}
	return NULL;
}

static void given(const struct work *m, enum holder who)
{
	struct req *q = req_of(m->rid);

	assert_non_null(q);
	w.moves += m->node != q->w.node && q->w.node != 0;
	q->w = *m;
	q->w.model = q->w.address = slice_of(NULL, 0);
	q->sent = false;
	q->holder = who;
	q->life = w.life;
	q->given = true;
	q->posted = false;
	if (!endpoint_confidential(m->endpoint)) /* bought without a lock's answer: it may be locked, too */
		w.stack[w.n_stacks++ % STACKS] = m->stack;
}

static void settled(const struct settled *m, enum holder who)
{
	struct req *q = req_of(m->rid);

	if (!q || !q->sent || q->holder != who || q->w.attempt != m->attempt)
		return;
	w.acks++;
	q->promised = q->promised || !q->ambiguous;
}

/* What change_settle puts into the message. */
static struct {
	uint64_t node;
	enum err error;
	bool untold;
} said;

static void change_settle(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (!m)
		return;
	m->node = said.node;
	m->error = said.error;
	m->untold = said.untold;
}

/* Signed by the node that as names; the first one where it names none. */
static void settle(const struct work *as, enum holder who, enum settle_outcome outcome, uint64_t prompt,
		   uint64_t completion)
{
	struct sign_key *first = w.r->node_key;

	said.node = as->node == 2 ? 2 : 1;
	if (said.node == 2)
		w.r->node_key = w.r->second_key;
	rig_settle(w.r, worker(who), as, outcome, prompt, completion, change_settle);
	w.r->node_key = first;
	said.error = ERR_OK;
	said.untold = false;
}

/* The receipt that is asked for, or that there is none. */
static void wanted(const struct receipt_wanted *m, enum holder who)
{
	struct req *q = req_of(m->ref.rid);
	struct work as = { .epoch = m->ref.epoch,
			   .attempt = m->ref.attempt,
			   .node = m->node,
			   .stack = m->stack,
			   .units = m->units };

	assert_non_null(q);
	memcpy(as.rid, m->ref.rid, RID_BYTES);
	if (!q->plain) /* a plain request is sealed to no key */
		memcpy(as.node_key, w.r->x25519, KEY_BYTES);
	memset(as.plain_hash, 7, KEY_BYTES);
	q->w = as;
	q->holder = who;
	q->sent = q->ambiguous = true;
	settle(&as, who, dice(2) ? SETTLE_STOPPED : SETTLE_LOST, q->prompt, q->completion);
}

static void introduced(const struct peer *p, enum holder who)
{
	struct heard h = { .topic = p->topic, .present = true };
	struct buf msg = { 0 };

	if (!p->present)
		return;
	peer_ok_encode(p->topic, &msg);
	actor_send(worker(who), &msg, NULL);
	msg = (struct buf){ 0 };
	heard_encode(&h, &msg);
	actor_send(worker(who), &msg, NULL);
}

static void worker_hears(enum holder who, enum msg_type type, struct slice msg)
{
	struct receipt_wanted rw;
	struct settled s;
	struct work m;
	struct peer p;

	switch (type) {
	case MSG_PEER:
		assert_int_equal(peer_decode(msg, &p), ERR_OK);
		introduced(&p, who);
		break;
	case MSG_WORK:
		assert_int_equal(work_decode(msg, &m), ERR_OK);
		given(&m, who);
		break;
	case MSG_SETTLED:
		assert_int_equal(settled_decode(msg, &s), ERR_OK);
		settled(&s, who);
		break;
	case MSG_RECEIPT_WANTED:
		assert_int_equal(receipt_wanted_decode(msg, &rw), ERR_OK);
		wanted(&rw, who);
		break;
	default:
		break;
	}
}

static void gateway_hears(enum msg_type type, struct slice msg)
{
	struct locked m;

	if (type != MSG_LOCKED)
		return;
	assert_int_equal(locked_decode(msg, &m), ERR_OK);
	w.stack[w.n_stacks++ % STACKS] = m.stack;
}

static void listen_to(struct actor *a, enum holder who)
{
	enum msg_type type;

	for (int i = 0; i < INBOX; i++) {
		if (!a->in[i].used)
			continue;
		a->in[i].used = false;
		assert_int_equal(msg_peek(buf_slice(&a->in[i].msg), &type), ERR_OK);
		if (who == NOBODY)
			gateway_hears(type, buf_slice(&a->in[i].msg));
		else
			worker_hears(who, type, buf_slice(&a->in[i].msg));
	}
}

static void hello(struct actor *a)
{
	actor_hello(w.r, a);
}

static void turn(unsigned ms)
{
	uint64_t now = uv_hrtime();

	if (now - w.pinged > PING_NS) {
		void (*say)(struct actor * a) = now - w.pinged > DEAD_NS ? hello : actor_ping;

		w.pinged = now;
		say(&w.r->gw);
		say(&w.r->wk);
		say(&w.r->wk2);
	}
	rig_run(w.r, ms);
	listen_to(&w.r->gw, NOBODY);
	listen_to(&w.r->wk, FIRST);
	listen_to(&w.r->wk2, SECOND);
}

/* --- proofs --- */

static void proved(void)
{
	struct stack *st;
	size_t pos = 0;

	assert_true(ledger_check(w.r->b.ledger, on_problem, NULL));
	while ((st = ledger_next_stack(w.r->b.ledger, &pos)) != NULL)
		assert_true(stack_free(st) + st->reserved + st->spent == st->bought &&
			    stack_free(st) <= st->bought);
	assert_true(store_check(w.r->db, on_problem, NULL));
}

struct loaded {
	struct ledger *l;
	struct registry *r;
};

static void on_row(void *arg, const struct store_op *op)
{
	struct loaded *x = arg;

	assert_int_equal(registry_apply(x->r, op), ERR_OK);
	assert_int_equal(ledger_apply(x->l, op), ERR_OK);
}

static void same_users(const struct ledger *a, const struct ledger *b)
{
	struct user *u, *v;
	size_t pos = 0, n = 0, m = 0;

	while ((u = ledger_next_user(a, &pos)) != NULL) {
		v = ledger_user(b, u->id);
		assert_non_null(v);
		assert_string_equal(u->name, v->name);
		assert_true(u->balance == v->balance && u->n_locks == v->n_locks);
		assert_memory_equal(&u->own, &v->own, sizeof(u->own));
		for (uint64_t node = 0; node <= 1; node++)
			assert_true(ledger_price(u, node, 1, 77) == ledger_price(v, node, 1, 77));
		n++;
	}
	for (pos = 0; ledger_next_user(b, &pos);)
		m++;
	assert_true(n == m && n == 2);
}

static void same_stacks(const struct ledger *a, const struct ledger *b)
{
	struct stack *s, *t;
	size_t pos = 0, n = 0;

	while ((s = ledger_next_stack(a, &pos)) != NULL) {
		t = ledger_stack(b, s->id);
		assert_non_null(t);
		assert_true(s->user->id == t->user->id && s->node == t->node && s->model == t->model);
		assert_true(s->bought == t->bought && s->spent == t->spent && s->reserved == t->reserved);
		assert_true(s->price == t->price && s->paid == t->paid && s->state == t->state);
		n++;
	}
	for (pos = 0; ledger_next_stack(b, &pos);)
		n--;
	assert_true(n == 0);
}

static void same_claims(const struct ledger *a, const struct ledger *b)
{
	struct reservation *r, *q;
	struct lock *k, *j;
	size_t pos = 0;
	long n = 0;

	while ((r = ledger_next_reservation(a, &pos)) != NULL) {
		q = ledger_reservation(b, r->rid);
		assert_true(q && q->units == r->units && q->stack->id == r->stack->id &&
			    q->epoch == r->epoch);
		assert_memory_equal(q->node_key, r->node_key, KEY_BYTES);
		n++;
	}
	for (pos = 0; ledger_next_reservation(b, &pos);)
		n--;
	assert_int_equal(n, 0);
	for (pos = 0; (k = ledger_next_lock(a, &pos)) != NULL; n++) {
		j = ledger_lock_by_id(b, k->id);
		assert_true(j && j->units == k->units && j->expires_ms == k->expires_ms);
	}
	for (pos = 0; ledger_next_lock(b, &pos);)
		n--;
	assert_int_equal(n, 0);
}

/* Waits until nothing is on its way to the rows; false when there was no such moment. */
static bool quiet(void)
{
	for (int i = 0; i < 200 && store_backlog(w.r->b.store); i++)
		uv_run(&w.r->loop, UV_RUN_ONCE);
	return store_backlog(w.r->b.store) == 0;
}

/* Memory is what the rows say. */
static void compare(void)
{
	struct loaded x = { ledger_new(), registry_new() };
	char path[128];
	struct store *s;
	uint64_t epoch;
	uv_loop_t loop;

	snprintf(path, sizeof(path), "%s/same-%u.db", w.r->dir, w.audits++);
	power_image(w.r->db, path, CUT_PROCESS, 0);
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(store_open(&s, &loop, path, &epoch), ERR_OK);
	assert_int_equal(store_load(s, on_row, &x), ERR_OK);
	same_users(w.r->b.ledger, x.l);
	same_stacks(w.r->b.ledger, x.l);
	same_claims(w.r->b.ledger, x.l);
	store_close(s);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	ledger_free(x.l);
	registry_free(x.r);
	unlink(path);
}

/* --- what is done --- */

static void do_lock(void)
{
	static const char *const models[] = { "demo", "demo", "demo", "demo", "nothing" };
	struct lock_ask m = { .model = slice_str(models[dice(5)]),
			      .has_units = dice(4) != 0,
			      .units = units(),
			      .timeout_s = dice(3) ? 1 : 2 };
	struct buf msg = { 0 };

	randombytes_buf(m.rid, RID_BYTES);
	memcpy(m.token_hash, w.tokens[dice(2)], KEY_BYTES);
	lock_ask_encode(&m, &msg);
	actor_send(&w.r->gw, &msg, NULL);
}

/* Sends m as a new request of one of the two users. */
static void send_job(struct job *m)
{
	struct req *q = &w.req[w.n++];
	struct buf msg = { 0 };

	for (int i = 0; i < RID_BYTES; i++)
		q->w.rid[i] = m->rid[i] = (uint8_t)rand();
	q->plain = !endpoint_confidential(m->endpoint);
	q->prompt = dice(8) ? dice(500) : units() & ID_MAX;
	q->completion = dice(8) ? 1 + dice(500) : units() & ID_MAX;
	memcpy(m->token_hash, w.tokens[dice(2)], KEY_BYTES);
	memset(m->plain_hash, 7, KEY_BYTES);
	m->topic = w.r->gw.instance;
	m->deadline_ms = 400;
	job_encode(m, &msg);
	actor_send(&w.r->gw, &msg, "{\"sealed\":true}");
}

static void do_job(void)
{
	static const uint64_t unknown[] = { 0, 1, ID_MAX };
	struct job m = { .endpoint = EP_COMPLETIONS,
			 .stack = w.n_stacks && dice(12)
					  ? w.stack[dice(w.n_stacks < STACKS ? w.n_stacks : STACKS)]
					  : unknown[dice(3)],
			 .model = SLICE_STR("demo"),
			 .has_units = dice(2) != 0,
			 .units = units() };

	if (w.n == REQS)
		return;
	memcpy(m.node_key, w.r->x25519, KEY_BYTES);
	send_job(&m);
}

static void do_plain(void)
{
	struct job m = { .endpoint = EP_PLAIN_COMPLETIONS,
			 .model = SLICE_STR("demo"),
			 .input_units = dice(8) ? dice(500) : units() & ID_MAX,
			 .has_max_units = dice(2) != 0,
			 .max_units = dice(8) ? 1 + dice(500) : units() & ID_MAX,
			 .stream = dice(2) != 0 };

	if (w.n < REQS)
		send_job(&m);
}

/* One of the last requests that satisfy nothing in particular; NULL when there is none. */
static struct req *some(void)
{
	unsigned back = dice(40) + 1;

	return w.n >= back ? &w.req[w.n - back] : NULL;
}

/* One that its node may still refuse, rather a plain one; NULL when there is none. */
static struct req *refusable(void)
{
	struct req *found = NULL;

	for (unsigned i = w.n; i-- > 0 && i + 60 > w.n;) {
		struct req *q = &w.req[i];

		if (!q->given || q->sent || q->life != w.life)
			continue;
		found = q;
		if (q->plain)
			break;
	}
	return found;
}

static void do_post(struct req *q)
{
	if (!q->given || q->posted || q->sent || q->life != w.life)
		return;
	rig_posted(worker(q->holder), &q->w);
	q->posted = true;
}

static void do_return(struct req *q)
{
	struct work_return m = { .error = ERR_NO_WORKER };
	struct buf msg = { 0 };

	if (!q->given || q->posted || q->sent || q->life != w.life)
		return;
	m.ref = (struct work_ref){ .epoch = q->w.epoch, .attempt = q->w.attempt };
	memcpy(m.ref.rid, q->w.rid, RID_BYTES);
	return_encode(&m, &msg);
	actor_send(worker(q->holder), &msg, NULL);
	q->given = false;
}

static void do_settle(struct req *q)
{
	if (!q->given)
		return;
	do_post(q);
	q->sent = true;
	settle(&q->w, q->holder, dice(3) ? SETTLE_COMPLETE : SETTLE_STOPPED, q->prompt, q->completion);
}

/* The node refuses it: 423 locks its stack, and a plain one may go to the other node. */
static void do_refuse(struct req *q)
{
	if (!q)
		return;
	do_post(q);
	q->sent = q->ambiguous = true; /* acknowledged when it has moved, too */
	said.error = dice(3) ? ERR_RATE : ERR_LOCKED;
	said.untold = q->w.hold && dice(4);
	settle(&q->w, q->holder, SETTLE_FAILED, 0, 0);
}

/* A settlement that must change nothing, and would be seen if it did. */
static void do_lie(struct req *q)
{
	const struct task *t = task_find(&w.r->b, q->w.rid);
	struct work as = q->w;
	enum holder who = q->holder;

	if (!q->given || q->life != w.life)
		return;
	if (t && (t->doubted || t->attempt == ANY_ATTEMPT))
		return; /* nobody knows which attempt it was: a receipt counts for any, and is no lie */
	switch (dice(4)) {
	case 0: /* of another life */
		as.epoch += dice(2) ? 1 : UINT64_MAX;
		q->ambiguous = true;
		break;
	case 1: /* of another attempt */
		as.attempt += 1 + dice(2);
		break;
	case 2: /* by a worker that does not have it */
		who = who == FIRST ? SECOND : FIRST;
		break;
	default: /* a second time, for more */
		if (!q->promised)
			return;
	}
	settle(&as, who, SETTLE_COMPLETE, q->prompt + 1000, q->completion);
}

/* A settlement of a request that nobody ever made. */
static void do_invent(void)
{
	struct work as = {
		.epoch = w.r->b.epoch, .attempt = 1, .stack = w.n_stacks ? w.stack[0] : 1, .units = 100
	};

	randombytes_buf(as.rid, RID_BYTES);
	settle(&as, FIRST, SETTLE_COMPLETE, 50, 50);
}

static void do_cancel(struct req *q)
{
	struct cancel m = { .attempt = dice(2) ? q->w.attempt : 0 };
	struct buf msg = { 0 };

	memcpy(m.rid, q->w.rid, RID_BYTES);
	cancel_encode(&m, &msg);
	actor_send(&w.r->gw, &msg, NULL);
}

static struct user *someone(void)
{
	return ledger_user_named(w.r->b.ledger, dice(2) ? SLICE_STR("alice") : SLICE_STR("bob"));
}

static void do_fund(void)
{
	static const int64_t odd[] = { INT64_MIN, INT64_MAX, -1, 1, (int64_t)ID_MAX, -(int64_t)ID_MAX };
	int64_t amount = dice(3) ? (int64_t)dice(4000) : odd[dice(6)];
	struct user *u = someone();
	uint64_t before = u->balance;
	struct store_op *op;

	if (ledger_fund(w.r->b.ledger, u, amount, "test", "walk", 1, &op) == ERR_OK)
		broker_keep(&w.r->b, op);
	else
		assert_true(u->balance == before);
	if (u->balance > 100000) { /* so that being poor happens too */
		assert_int_equal(ledger_fund(w.r->b.ledger, u, -(int64_t)u->balance, "test", "out", 1, &op),
				 ERR_OK);
		broker_keep(&w.r->b, op);
	}
}

static void do_price(void)
{
	static const uint64_t prices[] = { 0, 1, 1000, 20000, ID_MAX };
	struct row_price p = { .node = dice(2), .model = 1, .price = prices[dice(5)], .removed = dice(2) };

	p.model = registry_model(w.r->b.registry, SLICE_STR("demo"))->id;
	broker_keep(&w.r->b, ledger_set_price(w.r->b.ledger, someone(), &p));
}

static void do_stack_state(void)
{
	struct stack *st = w.n_stacks ? ledger_stack(w.r->b.ledger,
						     w.stack[dice(w.n_stacks < STACKS ? w.n_stacks : STACKS)])
				      : NULL;

	if (st)
		broker_keep(&w.r->b, ledger_stack_state(st, dice(4) ? STACK_OPEN : STACK_LOCKED));
}

/* The second worker dies; one with nothing in hand takes its place. */
static void do_worker_dies(void)
{
	for (unsigned i = 0; i < w.n; i++) {
		if (w.req[i].holder == SECOND && !w.req[i].promised)
			w.req[i].ambiguous = true;
	}
	listen_to(&w.r->wk2, SECOND);
	actor_close(&w.r->wk2);
	for (int i = 0; i < 15; i++) {
		actor_ping(&w.r->gw);
		actor_ping(&w.r->wk);
		rig_run(w.r, 20);
		listen_to(&w.r->wk, FIRST);
		listen_to(&w.r->gw, NOBODY);
	}
	actor_open(w.r, &w.r->wk2, ROLE_WORKER, 300 + w.steps);
}

/* Everything that was told is there in the rows. */
static void promises_kept(bool over)
{
	static const char sql[] = "SELECT group_concat(request || ' ' || units || ' ' || billed || ' ' || "
				  "prompt || ' ' || "
				  "completion, char(10)) FROM settlements";
	unsigned long long reserved, billed, prompt, completion;
	char name[33], mine[33];
	unsigned rows = 0;
	FILE *f;

	for (unsigned i = 0; i < w.n; i++)
		w.req[i].found = false;
	f = disk_query(w.r->db, sql);
	while (fscanf(f, "%32s %llu %llu %llu %llu", name, &reserved, &billed, &prompt, &completion) == 5) {
		struct req *q = NULL;
		uint64_t p, c;

		for (unsigned i = 0; i < w.n && !q; i++) {
			log_rid(mine, w.req[i].w.rid);
			q = strcmp(mine, name) == 0 ? &w.req[i] : NULL;
		}
		assert_non_null(q);
		p = q->prompt < reserved ? q->prompt : reserved;
		c = q->completion < reserved - p ? q->completion : reserved - p;
		if (billed != 0 && (billed != p + c || prompt != p || completion != c))
			fail_msg("%s: billed %llu + %llu of %llu reserved, signed for %llu + %llu", name,
				 prompt, completion, reserved, (unsigned long long)q->prompt,
				 (unsigned long long)q->completion);
		q->found = true;
		rows++;
	}
	assert_int_equal(pclose(f), 0);
	for (unsigned i = 0; i < w.n; i++) {
		if (w.req[i].promised && !w.req[i].found)
			fail_msg("request %u was acknowledged and is not in the rows", i);
	}
	if (over)
		assert_true(rows > 50);
}

/* The broker dies as it stands, or goes in order; the next one begins from the rows. */
static void do_restart(bool dies)
{
	char path[96];

	if (dies) {
		listen_to(&w.r->wk, FIRST);
		listen_to(&w.r->wk2, SECOND);
		snprintf(path, sizeof(path), "%s/life-%u.db", w.r->dir, w.life);
		power_image(w.r->db, path, CUT_PROCESS, 0);
		strcpy(w.r->db, path);
	}
	rig_restart(w.r);
	w.life++;
	w.crashes++;
	promises_kept(false);
	w.pinged = 0; /* HELLO to the new one */
	turn(20);
}

static void maybe(unsigned kind)
{
	struct req *q = some();

	w.done[kind]++;
	if (kind < 6)
		do_lock();
	else if (kind < 13)
		do_job();
	else if (kind == 13)
		do_fund();
	else if (kind == 14)
		do_price();
	else if (kind == 15)
		do_stack_state();
	else if (kind == 16)
		do_invent();
	else if (kind > 35)
		do_plain();
	else if (!q)
		return;
	else if (kind == 17)
		do_cancel(q);
	else if (kind == 18)
		do_return(q);
	else if (kind < 22)
		do_lie(q);
	else if (kind < 24)
		do_post(q);
	else if (kind > 32)
		do_refuse(refusable());
	else
		do_settle(q);
}

static void step(void)
{
	unsigned rare = dice(600);

	w.steps++;
	if (rare == 0)
		do_worker_dies();
	else if (rare <= 2)
		do_restart(rare == 1);
	for (unsigned i = dice(6); i > 0; i--)
		maybe(dice(40));
	turn(dice(2));
	proved();
	if (w.steps % 60 == 0 && quiet())
		compare();
}

/* Every reservation that is left is settled for what its node signed. */
static void finish(void)
{
	uint64_t end = uv_hrtime() + UINT64_C(8000000000);
	struct reservation *r;
	size_t pos;

	do {
		if (uv_hrtime() > end)
			fail_msg("reservations are left");
		for (pos = 0; (r = ledger_next_reservation(w.r->b.ledger, &pos)) != NULL;) {
			struct task *t = task_find(&w.r->b, r->rid);
			struct req *q = req_of(r->rid);

			if (!q->given || !t || t->state == TASK_COMMITTING || t->state == TASK_QUEUED)
				continue;
			q->w.attempt = t->attempt;
			q->w.epoch = r->epoch;
			q->sent = true;
			settle(&q->w, q->holder, SETTLE_COMPLETE, q->prompt, q->completion);
		}
		turn(20);
	} while (pos = 0, ledger_next_reservation(w.r->b.ledger, &pos));
	proved();
	assert_true(quiet());
	compare();
}

static void people(void)
{
	struct store_op *op;
	struct user *u;

	memcpy(w.tokens[0], w.r->token, KEY_BYTES);
	assert_int_equal(ledger_user_add(w.r->b.ledger, SLICE_STR("bob"), 1, &u, &op), ERR_OK);
	broker_keep(&w.r->b, op);
	hash(w.tokens[1], SLICE_STR("sk-bob"));
	assert_int_equal(ledger_token_add(w.r->b.ledger, u, w.tokens[1], SLICE_STR("t"), "-bob", 1, &op),
			 ERR_OK);
	broker_keep(&w.r->b, op);
	assert_int_equal(ledger_fund(w.r->b.ledger, u, 3000, "test", "start", 1, &op), ERR_OK);
	broker_keep(&w.r->b, op);
}

static void no_limit(struct registration *reg, struct registration_msg *m)
{
	(void)m;
	reg->models[0].max_concurrent = 0;
}

static void any_history_adds_up(void **state)
{
	const char *given_seed = getenv("SEALWAY_SEED");
	unsigned seed = given_seed ? (unsigned)strtoul(given_seed, NULL, 10) : 4;
	uint64_t end = uv_hrtime() + UINT64_C(1000000000) * (getenv("SEALWAY_LONG") ? 120 : 5);

	(void)state;
	print_message("SEALWAY_SEED=%u\n", seed);
	srand(seed);
	w.req = mem_new(REQS * sizeof(*w.req));
	w.r = rig_new("--heartbeat-ms=50");
	people();
	assert_int_equal(rig_register(w.r, false, no_limit), ERR_OK);
	rig_second_node(w.r, 1500, 0);
	actor_open(w.r, &w.r->wk2, ROLE_WORKER, 300);
	while ((uv_hrtime() < end || w.steps < 300) && w.n < REQS)
		step();
	do_restart(true);
	finish();
	promises_kept(true);
	print_message("%u steps, %u requests, %u moved to the other node, %u acknowledged settlements, "
		      "%u restarts, %u stacks seen\n",
		      w.steps, w.n, w.moves, w.acks, w.crashes, w.n_stacks);
	assert_true(w.moves > 2);
	rig_free(w.r);
	free(w.req);
}

/* A node must not work for a reservation that the next life would not know of. */
static void no_job_before_its_commit(void **state)
{
	struct rig *r = rig_new("--heartbeat-ms=50");
	struct locked l;

	(void)state;
	assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_OK);
	while (store_backlog(r->b.store))
		rig_run(r, 1);
	rig_job(r, l.stack, 10);
	(void)rig_work(r, &r->wk); /* the way it goes */
	while (store_backlog(r->b.store))
		rig_run(r, 1);
	power_fail(ENOSPC, 0);
	rig_job(r, l.stack, 10);
	for (int i = 0; i < 4; i++) {
		actor_ping(&r->gw);
		actor_ping(&r->wk);
		actor_none(r, &r->wk, MSG_WORK, 20);
	}
	power_fail(0, 0);
	rig_free(r);
}

/* Else the next life would take the first attempt for the only one, and believe it that nothing came of it.
 * Nobody waits for a disk that is full: the client is told so, and what the first attempt left is asked for.
 */
static void no_second_attempt_before_its_number(void **state)
{
	struct rig *r = rig_new(NULL);
	struct locked l;

	(void)state;
	assert_int_equal(rig_lock(r, 1000, 60, &l), ERR_OK);
	rig_job(r, l.stack, 10);
	(void)rig_work(r, &r->wk);
	rig_second_worker(r);
	while (store_backlog(r->b.store))
		rig_run(r, 1);
	power_fail(ENOSPC, 0);
	rig_drop(r, &r->wk);
	actor_none(r, &r->wk2, MSG_WORK, 80);
	assert_true(actor_has(&r->gw, MSG_REFUSE));
	power_fail(0, 0);
	(void)actor_get(r, &r->wk2, MSG_RECEIPT_WANTED);
	assert_false(actor_has(&r->wk2, MSG_WORK));
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_job_before_its_commit),
		cmocka_unit_test(no_second_attempt_before_its_number),
		cmocka_unit_test(any_history_adds_up),
	};

	log_init("test", LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
