/* SPDX-License-Identifier: Apache-2.0
 *
 * The ZAP handler (zauth.h, ZeroMQ RFC 27): one REP socket on the loop that
 * answers libzmq's question about each CURVE handshake.  Only CURVE, only keys
 * on the list; everything else is denied.  A stranger's key gets 300, which
 * leaves the handshake to time out and the peer to try again: after a 400 it
 * never would, though its key may be put on the list later.  libzmq asks once
 * per connection, so what a key may do is looked up again for every message by
 * its receiver.
 */
#include "common/zauth.h"

#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/log.h"
#include "common/seldom.h"
#include "common/zsock_priv.h"

/* A request by RFC 27: version, request id, domain, address, identity, mechanism, credentials. */
enum { ZAP_VERSION, ZAP_ID, ZAP_DOMAIN, ZAP_ADDRESS, ZAP_IDENTITY, ZAP_MECHANISM, ZAP_KEY, ZAP_PARTS };

struct zauth {
	struct zsock *z;
	struct zauth_list *list;
	struct seldom denied;
	const char *remedy;
	bool probing, probe_refused;
	uint8_t probe[32]; /* a stranger of our own (zprobe.h) */
};

/* 200 with the key as User-Id, 300 for keys not on the list, 400 for everything
 * that never can be right, 500 for a question we cannot read. */
static const char *judge(const struct zauth *a, struct zmsg *parts, size_t n, char user[65])
{
	struct slice key;

	user[0] = 0;
	if (n <= ZAP_ID || !slice_is(zmsg_slice(&parts[ZAP_VERSION]), "1.0"))
		return "500";
	if (n != ZAP_PARTS || !slice_is(zmsg_slice(&parts[ZAP_MECHANISM]), "CURVE"))
		return "400";
	key = zmsg_slice(&parts[ZAP_KEY]);
	if (key.n != 32)
		return "400";
	if (zauth_roles(a, key.p) == ZAUTH_NONE)
		return "300";
	hex_put(user, key.p, 32);
	return "200";
}

/* Strangers try again every few seconds. */
static void log_denied(struct zauth *a)
{
	uint64_t times;

	if (seldom(&a->denied, 1, uv_hrtime() / 1000000, &times))
		log_warn("zauth.denied", L_U("handshakes", times), L_S("do", a->remedy));
}

static bool is_probe(const struct zauth *a, struct zmsg *parts, size_t n)
{
	struct slice key = n == ZAP_PARTS ? zmsg_slice(&parts[ZAP_KEY]) : slice_of(NULL, 0);

	return a->probing && key.n == 32 && memcmp(key.p, a->probe, 32) == 0;
}

void zauth_probe(struct zauth *a, const uint8_t key[32])
{
	a->probing = key != NULL;
	a->probe_refused = false;
	if (key)
		memcpy(a->probe, key, 32);
}

bool zauth_probe_refused(const struct zauth *a)
{
	return a->probe_refused;
}

static void on_msg(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct zauth *a = arg;
	struct zmsg reply[6];
	char user[65];
	const char *status = judge(a, parts, n, user);

	zmsg_copy_init(&reply[0], SLICE_STR("1.0"));
	zmsg_copy_init(&reply[1], n > ZAP_ID ? zmsg_slice(&parts[ZAP_ID]) : slice_of(NULL, 0));
	zmsg_copy_init(&reply[2], slice_str(status));
	zmsg_copy_init(&reply[3], user[0] ? SLICE_STR("OK") : SLICE_STR("denied"));
	zmsg_copy_init(&reply[4], slice_str(user));
	zmsg_init(&reply[5]); /* metadata */
	if (!user[0] && is_probe(a, parts, n))
		a->probe_refused = true;
	else if (!user[0])
		log_denied(a);
	if (zsock_send(z, reply, 6) != ERR_OK) {
		log_error("zauth.no_answer");
		for (size_t i = 0; i < 6; i++)
			zmsg_close(&reply[i]);
	}
}

struct zauth *zauth_open(struct zctx *c, uv_loop_t *uv, const char *remedy)
{
	struct zauth *a = mem_new(sizeof(*a));
	struct zsock_opts o = { .type = ZSOCK_REP, .on_msg = on_msg, .arg = a };

	a->remedy = remedy;
	a->list = zauth_list_new();
	a->z = zsock_open(c, uv, &o);
	BUG_ON(zsock_bind(a->z, ZSOCK_ZAP_ENDPOINT, false) != ERR_OK); /* twice in one context */
	return a;
}

void zauth_close(struct zauth *a)
{
	if (!a)
		return;
	zsock_close(a->z);
	zauth_list_free(a->list);
	free(a);
}

enum err zauth_allow(struct zauth *a, const uint8_t key[32], enum zauth_role role)
{
	return zauth_list_add(a->list, key, role);
}

void zauth_revoke(struct zauth *a, const uint8_t key[32])
{
	zauth_list_remove(a->list, key);
}

unsigned zauth_roles(const struct zauth *a, const uint8_t key[32])
{
	return zauth_list_roles(a->list, key);
}

static void say_fault(const char *path, const struct zauth_fault *fault)
{
	if (fault->line)
		log_error("zauth.line", L_S("file", path), L_U("line", fault->line), L_S("why", fault->why),
			  L_S("do", "write: role (gateway, worker, broker), base64 of a 32-byte key, name"));
	else
		log_error("zauth.read", L_S("file", path), L_S("why", fault->why));
}

static enum err read_list(struct zauth_list *list, const char *path)
{
	struct zauth_fault fault;
	enum err e = zauth_list_read(list, path, &fault);

	if (e != ERR_OK)
		say_fault(path, &fault);
	return e;
}

enum err zauth_load(struct zauth *a, const char *path)
{
	struct zauth_list *list = zauth_list_new();
	enum err e = read_list(list, path);

	if (e != ERR_OK) {
		zauth_list_free(list);
		return e;
	}
	zauth_list_free(a->list);
	a->list = list;
	return ERR_OK;
}

enum err zauth_check(const char *path)
{
	struct zauth_list *list = zauth_list_new();
	enum err e = read_list(list, path);

	zauth_list_free(list);
	return e;
}
