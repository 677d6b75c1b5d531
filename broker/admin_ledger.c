/* SPDX-License-Identifier: Apache-2.0
 *
 * ledger.check {}, ledger.backup {file} and usage.list {user?}: long reads, done on
 * the pool through connections of their own.
 */
#include <stdlib.h>

#include "broker/admin.h"
#include "common/log.h"

#define FILE_BYTES_MAX 4000

void admin_add_problem(void *list, const char *text)
{
	json_array_append_new(list, json_string(text));
}

json_t *admin_checked(bool sound, json_t *problems)
{
	return json_pack("{s:b, s:O}", "ok", sound, "problems", problems);
}

static void check_work(struct reading *r)
{
	r->sound = store_check(r->path, admin_add_problem, r->list);
}

static void check_done(struct reading *r)
{
	struct broker *b = admin_broker(r->call);

	r->sound = ledger_check(b->ledger, admin_add_problem, r->list) && r->sound;
	admin_ok(r->call, admin_checked(r->sound, r->list));
	reading_free(r);
}

void admin_ledger_check(struct admin_call *c, const json_t *args)
{
	struct reading *r = reading_new(c);

	(void)args;
	reading_start(r, READING_LONG, check_work, check_done);
}

static void add_usage(void *arg, const struct usage_row *u)
{
	json_array_append_new(arg,
			      json_pack("[I, I, I, I, I, I, I]", (json_int_t)u->user, (json_int_t)u->model,
					(json_int_t)u->day, (json_int_t)u->requests, (json_int_t)u->prompt,
					(json_int_t)u->completion, (json_int_t)u->billed));
}

static void usage_work(struct reading *r)
{
	r->result = store_usage(r->path, r->page.user, add_usage, r->list);
}

static json_int_t field(const json_t *row, size_t i)
{
	return json_integer_value(json_array_get(row, i));
}

/* Numbers become names on the loop, where the tables are. */
static void usage_done(struct reading *r)
{
	struct broker *b = admin_broker(r->call);
	json_t *out, *row;
	size_t i;

	if (r->result != ERR_OK) {
		admin_fail(r->call, ERR_IO, "the database cannot be read");
		reading_free(r);
		return;
	}
	out = json_array();
	json_array_foreach(r->list, i, row)
	{
		const struct user *u = ledger_user(b->ledger, (uint64_t)field(row, 0));
		const struct model *m = registry_model_by_id(b->registry, (uint64_t)field(row, 1));

		json_array_append_new(out, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "user",
						     u ? u->name : "", "model", m ? m->name : "", "day",
						     field(row, 2), "requests", field(row, 3), "prompt",
						     field(row, 4), "completion", field(row, 5), "billed",
						     field(row, 6)));
	}
	admin_ok(r->call, json_pack("{s:o}", "usage", out));
	reading_free(r);
}

void admin_usage_list(struct admin_call *c, const json_t *args)
{
	struct reading *r;
	struct user *u;

	if (!arg_user_if(c, args, &u))
		return;
	r = reading_new(c);
	r->page.user = u ? u->id : 0;
	reading_start(r, READING_SHORT, usage_work, usage_done);
}

static void backup_work(struct reading *r)
{
	r->result = store_backup(r->path, r->text, r->why);
}

static void backup_done(struct reading *r)
{
	if (r->result == ERR_OK) {
		log_info("ledger_backup");
		admin_ok(r->call, json_pack("{s:s}", "file", r->text));
	} else {
		log_warn("ledger_backup_failed", L_ERR(r->result));
		admin_fail(r->call, r->result, "%s", r->why);
	}
	reading_free(r);
}

void admin_ledger_backup(struct admin_call *c, const json_t *args)
{
	const char *file = arg_text(args, "file");
	struct reading *r;

	if (!file || file[0] != '/' || slice_str(file).n > FILE_BYTES_MAX) {
		admin_fail(c, ERR_BODY, "file: the whole path, from /, of the file to write");
		return;
	}
	r = reading_new(c);
	r->text = mem_strndup(file, slice_str(file).n);
	reading_start(r, READING_LONG, backup_work, backup_done);
}
