/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits by key (greetings.h).  A HELLO that is too much is not answered: a peer says it again.
 */
#include "broker/greetings.h"

#include <stdlib.h>
#include <string.h>

#include "broker/limit.h"
#include "common/map.h"
#include "common/mem.h"

/* As many at once: more than one key may have (peers.c, LIVES_MAX), twice over. */
#define FRESH_PER_MIN 1200
#define AGAIN_PER_MIN 6000
#define UNREAD_MAX (UINT64_C(512) << 20) /* bytes; one key gets half of it, and leaves others room */
#define WORDS_MAX (UNREAD_MAX / 4 * 5)   /* with what is not work: nobody says it again */
#define KEYS_MAX 4096                    /* as many as an allow-list has */

struct greeter {
	uint8_t key[KEY_BYTES];
	struct limit_use fresh, again;
	struct zcount *unread;
};

struct greetings {
	struct map *keys;
	struct zcount *unread; /* of all */
};

struct greetings *greetings_new(void)
{
	struct greetings *g = mem_new(sizeof(*g));

	g->keys = map_new(KEY_BYTES);
	g->unread = zcount_new(NULL);
	return g;
}

static void forget_all(struct greetings *g)
{
	struct greeter *w;
	size_t pos = 0;

	while ((w = map_next(g->keys, &pos)) != NULL) {
		zcount_drop(w->unread);
		free(w);
	}
	map_free(g->keys);
}

void greetings_free(struct greetings *g)
{
	if (!g)
		return;
	forget_all(g);
	zcount_drop(g->unread);
	free(g);
}

static struct greeter *greeter_of(struct greetings *g, const uint8_t key[KEY_BYTES])
{
	struct greeter *w = map_get(g->keys, key);

	if (w)
		return w;
	if (map_count(g->keys) >= KEYS_MAX) { /* lists that came and went */
		forget_all(g);
		g->keys = map_new(KEY_BYTES);
	}
	w = mem_new(sizeof(*w));
	memcpy(w->key, key, KEY_BYTES);
	w->unread = zcount_new(g->unread);
	map_put(g->keys, w->key, w);
	return w;
}

bool greetings_allow(struct greetings *g, const uint8_t key[KEY_BYTES], bool fresh, uint64_t now)
{
	struct greeter *w = greeter_of(g, key);
	const struct limits l = { { [LIMIT_RATE] = fresh ? FRESH_PER_MIN : AGAIN_PER_MIN } };
	struct quota q;
	uint32_t retry_s;

	return limit_request(fresh ? &w->fresh : &w->again, &l, now, &q, &retry_s) == ERR_OK;
}

struct zcount *greetings_unread(struct greetings *g, const uint8_t key[KEY_BYTES])
{
	return zcount_hold(greeter_of(g, key)->unread);
}

bool greetings_room(const struct greetings *g, const struct zcount *c, bool work)
{
	return !c || limit_share(zcount_bytes(c), zcount_bytes(g->unread), work ? UNREAD_MAX : WORDS_MAX);
}
