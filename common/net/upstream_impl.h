/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the HTTP client: upstream.c (requests and the pool), upstream_uv.c
 * (curl's sockets and timer on libuv), upstream_curl.c (one exchange: options
 * and callbacks).  Nobody else includes this, nor curl.h.
 */
#ifndef SEALWAY_COMMON_NET_UPSTREAM_IMPL_H
#define SEALWAY_COMMON_NET_UPSTREAM_IMPL_H

#include <curl/curl.h>

#include "common/net/upstream.h"

#define UPSTREAM_TYPE_MAX 96

struct upstream {
	uv_loop_t *uv;
	CURLM *multi;
	uv_timer_t timer; /* curl's own */
	struct upstream_req *reqs;
	struct upstream_req *cancelled; /* inside curl; upstream_settle closes them */
	struct upstream_opts o;
	char *ca_file;
	unsigned in_curl;
	unsigned users; /* libuv handles not closed yet */
	bool closing;
};

struct upstream_req {
	struct upstream *up;
	struct upstream_req *next, **link; /* in reqs or cancelled */
	CURL *easy;                        /* NULL once taken out of the multi handle */
	struct curl_slist *headers;
	uv_timer_t timer; /* deadlines, and resuming */
	struct upstream_call c;
	size_t sent;                   /* bytes of the body handed to curl */
	uint64_t began, progress, got; /* ms; ms; body bytes */
	uint64_t started;
	int status;
	char type[UPSTREAM_TYPE_MAX];
	bool begun;      /* connected: bytes may have gone out */
	bool head;       /* on_head was called */
	bool bounded;    /* the body's end is marked */
	bool paused;     /* asked for */
	bool held;       /* curl stopped reading */
	bool refused;    /* allow_address said no */
	bool late, over; /* a deadline passed; over max_body, or a coding nobody asked for */
	bool tls;        /* an https:// URL */
	bool coded;      /* Transfer-Encoding was there */
	bool dead;       /* cancelled: no more callbacks */
};

/* upstream.c: carries out what could not be done inside curl: ends requests that
 * are through or cancelled. */
void upstream_settle(struct upstream *u);
/* One libuv handle of u's is closed; the last one frees u. */
void upstream_unuse(struct upstream *u);

/* upstream_uv.c: connects u->multi to libuv. */
void upstream_uv_open(struct upstream *u);
/* Closes what is left of it; u->multi is gone already. */
void upstream_uv_close(struct upstream *u);

/* upstream_curl.c: r->easy from r->c. */
void upstream_curl_open(struct upstream_req *r);

#endif
