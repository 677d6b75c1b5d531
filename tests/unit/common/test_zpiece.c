/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames that go in pieces: every length comes out as it went in, what is no
 * whole frame is dropped, and nobody can make libzmq take a long one.
 */
#include "tests/unit/common/zfix.h"

#include "common/zpiece.h"
#include "tests/unit/common/rawpeer.h"

#define LONGEST (3u << 20)

static uint8_t pattern[LONGEST];

static void make_pattern(void)
{
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 31 + i / 251);
}

/* Where both ends are looked at: what the last message was, without a routing id. */
struct end {
	struct zsock *z;
	unsigned n, want;
	size_t frames, first, last;
	bool same, has_key; /* all frames begin as the pattern does */
	uint8_t id[16];
	size_t id_n;
	int rcvhwm;
};

static bool heard(void *arg)
{
	struct end *e = arg;

	return e->n >= e->want;
}

static void take(struct end *e, struct zmsg *parts, size_t n)
{
	e->n++;
	e->frames = n;
	e->first = zmsg_slice(&parts[0]).n;
	e->last = zmsg_slice(&parts[n - 1]).n;
	e->same = true;
	for (size_t i = 0; i < n; i++) {
		struct slice s = zmsg_slice(&parts[i]);

		e->same = e->same && s.n <= sizeof(pattern) && memcmp(s.p, pattern, s.n) == 0;
	}
}

static void on_router(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct end *e = arg;
	struct slice id = zmsg_slice(&parts[0]);
	uint8_t key[32];

	(void)z;
	e->id_n = id.n;
	memcpy(e->id, id.p, id.n);
	e->has_key = zmsg_peer_key(&parts[0], key);
	take(e, parts + 1, n - 1);
}

static void on_dealer(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	(void)z;
	take(arg, parts, n);
}

static void send_lengths(struct end *from, const struct end *to, size_t first, size_t last)
{
	struct zmsg parts[3];
	size_t n = 0;

	if (to)
		zmsg_copy_init(&parts[n++], slice_of(to->id, to->id_n));
	zmsg_copy_init(&parts[n++], slice_of(pattern, first));
	zmsg_copy_init(&parts[n++], slice_of(pattern, last));
	assert_int_equal(zsock_send(from->z, parts, n), ERR_OK);
	assert_int_equal(zmsg_slice(&parts[n - 1]).n, 0); /* taken */
	for (size_t i = 0; i < n; i++)
		zmsg_close(&parts[i]);
}

static void arrives(struct zfix *f, struct end *at, size_t first, size_t last)
{
	at->want = at->n + 1;
	assert_true(zfix_run(f, heard, at, 5000));
	assert_int_equal(at->frames, 2);
	assert_int_equal(at->first, first);
	assert_int_equal(at->last, last);
	assert_true(at->same);
}

static void open_router(struct zfix *f, struct end *e, uint64_t max_msg, const struct zcurve *curve)
{
	struct zsock_opts o = {
		.type = ZSOCK_ROUTER, .max_msg = max_msg, .rcvhwm = e->rcvhwm, .on_msg = on_router, .arg = e
	};

	if (curve)
		o.curve = *curve;
	e->z = zsock_open(f->ctx, &f->uv, &o);
	assert_int_equal(zsock_bind(e->z, "tcp://127.0.0.1:*", !curve), ERR_OK);
}

static void open_dealer(struct zfix *f, struct end *e, const struct end *router, const struct zcurve *curve)
{
	struct zsock_opts o = { .type = ZSOCK_DEALER, .on_msg = on_dealer, .arg = e };

	if (curve)
		o.curve = *curve;
	e->z = zsock_open(f->ctx, &f->uv, &o);
	assert_int_equal(zsock_connect(e->z, zsock_endpoint(router->z), !curve), ERR_OK);
	while (zfix_send(e->z, SLICE_STR("")) != ERR_OK)
		zfix_run(f, NULL, NULL, 10);
}

