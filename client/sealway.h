/* SPDX-License-Identifier: Apache-2.0
 *
 * libsealway: confidential inference from a program of yours.  One call takes
 * a lock, seals the request to the node's key, sends it, and opens and checks
 * the answer (docs/PROTOCOL.md, sections 3, 4 and 6).  The gateway and
 * everything behind it up to the node sees ciphertext only.
 *
 * What is checked, always, before anything is handed over:
 *   - the node's key statement: signed by the node, for this node, this key, now;
 *   - the node's signing key: the one pinned at first use, or the one you gave;
 *   - each object: authentic (AES-256-GCM), its response_hash, the node's signature
 *     over it, its place in the answer (no object missing, twice, swapped);
 *   - the end: the final flag, the receipt (everything but the request id, which a
 *     client cannot know), its signature, and an end of the HTTP answer that is marked.
 * What is not checked yet: the node's attestation.  The first use of a node
 * therefore trusts the operator of the gateway for the node's signing key,
 * unless you give it (node_key).
 *
 * A struct sealway is used by one thread at a time; several may exist.  Within a
 * callback a call with the same one fails (SEALWAY_USAGE, 0 or false), and it may
 * not be freed.  An answer takes up to 600 MB, if the gateway means harm, and one that there is no memory for
 * fails (SEALWAY_LOCAL); where there is none for the small things of a call the process ends by abort(),
 * with a line on stderr.  Strings are UTF-8.  This header stands alone.
 */
#ifndef SEALWAY_CLIENT_SEALWAY_H
#define SEALWAY_CLIENT_SEALWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum sealway_status {
	SEALWAY_OK,
	SEALWAY_USAGE,   /* an option or the request is wrong; nothing was sent */
	SEALWAY_LOCAL,   /* a file of this machine cannot be read or written, or its memory is out */
	SEALWAY_CONNECT, /* no connection to the gateway, TLS failed, or it ended before an answer began */
	SEALWAY_REFUSED, /* the service answered with an error */
	SEALWAY_CUT,     /* the answer ended early: what came is not complete */
	SEALWAY_VERIFY,  /* a check failed: do not trust what came */
	SEALWAY_STOPPED, /* a callback of yours asked to stop */
};

enum sealway_kind { /* the numbers of the receipt (PROTOCOL section 4.8) */
		    SEALWAY_COMPLETIONS = 1,
		    SEALWAY_CHAT = 2,
		    SEALWAY_EMBEDDINGS = 3,
		    SEALWAY_IMAGES = 4,
};

/* What crossed the wire, for on_wire. */
enum sealway_wire {
	SEALWAY_WIRE_LOCK,        /* body of POST /v1/nodes/lock */
	SEALWAY_WIRE_LOCK_ANSWER, /* and its answer */
	SEALWAY_WIRE_REQUEST,     /* the sealed request */
	SEALWAY_WIRE_ANSWER,      /* one sealed object of the answer */
};

/* All zero is a valid default for everything but url and token.  Strings are
 * copied by sealway_new. */
struct sealway_opts {
	const char *url;     /* gateway, "https://host[:port]" or "http://..."; a path is kept as prefix */
	const char *token;   /* bearer token, visible ASCII */
	const char *ca_file; /* certificates to trust instead of the system's; NULL: the system's */
	const char *known_nodes; /* pin file; NULL: $XDG_CONFIG_HOME/sealway/known_nodes or below ~/.config */
	const char *node_key; /* base64 of the node's signing key: used instead of the pin file; NULL: pins */
	/* Take nodes that have no statement, signature or receipt.  Their key is the gateway's word: with one
	 * of its own it could read the request. */
	bool allow_foreign;
	unsigned timeout_s; /* for one whole call, with all that is tried again, 1..86400; 0: 3600 */
	unsigned lock_s;    /* how long a lock is asked for, 1..600; 0: 5 */
	/* Something a person should know: a node was pinned or proves nothing, an attempt is repeated, more
	 * units were counted than reserved, the way to the gateway has no TLS. */
	void (*on_note)(void *arg, const char *text);
	/* Every body as it crosses the wire (JSON text, never the token, never plaintext). */
	void (*on_wire)(void *arg, enum sealway_wire what, const char *json, size_t n);
	void *arg;
};

