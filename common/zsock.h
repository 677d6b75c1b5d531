/* SPDX-License-Identifier: Apache-2.0
 *
 * ZeroMQ on libuv.  zsock_priv.h is the only includer of zmq.h.  ZMQ's descriptor is
 * edge-triggered and shared by both directions; this file alone knows that:
 * it drains up to a budget per loop turn, re-checks after every send made
 * outside its own callback (uv_prepare), and keeps the loop from blocking
 * while messages are left (uv_idle).  Sockets belong to the thread of their
 * loop; the context is shared by all.
 */
#ifndef SEALWAY_COMMON_ZSOCK_H
#define SEALWAY_COMMON_ZSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/mem.h"

struct zctx;
struct zsock;

/* One ZeroMQ frame.  Opaque; initialise with a zmsg_ function, close once. */
struct zmsg {
	_Alignas(16) unsigned char z[64];
	size_t skip; /* bytes in front that are zsock's own */
};

enum zsock_type { ZSOCK_DEALER, ZSOCK_ROUTER, ZSOCK_XPUB, ZSOCK_XSUB };

#define ZSOCK_ENDPOINT_MAX 256 /* bytes, as in ENDPOINT_BYTES_MAX of proto/limits.h */

#define ZSOCK_PARTS_MAX 4 /* frames per message; longer messages are dropped whole and counted */

/* XPUB and XSUB are two ends of one thing here, and speak only with each other:
 * - a topic has ZSOCK_TOPIC_BYTES; a published message is one frame that starts with it;
 * - a subscription is a frame of 1 and the topic, sent once by the XSUB's owner; zsock repeats it
 *   every heartbeat, and the XPUB's owner sees it once for each time that it has to be allowed;
 * - any other frame goes upstream as it is (at most ZSOCK_UPSTREAM_MAX bytes, not starting with 0 or 1). */
#define ZSOCK_TOPIC_BYTES 8
#define ZSOCK_UPSTREAM_MAX 1024

/* A frame of 64 KiB or more goes from DEALER to ROUTER in pieces, and comes out whole (zpiece.h). */

/* CURVE keys, raw.  server: our secret makes us the server side. */
struct zcurve {
	bool on, server;
	uint8_t public_key[32], secret_key[32];
	uint8_t server_key[32]; /* client side: the server's public key */
};

struct zsock_opts {
	enum zsock_type type;
	int sndhwm, rcvhwm; /* messages; 0 = 1000 */
	uint64_t max_msg;   /* bytes of a frame; 0 = 20 MiB; longer ones cut the peer or are dropped */
	unsigned budget;    /* messages handled per service; 0 = 256 */
	int heartbeat_ms;   /* TCP keepalives, in whole seconds; 0 = 1000, dead after three */
	int reconnect_ms;   /* least time without a connection when one broke; 0 = 50, and longer in vain */
	int connect_ms;     /* time for TCP to connect, then anew; 0 = 3000 */
	struct zcurve curve;
	/* A whole message.  Frames are borrowed: use zmsg_move to keep one.  ROUTER: parts[0] is the
	 * peer's routing id.  Never called from inside zsock_send or zsock_open. */
	void (*on_msg)(void *arg, struct zsock *z, struct zmsg *parts, size_t n);
	/* After the last on_msg of a batch; NULL if not wanted.  The place to flush. */
	void (*on_batch)(void *arg, struct zsock *z);
	void *arg;
};

#define ZCTX_SOCKETS_MAX 16384 /* of one context */

/* A context with one I/O thread.  Ends the process if ZeroMQ cannot start. */
struct zctx *zctx_new(void);

/* Frees c; all its sockets must be closed.  NULL is fine.  What has not ended within a second, because it
 * looks up a name, ends by itself: the process that ends does not wait for it. */
void zctx_free(struct zctx *c);

/* Opens a socket on uv's thread.  XPUB runs with NODROP and MANUAL; ROUTER with
 * MANDATORY; DEALER with IMMEDIATE; XSUB with LINGER 0. */
struct zsock *zsock_open(struct zctx *c, uv_loop_t *uv, const struct zsock_opts *o);

/* The same where others decide how many there are: NULL (errno says why) when the process has no descriptor
 * or socket left, for which zsock_open ends it. */
