/* SPDX-License-Identifier: Apache-2.0
 *
 * Names looked up beside the loop, one thread each: libuv's own few threads would
 * be held by names whose servers never answer, and so would its loop at the end.
 * What nobody waits for any more is left to end by itself.
 */
#ifndef SEALWAY_COMMON_NET_LOOKUP_H
#define SEALWAY_COMMON_NET_LOOKUP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <uv.h>

#define LOOKUP_MAX 64          /* at a time */
#define LOOKUP_DOUBTFUL_MAX 16 /* of them, for names that led nowhere the last time */
#define ADDRESSES_MAX 16       /* of one name; more are left out */

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct addresses {
	unsigned n;
	bool unanswered; /* n is 0 because nobody answered, not because the name leads nowhere */
	union address at[ADDRESSES_MAX]; /* port 0 */
};

struct lookups;

/* Where answers go, on uv's thread; found->n is 0 if the name leads nowhere. */
typedef void (*lookup_done)(void *who, const struct addresses *found);

/* closed(arg) is called when its handle is closed, after lookups_free. */
struct lookups *lookups_new(uv_loop_t *uv, lookup_done done, void (*closed)(void *arg), void *arg);

/* Looks host up for who.  False: too many are running, or no thread to be had.  Doubtful names have a few
 * places of their own: those that never get an answer would hold all of them before long. */
bool lookup_start(struct lookups *l, const char *host, bool doubtful, void *who);

/* No answer comes after this. */
void lookups_free(struct lookups *l);

/* The address if host is one by itself (no brackets). */
bool lookup_literal(const char *host, struct addresses *out);

#endif
