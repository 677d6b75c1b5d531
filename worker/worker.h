/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of one worker process.  main.c runs it; parts.c makes the parts in
 * order and takes them apart in reverse; events.c connects what they say to
 * each other; drain.c ends it.  Only these include this.
 */
#ifndef SEALWAY_WORKER_WORKER_H
#define SEALWAY_WORKER_WORKER_H

#include "common/httpd/admin.h"
#include "common/loop.h"
#include "common/net/networks.h"
#include "worker/link.h"
#include "worker/probes.h"
#include "worker/task.h"
#include "worker/wanted.h"

struct worker {
	struct worker_conf conf;
	uint64_t instance;
	struct headers_keys keys;
	struct networks *networks;
	struct zcurve server, client; /* as the XPUB's server, as the broker's client */
	struct loop *loop;
	struct zctx *zctx;
	struct zctx *broker_zctx; /* another where a broker's endpoint is a name (gateway/thread.h) */
	struct zauth *zauth;
	struct upstream *upstream;
	struct publish *publish;
	struct receipts *receipts;
	struct settle_book *settles;
	struct tasks *tasks;
	struct wanted *wanted;
	struct probes *probes;
	struct link *links[LINKS_MAX];
	unsigned n_links;
	struct admin_http *admin;
	uv_timer_t drain;
	unsigned bye_looks;
	bool said_bye;
};

/* Loads the keys and reads the networks, from w->conf alone. */
enum err worker_load(struct worker *w) MUST_USE;

/* Takes what worker_load has made, and wipes it. */
void worker_unload(struct worker *w);

/* What a start would find wrong with the settings, said in the log; serves, connects and
 * writes nothing.  For --check-config: ERR_CONFIG if anything is. */
enum err worker_look(const struct worker_conf *c) MUST_USE;

/* Makes all parts, in order, and starts them.  On an error (logged) what was made
 * stays for worker_stop. */
enum err worker_start(struct worker *w) MUST_USE;

/* Takes everything apart, also a half-made worker, and wipes the secrets. */
void worker_stop(struct worker *w);

/* The events of publish and of a link, ready to be given to their parts. */
struct publish_events worker_publish_events(struct worker *w);
struct link_events worker_link_events(struct worker *w);

/* For the book and the tasks: one message to broker number `to`. */
void worker_send_settle(void *arg, unsigned to, struct slice bytes);
enum err worker_send(void *arg, unsigned to, struct slice bytes);

/* For the probes: the outcome of one to broker number `to`. */
void worker_send_probed(void *arg, unsigned to, const struct probed *m);

/* For /ready: a broker answers. */
bool worker_ready(void *arg);

/* loop_events.drain: no new work; when all is done and acknowledged, BYE and the
 * end of the loop. */
void worker_drain(void *arg);

#endif
