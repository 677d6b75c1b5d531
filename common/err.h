/* SPDX-License-Identifier: Apache-2.0
 *
 * Every error of the project, once: its name, the HTTP status and the outward
 * code, type and reason it becomes (docs/PROTOCOL.md, Errors), and a text for
 * people.  Status 0 marks errors that never leave a process as they are: the
 * code that meets one decides what it means to the client.
 */
#ifndef SEALWAY_COMMON_ERR_H
#define SEALWAY_COMMON_ERR_H

#define MUST_USE __attribute__((warn_unused_result))

#define ERRORS(X) /* name, status, code, type, reason, text */ \
	X(ERR_OK, 200, "", "", NULL, "ok") \
	X(ERR_BODY, 400, "INVALID_BODY", "invalid_request_error", NULL, "malformed or invalid request body") \
	X(ERR_AUTH, 401, "AUTH_ERROR", "authentication_error", NULL, "missing, malformed or unknown bearer token") \
	X(ERR_BALANCE, 402, "BALANCE_ERROR", "insufficient_quota", NULL, \
	  "no stack has the units and the balance does not buy a new one") \
	X(ERR_NOT_FOUND, 404, "NOT_FOUND", "not_found_error", NULL, "not found") \
	X(ERR_METHOD, 405, "METHOD_NOT_ALLOWED", "invalid_request_error", NULL, "method not allowed here") \
	X(ERR_TOO_LARGE, 413, "BODY_TOO_LARGE", "invalid_request_error", NULL, "request body over the limit") \
	X(ERR_MEDIA, 415, "UNSUPPORTED_MEDIA_TYPE", "invalid_request_error", NULL, \
	  "the body must be application/json") \
	X(ERR_LOCKED, 423, "LOCKED", "invalid_request_error", NULL, \
	  "the stack is locked by the node; take a new lock") \
	X(ERR_UNITS, 425, "UNAVAILABLE_STACK", "invalid_request_error", "insufficient_units", \
	  "the stack has too few units left; lock again and encrypt again") \
	X(ERR_KEY_ROTATED, 425, "UNAVAILABLE_STACK", "invalid_request_error", "key_rotated", \
	  "the node has a newer key; lock again and encrypt again") \
	X(ERR_KEY_UNKNOWN, 425, "UNAVAILABLE_STACK", "invalid_request_error", "key_unknown", \
	  "the node does not have this key; lock again and encrypt again") \
	X(ERR_ANSWERED, 425, "UNAVAILABLE_STACK", "invalid_request_error", "already_answered", \
	  "the node has answered this sealed request before; lock again and encrypt again") \
	X(ERR_RATE, 429, "TOO_MANY_REQUESTS", "rate_limit_error", NULL, "too many requests; try again later") \
	X(ERR_INTERNAL, 500, "INTERNAL_ERROR", "server_error", NULL, "internal error") \
	X(ERR_NODE, 500, "INTERNAL_ERROR", "server_error", NULL, "the node failed or its answer was invalid") \
	X(ERR_NOT_IMPLEMENTED, 501, "NOT_IMPLEMENTED", "server_error", NULL, "not implemented") \
	X(ERR_UNAVAILABLE, 503, "SERVICE_UNAVAILABLE", "server_error", NULL, "service unavailable; try again later") \
	X(ERR_NO_BROKER, 503, "SERVICE_UNAVAILABLE", "server_error", NULL, \
	  "no broker can be reached; try again later") \
	X(ERR_NO_WORKER, 503, "SERVICE_UNAVAILABLE", "server_error", NULL, "no worker is ready; try again later") \
	X(ERR_NO_NODE, 503, "SERVICE_UNAVAILABLE", "server_error", NULL, "no node is ready for this model") \
	X(ERR_TIMEOUT, 504, "TIMEOUT", "server_error", NULL, "the node did not answer in time") \
	/* inside a process only */ \
	X(ERR_FORMAT, 0, "", "", NULL, "malformed bytes") \
	X(ERR_VERSION, 0, "", "", NULL, "unsupported version") \
	X(ERR_RANGE, 0, "", "", NULL, "value out of range") \
	X(ERR_LIMIT, 0, "", "", NULL, "over a limit") \
	X(ERR_SIGNATURE, 0, "", "", NULL, "signature does not verify") \
	X(ERR_SCHEME, 0, "", "", NULL, "unsupported signature scheme (only Ed25519, flag 0x00)") \
	X(ERR_KEY, 0, "", "", NULL, "unusable key") \
	X(ERR_CRYPTO, 0, "", "", NULL, "decryption failed") \
	X(ERR_IO, 0, "", "", NULL, "input/output error") \
	X(ERR_EXISTS, 0, "", "", NULL, "exists already") \
	X(ERR_AGAIN, 0, "", "", NULL, "not now") \
	X(ERR_CLOSED, 0, "", "", NULL, "closed") \
	X(ERR_CONFIG, 0, "", "", NULL, "bad configuration") \
	/* outward again: numbers travel between processes, so new ones come last */ \
	X(ERR_NODE_SIGNATURE, 401, "AUTH_ERROR", "authentication_error", NULL, \
	  "the signature is malformed, does not verify, or its key is not the node's") \
	X(ERR_NODE_SCHEME, 401, "AUTH_ERROR", "authentication_error", NULL, \
	  "unsupported signature scheme: only Ed25519 (flag 0x00) so far") \
	X(ERR_STRANGER, 500, "INTERNAL_ERROR", "server_error", NULL, \
	  "the node does not know the worker that asked it; try again") \
	X(ERR_ENGINE, 500, "INTERNAL_ERROR", "server_error", "engine_failed", \
	  "the engine of the node failed at this request, which may ask for what it does not support")

enum err {
#define X(name, status, code, type, reason, text) name,
	ERRORS(X)
#undef X
	ERR_COUNT
};

/* The HTTP status of e; 500 for errors that are inside a process only. */
int err_status(enum err e);

/* The outward code of e, "INTERNAL_ERROR" for inner ones.  Static storage. */
const char *err_code(enum err e);

/* OpenAI's type name for e ("server_error" for inner ones).  Static storage. */
const char *err_type(enum err e);

/* The reason member (PROTOCOL, Errors), or NULL.  Static storage. */
const char *err_reason(enum err e);

/* A sentence for people.  Static storage. */
const char *err_text(enum err e);

/* The enumerator's own name, for logs ("ERR_BODY").  Static storage. */
const char *err_name(enum err e);

#endif
