/* SPDX-License-Identifier: Apache-2.0
 *
 * XPUB and XSUB: who gets a topic, what comes upstream, back-pressure without
 * loss, and subscribers that are hostile, dead, or reconnect.  Hostile ones
 * are made of bare libzmq sockets, because ours cannot misbehave.
 */
#include "tests/unit/common/zfix.h"

#include <errno.h>
#include <zmq.h>

#include "common/zlane.h"

#define SUBS 12

/* The worker's side: allows the topics up to max, counts what it sees. */
struct pub {
	struct zsock *z;
	uint64_t max; /* topics that may be had */
	unsigned subs, unsubs, up, want;
	unsigned heard[SUBS];
	enum err at_once; /* of a send right after allowing */
	bool try_at_once;
};

static void topic_bytes(uint8_t out[8], uint64_t topic)
{
	put_be64(out, topic);
}

static enum err publish(struct zsock *z, uint64_t topic, uint32_t seq)
{
	uint8_t b[12];

	topic_bytes(b, topic);
	put_be32(b + 8, seq);
	return zfix_send(z, slice_of(b, sizeof(b)));
}

static enum err say(struct zsock *z, uint8_t first, uint64_t topic)
{
	uint8_t b[9] = { first };

	topic_bytes(b + 1, topic);
	return zfix_send(z, slice_of(b, sizeof(b)));
}

static void on_pub(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct pub *p = arg;
	struct slice f = zmsg_slice(&parts[0]);
	uint64_t topic;

	assert_int_equal(n, 1);
	if (f.p[0] > 1) {
		p->up++;
		assert_true(slice_is(f, "Supstream"));
		return;
	}
	if (f.n != 9)
		return;
	topic = get_be64(f.p + 1);
	if (f.p[0] == 0) {
		p->unsubs++;
		zsock_deny(z, slice_of(f.p + 1, 8));
		return;
	}
	p->subs++;
	if (topic > p->max)
		return;
	zsock_allow(z, slice_of(f.p + 1, 8));
	if (topic < SUBS)
		p->heard[topic]++;
	if (p->try_at_once)
		p->at_once = publish(z, topic, 0);
}

/* The gateway's side. */
struct sub {
	struct zsock *z;
	uint64_t topic;
	unsigned n, foreign, gaps, want;
};

static void on_sub(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct sub *s = arg;
	struct slice f = zmsg_slice(&parts[0]);

	(void)z;
	assert_int_equal(n, 1);
	assert_int_equal(f.n, 12);
	s->foreign += get_be64(f.p) != s->topic;
	s->gaps += get_be32(f.p + 8) != s->n;
	s->n++;
}

static struct zsock *pub_open(struct zfix *f, struct pub *p)
{
	struct zsock_opts o = { .type = ZSOCK_XPUB, .sndhwm = 10, .on_msg = on_pub, .arg = p };

	p->z = zsock_open(f->ctx, &f->uv, &o);
	assert_int_equal(zsock_bind(p->z, f->ipc, false), ERR_OK);
	return p->z;
}

static struct zsock *sub_open(struct zfix *f, struct sub *s, uint64_t topic)
{
	struct zsock_opts o = { .type = ZSOCK_XSUB, .heartbeat_ms = 100, .on_msg = on_sub, .arg = s };

	s->topic = topic;
	s->z = zsock_open(f->ctx, &f->uv, &o);
	assert_int_equal(zsock_connect(s->z, f->ipc, false), ERR_OK);
	return s->z;
}

static bool pub_heard(void *arg)
{
	struct pub *p = arg;

	return p->subs >= p->want;
}

static bool pub_lost(void *arg)
{
	struct pub *p = arg;

	return p->unsubs >= p->want;
}

static bool pub_upstream(void *arg)
{
	struct pub *p = arg;

	return p->up >= p->want;
}

static bool sub_full(void *arg)
{
	struct sub *s = arg;

	return s->n >= s->want;
}

