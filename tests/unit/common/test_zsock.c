/* SPDX-License-Identifier: Apache-2.0
 *
 * zsock on a real loop: nothing lost behind the edge, all or nothing, peers
 * that come, go and restart, closing from within.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_NEXT */
#endif
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/unit/common/zfix.h"

#include <pthread.h>
#include <zmq.h>

#define MANY 20000
#define WINDOW 64

struct echo {
	struct zsock *dealer, *router;
	unsigned sent, back, echoed, bad;
};

static bool echo_done(void *arg)
{
	struct echo *e = arg;

	return e->back == MANY;
}

static void put_number(struct zmsg *m, unsigned n)
{
	uint8_t bytes[400] = { 0 };

	put_be32(bytes, n);
	zmsg_copy_init(m, slice_of(bytes, sizeof(bytes)));
}

static void feed(struct echo *e)
{
	struct zmsg m;

	while (e->sent < MANY && e->sent - e->back < WINDOW) {
		put_number(&m, e->sent);
		if (zsock_send(e->dealer, &m, 1) != ERR_OK) {
			zmsg_close(&m);
			return;
		}
		e->sent++;
	}
}

static void on_router(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct echo *e = arg;

	e->echoed++;
	if (n != 2 || zsock_send(z, parts, n) != ERR_OK)
		e->bad++;
}

static void on_dealer(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct echo *e = arg;

	(void)z;
	if (n != 1 || get_be32(zmsg_slice(&parts[0]).p) != e->back)
		e->bad++;
	e->back++;
	feed(e);
}

static void on_feed(uv_timer_t *t)
{
	feed(t->data);
}

/* Thousands both ways, with a small budget; started from outside any callback of the sockets. */
static void echo_run(struct zfix *f, unsigned budget, unsigned timer_ms)
{
	struct echo e = { .sent = 0 };
	struct zsock_opts r = { .type = ZSOCK_ROUTER, .budget = budget, .on_msg = on_router, .arg = &e };
	struct zsock_opts d = { .type = ZSOCK_DEALER, .budget = budget, .on_msg = on_dealer, .arg = &e };
	uv_timer_t t;

	e.router = zsock_open(f->ctx, &f->uv, &r);
	e.dealer = zsock_open(f->ctx, &f->uv, &d);
	assert_int_equal(zsock_bind(e.router, f->ipc, false), ERR_OK);
	assert_int_equal(zsock_connect(e.dealer, f->ipc, false), ERR_OK);
	uv_timer_init(&f->uv, &t);
	t.data = &e;
	uv_timer_start(&t, on_feed, timer_ms, timer_ms);
	assert_true(zfix_run(f, echo_done, &e, 20000));
	assert_int_equal(e.bad, 0);
	assert_int_equal(e.echoed, MANY);
	uv_close((uv_handle_t *)&t, NULL);
	zsock_close(e.dealer);
	zsock_close(e.router);
	uv_run(&f->uv, UV_RUN_NOWAIT);
	uv_run(&f->uv, UV_RUN_NOWAIT);
}

static void test_edge(void **state)
{
	echo_run(*state, 0, 20);
}

static void test_edge_small_budget(void **state)
{
	echo_run(*state, 1, 20);
}

/* Bursts from a timer, the loop asleep in between; 500 ms of silence would be a lost wake-up. */
struct burst {
	struct zsock *dealer;
	unsigned got, sent;
};

static void on_count(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct burst *b = arg;

	(void)z;
	(void)parts;
	(void)n;
	b->got++;
}

static bool burst_in(void *arg)
{
	struct burst *b = arg;

	return b->got == b->sent;
}

