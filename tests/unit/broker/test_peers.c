/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may be on the bus and what they may say: introductions, new lives,
 * strangers, roles, and keys that are taken off the list.
 */
#include "tests/unit/broker/test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "broker/peers.h"
#include "broker/router.h"
#include "common/zcount.h"
#include "proto/peer.h"
#include "tests/unit/broker/rig.h"
#include "tests/unit/said.h"

static void pings_are_answered(void **state)
{
	struct rig *r = *state;
	struct ping pong;

	actor_ping(&r->wk);
	assert_int_equal(pong_decode(actor_get(r, &r->wk, MSG_PONG), &pong), ERR_OK);
	assert_true(pong.epoch == r->b.epoch && pong.instance == r->b.instance && !pong.draining);
	r->b.draining = true;
	actor_ping(&r->wk);
	assert_int_equal(pong_decode(actor_get(r, &r->wk, MSG_PONG), &pong), ERR_OK);
	assert_true(pong.draining);
	r->wk.instance++;
	actor_ping(&r->wk); /* not who said HELLO here: it has to say it again */
	r->wk.instance--;
	actor_none(r, &r->wk, MSG_PONG, 50);
}

static void strangers_hear_nothing(void **state)
{
	struct rig *r = *state;

	actor_open(r, &r->wk2, ROLE_GATEWAY, 0); /* no instance: no WELCOME */
	actor_none(r, &r->wk2, MSG_WELCOME, 50);
	assert_int_equal(r->b.peers->n, 2);
}

static void not_known(struct rig *r, struct actor *a)
{
	struct ping pong;

	actor_ping(a);
	assert_int_equal(pong_decode(actor_get(r, a, MSG_PONG), &pong), ERR_OK);
	assert_true(pong.instance == 0);
}

/* As after a restart of ours: it has to say HELLO, and need not wait until it misses us. */
static void a_stranger_is_told_so(void **state)
{
	struct rig *r = *state;

	actor_open(r, &r->wk2, ROLE_GATEWAY, 0); /* no instance: not taken in */
	not_known(r, &r->wk2);
	assert_int_equal(r->b.peers->n, 2);
	peers_drop(&r->b, peers_by_instance(&r->b, 200, ROLE_WORKER), "silent");
	not_known(r, &r->wk);
	actor_hello(r, &r->wk);
	(void)actor_get(r, &r->wk, MSG_WELCOME);
	actor_ping(&r->wk);
	(void)actor_get(r, &r->wk, MSG_PONG);
}

/* What is shown of a peer has to be text: JSON would leave out the peer. */
static void names_that_are_no_text(void **state)
{
	struct rig *r = *state;
	const struct slice good = SLICE_STR("x"), bad[] = { SLICE_STR("\xff"), SLICE_STR("a\033[2J") };

	actor_open(r, &r->wk2, ROLE_GATEWAY, 0); /* a connection to say it on */
	for (unsigned i = 0; i < 6; i++) {
		struct hello h = { .role = ROLE_GATEWAY,
				   .instance = 300 + i,
				   .name = i % 3 == 0 ? bad[i / 3] : good,
				   .version = i % 3 == 1 ? bad[i / 3] : good,
				   .endpoint = i % 3 == 2 ? bad[i / 3] : good };
		struct buf msg = { 0 };

		hello_encode(&h, &msg);
		actor_send(&r->wk2, &msg, NULL);
	}
	actor_none(r, &r->wk2, MSG_WELCOME, 50);
	assert_int_equal(r->b.peers->n, 2);
}

/* Gateways would open a socket in vain each time that the worker is introduced. */
static void endpoints_that_are_none(void **state)
{
	struct rig *r = *state;
	const struct slice bad[] = { SLICE_STR(""), SLICE_STR("x"), SLICE_STR("udp://127.0.0.1:1"),
				     SLICE_STR("tcp://127.0.0.1"), SLICE_STR("inproc://zeromq.zap.01") };
	struct hello h = {
		.role = ROLE_WORKER, .name = SLICE_STR("x"), .version = SLICE_STR("x"), .capacity = 1
	};
	struct buf msg = { 0 };

	actor_open(r, &r->wk2, ROLE_GATEWAY, 0); /* a connection to say it on */
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		h.instance = 300 + i;
		h.endpoint = bad[i];
		hello_encode(&h, &msg);
		actor_send(&r->wk2, &msg, NULL);
	}
	actor_none(r, &r->wk2, MSG_WELCOME, 50);
	h.endpoint = SLICE_STR("tcp://[::1]:7");
	hello_encode(&h, &msg);
	actor_send(&r->wk2, &msg, NULL);
	actor_get(r, &r->wk2, MSG_WELCOME);
}

