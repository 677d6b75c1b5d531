/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes in on an XPUB (zsock.h): what its owner is to see of it, and the end of peers that send what no
 * XSUB of ours would.
 */
#include "common/zsock.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/zsock_priv.h"

static uint64_t topic_number(struct slice frame)
{
	return get_be64(frame.p + 1);
}

static bool is_upstream(struct slice frame)
{
	return frame.n >= ZSOCK_UPSTREAM_HEAD &&
	       memcmp(frame.p + 1, ZSOCK_UPSTREAM_MARK, ZSOCK_UPSTREAM_HEAD - 1) == 0;
}

/* --- cutting --- */

/* The local port of a tcp connection, 0 for anything else. */
static unsigned long local_port(int fd)
{
	struct sockaddr_storage at;
	socklen_t n = sizeof(at);

	if (getsockname(fd, (struct sockaddr *)&at, &n) != 0)
		return 0;
	if (at.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)&at)->sin_port);
	return at.ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)&at)->sin6_port) : 0;
}

/* libzmq has no word for it, but says by which descriptor a message came.  One that is something else by now
 * has another port; on ipc there is nobody but our own user. */
static void cut(struct zsock *z, int fd)
{
	const char *colon = strrchr(z->endpoint, ':');
	unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;

	z->cuts++;
	if (port > 0 && local_port(fd) == port)
		(void)shutdown(fd, SHUT_RDWR);
}

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* --- what it is --- */

/* A peer takes away a topic that another one has.  The end of a connection comes
 * without a key: libzmq says that itself. */
static bool foreign_end(const struct zsock *z, struct slice f)
{
	const struct zlane *lane = zlanes_find(&z->lanes, topic_number(f));

	return lane && lane->owned && z->sender_has_key && memcmp(lane->owner, z->sender, 32) != 0;
}

/* Whether the owner is to see this topic come or go. */
static bool shows_topic(struct zsock *z, struct slice f)
{
	if (f.p[0] == 1)
		return !z->suspect &&
		       (f.n != 1 + ZSOCK_TOPIC_BYTES || !zlanes_find(&z->lanes, topic_number(f)));
	if (f.n == 1 + ZSOCK_TOPIC_BYTES && foreign_end(z, f)) {
		z->dropped++;
		return false;
	}
	if (f.n == 1 + ZSOCK_TOPIC_BYTES)
		zlanes_drop(&z->lanes, topic_number(f));
	return true;
}

/* Whether the sender of the frame at hand has topic. */
static bool has_topic(const struct zsock *z, uint64_t topic)
{
	const struct zlane *lane = zlanes_find(&z->lanes, topic);

	return lane && (!lane->owned || (z->sender_has_key && memcmp(lane->owner, z->sender, 32) == 0));
}

/* Whether that was too much of a frame of n bytes about topic, which was shown to the owner. */
static bool too_much(struct zsock *z, int fd, uint8_t first, size_t n, uint64_t topic)
{
	if (n != 1 + ZSOCK_TOPIC_BYTES)
		return zstray_other(&z->strays, fd, true, now_ms());
	if (first == 0)
		return zstray_other(&z->strays, fd, false, now_ms());
	return !z->suspect && !has_topic(z, topic) && zstray_topic(&z->strays, fd, topic, now_ms());
}

static void deliver_topic(struct zsock *z, int fd, struct zmsg *part, struct slice f)
{
	uint64_t topic = f.n == 1 + ZSOCK_TOPIC_BYTES ? topic_number(f) : 0;
	uint8_t first = f.p[0];

	if (shows_topic(z, f))
		z->o.on_msg(z->o.arg, z, part, 1);
	if (z->z && fd >= 0 && too_much(z, fd, first, f.n, topic))
		cut(z, fd);
}

/* A frame upstream is a subscription, which we show, and its end. */
static void deliver_upstream(struct zsock *z, int fd, struct zmsg *part, struct slice f)
{
	bool end = f.p[0] == 0;

	if (fd >= 0 && zstray_upstream(&z->strays, fd, end, slice_of(f.p + 1, f.n - 1), now_ms()))
		cut(z, fd);
	part->skip = ZSOCK_UPSTREAM_HEAD;
	if (!end)
		z->o.on_msg(z->o.arg, z, part, 1);
}

void zsock_pub_deliver(struct zsock *z, struct zmsg *parts, size_t n)
{
	struct slice f = zmsg_slice(&parts[0]);
	int fd = zmq_msg_get(zsock_frame(&parts[0]), ZMQ_SRCFD); /* -1: said by libzmq itself */

	z->sender_has_key = zmsg_peer_key(&parts[0], z->sender);
	if (n != 1 || f.n == 0 || f.p[0] > 1) {
		z->suspect = true;
		z->dropped++;
		if (fd >= 0 && zstray_other(&z->strays, fd, true, now_ms()))
			cut(z, fd);
	} else if (is_upstream(f)) {
		deliver_upstream(z, fd, &parts[0], f);
	} else {
		deliver_topic(z, fd, &parts[0], f);
	}
}