static void test_edge_bursts(void **state)
{
	struct zfix *f = *state;
	struct burst b = { .got = 0 };
	struct zsock_opts r = { .type = ZSOCK_ROUTER, .on_msg = on_count, .arg = &b };
	struct zsock_opts d = { .type = ZSOCK_DEALER, .on_msg = on_count, .arg = &b };
	struct zsock *router = zsock_open(f->ctx, &f->uv, &r);

	b.dealer = zsock_open(f->ctx, &f->uv, &d);
	assert_int_equal(zsock_bind(router, f->ipc, false), ERR_OK);
	assert_int_equal(zsock_connect(b.dealer, f->ipc, false), ERR_OK);
	zfix_run(f, NULL, NULL, 100);
	for (unsigned round = 0; round < 300; round++) {
		for (unsigned i = 0; i <= round % 7; i++)
			if (zfix_send(b.dealer, SLICE_STR("x")) == ERR_OK)
				b.sent++;
		assert_true(zfix_run(f, burst_in, &b, 500));
	}
	assert_int_equal(b.sent, 300 / 7 * 28 + 21);
	zsock_close(b.dealer);
	zsock_close(router);
}

/* An echo in a thread of its own, made of bare libzmq. */
static void *echo_thread(void *arg)
{
	struct zfix *f = arg;
	void *ctx = zmq_ctx_new(), *s = zmq_socket(ctx, ZMQ_ROUTER);
	char id[64], b[64];

	zmq_bind(s, f->ipc);
	for (;;) {
		int idn = zmq_recv(s, id, sizeof(id), 0), n = zmq_recv(s, b, sizeof(b), 0);

		zmq_send(s, id, (size_t)idn, ZMQ_SNDMORE);
		zmq_send(s, b, (size_t)n, 0);
		if (n == 4)
			break; /* "last" */
	}
	usleep(200000);
	zmq_close(s);
	zmq_ctx_term(ctx);
	return NULL;
}

/* Sends outside any callback, while answers come: each send may read the
 * wake-up of an answer, and nothing else wakes the loop afterwards. */
static void test_edge_swallowed(void **state)
{
	struct zfix *f = *state;
	struct burst b = { .got = 0 };
	struct zsock_opts d = { .type = ZSOCK_DEALER, .heartbeat_ms = 60000, .on_msg = on_count, .arg = &b };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, echo_thread, f), 0);
	b.dealer = zsock_open(f->ctx, &f->uv, &d);
	assert_int_equal(zsock_connect(b.dealer, f->ipc, false), ERR_OK);
	zfix_run(f, NULL, NULL, 300);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 5; i++) {
			assert_int_equal(zfix_send(b.dealer, SLICE_STR("x")), ERR_OK);
			b.sent++;
			usleep(3000);
		}
		assert_true(zfix_run(f, burst_in, &b, 1000));
	}
	assert_int_equal(zfix_send(b.dealer, SLICE_STR("last")), ERR_OK);
	b.sent++;
	assert_true(zfix_run(f, burst_in, &b, 1000));
	pthread_join(thread, NULL);
	zsock_close(b.dealer);
}

static void fill(struct zmsg *parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char text[96];

		snprintf(text, sizeof(text), "part %zu, longer than fits inside the message itself", i);
		zmsg_copy_init(&parts[i], slice_str(text));
	}
}

static void assert_filled(struct zmsg *parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char text[96];

		snprintf(text, sizeof(text), "part %zu, longer than fits inside the message itself", i);
		assert_true(slice_is(zmsg_slice(&parts[i]), text));
	}
}

static void close_all(struct zmsg *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		zmsg_close(&parts[i]);
}

