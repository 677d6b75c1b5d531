/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway ledger check|backup|export: through the broker's admin socket; check
 * --database looks at a file without one, which the broker's program does (the
 * client links no database).
 */
#define _GNU_SOURCE /* strptime */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/admin.h"
#include "client/cli/cli.h"
#include "client/cli/up.h"

struct options {
	struct admin_where where;
	const char *database, *what, *user, *from, *to;
};

/* A file, looked at by sealway-broker in place of this process. */
static int check_file(const char *database, bool json)
{
	char program[PATH_MAX];

	if (!up_find_program("broker", program))
		return EXIT_FAILED;
	execl(program, program, "--check-ledger", json ? "--log-json=true" : "--log-json=false", "--database",
	      database, (char *)NULL);
	perror("sealway ledger: sealway-broker cannot be started");
	return EXIT_FAILED;
}

static int check(const struct options *o)
{
	json_t *reply, *problem;
	bool ok;
	size_t i;

	if (o->database)
		return check_file(o->database, o->where.json);
	reply = admin_call(&o->where, "ledger.check", json_object());
	if (!reply)
		return EXIT_FAILED;
	ok = json_is_true(json_object_get(reply, "ok"));
	if (o->where.json) {
		admin_print(&o->where, reply, NULL);
	} else {
		json_array_foreach(json_object_get(reply, "problems"), i, problem)
			printf("%s\n", json_string_value(problem));
		printf("the ledger %s\n", ok ? "adds up" : "does not add up");
	}
	json_decref(reply);
	return ok ? EXIT_OK : EXIT_FAILED;
}

/* The broker writes the file; it has another working directory. */
static int backup(const struct options *o, const char *file)
{
	char here[PATH_MAX / 2], path[PATH_MAX];
	json_t *reply;

	if (file[0] == '/')
		snprintf(path, sizeof(path), "%s", file);
	else if (getcwd(here, sizeof(here)))
		snprintf(path, sizeof(path), "%s/%s", here, file);
	else
		return EXIT_FAILED;
	reply = admin_call(&o->where, "ledger.backup", json_pack("{s:s}", "file", path));
	if (reply)
		admin_print(&o->where, reply, NULL);
	json_decref(reply);
	return reply ? EXIT_OK : EXIT_FAILED;
}

/* "2026-11-25" -> seconds.  False: said. */
static bool day_of(const char *name, const char *text, json_t *args)
{
	struct tm tm = { 0 };
	const char *end = text ? strptime(text, "%Y-%m-%d", &tm) : NULL;

	if (!text)
		return true;
	if (!end || *end) {
		fprintf(stderr, "sealway ledger: --%s takes a day such as 2026-01-31\n", name);
		return false;
	}
	json_object_set_new(args, name, json_integer((json_int_t)timegm(&tm)));
	return true;
}

/* A row is a line; pages until the broker says that there is no more. */
static bool print_pages(const struct options *o, json_t *args)
{
	struct admin_where w = o->where;
	json_t *reply, *row;
	bool more = true;
	size_t i;

	while (more) {
		reply = admin_call(&w, "ledger.export", json_incref(args));
		if (!reply)
			return false;
		w.dir = "."; /* the first call went there */
		json_array_foreach(json_object_get(reply, "rows"), i, row)
		{
			json_dumpf(row, stdout, JSON_COMPACT);
			putchar('\n');
		}
		json_object_set(args, "after", json_object_get(reply, "next"));
		more = json_is_integer(json_object_get(reply, "next")) && !ferror(stdout); /* main tells */
		json_decref(reply);
	}
	return true;
}

static int export(const struct options *o)
{
	json_t *args = json_pack("{s:s}", "what", o->what);
	int status = EXIT_USAGE;

	if (o->user)
		json_object_set_new(args, "user", json_string(o->user));
	if (day_of("from", o->from, args) && day_of("to", o->to, args))
		status = print_pages(o, args) ? EXIT_OK : EXIT_FAILED;
	json_decref(args);
	return status;
}

#define ARGS_MAX 8

/* The options of one action, or of all (NULL). */
static size_t add_args(struct options *o, const char *action, struct arg out[ARGS_MAX])
{
	const struct arg where[] = { ADMIN_ARGS(&o->where) };
	const struct arg file[] = {
		{ "database", ARG_TEXT, &o->database, "FILE", "check: this file instead", 0, 0 },
	};
	const struct arg rows[] = {
		{ "what", ARG_TEXT, &o->what, "settlements|journal", "export: which (default: settlements)",
		  0, 0 },
		{ "user", ARG_TEXT, &o->user, "NAME", "export: only this user's", 0, 0 },
		{ "from", ARG_TEXT, &o->from, "DAY", "export: from the start of this day (UTC) on", 0, 0 },
		{ "to", ARG_TEXT, &o->to, "DAY", "export: up to the start of this day", 0, 0 },
	};
	size_t n = sizeof(where) / sizeof(where[0]);

	memcpy(out, where, sizeof(where));
	if (!action || !strcmp(action, "check")) {
		memcpy(out + n, file, sizeof(file));
		n += sizeof(file) / sizeof(file[0]);
	}
	if (!action || !strcmp(action, "export")) {
		memcpy(out + n, rows, sizeof(rows));
		n += sizeof(rows) / sizeof(rows[0]);
	}
	return n;
}

static enum args_result parse(const struct command *c, const char *action, int argc, char **argv,
			      struct options *o, struct operands *words)
{
	struct arg args[ARGS_MAX];

	*o = (struct options){ .what = "settlements" };
	admin_where_init(&o->where);
	return args_parse(c, args, add_args(o, action, args), argc, argv, words);
}

/* NULL: no such action. */
static const char *action_of(const char *word)
{
	static const char *const actions[] = { "check", "backup", "export" };

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (!strcmp(word, actions[i]))
			return actions[i];
	return NULL;
}

static int run(const struct command *c, const struct options *o, const struct operands *words)
{
	const char *action = words->v[0];

	if (!strcmp(action, "check") && words->n == 1)
		return check(o);
	if (!strcmp(action, "backup") && words->n == 2)
		return backup(o, words->v[1]);
	if (!strcmp(action, "export") && words->n == 1)
		return export(o);
	return args_wrong(c);
}

int cmd_ledger(int argc, char **argv)
{
	static const struct command c = {
		"ledger",
		"check | backup FILE | export",
		"Proves, backs up and exports the ledger.",
		"check   that every stack and every balance adds up, of the running broker's ledger or,\n"
		"        with --database, of a file; status 1 when one does not\n"
		"backup  a consistent copy while the broker serves, proven before it gets its name;\n"
		"        never over a file that is there\n"
		"export  settled requests, or the journal of balances, one JSON object per line",
		1,
		2,
	};
	const char *action = argc > 1 ? action_of(argv[1]) : NULL;
	struct options o;
	struct operands words;
	enum args_result r = parse(&c, action, argc, argv, &o, &words);

	/* options came first: once more, with those of the action alone */
	if (r == ARGS_RUN && !action)
		r = parse(&c, action_of(words.v[0]), argc, argv, &o, &words);
	if (r != ARGS_RUN)
		return r;
	return run(&c, &o, &words);
}
