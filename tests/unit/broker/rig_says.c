/* SPDX-License-Identifier: Apache-2.0
 *
 * What gateways, workers and nodes say and hear in many tests (rig.h).
 */
#include "tests/unit/broker/test.h"

#include "tests/unit/broker/rig.h"

#include <sodium.h>
#include <string.h>

#include "broker/task.h"
#include "common/hash.h"

/* --- what gateways do --- */

static void new_rid(struct rig *r, uint8_t out[RID_BYTES])
{
	memset(out, ++r->rid, RID_BYTES);
}

enum err rig_lock(struct rig *r, uint64_t units, uint32_t timeout_s, struct locked *out)
{
	struct lock_ask m = {
		.model = SLICE_STR("demo"), .has_units = units != 0, .units = units, .timeout_s = timeout_s
	};
	uint64_t end = uv_hrtime() + UINT64_C(5000000000);
	struct buf msg = { 0 };

	new_rid(r, m.rid);
	memcpy(m.token_hash, r->token, KEY_BYTES);
	lock_ask_encode(&m, &msg);
	actor_send(&r->gw, &msg, NULL);
	while (!actor_has(&r->gw, MSG_LOCKED) && !actor_has(&r->gw, MSG_REFUSE)) {
		assert_true(uv_hrtime() < end);
		rig_run(r, 1);
	}
	if (actor_has(&r->gw, MSG_REFUSE))
		return rig_refusal(r).error;
	assert_int_equal(locked_decode(actor_get(r, &r->gw, MSG_LOCKED), out), ERR_OK);
	assert_memory_equal(out->rid, m.rid, RID_BYTES);
	return ERR_OK;
}

uint64_t rig_locked(struct rig *r, uint64_t units)
{
	struct locked l;

	assert_int_equal(rig_lock(r, units, 60, &l), ERR_OK);
	return l.stack;
}

void rig_alive(struct rig *r, unsigned ms, struct actor *wk)
{
	unsigned i = 0;

	while (i < ms) {
		uint64_t began = uv_hrtime();

		r->b.peers->since_ms = 0; /* what was before does not count in anybody's favour */
		actor_ping(&r->gw);
		if (wk)
			actor_ping(wk);
		rig_run(r, 20);
		/* when nobody was heard for a while, all have their whole time again */
		i = uv_hrtime() - began > UINT64_C(70000000) ? 0 : i + 20;
	}
}

void rig_heard(struct rig *r, struct actor *a)
{
	while (actor_has(a, MSG_PONG))
		(void)actor_get(r, a, MSG_PONG);
	actor_ping(a);
	(void)actor_get(r, a, MSG_PONG);
}

/* One that was said on a connection which was about to end is lost with it. */
void rig_greet(struct rig *r, struct actor *a)
{
	while (actor_has(a, MSG_WELCOME))
		(void)actor_get(r, a, MSG_WELCOME);
	for (int i = 0; i < 50 && !actor_has(a, MSG_WELCOME); i++) {
		actor_hello(r, a);
		for (int k = 0; k < 100 && !actor_has(a, MSG_WELCOME); k++)
			rig_run(r, 1);
	}
	(void)actor_get(r, a, MSG_WELCOME);
}

void rig_back(struct rig *r)
{
	rig_greet(r, &r->gw);
	rig_greet(r, &r->wk);
}

void rig_job(struct rig *r, uint64_t stack, uint64_t units)
{
	rig_job_within(r, stack, units, 400);
}

void rig_job_within(struct rig *r, uint64_t stack, uint64_t units, uint32_t deadline_ms)
{
	struct job m = { .topic = r->gw.instance,
			 .endpoint = EP_COMPLETIONS,
			 .stack = stack,
			 .model = SLICE_STR("demo"),
			 .has_units = units != 0,
			 .units = units,
			 .deadline_ms = deadline_ms };
	struct buf msg = { 0 };

	new_rid(r, m.rid);
	memcpy(m.token_hash, r->token, KEY_BYTES);
	memcpy(m.node_key, r->x25519, KEY_BYTES);
	memset(m.plain_hash, 7, KEY_BYTES);
	job_encode(&m, &msg);
	actor_send(&r->gw, &msg, "{\"sealed\":true}");
}

struct refuse rig_refusal(struct rig *r)
{
	struct refuse m;

	assert_int_equal(refuse_decode(actor_get(r, &r->gw, MSG_REFUSE), &m), ERR_OK);
	return m;
}

/* --- what workers do --- */

struct work rig_work(struct rig *r, struct actor *wk)
{
	struct work w;

	assert_int_equal(work_decode(actor_get(r, wk, MSG_WORK), &w), ERR_OK);
	return w;
}

static struct work_ref ref_of(const struct work *w)
{
	struct work_ref ref = { .epoch = w->epoch, .attempt = w->attempt };

