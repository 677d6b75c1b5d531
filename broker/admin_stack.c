/* SPDX-License-Identifier: Apache-2.0
 *
 * stack.list {user?}, stack.show {stack}, stack.unlock {stack}, stack.grant {user,
 * node, model, units, reason}, request.list {}: what is bought, what is in flight;
 * no contents.
 */
#include "broker/admin.h"
#include "broker/task.h"
#include "common/log.h"

static json_t *stack_json(const struct broker *b, const struct stack *st)
{
	const struct model *m = registry_model_by_id(b->registry, st->model);

	return json_pack("{s:I, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "stack",
			 (json_int_t)st->id, "user", st->user->name, "node", (json_int_t)st->node, "model",
			 m ? m->name : "", "state", st->state == STACK_LOCKED ? "locked" : "open", "bought",
			 (json_int_t)st->bought, "free", (json_int_t)stack_free(st), "reserved",
			 (json_int_t)st->reserved, "spent", (json_int_t)st->spent, "price",
			 (json_int_t)st->price, "paid_micro_usd", (json_int_t)st->paid);
}

void admin_stack_list(struct admin_call *c, const json_t *args)
{
	const struct broker *b = admin_broker(c);
	struct user *only;
	const struct stack *st;
	json_t *list;
	size_t pos = 0;

	if (!arg_user_if(c, args, &only))
		return;
	list = json_array();
	while ((st = ledger_next_stack(b->ledger, &pos)) != NULL) {
		if (!only || st->user == only)
			json_array_append_new(list, stack_json(b, st));
	}
	admin_ok(c, json_pack("{s:o}", "stacks", list));
}

/* The stack numbered by member "stack"; answers the call itself when there is none. */
static struct stack *arg_stack(struct admin_call *c, const json_t *args)
{
	struct stack *st = NULL;
	uint64_t id;

	if (arg_u64(args, "stack", ID_MAX, &id))
		st = ledger_stack(admin_broker(c)->ledger, id);
	if (!st)
		admin_fail(c, ERR_NOT_FOUND, "no such stack (argument \"stack\": its number)");
	return st;
}

void admin_stack_unlock(struct admin_call *c, const json_t *args)
{
	struct stack *st = arg_stack(c, args);
	struct store_op *op;
	json_t *body;

	if (!st)
		return;
	op = ledger_stack_state(st, STACK_OPEN);
	body = stack_json(admin_broker(c), st);
	if (!op) {
		admin_ok(c, body); /* it was open: asking twice is no error */
		return;
	}
	log_info("stack_unlocked", L_U("stack", st->id), L_S("by", "operator"));
	admin_commit(c, op, body);
}

void admin_stack_show(struct admin_call *c, const json_t *args)
{
	const struct broker *b = admin_broker(c);
	const struct stack *st = arg_stack(c, args);
	json_t *body, *locks;

	if (!st)
		return;
	body = stack_json(b, st);
	locks = json_array();
	for (const struct lock *k = st->locks; k; k = k->next)
		json_array_append_new(locks, json_pack("{s:I, s:I, s:I}", "lock", (json_int_t)k->id, "units",
						       (json_int_t)k->units, "expires",
						       (json_int_t)(k->expires_ms / 1000)));
	json_object_set_new(body, "locks", locks);
	admin_ok(c, body);
}

json_t *admin_task_json(const struct broker *b, const struct task *t)
{
	char name[33];

	log_rid(name, t->rid);
	return json_pack("{s:s, s:s, s:s, s:I, s:s, s:b, s:I, s:I, s:I}", "request", name, "state",
			 task_state_name(t->state), "user", t->user->name, "node",
			 (json_int_t)t->node->row.id, "endpoint", endpoint_name(t->endpoint), "stream",
			 t->stream, "attempt", (json_int_t)t->attempt, "units",
			 (json_int_t)(t->res ? t->res->units : 0), "ms",
			 (json_int_t)(broker_ms(b) - t->since_ms));
}

void admin_request_list(struct admin_call *c, const json_t *args)
{
	const struct broker *b = admin_broker(c);
	json_t *list = json_array();
	const struct task *t;
	size_t pos = 0;

	(void)args;
	while ((t = map_next(b->tasks, &pos)) != NULL)
		json_array_append_new(list, admin_task_json(b, t));
	admin_ok(c, json_pack("{s:o}", "requests", list));
}

/* What is granted; false, and answered, when an argument is wrong. */
static bool read_grant(struct admin_call *c, const json_t *args, const struct node *n, struct row_stack *row)
{
	const char *model = arg_text(args, "model");
	const struct model *m = registry_model(admin_broker(c)->registry, slice_str(model));

	if (!m || !node_sub(n, m->id)) {
		admin_fail(c, ERR_NOT_FOUND, "this node does not offer such a model (argument \"model\")");
		return false;
	}
	if (!arg_u64(args, "units", ID_MAX, &row->bought) || row->bought == 0) {
		admin_fail(c, ERR_BODY, "units: 1 to 2^53-1");
		return false;
	}
	if (!arg_reason(c, args))
		return false;
	row->node = n->row.id;
	row->model = m->id;
	row->created = broker_now();
	return true;
}

void admin_stack_grant(struct admin_call *c, const json_t *args)
{
	struct broker *b = admin_broker(c);
	struct user *u = arg_user(c, args);
	const struct node *n = u ? arg_node(c, args) : NULL;
	struct row_stack row = { .id = 0 };
	struct store_op *op;
	struct stack *st;

	if (!n || !read_grant(c, args, n, &row))
		return;
	if (ledger_grant(b->ledger, u, &row, arg_text(args, "reason"), &st, &op) != ERR_OK) {
		admin_fail(c, ERR_BODY, "units: 1 to 2^53-1");
		return;
	}
	log_info("stack_granted", L_U("user", u->id), L_U("stack", st->id), L_U("node", st->node),
		 L_U("units", st->bought));
	admin_commit(c, op, stack_json(b, st));
}
