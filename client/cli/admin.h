/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's admin socket (proto/admin.h): verbs with JSON arguments, over
 * ipc, for the owner of the directory.
 */
#ifndef SEALWAY_CLIENT_CLI_ADMIN_H
#define SEALWAY_CLIENT_CLI_ADMIN_H

#include <jansson.h>
#include <uv.h>

#include "client/cli/args.h"
#include "common/err.h"

struct admin_link;

/* The end of a call: e == ERR_OK and the reply, or an error and {"message"} (or
 * NULL).  body is borrowed.  Never called from inside admin_send. */
typedef void (*admin_done_fn)(void *arg, enum err e, json_t *body);

/* Connects on uv's thread; a broker that is not there yet is waited for. */
struct admin_link *admin_open(uv_loop_t *uv, const char *endpoint);

/* Sends one verb; one call at a time.  args is taken over.  After ms without an answer ERR_CLOSED when no
 * broker took it, ERR_TIMEOUT when one did: then nobody knows whether it was done. */
void admin_send(struct admin_link *a, const char *verb, json_t *args, unsigned ms, admin_done_fn done,
		void *arg);

/* Closes; a call under way ends without done.  NULL is fine. */
void admin_close(struct admin_link *a);

/* Where the operator's commands find the broker, as options. */
struct admin_where {
	const char *dir, *endpoint;
	bool json;
};

#define ADMIN_ARGS(w)                                                                                        \
	{ "dir",                                                                                             \
	  ARG_TEXT,                                                                                          \
	  &(w)->dir,                                                                                         \
	  "DIR",                                                                                             \
	  "data directory of sealway up (SEALWAY_DIR; default ./sealway-data)",                              \
	  0,                                                                                                 \
	  0 },                                                                                               \
		{ "admin",                                                                                   \
		  ARG_TEXT,                                                                                  \
		  &(w)->endpoint,                                                                            \
		  "ENDPOINT",                                                                                \
		  "the broker's admin socket instead (SEALWAY_ADMIN), such as ipc:///run/sealway/admin",     \
		  0,                                                                                         \
		  0 },                                                                                       \
	{                                                                                                    \
		"json", ARG_FLAG, &(w)->json, NULL, "print the reply as JSON", 0, 0                          \
	}

/* Defaults from the environment. */
void admin_where_init(struct admin_where *w);

/* One verb, from start to end; args is taken over.  The reply (owned by the
 * caller), or NULL with the reason said on stderr. */
json_t *admin_call(const struct admin_where *w, const char *verb, json_t *args);

/* Prints a reply: as JSON, or an array of objects under member as a table, or
 * its scalar members one per line. */
void admin_print(const struct admin_where *w, const json_t *reply, const char *member);

#endif
