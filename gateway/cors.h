/* SPDX-License-Identifier: Apache-2.0
 *
 * Cross-origin headers: any origin by default, GET/POST/OPTIONS, any header
 * (PROTOCOL section 1).  Pure: decides, the caller sends.
 */
#ifndef SEALWAY_GATEWAY_CORS_H
#define SEALWAY_GATEWAY_CORS_H

#include <stdbool.h>

#include "common/mem.h"

#define CORS_HEADERS_MAX 1024 /* bytes of a reflected header list */

/* What goes out.  Slices borrow from the configuration or the request. */
struct cors {
	struct slice origin;  /* Access-Control-Allow-Origin; empty: no CORS headers at all */
	bool vary;            /* the answer depends on Origin */
	struct slice headers; /* preflight: Access-Control-Allow-Headers */
};

/* allowed: "*", a space separated list of origins, or "" for none.  origin and
 * wanted are the request's Origin and Access-Control-Request-Headers (may be
 * empty).  With "*" the header is always there; with a list only when the
 * origin is on it. */
void cors_decide(struct cors *out, const char *allowed, struct slice origin, struct slice wanted);

#endif