static void all_lengths(struct zfix *f, const struct zcurve *server, const struct zcurve *client)
{
	static const size_t lengths[] = { 0,
					  1,
					  ZPIECE_BYTES - 1,
					  ZPIECE_BYTES,
					  ZPIECE_BYTES + 1,
					  2 * ZPIECE_BYTES - 1,
					  2 * ZPIECE_BYTES,
					  1000003,
					  LONGEST };
	struct end r = { .want = 1 }, d = { .n = 0 };
	size_t n = sizeof(lengths) / sizeof(lengths[0]);

	open_router(f, &r, 0, server);
	open_dealer(f, &d, &r, client);
	assert_true(zfix_run(f, heard, &r, 2000));
	for (size_t i = 0; i < n * n; i++) {
		size_t first = lengths[i / n], last = lengths[i % n];

		send_lengths(&d, NULL, first, last);
		arrives(f, &r, first, last);
		assert_int_equal(r.has_key, server != NULL); /* whatever went in pieces */
		send_lengths(&r, &r, first, last);
		arrives(f, &d, first, last);
	}
	assert_int_equal(zsock_dropped(r.z) + zsock_dropped(d.z), 0);
	zsock_close(d.z);
	zsock_close(r.z);
}

static void test_lengths(void **state)
{
	all_lengths(*state, NULL, NULL);
}

static void test_lengths_with_curve(void **state)
{
	struct zfix *f = *state;
	struct zcurve server = { .on = true, .server = true }, client = { .on = true };
	struct zauth *a = zauth_open(f->ctx, &f->uv, "");

	zcurve_keypair(server.public_key, server.secret_key);
	zcurve_keypair(client.public_key, client.secret_key);
	memcpy(client.server_key, server.public_key, sizeof(client.server_key));
	assert_int_equal(zauth_allow(a, client.public_key, ZAUTH_GATEWAY), ERR_OK);
	all_lengths(f, &server, &client);
	zauth_close(a);
}

static bool known(void *arg)
{
	return ((struct end *)arg)->id_n > 0;
}

/* Who connects takes long frames: libzmq ends its process when its connection ends while it takes a message
 * of many. */
static void test_whole_to_who_connects(void **state)
{
	struct zfix *f = *state;
	struct end r = { .n = 0 };
	uint8_t head[3 + 9];
	int fd;

	open_router(f, &r, 0, NULL);
	fd = raw_connect(zsock_endpoint(r.z), "DEALER", slice_of(NULL, 0));
	raw_frame(fd, 0, SLICE_STR("x"));
	assert_true(zfix_run(f, known, &r, 2000));
	send_lengths(&r, &r, 1, LONGEST);
	raw_read(fd, head, sizeof(head));
	assert_int_equal(head[0], RAW_MORE);
	assert_int_equal(head[3], RAW_LONG);
	assert_int_equal(get_be64(head + 4), LONGEST);
	close(fd);
	zsock_close(r.z);
}

/* What could not be sent is the caller's as it was. */
static void test_refused(void **state)
{
	struct zfix *f = *state;
	struct end r = { .n = 0 };
	struct zmsg parts[3];

	open_router(f, &r, 0, NULL);
	zmsg_copy_init(&parts[0], SLICE_STR("nobody"));
	zmsg_copy_init(&parts[1], slice_of(pattern, LONGEST));
	zmsg_copy_init(&parts[2], slice_of(pattern, 2 * ZPIECE_BYTES));
	assert_int_equal(zsock_send(r.z, parts, 3), ERR_CLOSED);
	assert_true(slice_is(zmsg_slice(&parts[0]), "nobody"));
	assert_true(slice_eq(zmsg_slice(&parts[1]), slice_of(pattern, LONGEST)));
	assert_true(slice_eq(zmsg_slice(&parts[2]), slice_of(pattern, 2 * ZPIECE_BYTES)));
	for (int i = 0; i < 3; i++)
		zmsg_close(&parts[i]);
	zsock_close(r.z);
}

