/* SPDX-License-Identifier: Apache-2.0
 *
 * Sockets without ZeroMQ (bus.h).
 */
#include "tests/unit/model/bus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/zauth.h"

struct bus_events bus_events;

/* --- frames --- */

struct frame { /* what is inside of a struct zmsg */
	uint8_t *p;
	size_t n;
	bool has_key;
	uint8_t key[32];
};

static struct frame *in(struct zmsg *m)
{
	return (struct frame *)(void *)m->z;
}

void zmsg_init(struct zmsg *m)
{
	memset(m, 0, sizeof(*m));
	_Static_assert(sizeof(struct frame) <= sizeof(m->z), "a frame fits");
}

void zmsg_copy_init(struct zmsg *m, struct slice s)
{
	zmsg_init(m);
	in(m)->p = mem_new(s.n + 1);
	in(m)->n = s.n;
	if (s.n)
		memcpy(in(m)->p, s.p, s.n);
}

void zmsg_take_init(struct zmsg *m, struct buf *b)
{
	zmsg_copy_init(m, buf_slice(b));
	buf_free(b);
}

void zmsg_move(struct zmsg *dst, struct zmsg *src)
{
	*dst = *src;
	zmsg_init(src);
}

struct slice zmsg_slice(struct zmsg *m)
{
	return slice_of(in(m)->p, in(m)->n);
}

void zmsg_close(struct zmsg *m)
{
	free(in(m)->p);
	zmsg_init(m);
}

bool zmsg_peer_key(struct zmsg *m, uint8_t key[32])
{
	if (in(m)->has_key)
		memcpy(key, in(m)->key, 32);
	return in(m)->has_key;
}

/* --- sockets --- */

struct zsock {
	struct zsock_opts o;
	char endpoint[ZSOCK_ENDPOINT_MAX + 1];
	bool closed;
	const uint8_t *speaks; /* key of the sender of the message at hand */
	struct zsock *next;
};

static struct zsock *sockets;

struct zctx *zctx_new(void)
{
	return NULL;
}

void zctx_free(struct zctx *c)
{
	(void)c;
}

struct zsock *zsock_try_open(struct zctx *c, uv_loop_t *uv, const struct zsock_opts *o)
{
	struct zsock *z = mem_new(sizeof(*z));

	(void)c, (void)uv;
	z->o = *o;
	z->next = sockets;
	sockets = z;
	if (bus_events.opened)
		bus_events.opened(z, o->type);
	return z;
}

struct zsock *zsock_open(struct zctx *c, uv_loop_t *uv, const struct zsock_opts *o)
{
	return zsock_try_open(c, uv, o);
}

enum err zsock_check(const char *endpoint, bool curve, bool insecure)
{
	(void)endpoint, (void)curve, (void)insecure;
	return ERR_OK;
}

enum err zsock_bind(struct zsock *z, const char *endpoint, bool insecure)
{
	(void)insecure;
	snprintf(z->endpoint, sizeof(z->endpoint), "%s", endpoint);
	return ERR_OK;
}

enum err zsock_connect(struct zsock *z, const char *endpoint, bool insecure)
{
	(void)insecure;
	if (strncmp(endpoint, "ipc://", 6) != 0)
		return ERR_CONFIG;
	snprintf(z->endpoint, sizeof(z->endpoint), "%s", endpoint);
	if (bus_events.connected)
		bus_events.connected(z, endpoint);
	return ERR_OK;
}

const char *zsock_why(enum err e)
{
	(void)e;
	return "";
}

const char *zsock_endpoint(const struct zsock *z)
{
	return z->endpoint;
}

enum err zsock_send(struct zsock *z, struct zmsg *parts, size_t n)
{
	enum err e = z->closed ? ERR_CLOSED : bus_events.sent(z, parts, n);

	for (size_t i = 0; i < n && e == ERR_OK; i++)
		zmsg_close(&parts[i]);
	return e;
}