static void test_all_or_nothing(void **state)
{
	struct zfix *f = *state;
	struct inbox in = { .want = 1 };
	struct zsock_opts r = { .type = ZSOCK_ROUTER, .on_msg = inbox_take, .arg = &in };
	struct zsock_opts d = { .type = ZSOCK_DEALER, .sndhwm = 4, .on_msg = inbox_take, .arg = &in };
	struct zsock *router = zsock_open(f->ctx, &f->uv, &r), *dealer = zsock_open(f->ctx, &f->uv, &d);
	struct zmsg parts[3];
	unsigned sent = 0;

	fill(parts, 3);
	assert_int_equal(zsock_send(dealer, parts, 3), ERR_AGAIN); /* connected to nobody */
	assert_filled(parts, 3);
	assert_int_equal(zsock_send(router, parts, 3), ERR_CLOSED); /* no such peer */
	assert_filled(parts, 3);
	assert_int_equal(zsock_bind(router, f->ipc, false), ERR_OK);
	assert_int_equal(zsock_connect(dealer, f->ipc, false), ERR_OK);
	usleep(200000);
	while (zsock_send(dealer, parts, 3) == ERR_OK) {
		assert_int_equal(zmsg_slice(&parts[0]).n, 0);
		fill(parts, 3);
		assert_true(++sent < 1000000);
	}
	assert_filled(parts, 3); /* full */
	assert_true(sent > 0);
	in.want = sent;
	assert_true(zfix_run(f, inbox_full, &in, 5000));
	zfix_run(f, NULL, NULL, 50);
	assert_int_equal(in.n, sent); /* not one half of a message more */
	assert_int_equal(in.parts, 4);
	close_all(parts, 3);
	zsock_close(dealer);
	zsock_close(router);
}

static void test_router_peer_gone(void **state)
{
	struct zfix *f = *state;
	struct inbox in = { .want = 1 };
	struct zsock_opts r = { .type = ZSOCK_ROUTER, .sndhwm = 4, .on_msg = inbox_take, .arg = &in };
	struct zsock_opts d = { .type = ZSOCK_DEALER, .rcvhwm = 4, .on_msg = inbox_take, .arg = &in };
	struct zsock *router = zsock_open(f->ctx, &f->uv, &r), *dealer = zsock_open(f->ctx, &f->uv, &d);
	struct zmsg m[2];
	enum err e = ERR_OK;
	static const uint8_t big[65536];

	assert_int_equal(zsock_bind(router, f->ipc, false), ERR_OK);
	assert_int_equal(zsock_connect(dealer, f->ipc, false), ERR_OK);
	zfix_run(f, NULL, NULL, 100);
	assert_int_equal(zfix_send(dealer, SLICE_STR("hello")), ERR_OK);
	assert_true(zfix_run(f, inbox_full, &in, 2000));
	assert_int_equal(in.parts, 2);
	for (unsigned i = 0; i < 10000 && e == ERR_OK; i++) {
		zmsg_copy_init(&m[0], slice_of(in.id, in.id_n));
		zmsg_copy_init(&m[1], slice_of(big, sizeof(big)));
		e = zsock_send(router, m, 2);
	}
	assert_int_equal(e, ERR_AGAIN); /* full: nobody runs the dealer */
	zsock_close(dealer);
	for (unsigned i = 0; i < 200 && e == ERR_AGAIN; i++) {
		usleep(10000);
		e = zsock_send(router, m, 2);
	}
	assert_int_equal(e, ERR_CLOSED);
	assert_int_equal(zmsg_slice(&m[1]).n, sizeof(big));
	close_all(m, 2);
	zsock_close(router);
}

