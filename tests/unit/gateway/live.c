/* SPDX-License-Identifier: Apache-2.0
 *
 * The scripted surroundings of a gateway thread (live.h).
 */
#define _GNU_SOURCE /* memmem */
#include "live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "body.h"
#include "proto/peer.h"

static void on_clock(uv_timer_t *t)
{
	struct live *l = t->data;

	l->late = true;
}

static void on_tick(uv_timer_t *t)
{
	(void)t; /* only so that the loop turns and clients are looked at */
}

void live_for(struct live *l, unsigned ms)
{
	l->late = false;
	uv_timer_start(&l->clock, on_clock, ms, 0);
	while (!l->late)
		uv_run(&l->uv, UV_RUN_ONCE);
}

void live_until(struct live *l, bool (*done)(void *arg), void *arg)
{
	uint64_t give_up = uv_hrtime() + (uint64_t)LIVE_MS * 1000000;

	uv_timer_start(&l->clock, on_tick, 2, 2);
	while (!done(arg) && uv_hrtime() < give_up)
		uv_run(&l->uv, UV_RUN_ONCE);
	uv_timer_stop(&l->clock);
	assert_true(done(arg));
}

/* --- broker --- */

void live_say(struct live *l, struct buf *head)
{
	struct zmsg m[2];

	zmsg_copy_init(&m[0], slice_of(l->peer, l->peer_n));
	zmsg_take_init(&m[1], head);
	assert_int_equal(zsock_send(l->bus, m, 2), ERR_OK);
}

uint32_t live_interval_ms = 150;

static void on_hello(struct live *l, struct slice bytes)
{
	struct welcome w = { .epoch = l->epoch, .instance = l->instance, .interval_ms = live_interval_ms };
	struct buf b = { .p = NULL };

	assert_int_equal(hello_decode(bytes, &l->hello), ERR_OK);
	l->hellos++;
	if (l->mute || l->stranger)
		return;
	if (l->foreign.n)
		buf_add(&b, l->foreign.p, l->foreign.n);
	else
		welcome_encode(&w, &b);
	live_say(l, &b);
}

static void on_ping(struct live *l, struct slice bytes)
{
	struct ping p;
	struct buf b = { .p = NULL };

	assert_int_equal(ping_decode(bytes, &p), ERR_OK);
	l->draining = p.draining;
	l->pings++;
	if (l->mute)
		return;
	p.instance = l->stranger ? 0 : l->instance;
	p.epoch = l->epoch;
	pong_encode(&p, &b);
	live_say(l, &b);
}

static void on_bus(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct live *l = arg;
	struct slice id = zmsg_slice(&parts[0]), head = zmsg_slice(&parts[1]);
	struct live_got *g;
	enum msg_type type;

	(void)z;
	assert_true(n >= 2 && id.n <= sizeof(l->peer));
	memcpy(l->peer, id.p, id.n);
	l->peer_n = id.n;
	assert_int_equal(msg_peek(head, &type), ERR_OK);
	if (type == MSG_HELLO)
		on_hello(l, head);
	else if (type == MSG_PING)
		on_ping(l, head);
	else if (type == MSG_BYE)
		l->byes++;
	else {
		assert_true(l->n_got < 64);
		g = &l->got[l->n_got++];
		g->type = type;
		buf_add(&g->head, head.p, head.n);
		if (n > 2)
			buf_add(&g->body, zmsg_slice(&parts[2]).p, zmsg_slice(&parts[2]).n);
	}
}

void live_broker_up(struct live *l)
{
	struct zsock_opts o = { .type = ZSOCK_ROUTER, .on_msg = on_bus, .arg = l };
	char endpoint[100];

	l->epoch++;
	l->instance = 1000 + l->epoch;
	snprintf(endpoint, sizeof(endpoint), "ipc://%s/bus", l->dir);
	l->bus = zsock_open(l->ctx, &l->uv, &o);
	assert_int_equal(zsock_bind(l->bus, endpoint, false), ERR_OK);
}

void live_broker_down(struct live *l)
{
	zsock_close(l->bus);
	l->bus = NULL;
	live_for(l, 10);
}

struct wanted {
	struct live *l;
	size_t n;
};

static bool has_message(void *arg)
{
	struct wanted *w = arg;

	return w->l->n_got > w->n;
}

const struct live_got *live_message(struct live *l, size_t n, enum msg_type type)
{
	struct wanted w = { l, n };

	live_until(l, has_message, &w);
	assert_int_equal(l->got[n].type, type);
	return &l->got[n];
}

