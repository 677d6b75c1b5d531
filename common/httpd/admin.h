/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin listener of every process: /health (200 while the loop turns),
 * /ready (200 while the process can do its work, else 503) and /metrics
 * (Prometheus).  Loopback by default; it has no authentication of its own.
 */
#ifndef SEALWAY_COMMON_HTTPD_ADMIN_H
#define SEALWAY_COMMON_HTTPD_ADMIN_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"

struct admin_http;

/* Opens the listener on uv's thread.  listen: "127.0.0.1:9100", port 0 for any,
 * "" for none (then *out is NULL and ERR_OK).  ready is asked at each /ready.
 * ERR_CONFIG or ERR_IO with a log line that says what is wrong. */
enum err admin_http_open(struct admin_http **out, uv_loop_t *uv, const char *listen, bool (*ready)(void *arg),
			 void *arg) MUST_USE;

/* The port really bound, 0 for none. */
uint16_t admin_http_port(const struct admin_http *a);

/* Whether listen is an address that admin_http_open could take.  ERR_CONFIG, said in the log. */
enum err admin_http_check(const char *listen) MUST_USE;

/* Closes the listener and its connections; NULL is fine. */
void admin_http_close(struct admin_http *a);

/* For the start of a program: takes away what an earlier life wrote to path, which would tell that we are
 * ready, but not what another that serves has written; "" and a path where nothing is are fine.  ERR_IO with
 * a log line, also when something that is no regular file is there. */
enum err ready_file_forget(const char *path) MUST_USE;

/* Writes text to path by rename (mode 0600), so that readers see all or nothing:
 * for ready files.  ERR_IO with a log line, also when something that is no regular file is there. */
enum err ready_file_write(const char *path, const char *text) MUST_USE;

#endif