static void test_long_messages(void **state)
{
	struct zfix *f = *state;
	struct inbox in = { .want = 1 };
	struct zsock_opts r = { .type = ZSOCK_ROUTER, .max_msg = 1000, .on_msg = inbox_take, .arg = &in };
	struct zsock_opts d = { .type = ZSOCK_DEALER, .on_msg = inbox_take, .arg = &in };
	struct zsock *router = zsock_open(f->ctx, &f->uv, &r), *dealer = zsock_open(f->ctx, &f->uv, &d);
	static const uint8_t big[1001];
	struct zmsg parts[8];

	assert_int_equal(zsock_bind(router, f->ipc, false), ERR_OK);
	assert_int_equal(zsock_connect(dealer, f->ipc, false), ERR_OK);
	zfix_run(f, NULL, NULL, 100);
	for (size_t n = 4; n <= 8; n++) { /* with the routing id, one frame too many at least */
		fill(parts, n);
		assert_int_equal(zsock_send(dealer, parts, n), ERR_OK);
	}
	fill(parts, 3);
	assert_int_equal(zsock_send(dealer, parts, 3), ERR_OK);
	assert_true(zfix_run(f, inbox_full, &in, 2000));
	assert_int_equal(in.n, 1);
	assert_int_equal(in.parts, 4);
	assert_int_equal(zsock_dropped(router), 5);
	assert_int_equal(zfix_send(dealer, slice_of(big, sizeof(big))), ERR_OK);
	zfix_run(f, NULL, NULL, 200);
	assert_int_equal(in.n, 1); /* cut, and connected again: */
	while (zfix_send(dealer, slice_of(big, 1000)) != ERR_OK)
		zfix_run(f, NULL, NULL, 20);
	in.want = 2;
	assert_true(zfix_run(f, inbox_full, &in, 2000));
	zsock_close(dealer);
	zsock_close(router);
}

static void test_restart(void **state)
{
	struct zfix *f = *state;
	struct inbox in = { .want = 1 };
	struct zsock_opts r = { .type = ZSOCK_ROUTER, .on_msg = inbox_take, .arg = &in };
	struct zsock_opts d = { .type = ZSOCK_DEALER, .on_msg = inbox_take, .arg = &in };
	struct zsock *router = NULL, *dealer = zsock_open(f->ctx, &f->uv, &d);

	assert_int_equal(zsock_connect(dealer, f->ipc, false), ERR_OK); /* order does not matter */
	for (unsigned life = 0; life < 3; life++) {
		router = zsock_open(f->ctx, &f->uv, &r);
		assert_int_equal(zsock_bind(router, f->ipc, false), ERR_OK);
		in = (struct inbox){ .want = 1 };
		for (unsigned i = 0; i < 100 && zfix_send(dealer, SLICE_STR("hello")) == ERR_AGAIN; i++)
			zfix_run(f, NULL, NULL, 20);
		assert_true(zfix_run(f, inbox_full, &in, 2000));
		zsock_close(router);
		zfix_run(f, NULL, NULL, 100);
		assert_int_equal(zfix_send(dealer, SLICE_STR("stale")),
				 ERR_AGAIN); /* nothing waits for the next life */
	}
	zsock_close(dealer);
}

struct closer {
	struct zsock *other;
	unsigned n, batches;
};

static void on_close_self(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct closer *c = arg;
	struct zmsg kept;

	c->n++;
	zmsg_move(&kept, &parts[n - 1]);
	zsock_close(z);
	zsock_close(z); /* twice is once */
	assert_true(slice_is(zmsg_slice(&kept), "x"));
	assert_int_equal(zsock_send(z, &kept, 1), ERR_CLOSED);
	zmsg_close(&kept);
	zsock_close(c->other);
}

static void on_batch(void *arg, struct zsock *z)
{
	struct closer *c = arg;

	(void)z;
	c->batches++;
}

static void on_batch_close(void *arg, struct zsock *z)
{
	on_batch(arg, z);
	zsock_close(z);
}

static bool closer_ran(void *arg)
{
	struct closer *c = arg;

	return c->n > 0;
}

static bool closer_batched(void *arg)
{
	struct closer *c = arg;

	return c->batches > 0;
}

