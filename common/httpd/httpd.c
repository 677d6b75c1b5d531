/* SPDX-License-Identifier: Apache-2.0
 *
 * A server from open to the last closed handle.  Order of death: httpd_close
 * cuts the sockets, h2o disposes of its connections in the next loop turns,
 * the last one lets our own libuv handles close, the last of these disposes of
 * h2o's context and frees the server.
 */
#include <pthread.h>
#include <string.h>

#include "common/httpd/internal.h"
#include "common/log.h"

static void on_check(uv_check_t *check)
{
	stream_flush_all(check->data);
}

static void set_limits(struct httpd *h)
{
	const struct httpd_opts *o = &h->o;
	uint64_t longest = o->head_ms + o->body_ms > o->idle_ms ? o->head_ms + o->body_ms : o->idle_ms;

	h->conf.server_name = h2o_iovec_init(H2O_STRLIT("sealway"));
	h->conf.max_request_entity_size =
		o->max_body > SIZE_MAX / 4 ? SIZE_MAX / 2 : o->max_body * 2 + BODY_SLACK;
	h->conf.http1.upgrade_to_http2 = 0;
	h->conf.http1.req_timeout = longest + 2 * TICK_MAX_MS; /* ours come first */
	h->conf.http2.idle_timeout = longest + 2 * TICK_MAX_MS;
	h->conf.http2.max_concurrent_requests_per_connection = 100;
}

static void open_handles(struct httpd *h)
{
	BUG_ON(uv_check_init(h->uv, &h->check) != 0 || uv_idle_init(h->uv, &h->idle_turn) != 0);
	BUG_ON(uv_timer_init(h->uv, &h->drain) != 0);
	h->check.data = h->idle_turn.data = h->drain.data = h;
	h->handles += 3;
	uv_check_start(&h->check, on_check);
}

/* h2o would write bodies over 32 MiB to files under /tmp. */
static void keep_bodies_in_memory(void)
{
	h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX;
}

static void open_h2o(struct httpd *h)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	h2o_hostconf_t *host;

	pthread_once(&once, keep_bodies_in_memory);
	h2o_config_init(&h->conf);
	set_limits(h);
	host = h2o_config_register_host(&h->conf, h2o_iovec_init(H2O_STRLIT("default")), 65535);
	request_register(h, host);
	h2o_context_init(&h->ctx, h->uv, &h->conf);
	h->accept.ctx = &h->ctx;
	h->accept.hosts = h->conf.hosts;
	h->ready = true;
}

enum err httpd_open(struct httpd **out, uv_loop_t *uv, const struct httpd_opts *o)
{
	struct httpd *h = mem_new(sizeof(*h));
	enum err e;

	h->uv = uv;
	h->o = *o;
	h->watch_fd = -1;
	h->dirty_tail = &h->dirty_head;
	h2o_linklist_init_anchor(&h->conns);
	h2o_linklist_init_anchor(&h->idle);
	h2o_linklist_init_anchor(&h->reqs);
	h2o_linklist_init_anchor(&h->young);
	h2o_linklist_init_anchor(&h->linger);
	open_h2o(h);
	open_handles(h);
	e = watch_open(h);
	if (e == ERR_OK)
		e = listen_open(h, o);
	if (e == ERR_OK && !o->later)
		e = httpd_listen(h);
	h->o.listen = NULL;
	if (e != ERR_OK) {
		httpd_close(h);
		return e;
	}
	*out = h;
	return ERR_OK;
}

uint16_t httpd_port(const struct httpd *h)
{
	return h->port;
}

unsigned httpd_conns(const struct httpd *h)
{
	return h->nconns;
}

static void free_all(struct httpd *h)
{
	h2o_context_dispose(&h->ctx);
	h2o_config_dispose(&h->conf);
	free(h);
}

void httpd_handle_closed(uv_handle_t *handle)
{
	struct httpd *h = handle->data;

	if (--h->handles == 0)
		free_all(h);
}

/* Nothing of h2o's is left: our handles may go. */
static void close_handles(struct httpd *h)
{
	watch_close(h);
	uv_close((uv_handle_t *)&h->check, httpd_handle_closed);
	uv_close((uv_handle_t *)&h->idle_turn, httpd_handle_closed);
	uv_close((uv_handle_t *)&h->drain, httpd_handle_closed);
}

void httpd_settle(struct httpd *h)
{
	if (!h->closing || h->nconns > 0 || !h->ready)
		return;
	h->ready = false;
	close_handles(h);
}

void httpd_close(struct httpd *h)
{
	h2o_linklist_t *l;

	if (h == NULL || h->closing)
		return;
	h->closing = true;
	h->drained = NULL;
	listen_close(h);
	while (!h2o_linklist_is_empty(&h->reqs)) {
		struct hreq *r = H2O_STRUCT_FROM_MEMBER(struct hreq, all, h->reqs.next);

		h2o_linklist_unlink(&r->all);
		request_kill(r);
	}
	for (l = h->conns.next; l != &h->conns; l = l->next)
		conn_cut(H2O_STRUCT_FROM_MEMBER(struct conn, all, l));
	httpd_settle(h);
}