/* Each gets its own topic and nothing else; an unknown topic is refused. */
static void test_topics(void **state)
{
	struct zfix *f = *state;
	struct pub p = { .max = SUBS - 2, .want = SUBS, .try_at_once = true };
	struct sub s[SUBS] = { { .n = 0 } };

	pub_open(f, &p);
	assert_int_equal(publish(p.z, 0, 0), ERR_CLOSED); /* nobody has it yet */
	for (unsigned i = 0; i < SUBS; i++) {
		sub_open(f, &s[i], i);
		assert_int_equal(say(s[i].z, 1, i), ERR_OK);
	}
	assert_true(zfix_run(f, pub_heard, &p, 3000));
	assert_int_equal(p.at_once, ERR_AGAIN);
	zfix_run(f, NULL, NULL, 350); /* repeats are not shown again, except the refused one's */
	for (unsigned i = 0; i < SUBS - 1; i++)
		assert_int_equal(p.heard[i], 1);
	assert_true(p.subs > SUBS);
	assert_int_equal(publish(p.z, SUBS - 1, 0), ERR_CLOSED);
	for (unsigned i = 0; i < SUBS - 1; i++)
		for (unsigned k = 0; k < 5; k++)
			assert_int_equal(publish(p.z, i, k), ERR_OK);
	for (unsigned i = 0; i < SUBS - 1; i++) {
		s[i].want = 5;
		assert_true(zfix_run(f, sub_full, &s[i], 2000));
		assert_int_equal(s[i].foreign + s[i].gaps, 0);
	}
	assert_int_equal(s[SUBS - 1].n, 0);
	for (unsigned i = 0; i < SUBS; i++)
		zsock_close(s[i].z);
	p.want = SUBS - 1;
	assert_true(zfix_run(f, pub_lost, &p, 2000)); /* their deaths are shown */
	assert_int_equal(publish(p.z, 1, 5), ERR_CLOSED);
	zsock_close(p.z);
}

/* Subscriptions that come behind and between credits still go to their own pipes. */
static void test_credits_between(void **state)
{
	struct zfix *f = *state;
	struct pub p = { .max = SUBS, .want = SUBS };
	struct sub s[SUBS] = { { .n = 0 } };

	pub_open(f, &p);
	for (unsigned i = 0; i < SUBS; i++)
		sub_open(f, &s[i], i);
	usleep(300000); /* connected, and the publisher asleep */
	zfix_run(f, NULL, NULL, 50);
	for (unsigned i = 0; i < SUBS; i++) {
		for (unsigned k = 0; k < 3 + i; k++)
			assert_int_equal(zfix_send(s[SUBS - 1 - i].z, SLICE_STR("Supstream")), ERR_OK);
		assert_int_equal(say(s[i].z, 1, i), ERR_OK);
	}
	usleep(100000);
	assert_true(zfix_run(f, pub_heard, &p, 3000));
	p.want = SUBS * 3 + SUBS * (SUBS - 1) / 2;
	assert_true(zfix_run(f, pub_upstream, &p, 3000));
	assert_int_equal(zsock_dropped(p.z), 0);
	for (unsigned i = 0; i < SUBS; i++)
		assert_int_equal(publish(p.z, i, 0), ERR_OK);
	for (unsigned i = 0; i < SUBS; i++) {
		s[i].want = 1;
		assert_true(zfix_run(f, sub_full, &s[i], 2000));
		assert_int_equal(s[i].foreign, 0);
	}
	zfix_run(f, NULL, NULL, 50);
	assert_int_equal(p.up, p.want);
	for (unsigned i = 0; i < SUBS; i++)
		zsock_close(s[i].z);
	zsock_close(p.z);
}

