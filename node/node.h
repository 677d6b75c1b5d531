/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of one node process.  main makes them in this order and closes them
 * in reverse.
 */
#ifndef SEALWAY_NODE_NODE_H
#define SEALWAY_NODE_NODE_H

#include "common/httpd/admin.h"
#include "common/httpd/httpd.h"
#include "common/loop.h"
#include "common/sign.h"
#include "node/auth.h"
#include "node/conf.h"
#include "node/engine.h"
#include "node/keys.h"
#include "node/models.h"
#include "node/receipts.h"
#include "node/register.h"
#include "node/task.h"

struct node {
	struct node_conf conf;
	struct loop *loop;
	uv_loop_t *uv;
	struct models models;
	struct sign_key *sign;
	struct proxies *proxies;
	struct keys *keys;
	struct receipts *receipts;
	struct engine *engine;
	struct tasks *tasks;
	struct httpd *http;
	struct admin_http *admin;
	struct registrar *registrar;
	uv_timer_t upkeep; /* key rotation, expiry of receipts, the ready file */
	bool ready_told;
};

#endif
