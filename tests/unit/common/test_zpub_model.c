/* SPDX-License-Identifier: Apache-2.0
 *
 * XPUB and XSUB over real sockets in random orders: subscribers that come, go in the middle and come back
 * under the same topic, read nothing for a while, and speak upstream; a publisher that publishes all the
 * time, waits where it has to, takes topics away and starts again.  What must hold:
 * - nobody gets a frame of another's topic, of a publisher's life before, a frame twice, or one out of order;
 * - none is left out between two that came, unless the topic was taken away or ended in between;
 * - what is said upstream comes once and in order;
 * - whoever stays is heard soon, and gets what is published then.
 *
 * ZeroMQ's own thread has its part in the order, so that a seed (printed; SEALWAY_SEED sets the first one)
 * repeats what was done, and only mostly what came of it.  SEALWAY_LONG=1 goes on for two minutes.
 */
#include "tests/unit/common/zfix.h"
#include "tests/unit/rounds.h"

#define SUBS 5
#define PATIENCE_MS 5000

struct sub {
	struct zsock *z; /* NULL: not there */
	uint32_t life;
	uint32_t pub_life, lane, next; /* of the last frame */
	unsigned got;
	uint32_t said; /* upstream, in this life */
};

/* What the publisher knows of a topic. */
struct topic {
	bool heard;
	uint32_t lane, next;         /* times that it was allowed; the next frame */
	uint32_t sub_life, upstream; /* of the last frame that came */
};

static struct {
	struct zfix *f;
	struct zsock *pub;
	uint32_t pub_life;
	struct topic topic[SUBS];
	struct sub sub[SUBS];
	unsigned published, waited, received, upstream, allowed, ended;
} w;

static unsigned dice(unsigned n)
{
	return (unsigned)rand() % n;
}

/* topic (8) | publisher's life, lane, number (4 each) | padding */
static enum err publish(unsigned i)
{
	static uint8_t b[20 + 3000];
	struct topic *t = &w.topic[i];
	enum err e;

	put_be64(b, i);
	put_be32(b + 8, w.pub_life);
	put_be32(b + 12, t->lane);
	put_be32(b + 16, t->next);
	e = zfix_send(w.pub, slice_of(b, 20 + dice(dice(4) ? 50 : 3000)));
	if (e == ERR_OK)
		t->next++;
	w.published += e == ERR_OK;
	w.waited += e == ERR_AGAIN;
	assert_true(e == ERR_OK || e == ERR_AGAIN || (e == ERR_CLOSED && !t->heard));
	return e;
}

static void on_sub(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct sub *s = arg;
	struct slice f = zmsg_slice(&parts[0]);
	uint32_t life, lane, number;

	assert_ptr_equal(z, s->z);
	assert_int_equal(n, 1);
	assert_true(f.n >= 20);
	assert_int_equal(get_be64(f.p), s - w.sub);
	life = get_be32(f.p + 8);
	lane = get_be32(f.p + 12);
	number = get_be32(f.p + 16);
	assert_true(life > s->pub_life || (life == s->pub_life && lane >= s->lane));
	if (life != s->pub_life || lane != s->lane)
		assert_int_equal(number, 0); /* each begins anew, and nothing of its beginning is lost */
	else
		assert_int_equal(number, s->next);
	s->pub_life = life;
	s->lane = lane;
	s->next = number + 1;
	s->got++;
	w.received++;
}

static void on_upstream(struct slice f)
{
	struct topic *t = &w.topic[f.p[1]];
	uint32_t life = get_be32(f.p + 2), number = get_be32(f.p + 6);

	assert_int_equal(f.n, 10);
	assert_true(life >= t->sub_life);
	if (life == t->sub_life)
		assert_true(number >= t->upstream);
	t->sub_life = life;
	t->upstream = number + 1;
	w.upstream++;
}

static void on_pub(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct slice f = zmsg_slice(&parts[0]);
	struct topic *t;

	(void)arg;
	assert_int_equal(n, 1);
	if (f.p[0] > 1) {
		on_upstream(f);
		return;
	}
	assert_int_equal(f.n, 9);
	t = &w.topic[get_be64(f.p + 1)];
	t->heard = f.p[0] == 1;
	if (!t->heard) {
		zsock_deny(z, slice_of(f.p + 1, 8));
		w.ended++;
		return;
	}
	t->lane++;
	t->next = 0;
	zsock_allow(z, slice_of(f.p + 1, 8));
	w.allowed++;
}

static void pub_open(void)
{
	struct zsock_opts o = { .type = ZSOCK_XPUB, .sndhwm = 20, .on_msg = on_pub };

	w.pub_life++;
	for (unsigned i = 0; i < SUBS; i++)
		w.topic[i].heard = false;
	w.pub = zsock_open(w.f->ctx, &w.f->uv, &o);
	assert_int_equal(zsock_bind(w.pub, w.f->ipc, false), ERR_OK);
}