void zsock_allow(struct zsock *z, struct slice topic)
{
	BUG_ON(z->closed || topic.n != ZSOCK_TOPIC_BYTES);
	bus_events.allowed(z, get_be64(topic.p), z->speaks);
}

void zsock_deny(struct zsock *z, struct slice topic)
{
	BUG_ON(z->closed || topic.n != ZSOCK_TOPIC_BYTES);
	bus_events.denied(z, get_be64(topic.p));
}

void zsock_close(struct zsock *z)
{
	if (!z || z->closed)
		return;
	z->closed = true;
	if (bus_events.closed)
		bus_events.closed(z);
}

uint64_t zsock_dropped(const struct zsock *z)
{
	(void)z;
	return 0;
}

void bus_say(struct zsock *z, const struct slice *frames, size_t n, const uint8_t *key)
{
	struct zmsg parts[ZSOCK_PARTS_MAX];

	BUG_ON(n > ZSOCK_PARTS_MAX);
	if (z->closed)
		return;
	for (size_t i = 0; i < n; i++) {
		zmsg_copy_init(&parts[i], frames[i]);
		in(&parts[i])->has_key = key != NULL;
		if (key)
			memcpy(in(&parts[i])->key, key, 32);
	}
	z->speaks = key;
	z->o.on_msg(z->o.arg, z, parts, n);
	z->speaks = NULL;
	for (size_t i = 0; i < n; i++)
		zmsg_close(&parts[i]);
}

void bus_say_one(struct zsock *z, struct slice frame, const uint8_t *key)
{
	bus_say(z, &frame, 1, key);
}

bool bus_end(void)
{
	bool well = true;

	while (sockets) {
		struct zsock *z = sockets;

		well &= z->closed;
		sockets = z->next;
		free(z);
	}
	return well;
}

/* --- queues --- */

struct bus_msg *bus_put(struct bus_queue *q, const struct slice *parts, size_t n)
{
	struct bus_msg *m = mem_new(sizeof(*m));

	for (m->n = 0; m->n < n; m->n++)
		buf_add(&m->part[m->n], parts[m->n].p, parts[m->n].n);
	if (!q->first)
		q->last = &q->first;
	*q->last = m;
	q->last = &m->next;
	q->n++;
	return m;
}

struct bus_msg *bus_take(struct bus_queue *q)
{
	struct bus_msg *m = q->first;

	if (!m)
		return NULL;
	q->first = m->next;
	q->n--;
	return m;
}

void bus_msg_free(struct bus_msg *m)
{
	buf_free(&m->part[0]);
	buf_free(&m->part[1]);
	free(m);
}

void bus_drop(struct bus_queue *q)
{
	struct bus_msg *m;

	while ((m = bus_take(q)))
		bus_msg_free(m);
}

/* --- who may come --- */

#define KEYS 64

static struct {
	bool used;
	uint8_t key[32];
} keys[KEYS];

enum err zauth_allow(struct zauth *a, const uint8_t key[32], enum zauth_role role)
{
	int at = -1;

	(void)a, (void)role;
	for (int i = 0; i < KEYS; i++) {
		if (keys[i].used && memcmp(keys[i].key, key, 32) == 0)
			return ERR_OK;
		if (!keys[i].used)
			at = i;
	}
	if (at < 0)
		return ERR_LIMIT;
	keys[at].used = true;
	memcpy(keys[at].key, key, 32);
	return ERR_OK;
}

void zauth_revoke(struct zauth *a, const uint8_t key[32])
{
	(void)a;
	for (int i = 0; i < KEYS; i++)
		if (keys[i].used && memcmp(keys[i].key, key, 32) == 0)
			keys[i].used = false;
}

unsigned bus_keys(void)
{
	unsigned n = 0;

	for (int i = 0; i < KEYS; i++)
		n += keys[i].used;
	return n;
}