/* --- worker --- */

static void on_credit_frame(struct live *l, struct slice f)
{
	struct slice m = slice_of(f.p + 1, f.n - 1);
	enum msg_type type;

	assert_int_equal(msg_peek(m, &type), ERR_OK);
	if (type == MSG_CREDIT) {
		assert_true(l->n_credits < 256);
		assert_int_equal(credit_decode(m, &l->credits[l->n_credits++]), ERR_OK);
	} else {
		assert_int_equal(type, MSG_CANCEL);
		assert_true(l->n_cancels < 16);
		assert_int_equal(cancel_decode(m, &l->cancels[l->n_cancels++]), ERR_OK);
	}
}

static void on_pub(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct live *l = arg;
	struct slice f = zmsg_slice(&parts[0]);

	assert_int_equal(n, 1);
	if (f.n == 1 + CHUNK_TOPIC_BYTES && f.p[0] == 1) {
		l->topic = get_be64(f.p + 1);
		zsock_allow(z, slice_of(f.p + 1, f.n - 1));
		l->heard++;
	} else if (f.n && f.p[0] == CREDIT_MARK) {
		on_credit_frame(l, f);
	}
}

void live_intro(struct live *l, bool present)
{
	struct intro m = { .worker = l->worker, .present = present };
	struct buf b = { .p = NULL };

	m.endpoint = slice_str(zsock_endpoint(l->pub));
	intro_encode(&m, &b);
	live_say(l, &b);
}

static bool is_heard(void *arg)
{
	struct live *l = arg;

	return l->heard > 0;
}

static void start_worker(struct live *l)
{
	struct zsock_opts o = { .type = ZSOCK_XPUB, .on_msg = on_pub, .arg = l };
	char endpoint[100];

	snprintf(endpoint, sizeof(endpoint), "ipc://%s/pub", l->dir);
	l->worker = 77;
	l->pub = zsock_open(l->ctx, &l->uv, &o);
	assert_int_equal(zsock_bind(l->pub, endpoint, false), ERR_OK);
	live_intro(l, true);
	live_until(l, is_heard, l);
	assert_int_equal(l->topic, l->hello.instance);
	live_for(l, 5); /* a topic just given is usable after the batch */
}

void live_publish(struct live *l, const struct job *job, struct chunk c)
{
	struct buf b = { .p = NULL };
	struct zmsg m;

	c.topic = c.topic ? c.topic : job->topic;
	c.worker = c.worker ? c.worker : l->worker;
	c.epoch = c.epoch ? c.epoch : 1;
	c.attempt = c.attempt ? c.attempt : 1;
	memcpy(c.rid, job->rid, RID_BYTES);
	chunk_encode(&c, &b);
	put_be64(b.p, l->topic); /* it has to arrive, whatever it says inside */
	if (c.topic != job->topic)
		put_be64(b.p, c.topic);
	zmsg_take_init(&m, &b);
	assert_int_equal(zsock_send(l->pub, &m, 1), ERR_OK);
}

/* --- clients --- */

static void read_some(struct live_client *c)
{
	uint8_t tmp[65536];
	ssize_t n;

	while ((n = recv(c->fd, tmp, sizeof(tmp), MSG_DONTWAIT)) > 0)
		buf_add(&c->in, tmp, (size_t)n);
	if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
		c->closed = true;
}

void live_connect(struct live *l, struct live_client *c, struct slice text)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(l->port) };

	memset(c, 0, sizeof(*c));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	if (l->rcvbuf)
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &l->rcvbuf, sizeof(l->rcvbuf));
	assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
	for (size_t at = 0; at < text.n;) {
		ssize_t n = send(c->fd, text.p + at, text.n - at, MSG_NOSIGNAL);

		assert_true(n > 0);
		at += (size_t)n;
	}
}

bool live_has(const struct live_client *c, const char *text)
{
	return c->in.n && memmem(c->in.p, c->in.n, text, strlen(text));
}

struct expected {
	struct live_client *c;
	const char *text;
};

static bool has_text(void *arg)
{
	struct expected *e = arg;

	read_some(e->c);
	return live_has(e->c, e->text);
}

