/* SPDX-License-Identifier: Apache-2.0
 *
 * The link to a broker, against a ROUTER that plays one: greeting, staying in
 * touch, silence, another life of the broker, stale work, nonsense.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/net/fake_server.h"
#include "tests/unit/said.h"
#include "tests/unit/tempdir.h"
#include "worker/link.h"

#define PATIENCE_MS 5000
#define INTERVAL_MS 40

struct side {
	uv_loop_t uv;
	struct zctx *zctx;
	struct zsock *broker;
	struct link *link;
	char dir[TEMPDIR_ROOM];
	struct zmsg peer; /* routing id of the worker */
	bool answers;
	struct slice foreign; /* what it answers in place of a WELCOME and PONG; empty for those */
	uint64_t epoch, instance, member;
	/* the broker saw */
	unsigned hellos, pings, byes, others;
	bool has_hello, has_bye, has_draining;
	struct hello hello;
	/* the worker saw */
	unsigned works, cancels, peers, wanted, settled, welcomes, forgotten, probes;
	bool has_work, has_welcome, has_settled;
	char body[32];
};

/* --- broker --- */

static void tell(struct side *s, struct buf *b, const char *body)
{
	struct zmsg parts[3];

	zmsg_copy_init(&parts[0], zmsg_slice(&s->peer));
	zmsg_take_init(&parts[1], b);
	if (body)
		zmsg_copy_init(&parts[2], slice_str(body));
	assert_int_equal(zsock_send(s->broker, parts, body ? 3 : 2), ERR_OK);
}

/* A broker of another version. */
static bool answered_foreign(struct side *s)
{
	struct buf b = { 0 };

	if (!s->foreign.n)
		return false;
	buf_add(&b, s->foreign.p, s->foreign.n);
	tell(s, &b, NULL);
	return true;
}

static void welcome(struct side *s)
{
	struct welcome m = {
		.epoch = s->epoch, .instance = s->instance, .interval_ms = INTERVAL_MS, .member = s->member
	};
	struct buf b = { 0 };

	if (answered_foreign(s))
		return;
	welcome_encode(&m, &b);
	tell(s, &b, NULL);
}

static void pong(struct side *s)
{
	struct ping m = { .epoch = s->epoch, .instance = s->instance };
	struct buf b = { 0 };

	if (answered_foreign(s))
		return;
	pong_encode(&m, &b);
	tell(s, &b, NULL);
}

static void take_hello(struct side *s, struct slice bytes)
{
	assert_int_equal(hello_decode(bytes, &s->hello), ERR_OK);
	assert_int_equal(s->hello.role, ROLE_WORKER);
	assert_int_equal(s->hello.instance, 4711);
	assert_true(slice_is(s->hello.endpoint, "tcp://example:1"));
	assert_int_equal(s->hello.capacity, 9);
	assert_int_equal(s->hello.inflight, 3);
	s->hellos++;
	s->has_hello = true;
	if (s->answers)
		welcome(s);
}

static void take_ping(struct side *s, struct slice bytes)
{
	struct ping m;

	assert_int_equal(ping_decode(bytes, &m), ERR_OK);
	assert_int_equal(m.instance, 4711);
	assert_int_equal(m.load, 6);
	s->pings++;
	s->has_draining |= m.draining;
	if (s->answers)
		pong(s);
}

static void on_broker_msg(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct side *s = arg;
	enum msg_type type;
	struct bye bye;

	(void)z;
	assert_int_equal(n, 2);
	zmsg_close(&s->peer);
	zmsg_copy_init(&s->peer, zmsg_slice(&parts[0]));
	assert_int_equal(msg_peek(zmsg_slice(&parts[1]), &type), ERR_OK);
	if (type == MSG_HELLO) {
		take_hello(s, zmsg_slice(&parts[1]));
	} else if (type == MSG_PING) {
		take_ping(s, zmsg_slice(&parts[1]));
	} else if (type == MSG_BYE) {
		assert_int_equal(bye_decode(zmsg_slice(&parts[1]), &bye), ERR_OK);
		s->byes++;
		s->has_bye = true;
	} else {
		s->others++;
	}
}

/* --- worker --- */

static void on_work(void *arg, unsigned number, const struct work *m, struct zmsg *body)
{
	struct side *s = arg;
	struct slice b = zmsg_slice(body);

	assert_int_equal(number, 1);
	assert_int_equal(m->stack, 42);
	assert_true(b.n < sizeof(s->body));
	memcpy(s->body, b.p, b.n);
	s->works++;
	s->has_work = true;
}

