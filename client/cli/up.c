/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway up: starts the broker, then workers and gateways, prepares a demo
 * user, starts the nodes when the gateways' port is known and the broker has
 * admitted them (so that their first registration succeeds), watches all, and
 * stops them in the order in which work flows (gateways, workers, nodes,
 * broker).
 */
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/cli/up.h"
#include "client/cli/up_listen.h"
#include "common/file.h"
#include "common/log.h"

#define POLL_MS 5
#define WATCH_MS 50
#define START_MS 30000
#define STOP_MS 35000 /* the processes' own drain deadline is 30 s */
#define DEATHS_AT_START 3

static bool port_zero(const struct up *u)
{
	size_t n = strlen(u->o.listen);

	return n >= 2 && !strcmp(u->o.listen + n - 2, ":0");
}

static void each(struct up *u, enum up_role role, void (*fn)(struct up *u, struct up_child *c))
{
	for (size_t i = 0; i < u->n_children; i++)
		if (u->children[i].role == role)
			fn(u, &u->children[i]);
}

static unsigned alive(const struct up *u, enum up_role role)
{
	unsigned n = 0;

	for (size_t i = 0; i < u->n_children; i++)
		n += u->children[i].role == role && u->children[i].pid;
	return n;
}

static void start(struct up *u, struct up_child *c)
{
	if (!c->wanted && !up_spawn(u, c))
		up_fail(u);
}

static void terminate(struct up *u, struct up_child *c)
{
	(void)u;
	c->wanted = false;
	if (c->pid)
		kill(c->pid, SIGTERM);
}

static void destroy(struct up *u, struct up_child *c)
{
	(void)u;
	c->wanted = false;
	if (c->pid)
		kill(c->pid, SIGKILL);
}

static const enum up_role stop_order[UP_ROLES] = { UP_GATEWAY, UP_WORKER, UP_NODE, UP_BROKER };

static void stop_turn(struct up *u)
{
	u->deadline = uv_now(loop_uv(u->loop)) + STOP_MS;
	each(u, stop_order[u->stopping], terminate);
}

/* Goes on to the next role when one has ended; ends the loop after the last. */
static void stop_on(struct up *u)
{
	if (uv_now(loop_uv(u->loop)) >= u->deadline)
		each(u, stop_order[u->stopping], destroy);
	while (u->stopping < UP_ROLES && !alive(u, stop_order[u->stopping])) {
		u->stopping++;
		if (u->stopping < UP_ROLES)
			stop_turn(u);
	}
	if (u->stopping == UP_ROLES)
		loop_stop(u->loop);
}

static void on_drain(void *arg)
{
	struct up *u = arg;

	if (u->phase >= UP_STOPPING)
		return;
	if (u->phase == UP_READY)
		fprintf(stderr, "sealway up: stopping (again to stop at once)\n");
	u->phase = UP_STOPPING;
	for (size_t i = 0; i < u->n_children; i++)
		u->children[i].wanted = false;
	u->stopping = 0;
	stop_turn(u);
}

static void on_cut(void *arg)
{
	struct up *u = arg;

	on_drain(u);
	u->phase = UP_KILLING;
	u->status = EXIT_FAILED;
	for (int role = 0; role < UP_ROLES; role++)
		each(u, (enum up_role)role, destroy);
}

void up_fail(struct up *u)
{
	u->status = EXIT_FAILED;
	on_drain(u);
}

/* A child that cannot stay up at the start will not learn it later. */
static void check_starting(struct up *u)
{
	for (size_t i = 0; i < u->n_children; i++) {
		struct up_child *c = &u->children[i];

		if (c->deaths >= DEATHS_AT_START) {
			fprintf(stderr, "sealway up: giving up: %s does not stay up\n", c->name);
			up_show_log(c);
			up_fail(u);
			return;
		}
	}
	if (uv_now(loop_uv(u->loop)) >= u->deadline) {
		fprintf(stderr, "sealway up: giving up: not ready after %d s (logs: %s/log)\n",
			START_MS / 1000, u->dir);
		up_fail(u);
	}
}

static void restart(struct up *u, struct up_child *c)
{
	if (!c->wanted || c->pid || uv_now(loop_uv(u->loop)) < c->restart_at)
		return;
	if (!up_spawn(u, c))
		c->restart_at = uv_now(loop_uv(u->loop)) + 1000;
	else if (u->phase == UP_READY)
		up_write_ready(u);
}