static void test_close_inside(void **state)
{
	struct zfix *f = *state;
	struct closer c = { .n = 0 };
	struct zsock_opts r = {
		.type = ZSOCK_ROUTER, .on_msg = on_close_self, .on_batch = on_batch, .arg = &c
	};
	struct zsock_opts d = { .type = ZSOCK_DEALER, .on_msg = on_close_self, .arg = &c };
	struct zsock *router = zsock_open(f->ctx, &f->uv, &r);

	c.other = zsock_open(f->ctx, &f->uv, &d);
	assert_int_equal(zsock_bind(router, f->ipc, false), ERR_OK);
	assert_int_equal(zsock_connect(c.other, f->ipc, false), ERR_OK);
	zfix_run(f, NULL, NULL, 100);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(zfix_send(c.other, SLICE_STR("x")), ERR_OK);
	assert_true(zfix_run(f, closer_ran, &c, 2000));
	zfix_run(f, NULL, NULL, 50);
	assert_int_equal(c.n, 1);
	assert_int_equal(c.batches, 0);
}

static void on_nothing(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct closer *c = arg;

	(void)z;
	(void)parts;
	(void)n;
	c->n++;
}

static void test_close_in_batch(void **state)
{
	struct zfix *f = *state;
	struct closer c = { .n = 0 };
	struct zsock_opts r = {
		.type = ZSOCK_ROUTER, .on_msg = on_nothing, .on_batch = on_batch_close, .arg = &c
	};
	struct zsock_opts d = { .type = ZSOCK_DEALER, .on_msg = on_nothing, .arg = &c };
	struct zsock *router = zsock_open(f->ctx, &f->uv, &r), *dealer = zsock_open(f->ctx, &f->uv, &d);

	assert_int_equal(zsock_bind(router, f->ipc, false), ERR_OK);
	assert_int_equal(zsock_connect(dealer, f->ipc, false), ERR_OK);
	zfix_run(f, NULL, NULL, 100);
	assert_int_equal(zfix_send(dealer, SLICE_STR("x")), ERR_OK);
	assert_true(zfix_run(f, closer_batched, &c, 2000));
	assert_int_equal(c.n, 1);
	assert_int_equal(c.batches, 1);
	zsock_close(dealer);
}

/* Another's socket is not taken away; a name that a dead process left behind is. */
static void test_an_ipc_path_in_use(void **state)
{
	struct zfix *f = *state;
	struct inbox in = { .want = 1 };
	struct zsock_opts r = { .type = ZSOCK_ROUTER, .on_msg = inbox_take, .arg = &in };
	struct zsock_opts d = { .type = ZSOCK_DEALER, .on_msg = inbox_take, .arg = &in };
	struct zsock *first = zsock_open(f->ctx, &f->uv, &r), *second = zsock_open(f->ctx, &f->uv, &r);
	struct zsock *dealer = zsock_open(f->ctx, &f->uv, &d);
	struct sockaddr_un stale = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	enum err e;

	strcpy(stale.sun_path, f->ipc + 6);
	assert_int_equal(bind(fd, (struct sockaddr *)&stale, sizeof(stale)), 0);
	close(fd);
	assert_int_equal(zsock_bind(first, f->ipc, false), ERR_OK);
	e = zsock_bind(second, f->ipc, false);
	assert_int_equal(e, ERR_IO);
	assert_string_equal(zsock_why(e), "Address already in use");
	assert_int_equal(zsock_connect(dealer, f->ipc, false), ERR_OK);
	for (int i = 0; i < 100 && zfix_send(dealer, SLICE_STR("x")) != ERR_OK; i++)
		zfix_run(f, NULL, NULL, 20);
	assert_true(zfix_run(f, inbox_full, &in, 2000)); /* the first one still serves */
	zsock_close(dealer);
	zsock_close(first);
	zfix_run(f, NULL, NULL, 20);
	assert_int_equal(zsock_bind(second, f->ipc, false), ERR_OK);
	zsock_close(second);
}

