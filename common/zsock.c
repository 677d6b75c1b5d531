/* SPDX-License-Identifier: Apache-2.0
 *
 * ZeroMQ on libuv (zsock.h), for libzmq 4.3.4.  Facts that it rests on:
 *
 * - ZMQ_FD says "the mailbox woke up", once, for both directions.  A receive
 *   that ends with EAGAIN has emptied the mailbox, so the descriptor is armed
 *   again; any other call may have taken the wake-up away.  Such calls mark the
 *   socket dirty, a uv_prepare looks again before the loop blocks, and a uv_idle
 *   keeps the loop from blocking as long as a socket is dirty (also when it
 *   became so after its own uv_prepare had run).
 * - XPUB with ZMQ_XPUB_MANUAL gives a topic to the pipe it last popped from a
 *   queue that has one entry per subscription frame, but pops one for every
 *   frame, and the pipe may be dead.  Therefore everything that our XSUB sends
 *   upstream is a subscription frame (user frames as a subscription and its
 *   end), one that is not makes the rest of the batch suspect, and topics are
 *   published under lanes (zlane.h).  A subscription that was passed over comes
 *   again with the next heartbeat.
 * - A ROUTER that meets the full pipe of a dead peer says EAGAIN until somebody
 *   reads ZMQ_EVENTS.
 * - A receive reads commands after EAGAIN, and at each 100th frame without one, also
 *   in the middle of a message.  Who connected learns there that the connection has
 *   ended, and that ends the process (fq.cpp, !_more).  So DEALER and XSUB look for
 *   it before a message in which that may happen, and theirs have few frames.
 */
#include "common/zsock.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/zpiece.h"
#include "common/zsock_priv.h"

#define IPC_LOOKS 50 /* 10 ms apart */
#define HWM_DEFAULT 1000
#define HWM_UPSTREAM 65536 /* XSUB drops silently when full: make that unlikely; frames are tiny */
#define MAX_MSG_DEFAULT (20u << 20)
#define BUDGET_DEFAULT 256
#define LOOK_FRAMES 100 /* libzmq's inbound_poll_rate */
#define HEARTBEAT_MS 1000
#define CONNECT_MS 3000 /* TCP alone asks at growing intervals, in the end of a minute */
/* libzmq ends the process (session_base.cpp, clean_pipes) when a connection breaks just after its socket was
 * closed without lingering, or has lingered to the end, or it was disconnected, with one frame of a message
 * handed over and not the next; a body in pieces that nobody reads stands nearly always so.  Longer than
 * zctx_free waits, so that a process that ends is gone before, and than TCP takes to miss a peer; a gateway
 * that left a broker which stands still holds what is on its way there so long.
 */
#define LINGER_MS 5000
#define HANDSHAKE_MS 3000 /* also how soon a peer that zauth denied tries again */
#define RECONNECT_MS 50
#define RECONNECT_MAX_MS 500
#define IPC_PATH_MAX 107 /* sun_path without its NUL */

/* --- receiving --- */

static void deliver(struct zsock *z, struct zmsg *parts, size_t n)
{
	size_t first = 0, max = ZSOCK_PARTS_MAX;

	if (z->o.type == ZSOCK_XPUB) {
		zsock_pub_deliver(z, parts, n);
		return;
	}
	if (z->o.type == ZSOCK_XSUB)
		first = 1; /* the lane */
	if (z->o.type == ZSOCK_REP)
		max = ZSOCK_ROOM;
	if (n <= first || n - first > max) {
		z->dropped++;
		return;
	}
	z->o.on_msg(z->o.arg, z, parts + first, n - first);
}

int zsock_receive(struct zsock *z, struct zmsg *m)
{
	int rc;

	do
		rc = zmq_msg_recv(zsock_frame(m), z->z, ZMQ_DONTWAIT);
	while (rc < 0 && errno == EINTR);
	z->taken = rc < 0 ? 0 : z->taken + 1;
	return rc;
}

/* Reads commands when it might otherwise be done in the middle of the next message. */
static void look_ahead(struct zsock *z)
{
	bool connects = z->o.type == ZSOCK_DEALER || z->o.type == ZSOCK_XSUB;
	size_t n = sizeof(int);
	int events;

	if (connects && z->taken + 2 >= LOOK_FRAMES)
		zmq_getsockopt(z->z, ZMQ_EVENTS, &events, &n);
}

/* Makes *m the next frame, whole; false when there is none. */
static bool take_frame(struct zsock *z, struct zmsg *m, bool *more, bool *good)
{
	zmsg_init(m);
	*more = false;
	if (zsock_receive(z, m) < 0)
		return false;
	*more = zmq_msg_more(zsock_frame(m));
	if (zpieces_come(z, m) && !zpieces_join(z, m, more))
		*good = false;
	return true;
}

