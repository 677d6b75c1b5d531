/* SPDX-License-Identifier: Apache-2.0
 *
 * Hash map from fixed-size keys to pointers.  Keyed SipHash, so that peers who
 * choose keys cannot make them collide.  Open addressing; not thread-safe.
 */
#ifndef SEALWAY_COMMON_MAP_H
#define SEALWAY_COMMON_MAP_H

#include <stddef.h>
#include <stdbool.h>

struct map;

/* A map whose keys are key_bytes long (1..64). */
struct map *map_new(size_t key_bytes);

/* Frees the map, not the values; NULL is fine. */
void map_free(struct map *m);

/* The value under key, or NULL. */
void *map_get(const struct map *m, const void *key);

/* Puts value (not NULL) under key, replacing; returns the old value or NULL. */
void *map_put(struct map *m, const void *key, void *value);

/* Takes key out; returns its value or NULL. */
void *map_del(struct map *m, const void *key);

/* How many keys are in it. */
size_t map_count(const struct map *m);

/* Walks in no order: *pos starts at 0; returns each value, then NULL.  Deleting
 * the value just returned is allowed, putting is not. */
void *map_next(const struct map *m, size_t *pos);

#endif