struct zsock *zsock_try_open(struct zctx *c, uv_loop_t *uv, const struct zsock_opts *o);

/* Whether endpoint is one that zsock_bind or zsock_connect could take, with CURVE or without.  ERR_CONFIG. */
enum err zsock_check(const char *endpoint, bool curve, bool insecure) MUST_USE;

/* Binds; "tcp://host:*" or port 0 takes a free port, see zsock_endpoint.  An ipc
 * path over 107 bytes, or tcp:// without CURVE unless insecure, is ERR_CONFIG;
 * an address that cannot be bound, also an ipc path at which another process listens, ERR_IO (zsock_why
 * says why). */
enum err zsock_bind(struct zsock *z, const char *endpoint, bool insecure) MUST_USE;

/* Connects (and keeps reconnecting).  Same refusals as zsock_bind. */
enum err zsock_connect(struct zsock *z, const char *endpoint, bool insecure) MUST_USE;

/* The reason for an ERR_IO of zsock_bind or zsock_connect just now, for people (static); "" for other errors.
 */
const char *zsock_why(enum err e);

/* The endpoint last bound, with the real port.  Valid while z is open. */
const char *zsock_endpoint(const struct zsock *z);

/* Sends one message of n frames without waiting.  On ERR_OK the frames are
 * taken (and are empty); on any error they are untouched and stay the
 * caller's.  ERR_AGAIN: full or not connected.  ERR_CLOSED: ROUTER knows no
 * such peer, XPUB no such topic.  ERR_RANGE: a frame that this type cannot
 * carry.  All or nothing.  XSUB while not connected: ERR_OK, and lost, except
 * subscriptions. */
enum err zsock_send(struct zsock *z, struct zmsg *parts, size_t n) MUST_USE;

/* XPUB, inside on_msg for a subscription frame (first byte 1, then the topic):
 * lets the peer that sent it have the topic.  Not calling refuses it.  Call it
 * before sending anything on z.  A topic of another length is refused always.
 * Sends on the topic say ERR_AGAIN until the batch is over. */
void zsock_allow(struct zsock *z, struct slice topic);

/* XPUB: takes a topic away again (an unsubscription frame has first byte 0).
 * Also at any other time: nothing is sent on it any more, and a subscription
 * that comes again is shown again. */
void zsock_deny(struct zsock *z, struct slice topic);

/* Closes the socket at once; its memory goes when libuv has closed its
 * handles.  NULL is fine.  May be called from inside its own callbacks. */
void zsock_close(struct zsock *z);

/* Messages that were dropped because of their shape (too many frames, or not
 * what the type carries). */
uint64_t zsock_dropped(const struct zsock *z);

/* XPUB: how often a peer was cut that sent what no XSUB of ours would.  Who may not have the topics that it
 * asks for is cut after 16 of them. */
uint64_t zsock_cuts(const struct zsock *z);

/* An empty frame. */
void zmsg_init(struct zmsg *m);

/* A frame holding a copy of s. */
void zmsg_copy_init(struct zmsg *m, struct slice s);

/* A frame that takes b's memory without copying (b is empty afterwards). */
void zmsg_take_init(struct zmsg *m, struct buf *b);

/* Moves src into dst (dst uninitialised before); src is empty afterwards. */
void zmsg_move(struct zmsg *dst, struct zmsg *src);

/* The bytes of a frame; valid until it is closed, moved or sent. */
struct slice zmsg_slice(struct zmsg *m);

/* Frees a frame (also an empty one). */
void zmsg_close(struct zmsg *m);

/* The CURVE key that the sender proved to hold, as set by the ZAP handler
 * (zauth.h): true and 32 bytes, or false for peers without CURVE (ipc).  Frames
 * that came in pieces do not know it: a ROUTER's parts[0] always does. */
bool zmsg_peer_key(struct zmsg *m, uint8_t key[32]);

/* A new CURVE key pair, raw. */
void zcurve_keypair(uint8_t public_key[32], uint8_t secret_key[32]);

/* The public key of a secret one. */
void zcurve_public(uint8_t public_key[32], const uint8_t secret_key[32]);

#endif
