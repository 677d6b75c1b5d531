/* SPDX-License-Identifier: Apache-2.0
 *
 * Health of nodes in a whole broker: who is asked, how often and by whom, and
 * what the answers do to the rotation.
 */
#include "tests/unit/broker/test.h"

#include <string.h>

#include "broker/probe.h"
#include "broker/refusal.h"
#include "proto/probe.h"
#include "tests/unit/broker/rig.h"

static int setup_without(void **state)
{
	struct rig *r = rig_new(NULL);

	r->b.conf.breaker_failures = 3;
	r->b.conf.breaker_open_ms = 150;
	*state = r;
	return 0;
}

/* A request went so, each time as another worker says. */
static void note(struct rig *r, bool ok)
{
	static struct party said;

	said.instance++;
	probe_note(&r->b, rig_node(r), &said, ok);
}

/* Turns the loop for ms, everybody saying that they live. */
static void alive(struct rig *r, unsigned ms)
{
	for (unsigned i = 0; i < ms; i += 20) {
		actor_ping(&r->gw);
		actor_ping(&r->wk);
		if (r->wk2.z)
			actor_ping(&r->wk2);
		rig_run(r, 20);
	}
}

/* The next probe that wk gets, everybody staying alive meanwhile. */
static struct probe asked(struct rig *r, struct actor *wk)
{
	struct probe m;

	for (int i = 0; i < 200 && !rig_node(r)->probe.worker; i++)
		alive(r, 20);
	assert_int_equal(rig_node(r)->probe.worker, wk->instance);
	assert_int_equal(probe_decode(actor_get(r, wk, MSG_PROBE), &m), ERR_OK);
	assert_int_equal(m.node, 1);
	assert_true(slice_is(m.address, "http://127.0.0.1:9"));
	assert_int_equal(m.timeout_ms, r->b.conf.probe_timeout_ms);
	return m;
}

static void say(struct rig *r, struct actor *wk, const struct probe *m, enum probe_result result)
{
	struct probed out = { .epoch = m->epoch, .node = m->node, .result = result, .latency_us = 1234 };
	struct buf msg = { 0 };

	memcpy(out.rid, m->rid, RID_BYTES);
	probed_encode(&out, &msg);
	actor_send(wk, &msg, NULL);
	rig_heard(r, wk);
}

static void answer(struct rig *r, enum probe_result result)
{
	struct probe m = asked(r, &r->wk);

	say(r, &r->wk, &m, result);
}

/* The probe that the node's registration brought is over: what follows goes by these settings. */
static int setup(void **state)
{
	struct rig *r = rig_new("--probe-ms=100");
	struct probe m;

	r->b.conf.breaker_failures = 3;
	r->b.conf.breaker_open_ms = 150;
	r->b.conf.probe_timeout_ms = 50;
	assert_int_equal(probe_decode(actor_get(r, &r->wk, MSG_PROBE), &m), ERR_OK);
	say(r, &r->wk, &m, PROBE_NOT_TRIED);
	*state = r;
	return 0;
}

static void healthy(void **state)
{
	struct rig *r = *state;
	struct locked l;

	assert_true(rig_node(r)->probe.at == 0);
	for (int i = 0; i < 3; i++)
		answer(r, PROBE_REACHED);
	assert_true(rig_node(r)->probe.at > 0 && rig_node(r)->probe.reached);
	assert_int_equal(rig_node(r)->probe.latency_us, 1234);
	assert_int_equal(rig_node(r)->failures, 0);
	assert_int_equal(r->b.probes, 0);
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_OK);
}

