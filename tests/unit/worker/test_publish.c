/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics on XPUB: who may have one, what happens when nobody takes what is
 * published, and when nobody hears any more.  With CURVE over tcp, and plain
 * over ipc.
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
#include "worker/publish.h"

#define PATIENCE_MS 5000
#define TOPIC 0x1122334455667788

struct side {
	uv_loop_t uv;
	struct zctx *zctx;
	struct zauth *zauth;
	struct publish *pub;
	struct zcurve server;
	char dir[TEMPDIR_ROOM], endpoint[96];
	/* seen */
	unsigned heard, unheard, lost, rooms, credits, cancels, frames;
	bool is_heard, is_unheard, is_lost, has_room, has_credit, has_frame;
	bool sender_fits;
	uint64_t lost_topic;
	size_t bytes;
};

struct gateway {
	struct zsock *z;
	struct side *s;
	struct zcurve curve;
};

static void on_heard(void *arg, uint64_t topic, bool present)
{
	struct side *s = arg;

	assert_int_equal(topic, TOPIC);
	if (present) {
		s->heard++;
		s->is_heard = true;
	} else {
		s->unheard++;
		s->is_unheard = true;
	}
}

static void on_credit(void *arg, const struct credit *m)
{
	struct side *s = arg;

	assert_int_equal(m->bytes, 17);
	s->credits++;
	s->has_credit = true;
	s->sender_fits = publish_sender_is(s->pub, TOPIC);
}

static void on_cancel(void *arg, const struct cancel *m)
{
	struct side *s = arg;

	(void)m;
	s->cancels++;
}

static void on_room(void *arg, uint64_t topic)
{
	struct side *s = arg;

	assert_int_equal(topic, TOPIC);
	s->rooms++;
	s->has_room = true;
}

static void on_lost(void *arg, uint64_t topic)
{
	struct side *s = arg;

	s->lost++;
	s->lost_topic = topic;
	s->is_lost = true;
}

static void open_on(struct side *s, const char *bind, bool curve)
{
	struct publish_opts o = { .zctx = s->zctx,
				  .uv = &s->uv,
				  .bind = bind,
				  .queue_max = 100000,
				  .grace_ms = 300,
				  .ev = { on_heard, on_credit, on_cancel, on_room, on_lost, s } };

	if (curve) {
		s->server.on = s->server.server = true;
		zcurve_keypair(s->server.public_key, s->server.secret_key);
		s->zauth = zauth_open(s->zctx, &s->uv, "");
		o.zauth = s->zauth;
		o.curve = s->server;
	}
	assert_int_equal(publish_open(&o, &s->pub), ERR_OK);
	snprintf(s->endpoint, sizeof(s->endpoint), "%s", publish_endpoint(s->pub));
}

static int setup(void **state)
{
	struct side *s = mem_new(sizeof(*s));

	uv_loop_init(&s->uv);
	s->zctx = zctx_new();
	tempdir_make(s->dir);
	*state = s;
	return 0;
}

static int setup_ipc(void **state)
{
	char bind[96];
	struct side *s;

	setup(state);
	s = *state;
	snprintf(bind, sizeof(bind), "ipc://%s/pub", s->dir);
	open_on(s, bind, false);
	return 0;
}

static int setup_curve(void **state)
{
	setup(state);
	open_on(*state, "tcp://127.0.0.1:*", true);
	return 0;
}

static int teardown(void **state)
{
	struct side *s = *state;

	publish_close(s->pub);
	zauth_close(s->zauth);
	uv_run(&s->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->uv), 0);
	zctx_free(s->zctx);
	tempdir_drop(s->dir, "pub");
	tempdir_remove(s->dir);
	free(s);
	return 0;
}

/* --- a gateway --- */

static void on_frame(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct gateway *g = arg;

	(void)z;
	(void)n;
	g->s->frames++;
	g->s->has_frame = true;
	g->s->bytes += zmsg_slice(&parts[0]).n;
}

