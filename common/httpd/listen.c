/* SPDX-License-Identifier: Apache-2.0
 *
 * The listening socket: a numeric IPv4 or bracketed IPv6 address and a port.
 * Closing one listener of a SO_REUSEPORT group resets the connections that
 * wait in its accept queue, so the queue is emptied before it is closed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/httpd/internal.h"
#include "common/log.h"

#define BACKLOG 1024

static enum err parse_address(const char *text, struct sockaddr_storage *sa)
{
	const char *colon = text != NULL ? strrchr(text, ':') : NULL;
	char host[64];
	uint64_t port;
	size_t n;

	if (colon == NULL || slice_u64(slice_str(colon + 1), 65535, &port) != ERR_OK)
		return ERR_CONFIG;
	n = (size_t)(colon - text);
	if (n >= 2 && text[0] == '[' && colon[-1] == ']') {
		text++;
		n -= 2;
	} else if (memchr(text, ':', n) != NULL) {
		return ERR_CONFIG;
	}
	if (n == 0 || n >= sizeof(host))
		return ERR_CONFIG;
	memcpy(host, text, n);
	host[n] = 0;
	if (uv_ip4_addr(host, (int)port, (struct sockaddr_in *)sa) == 0 ||
	    uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)sa) == 0)
		return ERR_OK;
	return ERR_CONFIG;
}

/* A bound, non-blocking socket, or -1 with errno. */
static int bound_socket(const struct sockaddr_storage *sa, bool reuseport)
{
	bool six = sa->ss_family == AF_INET6;
	int fd = socket(sa->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, e;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    (!reuseport || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
	    bind(fd, (const struct sockaddr *)sa,
		 six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)) == 0)
		return fd;
	e = errno;
	close(fd);
	errno = e;
	return -1;
}

static uint16_t bound_port(int fd)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t n = sizeof(sa);

	if (getsockname(fd, (struct sockaddr *)&sa, &n) != 0)
		return 0;
	return ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
					      : ((struct sockaddr_in *)&sa)->sin_port);
}

static void adopt(struct httpd *h, int fd)
{
	uv_tcp_t *tcp = mem_new(sizeof(*tcp));

	if (uv_tcp_init(h->uv, tcp) != 0) {
		free(tcp);
		close(fd);
		return;
	}
	if (uv_tcp_open(tcp, fd) != 0) {
		close(fd);
		uv_close((uv_handle_t *)tcp, (uv_close_cb)free);
		return;
	}
	conn_new(h, tcp);
}

static void on_connection(uv_stream_t *s, int status)
{
	struct httpd *h = s->data;
	uv_tcp_t *tcp;

	if (status != 0) {
		log_warn("accept_failed", L_I("errno", -status));
		return;
	}
	tcp = mem_new(sizeof(*tcp));
	if (uv_tcp_init(h->uv, tcp) != 0) {
		free(tcp);
		return;
	}
	if (uv_accept(s, (uv_stream_t *)tcp) != 0) {
		uv_close((uv_handle_t *)tcp, (uv_close_cb)free);
		return;
	}
	conn_new(h, tcp);
}

static enum err read_address(const char *listen, struct sockaddr_storage *sa)
{
	enum err e = parse_address(listen, sa);

	if (e != ERR_OK)
		log_error("listen_address", L_S("listen", listen != NULL ? listen : ""),
			  L_S("do", "give a numeric address and a port: 127.0.0.1:8090, [::1]:8090"));
	return e;
}

enum err httpd_check(const char *listen)
{
	struct sockaddr_storage sa = { 0 };

	return read_address(listen, &sa);
}

enum err listen_open(struct httpd *h, const struct httpd_opts *o)
{
	struct sockaddr_storage sa = { 0 };
	int fd, r;

	if (read_address(o->listen, &sa) != ERR_OK)
		return ERR_CONFIG;
	fd = bound_socket(&sa, o->reuseport);
	if (fd < 0) {
		log_error("listen_failed", L_S("listen", o->listen), L_I("errno", errno));
		return ERR_IO;
	}
	BUG_ON(uv_tcp_init(h->uv, &h->listener) != 0);
	h->listener.data = h;
	h->handles++;
	h->listening = true;
	r = uv_tcp_open(&h->listener, fd);
	if (r != 0)
		close(fd);
	if (r == 0)
		r = uv_listen((uv_stream_t *)&h->listener, BACKLOG, on_connection);
	if (r != 0) {
		log_error("listen_failed", L_S("listen", o->listen), L_I("errno", -r));
		return ERR_IO;
	}
	h->port = bound_port(fd);
	return ERR_OK;
}

void listen_close(struct httpd *h)
{
	uv_os_fd_t lfd;
	int fd;

	if (!h->listening)
		return;
	h->listening = false;
	if (!h->closing && uv_fileno((uv_handle_t *)&h->listener, &lfd) == 0)
		while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
			adopt(h, fd);
	uv_close((uv_handle_t *)&h->listener, httpd_handle_closed);
}