/* Takes one message and hands it over; false when there is none. */
static bool take_one(struct zsock *z)
{
	struct zmsg parts[ZSOCK_ROOM], rest;
	size_t n = 1;
	bool more, good = true, cut = z->o.type == ZSOCK_REP || z->o.type == ZSOCK_XPUB;

	look_ahead(z);
	if (!take_frame(z, &parts[0], &more, &good))
		return false;
	while (more && n < ZSOCK_ROOM && good)
		take_frame(z, &parts[n++], &more, &good);
	good = good && (!more || cut);
	zmsg_init(&rest);
	while (more)
		more = zsock_receive(z, &rest) >= 0 && zmq_msg_more(zsock_frame(&rest));
	zmsg_close(&rest);
	if (good)
		deliver(z, parts, n);
	else
		z->dropped++;
	for (size_t i = 0; i < n; i++)
		zmq_msg_close(zsock_frame(&parts[i]));
	return true;
}

/* Receives up to the budget.  An EAGAIN at the end has read all commands too,
 * so nothing is left that could hide behind a lost wake-up. */
static void service(struct zsock *z)
{
	unsigned n = 0;
	bool empty = false;

	while (!empty && n < z->o.budget) {
		empty = !take_one(z);
		n += !empty;
		if (!z->z)
			return;
	}
	z->dirty = !empty;
	if (empty) {
		zlanes_settle(&z->lanes);
		z->suspect = false;
	}
	if (n > 0 && z->o.on_batch)
		z->o.on_batch(z->o.arg, z);
	if (!z->z)
		return;
	if (z->dirty)
		zsock_mark_dirty(z);
	else
		uv_idle_stop(&z->idle);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	(void)status; /* an error is a reason to look, too */
	(void)events;
	service(h->data);
}

static void on_prepare(uv_prepare_t *h)
{
	struct zsock *z = h->data;

	if (z->dirty)
		service(z);
}

/* Its being active is what counts. */
static void on_idle(uv_idle_t *h)
{
	(void)h;
}

void zsock_mark_dirty(struct zsock *z)
{
	z->dirty = true;
	if (!uv_is_active((uv_handle_t *)&z->idle))
		uv_idle_start(&z->idle, on_idle);
}

/* --- opening and closing --- */

static int zmq_type(enum zsock_type t)
{
	switch (t) {
	case ZSOCK_DEALER:
		return ZMQ_DEALER;
	case ZSOCK_ROUTER:
		return ZMQ_ROUTER;
	case ZSOCK_XPUB:
		return ZMQ_XPUB;
	case ZSOCK_XSUB:
		return ZMQ_XSUB;
	default:
		return ZMQ_REP;
	}
}

static void set_int(struct zsock *z, int option, int v)
{
	BUG_ON(zmq_setsockopt(z->z, option, &v, sizeof(v)) < 0);
}

static void set_key(struct zsock *z, int option, const uint8_t key[32])
{
	BUG_ON(zmq_setsockopt(z->z, option, key, 32) < 0);
}

static void set_curve(struct zsock *z, const struct zcurve *c)
{
	if (!c->on)
		return;
	set_key(z, ZMQ_CURVE_PUBLICKEY, c->public_key);
	set_key(z, ZMQ_CURVE_SECRETKEY, c->secret_key);
	if (c->server)
		set_int(z, ZMQ_CURVE_SERVER, 1);
	else
		set_key(z, ZMQ_CURVE_SERVERKEY, c->server_key);
	if (c->server)
		BUG_ON(zmq_setsockopt(z->z, ZMQ_ZAP_DOMAIN, "sealway", 7) < 0);
}

static void set_type_options(struct zsock *z)
{
	if (z->o.type == ZSOCK_ROUTER) /* without HANDOVER: it gives a peer's place to whoever says its id */
		set_int(z, ZMQ_ROUTER_MANDATORY, 1);
	if (z->o.type == ZSOCK_XPUB) {
		set_int(z, ZMQ_XPUB_NODROP, 1);
		set_int(z, ZMQ_XPUB_MANUAL, 1);
	}
	if (z->o.type == ZSOCK_DEALER || z->o.type == ZSOCK_XSUB)
		set_int(z, ZMQ_IMMEDIATE, 1); /* nothing stale after a reconnect */
}

/* A peer whose host is gone is noticed by TCP.  Not by ZMTP's pings: libzmq aborts the process when one is
 * due and the peer has died while our pipe from it was full (stream_engine_base.cpp, !_io_error), as it is
 * whenever a loop stands still for a moment under load. */