/* It leaves the rotation until it answers again; one that half-opens gets one probe, and nobody's request. */
static void out_and_back(void **state)
{
	struct rig *r = *state;
	struct locked l;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(node_breaker(rig_node(r), broker_ms(&r->b)), BREAKER_CLOSED);
		answer(r, PROBE_FAILED);
	}
	assert_int_equal(node_breaker(rig_node(r), broker_ms(&r->b)), BREAKER_OPEN);
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_NO_NODE);
	answer(r, PROBE_FAILED); /* the trial: open again */
	assert_int_equal(node_breaker(rig_node(r), broker_ms(&r->b)), BREAKER_OPEN);
	actor_none(r, &r->wk, MSG_PROBE, 50);
	struct probe m = asked(r, &r->wk);

	assert_int_equal(node_breaker(rig_node(r), broker_ms(&r->b)), BREAKER_HALF_OPEN);
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_NO_NODE);
	say(r, &r->wk, &m, PROBE_REACHED);
	assert_int_equal(node_breaker(rig_node(r), broker_ms(&r->b)), BREAKER_CLOSED);
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_OK);
}

/* Silence is the worker's, not the node's. */
static void lost_probes(void **state)
{
	struct rig *r = *state;
	struct probe first = asked(r, &r->wk), second;

	alive(r, 2200); /* past the deadline of the broker */
	second = asked(r, &r->wk);
	assert_memory_not_equal(first.rid, second.rid, RID_BYTES);
	say(r, &r->wk, &first, PROBE_FAILED); /* too late */
	assert_true(rig_node(r)->probe.at == 0 && rig_node(r)->failures == 0);
	say(r, &r->wk, &second, PROBE_NOT_TRIED);
	assert_true(rig_node(r)->probe.at == 0 && rig_node(r)->failures == 0);
	answer(r, PROBE_REACHED);
	assert_true(rig_node(r)->probe.reached);
}

/* What nobody asked for: another node, another epoch, another probe, the answer twice. */
static void made_up_answers(void **state)
{
	struct rig *r = *state;
	struct probe m = asked(r, &r->wk), bad = m;

	bad.node = 2;
	say(r, &r->wk, &bad, PROBE_FAILED);
	bad = m;
	bad.epoch++;
	say(r, &r->wk, &bad, PROBE_FAILED);
	bad = m;
	bad.rid[3] ^= 1;
	say(r, &r->wk, &bad, PROBE_FAILED);
	assert_true(rig_node(r)->failures == 0 && rig_node(r)->probe.worker == r->wk.instance);
	say(r, &r->wk, &m, PROBE_FAILED);
	say(r, &r->wk, &m, PROBE_FAILED);
	assert_int_equal(rig_node(r)->failures, 1);
	assert_int_equal(r->b.probes, 0);
	say(r, &r->gw, &m, PROBE_FAILED); /* not for a gateway to say */
	assert_int_equal(rig_node(r)->failures, 1);
}

static void workers_take_turns(void **state)
{
	struct rig *r = *state;
	struct probe m;

	answer(r, PROBE_REACHED);
	actor_open(r, &r->wk2, ROLE_WORKER, 300);
	(void)actor_get(r, &r->wk2, MSG_WELCOME);
	for (int i = 0; i < 4; i++) {
		struct actor *wk = i % 2 ? &r->wk : &r->wk2;

		m = asked(r, wk);
		say(r, wk, &m, PROBE_REACHED);
	}
	m = asked(r, &r->wk2);
	rig_node(r)->probe.worker =
		0; /* as if the turn were wk2's again: who failed is passed over all the same */
	r->b.probes--;
	rig_node(r)->probe.avoid = r->wk.instance;
	probe_here(&r->b, rig_node(r), false);
	(void)asked(r, &r->wk2);
}

/* A closed breaker forgets failed probes, not failed requests, when a probe goes well. */
static void probes_do_not_hide_requests(void **state)
{
	struct rig *r = *state;

	note(r, false);
	note(r, false);
	answer(r, PROBE_REACHED);
	assert_int_equal(rig_node(r)->failures, 2);
	r->b.conf.breaker_failures = 9;
	answer(r, PROBE_FAILED);
	assert_int_equal(rig_node(r)->failures, 3);
	answer(r, PROBE_REACHED);
	assert_int_equal(rig_node(r)->failures, 2);
	note(r, true);
	assert_int_equal(rig_node(r)->failures, 0);
}

