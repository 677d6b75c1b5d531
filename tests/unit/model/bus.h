/* SPDX-License-Identifier: Apache-2.0
 *
 * common/zsock.h and common/zauth.h, played by the test in place of ZeroMQ: what a socket of ours sends comes
 * to the test at once, and it gets what the test says, when the test says it.  Nothing happens by itself, so
 * that every order of events can be had, and had again.  As much as the real ones, sockets never call back
 * from inside a send, and closed ones never.
 */
#ifndef SEALWAY_TESTS_UNIT_MODEL_BUS_H
#define SEALWAY_TESTS_UNIT_MODEL_BUS_H

#include "common/zsock.h"

/* What the sockets of ours do.  Set before any is opened; arg is the test's. */
struct bus_events {
	void (*opened)(struct zsock *z, enum zsock_type type);
	void (*connected)(struct zsock *z, const char *endpoint);
	/* One message; ERR_OK takes it (the frames may be moved away; they are closed anyway). */
	enum err (*sent)(struct zsock *z, struct zmsg *parts, size_t n);
	/* XPUB: zsock_allow while key (NULL: none) speaks, zsock_deny. */
	void (*allowed)(struct zsock *z, uint64_t topic, const uint8_t *key);
	void (*denied)(struct zsock *z, uint64_t topic);
	void (*closed)(struct zsock *z);
};
extern struct bus_events bus_events;

/* Gives z a message of n frames; key: the one that the sender has proved to hold, or NULL.  Nothing happens
 * when z is closed. */
void bus_say(struct zsock *z, const struct slice *frames, size_t n, const uint8_t *key);

/* The same of one frame. */
void bus_say_one(struct zsock *z, struct slice frame, const uint8_t *key);

/* What is under way to somebody, in order; all zero is an empty one. */
struct bus_msg {
	struct bus_msg *next;
	size_t n;
	struct buf part[2];
	void *tag; /* the test's */
};
struct bus_queue {
	struct bus_msg *first, **last;
	size_t n;
};

/* Puts a copy behind; takes the first one (NULL: none); drops all. */
struct bus_msg *bus_put(struct bus_queue *q, const struct slice *parts, size_t n);
struct bus_msg *bus_take(struct bus_queue *q);
void bus_msg_free(struct bus_msg *m);
void bus_drop(struct bus_queue *q);

/* The number of keys that zauth allows now. */
unsigned bus_keys(void);

/* Frees what was closed; sockets still open are a fault (false). */
bool bus_end(void);

#endif
