/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway token: makes and revokes bearer tokens.  A token is shown once; the
 * broker keeps its hash.
 */
#include <string.h>

#include "client/cli/admin.h"
#include "client/cli/cli.h"

int cmd_token(int argc, char **argv)
{
	static const struct command c = {
		"token",
		"create|revoke USER NAME",
		"Makes a bearer token for a user, or revokes the tokens of that name.",
		"USER is the number of the user.  A token is shown once, on standard output; only its hash "
		"is kept.",
		3,
		3,
	};
	struct admin_where w;
	uint64_t user = 0;
	struct operands words;
	json_t *reply, *a;
	bool create;

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
	create = !strcmp(words.v[0], "create");
	if ((!create && strcmp(words.v[0], "revoke")) || !args_number(words.v[1], &user))
		return args_wrong(&c);
	a = json_pack("{sIss}", "user", (json_int_t)user, "name", words.v[2]);
	reply = admin_call(&w, create ? "token.create" : "token.revoke", a);
	if (reply)
		admin_print(&w, reply, NULL);
	json_decref(reply);
	return reply ? EXIT_OK : EXIT_FAILED;
}
