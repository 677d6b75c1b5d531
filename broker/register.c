/* SPDX-License-Identifier: Apache-2.0
 *
 * Registrations of nodes, both forms (PROTOCOL section 8).  Cheap checks first;
 * the signatures are verified on the pool; then everything that may have changed
 * meanwhile is looked at again.  A counter that does not grow is a replay.  The
 * original form has no counter, so it never changes an address.
 */
#include "broker/register.h"

#include <stdlib.h>
#include <string.h>

#include "broker/enrol.h"
#include "broker/metrics.h"
#include "broker/router.h"
#include "common/hash.h"
#include "common/jscan.h"
#include "common/log.h"
#include "common/sign.h"
#include "proto/query.h"
#include "proto/register.h"

/* A registration whose signatures are being verified, or that is being committed. */
struct enrolment {
	struct broker *broker;
	uint64_t gateway, node; /* as it calls itself */
	uint8_t rid[RID_BYTES];
	uint8_t sign_key[KEY_BYTES];
	struct buf msg; /* the whole REGISTER message */
};

static void enrolment_free(struct enrolment *e)
{
	struct node *n = registry_node_by_key(e->broker->registry, e->sign_key);

	if (n)
		n->registering = false;
	buf_free(&e->msg);
	free(e);
}

/* The broker is closing: its tables are not to be touched any more. */
static void enrolment_lost(void *arg)
{
	struct enrolment *e = arg;

	buf_free(&e->msg);
	free(e);
}

static bool text_is(const struct jval *v, struct slice want)
{
	struct buf text = { 0 };
	bool same;

	if (v->type != J_STRING)
		return false;
	jval_text(v, &text);
	same = slice_eq(buf_slice(&text), want);
	buf_free(&text);
	return same;
}

/* The signed bytes must say what the fields beside them say. */
static bool data_agrees(const struct registration_msg *m)
{
	static const char *const names[] = { "node_small_id", "public_address", "country" };
	struct jval v[3];
	uint64_t id;

	return jscan_object(m->data, names, 3, v, NULL) == ERR_OK && jval_u64(&v[0], ID_MAX, &id) == ERR_OK &&
	       id == m->node && text_is(&v[1], m->address) && text_is(&v[2], m->country);
}

/* A stranger makes itself known only where that is open, and while there is room: each
 * node costs memory for its evidence. */
static enum err newcomers_allowed(const struct broker *b)
{
	if (!b->conf.open_registration)
		return ERR_NOT_FOUND;
	return registry_count(b->registry) < b->conf.open_registration_max ? ERR_OK : ERR_UNAVAILABLE;
}

/* Who it is from and whether it may speak at all; n stays NULL for a newcomer. */
static enum err find_node(const struct broker *b, const struct registration_msg *m, struct enrolment *e,
			  struct node **n)
{
	enum err claimed = sign_claimed_key(m->signature, e->sign_key);

	if (claimed != ERR_OK)
		return claimed == ERR_SCHEME ? ERR_NODE_SCHEME : ERR_NODE_SIGNATURE;
	*n = registry_node_by_key(b->registry, e->sign_key);
	if (!*n)
		return m->registration.n ? newcomers_allowed(b) : ERR_NOT_FOUND;
	if ((*n)->row.state == NODE_REMOVED || (*n)->row.id != m->node)
		return ERR_NOT_FOUND;
	return (*n)->registering ? ERR_RATE : ERR_OK;
}

static void answer(const struct enrolment *e)
{
	const struct party *p = peers_by_instance(e->broker, e->gateway, ROLE_GATEWAY);
	struct answer m = { .body = slice_of(NULL, 0) };
	struct buf msg = { 0 };

	if (!p)
		return;
	memcpy(m.rid, e->rid, RID_BYTES);
	answer_encode(&m, &msg);
	router_send(e->broker, p, &msg);
}

static void refuse(const struct enrolment *e, enum err why, const char *param)
{
	router_refuse(e->broker, e->gateway, e->rid, why, param,
		      why == ERR_RATE || why == ERR_UNAVAILABLE ? 1 : 0);
}

static void on_committed(void *arg, enum err result)
{
	struct enrolment *e = arg;

	(void)result;
	answer(e);
	enrolment_free(e);
}

/* The original form: a sign of life from an address that is on record.  It can be
 * replayed for ever, so it says nothing about a node that has the full form. */
