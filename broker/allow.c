/* SPDX-License-Identifier: Apache-2.0
 *
 * Watching the allow-list (allow.h).  The directory is watched, not the file: it
 * is replaced by rename, also through a link of a mounted directory.  A writer
 * in place gets SETTLE_MS after its last write, so that half a list is not taken
 * for a list with half of the peers revoked.
 */
#include "broker/allow.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/peers.h"
#include "common/log.h"

#define SETTLE_MS 50
#define AGAIN_MS 500
#define AGAIN_MAX_MS 32000

struct allow {
	struct broker *broker;
	uv_fs_event_t watch;
	uv_timer_t settle;
	unsigned open;
	unsigned again_ms; /* 0: what was read last could be read */
	struct stat seen;
};

static void on_again(uv_timer_t *t)
{
	struct allow *a = t->data;

	allow_reload(a->broker);
}

/* Somebody's key may have been taken off the list, and whoever did that waits for no other sign. */
static void read_again(struct allow *a)
{
	if (!a)
		return;
	a->again_ms = a->again_ms == 0             ? AGAIN_MS
		      : a->again_ms < AGAIN_MAX_MS ? 2 * a->again_ms
						   : AGAIN_MAX_MS;
	uv_timer_start(&a->settle, on_again, a->again_ms, 0);
}

void allow_reload(struct broker *b)
{
	enum err e;

	if (!b->zauth)
		return;
	e = zauth_load(b->zauth, b->conf.peers);
	if (e == ERR_IO)
		read_again(b->allow);
	else if (b->allow)
		b->allow->again_ms = 0;
	if (e != ERR_OK)
		return;
	log_info("allow_list_read", L_S("file", b->conf.peers));
	peers_recheck(b);
}

static bool changed(const struct stat *a, const struct stat *b)
{
	return a->st_ino != b->st_ino || a->st_dev != b->st_dev || a->st_size != b->st_size ||
	       a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec;
}

static void on_settled(uv_timer_t *t)
{
	struct allow *a = t->data;
	struct stat now;

	if (stat(a->broker->conf.peers, &now) != 0 || (!changed(&now, &a->seen) && !a->again_ms))
		return;
	a->seen = now;
	allow_reload(a->broker);
}

static void on_event(uv_fs_event_t *w, const char *name, int events, int status)
{
	struct allow *a = w->data;

	(void)name;
	(void)events;
	if (status == 0)
		uv_timer_start(&a->settle, on_settled, SETTLE_MS, 0);
}

static void on_closed(uv_handle_t *h)
{
	struct allow *a = h->data;

	if (--a->open == 0)
		free(a);
}

/* The directory of path, owned. */
static char *directory(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return mem_strndup(".", 1);
	return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

void allow_start(struct broker *b)
{
	struct allow *a = mem_new(sizeof(*a));
	char *dir = directory(b->conf.peers);
	int rc;

	a->broker = b;
	a->open = 2;
	BUG_ON(uv_fs_event_init(b->uv, &a->watch) != 0 || uv_timer_init(b->uv, &a->settle) != 0);
	a->watch.data = a->settle.data = a;
	uv_unref((uv_handle_t *)&a->watch);
	if (stat(b->conf.peers, &a->seen) != 0)
		memset(&a->seen, 0, sizeof(a->seen));
	rc = uv_fs_event_start(&a->watch, on_event, dir, 0);
	if (rc != 0)
		log_warn("allow_list_not_watched", L_S("directory", dir), L_S("why", uv_strerror(rc)),
			 L_S("do", "send SIGHUP after a change"));
	free(dir);
	b->allow = a;
}

void allow_stop(struct broker *b)
{
	struct allow *a = b->allow;

	if (!a)
		return;
	b->allow = NULL;
	uv_close((uv_handle_t *)&a->watch, on_closed);
	uv_close((uv_handle_t *)&a->settle, on_closed);
}