/* The real address of the gateways, from the first one's ready file. */
static bool learn_listen(struct up *u)
{
	char listen[sizeof(u->listen)];

	for (size_t i = 0; !*u->url && i < u->n_children; i++) {
		if (u->children[i].role != UP_GATEWAY ||
		    !up_child_ready(&u->children[i], "listen", listen, sizeof(listen)))
			continue;
		snprintf(u->listen, sizeof(u->listen), "%s", listen);
		up_url(listen, u->url, sizeof(u->url));
		if (!up_write_pins(u))
			up_fail(u);
	}
	return *u->url != '\0';
}

static bool all_ready(const struct up *u)
{
	char listen[300];

	for (size_t i = 0; i < u->n_children; i++)
		if (!up_child_ready(&u->children[i], "listen", listen, sizeof(listen)))
			return false;
	return true;
}

static void ready(struct up *u)
{
	u->phase = UP_READY;
	if (!up_write_ready(u)) {
		up_fail(u);
		return;
	}
	up_announce(u);
	loop_ready(u->loop);
}

/* Gateways with port 0 wait for the first one, which learns the port for all. */
static void start_gateways(struct up *u)
{
	if (!port_zero(u) || *u->url) {
		each(u, UP_GATEWAY, start);
		return;
	}
	for (size_t i = 0; i < u->n_children; i++) {
		if (u->children[i].role == UP_GATEWAY) {
			start(u, &u->children[i]);
			return;
		}
	}
}

static bool broker_ready(struct up *u)
{
	char listen[300];

	return up_child_ready(&u->children[0], "listen", listen, sizeof(listen));
}

/* What can go on now, goes on.  The broker comes first, for 20 ms, because a peer that finds no broker
 * tries again much later. */
static void starting(struct up *u)
{
	check_starting(u);
	if (u->phase != UP_STARTING || !broker_ready(u))
		return;
	start_gateways(u);
	each(u, UP_WORKER, start);
	if (!u->admin)
		up_prepare(u);
	if (!u->prepared || !learn_listen(u))
		return;
	each(u, UP_NODE, start);
	if (u->phase == UP_STARTING && all_ready(u) && u->settled && up_serves(u))
		ready(u);
}

static void on_timer(uv_timer_t *t)
{
	struct up *u = t->data;

	for (int role = 0; role < UP_ROLES; role++)
		each(u, (enum up_role)role, restart);
	if (u->phase == UP_STARTING)
		starting(u);
	if (u->phase >= UP_STOPPING)
		stop_on(u);
	uv_timer_set_repeat(t, u->phase == UP_READY ? WATCH_MS : POLL_MS);
}

static void on_child_signal(uv_signal_t *s, int number)
{
	struct up *u = s->data;

	(void)number;
	for (int role = 0; role < UP_ROLES; role++)
		each(u, (enum up_role)role, up_reap);
}

static void add_children(struct up *u)
{
	static const char *const names[UP_ROLES] = { "broker", "worker", "gateway", "node" };

	for (int role = 0; role < UP_ROLES; role++) {
		for (unsigned i = 1; i <= u->o.count[role]; i++) {
			struct up_child *c = &u->children[u->n_children++];

			*c = (struct up_child){ .role = (enum up_role)role, .index = i };
			snprintf(c->name, sizeof(c->name), "%s-%u", names[role], i);
		}
	}
}

static int run(struct up *u)
{
	struct loop_events ev = { .drain = on_drain, .cut = on_cut, .arg = u };
	uv_loop_t *uv;

	u->loop = loop_new(&ev);
	uv = loop_uv(u->loop);
	uv_signal_init(uv, &u->child_signal);
	u->child_signal.data = u;
	uv_signal_start(&u->child_signal, on_child_signal, SIGCHLD);
	uv_timer_init(uv, &u->timer);
	u->timer.data = u;
	u->deadline = uv_now(uv) + START_MS;
	add_children(u);
	start(u, &u->children[0]); /* the broker */
	uv_timer_start(&u->timer, on_timer, POLL_MS, POLL_MS);
	loop_run(u->loop);
	admin_close(u->admin);
	uv_close((uv_handle_t *)&u->timer, NULL);
	uv_close((uv_handle_t *)&u->child_signal, NULL);
	loop_free(u->loop);
	up_clear_run();
	return u->status;
}

/* What stands there goes: it must be a ready file, or could have been one. */
static bool forget_ready(const char *path)
{
	if (!file_may_put(path)) {
		fprintf(stderr, "sealway up: --ready-file %s is there and not a regular file\n", path);
		return false;
	}
	unlink(path);
	return true;
}