static void test_deny_and_leave(void **state)
{
	struct zfix *f = *state;
	struct pub p = { .max = SUBS, .want = 1 };
	struct sub s = { .n = 0 };
	uint8_t name[8];

	pub_open(f, &p);
	sub_open(f, &s, 3);
	assert_int_equal(say(s.z, 1, 3), ERR_OK);
	assert_true(zfix_run(f, pub_heard, &p, 2000));
	assert_int_equal(publish(p.z, 3, 0), ERR_OK);
	s.want = 1;
	assert_true(zfix_run(f, sub_full, &s, 2000));
	topic_bytes(name, 3);
	p.max = 0;
	zsock_deny(p.z, slice_of(name, 8)); /* outside a callback: taken away all the same */
	assert_int_equal(publish(p.z, 3, 1), ERR_CLOSED);
	p.want = p.subs + 1;
	assert_true(zfix_run(f, pub_heard, &p, 2000)); /* shown again, now refused */
	assert_int_equal(publish(p.z, 3, 1), ERR_CLOSED);
	p.max = SUBS;
	p.want = p.subs + 1;
	assert_true(zfix_run(f, pub_heard, &p, 2000));
	assert_int_equal(publish(p.z, 3, 1), ERR_OK);
	s.want = 2;
	assert_true(zfix_run(f, sub_full, &s, 2000));
	zfix_run(f, NULL, NULL, 350); /* repeated a few times */
	p.unsubs = 0;
	p.want = 1;
	assert_int_equal(say(s.z, 0, 3), ERR_OK);
	assert_true(zfix_run(f, pub_lost, &p, 2000)); /* once is enough */
	assert_int_equal(publish(p.z, 3, 2), ERR_CLOSED);
	p.subs = 0;
	zfix_run(f, NULL, NULL, 350);
	assert_int_equal(p.subs, 0);
	zsock_close(s.z);
	zsock_close(p.z);
}

static void test_shapes(void **state)
{
	struct zfix *f = *state;
	struct pub p = { .max = SUBS };
	struct sub s = { .n = 0 };
	static const uint8_t big[ZSOCK_UPSTREAM_MAX + 1] = { 'S' };
	struct zmsg two[2];

	pub_open(f, &p);
	sub_open(f, &s, 3);
	assert_int_equal(zfix_send(s.z, slice_of(NULL, 0)), ERR_RANGE);
	assert_int_equal(zfix_send(s.z, SLICE_STR("\x01")), ERR_RANGE); /* everything */
	assert_int_equal(zfix_send(s.z, SLICE_STR("\x01short")), ERR_RANGE);
	assert_int_equal(zfix_send(s.z, slice_of(big, sizeof(big))), ERR_RANGE);
	zmsg_copy_init(&two[0], SLICE_STR("ten bytes!"));
	zmsg_copy_init(&two[1], SLICE_STR("y"));
	assert_int_equal(zsock_send(s.z, two, 2), ERR_RANGE);
	assert_int_equal(zsock_send(p.z, two, 2), ERR_RANGE);
	assert_true(slice_is(zmsg_slice(&two[0]), "ten bytes!"));
	zmsg_close(&two[0]);
	zmsg_close(&two[1]);
	assert_int_equal(zfix_send(p.z, SLICE_STR("short")), ERR_RANGE);
	assert_int_equal(zfix_send(s.z, slice_of(big, ZSOCK_UPSTREAM_MAX)), ERR_OK);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(say(s.z, 1, 100 + i), ERR_OK);
	assert_int_equal(say(s.z, 1, 200), ERR_RANGE); /* so many, and no more */
	assert_int_equal(say(s.z, 0, 200), ERR_OK);
	zsock_close(s.z);
	zsock_close(p.z);
}

/* --- bare libzmq peers --- */

static void *bare_open(void *ctx, const char *endpoint)
{
	void *s = zmq_socket(ctx, ZMQ_XSUB);
	int zero = 0;

	assert_non_null(s);
	zmq_setsockopt(s, ZMQ_LINGER, &zero, sizeof(zero));
	assert_int_equal(zmq_connect(s, endpoint), 0);
	return s;
}

