/* SPDX-License-Identifier: Apache-2.0
 *
 * The ZAP handler: strangers, revoked keys and other mechanisms are refused,
 * allowed keys are named on every message; allow-list files.
 */
#include "tests/unit/common/zfix.h"

#include <zmq.h>

#include "common/b64.h"
#include "common/zprobe.h"
#include "common/zsock_priv.h"
#include "tests/unit/said.h"

struct pair {
	uint8_t pub[32], sec[32];
};

static struct pair pair_new(void)
{
	struct pair p;

	zcurve_keypair(p.pub, p.sec);
	return p;
}

static struct zcurve curve_of(const struct pair *own, const struct pair *server)
{
	struct zcurve c = { .on = true, .server = !server };

	memcpy(c.public_key, own->pub, 32);
	memcpy(c.secret_key, own->sec, 32);
	if (server)
		memcpy(c.server_key, server->pub, 32);
	return c;
}

static struct zsock *server_open(struct zfix *f, const struct pair *keys, struct inbox *in,
				 const char *endpoint)
{
	struct zsock_opts o = {
		.type = ZSOCK_ROUTER, .curve = curve_of(keys, NULL), .on_msg = inbox_take, .arg = in
	};
	struct zsock *z = zsock_open(f->ctx, &f->uv, &o);

	assert_int_equal(zsock_bind(z, endpoint, false), ERR_OK);
	return z;
}

static struct zsock *client_open(struct zfix *f, const struct pair *keys, const struct pair *server,
				 const char *endpoint)
{
	static struct inbox nobody;
	struct zsock_opts o = { .type = ZSOCK_DEALER, .on_msg = inbox_take, .arg = &nobody };
	struct zsock *z;

	if (keys)
		o.curve = curve_of(keys, server);
	z = zsock_open(f->ctx, &f->uv, &o);
	assert_int_equal(zsock_connect(z, endpoint, !keys), ERR_OK);
	return z;
}

/* Whether a message of z comes through within ms. */
static bool gets_through(struct zfix *f, struct zsock *z, struct inbox *in, unsigned ms)
{
	unsigned before = in->n;

	for (unsigned t = 0; t < ms; t += 20) {
		if (zfix_send(z, SLICE_STR("hello")) == ERR_OK)
			break;
		zfix_run(f, NULL, NULL, 20);
	}
	in->want = before + 1;
	return zfix_run(f, inbox_full, in, ms);
}

static void test_curve(void **state)
{
	struct zfix *f = *state;
	struct pair server = pair_new(), friend = pair_new(), stranger = pair_new(), wrong = pair_new();
	struct zauth *a = zauth_open(f->ctx, &f->uv, "");
	struct inbox in = { .want = 1 };
	struct zsock *r = server_open(f, &server, &in, "tcp://127.0.0.1:0"); /* no insecure needed */
	const char *at = zsock_endpoint(r);
	struct zsock *good, *bad, *plain, *mistaken;

	assert_int_equal(zauth_allow(a, friend.pub, ZAUTH_GATEWAY), ERR_OK);
	good = client_open(f, &friend, &server, at);
	assert_true(gets_through(f, good, &in, 2000));
	assert_true(in.has_key);
	assert_memory_equal(in.key, friend.pub, 32);
	assert_int_equal(zauth_roles(a, in.key), ZAUTH_GATEWAY);
	bad = client_open(f, &stranger, &server, at);
	assert_false(gets_through(f, bad, &in, 400));
	assert_int_equal(zauth_roles(a, stranger.pub), ZAUTH_NONE);
	plain = client_open(f, NULL, NULL, at);
	assert_false(gets_through(f, plain, &in, 400));
	mistaken = client_open(f, &friend, &wrong, at); /* expects another server */
	assert_false(gets_through(f, mistaken, &in, 400));
	assert_true(gets_through(f, good, &in, 2000)); /* and the good one still works */
	zsock_close(good);
	zsock_close(bad);
	zsock_close(plain);
	zsock_close(mistaken);
	zsock_close(r);
	zauth_close(a);
}