/* An old probe's good news does not close what requests have opened meanwhile. */
static void news_from_before(void **state)
{
	struct rig *r = *state;
	struct probe m = asked(r, &r->wk);

	for (int i = 0; i < 3; i++)
		note(r, false);
	say(r, &r->wk, &m, PROBE_REACHED);
	assert_int_equal(node_breaker(rig_node(r), broker_ms(&r->b)), BREAKER_OPEN);
	answer(r, PROBE_REACHED); /* the trial */
	assert_int_equal(node_breaker(rig_node(r), broker_ms(&r->b)), BREAKER_CLOSED);
}

/* A registration does not close the breaker: it has the node probed, but not as often as it likes. */
static void registering(void **state)
{
	struct rig *r = *state;
	struct locked l;

	r->b.conf.breaker_open_ms = 600000;
	answer(r, PROBE_REACHED);
	for (int i = 0; i < 3; i++)
		note(r, false);
	assert_int_equal(rig_register(r, true, NULL), ERR_OK);
	assert_int_equal(node_breaker(rig_node(r), broker_ms(&r->b)), BREAKER_HALF_OPEN);
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_NO_NODE);
	assert_int_equal(rig_register(r, true, NULL), ERR_OK);
	rig_run(r, 20);
	assert_true(rig_node(r)->probe.worker == 0);
	answer(r, PROBE_REACHED);
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_OK);
}

/* What was asked of it before it was back is about its earlier life: nobody waits for that. */
static void back_in_a_new_life(void **state)
{
	struct rig *r = *state;
	struct probe old, m;
	struct locked l;

	r->b.conf.breaker_open_ms = 600000;
	r->b.conf.probe_timeout_ms = 60000;
	rig_node(r)->back_ms = 0; /* its first registration was long ago */
	old = asked(r, &r->wk);
	for (int i = 0; i < 3; i++)
		note(r, false);
	assert_int_equal(rig_register(r, true, NULL), ERR_OK);
	m = asked(r, &r->wk);
	assert_memory_not_equal(m.rid, old.rid, RID_BYTES);
	say(r, &r->wk, &old, PROBE_FAILED);
	assert_int_equal(node_breaker(rig_node(r), broker_ms(&r->b)), BREAKER_HALF_OPEN);
	say(r, &r->wk, &m, PROBE_REACHED);
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_OK);
	assert_int_equal(r->b.probes, 0);
}

/* A request at node 1, posted by wk. */
static struct work given(struct rig *r)
{
	struct locked l;
	struct work w;

	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_OK);
	rig_job(r, l.stack, 10);
	w = rig_work(r, &r->wk);
	rig_posted(&r->wk, &w);
	rig_heard(r, &r->wk);
	return w;
}

/* Requests that died with an earlier life do not count, those of this one do; and a
 * node cannot be born again as often as it likes. */
static void failures_of_an_earlier_life(void **state)
{
	struct rig *r = *state;
	struct work w;

	r->b.conf.breaker_open_ms = 600000;
	for (unsigned life = 0; life < 2; life++) {
		rig_node(r)->failures = 0;
		if (life == 0)
			rig_node(r)->back_ms = 0;
		w = given(r);
		assert_int_equal(rig_register(r, true, NULL), ERR_OK);
		rig_settle_ack(r, &r->wk, &w, SETTLE_FAILED, 0, 0, rig_not_reached);
		assert_int_equal(rig_node(r)->failures, life);
	}
	rig_node(r)->failures = 0;
	rig_run(r, 5);
	w = given(r);
	rig_node(r)->back_ms = 0;
	assert_int_equal(rig_register(r, false, NULL), ERR_OK); /* the same life, once more announced */
	rig_settle_ack(r, &r->wk, &w, SETTLE_FAILED, 0, 0, rig_not_reached);
	assert_int_equal(rig_node(r)->failures, 1);
}