static void set_alive(struct zsock *z)
{
	int s = (z->o.heartbeat_ms + 999) / 1000;

	set_int(z, ZMQ_TCP_KEEPALIVE, 1);
	set_int(z, ZMQ_TCP_KEEPALIVE_IDLE, s);
	set_int(z, ZMQ_TCP_KEEPALIVE_INTVL, s);
	set_int(z, ZMQ_TCP_KEEPALIVE_CNT, 3);
	set_int(z, ZMQ_TCP_MAXRT, 3 * z->o.heartbeat_ms);
}

uint64_t zsock_max_msg(const struct zsock *z)
{
	return z->o.max_msg > 0 ? z->o.max_msg : MAX_MSG_DEFAULT;
}

static void set_max(struct zsock *z)
{
	uint64_t max = zsock_max_msg(z);
	int64_t n;

	if (z->o.type == ZSOCK_XPUB)
		max = ZSOCK_UPSTREAM_HEAD + ZSOCK_UPSTREAM_MAX; /* what may come in */
	else if (z->o.type == ZSOCK_ROUTER && max > ZPIECE_BYTES)
		max = ZPIECE_BYTES + ZPIECE_SEALED;
	n = (int64_t)max;
	BUG_ON(zmq_setsockopt(z->z, ZMQ_MAXMSGSIZE, &n, sizeof(n)) < 0);
}

