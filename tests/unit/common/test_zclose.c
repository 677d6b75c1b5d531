/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections that end at moments at which libzmq 4.3.4 ends the process, with peers that speak ZMTP by hand.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/unit/common/zfix.h"

#define LINES 150
#define MESSAGES 3000   /* of 20 bytes: more than a connection of which nobody reads takes */
#define BODY (1u << 20) /* in pieces, so is this */
#define MOMENT_US 100000

static const uint8_t greeting[64] = { 0xff, [9] = 0x7f, 3, 0, 'N', 'U', 'L', 'L' };

static int unix_socket(const struct zfix *f, struct sockaddr_un *a)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	memcpy(a->sun_path, f->ipc + 6, strlen(f->ipc + 6) + 1);
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static void put(int fd, const void *p, size_t n)
{
	assert_int_equal(write(fd, p, n), n);
}

static void take(int fd, size_t n, uint8_t *bytes)
{
	uint8_t unread[256];

	assert_int_equal(recv(fd, bytes ? bytes : unread, n, MSG_WAITALL), n);
}

/* With a socket of ours. */
static void shake_hands(int fd, const char *type)
{
	uint8_t ready[] = "\x04\x16\x05READY\x0bSocket-Type\0\0\0";
	uint8_t n = (uint8_t)strlen(type), head[2];

	ready[1] = (uint8_t)(ready[1] + n);
	put(fd, greeting, sizeof(greeting));
	put(fd, ready, sizeof(ready) - 1);
	put(fd, &n, 1);
	put(fd, type, n);
	take(fd, sizeof(greeting), NULL);
	take(fd, sizeof(head), head);
	take(fd, head[1], NULL);
}

struct line {
	struct zsock *z;
	int fd;
};

/* Two frames, as a request and its body. */
static enum err send_two(struct zsock *z, size_t n)
{
	static const uint8_t bytes[BODY];
	struct zmsg parts[2];
	enum err e;

	zmsg_copy_init(&parts[0], slice_of(bytes, 8));
	zmsg_copy_init(&parts[1], slice_of(bytes, n));
	e = zsock_send(z, parts, 2);
	if (e != ERR_OK) {
		zmsg_close(&parts[0]);
		zmsg_close(&parts[1]);
	}
	return e;
}

static void ignore(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	(void)arg;
	(void)z;
	(void)parts;
	(void)n;
}

static bool connected(void *arg)
{
	struct line *l = arg;

	return send_two(l->z, 8 + (size_t)l->fd % LINES) == ERR_OK;
}

/* To a peer that reads nothing after its handshake. */
static void open_lines(struct zfix *f, struct line line[LINES])
{
	struct zsock_opts o = { .type = ZSOCK_DEALER, .sndhwm = MESSAGES, .on_msg = ignore };
	struct sockaddr_un a;
	int listener = unix_socket(f, &a);

	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, LINES), 0);
	for (unsigned i = 0; i < LINES; i++) {
		line[i].z = zsock_open(f->ctx, &f->uv, &o);
		assert_int_equal(zsock_connect(line[i].z, f->ipc, false), ERR_OK);
		line[i].fd = accept(listener, NULL, NULL);
		shake_hands(line[i].fd, "ROUTER");
		assert_true(zfix_run(f, connected, &line[i], 3000));
	}
	close(listener);
}

/* Sockets are closed just when their connections end, on which nobody read: each stands still at another byte
 * of a message, some between two frames. */
static void test_half_a_message_is_out(void **state)
{
	struct line line[LINES];

	open_lines(*state, line);
	for (unsigned i = 0; i < LINES; i++)
		while (send_two(line[i].z, 8) == ERR_OK)
			;
	usleep(20000);
	for (unsigned i = 0; i < LINES; i++) {
		zsock_close(line[i].z);
		close(line[i].fd);
	}
}

/* Connections end a moment after their sockets were closed, as when two processes are stopped at once, with a
 * body on its way: nearly always between two of its pieces. */
static void test_half_a_body_is_out(void **state)
{
	struct line line[LINES];
	uint64_t end[LINES];

	open_lines(*state, line);
	for (unsigned i = 0; i < LINES; i++)
		assert_int_equal(send_two(line[i].z, BODY), ERR_OK);
	usleep(20000);
	for (unsigned i = 0; i < LINES; i++) {
		zsock_close(line[i].z);
		end[i] = uv_hrtime() / 1000 + MOMENT_US + i % 30 * 50;
		usleep(100);
	}
	for (unsigned i = 0; i < LINES; i++) {
		while (uv_hrtime() / 1000 < end[i])
			;
		close(line[i].fd);
	}
}

/* What a peer says while its first message is looked at, before it goes. */
struct words {
	int fd;
	unsigned messages; /* of two frames */
};

static void say(const struct words *w, unsigned messages)
{
	static const uint8_t more[10] = { 1, 8 }, last[10] = { 0, 8 };

	for (unsigned i = 0; i < messages; i++) {
		put(w->fd, more, sizeof(more));
		put(w->fd, last, sizeof(last));
	}
}

static void hear(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct words *w = arg;

	(void)z;
	(void)parts;
	(void)n;
	if (w->fd < 0)
		return;
	say(w, w->messages);
	close(w->fd);
	w->fd = -1;
	usleep(20000);
}

static bool heard(void *arg)
{
	return ((struct words *)arg)->fd < 0;
}

/* libzmq looks whether the connection is still there at each 100th frame that it gives: it has to see that
 * before a message, not in it.  The socket serves the next connection. */
static void goes_behind_its_words(struct zfix *f, enum zsock_type type, const char *peer)
{
	static const uint8_t topic[1 + ZSOCK_TOPIC_BYTES] = { 1 };
	struct words w = { .messages = 200 };
	struct zsock_opts o = { .type = type, .on_msg = hear, .arg = &w };
	struct zsock *z = zsock_open(f->ctx, &f->uv, &o);
	struct sockaddr_un a;
	int listener = unix_socket(f, &a);

	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(zsock_connect(z, f->ipc, false), ERR_OK);
	for (int i = 0; i < 2; i++) {
		w.fd = accept(listener, NULL, NULL);
		shake_hands(w.fd, peer);
		zfix_run(f, NULL, NULL, 20);
		say(&w, 1);
		usleep(20000);
		(void)zfix_send(z, slice_of(topic, sizeof(topic))); /* libzmq sees that there is something */
		assert_true(zfix_run(f, heard, &w, 3000));
	}
	zsock_close(z);
	close(listener);
	unlink(a.sun_path);
}

static void test_a_broker_goes_behind_its_words(void **state)
{
	goes_behind_its_words(*state, ZSOCK_DEALER, "ROUTER");
}

static void test_a_worker_goes_behind_its_words(void **state)
{
	goes_behind_its_words(*state, ZSOCK_XSUB, "XPUB");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, zfix_up, zfix_down)
	const struct CMUnitTest tests[] = { T(test_half_a_message_is_out), T(test_half_a_body_is_out),
					    T(test_a_broker_goes_behind_its_words),

					    T(test_a_worker_goes_behind_its_words) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