/* What a worker that is gone was asked is asked of another one at once. */
static void worker_gone(void **state)
{
	struct rig *r = *state;
	struct probe m;

	r->b.conf.probe_timeout_ms = 60000;
	answer(r, PROBE_REACHED);
	actor_open(r, &r->wk2, ROLE_WORKER, 300);
	(void)actor_get(r, &r->wk2, MSG_WELCOME);
	(void)asked(r, &r->wk2);
	actor_close(&r->wk2);
	rig_drop(r, &r->wk2);
	alive(r, 300);
	assert_int_equal(rig_node(r)->probe.worker, r->wk.instance);
	m = asked(r, &r->wk);
	say(r, &r->wk, &m, PROBE_REACHED);
	assert_int_equal(r->b.probes, 0);
}

static struct party *party(struct rig *r, const struct actor *wk)
{
	return peers_by_instance(&r->b, wk->instance, ROLE_WORKER);
}

/* Nobody is asking any more, and the next turn is some time away. */
static void nobody_asks(struct rig *r)
{
	while (rig_node(r)->probe.worker) {
		struct actor *wk = rig_node(r)->probe.worker == r->wk.instance ? &r->wk : &r->wk2;
		struct probe m = asked(r, wk);

		say(r, wk, &m, PROBE_NOT_TRIED);
	}
}

/* One that the node refuses says nothing of it, and is not asked, as long as there is another. */
static void a_refused_worker(void **state)
{
	struct rig *r = *state;
	struct probe m;

	answer(r, PROBE_REACHED);
	actor_open(r, &r->wk2, ROLE_WORKER, 300);
	(void)actor_get(r, &r->wk2, MSG_WELCOME);
	for (int result = PROBE_REACHED; result <= PROBE_FAILED; result++) {
		nobody_asks(r);
		rig_node(r)->probe.avoid = r->wk.instance; /* the next turn is wk2's */
		m = asked(r, &r->wk2);
		for (int i = 0; i < 3 && result == PROBE_REACHED; i++)
			note(r, false);
		rig_node(r)->open_until =
			result == PROBE_REACHED ? broker_ms(&r->b) : 0; /* half-open, or closed */
		refusal_note(&r->b, party(r, &r->wk2), 1);
		say(r, &r->wk2, &m, (enum probe_result)result);
		assert_int_equal(rig_node(r)->failures, result == PROBE_REACHED ? 3 : 0);
		assert_true((rig_node(r)->open_until != 0) == (result == PROBE_REACHED));
		for (int i = 0; i < 3; i++) {
			rig_node(r)->probe.avoid = r->wk.instance; /* rather that one all the same */
			answer(r, PROBE_REACHED);
		}
		assert_int_equal(rig_node(r)->failures, 0);
		refusal_forget(&r->b, 1);
	}
	refusal_note(&r->b, party(r, &r->wk2), 1);
	rig_drop(r, &r->wk);
	m = asked(r, &r->wk2); /* better than nobody */
	say(r, &r->wk2, &m, PROBE_FAILED);
	assert_int_equal(rig_node(r)->failures, 1);
}

/* One that is not heard any more would most likely bring nothing: its turn is the other's. */
static void a_silent_worker(void **state)
{
	struct rig *r = *state;

	answer(r, PROBE_REACHED);
	actor_open(r, &r->wk2, ROLE_WORKER, 300);
	(void)actor_get(r, &r->wk2, MSG_WELCOME);
	alarm_off(r->b.alarms, &r->b.peers->sweep); /* nobody is taken for dead for it */
	party(r, &r->wk2)->heard_ms = 0;
	for (int i = 0; i < 200 && !rig_node(r)->probe.worker; i++)
		rig_alive(r, 20, &r->wk);
	assert_int_equal(rig_node(r)->probe.worker, r->wk.instance);
	actor_bye(&r->wk);
	for (int i = 0; i < 200 && rig_node(r)->probe.worker != r->wk2.instance; i++)
		rig_alive(r, 20, NULL);
	assert_int_equal(rig_node(r)->probe.worker, r->wk2.instance); /* better than nobody */
}

