/* SPDX-License-Identifier: Apache-2.0
 *
 * The second look at HTTP/1 heads; see head.c.
 */
#ifndef SEALWAY_COMMON_HTTPD_HEAD_H
#define SEALWAY_COMMON_HTTPD_HEAD_H

#include <stdbool.h>

#include "common/mem.h"

/* True when the raw head (request line, fields, empty line) of an HTTP/1
 * request has none of the shapes that two parsers read differently.  Pure. */
bool head_ok(struct slice head);

#endif
