/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway stack, usage and status: what the broker knows, read only.
 */
#include <stdio.h>
#include <string.h>

#include "client/cli/admin.h"
#include "client/cli/cli.h"

/* One verb without operands but an optional user; prints the array under member. */
static int show(const struct command *c, int argc, char **argv, const char *verb, const char *member)
{
	struct admin_where w;
	uint64_t user = 0;
	struct operands words;
	json_t *reply, *a;

	admin_where_init(&w);
	const struct arg args[] = {
		{ "user", ARG_U64, &user, "N", "only this user's", 1, (UINT64_C(1) << 53) - 1 },
		ADMIN_ARGS(&w),
	};
	switch (args_parse(c, args, sizeof(args) / sizeof(args[0]), argc, argv, &words)) {
	case ARGS_HELP:
		return EXIT_OK;
	case ARGS_USAGE:
		return EXIT_USAGE;
	case ARGS_RUN:
		break;
	}
	if (words.n && strcmp(words.v[0], "list"))
		return args_wrong(c);
	a = json_object();
	if (user)
		json_object_set_new(a, "user", json_integer((json_int_t)user));
	reply = admin_call(&w, verb, a);
	if (reply)
		admin_print(&w, reply, member);
	json_decref(reply);
	return reply ? EXIT_OK : EXIT_FAILED;
}

int cmd_stack(int argc, char **argv)
{
	static const struct command c = {
		"stack", "[list]", "Lists prepaid stacks: units bought, reserved and spent.", "", 0, 1
	};

	return show(&c, argc, argv, "stack.list", "stacks");
}

int cmd_usage(int argc, char **argv)
{
	static const struct command c = {
		"usage", "[list]", "Lists what was billed, newest last.", "", 0, 1
	};

	return show(&c, argc, argv, "usage.list", "usage");
}

/* The broker's state, then the ledger's: units bought are free, reserved or spent. */
int cmd_status(int argc, char **argv)
{
	static const struct command c = {
		"status",
		"",
		"Shows the broker's state and checks its ledger.",
		"exit status: 0 all is well, 1 the broker cannot be reached or the ledger does not add up",
		0,
		0,
	};
	struct admin_where w;
	struct operands words;
	json_t *reply, *ledger = NULL;
	bool ok;

	admin_where_init(&w);
	const struct arg args[] = { ADMIN_ARGS(&w) };
	switch (args_parse(&c, args, sizeof(args) / sizeof(args[0]), argc, argv, &words)) {
	case ARGS_HELP:
		return EXIT_OK;
	case ARGS_USAGE:
		return EXIT_USAGE;
	case ARGS_RUN:
		break;
	}
	reply = admin_call(&w, "status", json_object());
	if (reply) {
		w.dir = "."; /* the first call went there */
		ledger = admin_call(&w, "ledger.check", json_object());
		json_object_set(reply, "ledger", ledger ? ledger : json_null());
		admin_print(&w, reply, NULL);
	}
	ok = ledger && json_is_true(json_object_get(ledger, "ok"));
	json_decref(ledger);
	json_decref(reply);
	return ok ? EXIT_OK : EXIT_FAILED;
}