static void gateway_key(struct side *s, struct gateway *g)
{
	memset(g, 0, sizeof(*g));
	g->s = s;
	g->curve.on = true;
	zcurve_keypair(g->curve.public_key, g->curve.secret_key);
	memcpy(g->curve.server_key, s->server.public_key, 32);
}

static void gateway_open(struct side *s, struct gateway *g, bool curve, uint64_t topic)
{
	struct zsock_opts o = { .type = ZSOCK_XSUB, .on_msg = on_frame, .arg = g };
	uint8_t sub[9] = { 1 };
	struct zmsg m;

	g->s = s;
	if (curve)
		o.curve = g->curve;
	g->z = zsock_open(s->zctx, &s->uv, &o);
	assert_int_equal(zsock_connect(g->z, s->endpoint, false), ERR_OK);
	put_be64(sub + 1, topic);
	zmsg_copy_init(&m, slice_of(sub, sizeof(sub)));
	assert_int_equal(zsock_send(g->z, &m, 1), ERR_OK);
}

static void say(struct gateway *g, struct slice bytes)
{
	struct buf b = { 0 };
	struct zmsg m;

	buf_add(&b, (const uint8_t[]){ CREDIT_MARK }, 1);
	buf_add(&b, bytes.p, bytes.n);
	zmsg_copy_init(&m, buf_slice(&b));
	assert_int_equal(zsock_send(g->z, &m, 1), ERR_OK);
	buf_free(&b);
}

static void say_credit(struct gateway *g)
{
	struct credit c = { .attempt = 1, .bytes = 17 };
	struct buf b = { 0 };

	credit_encode(&c, &b);
	say(g, buf_slice(&b));
	buf_free(&b);
}

static enum err name_peer(struct side *s, unsigned from, const uint8_t *key, bool present)
{
	struct peer p = { .topic = TOPIC, .key = slice_of(key, key ? 32 : 0), .present = present };

	return publish_peer(s->pub, from, &p);
}

static enum err publish(struct side *s, size_t n)
{
	struct buf b = { 0 };
	uint8_t topic[8];
	enum err e;

	put_be64(topic, TOPIC);
	buf_add(&b, topic, sizeof(topic));
	buf_reserve(&b, n);
	memset(b.p + b.n, 'x', n - 8);
	b.n = n;
	e = publish_send(s->pub, TOPIC, &b);
	buf_free(&b);
	return e;
}

/* --- plain --- */

static void test_heard(void **state)
{
	struct side *s = *state;
	struct gateway g = { 0 };

	assert_int_equal(name_peer(s, 0, NULL, true), ERR_OK);
	assert_false(publish_heard(s->pub, TOPIC));
	gateway_open(s, &g, false, TOPIC);
	assert_true(fake_run(&s->uv, &s->is_heard, PATIENCE_MS));
	assert_true(publish_heard(s->pub, TOPIC));
	while (publish(s, 100) == ERR_AGAIN && !s->has_frame)
		fake_run(&s->uv, NULL, 5);
	assert_true(fake_run(&s->uv, &s->has_frame, PATIENCE_MS));
	say_credit(&g);
	assert_true(fake_run(&s->uv, &s->has_credit, PATIENCE_MS));
	assert_true(s->sender_fits);
	zsock_close(g.z);
	assert_true(fake_run(&s->uv, &s->is_unheard, PATIENCE_MS));
	assert_false(publish_heard(s->pub, TOPIC));
	assert_int_equal(s->lost, 0);
	assert_true(fake_run(&s->uv, &s->is_lost, PATIENCE_MS));
	assert_int_equal(s->lost_topic, TOPIC);
	fake_run(&s->uv, NULL, 600);
	assert_int_equal(s->lost, 1); /* said once */
	s->is_heard = false;
	gateway_open(s, &g, false, TOPIC); /* and it may come back */
	assert_true(fake_run(&s->uv, &s->is_heard, PATIENCE_MS));
	zsock_close(g.z);
}

static void test_unknown_topic(void **state)
{
	struct side *s = *state;
	struct gateway g = { 0 };

	assert_int_equal(name_peer(s, 0, NULL, true), ERR_OK);
	gateway_open(s, &g, false, TOPIC + 1);
	fake_run(&s->uv, NULL, 200);
	assert_int_equal(s->heard, 0);
	zsock_close(g.z);
	assert_int_equal(publish_send(s->pub, 5, &(struct buf){ 0 }), ERR_CLOSED);
}