static void on_cancel(void *arg, const struct cancel *m)
{
	(void)m;
	((struct side *)arg)->cancels++;
}

static void on_peer(void *arg, unsigned number, const struct peer *m)
{
	assert_int_equal(number, 1);
	assert_int_equal(m->topic, 88);
	((struct side *)arg)->peers++;
}

static void on_wanted(void *arg, unsigned number, const struct receipt_wanted *m)
{
	(void)m;
	assert_int_equal(number, 1);
	((struct side *)arg)->wanted++;
}

static void on_probe(void *arg, unsigned number, const struct probe *m)
{
	assert_int_equal(number, 1);
	assert_int_equal(m->node, 7);
	((struct side *)arg)->probes++;
}

static void on_settled(void *arg, const struct settled *m)
{
	struct side *s = arg;

	assert_int_equal(m->attempt, 4);
	s->settled++;
	s->has_settled = true;
}

static void on_welcome(void *arg, unsigned number, bool forgotten)
{
	struct side *s = arg;

	assert_int_equal(number, 1);
	s->welcomes++;
	s->forgotten += forgotten;
	s->has_welcome = true;
}

static uint32_t on_inflight(void *arg, unsigned number)
{
	(void)arg;
	assert_int_equal(number, 1);
	return 3;
}

static uint32_t on_load(void *arg)
{
	(void)arg;
	return 6;
}

/* --- set-up --- */

static void open_broker(struct side *s)
{
	struct zsock_opts o = { .type = ZSOCK_ROUTER, .on_msg = on_broker_msg, .arg = s };
	char endpoint[96];

	snprintf(endpoint, sizeof(endpoint), "ipc://%s/bus", s->dir);
	s->broker = zsock_open(s->zctx, &s->uv, &o);
	assert_int_equal(zsock_bind(s->broker, endpoint, false), ERR_OK);
}

static int setup(void **state)
{
	struct side *s = mem_new(sizeof(*s));
	char endpoint[96];
	struct link_opts o = { .uv = &s->uv,
			       .number = 1,
			       .endpoint = endpoint,
			       .instance = 4711,
			       .advertise = "tcp://example:1",
			       .capacity = 9,
			       .interval_ms = INTERVAL_MS,
			       .ev = { on_work, on_cancel, on_peer, on_wanted, on_probe, on_settled,
				       on_welcome, on_inflight, on_load, s } };

	uv_loop_init(&s->uv);
	s->zctx = o.zctx = zctx_new();
	zmsg_init(&s->peer);
	tempdir_make(s->dir);
	snprintf(endpoint, sizeof(endpoint), "ipc://%s/bus", s->dir);
	s->answers = true;
	s->epoch = 3;
	s->instance = 100;
	s->member = 1;
	open_broker(s);
	assert_int_equal(link_open(&o, &s->link), ERR_OK);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct side *s = *state;

	link_close(s->link);
	zsock_close(s->broker);
	zmsg_close(&s->peer);
	uv_run(&s->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->uv), 0);
	zctx_free(s->zctx);
	tempdir_drop(s->dir, "bus");
	tempdir_remove(s->dir);
	free(s);
	return 0;
}

static void until_up(struct side *s)
{
	assert_true(fake_run(&s->uv, &s->has_welcome, PATIENCE_MS));
	assert_true(link_up(s->link));
	assert_int_equal(link_epoch(s->link), s->epoch);
}

/* --- greeting and touch --- */

static void test_greeting(void **state)
{
	struct side *s = *state;

	assert_false(link_up(s->link));
	assert_int_equal(link_epoch(s->link), 0);
	until_up(s);
	s->hellos = 0;
	fake_run(&s->uv, NULL, 10 * INTERVAL_MS);
	assert_int_equal(s->hellos, 0);
	assert_in_range(s->pings, 5, 12);
	assert_int_equal(s->welcomes, 1);
	assert_true(link_up(s->link));
}

/* Until welcomed it greets every interval; a late broker is no trouble. */
static void test_repeats_hello(void **state)
{
	struct side *s = *state;

	s->answers = false;
	fake_run(&s->uv, NULL, 8 * INTERVAL_MS);
	assert_true(s->hellos >= 3);
	assert_int_equal(s->pings, 0);
	assert_false(link_up(s->link));
	s->answers = true;
	until_up(s);
}