/* One that leaves takes nothing new, and is not asked even when nobody else is there. */
static void a_leaving_worker(void **state)
{
	struct rig *r = *state;

	answer(r, PROBE_REACHED);
	actor_open(r, &r->wk2, ROLE_WORKER, 300);
	(void)actor_get(r, &r->wk2, MSG_WELCOME);
	party(r, &r->wk2)->draining = true;
	for (int i = 0; i < 200 && !rig_node(r)->probe.worker; i++)
		rig_alive(r, 20, &r->wk);
	assert_int_equal(rig_node(r)->probe.worker, r->wk.instance);
	actor_bye(&r->wk);
	actor_none(r, &r->wk2, MSG_PROBE, 400);
}

static void removed(void **state)
{
	struct rig *r = *state;

	(void)asked(r, &r->wk);
	for (int i = 0; i < 3; i++)
		note(r, false);
	rig_node(r)->row.state = NODE_REMOVED;
	probe_forget(&r->b, rig_node(r));
	assert_int_equal(r->b.probes, 0);
	assert_true(rig_node(r)->open_until == 0);
	actor_none(r, &r->wk, MSG_PROBE, 100);
	rig_node(r)->row.state = NODE_ACTIVE;
	probe_here(&r->b, rig_node(r), false);
	answer(r, PROBE_REACHED);
}

static void a_bounded_number(void **state)
{
	struct rig *r = *state;
	struct probe m;
	unsigned n = 0;
	struct node *nodes[20];

	r->b.conf.probe_inflight = 5;
	answer(r, PROBE_REACHED);
	for (unsigned i = 0; i < 20; i++) {
		struct row_node row = { .id = 10 + i,
					.state = NODE_ACTIVE,
					.sign_key = { (uint8_t)(i + 1) } };

		assert_int_equal(registry_node_add(r->b.registry, &row, SLICE_STR("http://127.0.0.1:9"),
						   SLICE_STR(""), SLICE_STR(""), &nodes[i]),
				 ERR_OK);
		probe_here(&r->b, nodes[i], false);
	}
	rig_run(r, 20);
	assert_int_equal(r->b.probes, 5);
	while (n < 20) {
		alive(r, 20);
		assert_int_equal(probe_decode(actor_get(r, &r->wk, MSG_PROBE), &m), ERR_OK);
		assert_true(r->b.probes <= 5);
		r->b.conf.probe_ms = 600000; /* nobody twice */
		say(r, &r->wk, &m, PROBE_REACHED);
		n += m.node >= 10;
	}
	rig_run(r, 5);
	for (unsigned i = 0; i < 20; i++)
		assert_true(nodes[i]->probe.reached);
}

/* Without probes the trial is one lock, not a flood of them. */
static void without_probes(void **state)
{
	struct rig *r = *state;
	struct locked l;

	actor_none(r, &r->wk, MSG_PROBE, 30);
	for (int i = 0; i < 3; i++)
		note(r, false);
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_NO_NODE);
	alive(r, 200);
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_OK);
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_NO_NODE);
	note(r, true); /* the request that came of it went well */
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_OK);
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_OK);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(healthy),
		T(out_and_back),
		T(lost_probes),
		T(made_up_answers),
		T(workers_take_turns),
		T(probes_do_not_hide_requests),
		T(news_from_before),
		T(registering),
		T(back_in_a_new_life),
		T(failures_of_an_earlier_life),
		T(worker_gone),
		T(a_refused_worker),
		T(a_silent_worker),
		T(a_leaving_worker),
		T(removed),
		T(a_bounded_number),
		cmocka_unit_test_setup_teardown(without_probes, setup_without, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
