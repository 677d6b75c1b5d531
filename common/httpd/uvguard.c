/* SPDX-License-Identifier: Apache-2.0
 *
 * Stands between libh2o 2.2.5 and two functions of libuv that it does not call
 * as libuv means it.  The names are libuv's own: the dynamic linker prefers a
 * program's symbols to a library's, so libh2o's calls come here.
 *
 * - Once TLS cannot write any more (the client sent a fatal alert, or a record
 *   that does not verify), libh2o writes no buffers at all, which libuv asserts
 *   away.  Here such a write fails like any other.
 * - libuv says "nothing more" with a read of no bytes whenever the read before
 *   filled its buffer, and libh2o's TLS reader takes that for an error.  Here it
 *   does not hear of it, nor of what a connection sends that is already cut.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "common/httpd/internal.h"
#include "common/log.h"

typedef int (*read_start_fn)(uv_stream_t *s, uv_alloc_cb alloc, uv_read_cb cb);

static read_start_fn libuv_read_start;
static _Atomic(uv_read_cb) h2o_read_tls; /* the same for all connections */

static void find_read_start(void)
{
	libuv_read_start = (read_start_fn)dlsym(RTLD_NEXT, "uv_read_start");
	BUG_ON(libuv_read_start == NULL);
}

static void read_tls(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	const h2o_socket_t *sock = s->data;
	const struct conn *c = sock->on_close.data;

	if (n < 0 || (n > 0 && !c->cut))
		h2o_read_tls(s, n, buf);
}

void uvguard_tls(uv_stream_t *s)
{
	if (s->read_cb == NULL || s->read_cb == read_tls)
		return;
	h2o_read_tls = s->read_cb;
	s->read_cb = read_tls;
}

int uv_read_start(uv_stream_t *s, uv_alloc_cb alloc, uv_read_cb cb)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_read_start);
	return libuv_read_start(s, alloc, cb != NULL && cb == h2o_read_tls ? read_tls : cb);
}

int uv_write(uv_write_t *req, uv_stream_t *s, const uv_buf_t bufs[], unsigned n, uv_write_cb cb)
{
	uv_buf_t nothing = uv_buf_init("", 1); /* a byte that a socket shut down does not take */
	uv_os_fd_t fd;

	if (n > 0)
		return uv_write2(req, s, bufs, n, NULL, cb);
	if (uv_fileno((uv_handle_t *)s, &fd) == 0)
		shutdown(fd, SHUT_RDWR);
	return uv_write2(req, s, &nothing, 1, NULL, cb);
}
