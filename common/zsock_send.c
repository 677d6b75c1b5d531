/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending (zsock.h): all or nothing for any number of frames; lanes on XPUB and
 * frames upstream on XSUB, for the reasons given in zsock.c.
 */
#include "common/zsock.h"

#include <errno.h>
#include <string.h>

#include "common/zpiece.h"

static int send_frame(struct zsock *z, zmq_msg_t *m, bool more)
{
	int rc;

	do
		rc = zmq_msg_send(m, z->z, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
	while (rc < 0 && errno == EINTR);
	return rc;
}

static enum err send_error(void)
{
	if (errno == EAGAIN)
		return ERR_AGAIN;
	return errno == EHOSTUNREACH ? ERR_CLOSED : ERR_IO;
}

/* The first frame, where all refusals happen.  A ROUTER looks twice: reading
 * ZMQ_EVENTS lets it notice that the peer of a full pipe is gone. */
static int send_first(struct zsock *z, zmq_msg_t *m, bool more)
{
	int rc = send_frame(z, m, more), events;
	size_t n = sizeof(events);

	if (rc < 0 && errno == EAGAIN && z->o.type == ZSOCK_ROUTER) {
		zmq_getsockopt(z->z, ZMQ_EVENTS, &events, &n);
		rc = send_frame(z, m, more);
	}
	return rc;
}

/* Ends a message that broke off after its first frame.  libzmq has rolled it
 * back and drops frames up to the end of the message. */
static void end_half(struct zsock *z)
{
	zmq_msg_t m;

	zmq_msg_init(&m);
	if (send_frame(z, &m, false) < 0)
		zmq_msg_close(&m);
}

/* A message on its way out. */
struct sending {
	struct zsock *z;
	bool begun, half; /* a frame is out; it broke off with more to come */
};

static int send_next(struct sending *s, zmq_msg_t *m, bool more)
{
	int rc = s->begun ? send_frame(s->z, m, more) : send_first(s->z, m, more);

	if (rc >= 0)
		s->begun = true;
	else
		s->half = s->begun && more;
	return rc;
}

static int send_pieces(struct sending *s, struct zmsg *m, bool more)
{
	size_t at = 0;
	zmq_msg_t piece;
	bool last;
	int rc;

	do {
		last = zpieces_next(m, &at, &piece);
		rc = send_next(s, &piece, more || !last);
		if (rc < 0)
			zmq_msg_close(&piece);
	} while (rc >= 0 && !last);
	if (rc >= 0)
		zmsg_close(m);
	return rc;
}

/* Copies of all frames but the last are kept (they share the bytes), so that a
 * refusal in the middle can give everything back. */
static enum err send_all(struct zsock *z, struct zmsg *parts, size_t n)
{
	struct sending s = { .z = z };
	zmq_msg_t kept[ZSOCK_ROOM];
	enum err e = ERR_OK;
	size_t i;

	for (i = 0; i + 1 < n; i++) {
		zmq_msg_init(&kept[i]);
		zmq_msg_copy(&kept[i], zsock_frame(&parts[i]));
	}
	for (i = 0; i < n && e == ERR_OK; i++) {
		bool more = i + 1 < n;

		if ((zpieces_go(z, &parts[i]) ? send_pieces(&s, &parts[i], more)
					      : send_next(&s, zsock_frame(&parts[i]), more)) < 0)
			e = send_error();
	}
	if (s.half)
		end_half(z);
	for (i = 0; i + 1 < n; i++) {
		if (e != ERR_OK)
			zmq_msg_move(zsock_frame(&parts[i]), &kept[i]);
		zmq_msg_close(&kept[i]);
	}
	return e;
}

static enum err pub_send(struct zsock *z, struct zmsg *parts, size_t n)
{
	struct slice f = zmsg_slice(&parts[0]);
	const struct zlane *lane;
	zmq_msg_t name;

	if (n != 1 || f.n < ZSOCK_TOPIC_BYTES)
		return ERR_RANGE;
	lane = zlanes_find(&z->lanes, get_be64(f.p));
	if (!lane)
		return ERR_CLOSED;
	if (lane->fresh)
		return ERR_AGAIN;
	zmq_msg_init_size(&name, ZSOCK_TOPIC_BYTES);
	put_be64(zmq_msg_data(&name), lane->id);
	if (send_frame(z, &name, true) < 0) {
		enum err e = send_error();

		zmq_msg_close(&name);
		return e;
	}
	/* libzmq counts whole messages against the mark, so the second frame fits where the first did */
	BUG_ON(send_frame(z, zsock_frame(&parts[0]), false) < 0);
	return ERR_OK;
}

static void send_copy(struct zsock *z, uint8_t first, struct slice head, struct slice body)
{
	zmq_msg_t m;
	uint8_t *p;

	BUG_ON(zmq_msg_init_size(&m, 1 + head.n + body.n) < 0);
	p = zmq_msg_data(&m);
	p[0] = first;
	if (head.n > 0)
		memcpy(p + 1, head.p, head.n);
	if (body.n > 0)
		memcpy(p + 1 + head.n, body.p, body.n);
	if (send_frame(z, &m, false) < 0)
		zmq_msg_close(&m);
}

static struct zsock_topic *topic_of(struct zsock *z, struct slice name)
{
	for (size_t i = 0; i < z->n_topics; i++)
		if (memcmp(z->topics[i].name, name.p, ZSOCK_TOPIC_BYTES) == 0)
			return &z->topics[i];
	return NULL;
}

static void subscribe_once(struct zsock *z, struct zsock_topic *t)
{
	send_copy(z, 1, slice_of(t->name, ZSOCK_TOPIC_BYTES), slice_of(NULL, 0));
	t->sent++;
}

static enum err subscribe(struct zsock *z, struct slice name)
{
	struct zsock_topic *t = topic_of(z, name);

	if (!t) {
		if (z->n_topics == ZSOCK_TOPICS_MAX)
			return ERR_RANGE;
		t = &z->topics[z->n_topics++];
		t->sent = 0;
		memcpy(t->name, name.p, ZSOCK_TOPIC_BYTES);
	}
	subscribe_once(z, t);
	return ERR_OK;
}

/* libzmq lets the end through when it has been said as often as the subscription. */
static void unsubscribe(struct zsock *z, struct slice name)
{
	struct zsock_topic *t = topic_of(z, name);

	if (!t)
		return;
	for (; t->sent > 0; t->sent--)
		send_copy(z, 0, name, slice_of(NULL, 0));
	*t = z->topics[--z->n_topics];
}

void zsock_on_again(uv_timer_t *h)
{
	struct zsock *z = h->data;

	for (size_t i = 0; i < z->n_topics; i++)
		subscribe_once(z, &z->topics[i]);
	zsock_mark_dirty(z);
}

static enum err sub_send(struct zsock *z, struct zmsg *parts, size_t n)
{
	struct slice f = zmsg_slice(&parts[0]);
	enum err e = ERR_OK;

	if (n != 1 || f.n == 0 || f.n > ZSOCK_UPSTREAM_MAX)
		return ERR_RANGE;
	if (f.p[0] > 1) {
		send_copy(z, 1, SLICE_STR(ZSOCK_UPSTREAM_MARK), f);
		send_copy(z, 0, SLICE_STR(ZSOCK_UPSTREAM_MARK), f);
	} else if (f.n != 1 + ZSOCK_TOPIC_BYTES) {
		e = ERR_RANGE;
	} else if (f.p[0] == 1) {
		e = subscribe(z, slice_of(f.p + 1, ZSOCK_TOPIC_BYTES));
	} else {
		unsubscribe(z, slice_of(f.p + 1, ZSOCK_TOPIC_BYTES));
	}
	if (e == ERR_OK)
		zmsg_close(&parts[0]);
	return e;
}

/* A received user frame that is sent on: without the bytes in front. */
static void drop_skip(struct zmsg *m)
{
	struct zmsg copy;

	zmsg_copy_init(&copy, zmsg_slice(m));
	zmq_msg_close(zsock_frame(m));
	zmsg_move(m, &copy);
}

enum err zsock_send(struct zsock *z, struct zmsg *parts, size_t n)
{
	enum err e;

	BUG_ON(n == 0 || n > ZSOCK_ROOM);
	if (!z->z)
		return ERR_CLOSED;
	for (size_t i = 0; i < n; i++)
		if (parts[i].skip > 0)
			drop_skip(&parts[i]);
	zsock_mark_dirty(z);
	switch (z->o.type) {
	case ZSOCK_XPUB:
		e = pub_send(z, parts, n);
		break;
	case ZSOCK_XSUB:
		e = sub_send(z, parts, n);
		break;
	default:
		e = send_all(z, parts, n);
	}
	return e;
}

static void lane_option(struct zsock *z, int option, uint64_t id)
{
	uint8_t name[ZSOCK_TOPIC_BYTES];

	put_be64(name, id);
	zmq_setsockopt(z->z, option, name, sizeof(name));
}

void zsock_allow(struct zsock *z, struct slice topic)
{
	BUG_ON(z->o.type != ZSOCK_XPUB);
	if (!z->z || topic.n != ZSOCK_TOPIC_BYTES)
		return;
	lane_option(z, ZMQ_SUBSCRIBE, zlanes_open(&z->lanes, get_be64(topic.p)));
	zlanes_own(&z->lanes, get_be64(topic.p), z->sender_has_key ? z->sender : NULL);
}

void zsock_deny(struct zsock *z, struct slice topic)
{
	const struct zlane *lane;

	BUG_ON(z->o.type != ZSOCK_XPUB);
	if (!z->z || topic.n != ZSOCK_TOPIC_BYTES)
		return;
	lane = zlanes_find(&z->lanes, get_be64(topic.p));
	if (!lane)
		return;
	lane_option(z, ZMQ_UNSUBSCRIBE, lane->id); /* if the last frame was its subscriber's */
	zlanes_drop(&z->lanes, get_be64(topic.p));
}
