/* SPDX-License-Identifier: Apache-2.0
 *
 * libh2o-dev installs http2_internal.h but not the hash table header that it
 * includes.  We need the layout of its structs, in which the table is only a
 * pointer, and never its stream table: this gives the names and nothing else.
 */
#ifndef SEALWAY_COMMON_HTTPD_SHIM_KHASH_H
#define SEALWAY_COMMON_HTTPD_SHIM_KHASH_H

#include <stddef.h>

typedef unsigned khiter_t;

#define khash_t(name) struct kh_##name
#define KHASH_MAP_INIT_INT64(name, type)                                                                     \
	struct kh_##name {                                                                                   \
		type never;                                                                                  \
	};
#define kh_get(name, table, key) ((void)(table), (void)(key), 0u)
#define kh_end(table) ((void)(table), 0u)
#define kh_val(table, at) ((void)(at), (table)->never)

#endif