/* What must be right before anything is started; relative paths end here. */
static bool options(struct up *u, char ready[PATH_MAX])
{
	char cwd[PATH_MAX / 2];

	if (u->o.ready_file && u->o.ready_file[0] != '/') {
		if (!getcwd(cwd, sizeof(cwd)) || strlen(u->o.ready_file) >= PATH_MAX / 2) {
			fprintf(stderr, "sealway up: cannot use the path of --ready-file\n");
			return false;
		}
		snprintf(ready, PATH_MAX, "%s/%s", cwd, u->o.ready_file);
		u->o.ready_file = ready;
	}
	if (u->o.ready_file && !forget_ready(u->o.ready_file))
		return false;
	if (!u->o.model && !strncmp(u->o.engine, "http", 4))
		u->o.model = u->engine_model = up_engine_model(u->o.engine, &u->engine_context);
	else if (!u->o.model)
		u->o.model = "demo";
	return u->o.model && up_check_engine(&u->o) && up_check_listen(u->o.listen);
}

static int up(struct up *u)
{
	char ready_file[PATH_MAX];
	int status = EXIT_FAILED;

	u->o.count[UP_BROKER] = 1;
	u->lock_fd = -1;
	if (sodium_init() < 0)
		return EXIT_FAILED;
	loop_harden();
	log_init("sealway", LOG_ERROR, false); /* what matters here is said in sentences */
	if (!up_is_free(u->o.dir))             /* before its ready file is taken away */
		return EXIT_FAILED;
	if (!options(u, ready_file))
		status = EXIT_USAGE;
	else if (up_claim_listen(u->o.listen) && up_find_programs(u) && up_setup(u))
		status = run(u);
	if (u->o.ready_file && u->lock_fd >= 0)
		unlink(u->o.ready_file);
	mem_wipe(u->token, sizeof(u->token));
	free(u->engine_model);
	return status;
}

int cmd_up(int argc, char **argv)
{
	static const struct command c = {
		"up",
		"",
		"Runs the whole service on this machine: gateway, broker, worker and node.",
		"Everything is kept in the data directory: ledger, keys (made on the first run), settings\n"
		"and logs.  Each start makes a new token for a demo user with a balance.  With the echo\n"
		"engine a node answers with the words of the prompt; --engine takes the URL of an\n"
		"OpenAI-compatible server instead, with --model naming a model of it.\n\n"
		"Ctrl-C or SIGTERM finishes what runs and stops everything; a second one stops at once.",
		0,
		0,
	};
	struct up *u = mem_new(sizeof(*u));
	struct operands words;
	int status;

	u->o = (struct up_opts){ .dir = "sealway-data",
				 .listen = "127.0.0.1:8080",
				 .engine = "echo",
				 .count = { 1, 1, 1, 1 },
				 .price = 1000 };
	const struct arg args[] = {
		{ "dir", ARG_TEXT, &u->o.dir, "D", "data directory (default ./sealway-data)", 0, 0 },
		{ "listen", ARG_TEXT, &u->o.listen, "ADDR:PORT",
		  "for clients (default 127.0.0.1:8080); port 0: any", 0, 0 },
		{ "gateways", ARG_U64, &u->o.count[UP_GATEWAY], "N", "gateways, on one port (default 1)", 1,
		  UP_ROLE_MAX },
		{ "workers", ARG_U64, &u->o.count[UP_WORKER], "N", "workers (default 1)", 1, UP_ROLE_MAX },
		{ "nodes", ARG_U64, &u->o.count[UP_NODE], "N", "nodes (default 1)", 1, UP_ROLE_MAX },
		{ "engine", ARG_TEXT, &u->o.engine, "E", "echo, echo:rate=R (tokens per second) or a URL", 0,
		  0 },
		{ "model", ARG_TEXT, &u->o.model, "NAME",
		  "model served (default demo, or the engine's first)", 0, 0 },
		{ "price", ARG_U64, &u->o.price, "N", "micro-USD per million units (default 1000)", 0,
		  1000000000000 },
		{ "ready-file", ARG_TEXT, &u->o.ready_file, "F",
		  "written when all is ready: URL, token, model, pids", 0, 0 },
	};
	status = args_parse(&c, args, sizeof(args) / sizeof(args[0]), argc, argv, &words);
	if (status == ARGS_RUN)
		status = up(u);
	free(u);
	return status;
}