/* libzmq (4.3.4) aborts when the connection of a socket ends in the instant in which the socket is closed,
 * with half of a message handed over (session_base.cpp, clean_pipes).  So ends that are on their way come
 * first here. */
static void pub_close(void)
{
	zfix_run(w.f, NULL, NULL, 20);
	zsock_close(w.pub);
}

static void sub_open(struct sub *s)
{
	struct zsock_opts o = { .type = ZSOCK_XSUB,
				.heartbeat_ms = 50,
				.reconnect_ms = 5,
				.rcvhwm = 20,
				.on_msg = on_sub,
				.arg = s };
	uint8_t b[9] = { 1 };

	put_be64(b + 1, (uint64_t)(s - w.sub));
	s->z = zsock_open(w.f->ctx, &w.f->uv, &o);
	s->life++;
	s->pub_life = s->lane = s->next = s->said = 0;
	assert_int_equal(zsock_connect(s->z, w.f->ipc, false), ERR_OK);
	assert_int_equal(zfix_send(s->z, slice_of(b, sizeof(b))), ERR_OK);
}

static void sub_close(struct sub *s)
{
	zsock_close(s->z);
	s->z = NULL;
}

static void say_upstream(struct sub *s)
{
	uint8_t b[10] = { 'S', (uint8_t)(s - w.sub) };

	put_be32(b + 2, s->life);
	put_be32(b + 6, s->said++);
	assert_int_equal(zfix_send(s->z, slice_of(b, sizeof(b))), ERR_OK);
}

static void deny(unsigned i)
{
	uint8_t b[8];

	put_be64(b, i);
	w.topic[i].heard = false;
	zsock_deny(w.pub, slice_of(b, sizeof(b)));
	assert_int_equal(publish(i), ERR_CLOSED);
}

static void act(void)
{
	unsigned i = dice(SUBS), what = dice(200);
	struct sub *s = &w.sub[i];

	if (what < 120) {
		for (unsigned n = dice(40); n > 0 && publish(i) == ERR_OK; n--)
			;
	} else if (what < 180 && s->z) {
		for (unsigned n = dice(10); n > 0; n--)
			say_upstream(s);
	} else if (what < 190) {
		if (s->z)
			sub_close(s);
		if (dice(2))
			sub_open(s);
	} else if (what < 196) {
		deny(i);
	} else if (what == 196) {
		pub_close();
		if (dice(2))
			zfix_run(w.f, NULL, NULL, 1 + dice(20));
		pub_open();
	}
}

static bool all_got(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < SUBS; i++) {
		const struct topic *t = &w.topic[i];
		const struct sub *s = &w.sub[i];

		if (!t->heard || s->pub_life != w.pub_life || s->lane != t->lane || s->next != t->next ||
		    t->sub_life != s->life || t->upstream != s->said)
			return false;
	}
	return true;
}

/* Everybody is there now, and soon hears and is heard to the last word.  An end may be on its way yet, and
 * take a word with it. */
static void settle(void)
{
	uint64_t end = uv_hrtime() + UINT64_C(1000000) * PATIENCE_MS;

	for (unsigned i = 0; i < SUBS; i++)
		if (!w.sub[i].z)
			sub_open(&w.sub[i]);
	do {
		assert_true(uv_hrtime() < end);
		for (unsigned i = 0; i < SUBS; i++) {
			(void)publish(i);
			say_upstream(&w.sub[i]);
		}
	} while (!zfix_run(w.f, all_got, NULL, 100));
}

static void a_round(unsigned seed)
{
	srand(seed);
	memset(w.sub, 0, sizeof(w.sub));
	memset(w.topic, 0, sizeof(w.topic));
	w.pub_life = 0;
	pub_open();
	for (unsigned turns = 20 + dice(100); turns > 0; turns--) {
		for (unsigned n = 1 + dice(4); n > 0; n--)
			act();
		if (dice(3))
			uv_run(&w.f->uv, UV_RUN_NOWAIT);
		else
			zfix_run(w.f, NULL, NULL, 1 + dice(dice(8) ? 3 : 60));
	}
	settle();
	pub_close();
	for (unsigned i = 0; i < SUBS; i++)
		sub_close(&w.sub[i]);
	zfix_run(w.f, NULL, NULL, 5);
}

static void each_gets_its_own_in_order(void **state)
{
	struct rounds rounds = rounds_begin(1000);
	unsigned seed;

	w.f = *state;
	while (rounds_next(&rounds, 3, &seed)) {
		print_message("SEALWAY_SEED=%u\n", seed);
		a_round(seed);
	}
	print_message(
		"%u rounds: %u published, %u had to wait, %u received; %u upstream; %u allowed, %u ended\n",
		rounds.n, w.published, w.waited, w.received, w.upstream, w.allowed, w.ended);
	assert_true(w.received && w.waited && w.upstream && w.ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(each_gets_its_own_in_order,
									    zfix_up, zfix_down) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