	memcpy(ref.rid, w->rid, RID_BYTES);
	return ref;
}

void rig_posted(struct actor *wk, const struct work *w)
{
	struct work_ref ref = ref_of(w);
	struct buf msg = { 0 };

	posted_encode(&ref, &msg);
	actor_send(wk, &msg, NULL);
}

struct work rig_given(struct rig *r)
{
	rig_job(r, rig_locked(r, 1000), 0);
	return rig_work(r, &r->wk);
}

struct work rig_at_node(struct rig *r)
{
	struct work w = rig_given(r);

	rig_posted(&r->wk, &w);
	return w;
}

void rig_second_worker(struct rig *r)
{
	actor_open(r, &r->wk2, ROLE_WORKER, 201);
	rig_introduce(r, &r->gw, &r->wk2);
}

static void first_is_silent(struct rig *r)
{
	rig_second_worker(r);
	rig_alive(r, 300, &r->wk2);
}

struct work rig_given_to_silent(struct rig *r)
{
	struct work w = rig_given(r);

	first_is_silent(r);
	return w;
}

struct work rig_at_node_of_silent(struct rig *r)
{
	struct work w = rig_at_node(r);

	first_is_silent(r);
	return w;
}

void rig_give_back(struct actor *wk, const struct work *w)
{
	struct work_return m = { .ref = ref_of(w), .error = ERR_NO_WORKER };
	struct buf msg = { 0 };

	return_encode(&m, &msg);
	actor_send(wk, &msg, NULL);
}

void rig_drop(struct rig *r, const struct actor *a)
{
	peers_drop(&r->b, peers_by_instance(&r->b, a->instance, a->role), "test");
}

void rig_ring(struct rig *r, struct task *t, uint64_t when_ms)
{
	alarm_set(r->b.alarms, &t->alarm, when_ms, t->alarm.fire);
}

void rig_inflight(struct actor *wk, const struct work *w, bool posted)
{
	struct inflight in = { .ref = ref_of(w),
			       .node = 1,
			       .stack = w->stack,
			       .units = w->units,
			       .topic = 100,
			       .posted = posted };
	struct buf msg = { 0 };

	inflight_encode(&in, &msg);
	actor_send(wk, &msg, NULL);
}

void rig_settle(struct rig *r, struct actor *wk, const struct work *w, enum settle_outcome outcome,
		uint64_t prompt, uint64_t completion, void (*change)(struct receipt *rc, struct settle *m))
{
	struct receipt rc = { .outcome = outcome == SETTLE_STOPPED,
			      .endpoint = EP_COMPLETIONS,
			      .stack = w->stack,
			      .prompt = prompt,
			      .completion = completion,
			      .unix_s = loop_unix() };
	struct settle m = {
		.epoch = w->epoch, .attempt = w->attempt, .node = 1, .outcome = outcome, .chunks = 1
	};
	uint8_t bytes[RECEIPT_BYTES];
	char sig[SIGN_B64];
	struct buf msg = { 0 };

	memcpy(m.rid, w->rid, RID_BYTES);
	memcpy(rc.rid, w->rid, RID_BYTES);
	memcpy(rc.node_key, w->node_key, KEY_BYTES);
	memcpy(rc.plain_hash, w->plain_hash, KEY_BYTES);
	hash(rc.model_hash, SLICE_STR("demo"));
	memset(rc.transcript, 6, KEY_BYTES);
	if (change)
		change(&rc, NULL);
	receipt_encode(&rc, bytes);
	sign_label(r->node_key, RECEIPT_LABEL, slice_of(bytes, sizeof(bytes)), sig);
	if (outcome == SETTLE_COMPLETE || outcome == SETTLE_STOPPED) {
		m.receipt = slice_of(bytes, sizeof(bytes));
		m.signature = slice_of(sig, sizeof(sig));
	}
	if (change)
		change(NULL, &m);
	settle_encode(&m, &msg);
	actor_send(wk, &msg, NULL);
}

void rig_settled(struct rig *r, struct actor *wk)
{
	struct settled m;

	assert_int_equal(settled_decode(actor_get(r, wk, MSG_SETTLED), &m), ERR_OK);
}

void rig_settle_ack(struct rig *r, struct actor *wk, const struct work *w, enum settle_outcome outcome,
		    uint64_t prompt, uint64_t completion,
		    void (*change)(struct receipt *rc, struct settle *m))
{
	rig_settle(r, wk, w, outcome, prompt, completion, change);
	rig_settled(r, wk);
}

void rig_not_reached(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->error = ERR_UNAVAILABLE;
}

void rig_answered_before(struct receipt *rc, struct settle *m)
{
	(void)rc;
	if (m)
		m->error = ERR_ANSWERED;
}

