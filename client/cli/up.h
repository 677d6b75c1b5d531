/* SPDX-License-Identifier: Apache-2.0
 *
 * `sealway up`: the whole service on this machine.  The data directory D is
 * everybody's working directory, so that socket paths stay short and nothing
 * is written elsewhere:
 *
 *	D/lock          held while it runs       D/keys/   keys, made on the first run
 *	D/ledger.db     the broker's database    D/conf/   one INI file per process
 *	D/known_nodes   pins of the own nodes    D/run/    sockets and ready files
 *	                                         D/log/    one log per process
 */
#ifndef SEALWAY_CLIENT_CLI_UP_H
#define SEALWAY_CLIENT_CLI_UP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "client/cli/admin.h"
#include "common/loop.h"
#include "common/mem.h"

enum up_role { UP_BROKER, UP_WORKER, UP_GATEWAY, UP_NODE, UP_ROLES };

#define UP_ROLE_MAX 16 /* processes of one role */

struct up_opts {
	const char *dir, *listen, *engine, *model, *ready_file; /* ready_file: absolute, or NULL */
	uint64_t count[UP_ROLES];
	uint64_t price; /* micro-USD per million units */
};

/* One process.  Wanted ones are started again when they end. */
struct up_child {
	enum up_role role;
	unsigned index; /* 1.. */
	char name[32];  /* "gateway-1" */
	pid_t pid;      /* 0: not running */
	bool wanted;
	unsigned deaths;              /* in a row, forgotten after UP_STEADY_MS */
	uint64_t started, restart_at; /* loop time, ms */
};

#define UP_STEADY_MS 10000
#define UP_TOKEN_MAX 128

enum up_phase { UP_STARTING, UP_READY, UP_STOPPING, UP_KILLING };

struct up {
	struct up_opts o;
	char dir[4096]; /* absolute */
	char programs[UP_ROLES][PATH_MAX];
	struct up_child children[UP_ROLES * UP_ROLE_MAX];
	size_t n_children;
	struct loop *loop;
	uv_signal_t child_signal;
	uv_timer_t timer;
	struct admin_link *admin;
	unsigned admitted;
	bool prepared; /* the admin steps are done */
	bool settled;  /* the broker knows all workers and a gateway of each */
	char token[UP_TOKEN_MAX];
	char *engine_model;      /* owned: the engine's own first model */
	uint64_t engine_context; /* that it says it gives one request; 0: it says nothing */
	char listen[300];        /* of the gateways, with the real port; "" until known */
	char url[320];
	enum up_phase phase;
	enum up_role stopping; /* whose turn it is */
	uint64_t deadline;     /* loop time, ms */
	int lock_fd;           /* -1: D is not ours yet */
	int status;
};

/* up_paths.c: fills u->programs from where this program is.  False: said. */
bool up_find_programs(struct up *u);
bool up_find_program(const char *role, char out[PATH_MAX]);

/* up_paths.c: what to type to run this program: its name when it is on the PATH, else its path. */
void up_command(char out[PATH_MAX]);

/* up_setup.c: whether nobody runs in dir.  False: said. */
bool up_is_free(const char *dir);

/* up_setup.c: makes and locks D, makes it the working directory, makes keys,
 * writes known_nodes once the URL is known.  False: said. */
bool up_setup(struct up *u);
bool up_write_pins(const struct up *u);

/* Empties D/run: sockets and ready files of processes that have ended. */
void up_clear_run(void);

/* Writes text to path by rename, mode 0600.  False: said. */
bool up_write(const char *path, struct slice text);

/* up_conf.c: writes the INI file of a child.  False: said. */
bool up_write_conf(const struct up *u, const struct up_child *c);

/* up_child.c: starts one process (its ready file is removed first).  False: said. */
bool up_spawn(struct up *u, struct up_child *c);

/* Takes the status of a child that ended; says so unless it was meant to. */
void up_reap(struct up *u, struct up_child *c);

/* The last lines of a child's log on stderr. */
void up_show_log(const struct up_child *c);

/* A text member ("listen", "admin") of a child's ready file into out; false when the file is not there yet.
 */
bool up_child_ready(const struct up_child *c, const char *member, char *out, size_t n);

/* up_admin.c: demo user, token and nodes over the admin socket; sets
 * u->prepared, or ends with up_fail. */
void up_prepare(struct up *u);

/* up_ready.c: whether the gateways answer and list a model; the ready file; what is
 * printed when all is ready. */
bool up_serves(const struct up *u);
bool up_write_ready(const struct up *u);
void up_announce(const struct up *u);

/* up.c: gives up: stops everything, exit status 1. */
void up_fail(struct up *u);

#endif
