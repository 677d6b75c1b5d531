/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of paths (PROTOCOL section 1): which method, which name in logs
 * and metrics, which endpoint.  Pure; what a route does stands in serve.c.
 */
#ifndef SEALWAY_GATEWAY_ROUTES_H
#define SEALWAY_GATEWAY_ROUTES_H

#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"
#include "proto/msg.h"

#define ROUTES(X) /* id, method, path ("" = a pattern in routes.c), name, endpoint */                        \
	X(ROUTE_COMPLETIONS, "POST", "/v1/confidential/completions", "confidential_completions",             \
	  EP_COMPLETIONS)                                                                                    \
	X(ROUTE_CHAT, "POST", "/v1/confidential/chat/completions", "confidential_chat", EP_CHAT)             \
	X(ROUTE_EMBEDDINGS, "POST", "/v1/confidential/embeddings", "confidential_embeddings", EP_EMBEDDINGS) \
	X(ROUTE_IMAGES, "POST", "/v1/confidential/images/generations", "confidential_images", EP_IMAGES)     \
	X(ROUTE_PLAIN_COMPLETIONS, "POST", "/v1/completions", "completions", EP_PLAIN_COMPLETIONS)           \
	X(ROUTE_PLAIN_CHAT, "POST", "/v1/chat/completions", "chat", EP_PLAIN_CHAT)                           \
	X(ROUTE_PLAIN_EMBEDDINGS, "POST", "/v1/embeddings", "embeddings", EP_PLAIN_EMBEDDINGS)               \
	X(ROUTE_PLAIN_IMAGES, "POST", "/v1/images/generations", "images", EP_PLAIN_IMAGES)                   \
	X(ROUTE_LOCK, "POST", "/v1/nodes/lock", "lock", EP_NONE)                                             \
	X(ROUTE_REGISTER, "POST", "/v1/nodes", "register", EP_NONE)                                          \
	X(ROUTE_ATTESTATION, "GET", "", "attestation", EP_NONE)                                              \
	X(ROUTE_MODELS, "GET", "/v1/models", "models", EP_NONE)                                              \
	X(ROUTE_MODEL, "GET", "", "model", EP_NONE)                                                          \
	X(ROUTE_OPEN_ROUTER, "GET", "/v1/open_router/models", "open_router_models", EP_NONE)                 \
	X(ROUTE_HEALTH, "GET", "/health", "health", EP_NONE)                                                 \
	X(ROUTE_OPENAPI, "GET", "/openapi.json", "openapi", EP_NONE)                                         \
	X(ROUTE_DOCS, "GET", "/docs", "docs", EP_NONE)

enum route_id {
#define X(id, method, path, name, endpoint) id,
	ROUTES(X)
#undef X
		ROUTE_NONE, /* unknown path */
	ROUTE_COUNT
};

struct route {
	enum route_id id;   /* ROUTE_NONE for unknown paths */
	enum endpoint ep;   /* of routes that nodes answer, else EP_NONE */
	const char *method; /* "GET" (HEAD, too) or "POST"; OPTIONS goes everywhere */
	const char *allow;  /* for the Allow header, static */
	uint64_t node;      /* ROUTE_ATTESTATION: the id in the path */
	struct slice model; /* ROUTE_MODEL: the name as it stands in the path, which it borrows */
};

/* Finds path, which is as it was sent: one that is spelled another way is another
 * path.  ERR_NOT_FOUND (also for /v1/nodes/{id}/attestation with an id over 2^53-1
 * or not canonical digits, and for /v1/models/{model} with what route_model does
 * not take), ERR_METHOD; *out is written always, so that a refusal can name the
 * route and its Allow header. */
enum err route_find(struct slice method, struct slice path, struct route *out) MUST_USE;

/* Writes the model name that stands escaped in a path; how long it is, 0 when no
 * model can have it: empty, over MODEL_BYTES_MAX, with NUL, a wrong escape. */
size_t route_model(struct slice escaped, uint8_t name[MODEL_BYTES_MAX]);

/* The name of a route in logs and metrics, "other" for ROUTE_NONE (static). */
const char *route_name(enum route_id id);

#endif