static void test_bad_messages(void **state)
{
	struct side *s = *state;
	struct gateway g = { 0 };

	assert_int_equal(name_peer(s, 0, NULL, true), ERR_OK);
	gateway_open(s, &g, false, TOPIC);
	assert_true(fake_run(&s->uv, &s->is_heard, PATIENCE_MS));
	say(&g, SLICE_STR(""));
	say(&g, SLICE_STR("\xdd\xff\xff\xff\xff"));
	say(&g, SLICE_STR("hello"));
	say_credit(&g);
	assert_true(fake_run(&s->uv, &s->has_credit, PATIENCE_MS));
	assert_int_equal(s->credits, 1);
	assert_int_equal(s->cancels, 0);
	zsock_close(g.z);
}

/* Whoever has a key can say as much of them as it likes. */
static void test_complaints_are_few(void **state)
{
	struct side *s = *state;
	struct gateway g = { 0 };
	static char text[1 << 16];
	struct said said;
	unsigned n = 0;

	assert_int_equal(name_peer(s, 0, NULL, true), ERR_OK);
	gateway_open(s, &g, false, TOPIC);
	assert_true(fake_run(&s->uv, &s->is_heard, PATIENCE_MS));
	said_begin(&said);
	for (int i = 0; i < 300; i++)
		say(&g, SLICE_STR("hello"));
	say_credit(&g);
	assert_true(fake_run(&s->uv, &s->has_credit, PATIENCE_MS));
	said_end(&said, text, sizeof(text));
	zsock_close(g.z);
	for (const char *p = text; (p = strstr(p, "publish.bad_message")) != NULL; p++)
		n++;
	assert_int_equal(n, 100);
}

/* A topic named by two brokers goes when both have taken it back. */
static void test_two_brokers(void **state)
{
	struct side *s = *state;

	assert_int_equal(name_peer(s, 0, NULL, true), ERR_OK);
	assert_int_equal(name_peer(s, 1, NULL, true), ERR_OK);
	assert_int_equal(name_peer(s, 0, NULL, false), ERR_OK);
	assert_int_equal(s->lost, 0);
	assert_int_equal(name_peer(s, 1, NULL, false), ERR_OK);
	assert_int_equal(s->lost, 1);
	assert_int_equal(publish(s, 100), ERR_CLOSED);
	assert_int_equal(name_peer(s, 1, NULL, false), ERR_OK); /* nothing to forget */
	assert_int_equal(s->lost, 1);
}

static void test_topics_bounded(void **state)
{
	struct side *s = *state;
	struct peer p = { .present = true };

	for (p.topic = 1; p.topic <= PEERS_MAX; p.topic++)
		assert_int_equal(publish_peer(s->pub, 0, &p), ERR_OK);
	assert_int_equal(publish_peer(s->pub, 0, &p), ERR_LIMIT);
	fake_run(&s->uv, NULL, 800); /* none was ever heard: all are lost, and one may go */
	assert_int_equal(publish_peer(s->pub, 0, &p), ERR_OK);
}

/* A gateway that stops taking: frames wait, then are refused, and go on in order
 * once it takes again. */
static void test_queue(void **state)
{
	struct side *s = *state;
	struct gateway g = { 0 };
	unsigned sent = 0, waiting = 0;
	enum err e = ERR_OK;

	assert_int_equal(name_peer(s, 0, NULL, true), ERR_OK);
	gateway_open(s, &g, false, TOPIC);
	assert_true(fake_run(&s->uv, &s->is_heard, PATIENCE_MS));
	fake_run(&s->uv, NULL, 50);
	while (e != ERR_LIMIT && sent < 100000) { /* the loop does not turn: nobody takes */
		e = publish(s, 10000);
		sent++;
		waiting += e == ERR_AGAIN;
	}
	assert_int_equal(e, ERR_LIMIT);
	assert_int_equal(waiting, 10); /* of 10,000 bytes each: queue_max */
	assert_true(publish_waiting(s->pub, TOPIC));
	assert_int_equal(s->rooms, 0);
	assert_true(fake_run(&s->uv, &s->has_room, PATIENCE_MS));
	assert_false(publish_waiting(s->pub, TOPIC));
	while (s->frames < sent - 1)
		assert_true(fake_run(&s->uv, &s->has_frame, PATIENCE_MS));
	assert_int_equal(s->bytes, (size_t)(sent - 1) * 10000);
	zsock_close(g.z);
}

