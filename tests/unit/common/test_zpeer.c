/* SPDX-License-Identifier: Apache-2.0
 *
 * Peers with an accepted key whose ZMTP is not libzmq's.
 */
#include "tests/unit/common/zfix.h"

#include "common/zcount.h"
#include "tests/unit/common/rawpeer.h"

/* Whose words come back to whom: each message goes back to the routing id that it came with. */
static void answer(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	inbox_take(arg, z, parts, n);
	if (zsock_send(z, parts, n) != ERR_OK)
		fail();
}

static void test_nobody_takes_anothers_place(void **state)
{
	struct zfix *f = *state;
	struct inbox at_router = { .want = 1 }, at_dealer = { .want = 1 };
	struct zsock_opts r = { .type = ZSOCK_ROUTER, .on_msg = answer, .arg = &at_router };
	struct zsock_opts d = { .type = ZSOCK_DEALER, .on_msg = inbox_take, .arg = &at_dealer };
	struct zsock *router = zsock_open(f->ctx, &f->uv, &r), *dealer = zsock_open(f->ctx, &f->uv, &d);
	int thief;

	assert_int_equal(zsock_bind(router, "tcp://127.0.0.1:*", true), ERR_OK);
	assert_int_equal(zsock_connect(dealer, zsock_endpoint(router), true), ERR_OK);
	while (zfix_send(dealer, SLICE_STR("one")) != ERR_OK)
		zfix_run(f, NULL, NULL, 10);
	assert_true(zfix_run(f, inbox_full, &at_dealer, 2000));
	thief = raw_connect(zsock_endpoint(router), "DEALER", slice_of(at_router.id, at_router.id_n));
	raw_frame(thief, 0, SLICE_STR("mine"));
	zfix_run(f, NULL, NULL, 100);
	at_dealer.want = 2;
	assert_int_equal(zfix_send(dealer, SLICE_STR("two")), ERR_OK);
	assert_true(zfix_run(f, inbox_full, &at_dealer, 2000));
	assert_int_equal(at_router.n, 2); /* and nothing of the thief */
	close(thief);
	zsock_close(dealer);
	zsock_close(router);
}

/* libzmq takes the first routing id from rand() and counts on from there. */
static void test_routing_ids_are_not_known_beforehand(void **state)
{
	int first, again;

	(void)state;
	srand(1); /* as it is when nobody calls srand */
	first = rand();
	srand(1);
	zctx_free(zctx_new());
	again = rand();
	assert_int_not_equal(again, first);
}

/* Bytes are counted for as long as libzmq has them, whoever ends the connection. */
static void test_what_waits_for_a_peer_that_does_not_read(void **state)
{
	struct zfix *f = *state;
	struct inbox in = { .want = 1 };
	struct zsock_opts r = { .type = ZSOCK_ROUTER, .on_msg = inbox_take, .arg = &in };
	struct zsock *router = zsock_open(f->ctx, &f->uv, &r);
	struct zcount *all = zcount_new(NULL), *one = zcount_new(all);
	struct zmsg m[2];
	int peer;

	assert_int_equal(zsock_bind(router, "tcp://127.0.0.1:*", true), ERR_OK);
	peer = raw_connect(zsock_endpoint(router), "DEALER", slice_of(NULL, 0));
	raw_frame(peer, 0, SLICE_STR("hello"));
	assert_true(zfix_run(f, inbox_full, &in, 2000));
	for (unsigned i = 0; i < 100; i++) {
		struct buf b = { .p = mem_new(1 << 20), .n = 1 << 20, .cap = 1 << 20 };

		zmsg_copy_init(&m[0], slice_of(in.id, in.id_n));
		zmsg_take_counted(&m[1], &b, one);
		assert_int_equal(zsock_send(router, m, 2), ERR_OK);
	}
	zfix_run(f, NULL, NULL, 100);
	assert_in_range(zcount_bytes(one), 50u << 20, 101u << 20);
	assert_int_equal(zcount_bytes(all), zcount_bytes(one));
	close(peer);
	for (int i = 0; i < 100 && zcount_bytes(all) > 0; i++)
		zfix_run(f, NULL, NULL, 10);
	assert_int_equal(zcount_bytes(all), 0);
	zcount_drop(one);
	zcount_drop(all);
	zsock_close(router);
}

