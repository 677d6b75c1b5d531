/* SPDX-License-Identifier: Apache-2.0
 *
 * One INI file per process.  Paths are relative to the data directory, which
 * is every process's working directory.
 */
#include <inttypes.h>
#include <stdio.h>

#include "client/cli/up.h"

#define LOOPBACK "127.0.0.0/8"

static void broker(struct buf *b)
{
	buf_str(b, "bus = ipc://run/bus\nadmin = ipc://run/admin\ndatabase = ledger.db\n"
		   "node_networks = " LOOPBACK "\n");
}

static void worker(struct buf *b, unsigned i)
{
	buf_fmt(b,
		"brokers = ipc://run/bus\npublish = ipc://run/worker-%u\nrequest_key = "
		"keys/proxy-request.key\n"
		"auth_key = keys/proxy-auth.key\nnode_networks = " LOOPBACK "\n",
		i);
}

static void gateway(struct buf *b, const struct up *u)
{
	buf_fmt(b, "brokers = ipc://run/bus\nlisten = %s\n", *u->listen ? u->listen : u->o.listen);
}

/* Room for the chat template, and for what the node guesses too low of a prompt. */
static uint64_t max_units(const struct up *u)
{
	return u->engine_context ? u->engine_context - u->engine_context / 10 : 1048576;
}

static void node(struct buf *b, const struct up *u, unsigned i)
{
	uint64_t most = max_units(u), lock = most / 2 < 8192 ? most / 2 : 8192;

	buf_fmt(b,
		"listen = 127.0.0.1:0\npublic_address =\nnode_id = %u\nsign_key = keys/node-%u.key\n"
		"proxy_auth_keys = keys/proxy-auth.pub\ngateway = %s\nengine = %s\n"
		"models = name=%s price=%" PRIu64 " max_concurrent=64 max_units=%" PRIu64
		" lock_units=%" PRIu64 "\n",
		i, i, u->url, u->o.engine, u->o.model, u->o.price, most, lock ? lock : 1);
}

bool up_write_conf(const struct up *u, const struct up_child *c)
{
	struct buf b = { 0 };
	char path[64];
	bool ok;

	buf_fmt(&b,
		"# written by sealway up at each start\nadmin_listen = 127.0.0.1:0\nready_file = "
		"run/%s.ready\n",
		c->name);
	switch (c->role) {
	case UP_BROKER:
		broker(&b);
		break;
	case UP_WORKER:
		worker(&b, c->index);
		break;
	case UP_GATEWAY:
		gateway(&b, u);
		break;
	case UP_NODE:
		node(&b, u, c->index);
		break;
	case UP_ROLES:
		break;
	}
	snprintf(path, sizeof(path), "conf/%s.ini", c->name);
	ok = up_write(path, buf_slice(&b));
	buf_free(&b);
	return ok;
}