/* The start-up test passes with a handler, and fails where ZeroMQ asks nobody: it then takes every key. */
static void test_probe(void **state)
{
	struct zfix *f = *state;
	struct pair server = pair_new(), friend = pair_new();
	struct zauth *a = zauth_open(f->ctx, &f->uv, "");
	struct zctx *deaf = zctx_new();
	struct inbox in = { .want = 1 };
	struct zsock *good = server_open(f, &server, &in, "tcp://127.0.0.1:0"), *open;
	struct zsock_opts o = {
		.type = ZSOCK_ROUTER, .curve = curve_of(&server, NULL), .on_msg = inbox_take, .arg = &in
	};

	assert_int_equal(zauth_allow(a, friend.pub, ZAUTH_GATEWAY), ERR_OK);
	for (int i = 0; i < 2; i++)
		assert_int_equal(zprobe(a, f->ctx, &f->uv, ZSOCK_DEALER, zsock_endpoint(good), server.pub),
				 ERR_OK);
	assert_int_equal(zprobe(a, f->ctx, &f->uv, ZSOCK_XSUB, zsock_endpoint(good), server.pub), ERR_OK);
	open = zsock_open(deaf, &f->uv, &o);
	assert_int_equal(zsock_bind(open, "tcp://127.0.0.1:0", false), ERR_OK);
	assert_int_equal(zprobe(a, deaf, &f->uv, ZSOCK_DEALER, zsock_endpoint(open), server.pub), ERR_KEY);
	zsock_close(open);
	zsock_close(good);
	zauth_close(a);
	zfix_run(f, NULL, NULL, 20);
	zctx_free(deaf);
}

static void test_revoke(void **state)
{
	struct zfix *f = *state;
	struct pair server = pair_new(), friend = pair_new();
	struct zauth *a = zauth_open(f->ctx, &f->uv, "");
	struct inbox in = { .want = 1 };
	struct zsock *r = server_open(f, &server, &in, f->ipc), *first, *second;

	assert_int_equal(zauth_allow(a, friend.pub, ZAUTH_GATEWAY), ERR_OK);
	assert_int_equal(zauth_allow(a, friend.pub, ZAUTH_WORKER), ERR_OK);
	assert_int_equal(zauth_roles(a, friend.pub), ZAUTH_GATEWAY | ZAUTH_WORKER);
	first = client_open(f, &friend, &server, f->ipc);
	assert_true(gets_through(f, first, &in, 2000));
	zauth_revoke(a, friend.pub);
	zauth_revoke(a, friend.pub);
	/* the connection lives on, and its messages say whose they are: their reader looks it up */
	assert_true(gets_through(f, first, &in, 2000));
	assert_true(in.has_key);
	assert_int_equal(zauth_roles(a, in.key), ZAUTH_NONE);
	second = client_open(f, &friend, &server, f->ipc);
	assert_false(gets_through(f, second, &in, 400));
	assert_int_equal(zauth_allow(a, friend.pub, ZAUTH_WORKER), ERR_OK);
	assert_true(gets_through(f, second, &in, 10000)); /* keeps trying */
	assert_int_equal(zauth_roles(a, in.key), ZAUTH_WORKER);
	zsock_close(first);
	zsock_close(second);
	zsock_close(r);
	zauth_close(a);
}

/* Asks the handler itself: parts as libzmq would send them; gives the status. */
static int ask(struct zfix *f, void *req, const char *version, const char *mechanism, struct slice key,
	       size_t n)
{
	struct slice parts[9] = { slice_str(version),
				  SLICE_STR("1"),
				  SLICE_STR("sealway"),
				  SLICE_STR("127.0.0.1"),
				  SLICE_STR(""),
				  slice_str(mechanism),
				  key,
				  SLICE_STR("x"),
				  SLICE_STR("x") };
	char status[8] = "", b[128];
	int more = 1;

	for (size_t i = 0; i < n; i++)
		assert_true(zmq_send(req, parts[i].p, parts[i].n, i + 1 < n ? ZMQ_SNDMORE : 0) >= 0);
	zfix_run(f, NULL, NULL, 50);
	for (unsigned i = 0; more && i < 8; i++) {
		size_t size = sizeof(more);
		int got = zmq_recv(req, i == 2 ? status : b, i == 2 ? sizeof(status) - 1 : sizeof(b),
				   ZMQ_DONTWAIT);

		assert_true(got >= 0);
		zmq_getsockopt(req, ZMQ_RCVMORE, &more, &size);
		if (i == 4)
			assert_int_equal(got, strcmp(status, "200") == 0 ? 64 : 0);
	}
	return atoi(status);
}

