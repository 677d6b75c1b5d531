/* SPDX-License-Identifier: Apache-2.0
 *
 * Open addressing with linear probing under a random SipHash key per map.
 * A deleted slot keeps a mark (so that probes run past it and a walk may
 * delete what it was just given); marks go when the table is rebuilt, which
 * only a put does, and which also shrinks a table that has become too big.
 */
#include "common/map.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/sodium_start.h"

#define CAP_MIN 16
#define KEY_MAX 64

struct slot {
	uint64_t hash;
	void *value; /* NULL: never used; &gone: deleted */
};

struct map {
	size_t key_bytes, cap, count, used; /* used: slots that are not NULL; cap is a power of two */
	struct slot *slots;
	uint8_t *keys; /* cap keys, in the order of slots */
	uint8_t seed[crypto_shorthash_KEYBYTES];
};

static char gone;

static void alloc_slots(struct map *m, size_t cap)
{
	m->cap = cap;
	m->slots = mem_new(cap * sizeof(*m->slots));
	m->keys = mem_new(cap * m->key_bytes);
}

struct map *map_new(size_t key_bytes)
{
	struct map *m = mem_new(sizeof(*m));

	BUG_ON(key_bytes == 0 || key_bytes > KEY_MAX);
	m->key_bytes = key_bytes;
	randombytes_buf(m->seed, sizeof(m->seed));
	alloc_slots(m, CAP_MIN);
	return m;
}

void map_free(struct map *m)
{
	if (!m)
		return;
	free(m->slots);
	free(m->keys);
	free(m);
}

static uint64_t hash_key(const struct map *m, const void *key)
{
	uint8_t out[crypto_shorthash_BYTES];
	uint64_t h;

	crypto_shorthash(out, key, m->key_bytes, m->seed);
	memcpy(&h, out, sizeof(h));
	return h;
}

static uint8_t *key_at(const struct map *m, size_t i)
{
	return m->keys + i * m->key_bytes;
}

static bool live(const struct slot *s)
{
	return s->value && s->value != &gone;
}

/* The slot of key, or cap when it is not there.  Ends: a quarter is always free. */
static size_t find(const struct map *m, uint64_t h, const void *key)
{
	size_t i = h & (m->cap - 1);

	for (; m->slots[i].value; i = (i + 1) & (m->cap - 1)) {
		const struct slot *s = &m->slots[i];

		if (s->value != &gone && s->hash == h && memcmp(key_at(m, i), key, m->key_bytes) == 0)
			return i;
	}
	return m->cap;
}

/* Puts a key that is not there yet. */
static void place(struct map *m, uint64_t h, const void *key, void *value)
{
	size_t i = h & (m->cap - 1);

	while (live(&m->slots[i]))
		i = (i + 1) & (m->cap - 1);
	if (!m->slots[i].value)
		m->used++;
	m->slots[i] = (struct slot){ .hash = h, .value = value };
	memcpy(key_at(m, i), key, m->key_bytes);
	m->count++;
}

/* Builds the table anew, without marks and at most half full. */
static void rebuild(struct map *m)
{
	struct slot *slots = m->slots;
	uint8_t *keys = m->keys;
	size_t old = m->cap, cap = CAP_MIN;

	while (cap < 2 * (m->count + 1))
		cap *= 2;
	alloc_slots(m, cap);
	m->count = m->used = 0;
	for (size_t i = 0; i < old; i++)
		if (live(&slots[i]))
			place(m, slots[i].hash, keys + i * m->key_bytes, slots[i].value);
	free(slots);
	free(keys);
}

void *map_get(const struct map *m, const void *key)
{
	size_t i = find(m, hash_key(m, key), key);

	return i < m->cap ? m->slots[i].value : NULL;
}

void *map_put(struct map *m, const void *key, void *value)
{
	uint64_t h = hash_key(m, key);
	size_t i = find(m, h, key);
	void *old = NULL;

	BUG_ON(!value);
	if (i < m->cap) {
		old = m->slots[i].value;
		m->slots[i].value = value;
		return old;
	}
	if (m->used + 1 > m->cap / 4 * 3)
		rebuild(m);
	place(m, h, key, value);
	return NULL;
}

void *map_del(struct map *m, const void *key)
{
	size_t i = find(m, hash_key(m, key), key);
	void *old;

	if (i == m->cap)
		return NULL;
	old = m->slots[i].value;
	m->slots[i].value = &gone;
	mem_wipe(key_at(m, i), m->key_bytes);
	m->count--;
	return old;
}

size_t map_count(const struct map *m)
{
	return m->count;
}

void *map_next(const struct map *m, size_t *pos)
{
	while (*pos < m->cap) {
		const struct slot *s = &m->slots[(*pos)++];

		if (live(s))
			return s->value;
	}
	return NULL;
}