/* Said without opening anything. */
static void test_check(void **state)
{
	static const char *const good[] = { "tcp://127.0.0.1:1",        "tcp://*:*", "tcp://[::1]:7700",
					    "tcp://name.example:65535", "ipc://x",   "inproc://y" };
	static const char *const bad[] = {
		"",       "x",         "tcp://",      "tcp://x",       "tcp://:1",   "tcp://*",
		"ipc://", "udp://x:1", "tcp://[::1]", "tcp://x:65536", "tcp://x:1,2"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(zsock_check(good[i], true, false), ERR_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(zsock_check(bad[i], true, true), ERR_CONFIG);
	assert_int_equal(zsock_check(good[0], false, false), ERR_CONFIG);
	assert_int_equal(zsock_check(good[0], false, true), ERR_OK);
	assert_int_equal(zsock_check(good[4], false, false), ERR_OK);
}

static void test_endpoints(void **state)
{
	struct zfix *f = *state;
	struct inbox in = { .want = 1 };
	struct zsock_opts r = { .type = ZSOCK_ROUTER, .on_msg = inbox_take, .arg = &in };
	struct zsock_opts d = { .type = ZSOCK_DEALER, .on_msg = inbox_take, .arg = &in };
	struct zsock *router = zsock_open(f->ctx, &f->uv, &r), *dealer = zsock_open(f->ctx, &f->uv, &d);
	struct zsock *second = zsock_open(f->ctx, &f->uv, &r);
	char path[256];

	memset(path, 'x', sizeof(path));
	memcpy(path, "ipc:///tmp/", 11);
	path[6 + 108] = 0;
	assert_int_equal(zsock_bind(router, path, false), ERR_CONFIG);
	assert_int_equal(zsock_connect(dealer, path, false), ERR_CONFIG);
	path[6 + 107] = 0;
	assert_int_equal(zsock_bind(router, path, false), ERR_OK);
	unlink(path + 6);
	assert_int_equal(zsock_bind(router, "ipc://", false), ERR_CONFIG);
	assert_int_equal(zsock_bind(router, "", false), ERR_CONFIG);
	assert_int_equal(zsock_bind(router, "udp://127.0.0.1:1", true), ERR_CONFIG);
	assert_int_equal(zsock_bind(router, "tcp://127.0.0.1:0", false), ERR_CONFIG); /* no CURVE */
	assert_int_equal(zsock_connect(dealer, "tcp://127.0.0.1:1", false), ERR_CONFIG);
	assert_int_equal(zsock_bind(router, "tcp://127.0.0.1:x", true), ERR_CONFIG);
	assert_int_equal(zsock_bind(router, "tcp://127.0.0.1:0", true), ERR_OK);
	assert_memory_equal(zsock_endpoint(router), "tcp://127.0.0.1:", 16);
	assert_true(atoi(zsock_endpoint(router) + 16) > 0);
	assert_int_equal(zsock_bind(second, zsock_endpoint(router), true), ERR_IO); /* taken */
	assert_int_equal(zsock_connect(dealer, zsock_endpoint(router), true), ERR_OK);
	zfix_run(f, NULL, NULL, 100);
	assert_int_equal(zfix_send(dealer, SLICE_STR("x")), ERR_OK);
	assert_true(zfix_run(f, inbox_full, &in, 2000));
	assert_false(in.has_key);
	zsock_close(second);
	zsock_close(dealer);
	zsock_close(router);
}

static void test_frames(void **state)
{
	struct zmsg a, b;
	struct buf buf = { .secret = true };
	uint8_t *p, key[32];

	(void)state;
	zmsg_init(&a);
	assert_int_equal(zmsg_slice(&a).n, 0);
	assert_false(zmsg_peer_key(&a, key));
	zmsg_close(&a);
	zmsg_close(&a); /* an empty frame again */
	for (int i = 0; i < 200; i++)
		buf_str(&buf, "secret ");
	p = buf.p;
	zmsg_take_init(&a, &buf);
	assert_ptr_equal(zmsg_slice(&a).p, p); /* not copied */
	assert_int_equal(zmsg_slice(&a).n, 1400);
	assert_null(buf.p);
	assert_int_equal(buf.n, 0);
	assert_true(buf.secret);
	zmsg_move(&b, &a);
	assert_int_equal(zmsg_slice(&a).n, 0);
	assert_ptr_equal(zmsg_slice(&b).p, p);
	zmsg_close(&a);
	zmsg_close(&b);
	buf_str(&buf, "short");
	zmsg_take_init(&a, &buf);
	assert_true(slice_is(zmsg_slice(&a), "short"));
	assert_null(buf.p);
	zmsg_close(&a);
	zmsg_take_init(&a, &buf); /* an empty one */
	assert_int_equal(zmsg_slice(&a).n, 0);
	zmsg_close(&a);
	zsock_close(NULL);
	zctx_free(NULL);
}

typedef int (*resolver)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static _Atomic bool asked;

/* libzmq's: a name server that is away. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	resolver real = (resolver)dlsym(RTLD_NEXT, "getaddrinfo");

	if (!name || strcmp(name, "nobody.example") != 0)
		return real(name, service, hints, out);
	asked = true;
	sleep(20);
	return EAI_AGAIN;
}

static bool name_is_asked_for(void *arg)
{
	(void)arg;
	return asked;
}

/* A process that is asked to end does so. */
static void test_a_name_server_that_is_away_holds_nobody(void **state)
{
	struct zfix *f = *state;
	struct zctx *ctx = zctx_new();
	struct zsock_opts o = { .type = ZSOCK_DEALER };
	struct zsock *z = zsock_open(ctx, &f->uv, &o);
	uint64_t before;

	assert_int_equal(zsock_connect(z, "tcp://nobody.example:7", true), ERR_OK);
	assert_true(zfix_run(f, name_is_asked_for, NULL, 3000));
	zsock_close(z);
	before = uv_hrtime();
	zctx_free(ctx);
	assert_true(uv_hrtime() - before < UINT64_C(5000000000));
}

static int listen_full(char endpoint[64], int *filler)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(fd, 0), 0); /* one waits; to others the kernel says nothing */
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	assert_int_equal(connect(*filler, (struct sockaddr *)&a, n), 0);
	snprintf(endpoint, 64, "tcp://127.0.0.1:%u", ntohs(a.sin_port));
	return fd;
}