void rig_unsigned_units(struct receipt *rc, struct settle *m)
{
	static uint8_t copy[RECEIPT_BYTES];

	(void)rc;
	if (!m)
		return;
	memcpy(copy, m->receipt.p, sizeof(copy));
	copy[RECEIPT_BYTES - 9] ^= 1; /* completion units */
	m->receipt = slice_of(copy, sizeof(copy));
}

/* --- what nodes do --- */

struct node *rig_second_node(struct rig *r, uint64_t price, uint64_t max_units)
{
	const uint8_t seed[32] = { 43 };
	struct row_node row = { .id = 2, .state = NODE_ACTIVE, .seen = (int64_t)loop_unix() };
	struct row_sub sub = { .price = price, .max_units = max_units, .lock_units = 8192, .active = true };
	struct node_key k = { .key = { 2 } };
	struct store_op *ops[2];
	struct node *n;

	r->second_key = sign_key_new(seed);
	memcpy(row.sign_key, sign_key_public(r->second_key), KEY_BYTES);
	assert_int_equal(registry_node_add(r->b.registry, &row, SLICE_STR("http://127.0.0.1:10"),
					   SLICE_STR(""), SLICE_STR(""), &n),
			 ERR_OK);
	broker_keep(&r->b, node_op(n));
	node_set_key(n, &k, 1, ops);
	broker_keep(&r->b, ops[0]);
	broker_keep(&r->b, node_set_sub(n, registry_model(r->b.registry, SLICE_STR("demo")), &sub));
	return n;
}

enum err rig_register(struct rig *r, bool fresh,
		      void (*change)(struct registration *reg, struct registration_msg *m))
{
	static const char data[] =
		"{\"node_small_id\":1,\"public_address\":\"http://127.0.0.1:9\",\"country\":\"DE\"}";
	struct statement st = { .node = 1, .counter = ++r->counter, .not_after = loop_unix() + 3600 };
	struct registration reg = {
		.node = 1, .address = SLICE_STR("http://127.0.0.1:9"), .counter = r->counter, .n_models = 1
	};
	struct registration_msg m = { .data = slice_of(data, sizeof(data) - 1),
				      .node = 1,
				      .country = SLICE_STR("DE") };
	char sig[SIGN_B64], st_sig[SIGN_B64], reg_sig[SIGN_B64];
	uint8_t st_bytes[STATEMENT_BYTES], h[HASH_BYTES];
	uint64_t end = uv_hrtime() + UINT64_C(5000000000);
	struct buf bytes = { 0 }, msg = { 0 };

	if (fresh) {
		randombytes_buf(r->x25519, KEY_BYTES);
		r->x25519[31] &= 0x7f;
	}
	memcpy(st.node_key, r->x25519, KEY_BYTES);
	statement_encode(&st, st_bytes);
	sign_label(r->node_key, STATEMENT_LABEL, slice_of(st_bytes, sizeof(st_bytes)), st_sig);
	reg.statement = slice_of(st_bytes, sizeof(st_bytes));
	reg.statement_signature = slice_of(st_sig, sizeof(st_sig));
	reg.models[0] = (struct registration_model){ SLICE_STR("demo"), 1000, 3, 60000, 8192 };
	reg.validity_s = 600;
	reg.version = SLICE_STR("1");
	hash(reg.evidence_hash, slice_of(NULL, 0));
	m.address = reg.address;
	if (change)
		change(&reg, &m);
	registration_encode(&reg, &bytes);
	m.registration = buf_slice(&bytes);
	sign_label(r->node_key, REGISTER_LABEL, m.registration, reg_sig);
	hash(h, m.data);
	sign_hash(r->node_key, h, sig);
	m.signature = slice_of(sig, sizeof(sig));
	m.registration_signature = slice_of(reg_sig, sizeof(reg_sig));
	if (r->original_form)
		m.registration = m.registration_signature = slice_of(NULL, 0);
	new_rid(r, m.rid);
	register_encode(&m, &msg);
	actor_send(&r->gw, &msg, NULL);
	buf_free(&bytes);
	while (!actor_has(&r->gw, MSG_ANSWER) && !actor_has(&r->gw, MSG_REFUSE)) {
		assert_true(uv_hrtime() < end);
		rig_run(r, 1);
	}
	if (actor_has(&r->gw, MSG_REFUSE))
		return rig_refusal(r).error;
	(void)actor_get(r, &r->gw, MSG_ANSWER);
	return ERR_OK;
}

struct node *rig_node(struct rig *r)
{
	return registry_node(r->b.registry, 1);
}

struct stack *rig_stack(struct rig *r)
{
	size_t pos = 0;

	return ledger_next_stack(r->b.ledger, &pos);
}

void rig_billed(struct rig *r, uint64_t units)
{
	rig_run(r, 30);
	assert_int_equal(rig_stack(r)->spent, units);
	assert_int_equal(rig_stack(r)->reserved, 0);
}
