/* SPDX-License-Identifier: Apache-2.0
 *
 * libh2o-dev installs http2_internal.h but not the hash table header that it
 * includes.  This gives the table's layout (kh_ABI of klib: open addressing,
 * two flag bits per bucket, 0 = in use) so that the structs have their shape
 * and h2peek.c can walk the streams.  The accessors h2o's inline functions
 * mention only have to compile; we never call those functions.
 */
#ifndef SEALWAY_COMMON_HTTPD_SHIM_KHASH_H
#define SEALWAY_COMMON_HTTPD_SHIM_KHASH_H

#include <stdint.h>

typedef uint32_t khiter_t;

#define khash_t(name) struct kh_##name
#define KHASH_MAP_INIT_INT64(name, type)                                                                     \
	struct kh_##name {                                                                                   \
		uint32_t n_buckets, size, n_occupied, upper_bound;                                           \
		uint32_t *flags;                                                                             \
		uint64_t *keys;                                                                              \
		type *vals;                                                                                  \
	};
#define kh_get(name, table, key) ((void)(key), (table)->n_buckets)
#define kh_end(table) ((table)->n_buckets)
#define kh_val(table, at) ((table)->vals[at])
#define kh_in_use(table, at) (((table)->flags[(at) / 16] >> (at) % 16 * 2 & 3) == 0)

#endif
