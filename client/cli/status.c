/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway status: the broker's state, then the ledger's: for every stack the
 * units bought are free, reserved or spent.
 */
#include "client/cli/admin.h"
#include "client/cli/cli.h"

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
	enum args_result r = args_parse(&c, args, sizeof(args) / sizeof(args[0]), argc, argv, &words);

	if (r != ARGS_RUN)
		return r;
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
