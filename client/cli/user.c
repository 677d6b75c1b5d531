/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway user: adds users and puts money on their balances.
 */
#include <string.h>

#include "client/cli/admin.h"
#include "client/cli/cli.h"

int cmd_user(int argc, char **argv)
{
	static const struct command c = {
		"user",
		"add NAME | fund USER",
		"Adds a user, or changes a user's balance.",
		"fund needs --micro-usd; USER is the number that add printed.  The reason is kept in the "
		"journal.",
		2,
		2,
	};
	struct admin_where w;
	uint64_t amount = 0, user = 0;
	const char *reason = "operator";
	struct operands words;
	json_t *reply = NULL;
	bool fund;

	admin_where_init(&w);
	const struct arg args[] = {
		{ "micro-usd", ARG_U64, &amount, "N", "millionths of a dollar to put on the balance", 1,
		  INT64_MAX },
		{ "reason", ARG_TEXT, &reason, "TEXT", "why, for the journal (default: operator)", 0, 0 },
		ADMIN_ARGS(&w),
	};
	switch (args_parse(&c, args, sizeof(args) / sizeof(args[0]), argc, argv, &words)) {
	case ARGS_HELP:
		return EXIT_OK;
	case ARGS_USAGE:
		return EXIT_USAGE;
	case ARGS_RUN:
		break;
	}
	fund = !strcmp(words.v[0], "fund");
	if (fund ? !amount || !args_number(words.v[1], &user) : strcmp(words.v[0], "add") != 0)
		return args_wrong(&c);
	reply = fund ? admin_call(&w, "user.fund",
				  json_pack("{sIsIss}", "user", (json_int_t)user, "micro_usd",
					    (json_int_t)amount, "reason", reason))
		     : admin_call(&w, "user.add", json_pack("{ss}", "name", words.v[1]));
	if (reply)
		admin_print(&w, reply, NULL);
	json_decref(reply);
	return reply ? EXIT_OK : EXIT_FAILED;
}