/* One frame goes to several, and the owner lets go of it first. */
static void test_shared_bytes(void **state)
{
	static const size_t lengths[] = { 0, 1, 33, 34, 8192, 8193, 1 << 20 };
	struct zfix *f = *state;
	struct inbox at_router = { .want = 1 }, at_dealer = { .n = 0 };
	struct zsock_opts r = { .type = ZSOCK_ROUTER, .on_msg = inbox_take, .arg = &at_router };
	struct zsock_opts d = { .type = ZSOCK_DEALER, .on_msg = inbox_take, .arg = &at_dealer };
	struct zsock *router = zsock_open(f->ctx, &f->uv, &r), *dealer = zsock_open(f->ctx, &f->uv, &d);
	struct zcount *all = zcount_new(NULL);

	assert_int_equal(zsock_bind(router, "tcp://127.0.0.1:*", true), ERR_OK);
	assert_int_equal(zsock_connect(dealer, zsock_endpoint(router), true), ERR_OK);
	while (zfix_send(dealer, SLICE_STR("hello")) != ERR_OK)
		zfix_run(f, NULL, NULL, 10);
	assert_true(zfix_run(f, inbox_full, &at_router, 2000));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct buf b = { .p = mem_new(lengths[i] + 1), .n = lengths[i], .cap = lengths[i] + 1 };
		struct zmsg whole, m[2];

		memset(b.p, (int)i + 1, lengths[i]);
		zmsg_take_init(&whole, &b);
		at_dealer = (struct inbox){ .want = 3 };
		for (int k = 0; k < 3; k++) {
			zmsg_copy_init(&m[0], slice_of(at_router.id, at_router.id_n));
			zmsg_share_counted(&m[1], &whole, k ? all : NULL);
			assert_int_equal(zsock_send(router, m, 2), ERR_OK);
		}
		zmsg_close(&whole);
		assert_true(zfix_run(f, inbox_full, &at_dealer, 2000));
		assert_int_equal(at_dealer.last_n, lengths[i] < 64 ? lengths[i] : 64);
		for (size_t k = 0; k < at_dealer.last_n; k++)
			assert_int_equal(at_dealer.last[k], i + 1);
	}
	for (int i = 0; i < 100 && zcount_bytes(all) > 0; i++)
		zfix_run(f, NULL, NULL, 10);
	assert_int_equal(zcount_bytes(all), 0);
	zcount_drop(all);
	zsock_close(dealer);
	zsock_close(router);
}

/* Shared or not, they are counted for as long as they wait. */
static void test_shared_bytes_that_wait(void **state)
{
	struct zcount *all = zcount_new(NULL);
	struct zmsg whole, m[2];
	static uint8_t bytes[100000];

	(void)state;
	zmsg_copy_init(&whole, slice_of(bytes, sizeof(bytes)));
	zmsg_share_counted(&m[0], &whole, all);
	zmsg_share_counted(&m[1], &whole, all);
	zmsg_close(&whole);
	assert_in_range(zcount_bytes(all), 2 * sizeof(bytes), 2 * sizeof(bytes) + 1000);
	zmsg_close(&m[0]);
	assert_in_range(zcount_bytes(all), sizeof(bytes), sizeof(bytes) + 500);
	assert_int_equal(zmsg_slice(&m[1]).n, sizeof(bytes));
	zmsg_close(&m[1]);
	assert_int_equal(zcount_bytes(all), 0);
	zcount_drop(all);
}

/* --- what an XPUB hears --- */

#define OURS 1 /* the one topic that may be had */

struct pub {
	struct zsock *z;
	unsigned subs, up, want_up;
};

static void on_pub(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct pub *p = arg;
	struct slice f = zmsg_slice(&parts[0]);

	assert_int_equal(n, 1);
	if (f.p[0] > 1) {
		p->up++;
	} else if (f.p[0] == 1) {
		p->subs++;
		if (f.n == 9 && get_be64(f.p + 1) == OURS)
			zsock_allow(z, slice_of(f.p + 1, 8));
	}
}

static void pub_open(struct zfix *f, struct pub *p)
{
	struct zsock_opts o = { .type = ZSOCK_XPUB, .on_msg = on_pub, .arg = p };

	p->z = zsock_open(f->ctx, &f->uv, &o);
	assert_int_equal(zsock_bind(p->z, "tcp://127.0.0.1:*", true), ERR_OK);
}

static int hostile(const struct pub *p)
{
	return raw_connect(zsock_endpoint(p->z), "XSUB", slice_of(NULL, 0));
}

static struct zsock *ours(struct zfix *f, const struct pub *p, struct inbox *in)
{
	struct zsock_opts o = { .type = ZSOCK_XSUB, .heartbeat_ms = 20, .on_msg = inbox_take, .arg = in };
	struct zsock *z = zsock_open(f->ctx, &f->uv, &o);

	assert_int_equal(zsock_connect(z, zsock_endpoint(p->z), true), ERR_OK);
	return z;
}

/* A frame of first and topic. */
static struct slice topic_frame(uint8_t b[9], uint8_t first, uint64_t topic)
{
	b[0] = first;
	put_be64(b + 1, topic);
	return slice_of(b, 9);
}

