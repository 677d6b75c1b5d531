/* SPDX-License-Identifier: Apache-2.0
 *
 * Every message between processes begins [version, type, request id | nil, ...].
 * The grammar of all of them stands in proto/README.md.
 */
#ifndef SEALWAY_PROTO_MSG_H
#define SEALWAY_PROTO_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"
#include "proto/limits.h"

#define MSG_TYPES(X)                    /* type, number, name in logs */                                     \
	X(MSG_HELLO, 1, "hello")        /* peer -> broker: who I am (hello.h) */                             \
	X(MSG_WELCOME, 2, "welcome")    /* broker -> peer (hello.h) */                                       \
	X(MSG_PING, 3, "ping")          /* peer -> broker, each interval (hello.h) */                        \
	X(MSG_PONG, 4, "pong")          /* broker -> peer (hello.h) */                                       \
	X(MSG_BYE, 5, "bye")            /* peer -> broker: gone (hello.h) */                                 \
	X(MSG_PEER, 6, "peer")          /* broker -> worker: a gateway thread (peer.h) */                    \
	X(MSG_PEER_OK, 7, "peer_ok")    /* worker -> broker: its topic is allowed (peer.h) */                \
	X(MSG_INTRO, 8, "intro")        /* broker -> gateway: a worker (peer.h) */                           \
	X(MSG_HEARD, 9, "heard")        /* worker -> broker: subscription seen / lost (peer.h) */            \
	X(MSG_JOB, 10, "job")           /* gateway -> broker, + body frame (job.h) */                        \
	X(MSG_REFUSE, 11, "refuse")     /* broker -> gateway (job.h) */                                      \
	X(MSG_CANCEL, 12, "cancel")     /* gateway -> broker -> worker; gateway -> worker (job.h) */         \
	X(MSG_WORK, 13, "work")         /* broker -> worker, + body frame (work.h) */                        \
	X(MSG_POSTED, 14, "posted")     /* worker -> broker (work.h) */                                      \
	X(MSG_RETURN, 15, "return")     /* worker -> broker: not posted, give it to another (work.h) */      \
	X(MSG_INFLIGHT, 16, "inflight") /* worker -> broker after welcome, or given again (work.h) */        \
	X(MSG_CHUNK, 17, "chunk")       /* worker -> gateway on XPUB (chunk.h) */                            \
	X(MSG_CREDIT, 18, "credit")     /* gateway -> worker on XSUB (chunk.h) */                            \
	X(MSG_SETTLE, 19, "settle")     /* worker -> broker (settle.h) */                                    \
	X(MSG_SETTLED, 20, "settled")   /* broker -> worker (settle.h) */                                    \
	X(MSG_LOCK, 21, "lock")         /* gateway -> broker (lock.h) */                                     \
	X(MSG_LOCKED, 22, "locked")     /* broker -> gateway (lock.h) */                                     \
	X(MSG_REGISTER, 23, "register") /* gateway -> broker (register.h) */                                 \
	X(MSG_QUERY, 24, "query")       /* gateway -> broker (query.h) */                                    \
	X(MSG_ANSWER, 25, "answer")     /* broker -> gateway: to register and query (query.h) */             \
	X(MSG_ADMIN, 26, "admin")       /* operator -> broker (admin.h) */                                   \
	X(MSG_ADMIN_REPLY, 27, "admin_reply") /* broker -> operator (admin.h) */                             \
	X(MSG_RECEIPT_WANTED, 28,                                                                            \
	  "receipt_wanted")               /* broker -> worker: fetch a receipt at the node (work.h) */       \
	X(MSG_ANSWERING, 29, "answering") /* worker -> broker: the node said 200 (work.h) */                 \
	X(MSG_PROBE, 30, "probe")         /* broker -> worker: is the node there? (probe.h) */               \
	X(MSG_PROBED, 31, "probed")       /* worker -> broker (probe.h) */                                   \
	X(MSG_WAITING, 32, "waiting")     /* gateway -> broker: does anybody work for it? (job.h) */

enum msg_type {
#define X(name, number, text) name = number,
	MSG_TYPES(X)
#undef X
};

/* Version and type of an encoded message, without decoding the rest.
 * ERR_VERSION for another version, ERR_FORMAT for anything else. */
enum err msg_peek(struct slice bytes, enum msg_type *type) MUST_USE;

/* What stands for the version in a message that msg_peek calls ERR_VERSION. */
unsigned msg_version(struct slice bytes);

/* The name of a type for logs, "?" for unknown numbers. */
const char *msg_name(enum msg_type type);

/* Whether s may be a name or version that somebody else chose: valid UTF-8 without control
 * characters, because it ends up in JSON and on terminals. */
bool msg_text_ok(struct slice s);

/* Endpoints of the API as they travel: the numbers of the receipt for 1-4. */
#define ENDPOINTS(X) /* name, number, path, name in logs and metrics, confidential, may stream */            \
	X(EP_COMPLETIONS, 1, "/v1/confidential/completions", "confidential_completions", true, true)         \
	X(EP_CHAT, 2, "/v1/confidential/chat/completions", "confidential_chat", true, true)                  \
	X(EP_EMBEDDINGS, 3, "/v1/confidential/embeddings", "confidential_embeddings", true, false)           \
	X(EP_IMAGES, 4, "/v1/confidential/images/generations", "confidential_images", true, false)           \
	X(EP_PLAIN_COMPLETIONS, 5, "/v1/completions", "completions", false, true)                            \
	X(EP_PLAIN_CHAT, 6, "/v1/chat/completions", "chat", false, true)                                     \
	X(EP_PLAIN_EMBEDDINGS, 7, "/v1/embeddings", "embeddings", false, false)                              \
	X(EP_PLAIN_IMAGES, 8, "/v1/images/generations", "images", false, false)

enum endpoint {
	EP_NONE,
#define X(name, number, path, text, conf, stream) name = number,
	ENDPOINTS(X)
#undef X
		EP_COUNT
};

/* The path of an endpoint (static), "" for EP_NONE. */
const char *endpoint_path(enum endpoint e);

/* Its name in logs and metrics (static). */
const char *endpoint_name(enum endpoint e);

/* The endpoint of a path, EP_NONE when it is none of them. */
enum endpoint endpoint_of(struct slice path);

/* Its number in a receipt, 1-4: a plain endpoint has that of its sealed kind. */
uint8_t endpoint_kind(enum endpoint e);

/* Whether its bodies are sealed; whether it may stream. */
bool endpoint_confidential(enum endpoint e);
bool endpoint_streams(enum endpoint e);

#endif