static void another_ones_instance(void **state)
{
	struct rig *r = *state;

	actor_open(r, &r->wk2, ROLE_GATEWAY, 200); /* the worker's */
	actor_none(r, &r->wk2, MSG_WELCOME, 50);
	assert_non_null(peers_by_instance(&r->b, 200, ROLE_WORKER));
}

static void each_role_has_its_words(void **state)
{
	struct rig *r = *state;
	struct work w = rig_given(r);

	rig_settle(r, &r->gw, &w, SETTLE_COMPLETE, 1, 1, NULL); /* gateways settle nothing */
	actor_none(r, &r->gw, MSG_SETTLED, 50);
	assert_true(rig_stack(r)->reserved == 1000);
	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 1, 1, NULL);
}

static void the_same_peer_on_a_new_connection(void **state)
{
	struct rig *r = *state;
	struct intro in;
	struct work w = rig_given(r);

	actor_close(&r->wk);
	actor_open(r, &r->wk, ROLE_WORKER, 200);
	(void)actor_get(r, &r->wk, MSG_WELCOME);
	rig_introduce(r, &r->gw, &r->wk);                       /* again, harmless */
	rig_settle(r, &r->wk, &w, SETTLE_COMPLETE, 1, 1, NULL); /* its work is still its own */
	rig_settled(r, &r->wk);
	actor_close(&r->gw);
	actor_open(r, &r->gw, ROLE_GATEWAY, 100);
	(void)actor_get(r, &r->gw, MSG_WELCOME);
	{
		struct buf msg = { 0 };

		(void)actor_get(r, &r->wk, MSG_PEER);
		peer_ok_encode(100, &msg);
		actor_send(&r->wk, &msg, NULL);
	}
	assert_int_equal(intro_decode(actor_get(r, &r->gw, MSG_INTRO), &in), ERR_OK);
	assert_true(in.worker == 200 && in.present);
	assert_int_equal(r->b.peers->n, 2);
}

static void a_new_life_at_the_same_endpoint(void **state)
{
	struct rig *r = *state;
	struct intro in;

	(void)rig_at_node(r);
	rig_run(r, 10);
	actor_open(r, &r->wk2, ROLE_WORKER, 201); /* a connection to say it on */
	(void)actor_get(r, &r->wk2, MSG_WELCOME);
	actor_hello_next_life(&r->wk2);
	(void)actor_get(r, &r->wk2, MSG_WELCOME);
	rig_run(r, 100);
	assert_null(peers_by_instance(&r->b, 200, ROLE_WORKER)); /* soon, not after three intervals */
	assert_null(peers_by_instance(&r->b, 201, ROLE_WORKER)); /* its life on that connection is over */
	(void)actor_get(r, &r->wk2, MSG_RECEIPT_WANTED);
	do {
		assert_int_equal(intro_decode(actor_get(r, &r->gw, MSG_INTRO), &in), ERR_OK);
	} while (in.worker != 200);
	assert_false(in.present);
}

static void leaving(void **state)
{
	struct rig *r = *state;
	struct intro in;

	actor_bye(&r->wk);
	assert_int_equal(intro_decode(actor_get(r, &r->gw, MSG_INTRO), &in), ERR_OK);
	assert_true(in.worker == 200 && !in.present);
	assert_int_equal(r->b.peers->n, 1);
}

static void garbage_is_dropped(void **state)
{
	static const char *const junk[] = { "", "x", "\x95\x01\x0a", "\x93\x01\x03\xc0",
					    "\xdd\xff\xff\xff\xff" };
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
		struct buf msg = { 0 };

		buf_str(&msg, junk[i]);
		actor_send(&r->gw, &msg, i % 2 ? "body" : NULL);
	}
	actor_ping(&r->gw);
	(void)actor_get(r, &r->gw, MSG_PONG);
}

/* --- with CURVE --- */

static void a_request_over_curve(void **state)
{
	struct rig *r = *state;
	struct work w = rig_given(r);

	rig_settle_ack(r, &r->wk, &w, SETTLE_COMPLETE, 1, 1, NULL);
	assert_true(rig_stack(r)->spent == 2);
}