static void bare_say(void *s, uint8_t first, uint64_t topic)
{
	uint8_t b[9] = { first };

	topic_bytes(b + 1, topic);
	assert_int_equal(zmq_send(s, b, sizeof(b), 0), 9);
}

/* A message of lane and frame; false when there is none. */
static bool bare_recv(void *s, uint64_t *topic, uint32_t *seq)
{
	uint8_t lane[8], b[12];

	if (zmq_recv(s, lane, sizeof(lane), ZMQ_DONTWAIT) < 0)
		return false;
	assert_int_equal(zmq_recv(s, b, sizeof(b), ZMQ_DONTWAIT), 12);
	*topic = get_be64(b);
	*seq = get_be32(b + 8);
	return true;
}

/* Subscribes to everything, to prefixes, to lanes by guess: gets nothing. */
static void test_greedy(void **state)
{
	struct zfix *f = *state;
	struct pub p = { .max = SUBS, .want = 1 };
	struct sub s = { .n = 0 };
	void *ctx = zmq_ctx_new(), *greedy = bare_open(ctx, f->ipc);
	uint8_t b[64];

	pub_open(f, &p);
	sub_open(f, &s, 3);
	zmq_send(greedy, "\x01", 1, 0);
	zmq_send(greedy, "\x01\x00", 2, 0);
	zmq_send(greedy, "\x01\x00\x00\x00\x00\x00\x00\x00", 8, 0);
	for (uint64_t lane = 100; lane < 110; lane++)
		bare_say(greedy, 1, lane);
	zfix_run(f, NULL, NULL, 300);
	assert_int_equal(say(s.z, 1, 3), ERR_OK);
	p.want = p.subs + 1;
	assert_true(zfix_run(f, pub_heard, &p, 2000));
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(publish(p.z, 3, i), ERR_OK);
	s.want = 9;
	assert_true(zfix_run(f, sub_full, &s, 2000));
	assert_int_equal(s.gaps, 0);
	usleep(50000);
	assert_int_equal(zmq_recv(greedy, b, sizeof(b), ZMQ_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	zmq_close(greedy);
	zmq_ctx_term(ctx);
	zsock_close(s.z);
	zsock_close(p.z);
}

/* Bare user frames would make libzmq give a topic to the pipe of a later
 * subscription: who sends them and subscribes last must not get the others' topics. */
static void test_out_of_step(void **state)
{
	struct zfix *f = *state;
	struct pub p = { .max = SUBS, .want = 1 };
	struct sub s = { .n = 0 };
	void *ctx = zmq_ctx_new(), *noise, *thief;
	unsigned stolen = 0;
	uint64_t topic;
	uint32_t seq;

	pub_open(f, &p);
	noise = bare_open(ctx, f->ipc);
	thief = bare_open(ctx, f->ipc);
	sub_open(f, &s, 3);
	for (unsigned i = 0; i < 20; i++)
		zfix_run(f, NULL, NULL, 10); /* all are connected */
	for (unsigned i = 0; i < 4; i++)
		zmq_send(noise, "user frame", 10, 0);
	usleep(50000);
	assert_int_equal(say(s.z, 1, 3), ERR_OK);
	usleep(50000);
	bare_say(thief, 1, 9);
	usleep(50000); /* now all of it is waiting, in this order */
	assert_true(zfix_run(f, pub_heard, &p, 2000));
	zfix_run(f, NULL, NULL, 250);
	assert_int_equal(zsock_dropped(p.z), 4);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(publish(p.z, 3, i), ERR_OK);
	s.want = 5;
	assert_true(zfix_run(f, sub_full, &s, 2000));
	usleep(50000);
	while (bare_recv(thief, &topic, &seq))
		stolen += topic == 3;
	assert_int_equal(stolen, 0);
	zmq_close(noise);
	zmq_close(thief);
	zmq_ctx_term(ctx);
	zsock_close(s.z);
	zsock_close(p.z);
}

/* A subscriber that is dead before its subscription is read: no message may
 * touch its pipe, and the topic can be had again by its next connection. */
static void test_dead_subscriber(void **state)
{
	struct zfix *f = *state;
	struct pub p = { .max = SUBS, .try_at_once = true };
	struct sub s = { .n = 0 };

	pub_open(f, &p);
	for (unsigned round = 0; round < 10; round++) {
		void *ctx = zmq_ctx_new(), *bare = bare_open(ctx, f->ipc);

		p.subs = p.unsubs = 0;
		p.want = 1;
		p.at_once = ERR_OK;
		bare_say(bare, 1, 3);
		usleep(50000);
		zmq_close(bare);
		zmq_ctx_term(ctx);
		usleep(50000);
		assert_true(zfix_run(f, pub_lost, &p, 2000));
		if (p.subs > 0)
			assert_int_equal(p.at_once, ERR_AGAIN);
		assert_int_equal(publish(p.z, 3, 0), ERR_CLOSED);
	}
	p.subs = 0;
	sub_open(f, &s, 3);
	assert_int_equal(say(s.z, 1, 3), ERR_OK);
	assert_true(zfix_run(f, pub_heard, &p, 2000));
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(publish(p.z, 3, i), ERR_OK);
	s.want = 5;
	assert_true(zfix_run(f, sub_full, &s, 2000));
	assert_int_equal(s.gaps, 0);
	zsock_close(s.z);
	zsock_close(p.z);
}

/* One subscriber does not read: its topic says ERR_AGAIN and loses nothing; others flow. */
static void test_back_pressure(void **state)
{
	struct zfix *f = *state;
	struct pub p = { .max = SUBS, .want = 2 };
	struct sub s = { .n = 0 };
	void *ctx = zmq_ctx_new(), *slow = zmq_socket(ctx, ZMQ_XSUB);
	int hwm = 100, zero = 0;
	uint32_t sent = 0, got = 0, seq;
	uint64_t topic;

	pub_open(f, &p);
	zmq_setsockopt(slow, ZMQ_RCVHWM, &hwm, sizeof(hwm));
	zmq_setsockopt(slow, ZMQ_LINGER, &zero, sizeof(zero));
	assert_int_equal(zmq_connect(slow, f->ipc), 0);
	bare_say(slow, 1, 4);
	sub_open(f, &s, 3);
	assert_int_equal(say(s.z, 1, 3), ERR_OK);
	assert_true(zfix_run(f, pub_heard, &p, 2000));
	for (unsigned idle = 0; idle < 20;) {
		if (publish(p.z, 4, sent) == ERR_OK) {
			sent++;
			idle = 0;
			assert_true(sent < 10000000);
		} else {
			zfix_run(f, NULL, NULL, 5);
			idle++;
		}
	}
	assert_int_equal(publish(p.z, 4, sent), ERR_AGAIN);
	for (unsigned i = 0; i < 200; i++) {
		s.want = i + 1;
		assert_int_equal(publish(p.z, 3, i), ERR_OK);
		assert_true(zfix_run(f, sub_full, &s, 2000));
	}
	for (unsigned idle = 0; got < sent && idle < 1000; idle++) {
		while (bare_recv(slow, &topic, &seq)) {
			assert_int_equal(seq, got);
			got++;
			idle = 0;
		}
		usleep(1000);
	}
	assert_int_equal(got, sent);
	zfix_run(f, NULL, NULL, 50);
	assert_int_equal(publish(p.z, 4, sent), ERR_OK);
	zmq_close(slow);
	zmq_ctx_term(ctx);
	zsock_close(s.z);
	zsock_close(p.z);
}

/* Its publisher dies while a subscriber that has no time is full of frames: libzmq ended the process. */
static void test_publisher_dies_and_we_are_full(void **state)
{
	struct zfix *f = *state;
	struct pub p = { .max = 1, .want = 1 };
	struct sub s = { .want = 1 };
	struct zsock_opts o = {
		.type = ZSOCK_XSUB, .rcvhwm = 5, .heartbeat_ms = 20, .on_msg = on_sub, .arg = &s
	};
	unsigned sent = 0;

	pub_open(f, &p);
	s.z = zsock_open(f->ctx, &f->uv, &o);
	assert_int_equal(zsock_connect(s.z, f->ipc, false), ERR_OK);
	assert_int_equal(say(s.z, 1, 0), ERR_OK);
	assert_true(zfix_run(f, pub_heard, &p, 3000));
	zfix_run(f, NULL, NULL, 5);
	for (int i = 0; i < 200; i++) { /* our loop stands still from here on */
		while (publish(p.z, 0, sent) == ERR_OK)
			sent++;
		usleep(1000);
	}
	zsock_close(p.z);
	usleep(200000); /* several heartbeats */
	zfix_run(f, NULL, NULL, 50);
	assert_true(sent > 100);
	assert_int_equal(s.foreign, 0);
	zsock_close(s.z);
}

/* A publisher's next life at the same endpoint is subscribed to without anybody asking. */
static void test_publisher_restarts(void **state)
{
	struct zfix *f = *state;
	struct pub p = { .max = SUBS, .want = 1 };
	struct sub s = { .n = 0 };

	sub_open(f, &s, 3);
	assert_int_equal(say(s.z, 1, 3), ERR_OK); /* before there is anybody */
	for (unsigned life = 1; life <= 3; life++) {
		p.subs = 0;
		pub_open(f, &p);
		assert_true(zfix_run(f, pub_heard, &p, 3000));
		s.want = life;
		assert_int_equal(publish(p.z, 3, life - 1), ERR_OK);
		assert_true(zfix_run(f, sub_full, &s, 2000));
		assert_int_equal(s.gaps, 0);
		zsock_close(p.z);
		zfix_run(f, NULL, NULL, 100);
	}
	zsock_close(s.z);
}

static void test_lanes(void **state)
{
	struct zlanes l = { .v = NULL };
	uint64_t id;

	(void)state;
	assert_null(zlanes_find(&l, 1));
	assert_false(zlanes_drop(&l, 1));
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(zlanes_open(&l, i * 37 % 100), i + 1);
	for (uint64_t i = 0; i < 100; i++) {
		assert_int_equal(zlanes_find(&l, i * 37 % 100)->id, i + 1);
		assert_true(zlanes_find(&l, i)->fresh);
	}
	zlanes_settle(&l);
	assert_false(zlanes_find(&l, 7)->fresh);
	id = zlanes_open(&l, 7);
	assert_int_equal(id, 101); /* never one that was used */
	assert_true(zlanes_find(&l, 7)->fresh);
	assert_false(zlanes_find(&l, 8)->fresh);
	assert_int_equal(l.n, 100);
	assert_int_equal(zlanes_open(&l, 7), 102);
	assert_int_equal(l.n_fresh, 1);
	assert_true(zlanes_drop(&l, 7));
	assert_false(zlanes_drop(&l, 7));
	assert_int_equal(l.n_fresh, 0);
	assert_null(zlanes_find(&l, 7));
	assert_int_equal(zlanes_find(&l, 8)->topic, 8);
	assert_int_equal(l.n, 99);
	zlanes_fini(&l);
	assert_null(zlanes_find(&l, 8));
}

#define T(name) cmocka_unit_test_setup_teardown(name, zfix_up, zfix_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_topics),
		T(test_credits_between),
		T(test_deny_and_leave),
		T(test_shapes),
		T(test_greedy),
		T(test_out_of_step),
		T(test_dead_subscriber),
		T(test_back_pressure),
		T(test_publisher_restarts),
		T(test_publisher_dies_and_we_are_full),
		cmocka_unit_test(test_lanes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
