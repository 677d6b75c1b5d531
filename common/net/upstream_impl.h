/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the HTTP client: upstream.c (requests and their deadlines),
 * upstream_pool.c (what is kept for each origin: addresses and idle
 * connections), upstream_conn.c (one connection: connecting, sending, reading),
 * upstream_text.c (URLs and request heads), upstream_tls.c (OpenSSL, whose only
 * includer it is).  Nobody else includes this.
 */
#ifndef SEALWAY_COMMON_NET_UPSTREAM_IMPL_H
#define SEALWAY_COMMON_NET_UPSTREAM_IMPL_H

#include <sys/queue.h>

#include "common/map.h"
#include "common/net/answer.h"
#include "common/net/lookup.h"
#include "common/net/upstream.h"

#define UPSTREAM_READ 65536 /* bytes of one read, shared by all connections of a pool */
#define UPSTREAM_URL_MAX 8192
#define UPSTREAM_HOST_MAX 253
#define ORIGIN_KEY 32

struct tls_client; /* upstream_tls.c: settings of all connections of a pool */
struct tls_conn;   /* one of them */

TAILQ_HEAD(conn_list, conn);

/* A URL that can be used; slices point into the text it was made from. */
struct target {
	bool tls;
	struct slice host; /* without brackets */
	uint16_t port;
	struct slice authority, path; /* as they go into a request */
};

struct upstream {
	uv_loop_t *uv;
	uv_timer_t sweep; /* drops what was idle for too long */
	struct upstream_opts o;
	char *ca_file;
	struct tls_client *tls; /* from the first https:// on */
	struct lookups *lookups;
	uint64_t names_due; /* ms: not before it is said again of a name that it was not found */
	struct map *origins;
	struct conn_list idle; /* oldest first */
	unsigned n_idle;
	struct upstream_req *reqs; /* all that do not wait for a name */
	unsigned in_call;          /* inside on_head or on_data */
	unsigned users;            /* libuv handles not closed yet */
	bool closing;
	uint8_t buffer[UPSTREAM_READ];
};

/* Where requests go: host, port, TLS or not. */
struct origin {
	struct upstream *up;
	uint8_t key[ORIGIN_KEY];
	char *host;
	uint16_t port;
	bool tls;
	bool looking;
	bool doubtful;                /* the last time its name led nowhere */
	bool silent;                  /* nobody answered then, or nobody has for a while: found will do */
	bool stale;                   /* found could not be reached since; it will do while nobody answers */
	struct addresses found;       /* n 0: none yet */
	uint64_t found_at;            /* or not; ms, 0: not looked yet */
	uint64_t asked_at;            /* ms; while looking */
	struct upstream_req *waiting; /* for the name */
	struct conn_list idle;        /* oldest first */
	unsigned users;               /* requests and connections */
};

enum conn_state { CONN_CONNECTING, CONN_TLS, CONN_OPEN };

struct conn {
	uv_poll_t poll;
	struct upstream *up;
	struct origin *origin;
	struct upstream_req *req; /* NULL: idle */
	struct tls_conn *tls;
	int fd;
	int interest; /* UV_READABLE, UV_WRITABLE that are watched */
	enum conn_state state;
	bool tls_wants_write;
	bool used;        /* has carried an exchange before */
	bool send_broken; /* the peer takes no more; it may have answered before */
	uint64_t idle_since;
	struct buf rest;                      /* read, and not asked for yet (paused) */
	TAILQ_ENTRY(conn) of_pool, of_origin; /* while idle */
};

struct upstream_req {
	struct upstream *up;
	struct upstream_req *next, **link; /* in reqs, or waiting at its origin */
	struct origin *origin;             /* NULL: the URL was none */
	struct conn *conn;
	uv_timer_t timer; /* the start, deadlines, and resuming */
	struct upstream_call c;
	struct buf head; /* the request's; secret */
	struct answer answer;
	struct addresses to; /* what is tried, in this order */
	unsigned tried;
	size_t head_sent, sent;                 /* bytes of head and body that are on their way */
	size_t joined;                          /* bytes of the body that stand behind head */
	uint64_t started, began, progress, got; /* ms; ms; ms; body bytes */
	uint64_t set_out;                       /* ms: for a connection, which may be the second one */
	uint64_t look_at;                       /* when the timer fires */
	uint64_t attempt_until;                 /* of the connect in progress */
	bool begun;                             /* connected: bytes may have gone out */
	bool got_head;                          /* on_head was called */
	bool paused, resumed;                   /* asked for; resumed: not carried out yet */
	bool refused;                           /* allow_address said no */
	bool dead;                              /* cancelled or over: no more callbacks */
	bool again;                             /* was sent anew, which happens once at most */
};

/* upstream.c */
/* The end: takes r away, then on_done.  Neither r nor its pool may be touched afterwards. */
void upstream_finish(struct upstream_req *r, enum upstream_result result);
/* Looks whether the timer has to fire sooner than it would. */
void upstream_arm(struct upstream_req *r);
/* r leaves the list it is in for another one. */
void upstream_move(struct upstream_req *r, struct upstream_req **list);
/* One libuv handle of u's is closed; the last one frees u. */
void upstream_unuse(struct upstream *u);

/* upstream_text.c */
/* False: not a URL of http or https, or with a user's name, or with anything that does not belong. */
bool target_parse(struct slice url, struct target *t);
/* The head of c's request.  False: a header's name or value could break out of its line. */
bool target_head(const struct target *t, const struct upstream_call *c, struct buf *out);

/* upstream_pool.c */
void pool_open(struct upstream *u);
void pool_close(struct upstream *u);
struct origin *origin_get(struct upstream *u, const struct target *t);
void origin_unuse(struct origin *o);
/* Brings r to a connection: an idle one, or a new one when the name is known. */
void pool_connect(struct upstream_req *r);
/* No address of it could be reached: the name is asked for anew next time, and only where nobody answers they
 * do again. */
void origin_forget(struct origin *o);
/* c has carried its exchange and can carry another. */
void pool_keep(struct conn *c);
/* c is idle no more. */
void pool_take(struct conn *c);

/* upstream_conn.c */
/* Tries the next address that r may go to; ends r when none is left. */
void conn_try(struct upstream_req *r);
/* Gives up r's connection, which does not stand yet, and tries the next address. */
void conn_next(struct upstream_req *r);
/* r goes out on c. */
void conn_use(struct conn *c, struct upstream_req *r);
/* Closes c's socket now and frees c soon. */
void conn_close(struct conn *c);
/* Nothing has come on c, which is idle, its end neither. */
bool conn_silent(const struct conn *c);
/* r reads on. */
void conn_resume(struct conn *c);

/* upstream_tls.c: results of reading and writing are bytes, or one of these. */
#define IO_AGAIN (-1) /* when the socket is readable, or writable if *wants_write */
#define IO_ERROR (-2) /* for good */
#define IO_END 0
struct tls_client *tls_client_new(const char *ca_file);
void tls_client_free(struct tls_client *t);
/* NULL: the settings were unusable (logged). */
struct tls_conn *tls_conn_new(struct tls_client *t, int fd, const char *host);
void tls_conn_free(struct tls_conn *c);
/* 1 when chain and host name are checked and the connection stands. */
int tls_shake(struct tls_conn *c, bool *wants_write);
long tls_read(struct tls_conn *c, void *to, size_t n, bool *wants_write);
long tls_write(struct tls_conn *c, struct slice data, bool *wants_write);
/* Bytes that were taken from the socket and not read yet. */
bool tls_pending(const struct tls_conn *c);

#endif
