/* SPDX-License-Identifier: Apache-2.0
 *
 * Health, readiness and metrics of a process (admin.h).
 */
#include "common/httpd/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/httpd/httpd.h"
#include "common/log.h"
#include "common/stats.h"

struct admin_http {
	struct httpd *httpd;
	bool (*ready)(void *arg);
	void *arg;
};

static void answer(struct hreq *r, int status, const char *type, struct slice body)
{
	struct hheader h = { "content-type", slice_str(type) };

	hreq_respond(r, status, &h, 1, body);
}

static void answer_text(struct hreq *r, int status, const char *text)
{
	answer(r, status, "text/plain; charset=utf-8", slice_str(text));
}

static void answer_metrics(struct hreq *r)
{
	struct buf b = { 0 };

	stats_write(&b);
	answer(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_slice(&b));
	buf_free(&b);
}

static void on_request(void *arg, struct hreq *r)
{
	struct admin_http *a = arg;
	struct slice path = hreq_path(r);

	if (!slice_is(hreq_method(r), "GET"))
		answer_text(r, 405, "only GET here\n");
	else if (slice_is(path, "/health"))
		answer_text(r, 200, "ok\n");
	else if (slice_is(path, "/ready") && a->ready(a->arg))
		answer_text(r, 200, "ready\n");
	else if (slice_is(path, "/ready"))
		answer_text(r, 503, "not ready\n");
	else if (slice_is(path, "/metrics"))
		answer_metrics(r);
	else
		answer_text(r, 404, "try /health, /ready or /metrics\n");
}

enum err admin_http_check(const char *listen)
{
	return *listen ? httpd_check(listen) : ERR_OK;
}

enum err admin_http_open(struct admin_http **out, uv_loop_t *uv, const char *listen, bool (*ready)(void *arg),
			 void *arg)
{
	struct admin_http *a;
	struct httpd_opts o = {
		.listen = listen,
		.tls_cert = "",
		.tls_key = "",
		.max_body = 1024,
		.body_budget = 64 * 1024,
		.head_ms = 5000,
		.body_ms = 5000,
		.idle_ms = 60000,
		.stall_ms = 10000,
		.max_conns = 64,
		.on_request = on_request,
	};
	enum err e;

	*out = NULL;
	if (!*listen)
		return ERR_OK;
	a = mem_new(sizeof(*a));
	a->ready = ready;
	a->arg = arg;
	o.arg = a;
	e = httpd_open(&a->httpd, uv, &o);
	if (e != ERR_OK) {
		free(a);
		return e;
	}
	*out = a;
	return ERR_OK;
}

uint16_t admin_http_port(const struct admin_http *a)
{
	return a ? httpd_port(a->httpd) : 0;
}

void admin_http_close(struct admin_http *a)
{
	if (!a)
		return;
	httpd_close(a->httpd);
	free(a); /* httpd_close ends every request: on_request cannot come any more */
}

/* A renaming would put a file in the place of a device as well, /dev/null for everybody. */
static bool may_replace(const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0 || S_ISREG(st.st_mode))
		return true;
	errno = EEXIST;
	return false;
}

/* What is left of an earlier life has rights of its own, so that it is no file to write to. */
static int open_anew(const char *path)
{
	unlink(path);
	return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

enum err ready_file_write(const char *path, const char *text)
{
	struct buf tmp = { 0 };
	size_t n = strlen(text);
	enum err e = ERR_IO;
	int fd;

	buf_fmt(&tmp, "%s.tmp%c", path, 0);
	fd = may_replace(path) ? open_anew((char *)tmp.p) : -1;
	if (fd >= 0 && write(fd, text, n) == (ssize_t)n && rename((char *)tmp.p, path) == 0)
		e = ERR_OK;
	if (e != ERR_OK)
		log_error("ready_file.failed", L_S("file", path), L_S("why", strerror(errno)));
	if (fd >= 0)
		close(fd);
	buf_free(&tmp);
	return e;
}