static void test_silence(void **state)
{
	struct side *s = *state;

	until_up(s);
	s->answers = false;
	s->has_hello = false;
	assert_true(fake_run(&s->uv, &s->has_hello, PATIENCE_MS));
	assert_false(link_up(s->link));
	s->answers = true;
	s->has_welcome = false;
	until_up(s);
	assert_int_equal(s->forgotten, 0); /* it was the broker that could not be heard */
}

/* To this broker we were dead; another life of it has not given up anything. */
static void test_taken_for_dead(void **state)
{
	struct side *s = *state;

	until_up(s);
	assert_int_equal(s->forgotten, 0);
	s->answers = false;
	s->has_hello = false;
	assert_true(fake_run(&s->uv, &s->has_hello, PATIENCE_MS));
	s->answers = true;
	s->has_welcome = false;
	s->member = 2;
	until_up(s);
	assert_int_equal(s->forgotten, 1);
	s->has_welcome = false;
	s->instance = 200;
	s->epoch = 4;
	s->member = 1;
	until_up(s);
	assert_int_equal(s->forgotten, 1);
}

/* The broker was restarted between two pings: same socket, another life. */
static void test_other_life(void **state)
{
	struct side *s = *state;

	until_up(s);
	s->hellos = 0;
	s->has_welcome = false;
	s->instance = 200;
	s->epoch = 4;
	until_up(s);
	assert_int_equal(s->hellos, 1);
	assert_int_equal(s->welcomes, 2); /* so that everything is announced again */
	assert_int_equal(link_epoch(s->link), 4);
}

/* The broker was replaced by one of another version: not one word is understood any more. */
static void foreign(struct side *s, struct slice welcome, const char *numbers)
{
	static char text[16384];
	struct said words;

	until_up(s);
	s->foreign = welcome;
	s->pings = s->hellos = 0;
	said_begin(&words);
	fake_run(&s->uv, NULL, 8 * INTERVAL_MS);
	said_end(&words, text, sizeof(text));
	assert_non_null(strstr(text, "event=broker.other_version"));
	assert_non_null(strstr(text, numbers));
	assert_null(strstr(text, "broker.bad_message"));
	assert_true(s->pings > 0 && s->hellos > 0);
	assert_false(link_up(s->link)); /* its answers are no signs of life */
	s->foreign = (struct slice){ 0 };
	s->has_welcome = false;
	until_up(s); /* and back again */
}

/* A WELCOME as of 2026-11-22, which has no member, with the number of today. */
static void test_foreign_form(void **state)
{
	foreign(*state, SLICE_STR("\x96\x02\x02\xc0\x07\xcd\x01\x2c\x28"), "our_messages=2 its_messages=2");
}

static void test_foreign_number(void **state)
{
	foreign(*state, SLICE_STR("\x98\x03\x02\xc0\x07\xcd\x01\x2c\x28\x01\x01"),
		"our_messages=2 its_messages=3");
}

static void test_broker_comes_back(void **state)
{
	struct side *s = *state;
	struct buf b = { 0 };

	until_up(s);
	zsock_close(s->broker);
	fake_run(&s->uv, NULL, 5 * INTERVAL_MS);
	assert_false(link_up(s->link));
	buf_str(&b, "x");
	assert_int_equal(link_send(s->link, buf_slice(&b)), ERR_AGAIN);
	buf_free(&b);
	open_broker(s);
	s->instance = 300;
	s->epoch = 9;
	s->has_welcome = false;
	until_up(s);
}

/* What could not be said is made good by a new greeting. */
static void test_drain_and_bye(void **state)
{
	struct side *s = *state;

	until_up(s);
	fake_run(&s->uv, NULL, 3 * INTERVAL_MS);
	assert_false(s->has_draining);
	link_drain(s->link);
	assert_true(fake_run(&s->uv, &s->has_draining, PATIENCE_MS));
	link_bye(s->link);
	assert_true(fake_run(&s->uv, &s->has_bye, PATIENCE_MS));
	s->pings = s->hellos = 0;
	fake_run(&s->uv, NULL, 3 * INTERVAL_MS);
	assert_int_equal(s->pings + s->hellos, 0); /* it would be a stranger's */
}

/* --- messages --- */

static void send_work(struct side *s, uint64_t epoch, const char *body)
{
	struct work w = { .epoch = epoch,
			  .attempt = 1,
			  .topic = 88,
			  .endpoint = EP_CHAT,
			  .stack = 42,
			  .units = 5,
			  .model = SLICE_STR("demo"),
			  .address = SLICE_STR("http://127.0.0.1:1") };
	struct buf b = { 0 };

	work_encode(&w, &b);
	tell(s, &b, body);
}

