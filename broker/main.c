/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway-broker.  Start: configuration, ledger (its lease keeps a second broker
 * from the same sockets, so it comes before they are bound), proof that it adds
 * up, memory, sockets, loop.  SIGTERM drains: nothing new is admitted, what is in
 * flight is settled, then exit 0; a second one or drain_s cuts.  SIGHUP reads the
 * allow-list again.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "broker/admin.h"
#include "broker/allow.h"
#include "broker/broker.h"
#include "broker/metrics.h"
#include "broker/store_read.h"
#include "broker/task.h"
#include "common/httpd/admin.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/sandbox.h"

#define DRAIN_LOOK_MS 20

static void on_drained(void *arg, struct alarm *a)
{
	struct broker *b = arg;

	if (!task_moving(b) && store_backlog(b->store) == 0)
		loop_stop(b->loop);
	else
		alarm_set(b->alarms, a, broker_ms(b) + DRAIN_LOOK_MS, on_drained);
}

static void on_drain(void *arg)
{
	struct broker *b = arg;

	b->draining = true;
	log_info("draining", L_U("inflight", map_count(b->tasks)));
	alarm_set(b->alarms, &b->drain_alarm, broker_ms(b), on_drained);
}

static void on_cut(void *arg)
{
	struct broker *b = arg;

	log_warn("cut", L_U("inflight", map_count(b->tasks)));
	loop_stop(b->loop);
}

static void on_reload(void *arg)
{
	allow_reload(arg);
}

static bool on_ready(void *arg)
{
	const struct broker *b = arg;

	stat_set(&metrics.backlog, store_backlog(b->store));
	return !b->draining && store_healthy(b->store);
}

static enum err say_ready(struct broker *b)
{
	struct buf t = { 0 };
	enum err e = ERR_OK;

	buf_fmt(&t, "{\"pid\":%d,\"listen\":\"", (int)getpid());
	buf_json(&t, slice_str(zsock_endpoint(b->bus)));
	buf_str(&t, "\",\"admin_socket\":\"");
	buf_json(&t, slice_str(b->conf.admin));
	buf_fmt(&t, "\",\"admin\":\"");
	if (b->conf.admin_listen[0])
		buf_fmt(&t, "%.*s:%u", (int)(strrchr(b->conf.admin_listen, ':') - b->conf.admin_listen),
			b->conf.admin_listen, admin_http_port(b->http));
	buf_str(&t, "\"}\n");
	buf_add(&t, "", 1);
	if (b->conf.ready_file[0])
		e = ready_file_write(b->conf.ready_file, (const char *)t.p);
	buf_free(&t);
	if (e == ERR_OK)
		loop_ready(b->loop);
	log_info("ready", L_U("instance", b->instance));
	return e;
}

static enum err serve_http(struct broker *b)
{
	return admin_http_open(&b->http, b->uv, b->conf.admin_listen, on_ready, b);
}

static int serve(struct broker *b)
{
	const struct loop_events ev = { .drain = on_drain,
					.cut = on_cut,
					.reload = on_reload,
					.drain_ms = b->conf.drain_s * 1000,
					.arg = b };
	int status = 1;

	if (b->conf.batch)
		loop_batch();
	b->loop = loop_new(&ev);
	b->uv = loop_uv(b->loop);
	metrics_register();
	if (sandbox_user(b->conf.user) == ERR_OK && ready_file_forget(b->conf.ready_file) == ERR_OK &&
	    broker_open(b, b->uv) == ERR_OK && serve_http(b) == ERR_OK &&
	    sandbox_calls(b->conf.seccomp) == ERR_OK && say_ready(b) == ERR_OK)
		status = loop_run(b->loop);
	admin_http_close(b->http);
	broker_close(b);
	loop_free(b->loop);
	zctx_free(b->zctx);
	return status;
}

static void print_problem(void *arg, const char *text)
{
	(void)arg;
	printf("%s\n", text);
}

static void print_checked(bool sound, json_t *problems)
{
	json_t *o = admin_checked(sound, problems);

	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(o);
	json_decref(problems);
}

/* --check-ledger: for a ledger that no broker may serve, or that one serves just now. */
static int check_ledger(const char *path, bool as_json)
{
	const char *why = store_no_ledger(path);
	json_t *problems;
	bool sound;

	if (why) {
		fprintf(stderr, "%s: cannot be opened as a ledger: %s\n", path, why);
		return 1;
	}
	problems = as_json ? json_array() : NULL;
	sound = store_check(path, as_json ? admin_add_problem : print_problem, problems);
	if (as_json)
		print_checked(sound, problems);
	else
		printf("%s: the ledger %s\n", path, sound ? "adds up" : "does not add up");
	if (fflush(stdout) == 0 && !ferror(stdout))
		return sound ? 0 : 1;
	fprintf(stderr, "%s: what was found cannot be written\n", path);
	return 1;
}

int main(int argc, char **argv)
{
	struct broker b = { .draining = false };
	enum conf_action action;
	int status;

	loop_harden();
	mem_keep();
	action = conf_load(&broker_conf_spec, &b.conf, argc, argv);
	status = action == CONF_EXIT ? 0 : 2;

	if (action == CONF_RUN) {
		status = sodium_init() < 0     ? 1
			 : b.conf.check_ledger ? check_ledger(b.conf.database, b.conf.log_json)
					       : serve(&b);
	}
	conf_free(&broker_conf_spec, &b.conf);
	return status;
}