static bool got_up(void *arg)
{
	struct pub *p = arg;

	return p->up >= p->want_up;
}

/* libzmq keeps each of them for as long as the connection lasts. */
static void test_topics_without_end(void **state)
{
	struct zfix *f = *state;
	struct pub p = { 0 };
	struct inbox in = { .want = 1 };
	struct zsock *good;
	uint8_t b[9];
	int bad;

	pub_open(f, &p);
	good = ours(f, &p, &in);
	assert_int_equal(zfix_send(good, topic_frame(b, 1, OURS)), ERR_OK);
	zfix_run(f, NULL, NULL, 100);
	bad = hostile(&p);
	for (uint64_t i = 0; i < 5000; i++)
		raw_frame(bad, 0, topic_frame(b, 1, 1000 + i));
	zfix_run(f, NULL, NULL, 100);
	assert_true(raw_cut(bad));
	assert_int_equal(zsock_cuts(p.z), 1);
	put_be64(b, OURS);
	assert_int_equal(zfix_send(p.z, slice_of(b, 8)), ERR_OK);
	assert_true(zfix_run(f, inbox_full, &in, 2000)); /* nobody else has felt it */
	close(bad);
	zsock_close(good);
	zsock_close(p.z);
}

static void test_frames_upstream_without_their_ends(void **state)
{
	struct zfix *f = *state;
	struct pub p = { 0 };
	int bad;

	pub_open(f, &p);
	bad = hostile(&p);
	for (unsigned i = 0; i < 200; i++) {
		uint8_t b[200] = "\x01\xffsw-up\x00\xffS";

		put_be32(b + 10, i);
		raw_frame(bad, 0, slice_of(b, sizeof(b)));
	}
	zfix_run(f, NULL, NULL, 100);
	assert_true(raw_cut(bad));
	assert_int_equal(zsock_cuts(p.z), 1);
	close(bad);
	zsock_close(p.z);
}

/* What no XSUB of ours sends even once. */
static void test_words_that_are_not_ours(void **state)
{
	static const struct {
		uint8_t flags;
		struct slice s;
	} words[] = { { 0, SLICE_STR("S") },
		      { 0, { NULL, 0 } },
		      { 0, SLICE_STR("\x01") },
		      { 0, SLICE_STR("\x01"
				     "1234567") },
		      { 0, SLICE_STR("\x01"
				     "123456789") },
		      { RAW_COMMAND, SLICE_STR("\x09SUBSCRIBE") },
		      { RAW_MORE, SLICE_STR("\x01"
					    "12345678") } };
	struct zfix *f = *state;
	struct pub p = { 0 };

	pub_open(f, &p);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		int bad = hostile(&p);

		raw_frame(bad, words[i].flags, words[i].s);
		if (words[i].flags == RAW_MORE)
			raw_frame(bad, 0, SLICE_STR("S"));
		zfix_run(f, NULL, NULL, 150); /* a descriptor that was cut is left alone for 100 ms */
		assert_true(raw_cut(bad));
		assert_int_equal(zsock_cuts(p.z), i + 1);
		close(bad);
	}
	zsock_close(p.z);
}

/* Ours asks for its topics with every heartbeat, also for those that it may not have. */
static void test_ours_is_not_cut(void **state)
{
	struct zfix *f = *state;
	struct pub p = { .want_up = 2000 };
	struct inbox in = { .want = 1 };
	struct zsock *z;
	uint8_t b[9];

	pub_open(f, &p);
	z = ours(f, &p, &in);
	for (uint64_t i = 0; i < 12; i++)
		assert_int_equal(zfix_send(z, topic_frame(b, 1, OURS + i)), ERR_OK);
	zfix_run(f, NULL, NULL, 200);
	for (unsigned i = 0; i < p.want_up; i++) {
		b[0] = 'S';
		put_be32(b + 1, i / 2); /* some of them twice */
		assert_int_equal(zfix_send(z, slice_of(b, 5)), ERR_OK);
	}
	assert_true(zfix_run(f, got_up, &p, 2000));
	assert_in_range(p.subs, 24, 10000);
	assert_int_equal(zsock_cuts(p.z), 0);
	zsock_close(z);
	zsock_close(p.z);
}

#define T(name) cmocka_unit_test_setup_teardown(name, zfix_up, zfix_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_nobody_takes_anothers_place),
		cmocka_unit_test(test_routing_ids_are_not_known_beforehand),
		T(test_what_waits_for_a_peer_that_does_not_read),
		T(test_shared_bytes),
		cmocka_unit_test(test_shared_bytes_that_wait),
		T(test_topics_without_end),
		T(test_frames_upstream_without_their_ends),
		T(test_words_that_are_not_ours),
		T(test_ours_is_not_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
