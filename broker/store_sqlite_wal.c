/* SPDX-License-Identifier: Apache-2.0
 *
 * A checkpoint copies the log's pages into the database and syncs both: tens of
 * ms in which a commit on the same thread waits, and with it every settlement
 * that wants to be acknowledged.  So a thread copies while the writer goes on
 * (a passive checkpoint, which blocks nobody), syncing as it goes: a disk that
 * was given hundreds of pages at once keeps the log's next sync waiting until it
 * has written them all.  What came in meanwhile is little; the writer copies that
 * itself after its next commit, and then the whole log has been copied and the
 * next commit begins it anew.  Readers of long snapshots keep the log from that;
 * it grows until they are done.
 */
#include "broker/store_sqlite_wal.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "broker/store_sqlite_priv.h"
#include "common/log.h"
#include "common/mem.h"

#define PAGES 4000      /* of log, from where on it is copied */
#define PAGES_MORE 1000 /* and again after so many when a reader was in the way */
#define SYNC_EVERY 32   /* pages that the thread copies at a time */
#define REST_MAX 100    /* pages of log that the writer copies itself */
#define ROUNDS_MAX 6    /* of the thread, for the rest to become that small */

enum wal_state {
	IDLE,
	COPYING, /* the thread's */
	COPIED   /* the writer is to do the rest */
};

struct wal {
	sqlite3 *own; /* the thread's, as are the next four */
	sqlite3_file *db;
	const sqlite3_io_methods *plain;
	sqlite3_io_methods paced; /* plain, but for writing */
	unsigned unsynced;        /* pages */
	sqlite3 *writer;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	enum wal_state state; /* mutex; as are the next two */
	int copied;           /* pages, at the end of the thread's round */
	bool stop;
	int next;     /* the writer's: start at so many pages */
	int rounds;   /* the writer's */
	bool failing; /* of whoever is copying: so that it is said once */
};

static int write_paced(sqlite3_file *f, const void *page, int n, sqlite3_int64 at)
{
	struct wal *w = (struct wal *)((char *)f->pMethods - offsetof(struct wal, paced));
	int rc = w->plain->xWrite(f, page, n, at);

	if (rc != SQLITE_OK || ++w->unsynced < SYNC_EVERY)
		return rc;
	w->unsynced = 0;
	return w->plain->xSync(f, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
}

/* SQLite leaves its callers no other say in how a checkpoint writes. */
static enum err pace(struct wal *w)
{
	if (sqlite3_file_control(w->own, "main", SQLITE_FCNTL_FILE_POINTER, &w->db) != SQLITE_OK)
		return ERR_IO;
	w->plain = w->db->pMethods;
	w->paced = *w->plain;
	w->paced.xWrite = write_paced;
	w->db->pMethods = &w->paced;
	return ERR_OK;
}

/* Copies what it can without waiting for anybody; *all: nothing is left. */
static int copy(struct wal *w, sqlite3 *db, bool *all)
{
	int log = 0, copied = 0;
	int rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &copied);
	bool fails = rc != SQLITE_OK && rc != SQLITE_BUSY;

	if (fails && !w->failing)
		log_warn("store_checkpoint", L_I("code", rc), L_S("text", sqlite3_errstr(rc)),
			 L_S("effect", "the log grows until the database file can be written"));
	w->failing = fails;
	*all = rc == SQLITE_OK && copied == log;
	return copied > 0 ? copied : 0;
}

static void *thread_main(void *arg)
{
	struct wal *w = arg;
	bool all;
	int n;

	pthread_mutex_lock(&w->mutex);
	while (!w->stop) {
		if (w->state != COPYING) {
			pthread_cond_wait(&w->cond, &w->mutex);
			continue;
		}
		pthread_mutex_unlock(&w->mutex);
		n = copy(w, w->own, &all);
		pthread_mutex_lock(&w->mutex);
		w->copied = n;
		w->state = COPIED;
	}
	pthread_mutex_unlock(&w->mutex);
	return NULL;
}

static void set_copying(struct wal *w)
{
	pthread_mutex_lock(&w->mutex);
	w->state = COPYING;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mutex);
}

static void finish(struct wal *w, int pages)
{
	bool all;

	(void)copy(w, w->writer, &all);
	w->next = all ? PAGES : pages + PAGES_MORE;
	w->rounds = 0;
	pthread_mutex_lock(&w->mutex);
	w->state = IDLE;
	pthread_mutex_unlock(&w->mutex);
}

/* After each commit, on the writer's thread: the log is that long now. */
static int on_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct wal *w = arg;
	enum wal_state state;
	int copied;

	(void)db;
	(void)name;
	pthread_mutex_lock(&w->mutex);
	state = w->state;
	copied = w->copied;
	pthread_mutex_unlock(&w->mutex);
	if (state == IDLE && pages >= w->next)
		set_copying(w);
	else if (state == COPIED && pages - copied > REST_MAX && ++w->rounds < ROUNDS_MAX)
		set_copying(w);
	else if (state == COPIED)
		finish(w, pages);
	return SQLITE_OK;
}

/* A connection knows that there is a log only once it has read. */
static enum err open_own(struct wal *w, const char *path)
{
	if (sqlite3_open_v2(path, &w->own, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
	    sqlite3_busy_timeout(w->own, 2000) != SQLITE_OK ||
	    sqlite3_exec(w->own, "PRAGMA synchronous=NORMAL; SELECT max(version) FROM schema_version", NULL,
			 NULL, NULL) != SQLITE_OK) {
		log_warn("store_log", L_S("file", path), L_S("failed", "second connection"),
			 L_S("text", sqlite3_errmsg(w->own)), L_S("why", sql_why(w->own)));
		return ERR_IO;
	}
	return pace(w);
}

enum err wal_start(struct wal **out, sqlite3 *writer, const char *path)
{
	struct wal *w = mem_new(sizeof(*w));

	w->writer = writer;
	w->next = PAGES;
	if (open_own(w, path) != ERR_OK) {
		sqlite3_close(w->own);
		free(w);
		return ERR_IO;
	}
	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->cond, NULL);
	BUG_ON(pthread_create(&w->thread, NULL, thread_main, w) != 0);
	sqlite3_wal_hook(writer, on_commit, w); /* in the place of wal_autocheckpoint */
	*out = w;
	return ERR_OK;
}

void wal_stop(struct wal *w)
{
	if (!w)
		return;
	sqlite3_wal_hook(w->writer, NULL, NULL);
	pthread_mutex_lock(&w->mutex);
	w->stop = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mutex);
	pthread_join(w->thread, NULL);
	w->db->pMethods = w->plain;
	sqlite3_close(w->own);
	pthread_mutex_destroy(&w->mutex);
	pthread_cond_destroy(&w->cond);
	free(w);
}