static enum err apply_original(struct broker *b, const struct registration_msg *m, struct node *n,
			       struct store_op **op, const char **param)
{
	size_t bare;

	*param = "registration";
	if (!n->row.original)
		return ERR_BODY;
	*param = "public_address";
	if (url_check(m->address, b->networks, &bare) != ERR_OK ||
	    !slice_is(slice_of(m->address.p, bare), n->url))
		return ERR_BODY;
	node_seen(n, broker_now(), broker_ms(b));
	node_wake(n);
	*op = node_op(n);
	return ERR_OK;
}

static enum err apply(struct enrolment *e, struct store_op **op, const char **param)
{
	struct broker *b = e->broker;
	struct registration_msg m;
	struct registration r;
	struct node *n;
	enum err err = register_decode(buf_slice(&e->msg), &m);

	if (err != ERR_OK)
		return ERR_BODY;
	n = registry_node_by_key(b->registry, e->sign_key);
	if (n && (n->row.id != m.node || n->row.state == NODE_REMOVED))
		return ERR_NOT_FOUND; /* it came or went while the signatures were verified */
	if (!m.registration.n)
		return n ? apply_original(b, &m, n, op, param) : ERR_NOT_FOUND;
	err = n ? ERR_OK : newcomers_allowed(b);
	if (err != ERR_OK)
		return err;
	err = enrol_check(b, &m, &r, n, param);
	return err == ERR_OK ? enrol_apply(b, &m, &r, e->sign_key, n, op, param) : err;
}

static void on_verified(void *arg, enum err result)
{
	struct enrolment *e = arg;
	const char *param = NULL;
	struct store_op *op = NULL;

	if (result == ERR_OK)
		result = apply(e, &op, &param);
	else
		result = ERR_NODE_SIGNATURE;
	if (result != ERR_OK) {
		log_info("registration_refused", L_U("node", e->node), L_ERR(result),
			 L_S("member", param ? param : ""));
		refuse(e, result, result == ERR_BODY ? param : NULL);
		enrolment_free(e);
		return;
	}
	stat_inc(&metrics.registrations, 1);
	op->lost = enrolment_lost;
	broker_commit(e->broker, op, on_committed, e);
}

static enum err verify(struct enrolment *e, const struct registration_msg *m, const struct registration *r)
{
	struct verify_item *item = mem_new(sizeof(*item));

	verify_add(item, NULL, m->data, m->signature, e->sign_key);
	if (m->registration.n) {
		verify_add(item, REGISTER_LABEL, m->registration, m->registration_signature, e->sign_key);
		verify_add(item, STATEMENT_LABEL, r->statement, r->statement_signature, e->sign_key);
	}
	item->done = on_verified;
	item->arg = e;
	item->lost = enrolment_lost;
	if (verify_submit(e->broker->verify, item) == ERR_OK)
		return ERR_OK;
	verify_item_free(item);
	return ERR_UNAVAILABLE;
}

static enum err check(struct enrolment *e, const struct registration_msg *m, const char **param)
{
	struct broker *b = e->broker;
	struct registration r;
	struct node *n = NULL;
	enum err err = broker_admits(b);

	if (err == ERR_OK)
		err = find_node(b, m, e, &n);
	if (err == ERR_OK && !data_agrees(m)) {
		*param = "data";
		err = ERR_BODY;
	}
	if (err == ERR_OK && m->registration.n)
		err = enrol_check(b, m, &r, n, param);
	if (err == ERR_OK)
		err = verify(e, m, &r);
	if (err == ERR_OK && n)
		n->registering = true;
	return err;
}

void register_node(struct broker *b, struct party *from, struct slice msg)
{
	struct registration_msg m;
	struct enrolment *e;
	const char *param = NULL;
	enum err err;

	if (register_decode(msg, &m) != ERR_OK) {
		stat_inc(&metrics.dropped, 1);
		return;
	}
	e = mem_new(sizeof(*e));
	e->broker = b;
	e->gateway = from->instance;
	e->node = m.node;
	memcpy(e->rid, m.rid, RID_BYTES);
	buf_add(&e->msg, msg.p, msg.n);
	err = check(e, &m, &param);
	if (err == ERR_OK)
		return;
	log_info("registration_refused", L_U("node", m.node), L_ERR(err), L_S("member", param ? param : ""));
	refuse(e, err, err == ERR_BODY ? param : NULL);
	buf_free(&e->msg); /* not enrolment_free: another registration of the node may be under way */
	free(e);
}
