/* SPDX-License-Identifier: Apache-2.0
 *
 * The ZAP handler (ZeroMQ RFC 27) of a process that binds CURVE sockets: an
 * allow-list of peer keys by role.  Accepted peers get their key as User-Id,
 * which zmsg_peer_key returns for every message of theirs; what a role may say
 * is checked there, on every message.  Without a handler ZeroMQ would accept
 * every key, so a process with CURVE sockets opens this first.
 */
#ifndef SEALWAY_COMMON_ZAUTH_H
#define SEALWAY_COMMON_ZAUTH_H

#include "common/zauth_list.h"
#include "common/zsock.h"

struct zauth;

/* Opens the handler on the loop's thread; once per context, before any bind.  remedy is what the log says to do
 * about strangers; it has to last as long. */
struct zauth *zauth_open(struct zctx *c, uv_loop_t *uv, const char *remedy);

/* Closes it; NULL is fine. */
void zauth_close(struct zauth *a);

/* Allows key in a role, as zauth_list_add. */
enum err zauth_allow(struct zauth *a, const uint8_t key[32], enum zauth_role role) MUST_USE;

/* Takes a key away; new handshakes are refused, and zauth_roles says NONE. */
void zauth_revoke(struct zauth *a, const uint8_t key[32]);

/* The roles of a key, ZAUTH_NONE for a stranger's.  Looked up per message. */
unsigned zauth_roles(const struct zauth *a, const uint8_t key[32]);

/* For zprobe.c: from here on handshakes with that key are watched for (NULL: no
 * longer), and whether one was refused. */
void zauth_probe(struct zauth *a, const uint8_t key[32]);
bool zauth_probe_refused(const struct zauth *a);

/* Reads an allow-list file (zauth_list.h), which replaces the whole list.  On error names file and line in
 * the log and changes nothing: ERR_CONFIG/ERR_IO. */
enum err zauth_load(struct zauth *a, const char *path) MUST_USE;

/* Whether zauth_load could take the file: the same errors, said in the log. */
enum err zauth_check(const char *path) MUST_USE;

#endif