struct sealway_request {
	enum sealway_kind kind;
	const char *model; /* 1..256 bytes */
	bool stream;       /* completions and chat only */
	/* The plaintext request, an OpenAI-shaped JSON object.  "model" and "stream" are set by the
	 * library; where the object has them they must agree. */
	const char *json;
	size_t json_n;
	uint64_t units; /* tokens or pixels to reserve; 0: what the model declares */
	/* One decrypted and verified object, JSON without the padding, in order; last is true exactly
	 * once, after every check has passed.  Not streamed: one object, the last.  Wiped after the call.
	 * Return false to stop.  Must not be NULL. */
	bool (*on_object)(void *arg, const char *json, size_t n, bool last);
	void *arg;
};

/* What a finished answer cost, from its verified receipt (zeros for foreign nodes). */
struct sealway_cost {
	uint64_t node, stack;        /* node_small_id, stack_small_id */
	uint64_t prompt, completion; /* units; billed are at most those reserved */
	uint32_t objects;
	bool receipt; /* there was one, and it verified */
};

struct sealway;

/* A client.  NULL with a text in why (at most n bytes, NUL included) when an
 * option is unusable.  Free with sealway_free. */
struct sealway *sealway_new(const struct sealway_opts *o, char *why, size_t n);

/* Frees s and wipes what it held; NULL is fine.  (What libcurl freed is not: the token may stay in memory
 * until that is used again.  Keys and plaintext never get there.) */
void sealway_free(struct sealway *s);

/* Runs one request to its end.  423 and 425 are tried again with a fresh lock
 * and a fresh encryption, at most 3 times; 429 and 503 with a Retry-After
 * of at most 30 s twice; nothing is tried again once an object was handed over.  A sealed request
 * to which a kept connection ended without an answer goes out once more as it is, for a node answers it once;
 * one to a foreign node does not, and after either nothing is tried again: it may be billed.  With a stream,
 * objects handed over before a failure were authentic and in order; only
 * SEALWAY_OK says that they were all. */
enum sealway_status sealway_run(struct sealway *s, const struct sealway_request *r);

/* What went wrong in the last sealway_run, one sentence; "" after success.
 * Valid until the next call with s. */
const char *sealway_error(const struct sealway *s);

/* The HTTP status of the last refusal (SEALWAY_REFUSED), else 0. */
int sealway_error_status(const struct sealway *s);

/* The cost of the last finished answer. */
void sealway_last_cost(const struct sealway *s, struct sealway_cost *out);

/* The proof of the last finished answer as JSON text: receipt, signature, node
 * signing key, key statement and its signature, response hashes, and what they
 * are checked against.  NULL when there is none.  Contains hashes of what was
 * said: keep it like the text itself.  Free with sealway_text_free. */
char *sealway_receipt(const struct sealway *s);

/* What a stored receipt says. */
struct sealway_receipt_info {
	uint64_t node, stack, prompt, completion, unix_s;
	enum sealway_kind kind;
	uint32_t objects;
	bool stopped; /* the answer was stopped early */
	char model[257];
	char node_key[45]; /* base64 of the signing key that everything was checked with */
};

/* Checks a stored receipt (text of sealway_receipt) offline: statement, key,
 * receipt, signatures, model, hashes.  node_key: base64 of the signing key you
 * trust, or NULL to take the file's own.  False with a text in why. */
bool sealway_receipt_verify(const char *json, size_t n, const char *node_key,
			    struct sealway_receipt_info *out, char *why, size_t why_n);

/* GET path ("/health", "/v1/models": it begins with /) with the token; the body goes to *body
 * (NUL-terminated, free with sealway_text_free).  Returns the HTTP status, or
 * 0 with sealway_error saying why; *body is then left alone. */
int sealway_get(struct sealway *s, const char *path, char **body);

/* As sealway_get, but with the patience of sealway_run: 429 and 503 with Retry-After are tried again.  False
 * for any answer but 200, with sealway_error and sealway_error_status; *body is then left alone. */
bool sealway_fetch(struct sealway *s, const char *path, char **body);

/* Wipes and frees a text that this library returned; NULL is fine. */
void sealway_text_free(char *text);

#ifdef __cplusplus
}
#endif

#endif