void live_expect(struct live *l, struct live_client *c, const char *text)
{
	struct expected e = { c, text };
	uint64_t give_up = uv_hrtime() + (uint64_t)LIVE_MS * 1000000;

	uv_timer_start(&l->clock, on_tick, 2, 2);
	while (!has_text(&e) && !c->closed && uv_hrtime() < give_up)
		uv_run(&l->uv, UV_RUN_ONCE);
	uv_timer_stop(&l->clock);
	if (!has_text(&e))
		fail_msg("wanted \"%s\", got \"%.*s\"", text, (int)c->in.n,
			 c->in.p ? (const char *)c->in.p : "");
}

static bool is_closed(void *arg)
{
	struct live_client *c = arg;

	if (!c->closed)
		read_some(c);
	return c->closed;
}

void live_expect_close(struct live *l, struct live_client *c)
{
	live_until(l, is_closed, c);
}

void live_hang_up(struct live_client *c)
{
	close(c->fd);
	buf_free(&c->in);
}

void live_post(struct live *l, struct live_client *c, const char *path, bool stream, size_t n,
	       struct job *job)
{
	struct buf body = { .p = NULL }, b = { .p = NULL };
	const struct live_got *g;

	body_with(&body, "stream", stream ? "true" : "false");
	buf_fmt(&b,
		"POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\n\r\n",
		path, body.n);
	buf_add(&b, body.p, body.n);
	live_connect(l, c, buf_slice(&b));
	g = live_message(l, n, MSG_JOB);
	assert_int_equal(job_decode(buf_slice(&g->head), job), ERR_OK);
	assert_true(slice_eq(buf_slice(&g->body), buf_slice(&body)));
	buf_free(&body);
	buf_free(&b);
}

/* --- the gateway --- */

static void on_ended(void *arg)
{
	struct live *l = arg;

	atomic_store(&l->ended, true);
}

static void set_conf(struct live *l, void (*tune)(struct gw_conf *c))
{
	struct gw_conf *c = &l->conf;
	char *argv[] = { "sealway-gateway", "--threads",      "1", "--listen", "127.0.0.1:0", "--brokers",
			 l->brokers,        "--heartbeat-ms", "50" };

	assert_int_equal(conf_load(&gw_conf_spec, c, sizeof(argv) / sizeof(*argv), argv), CONF_RUN);
	if (tune)
		tune(c);
	assert_int_equal(gw_conf_check(c), ERR_OK);
}

static bool is_up(void *arg)
{
	struct live *l = arg;

	return thread_up(l->gw);
}

void live_start(struct live *l, void (*tune)(struct gw_conf *c), bool worker)
{
	struct thread_opts o = { .conf = &l->conf, .ended = on_ended, .arg = l };

	memset(l, 0, sizeof(*l));
	signal(SIGPIPE, SIG_IGN); /* as every process of ours does (loop.h) */
	uv_loop_init(&l->uv);
	uv_timer_init(&l->uv, &l->clock);
	l->clock.data = l;
	l->ctx = zctx_new();
	tempdir_make(l->dir);
	snprintf(l->brokers, sizeof(l->brokers), "ipc://%s/bus", l->dir);
	live_broker_up(l);
	set_conf(l, tune);
	o.zctx = o.broker_zctx = l->ctx;
	o.listen = l->conf.listen;
	assert_int_equal(thread_start(&l->gw, &o), ERR_OK);
	l->port = thread_port(l->gw);
	live_until(l, is_up, l);
	assert_int_equal(thread_serves(l->gw), ERR_OK);
	if (worker)
		start_worker(l);
}

static bool is_down(void *arg)
{
	return !is_up(arg);
}

void live_linked(struct live *l, bool up)
{
	live_until(l, up ? is_up : is_down, l);
}

static bool is_ended(void *arg)
{
	struct live *l = arg;

	return atomic_load(&l->ended);
}

void live_ended(struct live *l)
{
	live_until(l, is_ended, l);
}

void live_stop(struct live *l)
{
	thread_drain(l->gw);
	thread_cut(l->gw);
	live_ended(l);
	thread_join(l->gw);
	zsock_close(l->bus);
	zsock_close(l->pub);
	uv_close((uv_handle_t *)&l->clock, NULL);
	uv_run(&l->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&l->uv), 0);
	zctx_free(l->ctx);
	for (size_t i = 0; i < l->n_got; i++) {
		buf_free(&l->got[i].head);
		buf_free(&l->got[i].body);
	}
	conf_free(&gw_conf_spec, &l->conf);
	tempdir_drop(l->dir, "bus");
	tempdir_drop(l->dir, "pub");
	tempdir_remove(l->dir);
}