static void a_role_is_not_a_claim(void **state)
{
	struct rig *r = *state;
	struct zcurve worker = r->curve[ROLE_WORKER];

	r->curve[ROLE_WORKER] = r->curve[ROLE_GATEWAY]; /* a gateway's key that says it is a worker */
	actor_open(r, &r->wk2, ROLE_WORKER, 201);
	actor_none(r, &r->wk2, MSG_WELCOME, 100);
	r->curve[ROLE_WORKER] = worker;
	assert_int_equal(r->b.peers->n, 2);
}

static void a_key_taken_off_the_list(void **state)
{
	struct rig *r = *state;
	char path[128];

	rig_allow(r, false);
	assert_true(strlen(r->dir) < 100);
	strcpy(path, r->dir);
	strcat(path, "/peers");
	assert_int_equal(zauth_load(r->b.zauth, path), ERR_OK);
	actor_ping(&r->wk); /* still connected, no longer listened to */
	actor_none(r, &r->wk, MSG_PONG, 60);
	peers_recheck(&r->b);
	assert_null(peers_by_instance(&r->b, 200, ROLE_WORKER));
	assert_non_null(peers_by_instance(&r->b, 100, ROLE_GATEWAY));
	actor_hello(r, &r->wk);
	actor_none(r, &r->wk, MSG_WELCOME, 60);
	actor_ping(&r->wk);
	actor_none(r, &r->wk, MSG_PONG, 60);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
#define STRANGERS 520

/* Whoever has one key of a host may not take the places of all others. */
static void one_key_does_not_take_all_places(void **state)
{
	struct actor *many = mem_new(STRANGERS * sizeof(*many));
	struct rig *r = *state;
	struct rlimit files;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	for (unsigned i = 0; i < STRANGERS; i++)
		actor_open(r, &many[i], ROLE_WORKER, 1000 + i);
	rig_run(r, 300);
	assert_int_equal(r->b.peers->n, 1 + 512); /* the gateway has a key of its own */
	for (unsigned i = 0; i < STRANGERS; i++)
		actor_free(&many[i]);
	free(many);
}

static unsigned lines_with(const char *text, const char *word)
{
	unsigned n = 0;

	while ((text = strstr(text, word)) != NULL) {
		text += strlen(word);
		n++;
	}
	return n;
}

static void come_and_go(struct rig *r, struct actor *a, uint64_t instance)
{
	a->instance = instance;
	actor_hello(r, a);
	actor_bye(a);
}

static void empty(struct actor *a)
{
	for (int i = 0; i < INBOX; i++)
		a->in[i].used = false;
}

/* Until the broker has read what the worker said, who is a stranger by now; nobody looks at its answers. */
static void be_heard(struct rig *r)
{
	int turns = 0;

	actor_ping(&r->wk);
	while (!actor_has(&r->wk, MSG_PONG)) {
		assert_true(turns++ < 10000);
		empty(&r->wk);
		empty(&r->gw);
		rig_run(r, 0); /* one turn brings no more than an inbox holds */
	}
	empty(&r->wk);
}

/* All gateways hear of each new worker, all workers of each new gateway, and the log does. */
static void one_key_does_not_keep_everybody_busy(void **state)
{
	struct rig *r = *state;
	struct said said;
	static char text[1 << 20];

	said_begin(&said);
	for (uint64_t i = 0; i < 3000; i++) {
		come_and_go(r, &r->wk, 1000 + i);
		if (i % 100 == 99)
			be_heard(r);
	}
	said_end(&said, text, sizeof(text));
	assert_in_range(r->b.peers->members, 1000, 1300);
	assert_in_range(lines_with(text, "event=peer_refused"), 1, 3);
	r->wk.instance = 0;
	said_begin(&said);
	for (int i = 0; i < 1000; i++)
		actor_hello(r, &r->wk);
	be_heard(r);
	said_end(&said, text, sizeof(text));
	assert_in_range(lines_with(text, "event=peer_refused"), 0, 2);
}

/* MiB that wait for p in our memory, as they do for a peer that does not read. */
static void leave_unread(struct party *p, size_t mib, struct zmsg *waits)
{
	struct buf much = { .p = malloc(mib << 20), .n = mib << 20, .cap = mib << 20 };

	zmsg_take_counted(waits, &much, p->unread);
}

static enum err say_pong(struct rig *r, struct party *p)
{
	struct ping pong = { .instance = r->b.instance };
	struct buf msg = { 0 };
	enum err e;

	pong_encode(&pong, &msg);
	e = router_send(&r->b, p, &msg);
	assert_int_equal(msg.n, 0);
	return e;
}

static void who_does_not_read_gets_no_more(void **state)
{
	struct rig *r = *state;
	struct party *p = peers_by_instance(&r->b, 200, ROLE_WORKER);
	struct zmsg work, words;

	assert_ptr_equal(peers_worker_for(&r->b, 100, 0, 1), p);
	leave_unread(p, 260, &work);
	assert_null(peers_worker_for(&r->b, 100, 0, 1));
	leave_unread(p, 100, &words);
	assert_int_equal(say_pong(r, p), ERR_AGAIN);
	/* another key's peer feels nothing */
	assert_int_equal(say_pong(r, peers_by_instance(&r->b, 100, ROLE_GATEWAY)), ERR_OK);
	zmsg_close(&words);
	zmsg_close(&work);
	assert_ptr_equal(peers_worker_for(&r->b, 100, 0, 1), p);
}

/* A worker that has as much work to read as it may is told everything else all the same: who is not told of a
 * gateway once never hears it. */
static void a_gateway_comes_while_work_waits(void **state)
{
	struct rig *r = *state;
	struct party *p = peers_by_instance(&r->b, 200, ROLE_WORKER);
	struct zmsg work;
	struct peer m;

	leave_unread(p, 260, &work);
	assert_null(peers_worker_for(&r->b, 100, 0, 1));
	assert_false(actor_has(&r->wk, MSG_PEER));
	actor_hello(r, &r->gw); /* all workers hear of whoever says it */
	assert_int_equal(peer_decode(actor_get(r, &r->wk, MSG_PEER), &m), ERR_OK);
	assert_true(m.topic == 100 && m.present);
	zmsg_close(&work);
}

/* A large body takes as much as it has, and goes to whoever was found to have room: it is not copied in vain
 * each time that somebody looks. */
static void large_bodies_where_there_is_room(void **state)
{
	struct rig *r = *state;
	struct party *p = peers_by_instance(&r->b, 200, ROLE_WORKER);
	struct buf body = { .p = calloc(1, (8u << 20) + 200), .n = (8u << 20) + 200 }, msg = { 0 };
	struct zmsg waits, frame;
	size_t n = body.n;
	uint64_t before;

	zmsg_take_init(&frame, &body);
	leave_unread(p, 250, &waits);
	before = zcount_bytes(p->unread);
	assert_ptr_equal(peers_worker_for(&r->b, 100, 0, 1), p);
	buf_str(&msg, "a message");
	assert_int_equal(router_send_body(&r->b, p, &msg, &frame), ERR_OK);
	assert_in_range(zcount_bytes(p->unread) - before, 0, n + 1000);
	zmsg_close(&waits);
	zmsg_close(&frame);
}

#define C(name) cmocka_unit_test_setup_teardown(name, rig_setup_curve, rig_teardown)

/* Whose host is away is said where operators look; who leaves in order is not worth a warning. */
static void a_silent_peer_is_told_of(void **state)
{
	struct rig *r = *state;
	struct said said;
	static char text[65536];

	said_begin(&said);
	actor_open(r, &r->wk2, ROLE_WORKER, 201);
	actor_bye(&r->wk2);
	rig_run(r, 20);
	assert_int_equal(lines_with(said_end(&said, text, sizeof(text)), "event=peer_silent"), 0);
	said_begin(&said);
	for (int i = 0; i < 20; i++) {
		actor_ping(&r->gw);
		rig_run(r, 20);
	}
	said_end(&said, text, sizeof(text));
	assert_null(peers_by_instance(&r->b, r->wk.instance, ROLE_WORKER));
	assert_int_equal(lines_with(text, "event=peer_silent role=worker"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_silent_peer_is_told_of, rig_setup_short,
			rig_teardown), /* first: others of its kind would be held back */
		T(pings_are_answered),
		T(strangers_hear_nothing),
		T(a_stranger_is_told_so),
		T(names_that_are_no_text),
		T(endpoints_that_are_none),
		T(another_ones_instance),
		T(each_role_has_its_words),
		T(the_same_peer_on_a_new_connection),
		T(a_new_life_at_the_same_endpoint),
		T(leaving),
		T(garbage_is_dropped),
		C(a_request_over_curve),
		C(a_role_is_not_a_claim),
		C(a_key_taken_off_the_list),
		C(one_key_does_not_take_all_places),
		C(one_key_does_not_keep_everybody_busy),
		C(who_does_not_read_gets_no_more),
		C(a_gateway_comes_while_work_waits),
		C(large_bodies_where_there_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
