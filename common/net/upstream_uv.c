/* SPDX-License-Identifier: Apache-2.0
 *
 * libcurl's sockets and its timer on libuv (upstream_impl.h).  Callbacks of
 * curl run with in_curl > 0; afterwards upstream_settle does what they asked
 * for.
 */
#include "common/net/upstream_impl.h"

#include <stdlib.h>

struct watch { /* one socket of curl's */
	uv_poll_t poll;
	struct upstream *up;
	curl_socket_t fd;
};

static void on_watch_closed(uv_handle_t *h)
{
	struct watch *w = h->data;
	struct upstream *u = w->up;

	free(w);
	upstream_unuse(u);
}

static void on_timer_closed(uv_handle_t *h)
{
	upstream_unuse(h->data);
}

static void drive(struct upstream *u, curl_socket_t fd, int events)
{
	int running;

	u->in_curl++;
	curl_multi_socket_action(u->multi, fd, events, &running);
	u->in_curl--;
	upstream_settle(u);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	struct watch *w = p->data;
	int flags = 0;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	drive(w->up, w->fd, flags);
}

static void on_timeout(uv_timer_t *t)
{
	drive(t->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *m, long ms, void *arg)
{
	struct upstream *u = arg;

	(void)m;
	if (u->closing)
		return 0;
	if (ms < 0)
		uv_timer_stop(&u->timer);
	else
		uv_timer_start(&u->timer, on_timeout, (uint64_t)ms, 0);
	return 0;
}

static struct watch *watch_new(struct upstream *u, curl_socket_t fd)
{
	struct watch *w = mem_new(sizeof(*w));

	w->up = u;
	w->fd = fd;
	w->poll.data = w;
	BUG_ON(uv_poll_init(u->uv, &w->poll, fd));
	u->users++;
	curl_multi_assign(u->multi, fd, w);
	return w;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *mine)
{
	struct upstream *u = arg;
	struct watch *w = mine;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w)
			uv_close((uv_handle_t *)&w->poll, on_watch_closed);
		curl_multi_assign(u->multi, fd, NULL);
		return 0;
	}
	if (!w)
		w = watch_new(u, fd);
	uv_poll_start(&w->poll,
		      (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0),
		      on_poll);
	return 0;
}

void upstream_uv_open(struct upstream *u)
{
	curl_multi_setopt(u->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl_multi_setopt(u->multi, CURLMOPT_SOCKETDATA, u);
	curl_multi_setopt(u->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(u->multi, CURLMOPT_TIMERDATA, u);
	uv_timer_init(u->uv, &u->timer);
	u->timer.data = u;
	u->users++;
}

void upstream_uv_close(struct upstream *u)
{
	uv_close((uv_handle_t *)&u->timer, on_timer_closed);
}