/* The same where others are on their way, which come through. */
static void test_full(void **state)
{
	struct zfix *f = *state;
	struct end r = { .rcvhwm = 1 }, d = { .n = 0 };
	struct zsock_opts o = { .type = ZSOCK_DEALER, .sndhwm = 1, .on_msg = on_dealer, .arg = &d };
	struct zmsg m;
	enum err e = ERR_OK;
	unsigned sent = 0;

	open_router(f, &r, 0, NULL);
	d.z = zsock_open(f->ctx, &f->uv, &o);
	assert_int_equal(zsock_connect(d.z, zsock_endpoint(r.z), true), ERR_OK);
	while (zfix_send(d.z, SLICE_STR("")) != ERR_OK)
		zfix_run(f, NULL, NULL, 10);
	zfix_run(f, NULL, NULL, 100);
	for (; e == ERR_OK; sent += e == ERR_OK) {
		zmsg_copy_init(&m, slice_of(pattern, LONGEST));
		e = zsock_send(d.z, &m, 1);
	}
	assert_int_equal(e, ERR_AGAIN);
	assert_int_equal(zmsg_slice(&m).n, LONGEST);
	zmsg_close(&m);
	assert_in_range(sent, 1, 10);
	r.want = 1 + sent;
	assert_true(zfix_run(f, heard, &r, 5000));
	assert_int_equal(r.last, LONGEST);
	assert_true(r.same);
	assert_int_equal(zsock_dropped(r.z), 0);
	zsock_close(d.z);
	zsock_close(r.z);
}

static void raw_pieces(int fd, unsigned n, bool more)
{
	for (unsigned i = 0; i < n; i++) {
		assert_true(raw_head(fd, i + 1 < n || more ? RAW_MORE : 0, ZPIECE_BYTES));
		assert_true(raw_write(fd, pattern + i % 8 * ZPIECE_BYTES, ZPIECE_BYTES));
	}
}

/* The message is gone, the connection stays. */
static void test_no_whole_frame(void **state)
{
	struct zfix *f = *state;
	struct end r = { .want = 1 };
	int fd;

	open_router(f, &r, 3 * ZPIECE_BYTES, NULL);
	fd = raw_connect(zsock_endpoint(r.z), "DEALER", slice_of(NULL, 0));
	raw_pieces(fd, 1, false); /* ends with a piece */
	raw_pieces(fd, 2, false);
	raw_pieces(fd, 3, true); /* a byte too long */
	raw_frame(fd, 0, SLICE_STR("x"));
	raw_pieces(fd, 200, true); /* too long by far */
	raw_frame(fd, RAW_MORE, SLICE_STR(""));
	raw_frame(fd, 0, SLICE_STR("x"));
	raw_frame(fd, RAW_MORE, SLICE_STR(""));
	raw_pieces(fd, 3, true); /* just so long */
	raw_frame(fd, 0, SLICE_STR(""));
	assert_true(zfix_run(f, heard, &r, 5000));
	assert_int_equal(r.n, 1);
	assert_int_equal(r.frames, 2);
	assert_int_equal(r.last, 3 * ZPIECE_BYTES);
	assert_true(r.same);
	assert_int_equal(zsock_dropped(r.z), 4);
	close(fd);
	zsock_close(r.z);
}

/* Announcing it is enough to be cut, in the handshake and after it: nothing is set aside for it. */
static void test_long_frames(void **state)
{
	static const uint64_t lengths[] = { ZPIECE_BYTES + ZPIECE_SEALED + 1, 20u << 20, UINT64_C(1) << 62 };
	struct zfix *f = *state;
	struct end r = { .n = 0 };

	open_router(f, &r, 0, NULL);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		int stranger = raw_greet(zsock_endpoint(r.z));
		int peer = raw_connect(zsock_endpoint(r.z), "DEALER", slice_of(NULL, 0));

		raw_head(stranger, RAW_COMMAND, lengths[i]);
		raw_head(peer, 0, lengths[i]);
		zfix_run(f, NULL, NULL, 200);
		assert_true(raw_cut(stranger));
		assert_true(raw_cut(peer));
		close(stranger);
		close(peer);
	}
	assert_int_equal(r.n, 0);
	zsock_close(r.z);
}

#define T(name) cmocka_unit_test_setup_teardown(name, zfix_up, zfix_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_lengths), T(test_lengths_with_curve), T(test_whole_to_who_connects), T(test_refused),
		T(test_full),    T(test_no_whole_frame),     T(test_long_frames),
	};

	make_pattern();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
