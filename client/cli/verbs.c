/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of the operator's commands that are one verb of the broker's admin
 * socket each (operate.h).
 */
#include "client/cli/cli.h"
#include "client/cli/operate.h"

#define RUN(verbs) operate(&c, verbs, sizeof(verbs) / sizeof(verbs[0]), argc, argv)

int cmd_user(int argc, char **argv)
{
	static const struct command c = {
		"user",
		"list | add NAME | show NAME | journal NAME | fund NAME | price NAME MODEL | limit NAME",
		"Users, their balances, their own prices and limits.",
		"fund needs --micro-usd; the reason is kept in the journal, which journal shows.  price\n"
		"needs --price or --remove.  limit needs one of its three options; show tells what holds.",
		0,
		3,
	};
	static const struct verb verbs[] = {
		{ "list", "user.list", "users", { NULL }, "", 0 },
		{ "add", "user.add", NULL, { "name" }, "s", 0 },
		{ "show", "user.show", NULL, { "user" }, "s", 0 },
		{ "journal", "user.journal", "rows", { "user" }, "s", 0 },
		{ "fund", "user.fund", NULL, { "user" }, "s", OPT_MONEY },
		{ "price", "user.price", NULL, { "user", "model" }, "ss", OPT_PRICE | OPT_NODE },
		{ "limit", "user.limit", NULL, { "user" }, "s", OPT_LIMITS },
	};

	return RUN(verbs);
}

int cmd_token(int argc, char **argv)
{
	static const struct command c = {
		"token",
		"list | create USER NAME | revoke USER NAME",
		"Bearer tokens of users.",
		"A token is shown once, when it is made; the broker keeps only its hash.",
		0,
		3,
	};
	static const struct verb verbs[] = {
		{ "list", "token.list", "tokens", { NULL }, "", OPT_USER },
		{ "create", "token.create", NULL, { "user", "name" }, "ss", 0 },
		{ "revoke", "token.revoke", NULL, { "user", "name" }, "ss", 0 },
	};

	return RUN(verbs);
}

int node_other(int argc, char **argv)
{
	static const struct command c = {
		"node",
		"list | admit KEY|FILE | show N | drain N | remove N",
		"Nodes: list, admit, drain, remove.",
		"drain lets a node finish what it has and gives it nothing new (--off ends that); remove\n"
		"forgets its admission.  See sealway node admit --help for admitting.",
		0,
		2,
	};
	static const struct verb verbs[] = {
		{ "list", "node.list", "nodes", { NULL }, "", 0 },
		{ "show", "node.show", NULL, { "node" }, "n", 0 },
		{ "drain", "node.drain", NULL, { "node" }, "n", OPT_OFF },
		{ "remove", "node.remove", NULL, { "node" }, "n", 0 },
	};

	return RUN(verbs);
}

int cmd_model(int argc, char **argv)
{
	static const struct command c = {
		"model", "[list]", "Models, and which nodes serve them.", "", 0, 1
	};
	static const struct verb verbs[] = { { "list", "model.list", "models", { NULL }, "", 0 } };

	return RUN(verbs);
}

int cmd_stack(int argc, char **argv)
{
	static const struct command c = {
		"stack",
		"list | show N | unlock N | grant USER",
		"Prepaid stacks: units bought, free, reserved and spent.",
		"A stack is locked when its node answered 423 for it: its units stay the user's, but new\n"
		"locks go elsewhere and requests on it are refused until it is unlocked.\n"
		"grant gives a user units for nothing; it needs --node, --model and --units, and the "
		"journal\n"
		"keeps the reason.",
		0,
		2,
	};
	static const struct verb verbs[] = {
		{ "list", "stack.list", "stacks", { NULL }, "", OPT_USER },
		{ "show", "stack.show", NULL, { "stack" }, "n", 0 },
		{ "unlock", "stack.unlock", NULL, { "stack" }, "n", 0 },
		{ "grant", "stack.grant", NULL, { "user" }, "s", OPT_GRANT },
	};

	return RUN(verbs);
}

int cmd_request(int argc, char **argv)
{
	static const struct command c = {
		"request",
		"list | show NAME",
		"Requests in flight, and one by its name: in flight, or settled and remembered.",
		"A request's name is its X-Request-Id where the client did not send one of its own; logs "
		"have\n"
		"it, too.",
		0,
		2,
	};
	static const struct verb verbs[] = {
		{ "list", "request.list", "requests", { NULL }, "", 0 },
		{ "show", "request.show", NULL, { "request" }, "s", 0 },
	};

	return RUN(verbs);
}

int cmd_peer(int argc, char **argv)
{
	static const struct command c = { "peer", "[list]", "Gateways and workers that the broker knows.",
					  "",     0,        1 };
	static const struct verb verbs[] = { { "list", "peer.list", "peers", { NULL }, "", 0 } };

	return RUN(verbs);
}

int cmd_usage(int argc, char **argv)
{
	static const struct command c = { "usage", "[list]", "Units used and billed, by user, model and day.",
					  "",      0,        1 };
	static const struct verb verbs[] = { { "list", "usage.list", "usage", { NULL }, "", OPT_USER } };

	return RUN(verbs);
}
