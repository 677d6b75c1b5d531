/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may have which topic.  The broker names a topic and the key of the gateway
 * thread that may have it (ARCHITECTURE, between the processes); a topic keeps its
 * key, and is forgotten when no broker names it any more.
 */
#include <stdlib.h>
#include <string.h>

#include "common/loop.h"
#include "common/map.h"
#include "worker/publish_impl.h"

struct topic *publish_topic(const struct publish *p, uint64_t id)
{
	return map_get(p->topics, &id);
}

/* Several threads of one gateway share a key. */
static bool key_of_others(const struct publish *p, const struct topic *than)
{
	struct topic *t;
	size_t pos = 0;

	while ((t = map_next(p->topics, &pos))) {
		if (t != than && t->has_key && memcmp(t->key, than->key, KEY_BYTES) == 0)
			return true;
	}
	return false;
}

static void topic_forget(struct publish *p, struct topic *t)
{
	uint64_t id = t->id;
	uint8_t name[CHUNK_TOPIC_BYTES];

	p->o.ev.lost(p->o.ev.arg, id); /* who is still there can be told so */
	put_be64(name, id);
	zsock_deny(p->z, slice_of(name, sizeof(name)));
	publish_queue_drop(p, t);
	if (t->has_key && !key_of_others(p, t))
		zauth_revoke(p->o.zauth, t->key);
	map_del(p->topics, &id);
	free(t);
}

/* Makes place by forgetting a topic that is lost anyway. */
static bool topic_evict(struct publish *p)
{
	struct topic *t;
	size_t pos = 0;

	while ((t = map_next(p->topics, &pos))) {
		if (!t->lost)
			continue;
		topic_forget(p, t);
		return true;
	}
	return false;
}

static enum err topic_new(struct publish *p, const struct peer *m, struct topic **out)
{
	struct topic *t;

	if (p->o.zauth && m->key.n != KEY_BYTES)
		return ERR_KEY; /* nobody could prove to be that gateway */
	if (map_count(p->topics) >= PEERS_MAX && !topic_evict(p))
		return ERR_LIMIT;
	t = mem_new(sizeof(*t));
	t->id = m->topic;
	t->last = &t->first;
	t->silent_since = loop_now(p->o.uv);
	t->has_key = p->o.zauth != NULL;
	if (t->has_key) {
		memcpy(t->key, m->key.p, KEY_BYTES);
		if (zauth_allow(p->o.zauth, t->key, ZAUTH_GATEWAY)) {
			free(t);
			return ERR_LIMIT;
		}
	}
	map_put(p->topics, &t->id, t);
	*out = t;
	return ERR_OK;
}

enum err publish_peer(struct publish *p, unsigned from, const struct peer *m)
{
	struct topic *t = publish_topic(p, m->topic);
	enum err e = ERR_OK;

	if (!m->present) {
		if (!t)
			return ERR_OK;
		t->named_by &= ~(1u << from);
		if (t->named_by == 0)
			topic_forget(p, t);
		return ERR_OK;
	}
	if (!t)
		e = topic_new(p, m, &t);
	else if (t->has_key && (m->key.n != KEY_BYTES || memcmp(t->key, m->key.p, KEY_BYTES) != 0))
		e = ERR_KEY;
	if (!e)
		t->named_by |= 1u << from;
	return e;
}

bool publish_heard(const struct publish *p, uint64_t topic)
{
	struct topic *t = publish_topic(p, topic);

	return t && t->heard;
}

bool publish_key_fits(const struct publish *p, const struct topic *t)
{
	if (!t->has_key)
		return true;
	return p->sender_has_key && memcmp(t->key, p->sender, KEY_BYTES) == 0;
}

bool publish_sender_is(const struct publish *p, uint64_t topic)
{
	struct topic *t = publish_topic(p, topic);

	return t && publish_key_fits(p, t);
}
