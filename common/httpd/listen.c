/* SPDX-License-Identifier: Apache-2.0
 *
 * The listening socket: a numeric IPv4 or bracketed IPv6 address and a port.
 * Closing one listener of a SO_REUSEPORT group resets the connections that
 * wait in its accept queue, so the queue is emptied before it is closed.
 *
 * When no descriptor is to be had, a spare one is given up to take the next client
 * and hang up on it, so that it may go elsewhere.  Where even that is gone (other
 * threads take descriptors, too) or does not help (the kernel has no memory for the
 * socket, which is ENFILE, too), the listener rests for a while: it would be readable
 * all the time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/httpd/internal.h"
#include "common/log.h"

#define BACKLOG 1024
#define ACCEPTS_MAX 64 /* of one turn of the loop */
#define REST_MS 100
#define SAY_AGAIN_MS 10000

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

/* Of this listener now and then only: it may be true of every client. */
static void say_failed(struct httpd *h, int e)
{
	uint64_t now = uv_now(h->uv);

	if (now < h->say_accept_at)
		return;
	h->say_accept_at = now + SAY_AGAIN_MS;
	log_warn("accept_failed", L_U("port", h->port), L_S("why", strerror(e)),
		 L_S("do", e == EMFILE || e == ENFILE
				   ? "raise the limit of open files (LimitNOFILE, ulimit -n)"
				   : ""));
}

static void take_spare(struct httpd *h)
{
	if (h->spare < 0)
		h->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* False: it waits still. */
static bool turn_one_away(struct httpd *h)
{
	bool gone;
	int fd;

	if (h->spare < 0)
		return false;
	close(h->spare);
	h->spare = -1;
	fd = accept4(h->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	gone = fd >= 0 || errno == EAGAIN;
	if (fd >= 0)
		close(fd);
	take_spare(h);
	return gone;
}

static void on_acceptable(uv_poll_t *p, int status, int events);

static void on_rested(uv_timer_t *t)
{
	struct httpd *h = t->data;

	take_spare(h);
	if (h->listening)
		uv_poll_start(&h->listener, UV_READABLE, on_acceptable);
}

static void no_room(struct httpd *h, int e)
{
	say_failed(h, e);
	if ((e == EMFILE || e == ENFILE) && turn_one_away(h))
		return;
	uv_poll_stop(&h->listener);
	uv_timer_start(&h->rest, on_rested, REST_MS, 0);
}

static void on_acceptable(uv_poll_t *p, int status, int events)
{
	struct httpd *h = p->data;
	int fd;

	(void)status;
	(void)events;
	for (int i = 0; i < ACCEPTS_MAX && h->listening; i++) {
		fd = accept4(h->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			adopt(h, fd);
		} else if (errno != EINTR && errno != ECONNABORTED) {
			if (errno != EAGAIN)
				no_room(h, errno);
			return;
		}
	}
}

static enum err failed(const char *listen, int e)
{
	log_error("listen_failed", L_S("listen", listen), L_S("why", strerror(e)),
		  L_S("do", e == EADDRINUSE ? "stop what listens there, or name another port" : ""));
	return ERR_IO;
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
	int fd;

	if (read_address(o->listen, &sa) != ERR_OK)
		return ERR_CONFIG;
	fd = bound_socket(&sa, o->reuseport);
	if (fd < 0)
		return failed(o->listen, errno);
	h->listen_fd = fd;
	h->spare = -1;
	BUG_ON(uv_poll_init(h->uv, &h->listener, fd) != 0 || uv_timer_init(h->uv, &h->rest) != 0);
	h->listener.data = h->rest.data = h;
	h->handles += 2;
	h->listening = true;
	h->port = bound_port(fd);
	return ERR_OK;
}

enum err httpd_listen(struct httpd *h)
{
	char port[8];

	if (!h->listening || h->serving)
		return ERR_OK;
	if (listen(h->listen_fd, BACKLOG) != 0) {
		snprintf(port, sizeof(port), "%u", h->port);
		return failed(port, errno);
	}
	h->serving = true;
	take_spare(h);
	uv_poll_start(&h->listener, UV_READABLE, on_acceptable);
	return ERR_OK;
}

void listen_close(struct httpd *h)
{
	int fd;

	if (!h->listening)
		return;
	h->listening = false;
	if (!h->closing)
		while ((fd = accept4(h->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
			adopt(h, fd);
	uv_close((uv_handle_t *)&h->listener, httpd_handle_closed);
	uv_close((uv_handle_t *)&h->rest, httpd_handle_closed);
	close(h->listen_fd);
	if (h->spare >= 0)
		close(h->spare);
}