static void send_settled(struct side *s)
{
	struct settled m = { .attempt = 4 };
	struct buf b = { 0 };

	settled_encode(&m, &b);
	s->has_settled = false;
	tell(s, &b, NULL);
	assert_true(fake_run(&s->uv, &s->has_settled, PATIENCE_MS));
}

static void test_work(void **state)
{
	struct side *s = *state;

	until_up(s);
	send_work(s, 3, "the body");
	assert_true(fake_run(&s->uv, &s->has_work, PATIENCE_MS));
	assert_string_equal(s->body, "the body");
	send_work(s, 2, "stale");
	send_work(s, 4, "from the future");
	send_work(s, 3, NULL); /* without a body */
	send_settled(s);
	assert_int_equal(s->works, 1);
}

/* Stopped for longer than the broker waits: the work in the queue is another's by now. */
static void test_late_work(void **state)
{
	struct side *s = *state;

	until_up(s);
	fake_run(&s->uv, NULL, 2 * INTERVAL_MS);
	send_work(s, 3, "late");
	usleep(5 * INTERVAL_MS * 1000);
	s->has_welcome = false;
	until_up(s);
	assert_int_equal(s->works, 0);
	assert_int_equal(s->others, 1); /* RETURN, should the broker have waited */
	send_work(s, 3, "in time");
	assert_true(fake_run(&s->uv, &s->has_work, PATIENCE_MS));
	assert_string_equal(s->body, "in time");
}

static void test_other_messages(void **state)
{
	struct side *s = *state;
	struct cancel cancel = { .attempt = 1 };
	struct peer peer = { .topic = 88, .present = true };
	struct receipt_wanted want = { .ref = { .epoch = 3, .attempt = 1 },
				       .address = SLICE_STR("http://h") };
	struct probe probe = { .epoch = 3, .node = 7, .address = SLICE_STR("http://h"), .timeout_ms = 9 };
	struct buf b = { 0 };

	until_up(s);
	cancel_encode(&cancel, &b);
	tell(s, &b, NULL);
	peer_encode(&peer, &b);
	tell(s, &b, NULL);
	receipt_wanted_encode(&want, &b);
	tell(s, &b, NULL);
	want.ref.epoch = 2; /* of an earlier life of the broker */
	receipt_wanted_encode(&want, &b);
	tell(s, &b, NULL);
	probe_encode(&probe, &b);
	tell(s, &b, NULL);
	probe.epoch = 2;
	probe_encode(&probe, &b);
	tell(s, &b, NULL);
	send_settled(s);
	assert_int_equal(s->probes, 1); /* nobody waits for the other any more */
	assert_int_equal(s->cancels, 1);
	assert_int_equal(s->peers, 1);
	assert_int_equal(s->wanted, 2); /* asking a node changes nothing: any epoch will do */
}

static void test_nonsense(void **state)
{
	static const char *const bad[] = { "", "hello", "\xdd\xff\xff\xff\xff", "\x91\x02",
					   "\x93\x02\x02\xc0" };
	struct side *s = *state;
	struct buf b = { 0 };

	until_up(s);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buf_str(&b, bad[i]);
		tell(s, &b, NULL);
	}
	posted_encode(&(struct work_ref){ .attempt = 1 }, &b); /* not for a worker */
	tell(s, &b, NULL);
	send_settled(s);
	assert_int_equal(s->settled, 1);
	assert_int_equal(s->works + s->cancels + s->peers + s->wanted, 0);
	assert_true(link_up(s->link));
}

static void test_bad_endpoint(void **state)
{
	struct side *s = *state;
	struct link_opts o = { .zctx = s->zctx,
			       .uv = &s->uv,
			       .endpoint = "tcp://127.0.0.1:1", /* without CURVE */
			       .advertise = "x",
			       .interval_ms = INTERVAL_MS };
	struct link *l = NULL;

	assert_int_equal(link_open(&o, &l), ERR_CONFIG);
	assert_null(l);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_greeting),       T(test_repeats_hello),     T(test_silence),
		T(test_taken_for_dead), T(test_other_life),        T(test_foreign_form),
		T(test_foreign_number), T(test_broker_comes_back), T(test_drain_and_bye),
		T(test_work),           T(test_other_messages),    T(test_nonsense),
		T(test_bad_endpoint),   T(test_late_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