static void test_bind_refused(void **state)
{
	struct side *s = *state;
	struct publish_opts o = { .zctx = s->zctx, .uv = &s->uv, .bind = "tcp://127.0.0.1:*" };
	struct publish *p = NULL;

	setup_ipc(state);
	assert_int_equal(publish_open(&o, &p), ERR_CONFIG); /* tcp without CURVE */
	assert_null(p);
	o.bind = "";
	assert_int_not_equal(publish_open(&o, &p), ERR_OK);
	uv_run(&s->uv, UV_RUN_DEFAULT);
	uv_loop_close(&s->uv);
	zctx_free(s->zctx);
	tempdir_remove(s->dir);
	free(s);
}

/* --- CURVE --- */

static void test_right_key(void **state)
{
	struct side *s = *state;
	struct gateway g;

	gateway_key(s, &g);
	assert_int_equal(name_peer(s, 0, NULL, true), ERR_KEY); /* nobody could prove to be it */
	assert_int_equal(name_peer(s, 0, g.curve.public_key, true), ERR_OK);
	gateway_open(s, &g, true, TOPIC);
	assert_true(fake_run(&s->uv, &s->is_heard, PATIENCE_MS));
	say_credit(&g);
	assert_true(fake_run(&s->uv, &s->has_credit, PATIENCE_MS));
	assert_true(s->sender_fits);
	zsock_close(g.z);
}

/* A key that the list has for another topic: heard by nobody, and its credits
 * are not for this one. */
static void test_other_key(void **state)
{
	struct side *s = *state;
	struct gateway mine, other;
	struct peer p = { .topic = 5, .present = true };

	gateway_key(s, &mine);
	gateway_key(s, &other);
	assert_int_equal(name_peer(s, 0, mine.curve.public_key, true), ERR_OK);
	p.key = slice_of(other.curve.public_key, 32);
	assert_int_equal(publish_peer(s->pub, 0, &p), ERR_OK);
	gateway_open(s, &other, true, TOPIC);
	fake_run(&s->uv, NULL, 300);
	assert_int_equal(s->heard, 0);
	say_credit(&other);
	assert_true(fake_run(&s->uv, &s->has_credit, PATIENCE_MS));
	assert_false(s->sender_fits);
	assert_int_equal(name_peer(s, 0, other.curve.public_key, true), ERR_KEY); /* a topic keeps its key */
	zsock_close(other.z);
}

static void test_stranger(void **state)
{
	struct side *s = *state;
	struct gateway mine, stranger;

	gateway_key(s, &mine);
	gateway_key(s, &stranger);
	assert_int_equal(name_peer(s, 0, mine.curve.public_key, true), ERR_OK);
	gateway_open(s, &stranger, true, TOPIC);
	say_credit(&stranger);
	fake_run(&s->uv, NULL, 400);
	assert_int_equal(s->heard + s->credits, 0); /* the handshake was refused */
	zsock_close(stranger.z);
}

int main(void)
{
#define T(f, set) cmocka_unit_test_setup_teardown(f, set, teardown)
	const struct CMUnitTest tests[] = {
		T(test_heard, setup_ipc),        T(test_unknown_topic, setup_ipc),
		T(test_bad_messages, setup_ipc), T(test_complaints_are_few, setup_ipc),
		T(test_two_brokers, setup_ipc),  T(test_topics_bounded, setup_ipc),
		T(test_queue, setup_ipc),        T(test_bind_refused, setup),
		T(test_right_key, setup_curve),  T(test_other_key, setup_curve),
		T(test_stranger, setup_curve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
