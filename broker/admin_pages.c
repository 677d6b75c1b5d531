/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of the ledger, page by page: ledger.export {what, after?, user?, from?, to?},
 * user.journal {user, after?}, request.show {request}.  Every answer is bounded by
 * PAGE_ROWS; "next" says where to go on, null at the end.
 */
#include <string.h>

#include "broker/admin.h"
#include "broker/task.h"
#include "common/log.h"
#include "proto/settle.h"

#define PAGE_ROWS 1000 /* x about 400 bytes */
#define REQUEST_NAME_BYTES 32

static const char *const outcome_names[SETTLE_OUTCOME_MAX] = { "released", "complete", "stopped", "failed",
							       "lost" };

static const struct {
	uint32_t flag;
	const char *name;
} flag_names[] = {
	{ SETTLE_EXCESS, "excess" },         { SETTLE_UNSIGNED, "unsigned" },
	{ SETTLE_NO_RECEIPT, "no_receipt" }, { SETTLE_BAD_RECEIPT, "bad_receipt" },
	{ SETTLE_NODE_LOST, "node_lost" },   { SETTLE_RELEASED, "released" },
};

static json_t *flags_json(uint64_t flags)
{
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
		if (flags & flag_names[i].flag)
			json_array_append_new(list, json_string(flag_names[i].name));
	return list;
}

/* Numbers of ours become their names. */
static void name_members(json_t *row)
{
	uint64_t endpoint = (uint64_t)json_integer_value(json_object_get(row, "endpoint"));
	uint64_t outcome = (uint64_t)json_integer_value(json_object_get(row, "outcome"));
	uint64_t flags = (uint64_t)json_integer_value(json_object_get(row, "flags"));

	if (!json_object_get(row, "request"))
		return;
	json_object_set_new(row, "endpoint",
			    json_string(endpoint < EP_COUNT ? endpoint_name((enum endpoint)endpoint) : ""));
	json_object_set_new(row, "outcome",
			    json_string(outcome < SETTLE_OUTCOME_MAX ? outcome_names[outcome] : ""));
	json_object_set_new(row, "flags", flags_json(flags));
}

static void add_row(void *arg, uint64_t id, const char *text)
{
	struct reading *r = arg;
	json_t *row = json_loads(text, 0, NULL);

	if (!json_is_object(row)) {
		r->result = ERR_FORMAT;
		json_decref(row);
		return;
	}
	name_members(row);
	json_array_append_new(r->list, row);
	r->page.after = id;
}

static void page_work(struct reading *r)
{
	enum err e = store_page(r->path, &r->page, add_row, r);

	if (e != ERR_OK)
		r->result = e;
}

static bool read_failed(struct reading *r)
{
	if (r->result == ERR_OK)
		return false;
	admin_fail(r->call, ERR_IO, "the database cannot be read");
	reading_free(r);
	return true;
}

static void page_done(struct reading *r)
{
	bool more = json_array_size(r->list) == r->page.limit;

	if (read_failed(r))
		return;
	admin_ok(r->call, json_pack("{s:O, s:o}", "rows", r->list, "next",
				    more ? json_integer((json_int_t)r->page.after) : json_null()));
	reading_free(r);
}

/* False, and answered, when an argument is wrong. */
static bool read_span(struct admin_call *c, const json_t *args, struct store_page *q)
{
	uint64_t from = 0, to = ID_MAX;

	*q = (struct store_page){ .limit = PAGE_ROWS };
	if ((json_object_get(args, "after") && !arg_u64(args, "after", ID_MAX, &q->after)) ||
	    (json_object_get(args, "from") && !arg_u64(args, "from", ID_MAX, &from)) ||
	    (json_object_get(args, "to") && !arg_u64(args, "to", ID_MAX, &to))) {
		admin_fail(c, ERR_BODY, "after, from, to: numbers from 0 (from and to in Unix seconds)");
		return false;
	}
	q->from = (int64_t)from;
	q->to = (int64_t)to;
	return true;
}

static void start_page(struct admin_call *c, const struct store_page *q)
{
	struct reading *r = reading_new(c);

	r->page = *q;
	reading_start(r, READING_SHORT, page_work, page_done);
}

void admin_ledger_export(struct admin_call *c, const json_t *args)
{
	const char *what = arg_text(args, "what");
	struct store_page q;
	struct user *u;

	if (!read_span(c, args, &q))
		return;
	if (!what || (strcmp(what, "settlements") != 0 && strcmp(what, "journal") != 0)) {
		admin_fail(c, ERR_BODY, "what: settlements or journal");
		return;
	}
	q.what = what[0] == 'j' ? PAGE_JOURNAL : PAGE_SETTLEMENTS;
	if (!arg_user_if(c, args, &u))
		return;
	q.user = u ? u->id : 0;
	start_page(c, &q);
}

void admin_user_journal(struct admin_call *c, const json_t *args)
{
	struct store_page q;
	const struct user *u;

	if (!read_span(c, args, &q))
		return;
	u = arg_user(c, args);
	if (!u)
		return;
	q.what = PAGE_JOURNAL;
	q.user = u->id;
	start_page(c, &q);
}

/* --- one request --- */

static void show_done(struct reading *r)
{
	json_t *row;

	if (read_failed(r))
		return;
	row = json_incref(json_array_get(r->list, 0));
	if (row) {
		json_object_del(row, "id");
		json_object_set_new(row, "state", json_string("settled"));
		admin_ok(r->call, row);
	} else {
		admin_fail(r->call, ERR_NOT_FOUND, "no request of that name is in flight or remembered");
	}
	reading_free(r);
}

void admin_request_show(struct admin_call *c, const json_t *args)
{
	const struct broker *b = admin_broker(c);
	const char *name = arg_text(args, "request");
	const struct task *t;
	struct reading *r;
	char known[REQUEST_NAME_BYTES + 1];
	size_t pos = 0;

	if (!name || slice_str(name).n != REQUEST_NAME_BYTES) {
		admin_fail(c, ERR_BODY, "request: its name, as logs and X-Request-Id have it");
		return;
	}
	while ((t = map_next(b->tasks, &pos)) != NULL) {
		log_rid(known, t->rid);
		if (!strcmp(known, name)) {
			admin_ok(c, admin_task_json(b, t));
			return;
		}
	}
	r = reading_new(c);
	r->text = mem_strndup(name, REQUEST_NAME_BYTES);
	r->page = (struct store_page){ .to = INT64_MAX, .request = r->text, .limit = 1 };
	reading_start(r, READING_SHORT, page_work, show_done);
}
