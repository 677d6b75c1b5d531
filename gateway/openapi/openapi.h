/* SPDX-License-Identifier: Apache-2.0
 *
 * The OpenAPI document and the page that shows it (PROTOCOL section 1), made
 * from openapi.json when the program is built: nothing is read at run time.
 */
#ifndef SEALWAY_GATEWAY_OPENAPI_OPENAPI_H
#define SEALWAY_GATEWAY_OPENAPI_OPENAPI_H

#include <stddef.h>

extern const unsigned char openapi_json[], openapi_page[];
extern const size_t openapi_json_n, openapi_page_n;

/* The page's Content-Security-Policy: its own style by hash, nothing else. */
extern const char openapi_policy[];

#endif