static void test_questions(void **state)
{
	struct zfix *f = *state;
	struct pair friend = pair_new(), stranger = pair_new();
	struct zauth *a = zauth_open(f->ctx, &f->uv, "nothing");
	void *req = zmq_socket(f->ctx->z, ZMQ_REQ);
	struct said said;
	char text[1024];

	assert_int_equal(zmq_connect(req, ZSOCK_ZAP_ENDPOINT), 0);
	assert_int_equal(zauth_allow(a, friend.pub, ZAUTH_BROKER), ERR_OK);
	assert_int_equal(ask(f, req, "1.0", "CURVE", slice_of(friend.pub, 32), 7), 200);
	said_begin(&said);
	assert_int_equal(ask(f, req, "1.0", "CURVE", slice_of(stranger.pub, 32), 7), 300);
	assert_non_null(
		strstr(said_end(&said, text, sizeof(text)), "event=zauth.denied handshakes=1 do=nothing"));
	assert_int_equal(ask(f, req, "1.0", "CURVE", slice_of(friend.pub, 31), 7), 400);
	assert_int_equal(ask(f, req, "1.0", "PLAIN", slice_of(friend.pub, 32), 7), 400);
	assert_int_equal(ask(f, req, "1.0", "NULL", slice_of(NULL, 0), 6), 400);
	assert_int_equal(ask(f, req, "1.0", "CURVE", slice_of(friend.pub, 32), 8), 400);
	assert_int_equal(ask(f, req, "1.0", "CURVE", slice_of(friend.pub, 32), 9), 400);
	assert_int_equal(ask(f, req, "2.0", "CURVE", slice_of(friend.pub, 32), 7), 500);
	assert_int_equal(ask(f, req, "1.0", "CURVE", slice_of(friend.pub, 32), 1), 500);
	assert_int_equal(ask(f, req, "1.0", "CURVE", slice_of(friend.pub, 32), 7), 200);
	zmq_close(req);
	zauth_close(a);
	zauth_close(NULL);
}

static enum err load(struct zfix *f, struct zauth *a, const char *text)
{
	char path[128];
	FILE *file;
	enum err e;

	snprintf(path, sizeof(path), "%s/peers", f->dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	e = zauth_load(a, path);
	unlink(path);
	return e;
}

static void test_file(void **state)
{
	struct zfix *f = *state;
	struct zauth *a = zauth_open(f->ctx, &f->uv, "");
	uint8_t one[32], two[32];
	char b1[45] = "", b2[45] = "", text[256];

	memset(one, 1, 32);
	memset(two, 2, 32);
	b64_put(b1, one, 32);
	b64_put(b2, two, 32);
	snprintf(text, sizeof(text), "gateway %s gw-1\nworker %s", b1, b2);
	assert_int_equal(load(f, a, text), ERR_OK);
	snprintf(text, sizeof(text), "broker %s b\nking %s\n", b1, b2);
	assert_int_equal(load(f, a, text), ERR_CONFIG);
	assert_int_equal(zauth_load(a, "/nonexistent/peers"), ERR_IO);
	assert_int_equal(zauth_roles(a, one), ZAUTH_GATEWAY); /* errors change nothing */
	assert_int_equal(zauth_roles(a, two), ZAUTH_WORKER);
	snprintf(text, sizeof(text), "broker %s b\n", b1);
	assert_int_equal(load(f, a, text), ERR_OK);
	assert_int_equal(zauth_roles(a, one), ZAUTH_BROKER); /* replaced */
	assert_int_equal(zauth_roles(a, two), ZAUTH_NONE);
	zauth_close(a);
}

static void test_keypair(void **state)
{
	struct pair a = pair_new(), b = pair_new();

	(void)state;
	assert_memory_not_equal(a.pub, b.pub, 32);
	assert_memory_not_equal(a.sec, b.sec, 32);
	assert_memory_not_equal(a.pub, a.sec, 32);
}

#define T(name) cmocka_unit_test_setup_teardown(name, zfix_up, zfix_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_curve),     T(test_probe), T(test_revoke),
		T(test_questions), T(test_file),  cmocka_unit_test(test_keypair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
