/* SPDX-License-Identifier: Apache-2.0
 *
 * Receiving the operator's commands and answering them (admin.h).
 */
#include "broker/admin.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/log.h"
#include "proto/admin.h"

#define ROUTE_MAX 255

struct admin_call {
	struct broker *broker;
	uint8_t route[ROUTE_MAX];
	size_t route_n;
	uint8_t rid[RID_BYTES];
	json_t *body; /* while a commit runs */
};

static const struct {
	const char *verb;
	void (*run)(struct admin_call *c, const json_t *args);
	bool needs_database;
} verbs[] = {
#define X(verb, function, needs_database) { verb, function, needs_database },
	ADMIN_VERBS(X)
#undef X
};

struct broker *admin_broker(const struct admin_call *c)
{
	return c->broker;
}

static void send_reply(struct admin_call *c, enum err e, json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT); /* NULL for texts that are not UTF-8 */
	struct admin_reply m = { .error = text ? e : ERR_INTERNAL,
				 .body = text ? slice_str(text)
					      : SLICE_STR("{\"message\":\"something in it is not text\"}") };
	struct buf msg = { .secret = true };
	struct zmsg parts[2];

	memcpy(m.rid, c->rid, RID_BYTES);
	admin_reply_encode(&m, &msg);
	mem_wiping_free(text);
	json_decref(body);
	zmsg_copy_init(&parts[0], slice_of(c->route, c->route_n));
	zmsg_take_init(&parts[1], &msg);
	if (!c->broker->desk || zsock_send(c->broker->desk, parts, 2) != ERR_OK) {
		zmsg_close(&parts[0]);
		zmsg_close(&parts[1]);
	}
	free(c);
}

void admin_ok(struct admin_call *c, json_t *body)
{
	send_reply(c, ERR_OK, body);
}

void admin_fail(struct admin_call *c, enum err e, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	send_reply(c, e, json_pack("{s:s}", "message", text));
}

static void on_committed(void *arg, enum err result)
{
	struct admin_call *c = arg;

	(void)result;
	admin_ok(c, c->body);
}

void admin_drop(struct admin_call *c)
{
	json_decref(c->body);
	free(c);
}

static void on_lost(void *arg)
{
	admin_drop(arg);
}

void admin_commit(struct admin_call *c, struct store_op *op, json_t *body)
{
	c->body = body;
	op->lost = on_lost;
	broker_commit(c->broker, op, on_committed, c);
}

const char *arg_text(const json_t *args, const char *name)
{
	return json_string_value(json_object_get(args, name));
}

bool arg_u64(const json_t *args, const char *name, uint64_t max, uint64_t *out)
{
	const json_t *v = json_object_get(args, name);
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < 0 || (uint64_t)n > max)
		return false;
	*out = (uint64_t)n;
	return true;
}

bool arg_key(const json_t *args, const char *name, uint8_t out[KEY_BYTES])
{
	return b64_decode_exact(slice_str(arg_text(args, name)), out, KEY_BYTES) == ERR_OK;
}

/* A name goes before a number: an old ledger may have names that look like one. */
struct user *arg_user(struct admin_call *c, const json_t *args)
{
	const char *name = arg_text(args, "user");
	struct user *u = name ? ledger_user_named(c->broker->ledger, slice_str(name)) : NULL;
	uint64_t id;

	if (!u && name && slice_u64(slice_str(name), ID_MAX, &id) == ERR_OK)
		u = ledger_user(c->broker->ledger, id);
	if (!u)
		admin_fail(c, ERR_NOT_FOUND, "no such user (argument \"user\": a name or a number)");
	return u;
}

bool arg_user_if(struct admin_call *c, const json_t *args, struct user **out)
{
	bool named = json_object_get(args, "user") != NULL;

	*out = named ? arg_user(c, args) : NULL;
	return !named || *out;
}

const char *arg_reason(struct admin_call *c, const json_t *args)
{
	const char *reason = arg_text(args, "reason");

	if (reason && reason[0] && slice_str(reason).n <= REASON_BYTES_MAX)
		return reason;
	admin_fail(c, ERR_BODY, "reason: 1 to %d bytes that say why", REASON_BYTES_MAX);
	return NULL;
}

struct node *arg_node(struct admin_call *c, const json_t *args)
{
	struct node *n = NULL;
	uint64_t id;

	if (arg_u64(args, "node", ID_MAX, &id))
		n = registry_node(c->broker->registry, id);
	if (!n)
		admin_fail(c, ERR_NOT_FOUND, "no such node (argument \"node\": its number)");
	return n;
}

static void run_verb(struct admin_call *c, struct slice verb, const json_t *args)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!slice_is(verb, verbs[i].verb))
			continue;
		log_debug("admin", L_S("verb", verbs[i].verb));
		/* Taken now it would be done whenever the database can be written again, long after its
		 * caller was told that it failed. */
		if (verbs[i].needs_database && !broker_can_write(c->broker))
			admin_fail(c, ERR_UNAVAILABLE,
				   "the database cannot be written at the moment (see the broker's log and "
				   "disk); "
				   "nothing was changed");
		else
			verbs[i].run(c, args);
		return;
	}
	admin_fail(c, ERR_NOT_FOUND, "no such command");
}

static void run(struct admin_call *c, const struct admin *m)
{
	json_error_t err;
	json_t *args = json_loadb((const char *)m->args.p, m->args.n, JSON_REJECT_DUPLICATES, &err);

	if (json_is_object(args))
		run_verb(c, m->verb, args);
	else
		admin_fail(c, ERR_BODY, "arguments are not a JSON object");
	json_decref(args);
}

static void on_msg(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct slice route = zmsg_slice(&parts[0]);
	struct admin_call *c;
	struct admin m = { 0 };
	enum err e;

	(void)z;
	if (n != 2 || route.n > ROUTE_MAX)
		return;
	e = admin_decode(zmsg_slice(&parts[1]), &m);
	if (e != ERR_OK && e != ERR_VERSION)
		return;
	c = mem_new(sizeof(*c));
	c->broker = arg;
	memcpy(c->route, route.p, route.n);
	c->route_n = route.n;
	memcpy(c->rid, m.rid, RID_BYTES);
	if (e == ERR_OK)
		run(c, &m);
	else /* of another version: it reads ours in front of this, and no more */
		admin_fail(c, ERR_VERSION, "this broker is sealway " SEALWAY_VERSION);
}

enum err admin_open(struct broker *b)
{
	struct zsock_opts o = { .type = ZSOCK_ROUTER, .max_msg = 4 << 20, .on_msg = on_msg, .arg = b };
	enum err e;

	json_set_alloc_funcs(mem_wiping_malloc, mem_wiping_free); /* a new token goes through here */
	b->readings = readings_new(b->uv);
	b->desk = zsock_open(b->zctx, b->uv, &o);
	e = zsock_bind(b->desk, b->conf.admin, false);
	if (e != ERR_OK)
		log_error("admin_bind", L_S("endpoint", b->conf.admin), L_ERR(e), L_S("why", zsock_why(e)),
			  L_S("do", "give this broker a path of its own: admin = ipc://..."));
	return e;
}