static bool somebody_connects(void *arg)
{
	int fd = accept(*(int *)arg, NULL, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool nothing(void *arg)
{
	(void)arg;
	return false;
}

/* A host that did not answer is asked again soon, also once it has been away for long: TCP waits twice as
 * long each time, from a second on. */
static void test_a_host_that_is_back(void **state)
{
	struct zfix *f = *state;
	struct zsock_opts d = { .type = ZSOCK_DEALER, .reconnect_ms = 10, .connect_ms = 50 };
	char endpoint[64];
	struct zsock *z;
	int filler, listener;

	listener = listen_full(endpoint, &filler);
	z = zsock_open(f->ctx, &f->uv, &d);
	assert_int_equal(zsock_connect(z, endpoint, true), ERR_OK);
	assert_false(zfix_run(f, nothing, NULL, 150));
	assert_true(somebody_connects(&listener)); /* the one that waited: now there is room */
	assert_true(zfix_run(f, somebody_connects, &listener, 600));
	zsock_close(z);
	close(filler);
	close(listener);
}

#define T(name) cmocka_unit_test_setup_teardown(name, zfix_up, zfix_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_edge),
		T(test_edge_small_budget),
		T(test_edge_bursts),
		T(test_edge_swallowed),
		T(test_all_or_nothing),
		T(test_router_peer_gone),
		T(test_long_messages),
		T(test_restart),
		T(test_close_inside),
		T(test_close_in_batch),
		T(test_an_ipc_path_in_use),
		T(test_a_host_that_is_back),
		T(test_endpoints),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_frames),
		T(test_a_name_server_that_is_away_holds_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