/* All before the first bind or connect: later ones would not apply to it. */
static void set_options(struct zsock *z)
{
	int snd = z->o.sndhwm > 0 ? z->o.sndhwm : HWM_DEFAULT;

	if (z->o.type == ZSOCK_XSUB && snd < HWM_UPSTREAM)
		snd = HWM_UPSTREAM;
	set_max(z);
	set_int(z, ZMQ_SNDHWM, snd);
	set_int(z, ZMQ_RCVHWM, z->o.rcvhwm > 0 ? z->o.rcvhwm : HWM_DEFAULT);
	set_int(z, ZMQ_LINGER, z->o.type == ZSOCK_XSUB ? 0 : LINGER_MS);
	set_alive(z);
	set_int(z, ZMQ_CONNECT_TIMEOUT, z->o.connect_ms > 0 ? z->o.connect_ms : CONNECT_MS);
	set_int(z, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
	set_int(z, ZMQ_RECONNECT_IVL, z->o.reconnect_ms > 0 ? z->o.reconnect_ms : RECONNECT_MS);
	set_int(z, ZMQ_RECONNECT_IVL_MAX, z->o.reconnect_ms > 0 ? 0 : RECONNECT_MAX_MS);
	set_type_options(z);
	set_curve(z, &z->o.curve);
	mem_wipe(&z->o.curve.secret_key, sizeof(z->o.curve.secret_key));
}

static void start_handles(struct zsock *z, uv_loop_t *uv)
{
	size_t n = sizeof(int);
	int fd;

	BUG_ON(zmq_getsockopt(z->z, ZMQ_FD, &fd, &n) < 0);
	BUG_ON(uv_poll_init(uv, &z->poll, fd) < 0);
	uv_prepare_init(uv, &z->prepare);
	uv_idle_init(uv, &z->idle);
	uv_timer_init(uv, &z->again);
	z->poll.data = z->prepare.data = z->idle.data = z->again.data = z;
	z->open = 4;
	uv_poll_start(&z->poll, UV_READABLE, on_poll);
	uv_prepare_start(&z->prepare, on_prepare);
	if (z->o.type == ZSOCK_XSUB)
		uv_timer_start(&z->again, zsock_on_again, (uint64_t)z->o.heartbeat_ms,
			       (uint64_t)z->o.heartbeat_ms);
	zsock_mark_dirty(z);
}

struct zsock *zsock_try_open(struct zctx *c, uv_loop_t *uv, const struct zsock_opts *o)
{
	struct zsock *z = mem_new(sizeof(*z));

	z->o = *o;
	if (z->o.budget == 0)
		z->o.budget = BUDGET_DEFAULT;
	if (z->o.heartbeat_ms <= 0)
		z->o.heartbeat_ms = HEARTBEAT_MS;
	z->z = zmq_socket(c->z, zmq_type(o->type));
	if (!z->z) {
		int why = errno;

		mem_wipe(&z->o.curve, sizeof(z->o.curve));
		free(z);
		errno = why;
		return NULL;
	}
	set_options(z);
	start_handles(z, uv);
	return z;
}

struct zsock *zsock_open(struct zctx *c, uv_loop_t *uv, const struct zsock_opts *o)
{
	struct zsock *z = zsock_try_open(c, uv, o);

	if (!z) {
		fprintf(stderr, "cannot open a ZeroMQ socket: %s\n", zmq_strerror(errno));
		abort(); /* out of descriptors or over ZCTX_SOCKETS_MAX: our own limits are wrong */
	}
	return z;
}

/* host:port, or * for any port */
static bool has_port(const char *address)
{
	const char *colon = strrchr(address, ':');
	uint64_t port;

	return colon && colon > address &&
	       (strcmp(colon, ":*") == 0 || slice_u64(slice_str(colon + 1), UINT16_MAX, &port) == ERR_OK);
}

enum err zsock_check(const char *endpoint, bool curve, bool insecure)
{
	if (strlen(endpoint) > ZSOCK_ENDPOINT_MAX)
		return ERR_CONFIG;
	if (strncmp(endpoint, "ipc://", 6) == 0)
		return endpoint[6] && strlen(endpoint + 6) <= IPC_PATH_MAX ? ERR_OK : ERR_CONFIG;
	if (strncmp(endpoint, "inproc://", 9) == 0)
		return ERR_OK;
	if (strncmp(endpoint, "tcp://", 6) != 0 || !has_port(endpoint + 6))
		return ERR_CONFIG;
	return curve || insecure ? ERR_OK : ERR_CONFIG;
}

static enum err check_endpoint(struct zsock *z, const char *endpoint, bool insecure)
{
	enum err e = zsock_check(endpoint, z->o.curve.on, insecure);

	if (e == ERR_OK && strncmp(endpoint, "tcp://[", 7) == 0)
		set_int(z, ZMQ_IPV6, 1);
	return e;
}

static bool somebody_listens(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool taken;

	if (fd < 0)
		return false;
	memcpy(to.sun_path, path, strlen(path));
	if (to.sun_path[0] == '@') /* abstract, as ZeroMQ has it */
		to.sun_path[0] = 0;
	taken = connect(fd, (struct sockaddr *)&to,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) == 0 ||
		errno == EAGAIN;
	close(fd);
	return taken;
}

/* ZeroMQ removes whatever has the name of an ipc socket, also that of a process that still serves there and
 * would never hear of anybody again.  One that is just ending gets a moment. */
static bool ipc_taken(const char *endpoint)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	if (strncmp(endpoint, "ipc://", 6) != 0)
		return false;
	for (int i = 0; i < IPC_LOOKS; i++) {
		if (!somebody_listens(endpoint + 6))
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

const char *zsock_why(enum err e)
{
	return e == ERR_IO ? zmq_strerror(errno) : "";
}

enum err zsock_bind(struct zsock *z, const char *endpoint, bool insecure)
{
	enum err e = check_endpoint(z, endpoint, insecure);
	size_t n = sizeof(z->endpoint);

	if (e != ERR_OK)
		return e;
	if (ipc_taken(endpoint)) {
		errno = EADDRINUSE;
		return ERR_IO;
	}
	zsock_mark_dirty(z);
	if (zmq_bind(z->z, endpoint) < 0)
		return errno == EINVAL ? ERR_CONFIG : ERR_IO;
	return zmq_getsockopt(z->z, ZMQ_LAST_ENDPOINT, z->endpoint, &n) < 0 ? ERR_IO : ERR_OK;
}

enum err zsock_connect(struct zsock *z, const char *endpoint, bool insecure)
{
	enum err e = check_endpoint(z, endpoint, insecure);

	if (e != ERR_OK)
		return e;
	zsock_mark_dirty(z);
	if (zmq_connect(z->z, endpoint) < 0)
		return errno == EINVAL ? ERR_CONFIG : ERR_IO;
	return ERR_OK;
}

const char *zsock_endpoint(const struct zsock *z)
{
	return z->endpoint;
}

uint64_t zsock_dropped(const struct zsock *z)
{
	return z->dropped;
}

uint64_t zsock_cuts(const struct zsock *z)
{
	return z->cuts;
}

static void on_closed(uv_handle_t *h)
{
	struct zsock *z = h->data;

	if (--z->open > 0)
		return;
	zlanes_fini(&z->lanes);
	zstrays_fini(&z->strays);
	free(z);
}

void zsock_close(struct zsock *z)
{
	if (!z || !z->z)
		return;
	uv_poll_stop(&z->poll); /* before zmq_close takes the descriptor away */
	uv_close((uv_handle_t *)&z->poll, on_closed);
	uv_close((uv_handle_t *)&z->prepare, on_closed);
	uv_close((uv_handle_t *)&z->idle, on_closed);
	uv_close((uv_handle_t *)&z->again, on_closed);
	zmq_close(z->z);
	z->z = NULL;
}
