/* SPDX-License-Identifier: Apache-2.0
 *
 * Accepted sockets: TLS handshake, which protocol, the list of all of them
 * with what each is doing, the cap and the eviction of idle ones.  We choose
 * the protocol ourselves instead of letting h2o upgrade, so that the frame
 * guard sees the first HTTP/2 byte and "Upgrade: h2c" does not exist.
 *
 * h2o may free its connection at any time; conn_closed, called by h2o when it
 * disposes of the socket, is the only place where a conn ends.
 */
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "common/httpd/internal.h"
#include "common/log.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
/* Bytes that the kernel takes beyond what it has sent; what is under way comes on top.  A
 * client that stops reading pays for what was made meanwhile, so that it is not to be much. */
#define UNSENT (128 << 10)

static void conn_closed(void *arg)
{
	struct conn *c = arg;
	struct httpd *h = c->h;

	h2o_linklist_unlink(&c->all);
	if (h2o_linklist_is_linked(&c->idle))
		h2o_linklist_unlink(&c->idle);
	if (c->gone != NULL)
		*c->gone = true;
	h->held -= c->held;
	h->nconns--;
	if (c->cut)
		h->ncut--;
	tls_let_go(c->tls);
	free(c);
	httpd_settle(h);
}

struct conn *conn_of(const h2o_req_t *req)
{
	return req->conn->callbacks->get_socket(req->conn)->on_close.data;
}

void conn_cut(struct conn *c)
{
	if (c->cut)
		return;
	c->cut = true;
	c->h->ncut++;
	shutdown(h2o_socket_get_fd(c->sock), SHUT_RDWR);
}

void conn_request_open(struct conn *c)
{
	c->open++;
	c->recv_since = 0;
	c->headed = false;
	c->served = true;
	if (h2o_linklist_is_linked(&c->idle))
		h2o_linklist_unlink(&c->idle);
}

void conn_request_done(struct conn *c, bool clean)
{
	uint64_t now = uv_now(c->h->uv);

	c->open--;
	c->since = now;
	c->resets -= c->resets > 0 && clean;
	if (c->open == 0 && !c->cut)
		h2o_linklist_insert(&c->h->idle, &c->idle);
}

/* h2o's accept functions parse what is in the buffer before they return; ours
 * to hand over only after the hook is in place. */
static void start_http2(struct conn *c)
{
	h2o_socket_t *sock = c->sock;
	h2o_buffer_t *early = sock->input;
	struct timeval at = { 0 };

	c->state = CONN_HTTP2;
	h2o_buffer_init(&sock->input, &h2o_socket_buffer_prototype);
	h2o_http2_accept(&c->h->accept, sock, at);
	sock->input = early;
	c->read = sock->_cb.read;
	sock->_cb.read = h2guard_read;
	if (sock->input->size > 0)
		h2guard_read(sock, NULL);
}

static void start_http1(struct conn *c)
{
	struct timeval at = { 0 };

	c->state = CONN_HTTP1;
	h2o_http1_accept(&c->h->accept, c->sock, at);
}

static void on_sniff(h2o_socket_t *sock, const char *err)
{
	struct conn *c = sock->on_close.data;
	size_t n = sock->input->size, want = sizeof(PREFACE) - 1;

	if (err != NULL) {
		h2o_socket_close(sock);
		return;
	}
	if (n == 0)
		return;
	if (memcmp(sock->input->bytes, PREFACE, n < want ? n : want) != 0)
		start_http1(c);
	else if (n >= want)
		start_http2(c); /* its reader compares again, as for TLS */
}

static void on_handshake(h2o_socket_t *sock, const char *err)
{
	struct conn *c = sock->on_close.data;
	h2o_iovec_t alpn;

	if (err != NULL) {
		h2o_socket_close(sock);
		return;
	}
	alpn = h2o_socket_ssl_get_selected_protocol(sock);
	if (h2o_memis(alpn.base, alpn.len, H2O_STRLIT("h2")))
		start_http2(c);
	else
		start_http1(c);
}

/* Room for one more: the connection that has been idle longest gives way. */
static bool make_room(struct httpd *h)
{
	struct conn *oldest;

	if (h->nconns - h->ncut < h->o.max_conns)
		return true;
	if (h2o_linklist_is_empty(&h->idle))
		return false;
	oldest = H2O_STRUCT_FROM_MEMBER(struct conn, idle, h->idle.next);
	h2o_linklist_unlink(&oldest->idle);
	conn_cut(oldest);
	return true;
}

/* Without UNSENT the kernel takes what the host's tcp_wmem allows, 4 MB by default. */
static void set_socket(uv_tcp_t *tcp)
{
	int unsent = UNSENT;
	uv_os_fd_t fd;

	uv_tcp_nodelay(tcp, 1);
	if (uv_fileno((uv_handle_t *)tcp, &fd) == 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

void conn_new(struct httpd *h, uv_tcp_t *tcp)
{
	struct conn *c;

	if (h->closing || !make_room(h)) {
		uv_close((uv_handle_t *)tcp, (uv_close_cb)free);
		return;
	}
	set_socket(tcp);
	c = mem_new(sizeof(*c));
	c->h = h;
	c->since = c->accepted = uv_now(h->uv);
	c->stream = (uv_stream_t *)tcp;
	c->sock = h2o_uv_socket_create((uv_stream_t *)tcp, (uv_close_cb)free);
	c->sock->on_close.cb = conn_closed;
	c->sock->on_close.data = c;
	h2o_linklist_init_anchor(&c->open_reqs);
	h2o_linklist_insert(&h->conns, &c->all);
	h2o_linklist_insert(&h->idle, &c->idle);
	h->nconns++;
	if (h->o.tls != NULL) {
		c->state = CONN_TLS;
		c->tls = tls_hold(h->o.tls);
		h2o_socket_ssl_handshake(c->sock, c->tls, NULL, on_handshake);
		uvguard_tls(c->stream);
	} else {
		h2o_socket_read_start(c->sock, on_sniff);
	}
}
