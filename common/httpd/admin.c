/* SPDX-License-Identifier: Apache-2.0
 *
 * Health, readiness and metrics of a process (admin.h).
 */
#include "common/httpd/admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
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

	if (!slice_is(hreq_method(r), "GET") && !slice_is(hreq_method(r), "HEAD"))
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

static enum err ready_file_told(const char *path, enum err e)
{
	if (e != ERR_OK)
		log_error("ready_file.failed", L_S("file", path), L_S("why", strerror(errno)));
	return e;
}

/* The name of a process, and whether it lives. */
static bool alive(long pid, char name[32])
{
	char path[64], state;
	bool found;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	found = fscanf(f, "%*d (%31[^)]) %c", name, &state) == 2;
	fclose(f);
	return found && state != 'Z' && state != 'X';
}

/* Whether what is at path, a regular file, was written by another process of this program that still lives.
 * We shall fail then at what it holds; numbers of processes come again after a reboot. */
static bool is_anothers(const char *path)
{
	char its[32], ours[32];
	FILE *f = fopen(path, "re");
	bool told;
	long pid;

	if (!f)
		return false;
	told = fscanf(f, "{\"pid\":%ld,", &pid) == 1;
	fclose(f);
	return told && pid != getpid() && alive(pid, its) && alive(getpid(), ours) && strcmp(its, ours) == 0;
}

enum err ready_file_forget(const char *path)
{
	bool gone =
		!*path || (file_may_put(path) && (is_anothers(path) || unlink(path) == 0 || errno == ENOENT));

	return ready_file_told(path, gone ? ERR_OK : ERR_IO);
}

enum err ready_file_write(const char *path, const char *text)
{
	return ready_file_told(path, file_may_put(path) ? file_put(path, slice_str(text)) : ERR_IO);
}
